//! What a subscriber and a publisher tell their users.

use core::net::SocketAddr;

use bytes::Bytes;

use crate::offset::Offset;
use crate::offset::OffsetRange;
pub use crate::protocol::DownReason;
pub use crate::protocol::LostReason;
pub use crate::protocol::SenderEvent as PublisherEvent;
use crate::wire::SessionId;

/// What a subscriber receives, lent until the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message.
    Message(Message<'a>),
    /// Offsets that will not come: told once, in their place among the messages.
    Lost {
        /// The source's session.
        session: SessionId,
        /// The offsets.
        range: OffsetRange,
        /// Why.
        reason: LostReason,
    },
    /// A source is heard for the first time, or again after silence.
    SourceUp {
        /// Its session.
        session: SessionId,
        /// Where it sends from.
        address: SocketAddr,
        /// The first offset this subscriber is entitled to.
        from: Offset,
        /// The session that this one takes the place of.
        replaces: Option<SessionId>,
    },
    /// Nothing more comes from a source. Everything of it was delivered or told as lost.
    SourceDown {
        /// Its session.
        session: SessionId,
        /// Why.
        reason: DownReason,
        /// The end of what it was heard to have sent. What a publisher that died never announced cannot be counted.
        heard: Offset,
    },
}

/// A message, lent from the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The session of its source.
    pub session: SessionId,
    /// Its offset; of the first fragment, when it came in several.
    pub offset: Offset,
    /// How many offsets it takes: 1, or one for each fragment. `offset + offsets` is the position after it.
    pub offsets: u64,
    /// Its topic; empty for none.
    pub topic: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
    /// When it was sent, in nanoseconds since the Unix epoch, if the publisher stamps its datagrams.
    pub timestamp: Option<u64>,
}

impl Message<'_> {
    /// A copy that can be kept: the one allocation that receiving ever needs.
    #[must_use]
    pub fn to_owned(&self) -> OwnedMessage {
        OwnedMessage {
            session: self.session,
            offset: self.offset,
            offsets: self.offsets,
            topic: Bytes::copy_from_slice(self.topic),
            payload: Bytes::copy_from_slice(self.payload),
            timestamp: self.timestamp,
        }
    }
}

/// A message that owns its bytes; cloning it is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedMessage {
    /// The session of its source.
    pub session: SessionId,
    /// Its offset; of the first fragment, when it came in several.
    pub offset: Offset,
    /// How many offsets it takes.
    pub offsets: u64,
    /// Its topic; empty for none.
    pub topic: Bytes,
    /// Its payload.
    pub payload: Bytes,
    /// When it was sent, in nanoseconds since the Unix epoch, if the publisher stamps its datagrams.
    pub timestamp: Option<u64>,
}
