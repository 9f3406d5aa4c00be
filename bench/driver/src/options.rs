//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::plan::Scenario;

/// Runs nakcast, raw UDP and peers side by side, in two network namespaces joined by a cable.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// What to run: `all`, or some of throughput, tcp, verify, recovery, paced, roundtrip, cpu, fanout, memory, slow
    #[arg(default_value = "all", value_name = "SCENARIO", value_parser = scenario)]
    scenarios: Vec<Chosen>,
    /// Short, one round, no peers: only whether everything works; fails when ours loses anything
    #[arg(long)]
    pub(crate) quick: bool,
    /// How long each run publishes [default: 2, quick: 0.2]
    #[arg(long)]
    seconds: Option<f64>,
    /// Rounds of each row, of which the median counts [default: 5, quick: 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// How long the memory is watched [default: 1, quick: a second]
    #[arg(long)]
    memory_minutes: Option<f64>,
    /// How long to wait before each run for idle processors, before it is marked as busy; 0: not to look
    /// [default: 30, quick: 0]
    #[arg(long)]
    idle_seconds: Option<f64>,
    /// Only nakcast and raw UDP
    #[arg(long)]
    no_peers: bool,
    /// Only systems whose label contains this
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Exit code 1 when a bar is missed
    #[arg(long)]
    pub(crate) enforce: bool,
    /// Append every run to this file, one line of JSON each
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Where RESULTS.md and results.svg go; without it the Markdown goes to standard output
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// The release folder with nakcast-bench and raw-bench [default: where this program is]
    #[arg(long)]
    pub(crate) programs: Option<PathBuf>,
    /// The release folder with aeron-bench, zmq-bench and nng-bench [default: where this program is]
    #[arg(long)]
    pub(crate) peers: Option<PathBuf>,
}

/// A word of the command line.
#[derive(Debug, Clone, Copy)]
enum Chosen {
    All,
    One(Scenario),
}

fn scenario(word: &str) -> Result<Chosen, String> {
    if word == "all" {
        return Ok(Chosen::All);
    }
    clap::ValueEnum::from_str(word, false).map(Chosen::One)
}

impl Options {
    /// Each once, in the order of the plan.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        let is_chosen = |scenario: &Scenario| {
            self.scenarios.iter().any(|chosen| match chosen {
                Chosen::All => true,
                Chosen::One(one) => one == scenario,
            })
        };
        Scenario::ALL.into_iter().filter(is_chosen).collect()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 0.2 } else { 2.0 })
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    pub(crate) fn memory_seconds(&self) -> f64 {
        self.memory_minutes.map_or(if self.quick { 1.0 } else { 60.0 }, |minutes| minutes * 60.0)
    }

    /// How many messages are checked byte by byte.
    pub(crate) fn verified(&self) -> u64 {
        if self.quick { 200_000 } else { 10_000_000 }
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.idle_seconds.unwrap_or(if self.quick { 0.0 } else { 30.0 }))
    }

    pub(crate) fn with_peers(&self) -> bool {
        !self.no_peers && !self.quick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        Options::parse_from(line.split_whitespace())
    }

    #[test]
    fn defaults() {
        let options = parsed("bench");
        assert_eq!(options.scenarios(), Scenario::ALL);
        assert_eq!((options.seconds(), options.rounds(), options.memory_seconds()), (2.0, 5, 60.0));
        assert!(options.with_peers());
    }

    #[test]
    fn quick_is_short_and_without_peers() {
        let options = parsed("bench --quick --rounds 2");
        assert_eq!((options.seconds(), options.rounds()), (0.2, 2));
        assert!(!options.with_peers());
    }

    #[test]
    fn some_scenarios_in_the_order_of_the_plan() {
        let options = parsed("bench slow throughput slow");
        assert_eq!(options.scenarios(), [Scenario::Throughput, Scenario::Slow]);
        assert!(Options::try_parse_from(["bench", "speed"]).is_err());
    }
}
