//! The doctor, on machines that are really ill.

use crate::network::case::V4;
use crate::network::net::Host;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::process::Process;

/// What the doctor says on a host, and its exit code.
fn doctor(net: &Net, host: Host, arguments: &[&str]) -> (String, Option<i32>) {
    let ended = Process::start(net, host, &[&["doctor"], arguments].concat()).end();
    (String::from_utf8(ended.stdout).unwrap(), ended.code)
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in:\n{text}"));
}

#[test]
fn the_doctor_names_what_is_wrong_and_its_command() {
    let Some(net) = Net::new("doctor") else { return };
    net.batch(S1, "link set eth0 mtu 1200");
    for setting in ["rp_filter=1", "force_igmp_version=2"] {
        net.run(S1, &format!("sysctl -q -w net.ipv4.conf.eth0.{setting}"));
    }
    let (text, code) = doctor(&net, S1, &[V4, "--fix", "--listen", "0.1"]);
    let commands = [
        "ip link set eth0 mtu 1500\n",
        "sysctl -w net.ipv4.conf.eth0.rp_filter=2\n",
        "sysctl -w net.ipv4.conf.eth0.force_igmp_version=0\n",
    ];
    says(&text, &commands);
    assert_eq!(code, Some(2));
    // They do what they say.
    for command in commands {
        net.run(S1, command.trim());
    }
    let (text, code) = doctor(&net, S1, &[V4, "--listen", "0.1"]);
    says(
        &text,
        &["fine       mtu", "fine       reverse path", "fine       igmp version", "fine       loopback"],
    );
    assert_eq!(code, Some(1), "{text}");
    let bare = V4.split_once('?').unwrap().0;
    let (text, _) = doctor(&net, S1, &[bare, "--listen", "0.1"]);
    says(&text, &["warning    route", "lo is used", "write interface=NAME"]);
    net.batch(S1, "link set eth0 down");
    let (text, code) = doctor(&net, S1, &[V4, "--fix", "--listen", "0.1"]);
    says(&text, &["ip link set eth0 up\n"]);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn the_doctor_hears_publishers_on_other_hosts() {
    let Some(net) = Net::new("doctor-hears") else { return };
    let publisher = Process::start(&net, PUBLISHER, &["pub", V4]);
    let heard = || doctor(&net, S2, &[V4, "--listen", "1"]).0;
    let text = (0..5).map(|_| heard()).find(|text| text.contains("fine       heard")).unwrap();
    says(&text, &["10.99.0.100:", "0 live receivers"]);
    // A firewall that lets nothing in.
    net.on_arrival(S2, "drop");
    says(&heard(), &["warning    heard", "nobody in 1.00 s"]);
    publisher.end();
}
