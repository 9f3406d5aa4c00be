//! How widely the members of a group spread their first NAK for the same loss.

use core::time::Duration;

use crate::offset::OffsetRange;
use crate::time::Time;

/// The least round trip that waits are scaled by: less is noise of the processor.
const LEAST: Duration = Duration::from_micros(50);
/// Repairs without a duplicate after which the spread is halved again.
const RUN: u32 = 16;
/// The most the spread is doubled to.
const MOST: u32 = 8;
/// Repairs remembered to tell duplicates.
const REMEMBERED: usize = 32;

/// The adaptive spread of RFC 3208 §15.2: doubled when the same repair is seen twice, so two members asked; halved
/// after a run without.
#[derive(Debug)]
pub(super) struct Spread {
    factor: u32,
    run: u32,
    recent: [(OffsetRange, Time); REMEMBERED],
    at: usize,
}

impl Default for Spread {
    fn default() -> Self {
        Self { factor: 1, run: 0, recent: [(OffsetRange::default(), Time::ZERO); REMEMBERED], at: 0 }
    }
}

impl Spread {
    /// The longest wait before a first NAK, `B = K·grtt`, in a group of `receivers`.
    ///
    /// NORM's truncated exponential makes `N = exp(1.2·λ/K)` NAKs of a loss that all share, with `λ = ln(G) + 1` (RFC
    /// 5401 §3.2.3.2). `K = λ` makes that 3.3, however large the group; a fixed K lets small groups wait for nothing.
    pub(super) fn longest(&self, grtt: Duration, receivers: u32) -> Duration {
        let round_trips = f64::from(receivers.max(1)).ln() + 1.0;
        grtt.max(LEAST).mul_f64(round_trips) * self.factor
    }

    /// A repair was seen, whether or not it was needed here. The same one again within half a round trip answers a
    /// second NAK; later, it may be one that somebody lost.
    pub(super) fn on_repair(&mut self, range: OffsetRange, now: Time, grtt: Duration) {
        let twice = self.recent.iter().any(|&(seen, at)| seen == range && now.since(at) < grtt / 2);
        if twice {
            (self.factor, self.run) = ((self.factor * 2).min(MOST), 0);
            return;
        }
        self.run += 1;
        if self.run >= RUN {
            (self.factor, self.run) = ((self.factor / 2).max(1), 0);
        }
        if let Some(slot) = self.recent.get_mut(self.at) {
            *slot = (range, now);
        }
        self.at = (self.at + 1) % REMEMBERED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Offset;

    const GRTT: Duration = Duration::from_micros(100);

    fn see(spread: &mut Spread, offset: u64, now: Time) {
        spread.on_repair(OffsetRange::run(Offset(offset), 1), now, GRTT);
    }

    #[test]
    fn waits_grow_with_the_logarithm_of_the_group() {
        let spread = Spread::default();
        let waits = [1, 3, 1_000].map(|receivers| spread.longest(GRTT, receivers).as_micros());
        assert_eq!(waits, [100, 209, 790]);
        assert_eq!(spread.longest(Duration::ZERO, 1), LEAST);
    }

    #[test]
    fn doubles_on_a_duplicate_and_halves_after_a_run() {
        let mut spread = Spread::default();
        see(&mut spread, 5, Time(0));
        see(&mut spread, 5, Time::from_micros(40));
        assert_eq!(spread.longest(GRTT, 1), GRTT * 2);
        (10..10 + u64::from(RUN)).for_each(|offset| see(&mut spread, offset, Time::from_millis(offset)));
        assert_eq!(spread.longest(GRTT, 1), GRTT);
    }

    #[test]
    fn the_same_repair_much_later_is_a_retry_of_somebody() {
        let mut spread = Spread::default();
        see(&mut spread, 5, Time(0));
        see(&mut spread, 5, Time::from_millis(50));
        assert_eq!(spread.longest(GRTT, 1), GRTT);
    }

    #[test]
    fn several_repairs_are_remembered() {
        let mut spread = Spread::default();
        [5, 6, 7, 5].into_iter().for_each(|offset| see(&mut spread, offset, Time(0)));
        assert_eq!(spread.longest(GRTT, 1), GRTT * 2);
    }
}
