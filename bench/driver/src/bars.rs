//! What must hold, as data: ratios of medians within one table, so that they mean the same on any machine.

use std::fmt;

use crate::figures::Metric;
use crate::figures::Rounds;
use crate::figures::Spread;
use crate::plan::AERON;
use crate::plan::AERON_TUNED;
use crate::plan::Case;
use crate::plan::Crowd;
use crate::plan::FULL;
use crate::plan::LATE;
use crate::plan::MEMORY;
use crate::plan::NAKCAST;
use crate::plan::NAKCAST_DROP;
use crate::plan::NAKCAST_LATE;
use crate::plan::NAKCAST_TCP;
use crate::plan::NAKCAST_WIDE;
use crate::plan::PACED;
use crate::plan::RAW_ONE;
use crate::plan::RAW_RING;
use crate::plan::RAW_SENDMMSG;
use crate::plan::RECOVERY;
use crate::plan::ROUNDTRIP;
use crate::plan::SLOW;
use crate::plan::Scenario;
use crate::plan::Setting;
use crate::plan::System;
use crate::plan::Trains;
use crate::plan::VERIFY;
use crate::plan::Wait;
use crate::plan::ZMQ;
use crate::plan::setting;

/// A promise about figures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) scenario: Scenario,
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    measured: Measured,
}

/// A median of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figure(Metric, Case);

#[derive(Debug, Clone, PartialEq)]
enum Measured {
    /// The product of the first by that of the others.
    Quotient(Vec<Figure>, Vec<Figure>),
    /// What a feed of ours has lost in any round of the scenario.
    EverLost(Scenario),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    Between(f64, f64),
    /// It only helps to understand the others.
    Nothing,
}

impl Bar {
    /// `None` if something that it needs was not measured.
    pub(crate) fn measure(&self, all: &[Rounds]) -> Option<f64> {
        match &self.measured {
            Measured::Quotient(over, under) => Some(product(all, over)? / product(all, under)?),
            Measured::EverLost(scenario) => ever_lost(all, *scenario),
        }
    }
}

fn product(all: &[Rounds], figures: &[Figure]) -> Option<f64> {
    figures.iter().map(|Figure(metric, case)| Some(spread_of(all, *metric, case)?.median)).product()
}

fn spread_of(all: &[Rounds], metric: Metric, case: &Case) -> Option<Spread> {
    all.iter().find(|rounds| rounds.case == *case)?.spread(metric)
}

fn ever_lost(all: &[Rounds], scenario: Scenario) -> Option<f64> {
    let ours =
        all.iter().filter(|rounds| rounds.case.setting.scenario == scenario && !rounds.case.may_lose());
    let most = ours.filter_map(|rounds| rounds.spread(Metric::Lost)).map(|spread| spread.most);
    most.reduce(f64::max)
}

impl Wanted {
    pub(crate) fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
            Self::Between(least, most) => (least..=most).contains(&measured),
            Self::Nothing => true,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::Nothing => f.write_str("–"),
        }
    }
}

/// All of them, in the order of the plan.
pub(crate) fn all() -> Vec<Bar> {
    let mut bars: Vec<Bar> = [32, 100].into_iter().flat_map(small_messages).collect();
    bars.extend(large_messages());
    bars.extend(
        [32, 100].into_iter().flat_map(|bytes| [over_tcp(bytes, Wait::Spin), over_tcp(bytes, Wait::Block)]),
    );
    bars.extend(recovery());
    bars.extend([(100, "1 %", 200.0, 3.0), (500, "5 %", 500.0, 8.0)].into_iter().flat_map(paced));
    let paced_aeron = |system| Figure(Metric::P99, Case { system, setting: lossy(PACED, 100) });
    bars.push(ratio(
        "paced, 1 % loss: p99 / tuned Aeron's",
        Wanted::AtMost(0.05),
        [paced_aeron(NAKCAST), paced_aeron(AERON_TUNED)],
    ));
    bars.extend([Wait::Spin, Wait::Block].into_iter().flat_map(round_trips));
    bars.extend(cost());
    bars.push(crowd());
    bars.extend(memory());
    bars.extend(slow());
    bars.push(verified());
    bars.push(late());
    let lossless = Scenario::ALL.into_iter().filter(|scenario| *scenario != Scenario::Slow);
    bars.extend(lossless.map(|scenario| Bar {
        scenario,
        name: format!("{scenario}: lost after recovery, in any round"),
        wanted: Wanted::AtMost(0.0),
        measured: Measured::EverLost(scenario),
    }));
    bars.sort_by_key(|bar| bar.scenario);
    bars
}

