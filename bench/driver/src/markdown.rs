//! RESULTS.md.

use std::fmt::Display;

use crate::bars;
use crate::figures::Metric;
use crate::figures::Rounds;
use crate::number;
use crate::outcome::Memory;
use crate::plan::Scenario;

const FAIRNESS: &str = include_str!("fairness.md");

/// Everything there is to tell.
pub(crate) fn document(facts: &[(&str, String)], all: &[Rounds], chart: Option<&str>) -> String {
    let mut text = "# Results\n\n".to_owned();
    facts.iter().for_each(|(name, fact)| line(&mut text, format!("- {name}: {fact}")));
    if let Some(chart) = chart {
        line(&mut text, format!("\n![rates and latencies]({chart})"));
    }
    text.push_str("\n## How it was measured\n\n");
    text.push_str(FAIRNESS);
    text.push_str("\n## What must hold\n\n");
    text.push_str(&bars_table(all));
    text.push_str(&at_a_glance(all));
    for scenario in Scenario::ALL {
        text.push_str(&section(scenario, all));
    }
    text
}

/// Every bar that this run says something about.
pub(crate) fn bars_table(all: &[Rounds]) -> String {
    let is_run = |scenario| all.iter().any(|rounds| rounds.case.setting.scenario == scenario);
    let mut text = head(&["bar", "wanted", "measured", "holds"]);
    for bar in bars::all().iter().filter(|bar| is_run(bar.scenario)) {
        let measured = bar.measure(all);
        let figure = measured.map_or("not measured".to_owned(), number::brief);
        let holds = match measured.map(|measured| bar.wanted.holds(measured)) {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        row(&mut text, &[bar.name.clone(), bar.wanted.to_string(), figure, holds.to_owned()]);
    }
    text
}

/// The line of each system with small messages: its rate, its cost, and its latency where it is paced.
fn at_a_glance(all: &[Rounds]) -> String {
    let mut systems = all.iter().filter(|rounds| {
        (rounds.case.setting.scenario, rounds.case.setting.bytes) == (Scenario::Throughput, 32)
    });
    let Some(first) = systems.next() else { return String::new() };
    let rates = [Metric::Delivered, Metric::Lost, Metric::PublisherCpu, Metric::SubscriberCpu];
    let latencies = [Metric::P50, Metric::P99, Metric::P999];
    let mut text =
        "\n## At a glance: 32 bytes\n\nRate and cost at full rate; one-way latency at 50,000 a second. \
                    No loss, medians.\n\n"
            .to_owned();
    let headings = rates.iter().chain(&latencies).map(|metric| metric.heading());
    text.push_str(&head(&["system", "trains"].into_iter().chain(headings).collect::<Vec<_>>()));
    for rounds in [first].into_iter().chain(systems) {
        let paced = all.iter().find(|paced| {
            let setting = paced.case.setting;
            (setting.scenario, setting.loss) == (Scenario::Paced, 0)
                && paced.case.system.name == rounds.case.system.name
        });
        let median =
            |rounds: &Rounds, metric| rounds.spread(metric).map(|spread| number::brief(spread.median));
        let rates = rates.iter().map(|metric| median(rounds, *metric));
        let latencies = latencies.iter().map(|metric| paced.and_then(|paced| median(paced, *metric)));
        let figures = rates.chain(latencies).map(|figure| figure.unwrap_or("–".to_owned()));
        let names = [rounds.case.system.label.to_owned(), rounds.case.setting.trains.to_string()];
        row(&mut text, &names.into_iter().chain(figures).collect::<Vec<_>>());
    }
    text
}

/// The table of a scenario; nothing if it was not run.
pub(crate) fn section(scenario: Scenario, all: &[Rounds]) -> String {
    let mut ours: Vec<&Rounds> =
        all.iter().filter(|rounds| rounds.case.setting.scenario == scenario).collect();
    if ours.is_empty() {
        return String::new();
    }
    ours.sort_by_key(|rounds| rounds.case.setting.bytes);
    let mut text = format!("\n## {scenario}\n\n{}\n\n", scenario.about());
    let columns = columns(scenario);
    let headings = columns.iter().map(|metric| metric.heading());
    let names = ["setting", "system"].into_iter();
    text.push_str(&head(&names.chain(headings).chain(["remarks"]).collect::<Vec<_>>()));
    for rounds in &ours {
        let cell = |metric: &Metric| rounds.spread(*metric).map_or("–".to_owned(), number::spread);
        let names = [rounds.case.setting.to_string(), rounds.case.system.label.to_owned()];
        let cells = names.into_iter().chain(columns.iter().map(cell)).chain([remarks(rounds)]);
        row(&mut text, &cells.collect::<Vec<_>>());
    }
    ours.iter().for_each(|rounds| text.push_str(&memory(rounds)));
    text
}

fn columns(scenario: Scenario) -> &'static [Metric] {
    use Metric::*;
    match scenario {
        Scenario::Throughput | Scenario::Tcp => &[Delivered, Lost, PublisherCpu, SubscriberCpu],
        Scenario::Verify => &[Delivered, Lost, Different, PublisherCpu, SubscriberCpu],
        Scenario::Late => &[P50, P99, P999, Lost, PublisherCpu, SubscriberCpu],
        Scenario::Recovery => &[Delivered, Lost, Dropped, RepairsPerLost, PublisherCpu, SubscriberCpu],
        Scenario::Paced => &[P50, P99, P999, Lost, Dropped, RepairsPerLost],
        Scenario::Roundtrip => &[P50, P99, P999, Lost],
        Scenario::Cpu => &[PublisherCpu, SubscriberCpu, Delivered, Lost],
        Scenario::Fanout => &[PublisherCpu, Published, Delivered, Lost],
        Scenario::Memory => &[
            PublisherEarly,
            PublisherLate,
            PublisherTaken,
            PublisherConfigured,
            SubscriberEarly,
            SubscriberLate,
            SubscriberTaken,
            SubscriberConfigured,
            Delivered,
            Lost,
            Dropped,
        ],
        Scenario::Slow => &[Published, Delivered, PublisherCpu, Lost, SlowLost],
    }
}

