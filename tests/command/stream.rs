//! `pub` and `sub` over TCP: late joiners, what is remembered between two runs, and a publisher that comes back.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use sha2::Digest;
use sha2::Sha256;

use crate::file;
use crate::noise;
use crate::process::Running;
use crate::run;
use crate::subscribe;
use crate::words;

/// A publisher that reads its input from the test, and where subscribers find it.
fn publisher(uris: &str, arguments: &str) -> (Running, String) {
    let mut publisher = Running::start(&[&["pub"], &words(uris)[..], &words(arguments)].concat(), None);
    let uri = publisher.wait_for_stderr("listening at ");
    (publisher, uri)
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{number}\n")).collect()
}

fn place(state: &Path) -> (String, u64) {
    let text = fs::read(state).expect("a state");
    let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let session = value["session"].as_str().expect("a session");
    (session.to_owned(), value["next"].as_u64().expect("an offset"))
}

#[test]
fn a_file_reaches_three_subscribers_whole_over_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(3_000_001, 3);
    let path = file(folder.path(), "file", &bytes);
    let arguments = format!("--file {path} --chunk 1200 --policy block --wait 3 --ring 512K");
    let (publisher, uri) = publisher("tcp://127.0.0.1:0", &arguments);
    let subscribers: Vec<_> = ["", "--spin=100", "--from earliest"]
        .map(|more| subscribe(&uri, &format!("--raw --fail-on-loss {more}")))
        .into();
    publisher.end().assert(0, &["published 2,501 messages (3.0 MB)", "3 subscribers", "has everything"]);
    for subscriber in subscribers {
        let ended = subscriber.end();
        ended.assert(
            0,
            &["published 2,501 = delivered 2,501 + filtered 0 + conflated 0 + lost 0", "NAKs 0, "],
        );
        assert_eq!(Sha256::digest(&ended.stdout), Sha256::digest(&bytes));
    }
}

