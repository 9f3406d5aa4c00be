//! What is run, as data: every scenario's systems and the circumstances they meet.

use std::fmt;

use clap::ValueEnum;

/// A question that the harness answers, with a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    Throughput,
    Tcp,
    Verify,
    Late,
    Recovery,
    Paced,
    Roundtrip,
    Cpu,
    Fanout,
    Memory,
    Slow,
}

/// What becomes of a train of datagrams that a sender hands over in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trains {
    /// None is made: one datagram is one piece (`sendmmsg`).
    Off,
    /// The interface cuts it into datagrams, as most network cards do.
    Cut,
    /// It crosses whole, as between processes or containers of one host.
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Spin,
    Block,
}

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// As fast as it goes.
    Full,
    /// So many messages a second.
    Paced(u32),
    /// One message at a time, and its answer.
    RoundTrips,
}

/// The subscribers beside the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowd {
    pub(crate) fast: u32,
    /// Those that cannot keep up.
    pub(crate) slow: u32,
    /// Those that come when half of the time is over, and want everything.
    pub(crate) late: u32,
}

/// Under what circumstances a system is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) scenario: Scenario,
    pub(crate) bytes: u32,
    pub(crate) trains: Trains,
    /// Lost per ten thousand, on the way to the subscribers.
    pub(crate) loss: u32,
    pub(crate) load: Load,
    pub(crate) wait: Wait,
    pub(crate) crowd: Crowd,
}

/// A program, what it is told to be, and what it is called in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) label: &'static str,
    pub(crate) program: &'static str,
    pub(crate) name: &'static str,
    pub(crate) extra: &'static [&'static str],
    /// In `bench/peers`, which take long to build.
    pub(crate) is_peer: bool,
}

/// A system in a setting: what a round runs, and a row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) system: System,
    pub(crate) setting: Setting,
}

