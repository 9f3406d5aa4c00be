//! Publisher and subscribers as real processes in network namespaces of their own, over a veth pair: IPv4, IPv6,
//! source-specific multicast, unicast, and datagrams that the network really loses.
//!
//! Needs root, `ip` and (for loss) `nft`; without them each test says loudly that it was skipped.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;

const NAKCAST: &str = env!("CARGO_BIN_EXE_nakcast");

/// Two namespaces joined by a veth pair, gone when dropped: `10.99.0.1` and `10.99.0.2`, `fd99::1` and `fd99::2`.
struct Net {
    publisher: String,
    subscriber: String,
}

impl Net {
    /// `None`, and a loud word, where this machine does not allow namespaces.
    fn new(name: &str) -> Option<Self> {
        let of = |role: &str| format!("nakcast-{}-{name}-{role}", std::process::id());
        let net = Self { publisher: of("p"), subscriber: of("s") };
        let (publisher, subscriber) = (&net.publisher, &net.subscriber);
        if !run(&format!("ip netns add {publisher}")) {
            eprintln!(
                "SKIPPED {name}: this machine does not let us make network namespaces (root and iproute2)"
            );
            return None;
        }
        let commands = [
            format!("ip netns add {subscriber}"),
            format!("ip -n {publisher} link add veth0 type veth peer name veth0 netns {subscriber}"),
        ];
        assert!(commands.iter().all(|command| run(command)), "making {name}");
        for (host, end) in [(publisher, 1), (subscriber, 2)] {
            let commands = [
                format!("ip -n {host} link set lo up"),
                format!("ip -n {host} addr add 10.99.0.{end}/24 dev veth0"),
                format!("ip -n {host} -6 addr add fd99::{end}/64 dev veth0 nodad"),
                format!("ip -n {host} link set veth0 up"),
            ];
            assert!(commands.iter().all(|command| run(command)), "setting up {host}");
        }
        Some(net)
    }

    /// Loses datagrams on their way in to the subscriber, by a rule of `nft`; `false` where there is no `nft`.
    fn lose(&self, rule: &str) -> bool {
        let inside = |command: &str| {
            let mut nft = Command::new("ip");
            nft.args(["netns", "exec", &self.subscriber, "nft"]).args(command.split(' '));
            nft.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        // Otherwise a rule would lose whole trains of datagrams at once.
        run(&format!("ip netns exec {} ethtool -K veth0 tx-udp-segmentation off", self.publisher));
        inside("add table netdev f")
            && inside("add chain netdev f c { type filter hook ingress device veth0 priority 0 ; }")
            && inside(&format!("add rule netdev f c {rule}"))
    }

    fn command(host: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host, NAKCAST]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn subscribe(&self, arguments: &[&str]) -> Child {
        Self::command(&self.subscriber, arguments).spawn().unwrap()
    }

    /// Publishes `input` and ends.
    fn publish(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Self::command(&self.publisher, arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Sends `input` to one subscriber, which must end with exactly that and no loss.
    fn carries(&self, pub_uri: &str, sub_uri: &str, input: &[u8]) {
        let subscriber = self.subscribe(&["sub", sub_uri, "--raw", "--fail-on-loss"]);
        // Read while it runs: a full pipe would make it a slow subscriber.
        let receiving = thread::spawn(move || subscriber.wait_with_output().unwrap());
        let options = ["--chunk", "1200", "--policy", "block", "--wait", "1"];
        let arguments: Vec<_> = ["pub", pub_uri].into_iter().chain(options).collect();
        let published = self.publish(&arguments, input);
        let received = receiving.join().unwrap();
        let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(published.status.success(), "{}", told(&published));
        assert!(received.status.success(), "{}", told(&received));
        assert!(received.stdout == input, "{} of {} bytes came", received.stdout.len(), input.len());
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.publisher));
        run(&format!("ip netns del {}", self.subscriber));
    }
}

fn run(command: &str) -> bool {
    let mut words = command.split(' ');
    let program = words.next().unwrap();
    let status = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn multicast_over_ipv4() {
    let Some(net) = Net::new("v4") else { return };
    let uri = "udp://239.192.1.1:4000?interface=veth0";
    net.carries(uri, uri, &noise(3_000_000));
}

#[test]
fn multicast_over_ipv6() {
    let Some(net) = Net::new("v6") else { return };
    let uri = "udp://[ff15::4242]:4000?interface=veth0";
    net.carries(uri, uri, &noise(3_000_000));
}

#[test]
fn from_one_source_only() {
    let Some(net) = Net::new("ssm") else { return };
    let uri = "udp://232.1.1.1:4000?interface=veth0";
    net.carries(uri, &format!("{uri}&source=10.99.0.1"), &noise(1_000_000));
    let uri = "udp://[ff35::4242]:4000?interface=veth0";
    net.carries(uri, &format!("{uri}&source=fd99::1"), &noise(1_000_000));
    let deaf =
        net.subscribe(&["sub", "udp://232.1.1.2:4000?interface=veth0&source=10.99.0.77", "--timeout", "1"]);
    net.publish(&["pub", "udp://232.1.1.2:4000?interface=veth0"], b"not for them\n");
    assert_eq!(deaf.wait_with_output().unwrap().stdout, b"");
}

#[test]
fn unicast_over_both_families() {
    let Some(net) = Net::new("uni") else { return };
    let uri = "udp://10.99.0.2:4000?interface=veth0";
    net.carries(uri, uri, &noise(1_000_000));
    let uri = "udp://[fd99::2]:4000?interface=veth0";
    net.carries(uri, uri, &noise(1_000_000));
}

#[test]
fn what_the_network_loses_is_repaired() {
    let Some(net) = Net::new("loss") else { return };
    if !net.lose("udp dport 4000 numgen random mod 100 < 5 drop") {
        eprintln!("SKIPPED what_the_network_loses_is_repaired: nft is not here");
        return;
    }
    let uri = "udp://239.192.1.2:4000?interface=veth0";
    net.carries(uri, uri, &noise(10_000_000));
}

#[test]
fn bursts_that_the_network_loses_are_repaired() {
    let Some(net) = Net::new("burst") else { return };
    if !net.lose("udp dport 4000 numgen inc mod 1000 >= 900 drop") {
        eprintln!("SKIPPED bursts_that_the_network_loses_are_repaired: nft is not here");
        return;
    }
    let uri = "udp://[ff15::4243]:4000?interface=veth0";
    net.carries(uri, uri, &noise(10_000_000));
}
