//! When a node sends its beacons.

use core::time::Duration;

use crate::time::Jitter;
use crate::time::Time;

/// Beacons an interval apart, give or take a quarter; sooner when somebody new is there.
#[derive(Debug)]
pub(super) struct Rhythm {
    interval: Duration,
    jitter: Jitter,
    sent_at: Option<Time>,
    next: Time,
}

impl Rhythm {
    pub(super) const fn new(interval: Duration, seed: u64) -> Self {
        Self { interval, jitter: Jitter::new(seed), sent_at: None, next: Time::ZERO }
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) const fn next(&self) -> Time {
        self.next
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.next
    }

    /// There is something new to say.
    pub(super) const fn hurry(&mut self) {
        self.next = Time::ZERO;
    }

    /// Somebody new is there, and should not have to wait for a whole interval. Whoever pretends to be many makes this node
    /// no louder than a beacon each eighth of an interval.
    pub(super) fn greet(&mut self, now: Time) {
        let soon = now + self.jitter.up_to(self.interval / 8);
        let earliest = self.sent_at.map_or(soon, |sent_at| soon.max(sent_at + self.interval / 8));
        self.next = self.next.min(earliest);
    }

    pub(super) fn sent(&mut self, now: Time) {
        self.sent_at = Some(now);
        self.next = now + self.jitter.spread(self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn beacons_come_an_interval_apart_give_or_take_a_quarter() {
        let mut rhythm = Rhythm::new(SECOND, 1);
        assert!(rhythm.is_due(Time::ZERO));
        let mut now = Time::ZERO;
        for _ in 0..1_000 {
            rhythm.sent(now);
            let wait = rhythm.next().since(now);
            assert!(wait >= SECOND * 3 / 4 && wait < SECOND * 5 / 4, "{wait:?}");
            now = rhythm.next();
        }
    }

    #[test]
    fn newcomers_are_greeted_soon_and_a_crowd_of_them_not_more_often() {
        let mut rhythm = Rhythm::new(SECOND, 1);
        rhythm.sent(Time::ZERO);
        let mut sent = 0;
        for millis in 0..10_000 {
            let now = Time::from_millis(millis);
            rhythm.greet(now);
            if rhythm.is_due(now) {
                rhythm.sent(now);
                sent += 1;
            }
        }
        assert!((40..=80).contains(&sent), "{sent} in 80 eighths of a second");
    }
}
