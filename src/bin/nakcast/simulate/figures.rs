//! What a feed did, for people and for programs.

use std::time::Duration;

use nakcast::sim::Report;
use serde_json::Value;
use serde_json::json;

use crate::say::print;
use crate::simulate::feed::Feed;
use crate::table::Table;
use crate::units;

const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// A feed and what came of it.
pub(crate) struct Figures<'a> {
    pub(crate) feed: &'a Feed,
    pub(crate) seed: u64,
    pub(crate) report: &'a Report,
}

impl Figures<'_> {
    pub(crate) fn print(&self) {
        self.print_feed();
        self.print_latencies();
        self.print_account();
        self.print_repairs();
    }

    fn print_feed(&self) {
        let feed = self.feed;
        let lost = match feed.burst_loss {
            Some(length) => format!("{} lost, in bursts of {length}", percent(feed.loss)),
            None => format!("{} lost", percent(feed.loss)),
        };
        let jitter = match feed.jitter {
            Duration::ZERO => String::new(),
            jitter => format!(" + {} each way at random", units::time(jitter)),
        };
        print(format_args!(
            "{} of {} bytes at {} a second to {}\nround trip {}{jitter}, {lost}, a link of {}; seed {:#x}",
            units::counted(feed.messages, "message"),
            units::count(feed.size),
            units::count(feed.pace),
            units::counted(feed.receivers, "receiver"),
            units::time(feed.rtt),
            units::bits(feed.rate),
            self.seed,
        ));
        if self.report.feed.published < feed.messages {
            print(format_args!(
                "only {} were published in that time, since flow control held the publisher",
                units::count(self.report.feed.published)
            ));
        }
    }

    fn print_latencies(&self) {
        let mut table = Table::new(["from published to delivered", "p50", "p90", "p99", "p99.9", "max"]);
        let row = |name: &str, times: [Duration; 5]| {
            let [p50, p90, p99, p999, max] = times.map(units::time);
            [name.to_owned(), p50, p90, p99, p999, max]
        };
        table.row(row("all", self.latencies()));
        if !self.report.repaired.is_empty() {
            table.row(row("repaired", self.repair_latencies()));
        }
        print(format_args!("\n{table}\n"));
    }

    fn print_account(&self) {
        let totals = &self.report.feed;
        let what = if totals.offsets > totals.published { "offsets" } else { "messages" };
        print(format_args!(
            "  {} {what} × {} = delivered {} + lost {}",
            units::count(totals.offsets),
            units::counted(self.feed.receivers, "receiver"),
            units::count(totals.delivered),
            units::count(totals.lost),
        ));
        print(format_args!(
            "  repaired: {}, {} of what was delivered",
            units::counted(self.repaired(), "message"),
            percent(ratio(self.repaired(), self.report.latencies.len() as u64)),
        ));
    }

    fn print_repairs(&self) {
        let (totals, traffic) = (&self.report.feed, &self.report.feed.traffic);
        print(format_args!(
            "  NAKs:     {}, {:.2} for each message repaired, {:.1} from each receiver; {}",
            units::count(totals.naks),
            self.naks_per_loss(),
            ratio(totals.naks, self.feed.receivers),
            units::size(traffic.nak_bytes),
        ));
        print(format_args!(
            "  repairs:  {}, {}: {} on top of {} of data",
            units::counted(totals.repairs, "datagram"),
            units::size(traffic.repair_bytes),
            percent(self.repair_share()),
            units::size(traffic.data_bytes),
        ));
    }

    /// The same as one JSON object.
    pub(crate) fn json(&self) -> Value {
        let (feed, totals, traffic) = (self.feed, &self.report.feed, &self.report.feed.traffic);
        json!({
            "seed": self.seed,
            "feed": {
                "loss": feed.loss, "burst_loss": feed.burst_loss, "receivers": feed.receivers, "rate": feed.rate,
                "rtt_ns": nanos(feed.rtt), "jitter_ns": nanos(feed.jitter),
                "size": feed.size, "messages": feed.messages, "pace": feed.pace,
            },
            "published": totals.published, "offsets": totals.offsets,
            "delivered": totals.delivered, "lost": totals.lost,
            "repaired": self.repaired(),
            "repaired_share": ratio(self.repaired(), self.report.latencies.len() as u64),
            "latency_ns": quantiles(self.latencies()),
            "repair_latency_ns": (!self.report.repaired.is_empty()).then(|| quantiles(self.repair_latencies())),
            "naks": totals.naks, "nak_bytes": traffic.nak_bytes,
            "naks_per_loss": self.naks_per_loss(),
            "naks_per_receiver": ratio(totals.naks, feed.receivers),
            "repairs": totals.repairs, "repair_bytes": traffic.repair_bytes,
            "data_bytes": traffic.data_bytes, "repair_share": self.repair_share(),
        })
    }

    fn latencies(&self) -> [Duration; 5] {
        QUANTILES.map(|quantile| self.report.latency(quantile))
    }

    fn repair_latencies(&self) -> [Duration; 5] {
        QUANTILES.map(|quantile| self.report.repair_latency(quantile))
    }

    /// Messages that came by a repair, to all receivers.
    const fn repaired(&self) -> u64 {
        self.report.repaired.len() as u64
    }

    fn naks_per_loss(&self) -> f64 {
        ratio(self.report.feed.naks, self.repaired() + self.report.feed.lost)
    }

    fn repair_share(&self) -> f64 {
        ratio(self.report.feed.traffic.repair_bytes, self.report.feed.traffic.data_bytes)
    }
}

fn quantiles(times: [Duration; 5]) -> Value {
    let [p50, p90, p99, p999, max] = times.map(nanos);
    json!({ "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": max })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Nothing of nothing is zero.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `2 %`, `0.04 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if percent < 1.0 { 2 } else { 1 };
    let text = format!("{percent:.digits$}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_well() {
        let read = [0.0, 0.02, 0.000_4, 0.123_4, 1.0, 2.5].map(percent);
        assert_eq!(read, ["0 %", "2 %", "0.04 %", "12.3 %", "100 %", "250 %"]);
        assert_eq!((ratio(1, 0), ratio(1, 4)), (0.0, 0.25));
    }
}