#[test]
fn both_carriers_of_one_publisher_carry_the_same_offsets() {
    let group = crate::uri(16);
    let stream = group.rsplit_once('&').unwrap().1;
    let (mut publisher, listening) =
        publisher(&format!("{group} tcp://127.0.0.1:0?{stream}"), "--wait 2 --topic t");
    let uri = format!("{listening}?{stream}");
    let subscribers = [subscribe(&group, "--json"), subscribe(&uri, "--json")];
    publisher.write(lines(0..1_000).as_bytes());
    publisher.end().assert(0, &["published 1,000 messages", "2 subscribers"]);
    let messages = subscribers.map(|subscriber| {
        let ended = subscriber.end();
        ended.assert(0, &["published 1,000 = delivered 1,000 "]);
        let text = ended.text();
        text.lines().filter(|line| line.contains("\"message\"")).map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(messages[0].len(), 1_000);
    assert!(messages[0] == messages[1]);
}

#[test]
fn who_comes_late_chooses_where_to_begin() {
    let (mut publisher, uri) = publisher("tcp://[::1]:0", "--topic t");
    publisher.write(lines(0..100).as_bytes());
    // Only once the last line is there can the live one know what lies in the past.
    run(&format!("sub {uri} --from earliest --count 100")).assert(0, &["published 100 = delivered 100 "]);
    run(&format!("sub {uri} --from 40 --count 60"))
        .assert(0, &["published 60 from offset 40 on = delivered 60 "]);
    let topic = run(&format!("sub {uri}?topic=s --from earliest --timeout 2"));
    topic.assert(0, &["published 100 = delivered 0 + filtered 100 + "]);
    run(&format!("sub {uri} --from 101")).assert(1, &["refuses this subscriber", "begin no later than"]);
    let mut live = subscribe(&uri, "--json");
    live.wait_for_stdout("");
    publisher.write(lines(100..110).as_bytes());
    publisher.end().assert(0, &["published 110 messages"]);
    let live = live.end();
    live.assert(0, &["published 10 from offset 100 on = delivered 10 "]);
}

#[test]
fn a_state_continues_where_it_ended_whatever_ended_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = format!("--from earliest --state {}", state.display());
    let (mut publisher, uri) = publisher("tcp://127.0.0.1:0", "");
    publisher.write(lines(0..1_000).as_bytes());
    let mut all = String::new();
    for (count, next) in [(1, 1), (98, 99), (1, 100), (400, 500)] {
        let ended = run(&format!("sub {uri} {arguments} --count {count}"));
        ended.assert(0, &[&format!("delivered {count} ")]);
        all += &ended.text();
        assert_eq!(place(&state).1, next);
    }
    let mut interrupted = subscribe(&uri, &arguments);
    interrupted.wait_for_stdout(&lines(500..1_000));
    interrupted.interrupt();
    let ended = interrupted.end();
    ended.assert(130, &["published 500 from offset 500 on = delivered 500 "]);
    all += &ended.text();
    assert_eq!(place(&state).1, 1_000);
    let mut last = subscribe(&uri, &arguments);
    publisher.write(lines(1_000..1_010).as_bytes());
    last.wait_for_stdout(&lines(1_000..1_010));
    publisher.close_stdin();
    let ended = last.end();
    ended.assert(0, &["published 10 from offset 1000 on = delivered 10 "]);
    assert_eq!(all + &ended.text(), lines(0..1_010));
    publisher.end().assert(0, &[]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what was written beside the state is gone");
}

#[test]
fn a_state_continues_over_a_group_whose_publisher_serves_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let group = crate::uri(17);
    let stream = group.rsplit_once('&').unwrap().1;
    let (mut publisher, _) = publisher(&format!("{group} tcp://127.0.0.1:0?{stream}"), "");
    publisher.write(lines(0..1_000).as_bytes());
    let arguments = format!("--from earliest --state {}", state.display());
    let mut all = String::new();
    for (count, next) in [(1, 1), (399, 400), (600, 1_000)] {
        let ended = run(&format!("sub {group} {arguments} --count {count}"));
        ended.assert(0, &[&format!("delivered {count} "), "lost 0"]);
        all += &ended.text();
        assert_eq!(place(&state).1, next);
    }
    assert_eq!(all, lines(0..1_000));
    publisher.end().assert(0, &[]);
}

/// What was written and not yet remembered comes again, and nothing is left out.
#[test]
fn a_subscriber_that_is_killed_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = format!("--from earliest --state {}", state.display());
    let (mut publisher, uri) = publisher("tcp://127.0.0.1:0", "--rate 5000");
    publisher.write(lines(0..25_000).as_bytes());
    let mut written = 0;
    for _ in 0..2 {
        let remembered = state.exists().then(|| place(&state).1);
        let mut subscriber = subscribe(&uri, &arguments);
        while !state.exists() || Some(place(&state).1) == remembered {
            subscriber.wait_for_more();
        }
        let output = String::from_utf8(subscriber.kill()).unwrap();
        // The last line may be cut off.
        let whole = &output[..output.rfind('\n').unwrap() + 1];
        let first = remembered.unwrap_or(0) as u32;
        assert_eq!(whole, lines(first..first + whole.lines().count() as u32));
        assert!(first <= written && place(&state).1 <= u64::from(first) + whole.lines().count() as u64);
        written = first + whole.lines().count() as u32;
    }
    let remembered = place(&state).1 as u32;
    assert!((1..=written).contains(&remembered));
    let ended = run(&format!("sub {uri} {arguments} --count {}", 25_000 - remembered));
    ended.assert(0, &["lost 0"]);
    assert_eq!(ended.text(), lines(remembered..25_000));
    assert_eq!(place(&state).1, 25_000);
    publisher.end().assert(0, &[]);
}

