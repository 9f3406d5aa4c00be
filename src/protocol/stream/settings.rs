//! What a connection's feed is told, and what it asks for.

use crate::offset::Offset;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// What a [`Feed`](crate::protocol::Feed) is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedSettings {
    /// The stream that is published.
    pub stream: StreamId,
    /// This life of its numbering.
    pub session: SessionId,
    /// Whether a subscriber that the ring has overrun is cut off, instead of going on with what is held.
    pub cut_off: bool,
    /// Whether the publisher waits for its slowest subscriber. Then only what a subscriber has confirmed counts as taken:
    /// what lies in the buffers of a connection is lost with it, and has to be there still when it comes back.
    pub waits: bool,
    /// The port that the publisher listens on, for its heartbeats.
    pub port: u16,
}

/// What to write next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedWrite<'a> {
    /// These bytes.
    Control(&'a [u8]),
    /// Whole batches, from the one that holds `from` on.
    Batches {
        /// The cursor.
        from: Offset,
    },
    /// Nothing yet: the batches from the one that holds `from` on are to be [sifted](crate::protocol::Feed::sift) first.
    Sift {
        /// How far they were sifted.
        from: Offset,
    },
    /// Nothing, for now.
    Nothing,
}