/// What a reader of the figures must know.
fn remarks(rounds: &Rounds) -> String {
    let count = rounds.runs.len() + rounds.failures.len();
    let busy = rounds.runs.iter().filter(|run| run.busy).count();
    let mut remarks = Vec::new();
    if busy > 0 {
        remarks.push(format!("busy in {busy} of {count}"));
    }
    if let Some(failure) = rounds.failures.last() {
        let failure = failure.replace(['|', '\n'], " ");
        remarks.push(format!("failed in {} of {count}: {failure}", rounds.failures.len()));
    }
    remarks.join("; ")
}

/// Memory over time, where it was watched.
fn memory(rounds: &Rounds) -> String {
    let mut text = String::new();
    for run in &rounds.runs {
        for (side, samples) in [("publisher", &run.publisher_memory), ("subscriber", &run.subscriber_memory)]
        {
            if !samples.is_empty() {
                line(&mut text, format!("\n{side}, MiB at seconds: {}", over_time(samples)));
            }
        }
    }
    text
}

fn over_time(samples: &[Memory]) -> String {
    let sample = |sample: &Memory| {
        format!("{:.1} at {}", sample.rss_bytes as f64 / f64::from(1 << 20), number::brief(sample.at_seconds))
    };
    samples.iter().map(sample).collect::<Vec<_>>().join(", ")
}

fn head(names: &[&str]) -> String {
    let rule = vec!["---"; names.len()];
    format!("| {} |\n| {} |\n", names.join(" | "), rule.join(" | "))
}

fn row(text: &mut String, cells: &[String]) {
    line(text, format!("| {} |", cells.join(" | ")));
}

fn line(text: &mut String, words: impl Display) {
    text.push_str(&format!("{words}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::rounds;
    use crate::plan::Case;
    use crate::plan::NAKCAST;
    use crate::plan::RAW_SENDMMSG;
    use crate::plan::setting;

    fn throughput() -> Vec<Rounds> {
        let case = |system| Case { system, setting: setting(Scenario::Throughput) };
        vec![rounds(case(NAKCAST), &[8_000_000, 9_000_000]), rounds(case(RAW_SENDMMSG), &[10_000_000])]
    }

    #[test]
    fn a_table_of_a_scenario() {
        let mut all = throughput();
        all[1].failures.push("not done | in time".to_owned());
        all[0].runs[0].busy = true;
        let wanted = "\n## throughput\n\nFull rate, no loss, one subscriber that spins.\n\n\
            | setting | system | delivered, M/s | lost | publisher, CPU s/M | subscriber, CPU s/M | remarks |\n\
            | --- | --- | --- | --- | --- | --- | --- |\n\
            | 32 B, no GSO | nakcast | 4.25 (4 to 4.50) | 0 | 0.0590 (0.0556 to 0.0625) | \
            0.0590 (0.0556 to 0.0625) | busy in 1 of 2 |\n\
            | 32 B, no GSO | raw-sendmmsg | 5 | 0 | 0.0500 | 0.0500 | failed in 1 of 2: not done   in time |\n";
        assert_eq!(section(Scenario::Throughput, &all), wanted);
        assert_eq!(section(Scenario::Slow, &all), "");
    }

    #[test]
    fn bars_that_hold_and_others() {
        let table = bars_table(&throughput());
        assert!(table.contains("| 32 B, no GSO: / raw-sendmmsg | ≥ 0.85 | 0.850 | yes |"), "{table}");
        assert!(table.contains("| 32 B, no GSO: / aeron | ≥ 1.6 | not measured | – |"), "{table}");
        assert!(!table.contains("round trip"), "{table}");
    }

    #[test]
    fn every_table_has_as_many_cells_in_each_row() {
        let text = document(&[("Kernel", "Linux".to_owned())], &throughput(), Some("results.svg"));
        for table in text.split("\n\n") {
            let widths: Vec<usize> = table
                .lines()
                .filter(|line| line.starts_with('|'))
                .map(|line| line.matches('|').count())
                .collect();
            assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        }
        assert!(text.contains("- Kernel: Linux\n") && text.contains("(results.svg)"));
        assert!(text.contains("| nakcast | no GSO | 4.25 | 0 | 0.0590 | 0.0590 | – | – | – |"), "{text}");
    }
}
