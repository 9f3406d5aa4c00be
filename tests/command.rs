//! The `nakcast` command, as its users run it: real processes, real multicast on the loopback interface.
#![cfg(all(feature = "cli", unix))]

#[path = "command/doctor.rs"]
mod doctor;
#[path = "command/fan_out.rs"]
mod fan_out;
#[path = "command/metrics.rs"]
mod metrics;
#[path = "command/process.rs"]
mod process;
#[path = "command/record.rs"]
mod record;
#[path = "command/simulate.rs"]
mod simulate;
#[path = "command/stat.rs"]
mod stat;
#[path = "command/stream.rs"]
mod stream;
#[cfg(target_os = "linux")]
#[path = "command/top.rs"]
mod top;

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use sha2::Digest;
use sha2::Sha256;

use process::Ended;
use process::Running;

/// An endpoint of its own for each test, and a stream of its own for each run of the tests.
fn uri(test: u8) -> String {
    let (port, stream) = (41_000 + u16::from(test), std::process::id());
    format!("udp://239.192.41.{test}:{port}?interface=lo&stream={stream}")
}

/// Bytes that look random and are the same in every run.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a folder to write to");
    path.to_str().expect("a path of UTF-8").to_owned()
}

fn words(arguments: &str) -> Vec<&str> {
    arguments.split_whitespace().collect()
}

fn publish(uri: &str, arguments: &str, input: &[u8]) -> Running {
    Running::start(&[&["pub", uri], &words(arguments)[..]].concat(), Some(input))
}

fn subscribe(uri: &str, arguments: &str) -> Running {
    Running::start(&[&["sub", uri], &words(arguments)[..]].concat(), None)
}

/// A command that ends by itself, with its arguments in one string.
fn run(arguments: &str) -> Ended {
    Running::start(&words(arguments), Some(b"")).end()
}

#[test]
fn a_file_reaches_three_lossy_subscribers_whole() {
    let (uri, folder) = (uri(1), tempfile::tempdir().unwrap());
    let bytes = noise(3_000_001, 1);
    let path = file(folder.path(), "file", &bytes);
    let lossy = |seed| format!("--raw --fail-on-loss --inject-loss 5% --seed {seed}");
    let subscribers: Vec<_> = (1..=3).map(|seed| subscribe(&uri, &lossy(seed))).collect();
    let arguments = format!("--file {path} --chunk 1200 --policy block --wait 3");
    let publisher = publish(&uri, &arguments, b"").end();
    publisher.assert(0, &["published 2,501 messages (3.0 MB)", "3 subscribers", "has everything"]);
    for subscriber in subscribers {
        let ended = subscriber.end();
        ended.assert(0, &["published 2,501 = delivered 2,501 + filtered 0 + conflated 0 + lost 0"]);
        assert!(ended.number_after("repaired ") > 0, "{}", ended.stderr);
        assert_eq!(Sha256::digest(&ended.stdout), Sha256::digest(&bytes));
    }
}

#[test]
fn a_tape_is_restored_byte_for_byte() {
    let (uri, folder) = (uri(2), tempfile::tempdir().unwrap());
    let mut tape = Vec::new();
    for (number, size) in [0_u16, 1, 40, 1_395, 1_396, 1_397, 65_535].into_iter().cycle().take(70).enumerate()
    {
        tape.extend(size.to_be_bytes());
        tape.extend(noise(usize::from(size), number as u64));
    }
    let path = file(folder.path(), "tape", &tape);
    let subscriber = subscribe(&uri, "--u16-prefixed --fail-on-loss --inject-loss 0.05 --seed 7");
    let arguments = format!("--file {path} --u16-prefixed --policy block --wait 1");
    publish(&uri, &arguments, b"").end().assert(0, &["published 70 messages"]);
    let ended = subscriber.end();
    ended.assert(0, &["lost 0"]);
    assert!(ended.stdout == tape, "{} of {} bytes, or others", ended.stdout.len(), tape.len());
}

#[test]
fn a_topic_prefix_chooses_and_the_rest_is_counted() {
    let uri = uri(3);
    let subscriber = subscribe(&uri, "--topic trades. --exit-after 2");
    let trades = publish(&uri, "--topic trades.AAPL --wait 1", b"one\ntwo\n\nthree");
    trades.end().assert(0, &["published 4 messages"]);
    publish(&uri, "--topic quotes.AAPL --wait 1", b"a\nb\n").end().assert(0, &["published 2 messages"]);
    let ended = subscriber.end();
    ended.assert(
        0,
        &[
            "published 4 = delivered 4 + filtered 0 ",
            "published 2 = delivered 0 + filtered 2 + conflated 0 + lost 0",
        ],
    );
    assert_eq!(ended.text(), "one\ntwo\n\nthree\n");
}

