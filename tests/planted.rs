//! Bugs, planted one at a time: the simulator finds every one.
//!
//! ```text
//! RUSTFLAGS="--cfg nakcast_planted" cargo test --release --test planted
//! ```
#![cfg(nakcast_planted)]

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::thread;

use nakcast::Bug;
use nakcast::plant;
use nakcast::sim::Options;
use nakcast::sim::run;

/// Within so many seeds each bug must show.
const SEEDS: u64 = 5_000;

/// The first seed that finds `bug`, and what it finds: nothing without it.
fn hunt(bug: Bug) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let what = symptom(Some(bug), seed)?;
        symptom(None, seed).is_none().then_some((seed, what))
    })
}

fn symptom(bug: Option<Bug>, seed: u64) -> Option<String> {
    plant(bug);
    let report = catch_unwind(AssertUnwindSafe(|| run(&Options::draw(seed))));
    plant(None);
    match report {
        Ok(report) => report.violation.map(|violation| violation.to_string()),
        Err(_) => Some("panic".to_owned()),
    }
}

#[test]
fn every_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| ()));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = |worker| Bug::ALL.iter().copied().skip(worker).step_by(workers);
    let missed: Vec<Bug> = thread::scope(|scope| {
        let hunts: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    share(worker).filter(|bug| told(*bug, hunt(*bug)).is_none()).collect::<Vec<_>>()
                })
            })
            .collect();
        hunts.into_iter().flat_map(|hunt| hunt.join().expect("a hunt ends")).collect()
    });
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}

fn told(bug: Bug, found: Option<(u64, String)>) -> Option<u64> {
    match found {
        Some((seed, what)) => {
            println!("{bug:?}: seed {seed}: {what}");
            Some(seed)
        }
        None => {
            println!("{bug:?}: NOT FOUND");
            None
        }
    }
}
