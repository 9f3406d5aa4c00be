//! When a message should be sent, whatever happened to those before.

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// The intended times of a paced run.
#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    start: u64,
    rate: u64,
}

impl Pacer {
    /// `rate` messages a second, the first at `start` (nanoseconds).
    #[must_use]
    pub const fn new(start: u64, rate: u64) -> Self {
        Self { start, rate }
    }

    /// When the message of this number should be sent: nothing is added up, so nothing drifts.
    #[inline]
    #[must_use]
    pub const fn intended(&self, sequence: u64) -> u64 {
        let (seconds, rest) = (sequence / self.rate, sequence % self.rate);
        self.start + seconds * SECOND + rest * SECOND / self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread_evenly_and_nothing_adds_up() {
        let pacer = Pacer::new(5, 3);
        let times: Vec<u64> = (0..7).map(|sequence| pacer.intended(sequence)).collect();
        let second = 1_000_000_000;
        let expected = [0, 333_333_333, 666_666_666, second, second + 333_333_333, second + 666_666_666];
        assert_eq!(times[..6], expected.map(|time| time + 5));
        assert_eq!(times[6], 2 * second + 5);
    }

    #[test]
    fn a_long_fast_run_does_not_overflow() {
        let pacer = Pacer::new(0, 100_000_000);
        assert_eq!(pacer.intended(100_000_000 * 86_400 + 1), 86_400 * SECOND + 10);
    }
}
