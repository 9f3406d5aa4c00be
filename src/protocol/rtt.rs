//! The smoothed round trip time and its deviation.

use core::time::Duration;

/// Jacobson's estimator, as in RFC 6298 §2: `deviation = ¾·deviation + ¼·|rtt − sample|`, `rtt = ⅞·rtt + ⅛·sample`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundTrip {
    smoothed: Option<Duration>,
    deviation: Duration,
    recent: [Duration; RECENT],
    samples: usize,
}

/// Samples of which the least is kept.
const RECENT: usize = 8;

impl RoundTrip {
    /// Takes one measured round trip.
    pub fn sample(&mut self, sample: Duration) {
        if let Some(slot) = self.recent.get_mut(self.samples % RECENT) {
            *slot = sample;
        }
        self.samples += 1;
        let Some(rtt) = self.smoothed else {
            (self.smoothed, self.deviation) = (Some(sample), sample / 2);
            return;
        };
        self.deviation = (self.deviation * 3 + rtt.abs_diff(sample)) / 4;
        self.smoothed = Some((rtt * 7 + sample) / 8);
    }

    /// The smoothed round trip; `None` before the first sample.
    #[must_use]
    pub const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The least of the last eight samples: what the network takes. What a busy processor adds to the others says
    /// nothing about the group.
    #[must_use]
    pub fn least(&self) -> Option<Duration> {
        self.recent.iter().take(self.samples).min().copied()
    }

    /// `2·RTT + 4·deviation`: when an answer may be called late. Zero before the first sample.
    #[must_use]
    pub fn late_after(&self) -> Duration {
        self.smoothed.unwrap_or_default() * 2 + self.deviation * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_samples_leave_no_deviation() {
        let mut rtt = RoundTrip::default();
        (0..60).for_each(|_| rtt.sample(Duration::from_micros(100)));
        assert_eq!(rtt.smoothed(), Some(Duration::from_micros(100)));
        assert!(rtt.late_after() < Duration::from_micros(201));
    }

    #[test]
    fn the_least_forgets_after_eight_samples() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.least(), None);
        [300, 40, 500].into_iter().for_each(|micros| rtt.sample(Duration::from_micros(micros)));
        assert_eq!(rtt.least(), Some(Duration::from_micros(40)));
        (0..8).for_each(|_| rtt.sample(Duration::from_micros(90)));
        assert_eq!(rtt.least(), Some(Duration::from_micros(90)));
    }

    #[test]
    fn one_late_sample_widens_the_bound() {
        let mut rtt = RoundTrip::default();
        (0..60).for_each(|_| rtt.sample(Duration::from_micros(100)));
        rtt.sample(Duration::from_micros(900));
        assert_eq!(rtt.smoothed(), Some(Duration::from_micros(200)));
        assert!(rtt.late_after() > Duration::from_micros(1_000));
    }
}
