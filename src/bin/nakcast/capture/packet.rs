//! From the bytes of a captured packet to its datagram.

use std::net::IpAddr;
use std::net::SocketAddr;

use etherparse::EtherType;
use etherparse::NetSlice;
use etherparse::SlicedPacket;
use etherparse::TransportSlice;
use pcap_parser::Linktype;

/// `LINKTYPE_LINUX_SLL2`: what tcpdump writes of `any` interface today.
const SLL2: Linktype = Linktype(276);

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Udp<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: &'a [u8],
}

/// The datagram in a packet; `None` when it holds none, or only a part of one.
pub(crate) fn udp(link: Linktype, bytes: &[u8]) -> Option<Udp<'_>> {
    let packet = sliced(link, bytes)?;
    let (source, destination, is_fragment) = match packet.net? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            (IpAddr::V4(from), IpAddr::V4(to), ip.is_payload_fragmented())
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            (IpAddr::V6(from), IpAddr::V6(to), ip.is_payload_fragmented())
        }
        NetSlice::Arp(_) => return None,
    };
    let TransportSlice::Udp(udp) = packet.transport.filter(|_| !is_fragment)? else { return None };
    Some(Udp {
        from: SocketAddr::new(source, udp.source_port()),
        to: SocketAddr::new(destination, udp.destination_port()),
        payload: udp.payload(),
    })
}

fn sliced(link: Linktype, bytes: &[u8]) -> Option<SlicedPacket<'_>> {
    let behind = |start: usize| bytes.get(start..);
    let typed = |at: usize, start: usize| {
        let kind = bytes.get(at..)?.first_chunk::<2>()?;
        SlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(*kind)), behind(start)?).ok()
    };
    match link {
        Linktype::ETHERNET => SlicedPacket::from_ethernet(bytes).ok(),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => SlicedPacket::from_ip(bytes).ok(),
        // Four bytes that say which IP it is, as the IP header does as well.
        Linktype::NULL | Linktype::LOOP => SlicedPacket::from_ip(behind(4)?).ok(),
        Linktype::LINUX_SLL => typed(14, 16),
        SLL2 => typed(0, 20),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn ip() -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [239, 1, 1, 1], 1).udp(7, 4_000);
        builder.write(&mut bytes, b"payload").unwrap();
        bytes
    }

    #[test]
    fn the_datagram_is_found_behind_every_kind_of_link() {
        let before = |header: &[u8]| [header, &ip()].concat();
        let ethernet = before(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
        let tagged = before(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 9, 8, 0]);
        let cooked = before(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
        let cooked_2 = before(&[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let links = [
            (Linktype::ETHERNET, ethernet),
            (Linktype::ETHERNET, tagged),
            (Linktype::LINUX_SLL, cooked),
            (SLL2, cooked_2),
            (Linktype::NULL, before(&[2, 0, 0, 0])),
            (Linktype::RAW, ip()),
        ];
        for (link, bytes) in links {
            let udp = udp(link, &bytes).unwrap_or_else(|| panic!("{link:?}"));
            assert_eq!(
                (udp.from.to_string(), udp.to.to_string()),
                ("10.0.0.1:7".into(), "239.1.1.1:4000".into())
            );
            assert_eq!(udp.payload, b"payload");
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_none() {
        let ip = ip();
        for length in 0..ip.len() {
            assert_eq!(udp(Linktype::RAW, &ip[..length]), None, "{length}");
        }
        assert_eq!(udp(Linktype(147), &ip), None);
        let mut fragment = ip.clone();
        fragment[6] = 0x20;
        assert_eq!(udp(Linktype::RAW, &fragment), None);
        let mut tcp = Vec::new();
        PacketBuilder::ipv4([1; 4], [2; 4], 1).tcp(1, 2, 3, 4).write(&mut tcp, b"x").unwrap();
        assert_eq!(udp(Linktype::RAW, &tcp), None);
    }
}
