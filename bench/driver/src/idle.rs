//! Whether the processors have nothing else to do.

use std::fs;
use std::time::Duration;

use crate::clock;
use crate::clock::Deadline;

/// How long is looked.
const LOOK: Duration = Duration::from_millis(200);
/// What is idle: at least this share of the time, on each processor.
const IDLE: f64 = 0.97;

/// Ticks of one processor since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    all: u64,
}

/// Waits until every processor is idle, at most for `patience`; whether they are. Without any it does not even look.
///
/// # Errors
/// When a signal wants us to end.
pub(crate) fn wait(patience: Duration) -> Result<bool, String> {
    let deadline = Deadline::after(patience);
    if patience.is_zero() {
        return Ok(true);
    }
    loop {
        if idlest_share()?.is_none_or(|share| share >= IDLE) {
            return Ok(true);
        }
        if deadline.left()?.is_none() {
            return Ok(false);
        }
    }
}

/// How idle the busiest processor is; `None` where the system does not tell.
fn idlest_share() -> Result<Option<f64>, String> {
    let read = || fs::read_to_string("/proc/stat").map(|text| processors(&text)).unwrap_or_default();
    let before = read();
    clock::pause(LOOK);
    if clock::is_interrupted() {
        return Err("interrupted".to_owned());
    }
    Ok(least(&before, &read()))
}

/// `user nice system idle iowait irq softirq steal guest guest_nice`, and the first two hold the guests' time.
fn processors(stat: &str) -> Vec<Ticks> {
    let lines = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    let fields =
        lines.map(|line| line.split_whitespace().skip(1).take(8).map_while(|word| word.parse().ok()));
    fields
        .map(|fields| {
            let ticks: Vec<u64> = fields.collect();
            Ticks { idle: ticks.iter().skip(3).take(2).sum(), all: ticks.iter().sum() }
        })
        .collect()
}

fn least(before: &[Ticks], after: &[Ticks]) -> Option<f64> {
    let shares = before.iter().zip(after).map(|(before, after)| {
        let all = after.all.saturating_sub(before.all).max(1);
        after.idle.saturating_sub(before.idle) as f64 / all as f64
    });
    shares.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  30 0 10 180 0 0 0 0 0 0\ncpu0 10 0 5 85 5 0 0 0 0 0\ncpu1 20 0 5 95 0 0 0 0 9 0\n\
                        intr 5\n";

    #[test]
    fn ticks_of_each_processor() {
        assert_eq!(processors(STAT), [Ticks { idle: 90, all: 105 }, Ticks { idle: 95, all: 120 }]);
    }

    #[test]
    fn the_busiest_counts() {
        let before = processors(STAT);
        let mut after = before.clone();
        after[0] = Ticks { idle: after[0].idle + 20, all: after[0].all + 20 };
        after[1] = Ticks { idle: after[1].idle + 5, all: after[1].all + 20 };
        assert_eq!(least(&before, &after), Some(0.25));
        assert_eq!(least(&[], &[]), None);
    }
}
