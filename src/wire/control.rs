//! Whole datagrams, decoded once at the edge, and everything that is not a batch.

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
use crate::wire::Close;
use crate::wire::DecodeError;
use crate::wire::Frames;
use crate::wire::Header;
use crate::wire::Hello;
use crate::wire::Kind;
use crate::wire::ReceiverId;
use crate::wire::RowEntry;
use crate::wire::Rows;
use crate::wire::Token;
use crate::wire::Topics;
use crate::wire::header::Flags;
use crate::wire::header::TIMESTAMP_BYTES;

/// The most ranges in one NAK or SHED.
pub const RANGES: usize = 100;
/// The most entries in one GONE.
pub const GONE_ENTRIES: usize = 50;

/// A datagram that is ours, whole and undamaged.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Its header.
    pub header: &'a Header,
    /// When it was sent, in nanoseconds since the Unix epoch, if it says so.
    pub timestamp: Option<u64>,
    /// What follows.
    pub body: Body<'a>,
}

/// What follows the header, by kind.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the table in the module's page says what each is")]
pub enum Body<'a> {
    Data(Frames<'a>),
    Heartbeat(&'a Heartbeat),
    End(&'a Heartbeat),
    Nak(&'a Nak, &'a [RangeEntry]),
    Status(&'a Status),
    Welcome(&'a Welcome),
    Gone(&'a [GoneEntry]),
    Shed(&'a Shed, &'a [RangeEntry]),
    Hello(&'a Hello, Topics<'a>),
    Close(&'a Close),
    Rows(&'a Rows, &'a [RowEntry]),
}

impl<'a> Datagram<'a> {
    /// Decodes `bytes` and checks every rule of the format.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] that says which rule is broken.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, body) = Header::decode(bytes)?;
        let kind = header.kind()?;
        let (timestamp, body) = split_timestamp(header.flags(), kind, body)?;
        let body = decode_body(header, kind, body)?;
        Ok(Self { header, timestamp, body })
    }
}

fn split_timestamp(flags: Flags, kind: Kind, body: &[u8]) -> Result<(Option<u64>, &[u8]), DecodeError> {
    if !flags.has(Flags::TIMESTAMP) {
        return Ok((None, body));
    }
    let (time, rest) =
        body.split_first_chunk::<TIMESTAMP_BYTES>().ok_or(DecodeError::Body { kind, at: body.len() })?;
    Ok((Some(u64::from_le_bytes(*time)), rest))
}

fn decode_body<'a>(header: &Header, kind: Kind, body: &'a [u8]) -> Result<Body<'a>, DecodeError> {
    let broken = DecodeError::Body { kind, at: body.len() };
    let count = usize::from(header.count());
    let decoded = match kind {
        Kind::Data => {
            let frames = Frames::new(body);
            frames.check(header.count())?;
            let fits = header.base().0.checked_add(u64::from(header.count())).is_some();
            fits.then_some(Body::Data(frames))
        }
        Kind::Heartbeat => {
            alone(count, body).filter(|heartbeat| Heartbeat::is_sound(heartbeat)).map(Body::Heartbeat)
        }
        Kind::End => alone(count, body).filter(|heartbeat| Heartbeat::is_sound(heartbeat)).map(Body::End),
        Kind::Nak => with_ranges(count, body).map(|(nak, ranges)| Body::Nak(nak, ranges)),
        Kind::Status => alone(count, body).filter(|status| Status::is_sound(status)).map(Body::Status),
        Kind::Welcome => alone(count, body).map(Body::Welcome),
        Kind::Gone => entries(body, count, GONE_ENTRIES)
            .filter(|gone| gone.iter().all(GoneEntry::is_sound))
            .map(Body::Gone),
        Kind::Shed => with_ranges(count, body)
            .filter(|(shed, _): &(&Shed, _)| shed.zero == U32::ZERO)
            .map(|(shed, ranges)| Body::Shed(shed, ranges)),
        Kind::Hello => Hello::decode(count, body).map(|(hello, topics)| Body::Hello(hello, topics)),
        Kind::Close => alone(count, body).filter(|close| Close::is_sound(close)).map(Body::Close),
        Kind::Rows => Rows::decode(count, body).map(|(rows, entries)| Body::Rows(rows, entries)),
    };
    decoded.ok_or(broken)
}

/// A body of fixed size that stands alone.
fn alone<T: FromBytes + KnownLayout + Immutable + Unaligned>(count: usize, body: &[u8]) -> Option<&T> {
    if count != 0 {
        return None;
    }
    T::ref_from_bytes(body).ok()
}

/// A body of fixed size and the ranges behind it.
fn with_ranges<T>(count: usize, body: &[u8]) -> Option<(&T, &[RangeEntry])>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    let (head, rest) = T::ref_from_prefix(body).ok()?;
    let ranges: &[RangeEntry] = entries(rest, count, RANGES)?;
    RangeEntry::ascend(ranges).then_some((head, ranges))
}

fn entries<T: FromBytes + Immutable + Unaligned>(bytes: &[u8], count: usize, most: usize) -> Option<&[T]>
where
    [T]: KnownLayout<PointerMetadata = usize>,
{
    if count == 0 || count > most {
        return None;
    }
    <[T]>::ref_from_bytes_with_elems(bytes, count).ok()
}

/// What a publisher says of itself; also the body of END.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Heartbeat {
    /// The oldest offset still held.
    pub oldest: U64,
    /// How many live receivers the publisher knows of: the group size G.
    pub receivers: U32,
    /// The group's round trip time in microseconds.
    pub grtt_us: U32,
    /// How often each receiver is to send a STATUS, in milliseconds.
    pub status_ms: U16,
    /// The port that serves history over TCP; 0 for none.
    pub tcp_port: U16,
    /// [`Heartbeat::POLL`], [`Heartbeat::BLOCK`].
    pub flags: U16,
    /// Reserved.
    pub zero: U16,
}

impl Heartbeat {
    /// The publisher is held and asks every receiver for a STATUS.
    pub const POLL: u16 = 1;
    /// The publisher waits for its slowest receiver: every one reports at each quarter of its window.
    pub const BLOCK: u16 = 2;

    fn is_sound(&self) -> bool {
        self.zero == U16::ZERO && self.flags.get() & !(Self::POLL | Self::BLOCK) == 0
    }
}

/// Who asks, ahead of the ranges it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Nak {
    receiver: U64,
    token: U64,
}

