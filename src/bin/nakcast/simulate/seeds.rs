//! Seeds, tried on all cores until one fails.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use nakcast::sim::Report;
use nakcast::sim::Violation;

use crate::clock::Clock;
use crate::clock::TICK;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::simulate::trial::judge;
use crate::simulate::worlds::Worlds;
use crate::units;

/// What trying came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Clean(Sums),
    Interrupted(Sums),
    /// By the seed.
    Broken(u64, Violation),
}

impl Outcome {
    pub(crate) const fn ending(&self) -> Ending {
        match self {
            Self::Clean(_) => Ending::Well,
            Self::Interrupted(_) => Ending::Interrupted,
            Self::Broken(..) => Ending::Broken,
        }
    }
}

/// Sums over the seeds that are clean.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    seeds: u64,
    events: u64,
    messages: u64,
    delivered: u64,
    lost: u64,
    took: Duration,
}

impl Sums {
    pub(crate) fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.events += report.events;
        self.messages += report.published;
        self.delivered += report.delivered;
        self.lost += report.lost;
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} clean", units::counted(self.seeds, "seed"))?;
        if !self.took.is_zero() {
            let rate = self.seeds as f64 / self.took.as_secs_f64();
            write!(f, " in {} ({rate:.0} a second)", units::time(self.took))?;
        }
        write!(
            f,
            ": {}, {}, {} delivered, {} lost by name",
            units::counted(self.events, "event"),
            units::counted(self.messages, "message"),
            units::count(self.delivered),
            units::count(self.lost),
        )
    }
}

/// Which seeds are tried, and how.
#[derive(Debug)]
pub(crate) struct Trials<'a> {
    pub(crate) worlds: &'a Worlds,
    pub(crate) count: u64,
    /// The share that runs twice.
    pub(crate) twice: f64,
    pub(crate) jobs: usize,
}

/// What one seed came to, by its number from 0.
type Done = (u64, Result<Report, Violation>);

/// What the threads share.
struct Desk<'a> {
    trials: &'a Trials<'a>,
    next: AtomicU64,
    is_over: AtomicBool,
    interrupt: &'a Interrupt,
}

impl Trials<'_> {
    /// Tries them in order; those that had begun when one failed come to their end, so that it is the lowest one.
    pub(crate) fn run(&self, interrupt: &Interrupt, quiet: bool) -> Result<Outcome, Failure> {
        let (clock, bar) = (Clock::start(), bar(self.count, quiet));
        let desk = Desk { trials: self, next: AtomicU64::new(0), is_over: AtomicBool::new(false), interrupt };
        let (mut sums, broken) = std::thread::scope(|scope| {
            let (sender, done) = channel();
            for _ in 0..u64::try_from(self.jobs).map_or(self.count, |jobs| jobs.min(self.count)) {
                let (desk, sender) = (&desk, sender.clone());
                let thread = std::thread::Builder::new().name("nakcast-sim".to_owned());
                thread.spawn_scoped(scope, move || desk.work(&sender)).map_err(Failure::Thread)?;
            }
            drop(sender);
            Ok::<_, Failure>(desk.collect(&done, &bar))
        })?;
        bar.finish_and_clear();
        sums.took = clock.now();
        Ok(match broken {
            Some((number, violation)) => Outcome::Broken(self.worlds.seed(number), violation),
            None if sums.seeds < self.count => Outcome::Interrupted(sums),
            None => Outcome::Clean(sums),
        })
    }

    /// Whether number `index` runs twice: the first does, and then so many that it is that share.
    fn is_twice(&self, index: u64) -> bool {
        let due = |index: u64| (index as f64 * self.twice).ceil();
        due(index + 1) > due(index)
    }
}

impl Desk<'_> {
    fn work(&self, done: &Sender<Done>) {
        while !self.is_over.load(Ordering::Relaxed) && !self.interrupt.is_asked() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.trials.count {
                return;
            }
            let options = self.trials.worlds.options(self.trials.worlds.seed(index));
            let mut result = judge(&options, self.trials.is_twice(index));
            if let Ok(report) = &mut result {
                // The largest part of it, and only sums are wanted.
                (report.latencies, report.repaired) = (Vec::new(), Vec::new());
            }
            if done.send((index, result)).is_err() {
                return;
            }
        }
    }

    fn collect(&self, done: &Receiver<Done>, bar: &ProgressBar) -> (Sums, Option<(u64, Violation)>) {
        let (mut sums, mut broken) = (Sums::default(), None::<(u64, Violation)>);
        loop {
            match done.recv_timeout(TICK) {
                Ok((_, Ok(report))) => sums.add(&report),
                Ok((index, Err(violation))) => {
                    self.is_over.store(true, Ordering::Relaxed);
                    if broken.as_ref().is_none_or(|(lowest, _)| index < *lowest) {
                        broken = Some((index, violation));
                    }
                }
                Err(RecvTimeoutError::Timeout) => bar.tick(),
                Err(RecvTimeoutError::Disconnected) => return (sums, broken),
            }
            bar.set_position(sums.seeds);
        }
    }
}

/// A bar on a terminal, and nothing at all elsewhere.
fn bar(count: u64, quiet: bool) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} seeds, {elapsed}, {eta} left");
    match style {
        Ok(style) if quiet && count > 1 => ProgressBar::new(count).with_style(style),
        _ => ProgressBar::hidden(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_runs_twice_and_the_first_always() {
        let worlds = Worlds::new(None, None).unwrap();
        let twice = |share, count| {
            let trials = Trials { worlds: &worlds, count, twice: share, jobs: 1 };
            (0..count).filter(|index| trials.is_twice(*index)).collect::<Vec<_>>()
        };
        assert_eq!(twice(0.01, 250), [0, 100, 200]);
        assert_eq!((twice(0.0, 9).len(), twice(1.0, 9).len(), twice(0.5, 9).len()), (0, 9, 5));
    }
}
