//! What a run came to.

use core::time::Duration;

use crate::sim::totals::Totals;
use crate::sim::verdict::Violation;
use crate::time::Time;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The first promise that was broken, if any; the run ends there.
    pub violation: Option<Violation>,
    /// The same for the same options, and hardly ever for others.
    pub trace_hash: u64,
    /// The virtual time at the end.
    pub ended: Time,
    /// Events.
    pub events: u64,
    /// Messages published, by all publishers.
    pub published: u64,
    /// Offsets delivered, to all receivers.
    pub delivered: u64,
    /// Offsets told as lost, to all receivers.
    pub lost: u64,
    /// NAK datagrams sent.
    pub naks: u64,
    /// Datagrams sent again.
    pub repairs: u64,
    /// The same as far as they belong to the feed: without what the simulator adds to see whether losses are noticed.
    pub feed: Totals,
    /// From publishing to delivery, of each message of the feed to each receiver, ascending.
    pub latencies: Vec<Duration>,
    /// Of those, the ones that came by a repair.
    pub repaired: Vec<Duration>,
}

impl Report {
    /// The time within which `quantile` (0 to 1) of the messages were delivered; zero when none was.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Duration {
        at_quantile(&self.latencies, quantile)
    }

    /// [`Report::latency`], of the messages that came by a repair.
    #[must_use]
    pub fn repair_latency(&self, quantile: f64) -> Duration {
        at_quantile(&self.repaired, quantile)
    }
}

fn at_quantile(ascending: &[Duration], quantile: f64) -> Duration {
    let last = ascending.len().saturating_sub(1);
    let index = (quantile.clamp(0.0, 1.0) * last as f64).round() as usize;
    ascending.get(index).copied().unwrap_or_default()
}
