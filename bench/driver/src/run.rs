//! One run of one case: its programs, started, told to go, and heard.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use harness::Report;
use serde::Serialize;

use crate::clock::Deadline;
use crate::idle;
use crate::options::Options;
use crate::outcome::Memory;
use crate::plan::Case;
use crate::plan::Load;
use crate::plan::NAKCAST;
use crate::plan::RAW_RING;
use crate::plan::Scenario;
use crate::plan::System;
use crate::plan::Trains;
use crate::plan::Wait;
use crate::program::Program;
use crate::program::Programs;
use crate::space::INTERFACE;
use crate::space::Side;
use crate::space::Spaces;

/// How long a slow subscriber takes for a thousand messages, in microseconds: less than half a million a second.
const SLOW: &str = "2000";

/// Bytes of a datagram, and what `NAKCAST_WIDE` asks for: a socket's buffer and a reorder window.
const DATAGRAM: u64 = 1_400;
const WIDE_BUFFER: u64 = 32 << 20;
const WIDE_REORDER: u64 = 24 << 20;

/// Where both sides are when no cable is between them.
const LOOPBACK: &str = "127.0.0.1";

/// What one run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Whether something else ran at the start of it.
    pub(crate) busy: bool,
    /// Packets lost on purpose.
    pub(crate) dropped: u64,
    /// How long the publisher was to publish, before it waits for everything to arrive.
    pub(crate) asked_seconds: f64,
    pub(crate) publisher: Report,
    /// Those that keep up first.
    pub(crate) subscribers: Vec<Report>,
    /// Of the publisher, over time.
    pub(crate) publisher_memory: Vec<Memory>,
    /// Of the first subscriber, over time.
    pub(crate) subscriber_memory: Vec<Memory>,
}

/// Runs cases, one at a time.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) spaces: &'a Spaces,
    pub(crate) options: &'a Options,
    /// How many runs there were: each has ports of its own.
    pub(crate) count: u16,
}

