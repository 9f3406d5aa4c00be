//! The kernel's limits and means.

use std::net::Ipv4Addr;
use std::net::UdpSocket;

use nakcast::Offload;
use nakcast::Publisher;
use nakcast::RECEIVE_BUFFER;
use nakcast::SEND_BUFFER;
use nakcast::Subscriber;

use crate::doctor::finding::Finding;
use crate::doctor::host::Host;

/// What a datagram of the usual size costs of a socket's buffer, as the kernel counts.
const CHARGE: u64 = 1_024 + 2 * nakcast::DATAGRAM as u64;
const CLOCKS: &str = "sys/devices/system/clocksource/clocksource0";
/// Clocks that cost a system call, or a trip to the mainboard, each time they are read.
const SLOW_CLOCKS: [&str; 5] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"];

pub(crate) fn receive_buffer(host: &Host) -> Finding {
    buffer(host, ("receive buffer", "rmem_max"), RECEIVE_BUFFER as u64)
}

pub(crate) fn send_buffer(host: &Host) -> Finding {
    buffer(host, ("send buffer", "wmem_max"), SEND_BUFFER as u64)
}

/// Whether the kernel grants the buffer that is asked for.
fn buffer(host: &Host, (name, setting): (&'static str, &str), wanted: u64) -> Finding {
    let Some(most) = host.number(&format!("proc/sys/net/core/{setting}")) else {
        return Finding::unchecked(name, &format!("this system does not tell net.core.{setting}"));
    };
    // The kernel grants twice what it is asked for, for its own overhead.
    let datagrams = 2 * most.min(wanted) / CHARGE;
    if most < wanted {
        let what = format!(
            "net.core.{setting} is {most} where {wanted} are wanted: room for some {datagrams} datagrams"
        );
        let remedy = "raise it, now and, in a file below /etc/sysctl.d, for good";
        return Finding::warning(name, what, remedy)
            .command(format!("sysctl -w net.core.{setting}={wanted}"));
    }
    Finding::fine(name, format!("net.core.{setting} is {most}: room for some {datagrams} datagrams"))
}

/// Whether many datagrams cross to the kernel and back in one piece, as the library itself finds out. What it sends for
/// that goes to a port of this machine that this check holds.
pub(crate) fn offload() -> Finding {
    const NAME: &str = "gso and gro";
    let Some((sends, receives)) = probe() else {
        return Finding::unchecked(NAME, "no socket could be opened on the loopback interface");
    };
    let what = format!("sending in one piece (GSO): {sends}; receiving (GRO): {receives}");
    if (sends, receives) == (Offload::On, Offload::On) {
        return Finding::fine(NAME, what);
    }
    if cfg!(target_os = "linux") {
        return Finding::warning(
            NAME,
            what,
            "use Linux 5.0 or later: each datagram costs a system call's work here",
        );
    }
    Finding::unchecked(NAME, "only Linux has it")
}

fn probe() -> Option<(Offload, Offload)> {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
    let uri = format!("udp://127.0.0.1:{port}?interface=lo");
    let subscriber = Subscriber::open(&uri).ok()?;
    let publisher = Publisher::open(&uri).ok()?;
    let found = (publisher.stats().segmentation, subscriber.stats().coalescing);
    publisher.abort();
    Some(found)
}

/// Whether the clock is one that is read without the kernel.
pub(crate) fn clock_source(host: &Host) -> Finding {
    const NAME: &str = "clock source";
    let read = |file: &str| host.read(&format!("{CLOCKS}/{file}"));
    let Some(current) = read("current_clocksource") else {
        return Finding::unchecked(NAME, "this system does not tell of clock sources in /sys");
    };
    let current = current.trim();
    if !SLOW_CLOCKS.contains(&current) {
        return Finding::fine(NAME, current.to_owned());
    }
    let what = format!("{current}: reading it costs about a microsecond, where others cost 20 ns");
    let available = read("available_clocksource").unwrap_or_default();
    let better = available.split_whitespace().find(|name| !SLOW_CLOCKS.contains(name));
    match better {
        Some(better) => Finding::warning(NAME, what, "choose the better one")
            .command(format!("echo {better} > /{CLOCKS}/current_clocksource")),
        None => Finding::warning(NAME, what, "see in the kernel's log why it has given up on tsc"),
    }
}

/// Whether an old version of IGMP is forced, on one interface or on all.
pub(crate) fn igmp_forced(host: &Host, interface: Option<&str>, needs_v3: bool) -> Finding {
    const NAME: &str = "igmp version";
    let settings: Vec<_> = interface.into_iter().chain(["all"]).collect();
    let forced =
        settings.iter().map(|name| host.ipv4(name, "force_igmp_version").map(|version| (*name, version)));
    let Some(forced) = forced.collect::<Option<Vec<_>>>() else {
        return Finding::unchecked(NAME, "this system does not tell of force_igmp_version");
    };
    let Some((name, version)) = forced.into_iter().find(|(_, version)| (1..=2).contains(version)) else {
        return Finding::fine(
            NAME,
            "none is forced: the kernel speaks version 3, and what the querier speaks".to_owned(),
        );
    };
    let command = format!("sysctl -w net.ipv4.conf.{name}.force_igmp_version=0");
    let what = format!("version {version} is forced ({name})");
    if needs_v3 {
        let what = format!("{what}, which cannot say source=: the network sends from everybody, or nothing");
        return Finding::error(NAME, what, "let the kernel choose").command(command);
    }
    let what = format!("{what}: leaving a group takes long, and source= does not work");
    Finding::warning(NAME, what, "let the kernel choose").command(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::host::Sample;

    #[test]
    fn a_small_buffer_has_its_remedy() {
        let told = |text| receive_buffer(&Sample::new(&[("proc/sys/net/core/rmem_max", text)]).host);
        let small = told("212992\n");
        assert_eq!(small.severity, Severity::Warning);
        assert_eq!(small.commands, ["sysctl -w net.core.rmem_max=8388608"]);
        assert!(small.what.contains("some 111 datagrams"), "{}", small.what);
        assert_eq!(told("8388608").severity, Severity::Fine);
        assert_eq!(told("?").severity, Severity::Unchecked);
    }

    #[test]
    fn a_slow_clock_is_named_with_a_better_one() {
        let told = |current: &str, available: &str| {
            let [one, all] = ["current", "available"].map(|word| format!("{CLOCKS}/{word}_clocksource"));
            clock_source(&Sample::new(&[(&one, current), (&all, available)]).host)
        };
        assert_eq!(told("tsc\n", "tsc hpet\n").severity, Severity::Fine);
        let slow = told("hpet\n", "hpet acpi_pm tsc\n");
        assert_eq!(slow.severity, Severity::Warning);
        assert!(slow.commands.concat().starts_with("echo tsc > /sys/"), "{:?}", slow.commands);
        assert!(told("acpi_pm", "acpi_pm").commands.is_empty());
    }

    #[test]
    fn a_forced_version_is_worse_for_one_source() {
        let told = |all, own, needs_v3| {
            let paths =
                ["all", "eth7"].map(|name| format!("proc/sys/net/ipv4/conf/{name}/force_igmp_version"));
            let sample = Sample::new(&[(&paths[0], all), (&paths[1], own)]);
            igmp_forced(&sample.host, Some("eth7"), needs_v3).severity
        };
        assert_eq!((told("0", "0", true), told("3", "0", true)), (Severity::Fine, Severity::Fine));
        assert_eq!((told("0", "2", false), told("2", "0", true)), (Severity::Warning, Severity::Error));
    }
}
