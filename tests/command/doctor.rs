//! `doctor`: findings with remedies, for people, for programs and as commands.

use serde_json::Value;

use crate::process::Ended;
use crate::process::Running;
use crate::run;
use crate::uri;

fn findings(ended: &Ended) -> Vec<Value> {
    let report: Value = serde_json::from_str(&ended.text()).expect("JSON");
    let severity = report["severity"].as_str().expect("a severity");
    let wanted = ["fine", "unchecked", "warning", "error"].iter().position(|word| *word == severity);
    let wanted = wanted.expect("a known severity");
    assert_eq!(ended.code, Some([0, 0, 1, 2][wanted]), "{severity}");
    report["findings"].as_array().expect("findings").clone()
}

fn named<'a>(findings: &'a [Value], name: &str) -> &'a Value {
    findings
        .iter()
        .find(|finding| finding["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {findings:?}"))
}

#[test]
fn the_machine_is_looked_at_whatever_it_is() {
    let findings = findings(&run("doctor --json"));
    for name in ["interfaces", "receive buffer", "send buffer", "gso and gro", "clock source", "loopback"] {
        assert!(!named(&findings, name)["what"].as_str().unwrap().is_empty());
    }
    assert_eq!(named(&findings, "loopback")["severity"], "fine");
    for finding in &findings {
        let is_bad = finding["severity"] == "warning" || finding["severity"] == "error";
        assert_eq!(is_bad, finding["remedy"] != "", "{finding}");
    }
}

/// The publisher never learns that somebody listened.
#[test]
fn a_publisher_is_heard_by_who_sends_nothing() {
    let uri = uri(20);
    let mut publisher = Running::start(&["pub", &uri], None);
    publisher.write(b"one\n");
    // The first words may come before the publisher is there.
    let (findings, heard) = loop {
        let findings =
            findings(&Running::start(&["doctor", &uri, "--json", "--listen", "0.5"], Some(b"")).end());
        let heard = named(&findings, "heard").clone();
        if heard["severity"] == "fine" {
            break (findings, heard);
        }
    };
    let sources = heard["details"]["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 1);
    assert!(sources[0]["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{heard}");
    assert_eq!((&sources[0]["live_receivers"], &sources[0]["ended"]), (&0.into(), &false.into()));
    assert!(heard["what"].as_str().unwrap().contains(sources[0]["session"].as_str().unwrap()));
    for name in ["membership", "group", "ttl", "interface", "loopback"] {
        assert_eq!(named(&findings, name)["severity"], "fine", "{findings:?}");
    }
    let other = uri.rsplit_once('=').unwrap().0.to_owned() + "=0";
    let ended = Running::start(&["doctor", &other, "--listen", "0.5"], Some(b"")).end();
    ended.assert_stdout(1, &["nothing of stream 0, but of ", "write stream=N"]);
    publisher.end().assert(0, &["nobody subscribed"]);
}

#[test]
fn what_cannot_work_is_an_error_with_a_remedy() {
    let nowhere = run("doctor udp://239.192.41.21:41021?interface=none0");
    nowhere.assert_stdout(
        2,
        &["error      interface", "there is no interface none0; there are: ", "-> write one of"],
    );
    let router = run("doctor udp://224.0.0.250:41021?interface=lo --listen 0.1 --json");
    assert_eq!(named(&findings(&router), "group")["severity"], "error");
    let closed = run("doctor tcp://127.0.0.1:1 --listen 0.3 --fix");
    closed.assert_stdout(2, &["# heard: nobody answers at tcp://127.0.0.1:1\nnc -vz 127.0.0.1 1\n"]);
    run("doctor nonsense").assert(2, &["does not begin with udp:// or tcp://"]);
    run("doctor --fix --json").assert(2, &["cannot be used with"]);
    run("doctor --help").assert_stdout(0, &["Examples:", "Exit codes:", "Print the commands that mend"]);
}

#[test]
fn a_silent_group_is_a_warning_that_says_what_to_look_at() {
    let silent = Running::start(&["doctor", &uri(22), "--listen", "0.2"], Some(b"")).end();
    assert!(
        silent.text().contains("nobody in 200 ms") && silent.text().contains("IGMP querier"),
        "{}",
        silent.text()
    );
    let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let held = findings(&run(&format!("doctor udp://{address}?interface=lo --listen 0.1 --json")));
    assert!(
        named(&held, "heard")["what"].as_str().unwrap().contains(&format!("another process holds {address}"))
    );
}

#[test]
fn a_publisher_over_tcp_answers() {
    let mut publisher = Running::start(&["pub", "tcp://127.0.0.1:0"], None);
    let uri = publisher.wait_for_stderr("listening at ");
    let found = findings(&Running::start(&["doctor", &uri, "--json"], Some(b"")).end());
    assert!(named(&found, "heard")["what"].as_str().unwrap().contains("now at offset 0"), "{found:?}");
    let other = Running::start(&["doctor", &format!("{uri}?stream=9")], Some(b"")).end();
    other.assert_stdout(2, &["it publishes no such stream"]);
    publisher.end().assert(0, &[]);
}