impl Nak {
    pub(super) fn new(receiver: ReceiverId, token: Token) -> Self {
        Self { receiver: U64::new(receiver.0), token: U64::new(token.0) }
    }

    /// Who asks.
    #[must_use]
    pub fn receiver(&self) -> ReceiverId {
        ReceiverId(self.receiver.get())
    }

    /// Its proof of address.
    #[must_use]
    pub fn token(&self) -> Token {
        Token(self.token.get())
    }
}

/// A run of offsets in a NAK or SHED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RangeEntry {
    from: U64,
    count: U32,
}

impl RangeEntry {
    /// The entry for `range`, cut at 2³² − 1 offsets.
    #[must_use]
    pub fn new(range: OffsetRange) -> Self {
        let count = u32::try_from(range.len()).unwrap_or(u32::MAX);
        Self { from: U64::new(range.from.0), count: U32::new(count) }
    }

    /// The offsets of the entry.
    #[must_use]
    pub fn range(&self) -> OffsetRange {
        OffsetRange::run(Offset(self.from.get()), u64::from(self.count.get()))
    }

    fn ascend(entries: &[Self]) -> bool {
        let mut end = Offset::ZERO;
        entries.iter().all(|entry| {
            let range = entry.range();
            let sound = range.from >= end && range.len() == u64::from(entry.count.get()) && !range.is_empty();
            end = range.to;
            sound
        })
    }
}

