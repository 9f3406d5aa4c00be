//! The feature `metrics`: what a recorder of the facade is handed.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

use std::sync::Arc;
use std::sync::Mutex;

use metrics::Counter;
use metrics::CounterFn;
use metrics::Gauge;
use metrics::GaugeFn;
use metrics::Histogram;
use metrics::Key;
use metrics::KeyName;
use metrics::Metadata;
use metrics::Recorder;
use metrics::SharedString;
use metrics::Unit;
use nakcast::Figure;
use nakcast::FigureValue;

/// Writes down what it is told.
#[derive(Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Note(Arc<Mutex<Vec<String>>>, String);

impl Note {
    fn note(&self, value: &str) {
        self.0.lock().unwrap().push(format!("{} {value}", self.1));
    }
}

impl CounterFn for Note {
    fn increment(&self, value: u64) {
        self.note(&format!("+{value}"));
    }

    fn absolute(&self, value: u64) {
        self.note(&format!("={value}"));
    }
}

impl GaugeFn for Note {
    fn increment(&self, value: f64) {
        self.note(&format!("+{value}"));
    }

    fn decrement(&self, value: f64) {
        self.note(&format!("-{value}"));
    }

    fn set(&self, value: f64) {
        self.note(&format!("={value}"));
    }
}

impl Notes {
    fn begin(&self, key: &Key) -> Arc<Note> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Note(Arc::clone(&self.0), format!("{} [{}]", key.name(), labels.join(","))))
    }

    fn describe(&self, key: &KeyName, help: &SharedString) {
        self.0.lock().unwrap().push(format!("{}: {help}", key.as_str()));
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.begin(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.begin(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn figures_reach_the_recorder_under_their_names_and_labels() {
    let figures = [
        Figure { name: "nakcast_a_total", help: "A.", value: FigureValue::Counter(7) },
        Figure { name: "nakcast_b", help: "B.", value: FigureValue::Gauge(0.5) },
    ];
    let notes = Notes::default();
    metrics::with_local_recorder(&notes, || {
        nakcast::record(&figures, &[("session", "1".to_owned())]);
    });
    assert_eq!(
        *notes.0.lock().unwrap(),
        [
            "nakcast_a_total: A.",
            "nakcast_a_total [session=1] =7",
            "nakcast_b: B.",
            "nakcast_b [session=1] =0.5"
        ]
    );
}
