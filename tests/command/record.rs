//! `record` and `replay`: messages to a capture file, and captures to messages.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use nakcast::sim::Node;
use nakcast::sim::Options;
use nakcast::sim::Packet;
use nakcast::sim::Pcap;
use nakcast::sim::Record;
use nakcast::sim::What;
use nakcast::sim::run_watched;
use nakcast::time::Time;

use crate::noise;
use crate::process::Ended;
use crate::process::GIVE_UP;
use crate::process::Running;
use crate::publish;
use crate::run;
use crate::subscribe;
use crate::uri;
use crate::words;

fn start(command: &str, parts: [&str; 2], arguments: &str) -> Running {
    Running::start(&[&[command, parts[0], parts[1]], &words(arguments)[..]].concat(), Some(b""))
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path of UTF-8").to_owned()
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}

/// Records what is published as `input` with `arguments`.
fn recorded(uri: &str, file: &str, arguments: &str, input: &[u8]) -> Ended {
    let recorder = start("record", [uri, file], "");
    publish(uri, &format!("--wait 1 --policy block {arguments}"), input).end().assert(0, &[]);
    recorder.end()
}

/// What a subscriber gets of a recording.
fn replayed_as(format: &str, file: &str, uri: &str, arguments: &str) -> (Ended, Ended) {
    let subscriber = subscribe(uri, &format!("--fail-on-loss {format}"));
    let replay = start("replay", [file, uri], &format!("--wait 1 --policy block {arguments}"));
    (replay.end(), subscriber.end())
}

/// The same, as lines.
fn replayed(file: &str, uri: &str, arguments: &str) -> (Ended, Ended) {
    replayed_as("", file, uri, arguments)
}

/// The packets of a capture, each with its 16 bytes of its own, behind the 24 of the file.
fn packets(file: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = fs::read(file).expect("a capture");
    let (header, mut rest) = bytes.split_at(24);
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().expect("four bytes")) as usize;
        let (packet, after) = rest.split_at(16 + length);
        packets.push(packet.to_vec());
        rest = after;
    }
    (header.to_vec(), packets)
}

fn time(packet: &[u8]) -> u64 {
    let number =
        |at: usize| u64::from(u32::from_le_bytes(packet[at..at + 4].try_into().expect("four bytes")));
    number(0) * 1_000_000_000 + number(4)
}

#[test]
fn a_recording_plays_every_byte_again() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), noise(1_000_003, 23));
    let (file, again) = (path(&folder, "a.pcap"), path(&folder, "b.pcap"));
    let input = path(&folder, "input");
    fs::write(&input, &bytes).unwrap();
    // 5,000 bytes are four fragments.
    let arguments = format!("--file {input} --chunk 5000 --topic t.chunks --timestamps");
    let ended = recorded(&uri(23), &file, &arguments, b"");
    ended.assert(0, &["recorded 201 messages in ", "published 801 = delivered 801 "]);
    let (replay, subscriber) = replayed_as("--raw", &file, &uri(24), "--speed max");
    replay.assert(
        0,
        &["published 201 messages (1.0 MB) as 801 offsets", "in the file, session ", "0 duplicates"],
    );
    assert!(!replay.stderr.contains("missing"), "{}", replay.stderr);
    assert!(subscriber.stdout == bytes, "{} bytes", subscriber.stdout.len());
    // A recording of a replay holds the same messages, with their topic.
    let recorder = start("record", [&uri(25), &again], "--topic t.");
    start("replay", [&file, &uri(25)], "--speed max --wait 1 --policy block").end().assert(0, &[]);
    recorder.end().assert(0, &["recorded 201 messages in ", "delivered 801 "]);
    assert_eq!(packets(&file).1.len(), packets(&again).1.len());
}

/// What was left out because of its topic is no loss.
#[test]
fn a_recording_of_some_topics_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, uri) = (path(&folder, "some.pcap"), uri(58));
    let recorder = start("record", [&uri, &file], "--topic a");
    let mut publisher =
        nakcast::Publisher::builder().udp(&uri).policy(nakcast::Policy::BLOCK).open().unwrap();
    publisher.wait_for(1, GIVE_UP).unwrap();
    for number in 0..100 {
        let topic: &[u8] = if number % 3 == 0 { b"a" } else { b"b" };
        publisher.publish(topic, b"message").unwrap();
    }
    publisher.finish(GIVE_UP).unwrap();
    recorder.end().assert(0, &["recorded 34 messages", "filtered 66"]);
    let replay = start("replay", [&file, &crate::uri(59)], "--speed max --fail-on-loss").end();
    replay.assert(0, &["published 34 messages"]);
    assert!(!replay.stderr.contains("missing"), "{}", replay.stderr);
}

