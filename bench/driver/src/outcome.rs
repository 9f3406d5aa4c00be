//! What a program says on its standard output: `ready`, samples of its memory, and at the end what came of it.

use harness::Report;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// A line of a program.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    Ready,
    Memory(Memory),
    Report(Box<Report>),
}

/// How much memory a process had at a time of its run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) rss_bytes: u64,
    /// Of these, what is no file's: allocated and touched.
    pub(crate) anonymous_bytes: u64,
    pub(crate) at_seconds: f64,
}

impl Line {
    /// # Errors
    /// What is wrong with a line that is none of these.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "ready" {
            return Ok(Self::Ready);
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("not a line of a program: {text:?}: {error}"))?;
        let parsed = if value.get("role").is_some() {
            serde_json::from_value(value).map(|report| Self::Report(Box::new(report)))
        } else {
            serde_json::from_value(value).map(Self::Memory)
        };
        parsed.map_err(|error| format!("not a line of a program: {text:?}: {error}"))
    }
}

/// Messages a second.
pub(crate) fn rate(report: &Report) -> f64 {
    report.messages as f64 / report.seconds
}

/// Processor seconds for a million messages.
pub(crate) fn cpu_per_million(report: &Report) -> f64 {
    (report.cpu_user + report.cpu_system) * 1e6 / report.messages as f64
}

/// A number among the notes.
pub(crate) fn note(report: &Report, name: &str) -> Option<f64> {
    report.notes.get(name).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIBER: &str = r#"{"role":"sub","system":"nakcast","messages":3000000,"seconds":1.5,
        "cpu_user":0.2,"cpu_system":0.1,"rss_bytes":4096,"lost":2,"duplicates":0,"disordered":0,"repaired":7,
        "naks":3,"latency_us":{"count":5,"min":1,"p50":7.5,"p90":8,"p99":9,"p999":10,"max":11},
        "notes":{"repaired_datagrams":12,"gso":"on"},"added_later":1}"#;

    #[test]
    fn a_report() {
        let Ok(Line::Report(report)) = Line::parse(SUBSCRIBER) else { panic!("a report") };
        assert_eq!(rate(&report), 2e6);
        assert!((cpu_per_million(&report) - 0.1).abs() < 1e-9);
        assert_eq!((report.lost, report.repaired, report.naks), (2, 7, 3));
        assert_eq!(report.latency_us.map(|latency| latency.p50), Some(7.5));
        assert_eq!(note(&report, "repaired_datagrams"), Some(12.0));
        assert_eq!((note(&report, "gso"), note(&report, "none")), (None, None));
    }

    #[test]
    fn ready_and_memory() {
        assert_eq!(Line::parse("ready"), Ok(Line::Ready));
        let memory = Memory { rss_bytes: 9, anonymous_bytes: 8, at_seconds: 10.5 };
        assert_eq!(
            Line::parse(r#"{"rss_bytes":9,"anonymous_bytes":8,"at_seconds":10.5}"#),
            Ok(Line::Memory(memory))
        );
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in ["", "go", "{}", "[1]", r#"{"role":7}"#] {
            assert!(Line::parse(text).is_err_and(|error| error.contains("not a line")), "{text}");
        }
    }
}
