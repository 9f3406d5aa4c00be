//! Captures of datagrams and connections that never were on a network.

use std::io::Write;
use std::net::SocketAddr;
use std::net::SocketAddrV4;

use nakcast::sim::Node;
use nakcast::sim::Packet;
use nakcast::sim::Pcap;
use nakcast::sim::Record;
use nakcast::sim::What;
use nakcast::time::Time;
use tempfile::NamedTempFile;

pub(crate) struct Capture {
    pcap: Pcap<Vec<u8>>,
    /// Packets of connections, which the library has no use for.
    segments: Vec<u8>,
}

impl Capture {
    pub(crate) fn new() -> Self {
        Self { pcap: Pcap::new(Vec::new()).unwrap(), segments: Vec::new() }
    }

    pub(crate) fn datagram(&mut self, at: Time, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let packet = Some(Packet { from, to, bytes });
        let record = Record { at, node: Node::World, what: What::Sends, number: 0, packet };
        self.pcap.record(&record).unwrap();
    }

    /// A segment whose first byte is number `sequence` of its direction; behind all datagrams in the file.
    pub(crate) fn segment(
        &mut self,
        at: Time,
        ways: (SocketAddrV4, SocketAddrV4),
        sequence: u32,
        bytes: &[u8],
    ) {
        let length = 40 + bytes.len();
        let (seconds, nanos) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000);
        for number in [seconds, nanos, length as u64, length as u64] {
            self.segments.extend((number as u32).to_le_bytes());
        }
        let (from, to) = ways;
        self.segments.extend([0x45, 0]);
        self.segments.extend((length as u16).to_be_bytes());
        self.segments.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        self.segments.extend(from.ip().octets());
        self.segments.extend(to.ip().octets());
        self.segments.extend(from.port().to_be_bytes());
        self.segments.extend(to.port().to_be_bytes());
        self.segments.extend(sequence.to_be_bytes());
        self.segments.extend([0; 4]);
        // Five words of header; ACK and PSH.
        self.segments.extend([0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
        self.segments.extend(bytes);
    }

    pub(crate) fn write(self) -> NamedTempFile {
        let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
        file.write_all(&self.pcap.finish().unwrap()).unwrap();
        file.write_all(&self.segments).unwrap();
        file
    }
}
