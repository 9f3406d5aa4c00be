//! How the values of options are written down and read back.

use core::time::Duration;

use crate::sim::options::Pacing;

/// The longest time that anything may take, so that sums and products of a few stay far below what [`Time`] holds.
///
/// [`Time`]: crate::time::Time
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// A value of an option: how it is written and read.
pub(super) trait Value: Sized {
    fn show(&self) -> String;
    /// Reads what [`Value::show`] wrote, without its quotation marks.
    fn read(text: &str) -> Option<Self>;
}

impl Value for u64 {
    fn show(&self) -> String {
        // An integer of TOML has 63 bits.
        if i64::try_from(*self).is_ok() { self.to_string() } else { format!("\"{self:#x}\"") }
    }

    fn read(text: &str) -> Option<Self> {
        match text.strip_prefix("0x") {
            Some(hex) => Self::from_str_radix(hex, 16).ok(),
            None => text.replace('_', "").parse().ok(),
        }
    }
}

impl Value for f64 {
    fn show(&self) -> String {
        format!("{self:?}")
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite() && *value >= 0.0)
    }
}

impl Value for bool {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for Duration {
    fn show(&self) -> String {
        let nanos = self.as_nanos();
        let (unit, name) =
            UNITS.into_iter().find(|(unit, _)| nanos.is_multiple_of(*unit)).unwrap_or((1, "ns"));
        format!("\"{}{name}\"", nanos / unit)
    }

    fn read(text: &str) -> Option<Self> {
        let at = text.find(|digit: char| !digit.is_ascii_digit())?;
        let (number, name) = text.split_at(at);
        let (unit, _) = UNITS.into_iter().find(|(_, unit)| *unit == name)?;
        let nanos = number.parse::<u64>().ok()?.checked_mul(u64::try_from(unit).ok()?)?;
        Some(Self::from_nanos(nanos)).filter(|value| *value <= LONGEST)
    }
}

const UNITS: [(u128, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];

impl Value for Pacing {
    fn show(&self) -> String {
        let name = match self {
            Self::Free => "free",
            Self::Drop => "drop",
            Self::Block => "block",
        };
        format!("\"{name}\"")
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Free, Self::Drop, Self::Block].into_iter().find(|one| one.show().trim_matches('"') == text)
    }
}
