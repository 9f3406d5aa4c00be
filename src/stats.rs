//! Snapshots of what was counted.

use core::net::SocketAddr;
use core::time::Duration;

use crate::endpoint::Endpoint;
pub use crate::io::ConnectionStats;
pub use crate::io::Offload;
use crate::offset::Offset;
pub use crate::protocol::Book;
use crate::protocol::DownReason;
pub use crate::protocol::LineCounters;
pub use crate::protocol::LineId;
pub use crate::protocol::LineRow;
pub use crate::protocol::ReceiverRow;
pub use crate::protocol::ReceiverStats;
pub use crate::protocol::RepairTimes;
pub use crate::protocol::SenderStats;
pub use crate::protocol::SourceStats;
use crate::wire::CloseReason;
use crate::wire::SessionId;

/// What a publisher has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PublisherStats {
    /// Offsets handed to the socket: messages, and fragments of long ones. What waits in a burst is not in it yet.
    pub published: u64,
    /// Batches, each one datagram, handed to the socket; without repairs.
    pub batches: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// The oldest offset that can be repaired.
    pub oldest: Offset,
    /// Subscribers that are live.
    pub receivers: usize,
    /// The group's round trip, as announced.
    pub round_trip: Duration,
    /// What the machine counted: NAKs, repairs, refusals, heartbeats.
    pub sender: SenderStats,
    /// Datagrams that came and were not ours, or damaged.
    pub undecodable: u64,
    /// Datagrams that some [line](crate::Publisher::lines) had no room for while others had: lost on that line alone, and
    /// repaired.
    pub skipped: u64,
    /// Sends that the system refused, of one datagram or a train; they count as lost on the network, and are repaired.
    pub send_errors: u64,
    /// Datagrams for the publisher that the kernel dropped for want of buffer.
    pub kernel_drops: u64,
    /// Whether datagrams of equal size go to the kernel in one piece (GSO).
    pub segmentation: Offload,
    /// Connections (TCP).
    pub streams: StreamStats,
}

/// What one line of a publisher has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineStats {
    /// The address that its datagrams leave from, and NAKs come to.
    pub local_address: SocketAddr,
    /// How many places it goes to: one group, or so many subscribers.
    pub destinations: usize,
    /// Datagrams that it had no room for while another line had, one for each place.
    pub skipped: u64,
    /// Sends that the system refused; they count as lost on the network.
    pub send_errors: u64,
    /// Datagrams for the publisher that the kernel dropped for want of buffer.
    pub kernel_drops: u64,
}

/// What a publisher has counted of the connections it takes; nothing for one over UDP alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamStats {
    /// Connections that there are.
    pub connections: usize,
    /// Connections taken since the publisher was opened.
    pub accepted: u64,
    /// Of those, connections refused: for want of room, for another stream, or because no HELLO that can be served came
    /// within 10 s, or before more than 1,024 others had come that said nothing either.
    pub refused: u64,
    /// Connections of subscribers that broke off, without the subscriber having said that it leaves.
    pub cut: u64,
    /// Bytes written to connections.
    pub bytes: u64,
    /// Messages whose topics were looked up, each once for all subscribers that have named topics and are not behind.
    pub sieved: u64,
    /// Offsets in batches that were gone through for a single one of them, because it was behind.
    pub sifted: u64,
    /// Times the ring has overrun a connection: its subscriber was told what it has lost.
    pub overruns: u64,
    /// Connections closed because their subscribers were too slow, as the policy `Disconnect` says.
    pub slow: u64,
    /// Connections closed because their subscribers had used up the publisher's patience, as the policy `Block` says.
    pub evicted: u64,
}

impl StreamStats {
    pub(crate) const fn count(&mut self, reason: CloseReason) {
        match reason {
            CloseReason::Slow => self.slow += 1,
            CloseReason::Evicted => self.evicted += 1,
            CloseReason::Stream | CloseReason::Full | CloseReason::Broken => self.refused += 1,
        }
    }
}

/// What a subscriber has counted, but for its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubscriberStats {
    /// What belongs to no source.
    pub receiver: ReceiverStats,
    /// Datagrams that were not ours, or damaged.
    pub undecodable: u64,
    /// Datagrams that the kernel dropped because the subscriber was slower than its buffer is large. What they held
    /// is repaired, or told as lost.
    pub kernel_drops: u64,
    /// Datagrams lost on purpose, by [`Faults`](crate::Faults).
    pub faults: u64,
    /// NAK and STATUS that the system refused to send.
    pub send_errors: u64,
    /// Errors that the system gave instead of datagrams; each was passed over.
    pub receive_errors: u64,
    /// Whether the kernel may hand over datagrams of equal size in one piece (GRO).
    pub coalescing: Offload,
    /// What became of the connection to the publisher (TCP).
    pub connection: ConnectionStats,
}

/// One of several lines of a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineSnapshot {
    /// What it listens to.
    pub endpoint: Endpoint,
    /// Nobody was heard on it for the time of silence, while somebody was on another.
    pub is_silent: bool,
    /// Datagrams that the kernel dropped because its buffer was full.
    pub kernel_drops: u64,
    /// Datagrams lost on purpose.
    pub faults: u64,
}

/// One source, as a subscriber sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceSnapshot {
    /// Its session.
    pub session: SessionId,
    /// The address it sends from.
    pub address: SocketAddr,
    /// Why it is down, if it is.
    pub down: Option<DownReason>,
    /// The next offset wanted.
    pub next: Offset,
    /// What became of every offset: the identity.
    pub book: Book,
    /// The smoothed round trip to it, once measured.
    pub round_trip: Option<Duration>,
    /// What each line has brought of it, in the order in which they were named; none where there is one line.
    pub lines: Vec<LineRow>,
    /// The group's round trip, as its publisher last said.
    pub group_round_trip: Duration,
    /// How many subscribers its publisher counts, as it last said.
    pub receivers: u32,
    /// For how long nothing was heard of it.
    pub silent_for: Duration,
    /// The oldest offset that its publisher holds, as it last said.
    pub oldest: Offset,
    /// The port at which its publisher takes connections, as it last said; `None` for none.
    pub tcp_port: Option<u16>,
    /// Counters.
    pub stats: SourceStats,
}