fn ratio(name: impl Into<String>, wanted: Wanted, [over, under]: [Figure; 2]) -> Bar {
    quotient(name, wanted, &[over], &[under])
}

fn plain(name: impl Into<String>, wanted: Wanted, figure: Figure) -> Bar {
    quotient(name, wanted, &[figure], &[])
}

fn quotient(name: impl Into<String>, wanted: Wanted, over: &[Figure], under: &[Figure]) -> Bar {
    let scenario = over[0].1.setting.scenario;
    Bar { scenario, name: name.into(), wanted, measured: Measured::Quotient(over.into(), under.into()) }
}

/// What a system delivers of messages of a size without loss.
fn delivered(system: System, bytes: u32, trains: Trains) -> Figure {
    Figure(Metric::Delivered, Case { system, setting: Setting { bytes, trains, ..FULL } })
}

/// Those without trains are compared with every kind of them.
fn small_messages(bytes: u32) -> [Bar; 5] {
    let aeron = delivered(AERON, bytes, Trains::Off);
    let bar = |trains: Trains, against: Figure, least: f64| {
        let name = format!("{bytes} B, {trains}: / {}", against.1.system.label);
        ratio(name, Wanted::AtLeast(least), [delivered(NAKCAST, bytes, trains), against])
    };
    [
        bar(Trains::Off, delivered(RAW_SENDMMSG, bytes, Trains::Off), 0.85),
        bar(Trains::Off, aeron, 1.6),
        bar(Trains::Cut, aeron, 4.0),
        bar(Trains::Whole, aeron, 10.0),
        bar(Trains::Whole, delivered(RAW_RING, bytes, Trains::Whole), 0.75),
    ]
}

/// Over a connection each, whole trains as the kernel makes them.
fn over_tcp(bytes: u32, wait: Wait) -> Bar {
    let setting = Setting { bytes, wait, trains: Trains::Whole, ..setting(Scenario::Tcp) };
    let figures = [NAKCAST_TCP, ZMQ].map(|system| Figure(Metric::Delivered, Case { system, setting }));
    ratio(format!("{bytes} B, {wait}, over TCP: / zmq"), Wanted::AtLeast(3.0), figures)
}

fn large_messages() -> [Bar; 2] {
    let bar = |trains: Trains, peer: System, least| {
        let name = format!("1024 B, {trains}: / {}", peer.label);
        let figures = [delivered(NAKCAST, 1024, trains), delivered(peer, 1024, Trains::Off)];
        ratio(name, Wanted::AtLeast(least), figures)
    };
    [bar(Trains::Whole, ZMQ, 3.0), bar(Trains::Cut, AERON, 2.5)]
}

const fn lossy(setting: Setting, loss: u32) -> Setting {
    Setting { loss, ..setting }
}

fn recovery() -> [Bar; 7] {
    let figure = |metric, system, loss| Figure(metric, Case { system, setting: lossy(RECOVERY, loss) });
    let rate = |system, loss| figure(Metric::Delivered, system, loss);
    let least = |name, least, figures| ratio(name, Wanted::AtLeast(least), figures);
    let repairs = |loss| figure(Metric::RepairsPerLost, NAKCAST, loss);
    [
        least("no loss, cut: / aeron", 4.0, [rate(NAKCAST, 0), rate(AERON, 0)]),
        least("1 % loss, cut: / our own without loss", 0.85, [rate(NAKCAST, 100), rate(NAKCAST, 0)]),
        least("5 % loss, cut: / our own without loss", 0.7, [rate(NAKCAST, 500), rate(NAKCAST, 0)]),
        least("1 % loss, cut: / aeron, tuned", 4.0, [rate(NAKCAST, 100), rate(AERON_TUNED, 100)]),
        least("1 % loss, cut: / aeron", 25.0, [rate(NAKCAST, 100), rate(AERON, 100)]),
        plain("1 % loss, cut: repairs sent / lost", Wanted::AtMost(1.3), repairs(100)),
        plain("5 % loss, cut: repairs sent / lost", Wanted::AtMost(1.3), repairs(500)),
    ]
}

