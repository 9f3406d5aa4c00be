//! What is wrong with a stream, and who has it.

use serde_json::Value;
use serde_json::json;

use nakcast::wire::RowEntry;

use crate::stat::view::SourceView;
use crate::stat::view::View;
use crate::units;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A word for programs.
    pub(crate) cause: &'static str,
    pub(crate) party: String,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn json(&self) -> Value {
        json!({ "cause": self.cause, "party": self.party, "what": self.what })
    }
}

/// Everything that is wrong.
pub(crate) fn all(view: &View) -> Vec<Finding> {
    let mut findings: Vec<_> = view.sources.iter().flat_map(of_source).collect();
    let finding = |cause, what| Finding { cause, party: "this observer".to_owned(), what };
    let gaps: u64 = view.sources.iter().map(|source| source.rates.gaps).sum();
    if view.kernel_drops > 0 {
        let drops = units::counted(view.kernel_drops, "datagram");
        findings
            .push(finding("kernel_buffer", format!("the kernel dropped {drops} here for want of buffer")));
    } else if gaps > 0 {
        let gaps = units::counted(gaps, "gap");
        findings.push(finding("network_loss", format!("{gaps} seen here, and the kernel dropped nothing")));
    }
    findings
}

fn of_source(source: &SourceView) -> Vec<Finding> {
    let rows = source.entries().iter().flat_map(|row| of_receiver(source, row));
    let silent = source.is_silent().then(|| Finding {
        cause: "publisher_silent",
        party: format!("publisher {} at {}", source.seen.session, source.seen.address),
        what: format!(
            "nothing was heard of it for {}, and it has not said that it ends",
            units::time(source.seen.silent_for)
        ),
    });
    silent.into_iter().chain(rows).collect()
}

fn of_receiver(source: &SourceView, row: &RowEntry) -> Vec<Finding> {
    let party = format!("receiver {} at {}", row.receiver(), row.address());
    let (naks, lost, drops) = (row.naks.get(), row.lost.get(), row.kernel_drops.get());
    let mut causes = Vec::new();
    if row.has(RowEntry::EVICTED) {
        causes.push(("evicted", "it held the publisher, or asked for too much, and was cut off".to_owned()));
    }
    if source.is_stopped(row) {
        let since = units::time(row.heard_ago());
        causes.push(("receiver_silent", format!("it has not reported for {since}: stopped, or cut off")));
    }
    if source.is_slow(row) {
        let behind = units::counted(source.behind(row), "message");
        causes.push(("slow_subscriber", format!("it is {behind} behind")));
    }
    if drops > 0 {
        let drops = units::counted(drops, "datagram");
        causes.push(("kernel_buffer", format!("its kernel dropped {drops} for want of receive buffer")));
    } else if naks > 0 || (lost > 0 && !row.has(RowEntry::STREAM)) {
        let (naks, lost) = (units::counted(naks, "NAK"), units::count(lost));
        let what = format!("it sent {naks} and lost {lost}, and its kernel dropped nothing");
        causes.push(("network_loss", what));
    }
    causes.into_iter().map(|(cause, what)| Finding { cause, party: party.clone(), what }).collect()
}