/// The times of the messages are those that they had, and replaying takes as long.
#[test]
fn the_times_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "paced.pcap");
    recorded(&uri(26), &file, "--rate 100 --linger 0", lines(0..31).as_bytes())
        .assert(0, &["recorded 31 messages"]);
    let times: Vec<_> = packets(&file).1.iter().map(|packet| time(packet)).collect();
    // 31 messages and the end.
    assert_eq!(times.len(), 32);
    assert!(times.is_sorted() && times[30] > times[0], "{times:?}");
    assert!(times[0] > 1_600_000_000_000_000_000);
    let (replay, subscriber) = replayed(&file, &uri(27), "");
    replay.assert(0, &["published 31 messages", "late by "]);
    assert!(replay.number_after("datagrams, in ") >= (times[30] - times[0]) / 1_000_000, "{}", replay.stderr);
    assert_eq!(subscriber.text(), lines(0..31));
    let (replay, subscriber) = replayed(&file, &uri(27), "--speed 1000x");
    replay.assert(0, &["published 31 messages"]);
    assert_eq!(subscriber.text(), lines(0..31));
}

#[test]
fn an_interrupted_recording_is_whole() {
    let (folder, uri) = (tempfile::tempdir().unwrap(), uri(28));
    let file = path(&folder, "cut.pcap");
    let recorder = start("record", [&uri, &file], "--follow");
    // It has everything before the publisher is over.
    publish(&uri, "--wait 1 --policy block", lines(0..500).as_bytes()).end().assert(0, &["has everything"]);
    recorder.interrupt();
    recorder.end().assert(130, &["recorded 500 messages", "delivered 500 "]);
    let (replay, subscriber) = replayed(&file, &uri, "--speed max");
    replay.assert(0, &["published 500 messages"]);
    assert_eq!(subscriber.text(), lines(0..500));
}

#[test]
fn a_recording_ends_when_it_is_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name| path(&folder, name);
    let uri = uri(29);
    let recorders = [("count", "--count 7"), ("size", "--size 2000"), ("none", "--topic nothing.")];
    let running = recorders.map(|(name, arguments)| start("record", [&uri, &file(name)], arguments));
    publish(&uri, "--wait 3", lines(0..100).as_bytes()).end().assert(0, &[]);
    let [count, size, none] = running.map(Running::end);
    count.assert(0, &["recorded 7 messages"]);
    // Each is 16 + 28 + 32 + 4 bytes and its own six or seven.
    size.assert(0, &["recorded 23 messages"]);
    none.assert(0, &["recorded 0 messages", "filtered 100 "]);
    let quiet = start("record", [&uri, &file("quiet")], "--timeout 0.2").end();
    quiet.assert(1, &["recorded 0 messages", "no publisher was heard for 200ms"]);
    let taken = start("record", [&uri, &file("count")], "--timeout 0.2").end();
    taken.assert(1, &["nakcast: cannot create ", "name a file that does not exist"]);
}

#[test]
fn a_torn_file_is_named_by_its_byte_and_played_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "whole.pcap");
    recorded(&uri(30), &file, "--linger 0", lines(0..20).as_bytes()).assert(0, &["recorded 20 messages"]);
    let (header, packets) = packets(&file);
    let at = header.len() + packets[..11].iter().map(Vec::len).sum::<usize>();
    let torn = path(&folder, "torn.pcap");
    fs::write(&torn, &fs::read(&file).unwrap()[..at + 50]).unwrap();
    let (replay, subscriber) = replayed(&torn, &uri(31), "--speed max");
    replay.assert(
        1,
        &["published 11 messages", &format!("torn.pcap is cut off inside what begins at byte {at}:")],
    );
    assert_eq!(subscriber.text(), lines(0..11));
}

#[test]
fn what_is_missing_in_a_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "whole.pcap");
    recorded(&uri(32), &file, "--linger 0", lines(0..20).as_bytes()).assert(0, &["recorded 20 messages"]);
    let (mut bytes, mut packets) = packets(&file);
    // The last is the end, which says that there was a 19th.
    packets.remove(19);
    drop(packets.drain(5..8));
    bytes.extend(packets.concat());
    let holed = path(&folder, "holed.pcap");
    fs::write(&holed, &bytes).unwrap();
    let (replay, subscriber) = replayed(&holed, &uri(33), "--speed max --fail-on-loss");
    replay.assert(3, &["published 16 messages", "missing in the file: 4 offsets: 5..8, 19..20"]);
    assert_eq!(subscriber.text(), lines(0..5) + &lines(8..19));
}

