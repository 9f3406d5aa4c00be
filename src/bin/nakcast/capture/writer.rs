//! Writing pcap, with times in nanoseconds.

use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::net::SocketAddr;

use etherparse::PacketBuilder;

/// Says that timestamps are in nanoseconds, and which end of a number comes first.
const MAGIC: u32 = 0xA1B2_3C4D;
const VERSION: [u16; 2] = [2, 4];
const SNAPLEN: u32 = 262_144;
/// `LINKTYPE_RAW`: each packet begins with its IPv4 or IPv6 header.
const LINKTYPE: u32 = 101;
const BUFFER: usize = 256 << 10;
const TTL: u8 = 1;
const NANOS: u64 = 1_000_000_000;

/// A file that holds whole packets whenever it is flushed.
pub(crate) struct Writer<W: Write> {
    file: BufWriter<W>,
    packet: Vec<u8>,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(file: W) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER, file);
        let mut header = MAGIC.to_le_bytes().to_vec();
        header.extend(VERSION.map(u16::to_le_bytes).concat());
        // Time zone and accuracy: always zero.
        header.extend([0; 8]);
        header.extend(SNAPLEN.to_le_bytes());
        header.extend(LINKTYPE.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self { file, packet: Vec::new(), bytes: header.len() as u64 })
    }

    /// A datagram from one address to another, both of one family, at a time in nanoseconds since the Unix epoch.
    pub(crate) fn put(
        &mut self,
        at: u64,
        (from, to): (SocketAddr, SocketAddr),
        payload: &[u8],
    ) -> io::Result<()> {
        self.packet.clear();
        let builder = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), TTL)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), TTL)
            }
            _ => return Err(io::Error::other(format!("{from} and {to} are of two families"))),
        };
        let builder = builder.udp(from.port(), to.port());
        builder.write(&mut self.packet, payload).map_err(io::Error::other)?;
        let length = self.packet.len() as u64;
        for number in [at / NANOS, at % NANOS, length, length] {
            self.file.write_all(&(number as u32).to_le_bytes())?;
        }
        self.file.write_all(&self.packet)?;
        self.bytes += 16 + length;
        Ok(())
    }

    /// Bytes of the file so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    #[cfg(test)]
    pub(crate) fn into_inner(self) -> io::Result<W> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
