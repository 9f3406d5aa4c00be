//! When to try again.

use core::time::Duration;

use crate::time::Jitter;
use crate::time::Time;

/// Waits that double from `min` to `max`, each a quarter more or less by chance, so that the subscribers of a publisher
/// that was restarted do not all come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    /// Failures in a row.
    failures: u32,
    jitter: Jitter,
}

impl Backoff {
    pub(super) const fn new((min, max): (Duration, Duration), seed: u64) -> Self {
        Self { min, max, failures: 0, jitter: Jitter::new(seed) }
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) const fn fail(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) const fn succeed(&mut self) {
        self.failures = 0;
    }

    /// When to try again after what just failed.
    pub(super) fn next(&mut self, now: Time) -> Time {
        let doubled = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        now + self.jitter.spread(self.min.saturating_mul(doubled).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_the_least_to_the_most() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(10), ms(100)), 1);
        let mut waits = Vec::new();
        for _ in 0..40 {
            backoff.fail();
            waits.push(backoff.next(Time(7)).since(Time(7)));
        }
        for (wait, about) in waits.iter().zip([10, 20, 40, 80].into_iter().chain([100; 36])) {
            assert!(*wait >= ms(about) * 3 / 4 && *wait < ms(about) * 5 / 4, "{wait:?} about {about} ms");
        }
        backoff.succeed();
        assert!(backoff.next(Time::ZERO).since(Time::ZERO) < ms(13));
        assert_eq!(backoff.failures(), 0);
    }
}