/// What a subscriber says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Status {
    /// Who speaks.
    pub receiver: U64,
    /// Its proof of address; 0 before the first WELCOME.
    pub token: U64,
    /// A time of the receiver's own, echoed in WELCOME when it is not 0.
    pub time: U64,
    /// How much more it can take beyond `base`, in charge.
    pub window: U32,
    /// The round trip it measured, in microseconds; 0 for none yet.
    pub rtt_us: U32,
    /// Offsets delivered in this session.
    pub delivered: U64,
    /// Offsets lost in this session.
    pub lost: U64,
    /// NAKs sent in this session.
    pub naks: U64,
    /// Datagrams its kernel dropped for want of buffer.
    pub kernel_drops: U64,
    /// How far it is behind, in microseconds; 0 when not known.
    pub lag_us: U32,
    /// [`Status::LEAVING`], [`Status::OBSERVER`], [`Status::FETCHING`].
    pub flags: U16,
    /// Reserved.
    pub zero: U16,
}

impl Status {
    /// The receiver goes away in good order.
    pub const LEAVING: u16 = 1;
    /// The receiver only looks on: never counted, never waited for.
    pub const OBSERVER: u16 = 2;
    /// What the receiver lacks comes to it over a connection: only the history that the publisher keeps bounds how far
    /// ahead others may be, and the window says nothing.
    pub const FETCHING: u16 = 4;

    fn is_sound(&self) -> bool {
        let known = Self::LEAVING | Self::OBSERVER | Self::FETCHING;
        self.zero == U16::ZERO && self.flags.get() & !known == 0
    }

    /// Who speaks.
    #[must_use]
    pub fn receiver(&self) -> ReceiverId {
        ReceiverId(self.receiver.get())
    }

    /// Its proof of address.
    #[must_use]
    pub fn token(&self) -> Token {
        Token(self.token.get())
    }

    /// Whether `flag` is set.
    #[must_use]
    pub fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }
}

/// A publisher's answer to a STATUS: the token for the address it came from, and its time back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Welcome {
    /// For whom.
    pub receiver: U64,
    /// Its token.
    pub token: U64,
    /// The `time` of the STATUS.
    pub echo: U64,
}

/// Why offsets are gone from a publisher's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GoneReason {
    /// The ring has gone on and overwritten them.
    Overrun = 1,
    /// The journal's retention has dropped them.
    Expired = 2,
    /// They were not on disk when the publisher died.
    NotDurable = 3,
    /// The disk gives them back damaged.
    Damaged = 4,
    /// The receiver had been evicted for holding the publisher, or cut off for asking too much of it.
    Evicted = 5,
}

/// A run of offsets that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct GoneEntry {
    from: U64,
    to: U64,
    reason: u8,
    zero: [u8; 7],
}

impl GoneEntry {
    /// The entry for `range`.
    #[must_use]
    pub fn new(range: OffsetRange, reason: GoneReason) -> Self {
        Self { from: U64::new(range.from.0), to: U64::new(range.to.0), reason: reason as u8, zero: [0; 7] }
    }

    /// The offsets that are gone.
    #[must_use]
    pub fn range(&self) -> OffsetRange {
        OffsetRange::new(Offset(self.from.get()), Offset(self.to.get()))
    }

    /// Why; [`Datagram::decode`] refuses an entry that has no reason.
    #[must_use]
    pub const fn reason(&self) -> Option<GoneReason> {
        Some(match self.reason {
            1 => GoneReason::Overrun,
            2 => GoneReason::Expired,
            3 => GoneReason::NotDurable,
            4 => GoneReason::Damaged,
            5 => GoneReason::Evicted,
            _ => return None,
        })
    }

    fn is_sound(&self) -> bool {
        !self.range().is_empty() && self.zero == [0; 7] && self.reason().is_some()
    }
}

/// To whom repairs are put off, and for how long, ahead of the ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Shed {
    receiver: U64,
    retry_after_us: U32,
    zero: U32,
}

impl Shed {
    pub(super) fn new(receiver: ReceiverId, retry_after_us: u32) -> Self {
        Self { receiver: U64::new(receiver.0), retry_after_us: U32::new(retry_after_us), zero: U32::ZERO }
    }

    /// For whom.
    #[must_use]
    pub fn receiver(&self) -> ReceiverId {
        ReceiverId(self.receiver.get())
    }

    /// When to ask again, in microseconds from now.
    #[must_use]
    pub fn retry_after_us(&self) -> u32 {
        self.retry_after_us.get()
    }
}
