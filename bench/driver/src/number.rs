//! Numbers as they stand in tables.

use crate::figures::Spread;

/// Three digits that count; whole numbers whole, with commas between thousands.
pub(crate) fn brief(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1_000.0 {
        return thousands(value.round() as i64);
    }
    // One that is as small as this is told as such.
    let magnitude = value.abs().log10().floor().max(-4.0) as i32;
    let digits = (2 - magnitude).max(0) as usize;
    format!("{value:.digits$}")
}

/// The median, and in brackets the ends where they are others.
pub(crate) fn spread(spread: Spread) -> String {
    let Spread { median, least, most } = spread;
    if least == most {
        return brief(median);
    }
    format!("{} ({} to {})", brief(median), brief(least), brief(most))
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_that_count() {
        let all = [0.0, 7.0, 0.001234, 0.1234, 1.2345, 48.66, 123.4, 12_345.6, 1_234_567.0, -1_000.0];
        let told = ["0", "7", "0.00123", "0.123", "1.23", "48.7", "123", "12,346", "1,234,567", "-1,000"];
        assert_eq!(all.map(brief), told);
        assert_eq!(brief(0.000_000_1), "0.000000");
    }

    #[test]
    fn a_spread() {
        let figures = Spread { median: 7.0, least: 6.5, most: 7.25 };
        assert_eq!(spread(figures), "7 (6.50 to 7.25)");
        assert_eq!(spread(Spread { median: 3.0, least: 3.0, most: 3.0 }), "3");
    }
}
