//! The only clock: every other file is told the time.

use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::time::Time;

/// Turns the machine's monotonic clock into [`Time`].
///
/// A copy shares its zero, so every thread of an endpoint carries its own and their times compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    /// Starts a clock whose zero is this instant.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub(crate) fn start() -> Self {
        Self { zero: Instant::now() }
    }

    /// The time since the clock was started; never goes back. Costs some 30 ns, so it is not read per message.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub(crate) fn now(&self) -> Time {
        // 2⁶⁴ ns are 584 years, so nothing is cut off here.
        Time(Instant::now().saturating_duration_since(self.zero).as_nanos() as u64)
    }

    /// Nanoseconds since 1 January 1970 UTC by the wall clock, which may step; 0 before that.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub(crate) fn epoch_nanos() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_the_zero() {
        let clock = Clock::start();
        let copy = clock;
        let (first, second, third) = (clock.now(), copy.now(), clock.now());
        assert!(first <= second && second <= third);
    }

    #[test]
    fn the_wall_clock_is_past_2020() {
        assert!(Clock::epoch_nanos() > 1_577_836_800_000_000_000);
    }
}