#[test]
fn json_tells_every_event() {
    let uri = uri(4);
    let subscriber = subscribe(&uri, "--json");
    let input = [&b"plain \"quoted\"\n"[..], &[0xff, 0x00, b'\n']].concat();
    publish(&uri, "--topic t --wait 1 --timestamps", &input).end().assert(0, &[]);
    let ended = subscriber.end();
    ended.assert(0, &[]);
    let parse = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let events: Vec<_> = ended.text().lines().map(parse).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["up", "message", "message", "down"]);
    assert_eq!((&events[0]["from"], &events[0]["replaces"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!((&events[1]["offset"], &events[1]["topic"]), (&0.into(), &"t".into()));
    assert_eq!(events[1]["payload"], "plain \"quoted\"");
    assert!(events[1]["timestamp"].as_u64().unwrap() > 1_600_000_000_000_000_000);
    assert_eq!(
        (&events[2]["payload"], &events[2]["payload_base16"]),
        (&serde_json::Value::Null, &"ff00".into())
    );
    assert_eq!((&events[3]["reason"], &events[3]["heard"]), (&"ended".into(), &2.into()));
    assert!(events.iter().all(|event| event["session"] == events[0]["session"]));
}

#[test]
fn a_count_ends_it_and_too_few_are_an_error() {
    let uri = uri(5);
    let (five, many) = (subscribe(&uri, "--count 5"), subscribe(&uri, "--count 100"));
    let lines: String = (0..20).map(|number| format!("{number}\n")).collect();
    publish(&uri, "--wait 2", lines.as_bytes()).end().assert(0, &[]);
    let five = five.end();
    five.assert(0, &["delivered 5 "]);
    assert_eq!(five.text(), "0\n1\n2\n3\n4\n");
    many.end().assert(1, &["nakcast: --count 100 was asked for, and only 20 came"]);
}

#[test]
fn loss_fails_when_it_is_to() {
    let uri = uri(6);
    let arguments = "--no-repair --inject-loss 20% --seed 3";
    let (strict, lax) = (subscribe(&uri, &format!("{arguments} --fail-on-loss")), subscribe(&uri, arguments));
    let lines: String = (0..2_000).map(|number| format!("line {number}\n")).collect();
    publish(&uri, "--wait 2 --linger 0", lines.as_bytes()).end().assert(0, &["published 2,000 messages"]);
    let (strict, lax) = (strict.end(), lax.end());
    strict.assert(3, &["published 2,000 = ", "unrepaired", "further losses are only counted"]);
    lax.assert(0, &["published 2,000 = "]);
    let lost = strict.number_after("+ lost ");
    assert!(lost > 100, "{lost} of 2,000 at 20 %");
    assert_eq!(strict.text().lines().count() as u64 + lost, 2_000);
}

#[test]
fn whoever_spins_and_does_without_segmentation_gets_the_same() {
    let uri = uri(19);
    let subscriber = subscribe(&uri, "--spin --no-segmentation");
    let lines: String = (0..5_000).map(|number| format!("{number}\n")).collect();
    publish(&uri, "--wait 1 --spin=100 --no-segmentation", lines.as_bytes()).end().assert(0, &[]);
    let ended = subscriber.end();
    ended.assert(0, &["published 5,000 = delivered 5,000 "]);
    assert_eq!(ended.text(), lines);
}

#[test]
fn conflation_and_arrival_order_keep_the_account() {
    let uri = uri(7);
    let newest = subscribe(&uri, "--conflate 4");
    let fresh = subscribe(&uri, "--as-arrived --inject-loss 10% --seed 5 --fail-on-loss");
    let lines: String = (0..5_000).map(|number| format!("{number}\n")).collect();
    let publisher = publish(&uri, "--wait 2 --policy block --topic t --linger 0", lines.as_bytes());
    publisher.end().assert(0, &[]);
    let (newest, fresh) = (newest.end(), fresh.end());
    newest.assert(0, &["published 5,000 = "]);
    assert_eq!(newest.text().lines().last(), Some("4999"));
    fresh.assert(0, &["published 5,000 = delivered 5,000 "]);
    let mut numbers: Vec<u32> = fresh.text().lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..5_000));
}

#[test]
fn a_rate_is_kept() {
    let uri = uri(8);
    let subscriber = subscribe(&uri, "");
    let lines: String = (0..50).map(|number| format!("{number}\n")).collect();
    let ended = publish(&uri, "--rate 100 --wait 1", lines.as_bytes()).end();
    ended.assert(0, &["published 50 messages"]);
    // 49 hundredths of a second, and never less: `in 490 ms`.
    assert!(ended.number_after("datagrams, in ") >= 490, "{}", ended.stderr);
    assert_eq!(subscriber.end().text(), lines);
}

