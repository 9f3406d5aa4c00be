//! What was sent in a simulated world, as a capture file.

use core::net::SocketAddr;
use core::net::SocketAddrV4;
use std::io;
use std::io::Write;

use crate::sim::trace::Packet;
use crate::sim::trace::Record;
use crate::sim::trace::What;
use crate::time::Time;

/// Says that timestamps are in nanoseconds, and which end of a number comes first.
const MAGIC: u32 = 0xA1B2_3C4D;
const VERSION: (u16, u16) = (2, 4);
/// The most bytes of a packet that are kept: all.
const SNAPLEN: u32 = 65_535;
/// `LINKTYPE_IPV4`: each packet begins with its IPv4 header.
const LINKTYPE: u32 = 228;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const PROTOCOL_UDP: u8 = 17;
const TTL: u8 = 1;

/// Writes datagrams as they leave their hosts, in virtual time, so that tcpdump and Wireshark read them.
///
/// The format is that of libpcap, with nanoseconds.
#[derive(Debug)]
pub struct Pcap<W: Write> {
    file: W,
    packets: u64,
}

impl<W: Write> Pcap<W> {
    /// Begins a capture.
    ///
    /// # Errors
    ///
    /// Those of `file`.
    pub fn new(mut file: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC.to_le_bytes());
        header.extend(VERSION.0.to_le_bytes());
        header.extend(VERSION.1.to_le_bytes());
        // Time zone and accuracy: always zero.
        header.extend([0; 8]);
        header.extend(SNAPLEN.to_le_bytes());
        header.extend(LINKTYPE.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self { file, packets: 0 })
    }

    /// Takes down what happened, if it is that a datagram left a host.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        match record.packet {
            Some(packet) if matches!(record.what, What::Sends | What::Forges) => {
                self.packet(record.at, &packet)
            }
            _ => Ok(()),
        }
    }

    /// Datagrams so far.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Ends the capture, and gives back the file.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.file.flush()?;
        Ok(self.file)
    }

    fn packet(&mut self, at: Time, packet: &Packet<'_>) -> io::Result<()> {
        let Some(headers) = headers(packet) else { return Ok(()) };
        let (seconds, nanos) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000);
        let length = headers.len() + packet.bytes.len();
        for number in [seconds, nanos, length as u64, length as u64] {
            self.file.write_all(&(number as u32).to_le_bytes())?;
        }
        self.file.write_all(&headers)?;
        self.file.write_all(packet.bytes)?;
        self.packets += 1;
        Ok(())
    }
}

/// The IPv4 and UDP headers of a datagram (RFC 791 §3.1, RFC 768); `None` when no such datagram can be.
fn headers(packet: &Packet<'_>) -> Option<[u8; IP_BYTES + UDP_BYTES]> {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (packet.from, packet.to) else { return None };
    let udp = u16::try_from(UDP_BYTES + packet.bytes.len()).ok()?;
    let length = u16::try_from(IP_BYTES + usize::from(udp)).ok()?;
    let mut headers = [0; IP_BYTES + UDP_BYTES];
    let (ip, rest) = headers.split_at_mut(IP_BYTES);
    // Version 4, five words of header.
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    (ip[8], ip[9]) = (TTL, PROTOCOL_UDP);
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..20].copy_from_slice(&to.ip().octets());
    let checksum = !folded(sum(ip));
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    rest[0..2].copy_from_slice(&from.port().to_be_bytes());
    rest[2..4].copy_from_slice(&to.port().to_be_bytes());
    rest[4..6].copy_from_slice(&udp.to_be_bytes());
    let checksum = udp_checksum((from, to), rest, packet.bytes);
    rest[6..8].copy_from_slice(&checksum.to_be_bytes());
    Some(headers)
}

/// Over addresses, protocol and length (the pseudo header), the UDP header and the data.
fn udp_checksum((from, to): (SocketAddrV4, SocketAddrV4), header: &[u8], data: &[u8]) -> u16 {
    let addresses = sum(&from.ip().octets()) + sum(&to.ip().octets());
    let length = (header.len() + data.len()) as u64;
    let checksum = !folded(addresses + u64::from(PROTOCOL_UDP) + length + sum(header) + sum(data));
    // Zero would say that there is none.
    if checksum == 0 { u16::MAX } else { checksum }
}

/// The sum of all words of 16 bits, the last one filled up with a zero.
fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| {
        u64::from(u16::from_be_bytes([
            pair.first().copied().unwrap_or_default(),
            pair.get(1).copied().unwrap_or_default(),
        ]))
    };
    bytes.chunks(2).map(word).sum()
}

/// Carries added until there are none (RFC 1071).
fn folded(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cast::GROUP;
    use crate::sim::cast::address;
    use crate::sim::trace::Node;

    fn sends(bytes: &[u8]) -> Record<'_> {
        let node = Node::Publisher(0);
        let packet = Some(Packet { from: address(node), to: GROUP, bytes });
        Record { at: Time(1_000_000_007), node, what: What::Sends, number: 0, packet }
    }

    #[test]
    fn a_packet_has_its_headers_and_sums() {
        let mut pcap = Pcap::new(Vec::new()).unwrap();
        let record = sends(b"odd");
        pcap.record(&record).unwrap();
        pcap.record(&Record { what: What::Receives, ..record }).unwrap();
        assert_eq!(pcap.packets(), 1);
        let file = pcap.finish().unwrap();
        assert_eq!(file.len(), 24 + 16 + 28 + 3);
        assert_eq!(&file[24..32], &[1, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!((&file[32..34], &file[40..44]), (&[31, 0][..], &[0x45, 0, 0, 31][..]));
        assert_eq!(&file[68..], b"odd");
        // A sum over what holds its own checksum is all ones.
        let (ip, udp) = (&file[40..60], &file[60..]);
        assert_eq!(folded(sum(ip)), 0xFFFF);
        assert_eq!(folded(sum(&ip[12..20]) + 17 + 11 + sum(udp)), 0xFFFF);
    }

    #[test]
    fn what_fits_no_datagram_is_left_out() {
        let mut pcap = Pcap::new(Vec::new()).unwrap();
        pcap.record(&sends(&vec![0; 65_508])).unwrap();
        pcap.record(&sends(&vec![0; 65_507])).unwrap();
        assert_eq!(pcap.packets(), 1);
    }
}
