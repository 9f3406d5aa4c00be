//! How long an early batch may be mere reordering before the gap in front of it is asked for.

use core::time::Duration;

/// Later batches that make a gap a loss, to begin with: reordering by one or two never asks (RFC 3208 uses 2 as well).
pub const GUARD_BATCHES: u32 = 3;
/// The most later batches the guard grows to.
const MOST: u32 = 16;
/// Batches in order after which the guard goes back by one.
const CALM: u32 = 1_000;
/// The least time the guard gives, so that a tail gap is not asked for before its datagram can arrive.
const LEAST: Duration = Duration::from_micros(50);

/// The adaptive reorder guard of one source: doubled when an original arrives after its NAK (the asking was in vain),
/// back by one for every thousand batches without that.
#[derive(Debug)]
pub(super) struct Guard {
    least: u32,
    batches: u32,
    calm: u32,
    fixed: Option<Duration>,
}

impl Guard {
    pub(super) const fn new(batches: u32, fixed: Option<Duration>) -> Self {
        Self { least: batches, batches, calm: 0, fixed }
    }

    /// How many later batches make a gap a loss.
    pub(super) const fn batches(&self) -> u32 {
        self.batches
    }

    /// How long after the first later batch a gap is a loss: `max(grtt / 4, 50 µs)`, grown as the batches are.
    pub(super) fn time(&self, grtt: Duration) -> Duration {
        let base = self.fixed.unwrap_or_else(|| (grtt / 4).max(LEAST));
        base.saturating_mul(self.batches) / self.least.max(1)
    }

    /// A batch arrived.
    pub(super) const fn on_batch(&mut self) {
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            if self.batches > self.least {
                self.batches -= 1;
            }
        }
    }

    /// An original arrived after it had been asked for.
    pub(super) fn on_needless_nak(&mut self) {
        self.batches = (self.batches * 2).min(MOST.max(self.least));
        self.calm = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_fast_and_shrinks_slowly() {
        let mut guard = Guard::new(GUARD_BATCHES, None);
        let grown: Vec<_> = (0..4)
            .map(|_| {
                guard.on_needless_nak();
                guard.batches()
            })
            .collect();
        assert_eq!(grown, [6, 12, 16, 16]);
        (0..1_000).for_each(|_| guard.on_batch());
        assert_eq!(guard.batches(), 15);
        (0..100_000).for_each(|_| guard.on_batch());
        assert_eq!(guard.batches(), GUARD_BATCHES);
    }

    #[test]
    fn the_time_follows_the_round_trip_and_the_batches() {
        let mut guard = Guard::new(3, None);
        assert_eq!(guard.time(Duration::from_micros(20)), Duration::from_micros(50));
        assert_eq!(guard.time(Duration::from_millis(4)), Duration::from_millis(1));
        guard.on_needless_nak();
        assert_eq!(guard.time(Duration::from_millis(4)), Duration::from_millis(2));
    }
}
