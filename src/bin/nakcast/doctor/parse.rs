//! The texts of `/proc` and `/sys`, read.

use std::net::Ipv4Addr;

/// A number alone in a file.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The flags of an interface, as `/sys/class/net/NAME/flags` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkFlags(u32);

impl LinkFlags {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok().map(Self)
    }

    /// `IFF_UP`.
    pub(crate) const fn is_up(self) -> bool {
        self.0 & 0x1 != 0
    }

    /// `IFF_MULTICAST`.
    pub(crate) const fn is_multicast(self) -> bool {
        self.0 & 0x1000 != 0
    }
}

/// An IPv4 address as `/proc/net` writes it: the number that its bytes are on this machine, in hex.
fn address(text: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(text, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

/// The interface by which `/proc/net/route` would send to `to`: the longest prefix, then the smallest metric.
pub(crate) fn route(text: &str, to: Ipv4Addr) -> Option<String> {
    const UP: u32 = 0x1;
    const REJECT: u32 = 0x200;
    let fitting = text.lines().skip(1).filter_map(|line| {
        let cells: Vec<_> = line.split_whitespace().collect();
        let &[name, destination, _, flags, _, _, metric, mask, ..] = cells.as_slice() else { return None };
        let (destination, mask) = (address(destination)?, address(mask)?);
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_on_the_way = to.to_bits() & mask.to_bits() == destination.to_bits();
        let is_usable = flags & (UP | REJECT) == UP;
        let metric: u32 = metric.parse().ok()?;
        (is_on_the_way && is_usable).then_some((mask.to_bits().count_ones(), u32::MAX - metric, name))
    });
    fitting.max().map(|(.., name)| name.to_owned())
}

/// An interface in `/proc/net/igmp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memberships {
    pub(crate) interface: String,
    /// The version that the querier there speaks, or that is used without one.
    pub(crate) version: u8,
    pub(crate) groups: Vec<Ipv4Addr>,
}

pub(crate) fn igmp(text: &str) -> Vec<Memberships> {
    let mut links: Vec<Memberships> = Vec::new();
    for line in text.lines().skip(1) {
        let cells: Vec<_> = line.split_whitespace().collect();
        if line.starts_with(char::is_whitespace) {
            let group = cells.first().and_then(|cell| address(cell));
            if let (Some(link), Some(group)) = (links.last_mut(), group) {
                link.groups.push(group);
            }
        } else if let [_, name, ..] = cells.as_slice() {
            let version = cells.iter().find_map(|cell| cell.strip_prefix('V')).and_then(|v| v.parse().ok());
            let interface = name.trim_end_matches(':').to_owned();
            links.push(Memberships { interface, version: version.unwrap_or(3), groups: Vec::new() });
        }
    }
    links
}

/// `RcvbufErrors` of UDP in `/proc/net/snmp`: datagrams dropped for want of buffer, of all sockets.
pub(crate) fn buffer_drops(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (titles, values) = (lines.next()?, lines.next()?);
    let column = titles.split_whitespace().position(|title| title == "RcvbufErrors")?;
    values.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth1\t00000000\t010200C0\t0003\t0\t0\t50\t00000000\t0\t0\t0
eth2\t000000E0\t00000000\t0001\t0\t0\t0\t000000F0\t0\t0\t0
eth3\t0000C0EF\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0
lo\t0000A8C0\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
";
    const IGMP: &str = "\
Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
4\teth0.100  :     2      V2
\t\t\t\t0100C0EF     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_longest_usable_route_counts() {
        let via = |to: [u8; 4]| route(ROUTES, to.into());
        assert_eq!(via([239, 192, 0, 1]).as_deref(), Some("eth2"));
        assert_eq!(via([8, 8, 8, 8]).as_deref(), Some("eth1"));
        assert_eq!(via([192, 168, 0, 1]).as_deref(), Some("eth1"));
        assert_eq!(route(ROUTES.lines().next().unwrap_or_default(), [239, 1, 1, 1].into()), None);
        assert_eq!(route("", [239, 1, 1, 1].into()), None);
        assert_eq!(route("x\neth0 zz", [239, 1, 1, 1].into()), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn memberships_belong_to_their_interface() {
        let links = igmp(IGMP);
        assert_eq!(links.len(), 2);
        assert_eq!((links[0].interface.as_str(), links[0].version), ("lo", 3));
        assert_eq!((links[1].interface.as_str(), links[1].version), ("eth0.100", 2));
        assert_eq!(links[1].groups, [Ipv4Addr::new(239, 192, 0, 1), Ipv4Addr::new(224, 0, 0, 1)]);
        assert!(igmp("").is_empty() && igmp("a\n\n\tzz").is_empty());
    }

    #[test]
    fn flags_and_numbers() {
        let flags = |text| LinkFlags::parse(text).map(|flags| (flags.is_up(), flags.is_multicast()));
        assert_eq!(flags("0x1003\n"), Some((true, true)));
        assert_eq!((flags("0x9\n"), flags("0x1002")), (Some((true, false)), Some((false, true))));
        assert_eq!((flags("9"), flags("0xzz"), flags("")), (None, None, None));
        assert_eq!((number("212992\n"), number(""), number("-1")), (Some(212_992), None, None));
    }

    #[test]
    fn drops_are_found_by_their_title() {
        let text = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts RcvbufErrors X\nUdp: 5 0 42 0\nUdpLite: a\n";
        assert_eq!(buffer_drops(text), Some(42));
        assert_eq!((buffer_drops(""), buffer_drops("Udp: RcvbufErrors\nUdp: \n")), (None, None));
    }
}
