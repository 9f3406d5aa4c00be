//! When each message is due, by the time it was recorded at.

use std::time::Duration;

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// So many times its own speed.
    Times(f64),
    /// As fast as subscribers take it.
    Max,
}

/// `1x`, `2.5x`, `max`.
pub(crate) fn speed(text: &str) -> Result<Speed, String> {
    let wanted = || "write 1x for its own speed, 2x, 0.5x and so on up to 1000x, or max".to_owned();
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text.strip_suffix('x').unwrap_or(text).parse::<f64>().map_err(|_| wanted())?;
    if (0.001..=1_000.0).contains(&times) { Ok(Speed::Times(times)) } else { Err(wanted()) }
}

/// A schedule that begins with the first message.
#[derive(Debug)]
pub(crate) struct Pace {
    speed: Speed,
    /// When the first message was recorded, and when it was played.
    first: Option<(u64, Duration)>,
}

impl Pace {
    pub(crate) const fn new(speed: Speed) -> Self {
        Self { speed, first: None }
    }

    /// When what was recorded at `at` is due, if the first message is at `now`.
    pub(crate) fn due(&mut self, at: u64, now: Duration) -> Duration {
        let Speed::Times(times) = self.speed else { return Duration::ZERO };
        let (first, start) = *self.first.get_or_insert((at, now));
        start + Duration::from_nanos(at.saturating_sub(first)).div_f64(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_times_or_max() {
        assert_eq!(
            (speed("1x"), speed("0.5x"), speed("2")),
            (Ok(Speed::Times(1.0)), Ok(Speed::Times(0.5)), Ok(Speed::Times(2.0)))
        );
        assert_eq!(speed("max"), Ok(Speed::Max));
        assert!(["", "x", "0x", "-1x", "NaNx", "infx", "1001x"].into_iter().all(|text| speed(text).is_err()));
    }

    #[test]
    fn distances_are_kept_or_divided() {
        let (start, ms) = (Duration::from_secs(3), Duration::from_millis);
        let mut double = Pace::new(Speed::Times(2.0));
        assert_eq!(double.due(10_000_000, start), start);
        assert_eq!(double.due(50_000_000, start + ms(1)), start + ms(20));
        // A clock that was set back holds nothing up.
        assert_eq!(double.due(1, start + ms(2)), start);
        assert_eq!(Pace::new(Speed::Max).due(u64::MAX, start), Duration::ZERO);
    }
}
