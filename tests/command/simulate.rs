//! `nakcast sim`: what a feed would do, and whether every promise holds.

use std::fs;

use nakcast::sim::Options;

use crate::Running;
use crate::file;
use crate::run;

#[test]
fn seeds_are_clean_and_counted() {
    run("sim --seed 0x1").assert_stdout(0, &["1 seed clean in ", " lost by name"]);
    run("sim --seeds 3 --twice 100 --jobs 2")
        .assert_stdout(0, &["3 seeds clean in ", " events, ", " a second"]);
}

#[test]
fn a_single_seed_is_captured_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcap");
    run(&format!("sim --seed 0x1 --pcap {}", path.display()))
        .assert_stdout(0, &["1 seed clean in ", "capture: ", " datagrams in ", "capture.pcap"]);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 1_000, "{} bytes", bytes.len());
    let traced = run(&format!("sim --seed 0x1 --trace --pcap {}", path.display()));
    traced.assert(0, &["capture: ", ", in place of the file that was there"]);
    assert!(fs::read(&path).unwrap() == bytes);
    run("sim --seed 0x1 --pcap /no/such/file")
        .assert_stdout(1, &["1 seed clean in ", "capture: none: cannot write /no/such/file: "]);
    fs::remove_file(&path).unwrap();
    run(&format!("sim --seeds 2 --pcap {}", path.display())).assert_stdout(0, &["2 seeds clean in "]);
    assert!(!path.exists());
}

#[test]
fn a_trace_is_the_same_every_time() {
    let (once, again) = (run("sim --seed 2 --trace"), run("sim --seed 0x2 --trace"));
    once.assert(0, &["1 seed clean: "]);
    assert!(once.stdout == again.stdout && once.stdout.len() > 10_000, "{} bytes", once.stdout.len());
    assert!(once.text().lines().any(|line| line.contains(" pub0 sends 10.0.1.0:4000 -> ")));
}

#[test]
fn a_trace_ends_when_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "options", b"seed = 1\nmessages = 1000000\n");
    let mut running = Running::start(&["sim", "--options", &path, "--trace"], Some(b""));
    running.wait_for_stdout("");
    running.interrupt();
    let ended = running.end();
    ended.assert(130, &["interrupted: 0 seeds clean"]);
    assert!(ended.stdout.ends_with(b"\n") && !ended.text().contains(" finishes "), "it went on");
}

#[test]
fn written_options_make_the_same_world() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "options", Options::draw(1).to_text().as_bytes());
    let written = run(&format!("sim --options {path} --trace"));
    written.assert(0, &[]);
    assert!(written.stdout == run("sim --seed 1 --trace").stdout);
    run(&format!("sim --options {path} --seed 7 --seeds 2")).assert_stdout(0, &["2 seeds clean"]);
    run(&format!("sim --options {path} --shrink")).assert_stdout(0, &["1 seed clean"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_feed_is_shown_as_a_table() {
    let line = "sim --loss 2% --rtt 200us --receivers 5 --rate 1G --messages 2000 --seed 3";
    let ended = run(line);
    ended.assert_stdout(
        0,
        &[
            "2,000 messages of 100 bytes at 50,000 a second to 5 receivers",
            "round trip 200 µs, 2 % lost, a link of 1 Gbit/s; seed 0x3",
            "from published to delivered",
            "p99.9",
            "2,000 messages × 5 receivers = delivered 10,000 + lost 0",
            "NAKs: ",
            "repairs: ",
        ],
    );
    assert_eq!(ended.stdout, run(line).stdout);
    run("sim --loss 5% --burst-loss 8 --jitter 20us --messages 500 --size 3000 --pace 1000").assert_stdout(
        0,
        &["5 % lost, in bursts of 8", "round trip 200 µs + 20 µs each way at random", "1,500 offsets"],
    );
}

#[test]
fn the_figures_of_a_feed_add_up() {
    let ended = run("sim --json --loss 10% --receivers 4 --messages 1000 --pace 20000");
    ended.assert(0, &[]);
    let figures: serde_json::Value = serde_json::from_str(&ended.text()).unwrap();
    let number = |name: &str| figures[name].as_u64().unwrap_or_else(|| panic!("no {name} in {figures}"));
    assert_eq!((number("published"), number("offsets")), (1_000, 1_000));
    assert_eq!(number("offsets") * 4, number("delivered") + number("lost"));
    assert!(number("repaired") > 200 && number("naks") > 0 && number("repair_bytes") > 0, "{figures}");
    let time = |kind: &str, quantile: &str| figures[kind][quantile].as_u64().unwrap();
    // Half a round trip at least; a repair one and a half.
    assert!(time("latency_ns", "p50") > 100_000 && time("repair_latency_ns", "p50") > 300_000, "{figures}");
    assert!(time("latency_ns", "max") >= time("latency_ns", "p99"));
}

#[test]
fn wrong_simulations_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "options", b"seed = 1\n\nlosss = 0.5\n");
    run(&format!("sim --options {path}"))
        .assert(1, &["nakcast: cannot read the options in ", "line 3: ", "losss"]);
    let refused = [
        ("sim --options /no/such/file", 1, "nakcast: cannot open /no/such/file: "),
        ("sim --loss 1% --seeds 2", 2, "do not mix: leave one kind out"),
        ("sim --json --trace", 2, "do not mix: leave one kind out"),
        ("sim --seeds 2 --trace", 2, "cannot be used with"),
        ("sim --seed x", 2, "159 or 0x9f"),
        ("sim --rtt 5", 2, "200us, 5ms or 1s"),
        ("sim --rate 1X", 2, "100M or 1G"),
        ("sim --rtt 2s", 2, "repair gives up before that"),
        ("sim --messages 1000000 --pace 1000", 2, "more than 50 s: lower --messages, or raise --pace"),
        ("sim --messages 1000000 --pace 1000000 --receivers 50", 2, "more than 20,000,000 deliveries"),
        ("sim", 2, "Usage: nakcast sim"),
    ];
    for (line, code, text) in refused {
        run(line).assert(code, &[text]);
    }
    run("sim --help").assert_stdout(0, &["What a feed would do", "--burst-loss", "--shrink", "Exit codes:"]);
}
