//! All rounds of all scenarios.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::json;

use crate::clock;
use crate::figures::Metric;
use crate::figures::Rounds;
use crate::number;
use crate::options::Options;
use crate::plan;
use crate::plan::Case;
use crate::plan::NAKCAST;
use crate::plan::Scenario;
use crate::run::Run;
use crate::run::Runner;
use crate::space::Spaces;
use crate::svg::Bar;
use crate::svg::Panel;

/// What a session came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) all: Vec<Rounds>,
    /// Whether somebody wanted it to end before it was done; what was measured so far counts.
    pub(crate) is_early: bool,
}

/// Runs everything that the options ask for, round by round.
pub(crate) fn run(spaces: &Spaces, options: &Options) -> Result<Ended, String> {
    let mut runner = Runner { spaces, options, count: 0 };
    let mut all = Vec::new();
    for scenario in options.scenarios() {
        let mut rounds: Vec<Rounds> = chosen(scenario, options).into_iter().map(Rounds::new).collect();
        let count = if scenario == Scenario::Memory { 1 } else { options.rounds() };
        for round in 1..=count {
            for case in &mut rounds {
                if !clock::is_interrupted() {
                    one(&mut runner, case, round)?;
                }
            }
        }
        all.extend(rounds);
    }
    Ok(Ended { all, is_early: clock::is_interrupted() })
}

fn chosen(scenario: Scenario, options: &Options) -> Vec<Case> {
    let cases = plan::cases(scenario).into_iter();
    let cases = cases.filter(|case| options.with_peers() || !case.system.is_peer);
    let only = options.only.as_deref().unwrap_or_default();
    cases.filter(|case| case.system.label.contains(only)).collect()
}

fn one(runner: &mut Runner<'_>, rounds: &mut Rounds, round: usize) -> Result<(), String> {
    let case = rounds.case;
    let result = runner.run(&case);
    let words = match &result {
        Ok(run) => summary(&case, run),
        Err(error) => format!("FAILED: {error}"),
    };
    let (setting, label) = (case.setting, case.system.label);
    eprintln!("{} {round}: {setting}, {label}: {words}", setting.scenario);
    if let Some(path) = &runner.options.json {
        let record = json!({
            "scenario": setting.scenario.to_string(), "setting": setting.to_string(), "system": label,
            "round": round, "run": result.as_ref().ok(), "failure": result.as_ref().err(),
        });
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{record}"))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    match result {
        Ok(run) => rounds.runs.push(run),
        // The run that was cut short is no failure of its system.
        Err(_) if clock::is_interrupted() => {}
        Err(error) => rounds.failures.push(error),
    }
    Ok(())
}

/// The most important figures of a run, on one line.
fn summary(case: &Case, run: &Run) -> String {
    let metrics = [
        Metric::Delivered,
        Metric::Lost,
        Metric::PublisherCpu,
        Metric::SubscriberCpu,
        Metric::P50,
        Metric::P99,
        Metric::Dropped,
        Metric::RepairsPerLost,
    ];
    let figures = metrics.iter().filter_map(|metric| Some((metric.heading(), metric.of(case, run)?)));
    let mut words: Vec<String> =
        figures.map(|(heading, figure)| format!("{heading} {}", number::brief(figure))).collect();
    if run.busy {
        words.push("busy".to_owned());
    }
    words.join("; ")
}

/// What the chart shows: rates of small messages, and latencies.
pub(crate) fn panels(all: &[Rounds]) -> Vec<Panel> {
    let of = |scenario, metric, title: &str| {
        let here = all
            .iter()
            .filter(|rounds| (rounds.case.setting.scenario, rounds.case.setting.bytes) == (scenario, 32));
        let bars = here.filter_map(|rounds| {
            Some(Bar {
                label: label(&rounds.case),
                value: rounds.spread(metric)?.median,
                is_ours: rounds.case.system.name == NAKCAST.name,
            })
        });
        Panel { title: title.to_owned(), bars: bars.collect() }
    };
    let panels = [
        of(Scenario::Throughput, Metric::Delivered, "32-byte messages delivered, millions a second"),
        of(Scenario::Recovery, Metric::Delivered, "The same with loss, every train cut into datagrams"),
        of(Scenario::Paced, Metric::P50, "50,000 a second: median latency, µs"),
        of(Scenario::Paced, Metric::P99, "50,000 a second: 99th percentile of the latency, µs"),
        of(Scenario::Roundtrip, Metric::P50, "Round trip: median, µs"),
    ];
    panels.into_iter().filter(|panel| !panel.bars.is_empty()).collect()
}

/// The system, and what its setting has beside the size.
fn label(case: &Case) -> String {
    let setting = case.setting.to_string();
    format!("{}, {}", case.system.label, setting.trim_start_matches("32 B, "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::rounds;

    #[test]
    fn panels_of_what_was_run() {
        let all = plan::cases(Scenario::Throughput).into_iter().map(|case| rounds(case, &[1_000_000]));
        let panels = panels(&all.collect::<Vec<_>>());
        assert_eq!(panels.len(), 1);
        assert_eq!(panels[0].bars.len(), 14);
        assert_eq!(panels[0].bars[0].label, "nakcast, no GSO");
        assert!(panels[0].bars[0].is_ours && !panels[0].bars[1].is_ours);
    }
}