const fn ours(label: &'static str, extra: &'static [&'static str]) -> System {
    System { label, program: "nakcast-bench", name: "nakcast", extra, is_peer: false }
}

const fn raw(label: &'static str) -> System {
    System { label, program: "raw-bench", name: label, extra: &[], is_peer: false }
}

const fn peer(label: &'static str, program: &'static str, name: &'static str) -> System {
    System { label, program, name, extra: &[], is_peer: true }
}

pub(crate) const NAKCAST: System = ours("nakcast", &[]);
/// As much in flight as this machine grants; the raw program then has the same.
pub(crate) const NAKCAST_WIDE: System = ours("nakcast", &["--window", "8388608"]);
pub(crate) const NAKCAST_TCP: System = System { label: "nakcast, tcp", name: "nakcast-tcp", ..NAKCAST };
/// A group, and TCP for those who come late; a ring that holds everything.
pub(crate) const NAKCAST_LATE: System = System {
    label: "nakcast, udp and tcp",
    name: "nakcast-late",
    extra: &["--ring", "268435456"],
    ..NAKCAST
};
pub(crate) const NAKCAST_DROP: System = ours("nakcast, drop", &["--policy", "drop"]);
pub(crate) const RAW_ONE: System = raw("raw-one");
pub(crate) const RAW_SENDMMSG: System = raw("raw-sendmmsg");
pub(crate) const RAW_GSO: System = raw("raw-gso");
pub(crate) const RAW_RING: System = raw("raw-ring");
pub(crate) const AERON: System = peer("aeron", "aeron-bench", "aeron");
pub(crate) const AERON_TUNED: System = System { label: "aeron, tuned", extra: &["--nak", "tuned"], ..AERON };
pub(crate) const ZMQ: System = peer("zmq", "zmq-bench", "zmq");
pub(crate) const ZMQ_EPGM: System = peer("zmq-epgm", "zmq-bench", "zmq-epgm");
pub(crate) const NNG: System = peer("nng", "nng-bench", "nng");

/// One subscriber that spins, 32 bytes at full rate without loss; the rest is said by each row.
pub(crate) const fn setting(scenario: Scenario) -> Setting {
    Setting {
        scenario,
        bytes: 32,
        trains: Trains::Off,
        loss: 0,
        load: Load::Full,
        wait: Wait::Spin,
        crowd: Crowd { fast: 1, slow: 0, late: 0 },
    }
}

/// Systems, and every combination of the circumstances they meet.
struct Row {
    systems: &'static [System],
    bytes: &'static [u32],
    loss: &'static [u32],
    waits: &'static [Wait],
    crowds: &'static [Crowd],
    base: Setting,
}

const fn row(systems: &'static [System], base: Setting) -> Row {
    Row { systems, bytes: &[32], loss: &[0], waits: &[Wait::Spin], crowds: ALONE, base }
}

const fn alone(fast: u32) -> Crowd {
    Crowd { fast, slow: 0, late: 0 }
}

const ALONE: &[Crowd] = &[alone(1)];
/// The sizes of the messages at full rate.
const SIZES: &[u32] = &[32, 100, 1024];
/// What is lost: nothing, 1 %, 5 %.
const LOSSES: &[u32] = &[0, 100, 500];
const PACE: Load = Load::Paced(50_000);

pub(crate) const FULL: Setting = setting(Scenario::Throughput);
pub(crate) const RECOVERY: Setting = Setting { trains: Trains::Cut, ..setting(Scenario::Recovery) };
pub(crate) const VERIFY: Setting = Setting { bytes: 100, trains: Trains::Whole, ..setting(Scenario::Verify) };
pub(crate) const PACED: Setting = Setting { trains: Trains::Cut, load: PACE, ..setting(Scenario::Paced) };
pub(crate) const ROUNDTRIP: Setting =
    Setting { trains: Trains::Whole, load: Load::RoundTrips, ..setting(Scenario::Roundtrip) };
/// A gigabyte a minute.
pub(crate) const LATE: Setting =
    Setting { bytes: 100, trains: Trains::Whole, load: Load::Paced(166_667), ..setting(Scenario::Late) };
pub(crate) const MEMORY: Setting = Setting { trains: Trains::Cut, ..setting(Scenario::Memory) };
pub(crate) const SLOW: Setting = Setting { trains: Trains::Cut, ..setting(Scenario::Slow) };

/// Whoever has no trains is run once, where they are off; the tables compare across.
const PLAN: &[Row] = &[
    Row { bytes: SIZES, ..row(&[NAKCAST, RAW_SENDMMSG, RAW_RING, RAW_ONE, AERON, ZMQ, ZMQ_EPGM, NNG], FULL) },
    Row { bytes: SIZES, ..row(&[NAKCAST, RAW_RING, RAW_GSO], Setting { trains: Trains::Cut, ..FULL }) },
    Row { bytes: SIZES, ..row(&[NAKCAST, RAW_RING, RAW_GSO], Setting { trains: Trains::Whole, ..FULL }) },
    Row {
        bytes: &[32, 100],
        waits: &[Wait::Spin, Wait::Block],
        ..row(&[NAKCAST_TCP, ZMQ, NNG], Setting { trains: Trains::Whole, ..setting(Scenario::Tcp) })
    },
    Row { waits: &[Wait::Block], crowds: &[alone(4)], bytes: &[100], ..row(&[NAKCAST_TCP], VERIFY) },
    Row {
        bytes: &[100],
        waits: &[Wait::Block],
        crowds: &[alone(1), Crowd { fast: 1, slow: 0, late: 3 }, alone(4)],
        ..row(&[NAKCAST_LATE], LATE)
    },
    Row { loss: LOSSES, ..row(&[NAKCAST, AERON, AERON_TUNED, ZMQ], RECOVERY) },
    row(&[RAW_ONE, ZMQ, NNG], PACED),
    Row { loss: LOSSES, ..row(&[NAKCAST, AERON_TUNED], PACED) },
    Row { waits: &[Wait::Spin, Wait::Block], ..row(&[NAKCAST, RAW_ONE, AERON, ZMQ], ROUNDTRIP) },
    Row { waits: &[Wait::Block], ..row(&[NAKCAST, RAW_RING], setting(Scenario::Cpu)) },
    Row {
        waits: &[Wait::Block],
        crowds: &[alone(1), alone(2), alone(4), alone(8), alone(16), alone(32), alone(64)],
        ..row(&[NAKCAST_WIDE, RAW_RING], setting(Scenario::Fanout))
    },
    Row { loss: &[100], ..row(&[NAKCAST], MEMORY) },
    Row {
        waits: &[Wait::Block],
        crowds: &[alone(1), alone(2), Crowd { fast: 1, slow: 1, late: 0 }],
        ..row(&[NAKCAST_DROP, RAW_RING], SLOW)
    },
];

impl Row {
    fn settings(&self) -> Vec<Setting> {
        let mut settings = vec![self.base];
        settings = each(&settings, self.bytes, |setting, bytes| Setting { bytes, ..setting });
        settings = each(&settings, self.loss, |setting, loss| Setting { loss, ..setting });
        settings = each(&settings, self.waits, |setting, wait| Setting { wait, ..setting });
        each(&settings, self.crowds, |setting, crowd| Setting { crowd, ..setting })
    }
}

/// Every setting with every value.
fn each<T: Copy>(settings: &[Setting], values: &[T], with: impl Fn(Setting, T) -> Setting) -> Vec<Setting> {
    settings.iter().flat_map(|setting| values.iter().map(|value| with(*setting, *value))).collect()
}

/// Everything a scenario runs in one round: systems of the same setting next to each other.
pub(crate) fn cases(scenario: Scenario) -> Vec<Case> {
    let rows = PLAN.iter().filter(|row| row.base.scenario == scenario);
    let settings = rows.flat_map(|row| row.settings().into_iter().map(move |setting| (row, setting)));
    settings
        .flat_map(|(row, setting)| row.systems.iter().map(move |system| Case { system: *system, setting }))
        .collect()
}

impl Case {
    /// Whether the scenario is about a loss that is told, or the system does not repair.
    pub(crate) fn may_lose(&self) -> bool {
        ![NAKCAST.name, NAKCAST_TCP.name, NAKCAST_LATE.name].contains(&self.system.name)
            || self.setting.scenario == Scenario::Slow
    }
}

impl Scenario {
    pub(crate) const ALL: [Self; 11] = [
        Self::Throughput,
        Self::Tcp,
        Self::Verify,
        Self::Late,
        Self::Recovery,
        Self::Paced,
        Self::Roundtrip,
        Self::Cpu,
        Self::Fanout,
        Self::Memory,
        Self::Slow,
    ];

    /// What its table is about.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Throughput => "Full rate, no loss, one subscriber that spins.",
            Self::Tcp => "Full rate over one TCP connection, one subscriber, nobody left behind.",
            Self::Verify => {
                "10 million messages over loopback to 4 subscribers at a connection each, nobody left behind; every byte \
                 is checked, and all sides' sums over everything are compared."
            }
            Self::Late => {
                "A gigabyte a minute; the latencies are those of one that is there from the start, beside three that come \
                 when half of the time is over and want everything from offset 0, or that are there as well."
            }
            Self::Recovery => {
                "Full rate with loss, every train cut into datagrams, one subscriber that spins."
            }
            Self::Paced => {
                "50,000 messages a second, each timed from the moment it was meant to be sent to its delivery."
            }
            Self::Roundtrip => "One message at a time and its answer; the time of a round trip.",
            Self::Cpu => "What a million messages cost: no trains, a subscriber that blocks.",
            Self::Fanout => {
                "From 1 to 64 subscribers, all on one processor: compare the publisher's CPU, not the rate."
            }
            Self::Memory => "Full rate with 1 % loss for a while: the memory of both processes.",
            Self::Slow => {
                "Policy drop: a publisher with and without a subscriber that cannot keep up. \
                 What the slow one loses is told to it, and counted here. raw-ring: the same, with a slow receiver that \
                 its window does not know of; what it falls by is the kernel's price of another socket."
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl fmt::Display for Trains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "no GSO",
            Self::Cut => "cut",
            Self::Whole => "whole",
        })
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::Block => "block",
        })
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.fast, self.slow, self.late) {
            (1, 0, 0) => f.write_str("1 subscriber"),
            (fast, 0, 0) => write!(f, "{fast} subscribers"),
            (fast, slow, 0) => write!(f, "{fast} + {slow} slow"),
            (fast, _, late) => write!(f, "{fast} + {late} late"),
        }
    }
}

