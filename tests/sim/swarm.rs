//! Seeds: none breaks a promise, and each does the same again.

use core::time::Duration;
use std::fs;

use nakcast::StreamId;
use nakcast::protocol::ReceiverSettings;
use nakcast::protocol::SubscriptionSettings;
use nakcast::sim::Options;
use nakcast::sim::OptionsError;
use nakcast::sim::Pacing;
use nakcast::sim::Report;
use nakcast::sim::What;
use nakcast::sim::memory_bound;
use nakcast::sim::run;
use nakcast::sim::run_watched;
use nakcast::wire::ReceiverId;

/// Seeds of every `cargo test`; many more are run by the command `nakcast sim`.
const SEEDS: u64 = 100;
/// Every so many is run twice.
const TWICE: u64 = 25;

fn check(options: &Options, why: &str) -> Report {
    println!("{why}");
    let report = run(options);
    let violation = report.violation.as_ref().map(ToString::to_string);
    assert_eq!(violation, None, "{why}\n{options}");
    report
}

#[test]
fn no_seed_breaks_a_promise_and_each_does_the_same_again() {
    let mut delivered = 0;
    for seed in 0..SEEDS {
        let report = check(&Options::draw(seed), &format!("seed {seed}"));
        delivered += report.delivered;
        if seed % TWICE == 0 {
            assert_eq!(run(&Options::draw(seed)), report, "seed {seed} again");
        }
    }
    assert!(delivered > 1_000 * SEEDS / 10, "{delivered} offsets delivered: the worlds are too small");
}

/// Kept as options, not as seeds: what a seed draws changes with every fault that is added.
#[test]
fn what_found_something_once_is_clean() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/regressions");
    let mut paths: Vec<_> = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 13, "{paths:?}");
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let why = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
        check(&Options::parse(&text).unwrap(), why);
    }
}

/// In a calm world nobody asks for anything, and everything comes after just the delay.
#[test]
fn a_calm_world_is_calm() {
    let options = Options { receivers: 3, delay: Duration::from_micros(70), ..Options::default() };
    let report = run(&options);
    assert_eq!(report.violation, None);
    // The last three are lost on purpose, to see that it is noticed.
    assert_eq!((report.published, report.delivered, report.lost), (103, 309, 0));
    assert_eq!(report.latency(0.0), Duration::from_micros(70));
    assert_eq!(report.latency(0.95), Duration::from_micros(70));
    assert!(
        report.naks <= 3 * 3 && report.repairs <= 3 * 2,
        "{} NAKs, {} repairs",
        report.naks,
        report.repairs
    );
}

#[test]
fn watching_changes_nothing() {
    let options = Options::draw(3);
    let (mut events, mut sends) = (0, 0);
    let watched = run_watched(&options, &mut |record| {
        events += 1;
        sends += u64::from(record.what == What::Sends && record.packet.is_some());
        assert!(!record.to_string().is_empty());
    });
    assert_eq!(watched, run(&options));
    assert_eq!(watched.events, events);
    assert!(sends > 0 && sends < events);
}

/// A network without NAKs and a ring that forgets: losses happen, and are told.
#[test]
fn what_cannot_be_repaired_is_told() {
    let options = Options {
        messages: 400,
        loss: 0.05,
        mute_naks: 1.0,
        mute_for: Duration::from_secs(30),
        pacing: Pacing::Free,
        ..Options::default()
    };
    let report = run(&options);
    assert_eq!(report.violation, None);
    assert!(report.lost > 5 && report.delivered + report.lost == 403, "{report:?}");
}

#[test]
fn options_survive_being_written_down() {
    for seed in 0..200_u64 {
        let options = Options::draw(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert_eq!(Options::parse(&options.to_text()), Ok(options));
    }
    let short = Options::parse("# mine\n\n loss = 0.25\ndelay = \"3ms\"\npacing = \"block\"\n").unwrap();
    let expected =
        Options { loss: 0.25, delay: Duration::from_millis(3), pacing: Pacing::Block, ..Options::default() };
    assert_eq!(short, expected);
}

#[test]
fn a_bad_line_is_named() {
    let wrong = |text: &str| Options::parse(text).unwrap_err();
    assert_eq!(wrong("loss = 0.1\nnonsense"), OptionsError::Form { line: 2, text: "nonsense".to_owned() });
    assert_eq!(wrong("lost = 1"), OptionsError::Name { line: 1, name: "lost".to_owned() });
    let value = |name: &str, value: &str| OptionsError::Value {
        line: 1,
        name: name.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(wrong("loss = much"), value("loss", "much"));
    assert_eq!(wrong("loss = -0.5"), value("loss", "-0.5"));
    assert_eq!(wrong("delay = 5"), value("delay", "5"));
    assert_eq!(wrong("pacing = \"fast\"").to_string(), "line 1: pacing cannot be \"fast\"");
}

/// What would overflow somewhere, or make no sense, is refused where it is read.
#[test]
fn a_value_beyond_all_bounds_is_refused() {
    let refused = [
        "receivers = 0",
        "receivers = 201",
        "publishers = 3",
        "messages = 0",
        "datagram = 63",
        "datagram = 65001",
        "loss = 1.5",
        "asymmetry = 1e300",
        "copies = 0",
        "delay = \"90000s\"",
        "ring = 0xffffffffffffffff",
    ];
    for line in refused {
        let error = Options::parse(line).unwrap_err();
        assert!(matches!(error, OptionsError::Value { line: 1, .. }), "{error}");
    }
    let product = Options::parse("interval = \"3600s\"\nmessages = 1000").unwrap_err();
    assert!(matches!(product, OptionsError::Value { line: 2, .. }), "{product}");
    let most = Options::parse("receivers = 200\nloss = 1\ndelay = \"24000ms\"\ndatagram = 65000").unwrap();
    assert_eq!((most.receivers, most.datagram), (200, 65_000));
}

/// Whatever fails can be made simpler until nothing is left to take away.
#[test]
fn simpler_options_come_to_an_end() {
    let mut options = Options::draw(11);
    for step in 0.. {
        assert!(step < 200, "{options}");
        let Some(simpler) = options.simpler().pop() else { break };
        assert_ne!(simpler, options);
        options = simpler;
    }
    assert_eq!((options.messages, options.receivers), (1, 1));
    let calm = Options { seed: options.seed, messages: 1, receivers: 1, ..Options::default() };
    assert_eq!(options, calm);
}

#[test]
fn memory_is_bounded_by_the_settings_alone() {
    let receiver = ReceiverSettings::new(StreamId(1), ReceiverId(1), 1);
    let mut settings = SubscriptionSettings::new(receiver);
    let default = memory_bound(&settings);
    assert_eq!(default, 64 * ((8 << 20) + (16 << 20) + 512 + 65_507) + (4 << 20));
    settings.conflate = Some(10);
    assert_eq!(memory_bound(&settings), default + 10 * ((16 << 20) + 512 + 255 + 2));
}
