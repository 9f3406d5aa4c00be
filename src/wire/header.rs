//! The 32 bytes every datagram starts with.

use core::mem::offset_of;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// Bytes of the header.
pub const HEADER_BYTES: usize = size_of::<Header>();
/// Bytes that the TIMESTAMP flag adds after the header.
pub const TIMESTAMP_BYTES: usize = 8;

const MAGIC: u16 = 0x4B4E;
const VERSION: u8 = 1;
const FLAGS_AT: usize = offset_of!(Header, flags);
const CHECKSUM_AT: usize = offset_of!(Header, checksum);

/// What a datagram is for; the tables in [`crate::wire`] give each one's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table in the module's page says what each is")]
pub enum Kind {
    Data = 1,
    Heartbeat = 2,
    End = 3,
    Nak = 4,
    Status = 5,
    Welcome = 6,
    Gone = 7,
    Shed = 8,
    Hello = 9,
    Close = 10,
    Rows = 11,
}

/// The flags of a header, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Sent again.
    pub const REPAIR: Self = Self(1);
    /// Sent in the session's opening.
    pub const OPENING: Self = Self(2);
    /// The time of sending follows the header.
    pub const TIMESTAMP: Self = Self(4);

    const KNOWN: u8 = 7;

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits and those of `other`, if `on`.
    #[must_use]
    pub const fn with(self, other: Self, on: bool) -> Self {
        Self(if on { self.0 | other.0 } else { self.0 })
    }
}

/// The header as it lies in a datagram.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    magic: U16,
    version_kind: u8,
    flags: u8,
    checksum: U32,
    stream: U32,
    count: U16,
    length: U16,
    session: U64,
    base: U64,
}

/// What a header says of a datagram that is to be written, but for its kind and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The stream.
    pub stream: StreamId,
    /// The session.
    pub session: SessionId,
    /// The base; each kind gives it its own meaning.
    pub base: Offset,
    /// The flags.
    pub flags: Flags,
}

/// Why bytes are not a datagram of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too short for what it says it holds.
    #[error("{got} bytes where {need} are needed")]
    Short {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        got: usize,
    },
    /// Not ours at all.
    #[error("magic {0:#06x} is not ours")]
    Magic(u16),
    /// Of a version this library does not speak.
    #[error("version {0} is not spoken here")]
    Version(u8),
    /// Damaged on the way.
    #[error("checksum {told:#010x} where the bytes have {found:#010x}")]
    Checksum {
        /// The checksum in the header.
        told: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// A kind that does not exist.
    #[error("kind {0} does not exist here")]
    Kind(u8),
    /// A flag that does not exist.
    #[error("flags {0:#04x} hold one that does not exist")]
    Flags(u8),
    /// A body that breaks a rule of its kind.
    #[error("the body of a {kind:?} breaks the format at byte {at}")]
    Body {
        /// The kind.
        kind: Kind,
        /// Bytes after the header, about where.
        at: usize,
    },
}

impl Header {
    /// The header of a datagram that is ours, whole and undamaged, and the bytes after it that mean something.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`]; nothing in the bytes was believed before their checksum fitted, but for their length.
    pub fn decode(bytes: &[u8]) -> Result<(&Self, &[u8]), DecodeError> {
        let short = |need| DecodeError::Short { need, got: bytes.len() };
        let (header, rest) = Self::ref_from_prefix(bytes).map_err(|_| short(HEADER_BYTES))?;
        header.check_origin()?;
        let length = usize::from(header.length.get());
        let body = rest.get(..length).ok_or(short(HEADER_BYTES + length))?;
        let (told, found) = (header.checksum.get(), header.checksum_with(body));
        if planted!(ChecksumUnchecked, false, told != found) {
            return Err(DecodeError::Checksum { told, found });
        }
        if header.flags & !Flags::KNOWN != 0 {
            return Err(DecodeError::Flags(header.flags));
        }
        Ok((header, body))
    }

    /// Whether it is ours at all, and of a version spoken here.
    const fn check_origin(&self) -> Result<(), DecodeError> {
        let (magic, version) = (self.magic.get(), self.version_kind >> 4);
        if magic != MAGIC {
            return Err(DecodeError::Magic(magic));
        }
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        Ok(())
    }