impl Runner<'_> {
    /// # Errors
    /// When a program fails, or does not end in time.
    pub(crate) fn run(&mut self, case: &Case) -> Result<Run, String> {
        self.count += 1;
        self.spaces.set_trains(case.setting.trains)?;
        self.spaces.set_loss(case.setting.loss)?;
        let busy = !idle::wait(self.options.patience())?;
        let run = self.pair(case);
        // Later runs must not suffer from this one's loss.
        let dropped = self.spaces.dropped();
        self.spaces.set_loss(0)?;
        let mut run = run?;
        (run.busy, run.dropped) = (busy, dropped?);
        Ok(run)
    }

    fn pair(&self, case: &Case) -> Result<Run, String> {
        let crowd = case.setting.crowd;
        let mut programs = Programs::new();
        let mut subscribers = Vec::new();
        for number in 0..crowd.fast + crowd.slow {
            let mut command = self.command(case, Side::Subscriber, early(case))?;
            if number >= crowd.fast {
                command.args(["--slow", SLOW]);
                if case.system == RAW_RING {
                    // It sends no word of how far it is, so that the window does not wait for it.
                    command.args(["--window", "0"]);
                }
            }
            subscribers.push(programs.start(&mut command)?);
        }
        let is_ready = |program: &Program| program.is_ready;
        let has_ended = |program: &Program| program.report.is_some();
        programs.wait_for(&subscribers, is_ready, soon())?;
        let mut command = self.command(case, Side::Publisher, case.system.name)?;
        command.args(["--subscribers", &subscribers.len().to_string()]);
        let publisher = programs.start(&mut command)?;
        programs.wait_for(&[publisher], is_ready, soon())?;
        programs.say(publisher, "go");
        if crowd.late > 0 {
            thread::sleep(Duration::from_secs_f64(self.seconds(case) / 2.0));
        }
        for _ in 0..crowd.late {
            subscribers.push(programs.start(&mut self.command(
                case,
                Side::Subscriber,
                case.system.name,
            )?)?);
        }
        let end = Deadline::after(Duration::from_secs_f64(self.seconds(case) * 3.0 + 60.0));
        programs.wait_for(&subscribers, has_ended, end)?;
        programs.say(publisher, "done");
        programs.wait_for(&[publisher], has_ended, end)?;
        self.heard(case, &programs, (publisher, &subscribers))
    }

    fn heard(&self, case: &Case, programs: &Programs, who: (usize, &[usize])) -> Result<Run, String> {
        let (publisher, subscribers) = who;
        let report = |who: usize| programs.get(who).report.clone().ok_or("ended without a report");
        Ok(Run {
            busy: false,
            dropped: 0,
            asked_seconds: self.seconds(case),
            publisher: report(publisher)?,
            subscribers: subscribers.iter().map(|who| report(*who)).collect::<Result<_, _>>()?,
            publisher_memory: programs.get(publisher).memory.clone(),
            subscriber_memory: subscribers
                .first()
                .map_or_else(Vec::new, |who| programs.get(*who).memory.clone()),
        })
    }

    /// How long the case publishes.
    fn seconds(&self, case: &Case) -> f64 {
        match case.setting.scenario {
            Scenario::Memory => self.options.memory_seconds(),
            // What is held when they come is to take a while.
            Scenario::Late => 3.0 * self.options.seconds(),
            _ => self.options.seconds(),
        }
    }

    /// A program of the case, with everything that both sides are told.
    fn command(&self, case: &Case, side: Side, name: &str) -> Result<Command, String> {
        let (system, setting) = (&case.system, &case.setting);
        let mut command = self.addressed(case, side, name)?;
        command.args(["--port", &(10_000 + self.count % 2_000 * 10).to_string()]);
        command.args(["--bytes", &setting.bytes.to_string()]);
        command.args(["--seconds", &self.seconds(case).to_string()]);
        command.args(["--wait", if setting.wait == Wait::Spin { "spin" } else { "block" }]);
        command.args(["--segmentation", if setting.trains == Trains::Off { "off" } else { "on" }]);
        command.args(["--core", &core(side).to_string()]);
        if let Load::Paced(rate) = setting.load {
            command.args(["--rate", &rate.to_string(), "--mode", "paced"]);
        }
        if setting.scenario == Scenario::Memory {
            // Six samples at least.
            command.args(["--sample-rss", &(self.seconds(case) / 6.0).min(10.0).to_string()]);
        }
        if setting.scenario == Scenario::Verify {
            command.args(["--verify", "--messages", &self.options.verified().to_string()]);
        }
        if setting.scenario == Scenario::Fanout && *system == RAW_RING {
            command.args(["--window", &equal_window()?.to_string()]);
        }
        command.args(system.extra);
        Ok(command)
    }

    /// A program of the case, told what it is and where: on its side of the cable, or both at the loopback of one.
    fn addressed(&self, case: &Case, side: Side, name: &str) -> Result<Command, String> {
        let is_local = case.setting.scenario == Scenario::Verify;
        let place = if is_local { Side::Publisher } else { side };
        let mut command = self.spaces.command(place, &self.path(&case.system)?.to_string_lossy());
        command.args([role(case.setting.load, side), "--system", name]);
        if is_local {
            command.args(["--interface", "lo", "--local", LOOPBACK, "--remote", LOOPBACK]);
        } else {
            command.args(["--interface", INTERFACE]);
            command.args(["--local", side.address(), "--remote", side.other().address()]);
        }
        Ok(command)
    }

    fn path(&self, system: &System) -> Result<PathBuf, String> {
        let folder = if system.is_peer { &self.options.peers } else { &self.options.programs };
        let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
        let folder = folder.clone().or_else(beside).unwrap_or_default();
        let path = folder.join(system.program);
        if path.is_file() { Ok(path) } else { Err(format!("{} is not built", path.display())) }
    }
}

/// For whoever starts or connects.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Bytes of datagrams in flight, as many as ours has with the buffer that this machine grants it: how often subscribers
/// report, and how often they run dry and have to be woken, depends on it.
fn equal_window() -> Result<u64, String> {
    let path = "/proc/sys/net/core/rmem_max";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let most: u64 = text.trim().parse().map_err(|error| format!("{path}: {error}"))?;
    let granted = 2 * most.min(WIDE_BUFFER);
    Ok((granted / 4 * 3).min(WIDE_REORDER) / charge(DATAGRAM) * DATAGRAM)
}

/// What a datagram takes of a socket's buffer, as the library reckons.
const fn charge(bytes: u64) -> u64 {
    1_024 + 2 * bytes
}

/// What a subscriber is called that is there from the start: it has no need of history.
fn early(case: &Case) -> &'static str {
    if case.setting.scenario == Scenario::Late { NAKCAST.name } else { case.system.name }
}

fn role(load: Load, side: Side) -> &'static str {
    match (load, side) {
        (Load::RoundTrips, Side::Publisher) => "ping",
        (Load::RoundTrips, Side::Subscriber) => "echo",
        (_, Side::Publisher) => "pub",
        (_, Side::Subscriber) => "sub",
    }
}

/// Publishers on the first processor, subscribers on the second if there is one.
fn core(side: Side) -> usize {
    let last = thread::available_parallelism().map_or(1, usize::from) - 1;
    match side {
        Side::Publisher => 0,
        Side::Subscriber => last.min(1),
    }
}
