//! How the demo gets on: a table that moves on a terminal, a line a second elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::say::say;
use crate::units;

const LINE_EVERY: Duration = Duration::from_secs(1);

/// What one subscriber shows while it runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) repaired: AtomicU64,
    pub(crate) naks: AtomicU64,
    /// The median from NAK to repair.
    pub(crate) repair_us: AtomicU64,
}

/// The view of a running demo.
#[derive(Debug)]
pub(crate) struct Live {
    published: AtomicU64,
    counters: Vec<Counters>,
    seconds: Duration,
    view: View,
}

#[derive(Debug)]
enum View {
    Table { bars: Vec<ProgressBar>, head: ProgressBar },
    Lines { next: AtomicU64 },
}

impl Live {
    /// A table if `wanted` and stderr is a terminal.
    pub(crate) fn new(wanted: bool, seconds: Duration, subscribers: usize) -> Self {
        let counters = (0..subscribers).map(|_| Counters::default()).collect();
        let is_table = wanted && std::io::stderr().is_terminal();
        let view = is_table.then(|| table(seconds, subscribers)).flatten();
        let view = view.unwrap_or(View::Lines { next: AtomicU64::new(1) });
        Self { published: AtomicU64::new(0), counters, seconds, view }
    }

    pub(crate) fn source(&self) -> &AtomicU64 {
        &self.published
    }

    pub(crate) fn counters(&self, number: usize) -> &Counters {
        &self.counters[number]
    }

    /// Shows where things are, `now` after the start.
    pub(crate) fn show(&self, now: Duration) {
        let published = self.published.load(Ordering::Relaxed);
        match &self.view {
            View::Table { bars, head } => {
                head.set_position(u64::try_from(now.min(self.seconds).as_millis()).unwrap_or(u64::MAX));
                head.set_message(format!("published {}", units::count(published)));
                for (bar, counters) in bars.iter().zip(&self.counters) {
                    bar.set_message(line(counters));
                    bar.tick();
                }
            }
            View::Lines { next } => {
                let due = LINE_EVERY * u32::try_from(next.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
                if now >= due {
                    next.store(now.as_secs() + 1, Ordering::Relaxed);
                    say(format_args!(
                        "{} s: published {}, {}",
                        now.as_secs(),
                        units::count(published),
                        self.sums()
                    ));
                }
            }
        }
    }

    /// All subscribers together.
    fn sums(&self) -> String {
        let sum = |of: fn(&Counters) -> &AtomicU64| {
            units::count(self.counters.iter().map(|counters| of(counters).load(Ordering::Relaxed)).sum())
        };
        let [delivered, repaired, lost] =
            [sum(|one| &one.delivered), sum(|one| &one.repaired), sum(|one| &one.lost)];
        format!("subscribers together: delivered {delivered}, repaired {repaired}, lost {lost}")
    }

    pub(crate) fn clear(&self) {
        if let View::Table { bars, head } = &self.view {
            bars.iter().chain([head]).for_each(ProgressBar::finish_and_clear);
        }
    }
}

fn table(seconds: Duration, subscribers: usize) -> Option<View> {
    let screen = MultiProgress::new();
    let length = u64::try_from(seconds.as_millis()).unwrap_or(u64::MAX);
    let head = screen.add(ProgressBar::new(length));
    head.set_style(ProgressStyle::with_template("{bar:30} {msg}").ok()?);
    let style = ProgressStyle::with_template("  {prefix:>2} {msg}").ok()?;
    let bars = (1..=subscribers).map(|number| {
        let bar = screen.add(ProgressBar::no_length().with_style(style.clone()));
        bar.set_prefix(number.to_string());
        bar
    });
    Some(View::Table { bars: bars.collect(), head })
}

fn line(counters: &Counters) -> String {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "delivered {:>12}  repaired {:>10}  lost {:>6}  NAKs {:>9}  repair p50 {:>8}",
        units::count(load(&counters.delivered)),
        units::count(load(&counters.repaired)),
        units::count(load(&counters.lost)),
        units::count(load(&counters.naks)),
        units::time(Duration::from_micros(load(&counters.repair_us))),
    )
}
