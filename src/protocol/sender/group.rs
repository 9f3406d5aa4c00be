//! The group as a whole: its round trip time, and how often its members are to report.

use core::time::Duration;

use crate::time::Time;

/// The least a group's round trip is taken to be.
const FLOOR: Duration = Duration::from_micros(20);
/// The most one receiver can claim, which is also the most that receivers believe.
const CEILING: Duration = Duration::from_secs(1);
/// What is assumed before the first sample.
const ASSUMED: Duration = Duration::from_millis(1);
/// How often the group's round trip loses a tenth.
const DECAY_EVERY: Duration = Duration::from_secs(1);
/// How often a receiver of a small group reports.
const STATUS_MS: u64 = 200;
/// The group size up to which it stays so.
const SMALL_GROUP: u64 = 50;

/// The group's round trip time: the largest that live receivers report, losing 10 % a second.
#[derive(Debug)]
pub(super) struct Grtt {
    sampled: Option<(Duration, Time)>,
}

impl Grtt {
    pub(super) const fn new() -> Self {
        Self { sampled: None }
    }

    /// The group's round trip as of `now`.
    pub(super) fn at(&self, now: Time) -> Duration {
        let Some((peak, at)) = self.sampled else { return ASSUMED };
        decayed(peak, now - at).0
    }

    /// A receiver reports `rtt`.
    pub(super) fn sample(&mut self, now: Time, rtt: Duration) {
        let rtt = rtt.clamp(FLOOR, CEILING);
        let kept = self.sampled.map(|(peak, at)| {
            let (peak, whole) = decayed(peak, now - at);
            (peak, at + whole)
        });
        self.sampled = kept.filter(|(peak, _)| *peak > rtt).or(Some((rtt, now)));
    }
}

/// What is left of `peak` after `span`, and the whole steps of it that were taken.
fn decayed(mut peak: Duration, span: Duration) -> (Duration, Duration) {
    let mut taken = Duration::ZERO;
    // From the ceiling to the floor is 103 steps, whatever the span.
    while peak > FLOOR && span.saturating_sub(taken) >= DECAY_EVERY {
        peak = (peak * 9 / 10).max(FLOOR);
        taken += DECAY_EVERY;
    }
    (peak, taken)
}

/// How often each of `live` receivers is to report: 200 ms × max(1, G/50), as far as the field goes.
pub(super) fn status_ms(live: usize) -> u16 {
    let group = u64::try_from(live).unwrap_or(u64::MAX);
    let span = STATUS_MS.max(group.saturating_mul(STATUS_MS / SMALL_GROUP));
    u16::try_from(span).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_largest_counts_and_loses_a_tenth_a_second() {
        let mut grtt = Grtt::new();
        assert_eq!(grtt.at(Time::ZERO), MS);
        grtt.sample(Time::ZERO, 10 * MS);
        grtt.sample(Time::from_millis(1), 2 * MS);
        assert_eq!(grtt.at(Time::from_millis(999)), 10 * MS);
        assert_eq!(grtt.at(Time::from_millis(1_000)), 9 * MS);
        grtt.sample(Time::from_millis(1_500), MS);
        assert_eq!(grtt.at(Time::from_millis(1_999)), 9 * MS);
        assert_eq!(grtt.at(Time::from_millis(2_000)), MS * 81 / 10);
        assert_eq!(grtt.at(Time(u64::MAX)), FLOOR);
    }

    #[test]
    fn samples_are_clipped() {
        let mut grtt = Grtt::new();
        grtt.sample(Time::ZERO, Duration::from_nanos(5));
        assert_eq!(grtt.at(Time::ZERO), FLOOR);
        grtt.sample(Time::ZERO, Duration::from_secs(4_000));
        assert_eq!(grtt.at(Time::ZERO), CEILING);
    }

    #[test]
    fn a_large_group_reports_less_often() {
        assert_eq!(
            [0, 1, 50, 51, 100, 4_096, 1 << 30].map(status_ms),
            [200, 200, 200, 204, 400, 16_384, u16::MAX]
        );
    }
}
