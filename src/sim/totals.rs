//! Sums over everybody who takes part.

use core::time::Duration;

use crate::sim::report::Report;
use crate::sim::world::World;
use crate::wire::Flags;
use crate::wire::Header;
use crate::wire::Kind;

/// Sums over all publishers and receivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages published.
    pub published: u64,
    /// Offsets of those messages: more where messages were fragmented.
    pub offsets: u64,
    /// Offsets delivered, to all receivers.
    pub delivered: u64,
    /// Offsets told as lost, to all receivers.
    pub lost: u64,
    /// NAK datagrams sent.
    pub naks: u64,
    /// Datagrams sent again.
    pub repairs: u64,
    /// What left its host.
    pub traffic: Traffic,
}

/// Bytes of UDP payload that left their hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams with data, sent for the first time.
    pub data: u64,
    /// Their bytes.
    pub data_bytes: u64,
    /// Bytes of data sent again.
    pub repair_bytes: u64,
    /// Bytes of NAKs.
    pub nak_bytes: u64,
}

impl Traffic {
    /// Counts a datagram that leaves its host.
    pub(super) fn count(&mut self, datagram: &[u8]) {
        let bytes = datagram.len() as u64;
        match Header::peek(datagram) {
            Some((Kind::Data, flags)) if flags.has(Flags::REPAIR) => self.repair_bytes += bytes,
            Some((Kind::Data, _)) => {
                self.data += 1;
                self.data_bytes += bytes;
            }
            Some((Kind::Nak, _)) => self.nak_bytes += bytes,
            _ => {}
        }
    }
}

/// From publishing to delivery.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    all: Vec<Duration>,
    repaired: Vec<Duration>,
    /// What comes now does not belong to the feed.
    is_over: bool,
}

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration, is_repaired: bool) {
        if self.is_over {
            return;
        }
        self.all.push(latency);
        if is_repaired {
            self.repaired.push(latency);
        }
    }
}

impl World<'_> {
    /// What was published so far is the feed, and all of it is decided.
    pub(super) fn end_feed(&mut self) -> Totals {
        self.latencies.is_over = true;
        self.totals()
    }

    fn totals(&self) -> Totals {
        let offsets = self.truth.all().map(|published| published.end().0).sum();
        let mut totals = Totals { offsets, traffic: self.trace.traffic(), ..Totals::default() };
        for stage in &self.publishers {
            let now = stage.publisher.as_ref().map_or(0, |publisher| publisher.watch.count);
            totals.published += stage.published;
            totals.repairs += stage.past.repairs + now;
        }
        for seat in &self.receivers {
            totals.delivered += seat.past.delivered;
            totals.lost += seat.past.lost;
            totals.naks += seat.past.naks;
            if let Some(subscriber) = &seat.subscriber {
                totals.delivered += subscriber.ledger.delivered();
                totals.lost += subscriber.ledger.lost();
                totals.naks += subscriber.naks.0;
            }
        }
        totals
    }

    pub(super) fn report(mut self, feed: Totals) -> Report {
        let totals = self.totals();
        self.latencies.all.sort_unstable();
        self.latencies.repaired.sort_unstable();
        Report {
            violation: self.verdict.take(),
            trace_hash: self.trace.hash(),
            ended: self.now,
            events: self.trace.events(),
            published: totals.published,
            delivered: totals.delivered,
            lost: totals.lost,
            naks: totals.naks,
            repairs: totals.repairs,
            feed,
            latencies: self.latencies.all,
            repaired: self.latencies.repaired,
        }
    }
}
