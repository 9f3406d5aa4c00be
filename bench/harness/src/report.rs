//! The line that a run ends with.

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// Names and figures of whatever a system has to add.
pub type Notes = Map<String, Value>;

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The least.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// Nine in ten are no more.
    pub p90: f64,
    /// 99 in a hundred.
    pub p99: f64,
    /// 999 in a thousand.
    pub p999: f64,
    /// The most.
    pub max: f64,
}

impl Latency {
    /// Of a histogram of nanoseconds; `None` of an empty one.
    #[must_use]
    pub fn of(nanos: &Histogram<u64>) -> Option<Self> {
        if nanos.is_empty() {
            return None;
        }
        let at = |quantile| micros(nanos.value_at_quantile(quantile));
        Some(Self {
            count: nanos.len(),
            min: micros(nanos.min()),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(nanos.max()),
        })
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// What a run came to, printed as one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `pub`, `sub`, `ping` or `echo`.
    pub role: String,
    /// The system's name.
    pub system: String,
    /// Messages published, delivered, or gone round.
    pub messages: u64,
    /// From the first message to the end of `finish`, or to the last delivery.
    pub seconds: f64,
    /// Seconds of processor time in user mode, from `go` or the first message on.
    pub cpu_user: f64,
    /// The same in the kernel.
    pub cpu_system: f64,
    /// Resident bytes at the end.
    pub rss_bytes: u64,
    /// Published and never delivered.
    pub lost: u64,
    /// Delivered again.
    pub duplicates: u64,
    /// Delivered after a later one.
    pub disordered: u64,
    /// Messages sent again.
    pub repaired: u64,
    /// NAKs sent or received.
    pub naks: u64,
    /// One-way from the intended time, or round trips.
    pub latency_us: Option<Latency>,
    /// Whatever else is worth telling.
    pub notes: Notes,
}

impl Report {
    /// The line.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let latency = Latency { count: 2, min: 1.0, p50: 1.0, p90: 2.5, p99: 2.5, p999: 2.5, max: 2.5 };
        Report {
            role: "sub".into(),
            system: "raw-one".into(),
            messages: 3,
            seconds: 0.5,
            cpu_user: 0.25,
            cpu_system: 0.125,
            rss_bytes: 4_096,
            lost: 1,
            duplicates: 2,
            disordered: 3,
            repaired: 4,
            naks: 5,
            latency_us: Some(latency),
            notes: Notes::from_iter([("end".into(), json!("marker"))]),
        }
    }

    #[test]
    fn the_line_is_this_one() {
        assert_eq!(
            report().line(),
            "{\"role\":\"sub\",\"system\":\"raw-one\",\"messages\":3,\"seconds\":0.5,\"cpu_user\":0.25,\
             \"cpu_system\":0.125,\"rss_bytes\":4096,\"lost\":1,\"duplicates\":2,\"disordered\":3,\"repaired\":4,\
             \"naks\":5,\"latency_us\":{\"count\":2,\"min\":1.0,\"p50\":1.0,\"p90\":2.5,\"p99\":2.5,\"p999\":2.5,\
             \"max\":2.5},\"notes\":{\"end\":\"marker\"}}"
        );
    }

    #[test]
    fn the_line_is_read_again() {
        for report in [report(), Report { latency_us: None, ..report() }] {
            assert_eq!(serde_json::from_str::<Report>(&report.line()).unwrap(), report);
        }
    }

    #[test]
    fn latencies_are_microseconds() {
        let mut nanos = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        assert_eq!(Latency::of(&nanos), None);
        for nano in [1_000, 1_000, 2_000, 500_000] {
            nanos.record(nano).unwrap();
        }
        let latency = Latency::of(&nanos).unwrap();
        assert_eq!((latency.count, latency.min, latency.p50), (4, 1.0, 1.0));
        assert!((latency.max - 500.0).abs() < 1.0 && (latency.p99 - 500.0).abs() < 1.0);
    }
}
