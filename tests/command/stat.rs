//! `stat`: each fault by its name and with the party that has it, seen from outside by one whom nobody counts.

use serde_json::Value;

use crate::noise;
use crate::process::Running;
use crate::run;
use crate::uri;
use crate::words;

/// A publisher over UDP and TCP that is fed by its test.
fn publisher(uri: &str, arguments: &str) -> Running {
    let (_, stream) = uri.rsplit_once('&').expect("a stream");
    let tcp = format!("tcp://127.0.0.1:0?{stream}");
    let mut publisher = Running::start(&[&["pub", uri, &tcp], &words(arguments)[..]].concat(), None);
    publisher.wait_for_stderr("listening at ");
    publisher
}

/// A subscriber, and the name by which its publisher knows it.
fn subscriber(uri: &str, arguments: &str) -> (Running, String) {
    let mut subscriber = Running::start(&[&["sub", uri, "-v"], &words(arguments)[..]].concat(), None);
    let said = subscriber.wait_for_stderr("receiver=");
    let name = said.split_whitespace().next().expect("a name").to_owned();
    (subscriber, name)
}

/// Looks until there is such a look; gives it.
fn look_until(uri: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut stat = Running::start(&["stat", uri, "--json", "--every", "0.2", "--listen", "0.5"], None);
    loop {
        let look: Value = serde_json::from_str(&stat.take_line()).expect("JSON");
        if is_it(&look) {
            return look;
        }
    }
}

/// The parties that have the fault.
fn parties(look: &Value, cause: &str) -> Vec<String> {
    let findings = look["findings"].as_array().expect("findings").iter();
    let with = findings.filter(|finding| finding["cause"] == cause);
    with.map(|finding| finding["party"].as_str().expect("a party").to_owned()).collect()
}

fn row<'a>(look: &'a Value, receiver: &str) -> &'a Value {
    let rows = look["sources"][0]["rows"].as_array().expect("rows");
    rows.iter().find(|row| row["receiver"] == receiver).unwrap_or_else(|| panic!("no {receiver} in {look}"))
}

fn lines(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

#[test]
fn loss_on_the_network_is_told_from_who_hears_all() {
    let uri = uri(30);
    let mut publisher = publisher(&uri, "--wait 2 --rate 5000");
    let (_lossy, lossy) = subscriber(&uri, "--inject-loss 10% --seed 3");
    let (_whole, whole) = subscriber(&uri, "");
    publisher.write(&lines(60_000));
    let look = look_until(&uri, |look| !parties(look, "network_loss").is_empty());
    let named = parties(&look, "network_loss");
    assert!(named.len() == 1 && named[0].starts_with(&format!("receiver {lossy} at 127.0.0.1:")), "{look}");
    assert!(row(&look, &lossy)["naks"].as_u64() > Some(0) && row(&look, &whole)["naks"] == 0, "{look}");
    // The observer is heard, and not counted.
    assert_eq!(look["sources"][0]["receivers"], 2);
    assert_eq!(look["sources"][0]["rows"].as_array().unwrap().len(), 2);
    let text = run(&format!("stat {uri}"));
    text.assert_stdout(0, &[&lossy, &whole, "1 finding", "network_loss"]);
}

#[test]
fn a_receive_buffer_too_small_is_the_cause() {
    let uri = uri(31);
    let mut publisher = publisher(&uri, "--wait 2 --chunk 1200 --pace 0");
    let (_small, small) = subscriber(&uri, "--raw --receive-buffer 4K");
    let (_large, _) = subscriber(&uri, "--raw");
    for seed in 0..20 {
        publisher.write(&noise(1_200_000, seed));
    }
    let look =
        look_until(&uri, |look| parties(look, "kernel_buffer").iter().any(|party| party.contains(&small)));
    assert!(row(&look, &small)["kernel_drops"].as_u64() > Some(0), "{look}");
    assert!(!parties(&look, "network_loss").iter().any(|party| party.contains(&small)), "{look}");
}

#[test]
fn a_subscriber_that_stands_still_is_behind_and_silent() {
    let uri = uri(32);
    let mut publisher = publisher(&uri, "--wait 2 --rate 2000");
    let (stopped, stopped_name) = subscriber(&uri, "");
    let (_well, well) = subscriber(&uri, "");
    publisher.write(&lines(60_000));
    look_until(&uri, |look| look["sources"][0]["messages_per_s"].as_f64() > Some(0.0));
    stopped.stop();
    let has = |look: &Value, cause| parties(look, cause).iter().any(|party| party.contains(&stopped_name));
    let look = look_until(&uri, |look| has(look, "slow_subscriber") && has(look, "receiver_silent"));
    assert!(row(&look, &stopped_name)["lag"].as_u64() > row(&look, &well)["lag"].as_u64(), "{look}");
    assert_eq!(row(&look, &stopped_name)["state"], "stopped");
}

#[test]
fn a_publisher_that_died_is_named_with_its_silence() {
    let uri = uri(33);
    let mut dead = publisher(&uri, "");
    let mut stat = Running::start(&["stat", &uri, "--json", "--every", "0.2"], None);
    dead.write(b"last words\n");
    let mut take = || -> Value { serde_json::from_str(&stat.take_line()).expect("JSON") };
    let session = loop {
        let look = take();
        if look["sources"][0]["state"] == "up" {
            break look["sources"][0]["session"].as_str().expect("a session").to_owned();
        }
    };
    dead.kill();
    let look = loop {
        let look = take();
        if !parties(&look, "publisher_silent").is_empty() {
            break look;
        }
    };
    assert!(parties(&look, "publisher_silent")[0].starts_with(&format!("publisher {session} at ")), "{look}");
    assert!(look["sources"][0]["silent_ms"].as_u64() >= Some(1_000), "{look}");
}

#[test]
fn without_a_port_there_are_no_rows_and_it_says_why() {
    let uri = uri(34);
    let _publisher = Running::start(&["pub", &uri], None);
    let look = look_until(&uri, |look| look["sources"][0]["state"] == "up");
    assert!(look["sources"][0]["rows"].is_null(), "{look}");
    assert!(look["sources"][0]["rows_missing"].as_str().unwrap().contains("no TCP port"), "{look}");
    run(&format!("stat {} --listen 0.2", crate::uri(35))).assert(1, &["no publisher was heard"]);
}

/// More rows than one datagram holds, of subscribers behind connections.
#[test]
fn every_row_comes_over_tcp_alone() {
    let mut publisher = Running::start(&["pub", "tcp://127.0.0.1:0", "--wait", "17"], None);
    let uri = publisher.wait_for_stderr("listening at ");
    let subscribers: Vec<_> = (0..17).map(|_| subscriber(&uri, "")).collect();
    publisher.write(b"one\n");
    let look =
        look_until(&uri, |look| look["sources"][0]["rows"].as_array().is_some_and(|rows| rows.len() == 17));
    for (_, name) in &subscribers {
        assert_eq!(row(&look, name)["carrier"], "tcp");
    }
    publisher.close_stdin();
    publisher.end().assert(0, &["17 subscribers"]);
}