/// Microseconds hold on a quiet machine only; the ratio always.
fn paced((loss, percent, micros, times): (u32, &str, f64, f64)) -> [Bar; 2] {
    let ours = Figure(Metric::P99, Case { system: NAKCAST, setting: lossy(PACED, loss) });
    let control = Figure(Metric::P99, Case { system: RAW_ONE, setting: PACED });
    [
        plain(format!("paced, {percent} loss: p99, µs, quiet machine"), Wanted::AtMost(micros), ours),
        ratio(
            format!("paced, {percent} loss: p99 / raw-one without loss"),
            Wanted::AtMost(times),
            [ours, control],
        ),
    ]
}

fn round_trips(wait: Wait) -> Vec<Bar> {
    let trip = |metric, system| Figure(metric, Case { system, setting: Setting { wait, ..ROUNDTRIP } });
    let against = |metric, system: System, most| {
        let p = if metric == Metric::P50 { "p50" } else { "p99" };
        let name = format!("round trip, {wait}: {p} / {}", system.label);
        ratio(name, Wanted::AtMost(most), [trip(metric, NAKCAST), trip(metric, system)])
    };
    let mut bars = vec![against(Metric::P50, RAW_ONE, 1.15), against(Metric::P99, RAW_ONE, 1.5)];
    if wait == Wait::Spin {
        bars.push(against(Metric::P50, AERON, 1.0));
    }
    bars
}

fn cost() -> [Bar; 2] {
    let setting = Setting { wait: Wait::Block, ..setting(Scenario::Cpu) };
    let bar = |name, metric, most| {
        let figures = [NAKCAST, RAW_RING].map(|system| Figure(metric, Case { system, setting }));
        ratio(name, Wanted::AtMost(most), figures)
    };
    [
        bar("CPU of the publisher / raw-ring's", Metric::PublisherCpu, 1.15),
        bar("CPU of a blocking subscriber / raw-ring's", Metric::SubscriberCpu, 1.3),
    ]
}

fn crowd() -> Bar {
    let cpu = |system, fast| {
        let crowd = Crowd { fast, slow: 0, late: 0 };
        let setting = Setting { wait: Wait::Block, crowd, ..setting(Scenario::Fanout) };
        Figure(Metric::PublisherCpu, Case { system, setting })
    };
    quotient(
        "CPU of the publisher, 16 subscribers / 1, over raw-ring's",
        Wanted::AtMost(1.05),
        &[cpu(NAKCAST_WIDE, 16), cpu(RAW_RING, 1)],
        &[cpu(NAKCAST_WIDE, 1), cpu(RAW_RING, 16)],
    )
}

fn memory() -> [Bar; 4] {
    let bar = |name: &str, wanted, figures: [Metric; 2]| {
        let case = Case { system: NAKCAST, setting: lossy(MEMORY, 100) };
        ratio(format!("memory of the {name}"), wanted, figures.map(|metric| Figure(metric, case)))
    };
    let equal = Wanted::Between(0.98, 1.02);
    [
        bar("publisher, end / early", equal, [Metric::PublisherLate, Metric::PublisherEarly]),
        bar("subscriber, end / early", equal, [Metric::SubscriberLate, Metric::SubscriberEarly]),
        bar(
            "publisher, taken / as configured",
            Wanted::Between(0.95, 1.05),
            [Metric::PublisherTaken, Metric::PublisherConfigured],
        ),
        bar(
            "subscriber, taken / at most as configured",
            Wanted::AtMost(1.0),
            [Metric::SubscriberTaken, Metric::SubscriberConfigured],
        ),
    ]
}

fn slow() -> [Bar; 4] {
    let published = |system, fast, slow| {
        let crowd = Crowd { fast, slow, late: 0 };
        let setting = Setting { wait: Wait::Block, crowd, ..SLOW };
        Figure(Metric::Published, Case { system, setting })
    };
    let ours = |fast, slow| published(NAKCAST_DROP, fast, slow);
    let raw = |fast, slow| published(RAW_RING, fast, slow);
    let least = Wanted::AtLeast(0.95);
    [
        ratio("drop: published beside a slow one / without it", least, [ours(1, 1), ours(1, 0)]),
        ratio("raw-ring: published beside a slow one / without it", Wanted::Nothing, [raw(1, 1), raw(1, 0)]),
        quotient(
            "drop: published beside a slow one / without it, over raw-ring's",
            least,
            &[ours(1, 1), raw(1, 0)],
            &[ours(1, 0), raw(1, 1)],
        ),
        ratio("drop: published beside a slow one / beside a fast one", least, [ours(1, 1), ours(2, 0)]),
    ]
}

