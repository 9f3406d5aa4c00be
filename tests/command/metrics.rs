//! `--prometheus`: what `promtool` accepts, over HTTP, under the names that the docs list.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;

use crate::process::Running;
use crate::uri;

const DOCS: &str = include_str!("../../docs/metrics.md");

/// The text of a process that serves metrics, once there is such a line.
fn metrics(process: &mut Running, wanted: &str) -> String {
    let place = process.wait_for_stderr("metrics at http://");
    let address = place.strip_suffix("/metrics").expect("the page");
    loop {
        let (head, body) = get(address, "GET /metrics");
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
        if body.lines().any(|line| line.starts_with(wanted)) {
            assert!(get(address, "GET /").0.starts_with("HTTP/1.1 404 "));
            assert!(get(address, "POST /metrics").0.starts_with("HTTP/1.1 405 "));
            return body;
        }
        process.wait_a_little();
    }
}

fn get(address: &str, what: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request =
        format!("{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// The names in it, each of which the docs list with its type.
fn names(text: &str) -> Vec<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = types.map(|(name, kind)| {
        assert!(DOCS.contains(&format!("| `{name}` | {kind} |")), "docs/metrics.md lists no {kind} {name}");
        name
    });
    names.collect()
}

fn is_accepted(text: &str) {
    let promtool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
    let mut promtool = match promtool {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: no promtool here (Debian: prometheus), so nobody judges the format");
            return;
        }
        other => other.expect("promtool"),
    };
    promtool.stdin.take().expect("stdin is piped").write_all(text.as_bytes()).expect("it reads");
    assert!(promtool.wait().expect("a child").success(), "promtool refuses:\n{text}");
}

#[test]
fn publisher_subscriber_and_observer_serve_what_the_docs_list() {
    let uri = uri(36);
    let (_, stream) = uri.rsplit_once('&').unwrap();
    let tcp = format!("tcp://127.0.0.1:0?{stream}");
    let anywhere = ["--prometheus", "127.0.0.1:0"];
    let mut publisher = Running::start(&[&["pub", &uri, &tcp, "--wait", "1"], &anywhere[..]].concat(), None);
    let mut subscriber = Running::start(&[&["sub", &uri], &anywhere[..]].concat(), None);
    let mut observer = Running::start(&[&["stat", &uri, "--every", "0.2"], &anywhere[..]].concat(), None);
    publisher.write(b"one\ntwo\nthree\n");
    let published = metrics(&mut publisher, "nakcast_receiver_delivered_total{");
    let received = metrics(&mut subscriber, "nakcast_source_delivered_total{");
    let observed = metrics(&mut observer, "nakcast_receiver_lag_messages{");
    for text in [&published, &received, &observed] {
        is_accepted(text);
    }
    let mut all = [names(&published), names(&received), names(&observed)].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(DOCS.lines().filter(|line| line.starts_with("| `nakcast_")).count(), all.len());
    assert!(published.contains("nakcast_publisher_receivers{session=\""), "{published}");
}

#[test]
fn an_address_that_cannot_be_had_is_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sub = Running::start(&["sub", &uri(37), "--prometheus", &address], None).end();
    sub.assert(1, &["cannot serve metrics at", "choose another address"]);
}