/// A capture as tcpdump makes it on a subscriber's machine: lossy, out of order, with repairs and duplicates.
#[test]
fn a_capture_of_a_lossy_network_is_put_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "lossy.pcap");
    let options = Options {
        seed: 11,
        receivers: 2,
        messages: 400,
        large_share: 0.1,
        burst: 5,
        batch: 4,
        loss: 0.05,
        duplicate: 0.05,
        jitter: 0.05,
        ..Options::default()
    };
    let mut pcap = Pcap::new(Vec::new()).unwrap();
    let report = run_watched(&options, &mut |record| {
        if record.node == Node::Receiver(0) && record.what == What::Receives {
            pcap.record(&Record { what: What::Sends, ..*record }).unwrap();
        }
    });
    assert!(report.violation.is_none());
    fs::write(&file, pcap.finish().unwrap()).unwrap();
    let (replay, _) = replayed(&file, &uri(34), "--speed max --fail-on-loss");
    let published = format!("{} messages", report.published);
    replay.assert(0, &[&format!("published {published}"), &format!(": {published}, ")]);
    assert!(replay.number_after(&format!(": {published}, ")) > 20, "duplicates: {}", replay.stderr);
}

fn foreign(file: &Path, packets: &[(u64, &str, &[u8])]) {
    let mut pcap = Pcap::new(Vec::new()).expect("memory");
    for (at, to, bytes) in packets {
        let from = SocketAddr::from(([10, 0, 0, 1], 9));
        let packet = Some(Packet { from, to: to.parse().expect("an address"), bytes });
        pcap.record(&Record { at: Time(*at), node: Node::World, what: What::Sends, number: 0, packet })
            .expect("memory");
    }
    fs::write(file, pcap.finish().expect("memory")).expect("a folder to write to");
}

#[test]
fn any_datagrams_are_messages_with_raw() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "foreign.pcap");
    let (group, other) = ("233.54.12.111:26477", "233.54.12.111:26478");
    let packets: [(u64, &str, &[u8]); 4] =
        [(0, group, b"a\n"), (5, other, b"x\n"), (9, group, b""), (12, group, b"b\n")];
    foreign(folder.path().join("foreign.pcap").as_path(), &packets);
    let (replay, subscriber) =
        replayed_as("--raw", &file, &uri(35), &format!("--raw --to {group} --topic feed"));
    replay.assert(0, &["published 3 messages", "not played: 1 datagram to other addresses"]);
    assert_eq!(subscriber.text(), "a\nb\n");
    let ours = start("replay", [&file, &uri(36)], "").end();
    ours.assert(
        0,
        &["published 0 messages", "not played: 4 datagrams that are not nakcast's", "nobody subscribed"],
    );
}

#[test]
fn connections_are_recorded_and_played_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "tcp.pcap");
    let mut publisher = Running::start(&["pub", "tcp://127.0.0.1:0", "--wait", "1"], None);
    let at = publisher.wait_for_stderr("listening at ");
    let recorder = start("record", [&at, &file], "--from earliest");
    publisher.write(lines(0..300).as_bytes());
    publisher.end().assert(0, &["has everything"]);
    recorder.end().assert(0, &["recorded 300 messages", "published 300 = delivered 300 "]);
    let mut replay = start("replay", [&file, "tcp://127.0.0.1:0"], "--wait 1 --speed max");
    let at = replay.wait_for_stderr("listening at ");
    let subscriber = subscribe(&at, "--fail-on-loss").end();
    replay.end().assert(0, &["published 300 messages"]);
    assert_eq!(subscriber.text(), lines(0..300));
}

#[test]
fn files_and_speeds_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = path(&folder, "text");
    fs::write(&text, "this is no capture, but some text that is long enough").unwrap();
    let refused = [
        (format!("replay {text} udp://239.192.41.37:41037?interface=lo"), 1, "text is no capture"),
        (
            "replay /no/such.pcap udp://239.192.41.37:41037?interface=lo".to_owned(),
            1,
            "cannot open /no/such.pcap",
        ),
        (
            format!("replay {text} udp://239.192.41.37:41037?interface=lo --speed 0x"),
            2,
            "1x for its own speed",
        ),
        (format!("replay {text} udp://239.192.41.37:41037?interface=lo --topic a"), 2, "--raw"),
        (
            "record udp://239.192.41.37:41037?interface=lo /no/folder/x".to_owned(),
            1,
            "cannot create /no/folder/x",
        ),
        ("record udp://239.192.41.37:41037?interface=lo".to_owned(), 2, "<FILE>"),
    ];
    for (line, code, part) in refused {
        run(&line).assert(code, &[part]);
    }
    run("record --help").assert_stdout(0, &["Examples:", "tools/wireshark", "Exit codes:"]);
    run("replay --help").assert_stdout(0, &["Examples:", "--speed", "Exit codes:"]);
}