/// Nobody got anything but what was published.
fn verified() -> Bar {
    let crowd = Crowd { fast: 4, slow: 0, late: 0 };
    let case = Case { system: NAKCAST_TCP, setting: Setting { wait: Wait::Block, crowd, ..VERIFY } };
    let name = "10 million over TCP to 4 subscribers: those that got anything else";
    plain(name, Wanted::AtMost(0.0), Figure(Metric::Different, case))
}

fn late() -> Bar {
    let p99 = |late| {
        let setting = Setting { wait: Wait::Block, crowd: Crowd { fast: 1, slow: 0, late }, ..LATE };
        Figure(Metric::P99, Case { system: NAKCAST_LATE, setting })
    };
    ratio(
        "a gigabyte a minute: p99 beside three late joiners / without",
        Wanted::AtMost(1.5),
        [p99(3), p99(0)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::rounds;
    use crate::plan::cases;

    #[test]
    fn every_figure_of_every_bar_is_in_the_plan() {
        let planned: Vec<Case> = Scenario::ALL.into_iter().flat_map(cases).collect();
        for bar in all() {
            let figures = match bar.measured {
                Measured::Quotient(over, under) => [over, under].concat(),
                Measured::EverLost(_) => Vec::new(),
            };
            for figure in figures {
                assert!(planned.contains(&figure.1), "{}: {:?}", bar.name, figure.1);
            }
        }
    }

    #[test]
    fn names_are_told_apart() {
        let bars = all();
        for (index, bar) in bars.iter().enumerate() {
            assert!(bars[..index].iter().all(|other| other.name != bar.name), "{}", bar.name);
        }
    }

    fn named(name: &str) -> Bar {
        all().into_iter().find(|bar| bar.name == name).unwrap()
    }

    #[test]
    fn a_ratio_of_medians() {
        let case = |system| Case { system, setting: setting(Scenario::Throughput) };
        let ours = rounds(case(NAKCAST), &[8_000_000, 9_000_000, 1_000_000]);
        let bar = named("32 B, no GSO: / raw-sendmmsg");
        assert_eq!(bar.measure(std::slice::from_ref(&ours)), None);
        let raw = rounds(case(RAW_SENDMMSG), &[10_000_000]);
        assert_eq!(bar.measure(&[ours, raw]), Some(0.8));
        assert!(!bar.wanted.holds(0.8) && bar.wanted.holds(0.85));
        assert_eq!(bar.wanted.to_string(), "≥ 0.85");
    }

    #[test]
    fn growth_beyond_that_of_raw() {
        let case = |system, fast| {
            let crowd = Crowd { fast, slow: 0, late: 0 };
            Case { system, setting: Setting { wait: Wait::Block, crowd, ..setting(Scenario::Fanout) } }
        };
        let runs = [(NAKCAST_WIDE, 1, 4), (NAKCAST_WIDE, 16, 1), (RAW_RING, 1, 4), (RAW_RING, 16, 2)];
        let all: Vec<Rounds> =
            runs.map(|(system, fast, millions)| rounds(case(system, fast), &[millions * 1_000_000])).into();
        let bar = named("CPU of the publisher, 16 subscribers / 1, over raw-ring's");
        assert_eq!(bar.measure(&all), Some(2.0));
    }

    #[test]
    fn nothing_lost_is_about_the_worst_round() {
        let case = Case { system: NAKCAST, setting: setting(Scenario::Throughput) };
        let mut ours = rounds(case, &[1_000, 1_000, 1_000]);
        ours.runs[1].subscribers[0].lost = 5;
        let bar = named("throughput: lost after recovery, in any round");
        assert_eq!(bar.measure(&[ours]), Some(5.0));
        assert!(!bar.wanted.holds(5.0) && bar.wanted.holds(0.0));
    }
}