    /// What a datagram claims to be, without any check; `None` when it is too short or of no known kind.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<(Kind, Flags)> {
        let (header, _) = Self::ref_from_prefix(bytes).ok()?;
        Some((header.kind().ok()?, header.flags()))
    }

    /// The CRC-32 of this header, with checksum and REPAIR as 0, and `body`.
    fn checksum_with(&self, body: &[u8]) -> u32 {
        let bare = Self { checksum: U32::ZERO, flags: self.flags & !Flags::REPAIR.0, ..*self };
        let mut crc = crc32fast::Hasher::new();
        crc.update(bare.as_bytes());
        crc.update(body);
        crc.finalize()
    }

    /// What the datagram is for.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Kind`].
    pub fn kind(&self) -> Result<Kind, DecodeError> {
        Ok(match self.version_kind & 0x0F {
            1 => Kind::Data,
            2 => Kind::Heartbeat,
            3 => Kind::End,
            4 => Kind::Nak,
            5 => Kind::Status,
            6 => Kind::Welcome,
            7 => Kind::Gone,
            8 => Kind::Shed,
            9 => Kind::Hello,
            10 => Kind::Close,
            11 => Kind::Rows,
            kind => return Err(DecodeError::Kind(kind)),
        })
    }

    /// The flags.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        Flags(self.flags)
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId(self.stream.get())
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        SessionId(self.session.get())
    }

    /// The base.
    #[must_use]
    pub fn base(&self) -> Offset {
        Offset(self.base.get())
    }

    /// The count.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count.get()
    }

    /// How many bytes after the header mean something.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.length.get())
    }

    /// The offsets a DATA datagram covers.
    #[must_use]
    pub fn range(&self) -> OffsetRange {
        OffsetRange::run(self.base(), u64::from(self.count()))
    }
}

impl Head {
    /// Writes the header over the first 32 bytes of `datagram`, whose other bytes are in place, checksum included.
    /// A datagram of at most 65,535 bytes fits the field.
    pub(super) fn seal(&self, kind: Kind, count: u16, datagram: &mut [u8]) {
        let length = u16::try_from(datagram.len().saturating_sub(HEADER_BYTES)).unwrap_or(u16::MAX);
        let bare = Header {
            magic: U16::new(MAGIC),
            version_kind: VERSION << 4 | kind as u8,
            flags: self.flags.0 & !Flags::REPAIR.0,
            checksum: U32::ZERO,
            stream: U32::new(self.stream.0),
            count: U16::new(count),
            length: U16::new(length),
            session: U64::new(self.session.0),
            base: U64::new(self.base.0),
        };
        let Some((head, _)) = datagram.split_first_chunk_mut::<HEADER_BYTES>() else { return };
        head.copy_from_slice(bare.as_bytes());
        let checksum = crc32fast::hash(datagram);
        if let Some(field) = datagram.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4) {
            field.copy_from_slice(&checksum.to_le_bytes());
        }
        if let Some(flags) = datagram.get_mut(FLAGS_AT) {
            *flags = self.flags.0;
        }
    }
}

/// How many bytes the datagram has that starts with `bytes`, header included: where the next one starts on a connection.
/// At most 65,567, since nothing but magic and version was looked at.
///
/// # Errors
///
/// [`DecodeError::Short`] when not even the header is there yet, [`DecodeError::Magic`] and [`DecodeError::Version`].
pub fn datagram_len(bytes: &[u8]) -> Result<usize, DecodeError> {
    let short = DecodeError::Short { need: HEADER_BYTES, got: bytes.len() };
    let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| short)?;
    header.check_origin()?;
    Ok(HEADER_BYTES + header.length())
}

/// Sets REPAIR in a sealed datagram; its checksum stays right.
pub fn mark_repair(datagram: &mut [u8]) {
    if let Some(flags) = datagram.get_mut(FLAGS_AT) {
        *flags |= Flags::REPAIR.0;
    }
}