#[test]
fn wrong_command_lines_are_refused_with_a_remedy() {
    let long = "t".repeat(256);
    let refused = [
        ("sub 239.192.41.9:41009", 2, "does not begin with udp:// or tcp://"),
        ("sub tcp://239.192.41.9:41009", 2, "is a multicast group"),
        ("sub tcp://127.0.0.1:0", 1, "choose a port from 1 to 65535"),
        ("sub tcp://127.0.0.1:41009?interface=lo", 2, "stream and topic exist"),
        ("sub tcp://127.0.0.1:41009 tcp://127.0.0.1:41010", 2, "there may be one tcp:// among several"),
        ("sub tcp://127.0.0.1:41009 --from now", 2, "live, earliest or an offset"),
        ("sub tcp://127.0.0.1:41009 --inject-loss 5%", 2, "--inject-loss and --seed are for udp://"),
        ("sub tcp://127.0.0.1:41009 --no-repair", 2, "--no-repair is for udp://"),
        ("sub tcp://127.0.0.1:41009 --busy-poll 50", 2, "are for udp://: leave them out"),
        ("sub tcp://127.0.0.1:41009 --state s --conflate 4", 2, "cannot be used with"),
        (
            "sub tcp://127.0.0.1:41009 --state /no/such/folder/s",
            1,
            "cannot keep the state in /no/such/folder/s",
        ),
        ("sub tcp://no.such.host.invalid:41009", 1, "no.such.host.invalid cannot be looked up"),
        ("pub", 2, "required arguments were not provided"),
        ("pub tcp://127.0.0.1:0 tcp://127.0.0.1:0", 2, "one tcp:// URI at most"),
        ("pub udp://239.192.41.9:1?interface=lo udp://239.192.41.9:1?interface=lo", 1, "named twice"),
        ("pub tcp://127.0.0.1:0 --no-segmentation", 2, "leave them out with tcp:// alone"),
        ("pub tcp://127.0.0.1:0?topic=a", 1, "topic= is for subscribers"),
        ("pub tcp://127.0.0.1:0 udp://239.192.41.9:41009?stream=2", 1, "write the same stream= in both"),
        ("sub udp://localhost:41009", 2, "names are not looked up"),
        ("pub udp://239.192.41.9:0", 2, "choose a port from 1 to 65535"),
        ("pub udp://239.192.41.9:41009?iface=lo", 2, "interface, source, stream, ttl and join exist"),
        (
            "sub udp://239.192.41.9:41009?interface=none0 --timeout 1",
            1,
            "no network interface none0; there are: ",
        ),
        ("sub udp://239.192.41.9:41009?interface=lo --inject-loss 5", 2, "0.05 or 5%"),
        ("sub udp://239.192.41.9:41009?interface=lo --raw --json", 2, "cannot be used with"),
        ("pub udp://239.192.41.9:41009?interface=lo --ring 1000", 1, "ring is 1000: choose 524288 to "),
        ("pub udp://239.192.41.9:41009?interface=lo --ring 64X", 2, "64K, 64M or 1G"),
        ("pub udp://239.192.41.9:41009?interface=lo --patience 3", 2, "--patience is for --policy block"),
        ("pub udp://239.192.41.9:41009?interface=lo --chunk 0", 2, "choose 1 byte to 16M"),
        ("pub udp://239.192.41.9:41009?interface=lo --file /no/such/file", 1, "cannot open /no/such/file: "),
        ("demo --loss 101", 2, "percent from 0 to 100"),
        ("frobnicate", 2, "unrecognized subcommand 'frobnicate'"),
    ];
    let running: Vec<_> = refused.iter().map(|(line, ..)| Running::start(&words(line), Some(b""))).collect();
    for (running, (_, code, text)) in running.into_iter().zip(refused) {
        let ended = running.end();
        ended.assert(code, &[text]);
        if code == 1 {
            let said: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("nakcast: ")).collect();
            assert_eq!(said.len(), 1, "{}", ended.stderr);
        }
    }
    let topic = run(&format!("pub udp://239.192.41.9:41009?interface=lo --topic {long}"));
    topic.assert(2, &["a topic of 256 bytes is more than 255: shorten it"]);
}

#[test]
fn nobody_there_is_an_error_that_says_so() {
    let publisher = publish(&uri(14), "--wait 1 --wait-timeout 0.2", b"");
    let subscriber = subscribe(&uri(15), "--timeout 0.2");
    publisher.end().assert(1, &["nakcast: 0 of 1 subscribers came within 200ms: start them"]);
    subscriber.end().assert(1, &["nakcast: no publisher was heard for 200ms: start one"]);
}

