//! A beacon as bytes: the table in the module's page is what this reads and writes.

use core::mem::offset_of;
use core::time::Duration;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::discovery::announcement::Announcement;
use crate::discovery::announcement::NAME_BYTES;
use crate::discovery::announcement::NodeId;
use crate::endpoint::Endpoint;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// The longest beacon: no link of today cuts it in two.
pub(super) const BEACON_BYTES: usize = 1_200;
/// Endpoints of one announcement.
pub(super) const ENDPOINTS: usize = 8;
/// How often a node may say that it sends beacons.
pub(super) const SHORTEST: Duration = Duration::from_millis(50);
pub(super) const LONGEST: Duration = Duration::from_secs(60);

const MAGIC: u16 = 0x424E;
const VERSION: u8 = 1;
const LEAVING: u8 = 1;
const CHECKSUM_AT: usize = offset_of!(Head, checksum);

/// What stands before the name.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    magic: U16,
    version: u8,
    flags: u8,
    checksum: U32,
    node: U64,
    session: U64,
    stream: U32,
    serial: U32,
    interval_ms: U16,
    length: U16,
    name: u8,
    endpoints: u8,
    zero: U16,
}

/// What a node says of itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beacon {
    pub(super) node: NodeId,
    /// Grows with each announcement, so that an older one that comes late is known for what it is.
    pub(super) serial: u32,
    /// Nothing comes after it.
    pub(super) leaving: bool,
    /// How often it comes.
    pub(super) interval: Duration,
    pub(super) announcement: Announcement,
}

/// Why bytes are no beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BeaconError {
    #[error("{got} bytes are no beacon")]
    Size { got: usize },
    #[error("another magic number")]
    Magic,
    #[error("version {0}")]
    Version(u8),
    #[error("checksum")]
    Checksum,
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

impl Beacon {
    /// Writes it over `out`. The announcement was checked before.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Announcement { name, session, endpoints } = &self.announcement;
        let interval = self.interval.clamp(SHORTEST, LONGEST).as_millis();
        out.clear();
        out.resize(size_of::<Head>(), 0);
        out.extend_from_slice(name.as_bytes());
        for endpoint in endpoints {
            let text = endpoint.to_string();
            out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(text.as_bytes());
        }
        let head = Head {
            magic: U16::new(MAGIC),
            version: VERSION,
            flags: if self.leaving { LEAVING } else { 0 },
            checksum: U32::ZERO,
            node: U64::new(self.node.0),
            session: U64::new(session.0),
            stream: U32::new(self.announcement.stream().0),
            serial: U32::new(self.serial),
            interval_ms: U16::new(u16::try_from(interval).unwrap_or(u16::MAX)),
            length: U16::new(u16::try_from(out.len() - size_of::<Head>()).unwrap_or(u16::MAX)),
            name: u8::try_from(name.len()).unwrap_or(u8::MAX),
            endpoints: u8::try_from(endpoints.len()).unwrap_or(u8::MAX),
            zero: U16::ZERO,
        };
        out[..size_of::<Head>()].copy_from_slice(head.as_bytes());
        let checksum = crc32fast::hash(out).to_le_bytes();
        out[CHECKSUM_AT..CHECKSUM_AT + checksum.len()].copy_from_slice(&checksum);
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BeaconError> {
        let got = bytes.len();
        let Some((head, body)) = Head::read_from_prefix(bytes).ok().filter(|_| got <= BEACON_BYTES) else {
            return Err(BeaconError::Size { got });
        };
        if head.magic.get() != MAGIC {
            return Err(BeaconError::Magic);
        }
        if head.version != VERSION {
            return Err(BeaconError::Version(head.version));
        }
        if usize::from(head.length.get()) != body.len() {
            return Err(BeaconError::Size { got });
        }
        if head.checksum.get() != checksum(head, body) {
            return Err(BeaconError::Checksum);
        }
        if head.flags & !LEAVING != 0 || head.zero != U16::ZERO {
            return Err(BeaconError::Malformed("a reserved bit"));
        }
        let interval = Duration::from_millis(head.interval_ms.get().into());
        if !(SHORTEST..=LONGEST).contains(&interval) {
            return Err(BeaconError::Malformed("the interval"));
        }
        let leaving = head.flags & LEAVING != 0;
        let (node, serial) = (NodeId(head.node.get()), head.serial.get());
        Ok(Self { node, serial, leaving, interval, announcement: announcement(&head, body)? })
    }
}

fn checksum(head: Head, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(Head { checksum: U32::ZERO, ..head }.as_bytes());
    crc.update(body);
    crc.finalize()
}

fn announcement(head: &Head, body: &[u8]) -> Result<Announcement, BeaconError> {
    let (name, mut rest) =
        body.split_at_checked(head.name.into()).ok_or(BeaconError::Malformed("the name"))?;
    let name =
        str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(BeaconError::Malformed("the name"))?;
    let mut announcement = Announcement::new(name, SessionId(head.session.get()));
    if usize::from(head.endpoints) > ENDPOINTS {
        return Err(BeaconError::Malformed("the number of endpoints"));
    }
    for _ in 0..head.endpoints {
        let (endpoint, behind) = endpoint(rest).ok_or(BeaconError::Malformed("an endpoint"))?;
        if endpoint.stream() != StreamId(head.stream.get()) {
            return Err(BeaconError::Malformed("the stream of an endpoint"));
        }
        (announcement, rest) = (announcement.endpoint(endpoint), behind);
    }
    if rest.is_empty() { Ok(announcement) } else { Err(BeaconError::Malformed("the end")) }
}

/// The first endpoint, and what stands behind it.
fn endpoint(bytes: &[u8]) -> Option<(Endpoint, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(length.into())?;
    Some((str::from_utf8(text).ok()?.parse().ok()?, rest))
}

/// Whether a name can be written on a screen as it is.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
