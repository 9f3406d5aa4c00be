//! Numbers as people write and read them.

use std::time::Duration;

/// A year, so that no deadline can overflow.
const LONGEST_SECONDS: f64 = 31_536_000.0;

/// Bytes: `1500`, `64K`, `64M`, `1G`, also `64MiB` (1,024 each).
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err("write bytes as 1500, 64K, 64M or 1G".to_owned()),
    };
    let number: usize = digits.parse().map_err(|_| "write bytes as 1500, 64K, 64M or 1G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more memory than there can be".to_owned())
}

/// A probability: `5%` or `0.05`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let wanted = || "write a share of datagrams from 0 to 1, or in percent: 0.05 or 5%".to_owned();
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    let share = number.trim().parse::<f64>().map_err(|_| wanted())? / whole;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(wanted()) }
}

/// Percent: `5`, `5%` or `0.5`, from 0 to 100.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    match percent {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("write percent from 0 to 100, such as 5".to_owned()),
    }
}

/// Seconds: `3` or `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    scaled(text, 1.0, "seconds")
}

/// Milliseconds: `100` or `0.5`.
pub(crate) fn millis(text: &str) -> Result<Duration, String> {
    scaled(text, 1e-3, "milliseconds")
}

/// Microseconds: `50`.
pub(crate) fn micros(text: &str) -> Result<Duration, String> {
    scaled(text, 1e-6, "microseconds")
}

/// A time with its unit: `200us`, `5ms`, `1.5s`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wanted = || "write a time with its unit, such as 200us, 5ms or 1s".to_owned();
    let split = text.find(|c: char| c.is_alphabetic()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(wanted()),
    };
    scaled(number.trim_end(), unit, "").map_err(|_| wanted())
}

/// Bits a second: `10000`, `100M`, `1G`, `2.5Gbit` (1,000 each).
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let wanted = || "write bits a second as 64K, 100M or 1G, up to 1000G".to_owned();
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let unit = match suffix.to_ascii_lowercase().trim_end_matches("/s").trim_end_matches("bit") {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        _ => return Err(wanted()),
    };
    let bits = number.trim_end().parse::<f64>().map_err(|_| wanted())? * unit;
    if (1.0..=1e12).contains(&bits) { Ok(bits as u64) } else { Err(wanted()) }
}

/// A seed: `159` or `0x9f`.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    let seed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    seed.map_err(|_| "write a seed as 159 or 0x9f, 64 bits at most".to_owned())
}

fn scaled(text: &str, unit: f64, name: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().map(|number| number * unit);
    let fitting = seconds.filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds));
    let time = fitting.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| format!("write a number of {name} such as 1 or 0.5, a year at most"))
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 message`, `1,234 messages`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// `1536000` as `1.5 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// `1000000000` as `1 Gbit/s`.
pub(crate) fn bits(rate: u64) -> String {
    let units = [(1_000_000_000, "Gbit/s"), (1_000_000, "Mbit/s"), (1_000, "kbit/s")];
    match units.into_iter().find(|(unit, _)| rate >= *unit) {
        Some((unit, name)) => format!("{} {name}", rate as f64 / unit as f64),
        None => format!("{rate} bit/s"),
    }
}

/// A time with three digits or so: `85 µs`, `1.25 ms`, `3.1 s`.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        0.0..1e3 => format!("{micros:.0} µs"),
        1e3..1e4 => format!("{:.2} ms", micros / 1e3),
        1e4..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        assert_eq!(bytes("1500"), Ok(1_500));
        assert_eq!((bytes("64K"), bytes("2MiB"), bytes("1g")), (Ok(65_536), Ok(2 << 20), Ok(1 << 30)));
        assert!(bytes("").is_err() && bytes("-1").is_err() && bytes("1T").is_err());
        assert!(bytes("99999999999999999999").is_err() && bytes("18446744073709551615G").is_err());
        assert_eq!((share("5%"), share("0.05"), share("100%")), (Ok(0.05), Ok(0.05), Ok(1.0)));
        assert!(share("5").is_err() && share("-1%").is_err() && share("NaN").is_err() && share("x").is_err());
        assert_eq!((percent("5"), percent("20%")), (Ok(0.05), Ok(0.2)));
        assert!(percent("101").is_err() && percent("").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(
            (millis("100"), micros("50")),
            (Ok(Duration::from_millis(100)), Ok(Duration::from_micros(50)))
        );
        assert!(seconds("-1").is_err() && seconds("inf").is_err() && seconds("NaN").is_err());
        assert!(seconds("1e300").is_err());
    }

    #[test]
    fn what_people_write_with_units() {
        let spans = ["200us", "5ms", "1s", "0.5 ms", "70ns"].map(|text| span(text).unwrap().as_nanos());
        assert_eq!(spans, [200_000, 5_000_000, 1_000_000_000, 500_000, 70]);
        assert!(["5", "ms", "", "-1s", "5m", "1e300s", "NaNs"].into_iter().all(|text| span(text).is_err()));
        let rates = ["1G", "100M", "2.5Gbit", "64kbit/s", "9600"].map(|text| rate(text).unwrap());
        assert_eq!(rates, [1_000_000_000, 100_000_000, 2_500_000_000, 64_000, 9_600]);
        assert!(["", "0", "1T", "-1M", "2000G", "M"].into_iter().all(|text| rate(text).is_err()));
        assert_eq!((seed("159"), seed("0x9f"), seed("0xffffffffffffffff")), (Ok(159), Ok(159), Ok(u64::MAX)));
        assert!(["", "0x", "-1", "x", "18446744073709551616"].into_iter().all(|text| seed(text).is_err()));
    }

    #[test]
    fn what_people_read() {
        assert_eq!((count(0), count(999), count(1_000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!((counted(1, "NAK"), counted(2_000, "NAK")), ("1 NAK".into(), "2,000 NAKs".into()));
        assert_eq!((size(12), size(1_536_000)), ("12 B".into(), "1.5 MB".into()));
        let read = [85_u64, 1_250, 12_500, 3_100_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!((bits(2_500_000_000), bits(9_600)), ("2.5 Gbit/s".into(), "9.6 kbit/s".into()));
        assert_eq!(read, ["85 µs", "1.25 ms", "12 ms", "3.10 s"]);
    }
}