#[test]
fn a_state_of_another_session_says_so_and_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let arguments = format!("--state {}", state.display());
    let (mut first, uri) = publisher("tcp://127.0.0.1:0", "");
    first.write(lines(0..10).as_bytes());
    run(&format!("sub {uri} {arguments} --from earliest --count 10")).assert(0, &["delivered 10 "]);
    let session = place(&state).0;
    drop(first.kill());
    // Of the new session there is once less than the state says, and then more.
    let (mut second, uri) = publisher("tcp://127.0.0.1:0", "");
    second.write(lines(10..15).as_bytes());
    let ended = run(&format!("sub {uri} {arguments} --count 5"));
    ended.assert(0, &["the publisher has begun a new session", &session, "published 5 = delivered 5 "]);
    assert_eq!((ended.text(), place(&state).1), (lines(10..15), 5));
    assert_ne!(place(&state).0, session);
    let (mut third, uri) = publisher("tcp://127.0.0.1:0", "");
    third.write(lines(15..30).as_bytes());
    run(&format!("sub {uri} --from earliest --count 15")).assert(0, &[]);
    let ended = run(&format!("sub {uri} {arguments} --count 15"));
    ended.assert(0, &["the publisher has begun a new session", "published 15 = delivered 15 "]);
    assert_eq!(ended.text(), lines(15..30));
    second.end().assert(0, &[]);
    third.end().assert(0, &[]);
}

#[test]
fn a_damaged_state_is_refused_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "state", b"{\"nakcast\":\"state\",\"vers");
    let ended = run(&format!("sub tcp://127.0.0.1:41009 --state {path}"));
    ended.assert(1, &[&format!("nakcast: {path} is no state of `nakcast sub`"), "delete it to begin anew"]);
    let (mut publisher, uri) = publisher("tcp://127.0.0.1:0", "");
    publisher.write(b"one\n");
    run(&format!("sub {uri} --from earliest --count 1")).assert(0, &[]);
    let good = folder.path().join("good");
    run(&format!("sub {uri} --from earliest --count 1 --state {}", good.display())).assert(0, &[]);
    let text = fs::read_to_string(&good).unwrap().replace("\"next\":1", "\"next\":9");
    let path = file(folder.path(), "ahead", text.as_bytes());
    run(&format!("sub {uri} --state {path}")).assert(1, &["says offset 9 of session", "it was altered"]);
    publisher.end().assert(0, &[]);
}

#[test]
fn a_publisher_that_is_killed_and_comes_back_is_followed() {
    let (mut first, uri) = publisher("tcp://127.0.0.1:0", "--wait 1");
    let mut subscriber = subscribe(&uri, "--follow");
    first.write(b"one\ntwo\n");
    subscriber.wait_for_stdout("one\ntwo\n");
    drop(first.kill());
    let (mut second, _) = publisher(&uri, "--wait 1");
    second.write(b"three\n");
    subscriber.wait_for_stdout("one\ntwo\nthree\n");
    second.end().assert(0, &["published 1 message "]);
    subscriber.interrupt();
    subscriber
        .end()
        .assert(130, &["published 2 = delivered 2 ", "published 1 = delivered 1 ", "replaced", "ended"]);
}

#[test]
fn nobody_there_and_somebody_else_there_are_told_apart() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let held = run(&format!("pub tcp://{address}"));
    held.assert(
        1,
        &[&format!("nakcast: cannot listen at tcp://{address}: "), "another process holds the port"],
    );
    drop(taken);
    let alone = run(&format!("sub tcp://{address} --timeout 1.2"));
    alone.assert(
        1,
        &["no publisher answers yet", "nakcast: no publisher was heard for 1.2s", "the host, the port"],
    );
    let (publisher, uri) = publisher("tcp://127.0.0.1:0", "");
    run(&format!("sub {uri}?stream=9")).assert(1, &["it publishes no such stream"]);
    publisher.end().assert(0, &["nobody subscribed"]);
}
