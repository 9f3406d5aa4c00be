//! What a publisher's machine counts, and what it knows of each receiver.

use core::net::SocketAddr;
use core::time::Duration;

use crate::offset::Offset;
use crate::wire::ReceiverId;

/// Everything a [`Sender`](super::Sender) has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderStats {
    /// Datagrams of another stream or session, or of a kind that is not for publishers.
    pub strange: u64,
    /// STATUS heard.
    pub statuses: u64,
    /// STATUS whose token was missing or wrong.
    pub statuses_unproved: u64,
    /// STATUS that claim a position beyond what was published, or leave from an address that is not the receiver's, or
    /// come from elsewhere than its connection.
    pub statuses_refused: u64,
    /// STATUS whose position lies behind an earlier one of the same receiver: overtaken on the way.
    pub statuses_stale: u64,
    /// STATUS of observers.
    pub observers: u64,
    /// Receivers that came, or came back after they had fallen silent.
    pub receivers_up: u64,
    /// Receivers that left or fell silent.
    pub receivers_down: u64,
    /// STATUS of new receivers for which the table had no place.
    pub receivers_refused: u64,
    /// STATUS of receivers that wanted to join, of which there are as many as may be.
    pub joins_refused: u64,
    /// Receivers evicted because they held the publisher.
    pub evicted: u64,
    /// Receivers cut off because they always asked for more repairs than their share.
    pub cut_off: u64,
    /// Times a receiver fell more than its window behind.
    pub slow: u64,
    /// Times the publisher stopped waiting for a pace that nobody set.
    pub free_runs: u64,
    /// NAKs heard.
    pub naks: u64,
    /// NAKs whose token was missing or wrong.
    pub naks_unproved: u64,
    /// Ranges in those NAKs.
    pub ranges: u64,
    /// Ranges that reach beyond what was published.
    pub ranges_beyond: u64,
    /// Ranges of which a part was ignored, having been repaired within the last group round trip.
    pub naks_ignored: u64,
    /// Ranges of which a part was waiting to be repaired already.
    pub ranges_joined: u64,
    /// Repairs sent to the group (or to the one destination there is).
    pub repairs_multicast: u64,
    /// Repairs sent to one receiver.
    pub repairs_unicast: u64,
    /// Offsets sent again.
    pub repaired_offsets: u64,
    /// Bytes sent again.
    pub repaired_bytes: u64,
    /// Repairs sent without being remembered, for want of place: asked for again at once, they would be sent again.
    pub repairs_unremembered: u64,
    /// Repairs given up because what was read did not cover them.
    pub repairs_dropped: u64,
    /// Ranges refused because the ring has overwritten them.
    pub gone_overrun: u64,
    /// Ranges refused because their receiver is evicted or cut off.
    pub gone_evicted: u64,
    /// Ranges that nobody was told are gone, because an unproved asker had used up its share.
    pub refusals_withheld: u64,
    /// Ranges put off for want of budget or queue.
    pub ranges_shed: u64,
    /// Of those, ranges put off without a word, because the asker had not proved its address.
    pub ranges_shed_silently: u64,
    /// WELCOMEs sent.
    pub welcomes: u64,
    /// GONEs sent.
    pub gones: u64,
    /// SHEDs sent.
    pub sheds: u64,
    /// HEARTBEATs sent, with POLL or without.
    pub heartbeats: u64,
    /// HEARTBEATs sent with POLL.
    pub polls: u64,
    /// ENDs sent.
    pub ends: u64,
    /// Answers dropped because too many were waiting to be sent.
    pub answers_dropped: u64,
    /// Events dropped because nobody took them.
    pub events_dropped: u64,
}

/// What a publisher knows of one receiver, as it last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverRow {
    /// Who.
    pub receiver: ReceiverId,
    /// Where.
    pub address: SocketAddr,
    /// The next offset it wants.
    pub next: Offset,
    /// How much more it can take beyond that, in charge.
    pub window: u64,
    /// Its round trip time; `None` before it has measured one.
    pub rtt: Option<Duration>,
    /// How far behind it says it is; zero when not known.
    pub lag: Duration,
    /// Offsets delivered to its user.
    pub delivered: u64,
    /// Offsets lost.
    pub lost: u64,
    /// NAKs it has sent.
    pub naks: u64,
    /// Datagrams its kernel dropped.
    pub kernel_drops: u64,
    /// Heard lately; false only for one that is evicted and silent, kept for a minute.
    pub live: bool,
    /// Evicted or cut off, and not near the head again.
    pub evicted: bool,
    /// More than its window behind.
    pub slow: bool,
    /// It hears over a connection, not datagrams.
    pub stream: bool,
}
