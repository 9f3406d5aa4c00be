//! Chance, split by subject: what one fault draws does not depend on whether another is on.

use core::time::Duration;

use crate::sim::trace::Fnv;
use crate::time::Jitter;

/// The stream of chance of one subject.
#[derive(Debug, Clone)]
pub(super) struct Chance(Jitter);

impl Chance {
    /// The stream of number `index` of `subject`.
    pub(super) fn of(seed: u64, subject: &str, index: u64) -> Self {
        let mut name = Fnv::default();
        name.put(subject.as_bytes());
        name.number(seed);
        name.number(index);
        Self(Jitter::new(Jitter::new(name.hash()).bits()))
    }

    /// Another seed, of whatever needs one.
    pub(super) fn seed(&mut self) -> u64 {
        self.0.bits()
    }

    pub(super) fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    /// Whether something of this probability happens; draws only where that is open.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && (chance >= 1.0 || self.0.happens(chance))
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.bits() % end.max(1)
    }

    /// A number within `[least, most]`.
    pub(super) fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// A number within `[least, most)`, small ones as likely as large ones ten times so.
    pub(super) fn log(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.unit())
    }

    /// A span within `[least, most)`, drawn as [`Chance::log`] does.
    pub(super) fn log_span(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_nanos(self.log(least.as_nanos() as f64, most.as_nanos() as f64) as u64)
    }

    /// A span below `most`.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        self.0.up_to(most)
    }

    /// A span of this mean, exponentially distributed.
    pub(super) fn exponential(&mut self, mean: Duration) -> Duration {
        if mean.is_zero() { mean } else { mean.mul_f64(-(1.0 - self.unit()).ln()) }
    }

    /// One of `all`.
    pub(super) fn one_of<T: Copy, const N: usize>(&mut self, all: [T; N]) -> T {
        all[self.below(N as u64) as usize]
    }
}
