//! The demo's publisher: each message has its time, and bears it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nakcast::FinishError;
use nakcast::Publisher;
use nakcast::PublisherEvent;
use nakcast::PublisherStats;
use nakcast::ReceiverId;

use crate::clock::Clock;
use crate::demo::PATIENCE;
use crate::demo::payload;
use crate::ending::Failure;
use crate::interrupt::Interrupt;

/// Messages between two looks at the time and at Ctrl-C, however late the publisher is.
const STRETCH: u64 = 64;

/// What to publish.
pub(crate) struct Source {
    pub(crate) size: usize,
    /// A second; 0 for no limit.
    pub(crate) rate: u64,
    pub(crate) seconds: Duration,
    pub(crate) clock: Clock,
    pub(crate) interrupt: Interrupt,
}

/// What was published.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Without the wait for the last repairs.
    pub(crate) took: Duration,
    pub(crate) stats: PublisherStats,
    pub(crate) finished: Result<(), FinishError>,
    pub(crate) evicted: Vec<ReceiverId>,
}

impl Source {
    /// Publishes until the time is over, then waits until the subscribers have everything.
    pub(crate) fn run(
        &self,
        mut publisher: Publisher,
        subscribers: usize,
        shown: &AtomicU64,
    ) -> Result<Sent, Failure> {
        publisher.wait_for(subscribers, PATIENCE)?;
        let start = self.clock.now();
        let mut payload = vec![0; self.size];
        let mut messages = 0;
        while !self.interrupt.is_asked() {
            let spent = self.clock.now() - start;
            if spent >= self.seconds {
                break;
            }
            let due = if self.rate == 0 { u64::MAX } else { self.due_after(spent) };
            let until = due.min(messages + STRETCH);
            while messages < until {
                let meant_for = start + if self.rate == 0 { spent } else { self.due(messages) };
                payload::write(&mut payload, messages, meant_for);
                let published = publisher.publish(b"", &payload);
                published.map_err(|error| Failure::Publish { number: messages + 1, error })?;
                messages += 1;
            }
            shown.store(messages, Ordering::Relaxed);
            if self.rate > 0 {
                self.clock.rest(start + self.due(messages).min(self.seconds));
            }
        }
        let took = self.clock.now() - start;
        let finished = publisher.finish(PATIENCE);
        let evicted = |event| match event {
            PublisherEvent::ReceiverEvicted { receiver, .. } => Some(receiver),
            _ => None,
        };
        let evicted = publisher.events().filter_map(evicted).collect();
        let bytes = messages * self.size as u64;
        Ok(Sent { messages, bytes, took, stats: publisher.stats(), finished, evicted })
    }

    /// When message `number` is due, from the start.
    fn due(&self, number: u64) -> Duration {
        nanos(u128::from(number) * 1_000_000_000 / u128::from(self.rate.max(1)))
    }

    /// How many messages are due after so much time, counting one at the start.
    fn due_after(&self, spent: Duration) -> u64 {
        let due = spent.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1)
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
