//! The words of a connection: HELLO, which asks for a stream, and CLOSE, which says why there is no more of it.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::offset::Offset;
use crate::wire::ReceiverId;

/// The most topic prefixes in one HELLO.
pub const HELLO_TOPICS: usize = 1_024;

/// Where a subscriber wants its messages to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HelloStart {
    /// With what is sent from now on.
    Live = 0,
    /// With the oldest that the history holds.
    Earliest = 1,
    /// At the base of the HELLO.
    At = 2,
}

/// What a subscriber asks for, ahead of the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Hello {
    receiver: U64,
    to: U64,
    start: u8,
    flags: u8,
    credentials: U16,
    zero: U32,
}

impl Hello {
    /// The subscriber only looks on: never counted, never waited for.
    pub const OBSERVER: u8 = 1;
    /// Only the publisher's rows of its receivers are asked for, from the one whose id is the base on.
    pub const ROWS: u8 = 2;
    /// The `to` of a request without an end.
    pub const NO_END: Offset = Offset(u64::MAX);

    /// A request of `receiver` from `start` on, without an end, by nobody who only looks on.
    #[must_use]
    pub fn new(receiver: ReceiverId, start: HelloStart) -> Self {
        Self {
            receiver: U64::new(receiver.0),
            to: U64::new(Self::NO_END.0),
            start: start as u8,
            flags: 0,
            credentials: U16::ZERO,
            zero: U32::ZERO,
        }
    }

    /// The same for the offsets before `to` only.
    #[must_use]
    pub fn until(self, to: Offset) -> Self {
        Self { to: U64::new(to.0), ..self }
    }

    /// The same by one who only looks on, if `observer`.
    #[must_use]
    pub const fn observing(self, observer: bool) -> Self {
        Self { flags: if observer { Self::OBSERVER } else { 0 }, ..self }
    }

    /// A request for rows instead of messages, by one who only looks on.
    #[must_use]
    pub const fn for_rows(self) -> Self {
        Self { flags: Self::OBSERVER | Self::ROWS, ..self }
    }

    /// Whether rows are asked for, and no messages.
    #[must_use]
    pub const fn wants_rows(&self) -> bool {
        self.flags & Self::ROWS != 0
    }

    /// Who asks.
    #[must_use]
    pub fn receiver(&self) -> ReceiverId {
        ReceiverId(self.receiver.get())
    }

    /// The first offset that is not asked for any more; [`Hello::NO_END`] for none.
    #[must_use]
    pub fn to(&self) -> Offset {
        Offset(self.to.get())
    }

    /// Where the messages are to begin; [`Datagram::decode`](crate::wire::Datagram::decode) refuses a HELLO that does
    /// not say.
    #[must_use]
    pub const fn start(&self) -> Option<HelloStart> {
        Some(match self.start {
            0 => HelloStart::Live,
            1 => HelloStart::Earliest,
            2 => HelloStart::At,
            _ => return None,
        })
    }

    /// Whether the subscriber only looks on.
    #[must_use]
    pub const fn is_observer(&self) -> bool {
        self.flags & Self::OBSERVER != 0
    }

    fn is_sound(&self) -> bool {
        let is_known = self.flags & !(Self::OBSERVER | Self::ROWS) == 0 && self.credentials == U16::ZERO;
        is_known && self.zero == U32::ZERO && self.start().is_some()
    }

    /// The body of a HELLO of `count` topics.
    pub(super) fn decode(count: usize, body: &[u8]) -> Option<(&Self, Topics<'_>)> {
        let (hello, rest) = Self::ref_from_prefix(body).ok()?;
        let topics = Topics { bytes: rest };
        let mut walk = topics;
        let is_whole = walk.by_ref().count() == count && walk.bytes.is_empty();
        (is_whole && count <= HELLO_TOPICS && hello.is_sound()).then_some((hello, topics))
    }
}

/// The topic prefixes of a HELLO, in its order; none stands for every topic.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Topics<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.bytes.split_first()?;
        let (topic, rest) = rest.split_at_checked(usize::from(len))?;
        self.bytes = rest;
        Some(topic)
    }
}

/// Why a publisher closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// It does not publish that stream.
    Stream = 1,
    /// It has no room for another subscriber.
    Full = 2,
    /// What it was sent is no HELLO that it can serve.
    Broken = 3,
    /// The subscriber is too slow, and those are cut off here.
    Slow = 4,
    /// The subscriber has used up the publisher's patience.
    Evicted = 5,
}

/// The last thing on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Close {
    reason: U16,
    zero: [u8; 6],
}

impl Close {
    pub(super) fn new(reason: CloseReason) -> Self {
        Self { reason: U16::new(reason as u16), zero: [0; 6] }
    }

    /// Why; [`Datagram::decode`](crate::wire::Datagram::decode) refuses a CLOSE that has no reason.
    #[must_use]
    pub fn reason(&self) -> Option<CloseReason> {
        Some(match self.reason.get() {
            1 => CloseReason::Stream,
            2 => CloseReason::Full,
            3 => CloseReason::Broken,
            4 => CloseReason::Slow,
            5 => CloseReason::Evicted,
            _ => return None,
        })
    }

    pub(super) fn is_sound(&self) -> bool {
        self.zero == [0; 6] && self.reason().is_some()
    }
}
