//! Interfaces: whether they carry multicast, how large a datagram may be, and what the kernel lets in.

use std::net::IpAddr;

use nakcast::DATAGRAM;
use nakcast::UdpEndpoint;

use crate::doctor::finding::Finding;
use crate::doctor::host::Host;
use crate::doctor::parse;
use crate::doctor::place;
use crate::doctor::place::Place;

/// What IP and UDP put before a datagram.
const HEADERS_V4: u64 = 28;
const HEADERS_V6: u64 = 48;
const NO_LINKS: &str = "this system does not tell of interfaces in /sys/class/net";

/// Whether any interface leads out of this machine.
pub(crate) fn any_carries(host: &Host, places: &[Place]) -> Finding {
    const NAME: &str = "interfaces";
    let outward: Vec<_> = places.iter().filter(|place| !place.is_loopback()).collect();
    let flags: Vec<_> = outward.iter().filter_map(|place| place.flags(host)).collect();
    let names: Vec<_> = outward.iter().map(|place| format!("{} ({})", place.name, place.address)).collect();
    if outward.is_empty() {
        let what = "only the loopback has an IPv4 address: nobody on another machine is reached".to_owned();
        return Finding::warning(NAME, what, "switch an interface on and give it an address");
    }
    if flags.is_empty() {
        return Finding::unchecked(NAME, NO_LINKS);
    }
    if !flags.iter().any(|flags| flags.is_up() && flags.is_multicast()) {
        let what = format!("none of {} is up and carries multicast", names.join(", "));
        return Finding::error(NAME, what, "switch one on");
    }
    Finding::fine(NAME, names.join(", "))
}

/// Whether the interface is up and carries multicast. The loopback does, though it has no flag that says so.
pub(crate) fn carries(host: &Host, place: &Place) -> Finding {
    const NAME: &str = "interface";
    let Place { name, address, .. } = place;
    let Some(flags) = place.flags(host) else { return Finding::unchecked(NAME, NO_LINKS) };
    if !flags.is_up() {
        return Finding::error(NAME, format!("{name} is down"), "switch it on").command(place::up(name));
    }
    if place.is_loopback() {
        return Finding::fine(NAME, format!("{name} ({address}) is up; nothing leaves this machine"));
    }
    if !flags.is_multicast() {
        let what = format!("{name} does not carry multicast");
        let finding = Finding::error(NAME, what, "switch multicast on, if what it leads to can do it");
        return finding.command(format!("ip link set {name} multicast on"));
    }
    let is_plugged = host.number(&format!("sys/class/net/{name}/carrier")) != Some(0);
    if !is_plugged {
        let what = format!("{name} is up, but has no carrier");
        return Finding::error(NAME, what, "plug it in, or switch on what it leads to");
    }
    Finding::fine(NAME, format!("{name} ({address}) is up and carries multicast"))
}

/// Whether a datagram of the usual size fits.
pub(crate) fn fits(host: &Host, place: &Place) -> Finding {
    const NAME: &str = "mtu";
    let name = &place.name;
    let Some(mtu) = place.mtu(host) else { return Finding::unchecked(NAME, NO_LINKS) };
    let headers = if place.address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    let room = mtu.saturating_sub(headers);
    if room < DATAGRAM as u64 {
        let what = format!(
            "{name} has an MTU of {mtu}: a batch of {DATAGRAM} bytes and {headers} of headers does not fit"
        );
        let remedy = format!("raise the MTU along the whole way, or publish with datagram({room}) or less");
        let finding = Finding::error(NAME, what, &remedy);
        return finding.command(format!("ip link set {name} mtu {}", (DATAGRAM as u64 + headers).max(1_500)));
    }
    Finding::fine(NAME, format!("{name} has {mtu}: a batch of {DATAGRAM} bytes fits"))
}