/// What tells it from the others of its scenario.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scenario {
            Scenario::Throughput => write!(f, "{} B, {}", self.bytes, self.trains),
            Scenario::Recovery | Scenario::Paced | Scenario::Memory => {
                write!(f, "{} B, {} % loss", self.bytes, f64::from(self.loss) / 100.0)
            }
            Scenario::Roundtrip => write!(f, "{} B, {}", self.bytes, self.wait),
            Scenario::Tcp => write!(f, "{} B, {}", self.bytes, self.wait),
            Scenario::Cpu => write!(f, "{} B, {}, {}", self.bytes, self.trains, self.wait),
            Scenario::Fanout | Scenario::Slow | Scenario::Verify | Scenario::Late => {
                write!(f, "{}", self.crowd)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_cases_and_none_twice() {
        for scenario in Scenario::ALL {
            let cases = cases(scenario);
            assert!(!cases.is_empty(), "{scenario}");
            for (index, case) in cases.iter().enumerate() {
                assert!(!cases[..index].contains(case), "{scenario}: {case:?}");
            }
        }
    }

    #[test]
    fn throughput_meets_every_size_and_kind_of_train() {
        let labels: Vec<String> =
            cases(Scenario::Throughput).iter().map(|case| case.setting.to_string()).collect();
        for size in ["32 B", "100 B", "1024 B"] {
            for trains in ["no GSO", "cut", "whole"] {
                assert!(labels.contains(&format!("{size}, {trains}")), "{size}, {trains}");
            }
        }
    }

    #[test]
    fn only_ours_must_repair_all() {
        let losing = |system, scenario| Case { system, setting: setting(scenario) }.may_lose();
        assert!(!losing(NAKCAST, Scenario::Recovery));
        assert!(losing(NAKCAST_DROP, Scenario::Slow));
        assert!(losing(RAW_GSO, Scenario::Throughput));
    }
}
