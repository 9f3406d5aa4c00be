//! One run of one world, in which nothing goes wrong unseen.

use std::cell::Cell;
use std::cell::RefCell;
use std::panic;
use std::panic::AssertUnwindSafe;

use nakcast::sim::Node;
use nakcast::sim::Options;
use nakcast::sim::Record;
use nakcast::sim::Report;
use nakcast::sim::Violation;
use nakcast::sim::run_watched;
use nakcast::time::Time;

thread_local! {
    static IS_TRYING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on a panic within [`attempt`] is taken down instead of printed.
pub(crate) fn catch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if IS_TRYING.get() {
            let lines = panic.to_string();
            PANIC.set(lines.lines().collect::<Vec<_>>().join(" "));
        } else {
            usual(panic);
        }
    }));
}

/// The promise that a world does the same again.
const HASH: &str = "hash";

/// Runs a world, and shows its events to `watch`. A panic counts as a promise that was broken.
pub(crate) fn attempt(options: &Options, watch: &mut dyn FnMut(&Record<'_>)) -> Result<Report, Violation> {
    let (mut at, mut node) = (Time::ZERO, Node::World);
    let mut note = |record: &Record<'_>| {
        (at, node) = (record.at, record.node);
        watch(record);
    };
    IS_TRYING.set(true);
    let ran = panic::catch_unwind(AssertUnwindSafe(|| run_watched(options, &mut note)));
    IS_TRYING.set(false);
    match ran {
        Ok(mut report) => report.violation.take().map_or(Ok(report), Err),
        Err(_) => Err(Violation { invariant: "panic", at, node: node.to_string(), what: PANIC.take() }),
    }
}

/// Whether it takes a second run to see this promise broken.
pub(crate) fn takes_two(violation: &Violation) -> bool {
    violation.invariant == HASH
}

/// Runs a world, and again if `twice`: then both runs must be the same.
pub(crate) fn judge(options: &Options, twice: bool) -> Result<Report, Violation> {
    let report = attempt(options, &mut |_| {})?;
    if !twice {
        return Ok(report);
    }
    let again = attempt(options, &mut |_| {})?;
    if again.trace_hash == report.trace_hash {
        return Ok(report);
    }
    let what = format!(
        "the trace has the hash {:#x}, and {:#x} when run again",
        report.trace_hash, again.trace_hash
    );
    Err(Violation { invariant: HASH, at: report.ended, node: Node::World.to_string(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_broken_promise_and_is_not_printed() {
        catch_panics();
        let mut left = 10;
        let broken = attempt(&Options::default(), &mut |_| {
            left -= 1;
            assert!(left > 0, "no\nmore");
        });
        let violation = broken.unwrap_err();
        assert_eq!(violation.invariant, "panic");
        assert!(violation.what.ends_with(" no more"), "{}", violation.what);
        assert!(attempt(&Options::default(), &mut |_| {}).is_ok());
    }

    #[test]
    fn a_calm_world_does_the_same_twice() {
        let report = judge(&Options::default(), true).unwrap();
        assert_eq!((report.feed.published, report.feed.delivered, report.feed.lost), (100, 100, 0));
    }
}
