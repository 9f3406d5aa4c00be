//! Every system over loopback, as processes: all is delivered, the line is right, and each program ends by itself.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use harness::Report;

const RAW: &str = env!("CARGO_BIN_EXE_raw-bench");

/// A program under test: its path, the system, and a port that no other test has.
type Program<'a> = (&'a str, &'a str, u16);

/// Starts a role and waits until it is ready.
fn start((program, system, port): Program<'_>, role: &str, more: &str) -> (Child, impl BufRead + use<>) {
    let network = "--interface lo --local 127.0.0.1 --remote 127.0.0.1 --group 239.77.7.78 --wait block";
    let mut child = Command::new(program)
        .args([role, "--system", system, "--port", &port.to_string()])
        .args(network.split(' ').chain(more.split_whitespace()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "{system} {role}");
    (child, output)
}

fn report(mut child: Child, mut output: impl BufRead) -> Report {
    let mut lines = String::new();
    output.read_to_string(&mut lines).unwrap();
    assert!(child.wait().unwrap().success());
    serde_json::from_str(&lines).unwrap()
}

/// Runs a pair of roles; gives the reports, first that of the one who was told to go.
fn pair(program: Program<'_>, [active, passive]: [&str; 2], more: &str) -> [Report; 2] {
    let (passive, passive_output) = start(program, passive, more);
    let (mut active, active_output) = start(program, active, more);
    active.stdin.take().unwrap().write_all(b"go\n").unwrap();
    [report(active, active_output), report(passive, passive_output)]
}

fn check(program: Program<'_>, more: &str) {
    let [sent, heard] = pair(program, ["pub", "sub"], more);
    assert_eq!((sent.messages, heard.messages, heard.lost), (5_000, 5_000, 0), "{heard:?}");
    assert_eq!((heard.duplicates, heard.disordered), (0, 0));
    assert_eq!(heard.notes["end"], "marker");
    assert_eq!(heard.latency_us.map(|latency| latency.count), more.contains("--rate").then_some(5_000));
}

fn check_all((program, system, port): Program<'_>) {
    check((program, system, port), "--messages 5000");
    check((program, system, port + 2), "--messages 5000 --bytes 1024 --segmentation off");
    check((program, system, port + 4), "--messages 5000 --bytes 100 --rate 50000");
    let [there, back] = pair((program, system, port + 6), ["ping", "echo"], "--messages 100");
    assert_eq!((there.messages, there.lost, back.messages), (100, 0, 100));
    assert_eq!(there.latency_us.unwrap().count, 100);
}

#[test]
fn raw_one() {
    check_all((RAW, "raw-one", 26_000));
}

#[test]
fn raw_sendmmsg() {
    check_all((RAW, "raw-sendmmsg", 26_010));
}

#[test]
fn raw_gso() {
    check_all((RAW, "raw-gso", 26_020));
}

#[test]
fn raw_ring() {
    check_all((RAW, "raw-ring", 26_030));
}

#[cfg(feature = "ours")]
#[test]
fn nakcast() {
    check_all((env!("CARGO_BIN_EXE_nakcast-bench"), "nakcast", 26_040));
}

#[test]
fn a_system_of_no_name_is_refused() {
    let arguments = "sub --system raw --interface lo --local 127.0.0.1 --remote 127.0.0.1 --port 26050";
    let output = Command::new(RAW).args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(said.contains("raw-one, raw-sendmmsg, raw-gso, raw-ring"), "{said}");
}
