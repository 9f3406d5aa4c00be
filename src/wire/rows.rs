//! ROWS: what a publisher knows of its receivers, for whoever asks over a connection.

use core::net::Ipv6Addr;
use core::net::SocketAddr;
use core::time::Duration;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::wire::ReceiverId;

/// The most rows in one ROWS, so that it fits a usual datagram's size.
pub const ROWS_ENTRIES: usize = 15;

/// How many rows there are, ahead of some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Rows {
    left: U32,
    zero: U32,
}

impl Rows {
    pub(super) fn new(left: u32) -> Self {
        Self { left: U32::new(left), zero: U32::ZERO }
    }

    /// How many rows follow after these: to be asked for from the last one's id and one on.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left.get()
    }

    /// The body of a ROWS of `count` rows.
    pub(super) fn decode(count: usize, body: &[u8]) -> Option<(&Self, &[RowEntry])> {
        let (rows, rest) = Self::ref_from_prefix(body).ok()?;
        if count > ROWS_ENTRIES || rows.zero != U32::ZERO {
            return None;
        }
        let entries = <[RowEntry]>::ref_from_bytes_with_elems(rest, count).ok()?;
        let ascend = entries.is_sorted_by(|one, next| one.receiver.get() < next.receiver.get());
        let is_cut = count > 0 || rows.left == U32::ZERO;
        (ascend && is_cut && entries.iter().all(RowEntry::is_sound)).then_some((rows, entries))
    }
}

/// What a publisher knows of one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RowEntry {
    /// Who.
    pub receiver: U64,
    /// The next offset it wants.
    pub next: U64,
    /// Offsets delivered in this session.
    pub delivered: U64,
    /// Offsets lost in this session.
    pub lost: U64,
    /// NAKs it has sent in this session.
    pub naks: U64,
    /// Datagrams its kernel dropped for want of buffer.
    pub kernel_drops: U64,
    /// How far it says it is behind, in microseconds; 0 when not known.
    pub lag_us: U32,
    /// Its round trip in microseconds; 0 when not known.
    pub rtt_us: U32,
    /// How long ago it was heard, in milliseconds.
    pub heard_ms: U32,
    /// How much more it can take beyond `next`, in charge.
    pub window: U32,
    /// Its address: IPv6, or IPv4 mapped into it; in the order of the network.
    pub address: [u8; 16],
    /// Its port.
    pub port: U16,
    /// [`RowEntry::LIVE`], [`RowEntry::EVICTED`], [`RowEntry::SLOW`], [`RowEntry::STREAM`].
    pub flags: U16,
    /// Reserved.
    pub zero: U32,
}

impl RowEntry {
    /// Heard lately.
    pub const LIVE: u16 = 1;
    /// Evicted or cut off, and not near the head again.
    pub const EVICTED: u16 = 2;
    /// More than its window behind.
    pub const SLOW: u16 = 4;
    /// It hears over a connection, not datagrams.
    pub const STREAM: u16 = 8;

    /// Who.
    #[must_use]
    pub fn receiver(&self) -> ReceiverId {
        ReceiverId(self.receiver.get())
    }

    /// Where.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.address).to_canonical(), self.port.get())
    }

    /// The same receiver at `address`.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        let ip = match address {
            SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
            SocketAddr::V6(v6) => *v6.ip(),
        };
        Self { address: ip.octets(), port: U16::new(address.port()), ..self }
    }

    /// How long ago it was heard.
    #[must_use]
    pub fn heard_ago(&self) -> Duration {
        Duration::from_millis(u64::from(self.heard_ms.get()))
    }

    /// Whether `flag` is set.
    #[must_use]
    pub fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    fn is_sound(&self) -> bool {
        let known = Self::LIVE | Self::EVICTED | Self::SLOW | Self::STREAM;
        self.zero == U32::ZERO && self.flags.get() & !known == 0
    }
}