#[test]
fn what_cannot_be_published_is_named_and_the_rest_is() {
    let uri = uri(10);
    let subscriber = subscribe(&uri, "");
    let input = [b"short\n".to_vec(), vec![b'x'; 200_000]].concat();
    let ended = publish(&uri, "--ring 512K --wait 1", &input).end();
    ended.assert(
        1,
        &["nakcast: message 2 was not published: a message of 200000 bytes is more than", "enlarge the ring"],
    );
    assert_eq!(subscriber.end().text(), "short\n");
    let ended = publish(&uri, "--u16-prefixed", b"\0\x03abc\0\x09abc").end();
    ended.assert(1, &["published 1 message ", "inside record 2, with 5 of its 11 bytes"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = run(&format!("sub udp://{address}?interface=lo --timeout 1"));
    let port = address.port();
    let held = format!(
        "nakcast: another process holds udp port {port} on 127.0.0.1: stop it or choose another port"
    );
    ended.assert(1, &[&held]);
}

#[test]
fn one_address_is_served_like_a_group() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uri = format!("udp://{free}?interface=lo");
    let subscriber = subscribe(&uri, "--inject-loss 20% --seed 2 --fail-on-loss");
    let lines: String = (0..3_000).map(|number| format!("line {number}\n")).collect();
    publish(&uri, "--wait 1 --policy block", lines.as_bytes()).end().assert(0, &["1 subscriber,"]);
    let ended = subscriber.end();
    ended.assert(0, &["lost 0"]);
    assert_eq!(ended.text(), lines);
}

#[test]
fn the_demo_holds_what_it_promises() {
    let ended = run("demo --seconds 1 --rate 20000 --seed 1");
    ended.assert(0, &["3 subscribers, each losing 5 %"]);
    for part in ["= delivered", "p99", "from NAK to repair", "nothing was lost, and every byte was right"] {
        assert!(ended.text().contains(part), "no {part:?} in:\n{}", ended.text());
    }
}

#[test]
fn help_teaches() {
    run("--help").assert_stdout(0, &["nakcast demo", "Exit codes:", "interface="]);
    run("pub --help").assert_stdout(0, &["Examples:", "--u16-prefixed", "interface=", "Exit codes:"]);
    run("sub --help").assert_stdout(0, &["Examples:", "--fail-on-loss", "interface=", "Exit codes:"]);
    run("demo --help").assert_stdout(0, &["Examples:", "--loss", "Exit codes:"]);
}

#[test]
fn ctrl_c_ends_both_sides_with_totals() {
    let uri = uri(11);
    let mut subscriber = subscribe(&uri, "--follow");
    let mut publisher = Running::start(&["pub", &uri, "--wait", "1"], None);
    publisher.write(b"one\ntwo\n");
    subscriber.wait_for_stdout("one\ntwo\n");
    publisher.interrupt();
    publisher.end().assert(130, &["published 2 messages", "1 subscriber,"]);
    subscriber.interrupt();
    subscriber.end().assert(130, &["published 2 = delivered 2 + filtered 0 + conflated 0 + lost 0"]);
}

#[test]
fn a_broken_pipe_ends_quietly() {
    let uri = uri(12);
    let subscriber = Running::start_unheard(&["sub", &uri]);
    let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
    publish(&uri, "--wait 1", lines.as_bytes()).end().assert(0, &["published 100 messages"]);
    let ended = subscriber.end();
    ended.assert(0, &["published "]);
    assert!(!ended.stderr.contains("nakcast: "), "{}", ended.stderr);
}

#[test]
fn who_holds_everybody_is_evicted_by_name() {
    let uri = uri(13);
    let (mut stuck, well) = (subscribe(&uri, ""), subscribe(&uri, "--fail-on-loss --raw"));
    let mut publisher = Running::start(
        &[
            "pub",
            &uri,
            "--wait",
            "2",
            "--policy",
            "block",
            "--patience",
            "0.5",
            "--finish-timeout",
            "1",
            "--chunk",
            "1300",
        ],
        None,
    );
    publisher.write(&noise(1_300, 1));
    stuck.wait_for_stdout("");
    stuck.stop();
    let rest = noise(16_000_000, 2);
    publisher.write(&rest);
    publisher.close_stdin();
    publisher.end().assert(1, &["nakcast: evicted subscriber ", "was evicted", "2 subscribers"]);
    let well = well.end();
    well.assert(0, &["lost 0"]);
    assert_eq!(well.stdout.len(), 1_300 + rest.len());
}
