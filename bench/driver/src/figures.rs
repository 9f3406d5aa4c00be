//! Figures of runs, and what several rounds of the same come to.

use harness::Latency;
use harness::Report;

use crate::outcome;
use crate::outcome::Memory;
use crate::plan::Case;
use crate::plan::Load;
use crate::run::Run;

/// Something that every run has a figure of, or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Millions of messages delivered a second, to the slowest of those that should keep up.
    Delivered,
    /// Millions of messages published a second.
    Published,
    /// Messages never delivered, at all subscribers that should keep up.
    Lost,
    /// The same at those that cannot.
    SlowLost,
    /// Subscribers that got anything but what was published.
    Different,
    /// Processor seconds of the publisher for a million messages.
    PublisherCpu,
    /// The same of the first subscriber.
    SubscriberCpu,
    P50,
    P99,
    P999,
    /// Packets that the cable has lost.
    Dropped,
    /// Datagrams sent again for each packet that the cable has lost.
    RepairsPerLost,
    /// The publisher's memory after a minute (sooner in short runs), in MiB.
    PublisherEarly,
    /// At the end.
    PublisherLate,
    SubscriberEarly,
    SubscriberLate,
    /// What the publisher has allocated at the end beyond what it had before it opened anything, in MiB.
    PublisherTaken,
    /// What its configuration says that it takes.
    PublisherConfigured,
    SubscriberTaken,
    /// The most that its configuration says it takes.
    SubscriberConfigured,
}

/// The middle and the ends of several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// All rounds of one case.
#[derive(Debug, Clone)]
pub(crate) struct Rounds {
    pub(crate) case: Case,
    pub(crate) runs: Vec<Run>,
    /// Why the other rounds have no run.
    pub(crate) failures: Vec<String>,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[half]
        } else {
            f64::midpoint(figures[half - 1], figures[half])
        };
        Some(Self { median, least, most })
    }
}

impl Rounds {
    pub(crate) fn new(case: Case) -> Self {
        Self { case, runs: Vec::new(), failures: Vec::new() }
    }

    pub(crate) fn spread(&self, metric: Metric) -> Option<Spread> {
        let figures = self.runs.iter().map(|run| metric.of(&self.case, run));
        Spread::of(figures.collect::<Option<Vec<f64>>>()?)
    }

    /// The rounds in which a program failed, or ours has lost what it must not.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let lost = self
            .runs
            .iter()
            .map(|run| lost(run.subscribers.iter(), run))
            .filter(|lost| *lost > 0 && !self.case.may_lose());
        let lost = lost.map(|lost| format!("{lost} messages lost"));
        let different = self.runs.iter().filter_map(different).filter(|count| *count > 0.0);
        let different = different.map(|count| format!("{count} subscribers got something else"));
        let (system, setting) = (self.case.system.label, self.case.setting);
        let troubles = self.failures.iter().cloned().chain(lost).chain(different);
        troubles.map(|trouble| format!("{}, {setting}, {system}: {trouble}", setting.scenario)).collect()
    }
}

impl Metric {
    /// What a column of it is called.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Delivered => "delivered, M/s",
            Self::Published => "published, M/s",
            Self::Lost => "lost",
            Self::SlowLost => "lost by the slow",
            Self::Different => "subscribers that got anything else",
            Self::PublisherCpu => "publisher, CPU s/M",
            Self::SubscriberCpu => "subscriber, CPU s/M",
            Self::P50 => "p50, µs",
            Self::P99 => "p99, µs",
            Self::P999 => "p99.9, µs",
            Self::Dropped => "packets dropped",
            Self::RepairsPerLost => "repairs / dropped",
            Self::PublisherEarly => "publisher early, MiB",
            Self::PublisherLate => "publisher at the end, MiB",
            Self::SubscriberEarly => "subscriber early, MiB",
            Self::SubscriberLate => "subscriber at the end, MiB",
            Self::PublisherTaken => "publisher has taken, MiB",
            Self::PublisherConfigured => "as configured, MiB",
            Self::SubscriberTaken => "subscriber has taken, MiB",
            Self::SubscriberConfigured => "at most, MiB",
        }
    }

    /// `None` where the run has no such figure.
    pub(crate) fn of(self, case: &Case, run: &Run) -> Option<f64> {
        let figure = match self {
            Self::Delivered => delivered(case, run)?,
            Self::Published => run.publisher.messages as f64 / run.asked_seconds / 1e6,
            Self::Lost => lost(split(case, run).0, run) as f64,
            Self::SlowLost => lost(split(case, run).1, run) as f64,
            Self::Different => different(run)?,
            Self::PublisherCpu => outcome::cpu_per_million(&run.publisher),
            Self::SubscriberCpu => outcome::cpu_per_million(run.subscribers.first()?),
            Self::P50 => latency(run)?.p50,
            Self::P99 => latency(run)?.p99,
            Self::P999 => latency(run)?.p999,
            Self::Dropped => run.dropped as f64,
            Self::RepairsPerLost => repairs_per_lost(case, run)?,
            Self::PublisherEarly => mebibytes(early(&run.publisher_memory)?),
            Self::PublisherLate => mebibytes(*run.publisher_memory.last()?),
            Self::SubscriberEarly => mebibytes(early(&run.subscriber_memory)?),
            Self::SubscriberLate => mebibytes(*run.subscriber_memory.last()?),
            Self::PublisherTaken => taken(&run.publisher_memory)?,
            Self::PublisherConfigured => configured(&run.publisher)?,
            Self::SubscriberTaken => taken(&run.subscriber_memory)?,
            Self::SubscriberConfigured => configured(run.subscribers.first()?)?,
        };
        figure.is_finite().then_some(figure)
    }
}

