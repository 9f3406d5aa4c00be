//! One subscriber of the demo: checks every byte, and measures.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use nakcast::Event;
use nakcast::SourceSnapshot;
use nakcast::Subscriber;
use nakcast::SubscriberStats;

use crate::clock::Clock;
use crate::clock::TICK;
use crate::demo::live::Counters;
use crate::ending::Failure;

use super::payload;

/// Latency is recorded in nanoseconds, up to 100 s.
const LONGEST: u64 = 100_000_000_000;
/// Messages between two looks at the library's counters.
const LOOK_EVERY: u64 = 4_096;

/// A subscriber at work.
pub(crate) struct Sink<'a> {
    pub(crate) subscriber: Subscriber,
    pub(crate) counters: &'a Counters,
    pub(crate) clock: Clock,
}

/// What a subscriber received.
pub(crate) struct Taken {
    /// Messages with every byte right, in order.
    pub(crate) right: u64,
    /// Messages with wrong bytes, or out of order.
    pub(crate) wrong: u64,
    /// Offsets lost, by the events.
    pub(crate) lost: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) source: Option<SourceSnapshot>,
    pub(crate) stats: SubscriberStats,
}

impl Sink<'_> {
    /// Receives until the publisher has ended.
    pub(crate) fn run(mut self) -> Result<Taken, Failure> {
        let mut tally = Tally::new();
        loop {
            let ended = match self.subscriber.recv_timeout(TICK)? {
                Some(event) => tally.on_event(&event, self.clock),
                None => false,
            };
            if ended {
                break;
            }
            if tally.right.is_multiple_of(LOOK_EVERY) {
                self.show(&tally);
            }
        }
        // One turn more: it tells the publisher that everything is here.
        self.subscriber.try_recv()?;
        self.show(&tally);
        let source = self.subscriber.sources().into_iter().next();
        let Tally { right, wrong, lost, latency, .. } = tally;
        Ok(Taken { right, wrong, lost, latency, source, stats: self.subscriber.stats() })
    }

    fn show(&self, tally: &Tally) {
        let sources = self.subscriber.sources();
        let Some(source) = sources.first() else { return };
        let counters = self.counters;
        counters.delivered.store(tally.right, Ordering::Relaxed);
        counters.lost.store(tally.lost, Ordering::Relaxed);
        counters.repaired.store(source.stats.repaired, Ordering::Relaxed);
        counters.naks.store(source.stats.naks, Ordering::Relaxed);
        let median = source.stats.repair_times.quantile(0.5).as_micros();
        counters.repair_us.store(u64::try_from(median).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

struct Tally {
    next: u64,
    right: u64,
    wrong: u64,
    lost: u64,
    latency: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3);
        #[expect(clippy::unwrap_used, reason = "the bounds are constants that the library accepts")]
        let latency = latency.unwrap();
        Self { next: 0, right: 0, wrong: 0, lost: 0, latency }
    }

    /// Takes an event in; whether it was the last.
    fn on_event(&mut self, event: &Event<'_>, clock: Clock) -> bool {
        match event {
            Event::Message(message) => self.on_message(message.payload, clock.now()),
            Event::Lost { range, .. } => self.lost = self.lost.saturating_add(range.len()),
            Event::SourceDown { .. } => return true,
            _ => {}
        }
        false
    }

    fn on_message(&mut self, payload: &[u8], now: Duration) {
        match payload::read(payload) {
            // After a loss the numbers leap; without one they must not.
            Some((number, meant_for)) if number == self.next || (number > self.next && self.lost > 0) => {
                self.next = number + 1;
                self.right += 1;
                let took = now.saturating_sub(meant_for).as_nanos();
                self.latency.saturating_record(u64::try_from(took).unwrap_or(LONGEST));
            }
            _ => self.wrong += 1,
        }
    }
}
