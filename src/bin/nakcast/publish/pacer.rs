//! So many messages a second.

use std::time::Duration;

use crate::clock::Clock;

/// How much of a delay is made up for; after a longer one, the schedule begins anew.
const MOST_BEHIND: Duration = Duration::from_millis(100);

/// A schedule: each message has its time.
#[derive(Debug)]
pub(crate) struct Pacer {
    clock: Clock,
    rate: u64,
    start: Duration,
    sent: u64,
}

impl Pacer {
    pub(crate) fn new(rate: u64, clock: Clock) -> Self {
        Self { clock, rate: rate.max(1), start: clock.now(), sent: 0 }
    }

    /// Rests until the next message may go, but a tick at most; whether it may.
    pub(crate) fn is_due(&self) -> bool {
        self.clock.rest(self.due())
    }

    /// A message has gone.
    pub(crate) fn sent(&mut self) {
        let now = self.clock.now();
        self.sent += 1;
        if now.saturating_sub(self.due()) > MOST_BEHIND {
            (self.start, self.sent) = (now, 0);
        }
    }

    fn due(&self) -> Duration {
        let (seconds, rest) = (self.sent / self.rate, self.sent % self.rate);
        // Below 10⁹ each, as the command line sees to.
        self.start + Duration::new(seconds, 0) + Duration::from_nanos(rest * 1_000_000_000 / self.rate)
    }
}
