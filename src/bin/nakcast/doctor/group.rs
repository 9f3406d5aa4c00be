//! The group's address, and how far it reaches.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use nakcast::UdpEndpoint;

use crate::doctor::finding::Finding;
use crate::doctor::place::Place;

/// Whether the group is one that networks treat as its user expects.
pub(crate) fn address(endpoint: &UdpEndpoint) -> Finding {
    const NAME: &str = "group";
    let group = match endpoint.address.ip() {
        IpAddr::V4(group) => group,
        IpAddr::V6(group) => return Finding::fine(NAME, format!("{group}")),
    };
    let [first, second, third, _] = group.octets();
    if Ipv4Addr::new(first, second, third, 0) == Ipv4Addr::new(224, 0, 0, 0) {
        let what = format!("{group} is for the protocols of routers, and never leaves its network");
        return Finding::error(NAME, what, "choose a group in 239.192.0.0/14");
    }
    // Of a group's address, the network card sees 23 bits (RFC 1112 §6.4).
    if second & 0x7F == 0 && third == 0 {
        let what = format!(
            "{group} looks to switches like 224.0.0.{}, so they send it to every port",
            group.octets()[3]
        );
        return Finding::warning(NAME, what, "choose a group whose last three bytes are not (0 or 128).0.N");
    }
    if first == 232 && endpoint.source.is_none() {
        let what = format!("{group} is for source-specific multicast, and the URI names no source=");
        return Finding::warning(
            NAME,
            what,
            "write source=ADDRESS into the URI, or choose a group in 239.192.0.0/14",
        );
    }
    Finding::fine(NAME, format!("{group}"))
}

/// How far the TTL lets datagrams go.
pub(crate) fn reach(endpoint: &UdpEndpoint, place: &Place) -> Finding {
    const NAME: &str = "ttl";
    match endpoint.ttl {
        0 if !place.is_loopback() => {
            let what = format!("0: nothing leaves this machine, though {} does", place.name);
            Finding::warning(NAME, what, "write ttl=1 for this network, more for others behind routers")
        }
        0 => Finding::fine(NAME, "0: nothing leaves this machine".to_owned()),
        1 => Finding::fine(NAME, "1: as far as the next router; write ttl= for more".to_owned()),
        ttl => Finding::fine(NAME, format!("{ttl}: through at most {} routers", ttl - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    #[test]
    fn some_groups_are_not_what_they_seem() {
        let told = |uri: &str| address(&uri.parse().unwrap_or_else(|error| panic!("{error}"))).severity;
        assert_eq!(told("udp://239.192.0.1:4000"), Severity::Fine);
        assert_eq!(told("udp://[ff15::1]:4000"), Severity::Fine);
        assert_eq!(told("udp://224.0.0.251:4000"), Severity::Error);
        assert_eq!(
            (told("udp://239.0.0.1:4000"), told("udp://239.128.0.1:1")),
            (Severity::Warning, Severity::Warning)
        );
        assert_eq!(told("udp://232.1.1.1:4000"), Severity::Warning);
        assert_eq!(told("udp://232.1.1.1:4000?source=10.0.0.1"), Severity::Fine);
    }
}