fn delivered(case: &Case, run: &Run) -> Option<f64> {
    if case.setting.load == Load::RoundTrips {
        return Some(outcome::rate(&run.publisher) / 1e6);
    }
    let keeping_up = run.subscribers.iter().take(fast(case));
    keeping_up.map(|report| outcome::rate(report) / 1e6).min_by(f64::total_cmp)
}

/// Whoever pings knows what was lost on the way; otherwise the subscribers do.
fn lost<'a>(subscribers: impl Iterator<Item = &'a Report>, run: &Run) -> u64 {
    run.publisher.lost + subscribers.map(|report| report.lost).sum::<u64>()
}

/// How many subscribers' sums over everything are not the publisher's, or found a message to be wrong.
fn different(run: &Run) -> Option<f64> {
    let sum = outcome::note(&run.publisher, "sum")?;
    let is_same = |report: &&Report| {
        outcome::note(report, "sum") == Some(sum) && outcome::note(report, "wrong") == Some(0.0)
    };
    Some((run.subscribers.len() - run.subscribers.iter().filter(is_same).count()) as f64)
}

/// The subscribers that should get everything, and those that cannot.
fn split<'a>(
    case: &Case,
    run: &'a Run,
) -> (impl Iterator<Item = &'a Report>, impl Iterator<Item = &'a Report>) {
    let slow = fast(case)..fast(case) + case.setting.crowd.slow as usize;
    let reports = run.subscribers.iter().enumerate();
    let others = reports.clone().filter(|(number, _)| !slow.contains(number)).map(|(_, report)| report);
    (others.collect::<Vec<_>>().into_iter(), run.subscribers.get(slow).unwrap_or_default().iter())
}

/// How many subscribers should keep up.
fn fast(case: &Case) -> usize {
    case.setting.crowd.fast as usize
}

fn latency(run: &Run) -> Option<Latency> {
    run.publisher.latency_us.or(run.subscribers.first()?.latency_us)
}

/// Where the system does not tell its repairs in datagrams, there is no figure. One sending may be a train of several,
/// so that bytes count where they come to more.
fn repairs_per_lost(case: &Case, run: &Run) -> Option<f64> {
    let note = |name| outcome::note(&run.publisher, name);
    let sendings = note("repaired_datagrams")?;
    let by_bytes = || Some(note("repaired_bytes")? * note("datagrams")? / note("datagram_bytes")?);
    let repairs = by_bytes().map_or(sendings, |datagrams| datagrams.max(sendings));
    (case.setting.loss > 0).then(|| repairs / run.dropped as f64)
}

/// The first after a minute, if that is not the last; otherwise the second that was taken on the way, once everything was
/// in use. The very first is from before anything was opened.
fn early(memory: &[Memory]) -> Option<Memory> {
    let (_, before) = memory.split_last()?;
    before.iter().find(|sample| sample.at_seconds >= 60.0).or(memory.get(2)).copied()
}

/// MiB allocated between the first sample and the last.
fn taken(memory: &[Memory]) -> Option<f64> {
    let grown = memory.last()?.anonymous_bytes.saturating_sub(memory.first()?.anonymous_bytes);
    Some(grown as f64 / f64::from(1 << 20))
}

