//! A look at a stream, for people and for programs.

use serde_json::Value;
use serde_json::json;

use nakcast::wire::RowEntry;

use crate::say::print;
use crate::stat::finding;
use crate::stat::view::SourceView;
use crate::stat::view::View;
use crate::table::Table;
use crate::units;

/// One object in one line.
pub(crate) fn json(uri: &str, view: &View) {
    let findings: Vec<_> = finding::all(view).iter().map(finding::Finding::json).collect();
    let object = json!({
        "uri": uri,
        "over_s": view.over.as_secs_f64(),
        "kernel_drops": view.kernel_drops,
        "undecodable": view.undecodable,
        "sources": view.sources.iter().map(source).collect::<Vec<_>>(),
        "findings": findings,
    });
    print(format_args!("{object}"));
}

fn source(view: &SourceView) -> Value {
    let (seen, stats, book) = (&view.seen, &view.seen.stats, &view.seen.book);
    json!({
        "session": seen.session.to_string(),
        "address": seen.address.to_string(),
        "state": view.state(),
        "silent_ms": seen.silent_for.as_millis() as u64,
        "messages_per_s": view.rates.messages,
        "batches_per_s": view.rates.batches,
        "bytes_per_s": view.rates.bytes,
        "oldest": seen.oldest.0,
        "start": book.start.0,
        "heard": book.heard.0,
        "receivers": seen.receivers,
        "grtt_us": seen.group_round_trip.as_micros() as u64,
        "tcp_port": seen.tcp_port,
        "here": {
            "delivered": book.delivered, "lost": book.lost, "gaps": view.rates.gaps, "duplicates": stats.duplicates,
            "repairs": stats.repairs, "batches": stats.batches, "bytes": stats.bytes,
        },
        "rows": view.rows.as_ref().ok().map(|rows| rows.entries.iter().map(|entry| row(view, entry)).collect::<Vec<_>>()),
        "rows_missing": view.rows.as_ref().err(),
    })
}

fn row(view: &SourceView, row: &RowEntry) -> Value {
    json!({
        "receiver": row.receiver().to_string(),
        "address": row.address().to_string(),
        "carrier": carrier(row),
        "state": view.word(row),
        "next": row.next.get(),
        "lag": view.behind(row),
        "lag_ms": view.behind_for(row).map(|time| time.as_millis() as u64),
        "delivered": row.delivered.get(),
        "lost": row.lost.get(),
        "naks": row.naks.get(),
        "kernel_drops": row.kernel_drops.get(),
        "heard_ms": row.heard_ms.get(),
        "rtt_us": row.rtt_us.get(),
        "window": row.window.get(),
        "slow": row.has(RowEntry::SLOW),
        "evicted": row.has(RowEntry::EVICTED),
    })
}

fn carrier(row: &RowEntry) -> &'static str {
    if row.has(RowEntry::STREAM) { "tcp" } else { "udp" }
}

/// A table of publishers, one of receivers for each, and what is wrong.
pub(crate) fn text(view: &View) {
    print(format_args!("{}", publishers(view)));
    for source in &view.sources {
        match &source.rows {
            Ok(rows) if rows.entries.is_empty() => {
                print(format_args!("\n{} knows of no receiver", source.seen.session));
            }
            Ok(_) => print(format_args!("\nreceivers of {}:\n{}", source.seen.session, receivers(source))),
            Err(why) => print(format_args!("\nreceivers of {}: not known: {why}", source.seen.session)),
        }
    }
    let findings = finding::all(view);
    print(format_args!("\n{}", units::counted(findings.len() as u64, "finding")));
    for finding in findings {
        print(format_args!("{:<16}  {}: {}", finding.cause, finding.party, finding.what));
    }
}

fn publishers(view: &View) -> Table {
    let mut table = Table::new([
        "publisher",
        "address",
        "state",
        "msg/s",
        "batch/s",
        "a second",
        "oldest",
        "heard",
        "receivers",
        "grtt",
        "gaps",
        "lost",
        "duplicates",
    ]);
    for source in &view.sources {
        let (seen, rates) = (&source.seen, source.rates);
        table.row([
            seen.session.to_string(),
            seen.address.to_string(),
            source.state().to_owned(),
            units::count(rates.messages as u64),
            units::count(rates.batches as u64),
            units::size(rates.bytes as u64),
            units::count(seen.oldest.0),
            units::count(seen.book.heard.0),
            seen.receivers.to_string(),
            units::time(seen.group_round_trip),
            units::count(rates.gaps),
            units::count(seen.book.lost),
            units::count(seen.stats.duplicates),
        ]);
    }
    table
}

fn receivers(source: &SourceView) -> Table {
    let mut table = Table::new([
        "receiver", "address", "over", "state", "next", "lag", "lost", "NAKs", "drops", "heard", "rtt",
    ]);
    for row in source.entries() {
        table.row([
            row.receiver().to_string(),
            row.address().to_string(),
            carrier(row).to_owned(),
            source.word(row).to_owned(),
            units::count(row.next.get()),
            units::count(source.behind(row)),
            units::count(row.lost.get()),
            units::count(row.naks.get()),
            units::count(row.kernel_drops.get()),
            units::time(row.heard_ago()),
            units::time(std::time::Duration::from_micros(row.rtt_us.get().into())),
        ]);
    }
    table
}