/// Whether the kernel drops datagrams whose sender it would answer by another interface (RFC 3704).
pub(crate) fn reverse_path(host: &Host, place: &Place) -> Finding {
    const NAME: &str = "reverse path";
    let name = &place.name;
    let of = |interface| host.ipv4(interface, "rp_filter");
    if place.address.is_ipv6() {
        return Finding::fine(NAME, "no filter for IPv6".to_owned());
    }
    let (Some(all), Some(own)) = (of("all"), of(name)) else {
        return Finding::unchecked(NAME, "this system does not tell of rp_filter");
    };
    // The larger of the two counts; 1 is strict, 2 is loose.
    if all.max(own) == 1 && !place.is_loopback() {
        let what = format!(
            "{name} drops, without a word, what comes from an address that is not reached through it"
        );
        let remedy = "where publishers are not on its own network: filter loosely, or add a route to them";
        return Finding::warning(NAME, what, remedy)
            .command(format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2"));
    }
    Finding::fine(NAME, format!("{name} takes datagrams from every address it could answer"))
}

/// Whether the system's own route to the group agrees with the interface used.
pub(crate) fn route(host: &Host, endpoint: &UdpEndpoint, place: &Place) -> Finding {
    const NAME: &str = "route";
    let IpAddr::V4(group) = endpoint.address.ip() else {
        return Finding::unchecked(NAME, "only routes of IPv4 are read");
    };
    let Some(routes) = host.read("proc/net/route") else {
        return Finding::unchecked(NAME, "this system does not tell of routes in /proc/net/route");
    };
    let route = parse::route(&routes, group);
    match (&endpoint.interface, route) {
        (Some(_), Some(by)) if by == place.name => {
            Finding::fine(NAME, format!("to {group} by {by}, as named"))
        }
        (Some(_), Some(by)) => {
            let what = format!("to {group} by {by}, but the URI names {}, which counts", place.name);
            Finding::fine(NAME, what)
        }
        (Some(_), None) => {
            Finding::fine(NAME, format!("none to {group}, nor needed: the URI names {}", place.name))
        }
        (None, Some(by)) if by == place.name => {
            Finding::fine(NAME, format!("to {group} by {by}; the URI names no interface"))
        }
        (None, _) => {
            let what =
                format!("there is none to {group}, and the URI names no interface: {} is used", place.name);
            let remedy = "write interface=NAME into the URI, or add a route";
            Finding::warning(NAME, what, remedy).command(format!("ip route add {group}/32 dev INTERFACE"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::host::Sample;

    fn place() -> Place {
        Place { name: "eth7".to_owned(), index: 7, address: IpAddr::from([10, 0, 0, 7]) }
    }

    fn link(flags: &str, mtu: &str) -> Sample {
        Sample::new(&[("sys/class/net/eth7/flags", flags), ("sys/class/net/eth7/mtu", mtu)])
    }

    #[test]
    fn an_interface_is_up_and_carries_multicast_or_has_its_remedy() {
        let told = |flags| {
            let finding = carries(&link(flags, "1500").host, &place());
            (finding.severity, finding.commands.concat())
        };
        assert_eq!(told("0x1003"), (Severity::Fine, String::new()));
        assert_eq!(told("0x1002"), (Severity::Error, "ip link set eth7 up".to_owned()));
        assert_eq!(told("0x3"), (Severity::Error, "ip link set eth7 multicast on".to_owned()));
        assert_eq!(carries(&Sample::new(&[]).host, &place()).severity, Severity::Unchecked);
        assert_eq!(any_carries(&link("0x2", "1500").host, &[place()]).severity, Severity::Error);
        assert_eq!(any_carries(&link("0x1003", "1500").host, &[]).severity, Severity::Warning);
    }

    #[test]
    fn a_batch_fits_or_not() {
        let told = |mtu| fits(&link("0x1003", mtu).host, &place());
        assert_eq!((told("1428").severity, told("1427").severity), (Severity::Fine, Severity::Error));
        assert!(told("1280").remedy.contains("datagram(1252)"), "{}", told("1280").remedy);
        assert_eq!(told("1280").commands, ["ip link set eth7 mtu 1500"]);
    }

    #[test]
    fn the_larger_filter_counts() {
        let told = |all, own| {
            let paths = ["proc/sys/net/ipv4/conf/all/rp_filter", "proc/sys/net/ipv4/conf/eth7/rp_filter"];
            reverse_path(&Sample::new(&[(paths[0], all), (paths[1], own)]).host, &place()).severity
        };
        assert_eq!((told("0", "1"), told("1", "0")), (Severity::Warning, Severity::Warning));
        assert_eq!((told("0", "0"), told("1", "2")), (Severity::Fine, Severity::Fine));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_missing_route_matters_only_without_an_interface() {
        let titles = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n";
        let told = |uri: &str, routes: &str| {
            let sample = Sample::new(&[("proc/net/route", &format!("{titles}{routes}"))]);
            route(&sample.host, &uri.parse().unwrap_or_else(|error| panic!("{error}")), &place()).severity
        };
        let (bare, named) = ("udp://239.1.1.1:4000", "udp://239.1.1.1:4000?interface=eth7");
        assert_eq!((told(bare, ""), told(named, "")), (Severity::Warning, Severity::Fine));
        assert_eq!(told(bare, "eth7 000000E0 00000000 0001 0 0 0 000000F0\n"), Severity::Fine);
    }
}