/// MiB that the program itself says its settings come to.
fn configured(report: &Report) -> Option<f64> {
    Some(outcome::note(report, "configured_bytes")? / f64::from(1 << 20))
}

fn mebibytes(memory: Memory) -> f64 {
    memory.rss_bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
pub(crate) mod tests {
    use harness::Notes;
    use serde_json::json;

    use super::*;
    use crate::plan::NAKCAST;
    use crate::plan::Scenario;
    use crate::plan::Setting;
    use crate::plan::setting;

    pub(crate) fn report(messages: u64, seconds: f64) -> Report {
        Report {
            role: "sub".into(),
            system: "nakcast".into(),
            messages,
            seconds,
            cpu_user: 0.25,
            cpu_system: 0.25,
            rss_bytes: 0,
            lost: 0,
            duplicates: 0,
            disordered: 0,
            repaired: 0,
            naks: 0,
            latency_us: None,
            notes: Notes::new(),
        }
    }

    pub(crate) fn run(messages: u64) -> Run {
        Run {
            busy: false,
            dropped: 0,
            asked_seconds: 1.0,
            publisher: report(messages, 1.5),
            subscribers: vec![report(messages, 2.0)],
            publisher_memory: Vec::new(),
            subscriber_memory: Vec::new(),
        }
    }

    pub(crate) fn rounds(case: Case, messages: &[u64]) -> Rounds {
        let runs = messages.iter().map(|messages| run(*messages)).collect();
        Rounds { case, runs, failures: Vec::new() }
    }

    const CASE: Case = Case { system: NAKCAST, setting: setting(Scenario::Throughput) };

    #[test]
    fn medians() {
        let spread = |figures: &[f64]| Spread::of(figures.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, most: 9.0 }));
    }

    #[test]
    fn rates_and_cost() {
        let rounds = rounds(CASE, &[4_000_000, 2_000_000, 8_000_000]);
        let median = |metric| rounds.spread(metric).map(|spread| spread.median);
        assert_eq!(median(Metric::Delivered), Some(2.0));
        assert_eq!(median(Metric::Published), Some(4.0));
        assert_eq!(median(Metric::PublisherCpu), Some(0.125));
        assert_eq!((median(Metric::P50), median(Metric::RepairsPerLost)), (None, None));
    }

    #[test]
    fn repairs_for_each_datagram_lost() {
        let mut run = run(1_000);
        run.dropped = 100;
        run.publisher.notes.insert("repaired_datagrams".into(), json!(120));
        let lossy = Case { setting: Setting { loss: 100, ..CASE.setting }, ..CASE };
        assert_eq!(Metric::RepairsPerLost.of(&lossy, &run), Some(1.2));
        assert_eq!(Metric::RepairsPerLost.of(&CASE, &run), None);
        for (name, value) in
            [("repaired_bytes", 182_000), ("datagrams", 1_000), ("datagram_bytes", 1_400_000)]
        {
            run.publisher.notes.insert(name.into(), json!(value));
        }
        assert_eq!(Metric::RepairsPerLost.of(&lossy, &run), Some(1.3));
    }

    #[test]
    fn the_slow_do_not_count_as_slow_delivery() {
        let mut run = run(4_000_000);
        run.subscribers.push(report(1_000, 2.0));
        assert_eq!(Metric::Delivered.of(&CASE, &run), Some(2.0));
    }

    #[test]
    fn memory_after_a_minute_and_at_the_end() {
        let bytes = |mebibytes: u32| u64::from(mebibytes) << 20;
        let sample =
            |at: u32| Memory { rss_bytes: bytes(at), anonymous_bytes: bytes(at / 2), at_seconds: at.into() };
        let long: Vec<Memory> = (0..=60).map(|index| sample(index * 10)).collect();
        assert_eq!(early(&long), Some(sample(60)));
        assert_eq!(early(&long[..7]), Some(sample(20)));
        assert_eq!(early(&[]), None);
        assert_eq!((taken(&long[2..]), taken(&[])), (Some(290.0), None));
    }

    #[test]
    fn troubles_are_losses_of_ours_and_failures() {
        let mut rounds = rounds(CASE, &[1_000]);
        assert!(rounds.troubles().is_empty());
        rounds.runs[0].subscribers[0].lost = 3;
        rounds.failures.push("not done in time".to_owned());
        let throughput = "throughput, 32 B, no GSO, nakcast: ";
        let wanted = ["not done in time", "3 messages lost"].map(|trouble| format!("{throughput}{trouble}"));
        assert_eq!(rounds.troubles(), wanted);
    }
}
