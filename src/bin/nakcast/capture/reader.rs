//! Reading pcap and pcapng, packet by packet.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use pcap_parser::Block;
use pcap_parser::Linktype;
use pcap_parser::PcapBlockOwned;
use pcap_parser::PcapError;
use pcap_parser::create_reader;
use pcap_parser::traits::PcapReaderIterator;

use crate::ending::Failure;

/// The most bytes of a packet, with what the file adds; a packet captured whole has 262,144 at most.
const BUFFER: usize = 1 << 20;
const NANOS: u64 = 1_000_000_000;

/// An open file.
pub(crate) struct Reader {
    path: PathBuf,
    blocks: Box<dyn PcapReaderIterator + Send>,
    links: Vec<Link>,
    /// Bytes of the file that were taken in, up to the next packet.
    position: u64,
    /// The time of the last packet that had one.
    at: u64,
}

/// What a packet's interface says of it.
#[derive(Debug, Clone, Copy)]
struct Link {
    kind: Linktype,
    /// Units of time in a second.
    units: u64,
    /// Seconds to be added.
    offset: i64,
}

/// A packet, whose bytes are where the reader was told to put them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Nanoseconds since the Unix epoch.
    pub(crate) at: u64,
    pub(crate) link: Linktype,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let path = path.to_owned();
        let file = File::open(&path).map_err(|error| Failure::Open { path: path.clone(), error })?;
        match create_reader(BUFFER, file) {
            Ok(blocks) => Ok(Self { path, blocks, links: Vec::new(), position: 0, at: 0 }),
            Err(PcapError::Incomplete(_)) => Err(Failure::TornCapture { path, at: 0 }),
            Err(_) => Err(Failure::NoCapture { path }),
        }
    }

    /// The next packet, its bytes in `bytes`; `None` at the end.
    pub(crate) fn next(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Frame>, Failure> {
        loop {
            let (size, frame) = match self.blocks.next() {
                Ok((size, block)) => (size, take(block, &mut self.links, self.at, bytes)),
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => {
                    self.refill()?;
                    continue;
                }
                Err(PcapError::UnexpectedEof) => {
                    return Err(Failure::TornCapture { path: self.path.clone(), at: self.position });
                }
                Err(_) => return Err(self.broken()),
            };
            self.blocks.consume(size);
            self.position += size as u64;
            if let Some(frame) = frame {
                self.at = frame.at;
                return Ok(Some(frame));
            }
        }
    }

    fn refill(&mut self) -> Result<(), Failure> {
        if self.blocks.refill().is_ok() { Ok(()) } else { Err(self.broken()) }
    }

    fn broken(&self) -> Failure {
        Failure::BrokenCapture { path: self.path.clone(), at: self.position }
    }
}

/// The packet in a block, if it holds one.
fn take(block: PcapBlockOwned<'_>, links: &mut Vec<Link>, last: u64, bytes: &mut Vec<u8>) -> Option<Frame> {
    let mut keep = |data: &[u8], length: u32| {
        bytes.clear();
        // What fills the block up to a multiple of four is no part of the packet.
        bytes.extend_from_slice(data.get(..length as usize).unwrap_or(data));
    };
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let units = if header.is_nanosecond_precision() { NANOS } else { 1_000_000 };
            *links = vec![Link { kind: header.network, units, offset: 0 }];
            None
        }
        PcapBlockOwned::Legacy(packet) => {
            let link = links.first()?;
            keep(packet.data, packet.caplen);
            let at = u64::from(packet.ts_sec) * NANOS + u64::from(packet.ts_usec) * (NANOS / link.units);
            Some(Frame { at, link: link.kind })
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            let units = interface.ts_resolution().filter(|units| *units > 0).unwrap_or(1_000_000);
            links.push(Link { kind: interface.linktype, units, offset: interface.if_tsoffset });
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let link = links.get(packet.if_id as usize)?;
            keep(packet.data, packet.caplen);
            let count = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            Some(Frame { at: link.nanos(count), link: link.kind })
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            keep(packet.data, packet.origlen);
            Some(Frame { at: last, link: links.first()?.kind })
        }
        PcapBlockOwned::NG(_) => None,
    }
}

impl Link {
    fn nanos(&self, count: u64) -> u64 {
        let nanos = i128::from(count) * i128::from(NANOS) / i128::from(self.units);
        let nanos = nanos + i128::from(self.offset) * i128::from(NANOS);
        u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Writer;

    type Packets = Vec<(u64, Vec<u8>)>;

    fn read(bytes: &[u8]) -> (Packets, Result<(), String>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (mut packets, mut packet) = (Vec::new(), Vec::new());
        let mut reader = match Reader::open(file.path()) {
            Ok(reader) => reader,
            Err(failure) => return (packets, Err(failure.to_string())),
        };
        loop {
            match reader.next(&mut packet) {
                Ok(Some(frame)) => packets.push((frame.at, packet.clone())),
                Ok(None) => return (packets, Ok(())),
                Err(failure) => return (packets, Err(failure.to_string())),
            }
        }
    }

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let address = "10.0.0.1:5".parse().unwrap();
        for (at, payload) in [(1_000_000_007, &b"one"[..]), (2_000_000_000, b"twoo")] {
            writer.put(at, (address, address), payload).unwrap();
        }
        writer.into_inner().unwrap()
    }

    #[test]
    fn wherever_a_file_is_torn_the_packet_is_named() {
        let bytes = written();
        let second = 24 + 16 + 31;
        assert_eq!(bytes.len(), second + 16 + 32);
        let (packets, end) = read(&bytes);
        assert_eq!((packets[0].0, packets[1].0, end), (1_000_000_007, 2_000_000_000, Ok(())));
        for length in (0..30).chain(65..80).chain(110..bytes.len()) {
            let (packets, end) = read(&bytes[..length]);
            let (count, at) = match length {
                0..24 => (0, 0),
                24..=70 => (0, 24),
                _ => (1, second),
            };
            assert_eq!(packets.len(), count, "{length}");
            match end {
                Ok(()) => assert!(length == 24 || length == second, "{length}"),
                Err(text) if length == 0 => assert!(text.contains("is no capture"), "{text}"),
                Err(text) => assert!(text.contains(&format!("byte {at}:")), "{length}: {text}"),
            }
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_broken_at_its_byte() {
        let mut bytes = written();
        bytes[24 + 8..24 + 16].fill(0xFF);
        let (packets, end) = read(&bytes);
        assert!(packets.is_empty());
        assert!(end.unwrap_err().contains("byte 24"));
        assert!(read(b"no capture at all, but text").1.unwrap_err().contains("is no capture"));
    }

    /// A section with an interface of nanoseconds and one packet of three bytes, filled up to four.
    #[test]
    fn pcapng_is_read_with_its_own_units() {
        let block = |kind: u32, body: &[u8]| {
            let length = (body.len() as u32 + 12).to_le_bytes();
            [&kind.to_le_bytes(), &length[..], body, &length].concat()
        };
        let section = block(0x0A0D_0D0A, &[&[0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0][..], &[0xFF; 8]].concat());
        let interface = block(1, &[101, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        let packet = [[0; 4], [0; 4], 5_u32.to_le_bytes(), [3, 0, 0, 0], [3, 0, 0, 0], *b"abc\0"].concat();
        let bytes = [section, interface, block(6, &packet)].concat();
        assert_eq!(read(&bytes), (vec![(5, b"abc".to_vec())], Ok(())));
        assert!(read(&bytes[..bytes.len() - 1]).1.is_err());
    }
}
