//! Time and chance as arguments: every machine is told the time and draws from a seed.

use core::ops::Add;
use core::ops::Sub;
use core::time::Duration;

/// Nanoseconds since the caller's own zero; the real clock is in `io`, the virtual one in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The caller's zero.
    pub const ZERO: Self = Self(0);

    /// The time `micros` microseconds after zero.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// The time `millis` milliseconds after zero.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// A seeded source of chance (SplitMix64, Steele et al. 2014): small, and its stream never changes between versions.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// Starts the stream that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number drawn evenly from `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether an event of probability `chance` happens.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// A span drawn evenly from `[0, most)`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }

    /// A span drawn evenly from `[¾, 5⁄4)` of `about`, so that two timers never stay in step.
    pub fn spread(&mut self, about: Duration) -> Duration {
        about.mul_f64(0.75 + 0.5 * self.unit())
    }

    /// A span in `[0, most)`, truncated exponential: with `group` waiting alike, few draw an early one and the first
    /// comes soon (RFC 5401 §3.2.3.2: `λ = ln(G) + 1`, `x = U(0, λ/B) + λ/(B(e^λ − 1))`,
    /// `t = (B/λ) · ln(x(e^λ − 1)B/λ)`).
    pub fn exponential(&mut self, most: Duration, group: u32) -> Duration {
        let lambda = f64::from(group.max(1)).ln() + 1.0;
        let grown = lambda.exp() - 1.0;
        // With u = U(0, 1) the source's formula is (B/λ) · ln(1 + u(e^λ − 1)).
        most.mul_f64(((1.0 + self.unit() * grown).ln() / lambda).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_is_fixed() {
        let mut jitter = Jitter::new(7);
        assert_eq!([jitter.bits(), jitter.bits()], [7_191_089_600_892_374_487, 309_689_372_594_955_804]);
    }

    #[test]
    fn time_saturates() {
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
        assert_eq!(Time(u64::MAX) + Duration::from_secs(1), Time(u64::MAX));
    }

    #[test]
    fn spans_stay_in_their_bounds() {
        let mut jitter = Jitter::new(1);
        let span = Duration::from_millis(8);
        for _ in 0..1_000 {
            assert!(jitter.up_to(span) < span);
            let spread = jitter.spread(span);
            assert!(spread >= Duration::from_millis(6) && spread < Duration::from_millis(10));
            assert!(jitter.exponential(span, 1_000) <= span);
        }
    }

    /// The larger the group, the later the typical wait: the mean for G is near B(1 − 1/λ) for large G.
    #[test]
    fn exponential_waits_grow_with_the_group() {
        let mean = |group| {
            let mut jitter = Jitter::new(3);
            let total: Duration =
                (0..4_000).map(|_| jitter.exponential(Duration::from_millis(1), group)).sum();
            total.as_secs_f64() / 4.0
        };
        let (one, ten, thousand) = (mean(1), mean(10), mean(1_000));
        assert!((0.55..0.61).contains(&one), "{one}");
        assert!(one < ten && ten < thousand, "{one} {ten} {thousand}");
        assert!((0.85..0.90).contains(&thousand), "{thousand}");
    }
}
