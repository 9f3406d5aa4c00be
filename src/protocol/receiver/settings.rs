//! What a receiver is told once, and the words it answers with.

use core::fmt;
use core::time::Duration;

use crate::protocol::LineId;
use crate::protocol::receiver::beginning::Beginning;
use crate::protocol::receiver::guard::GUARD_BATCHES;
use crate::protocol::receiver::source::Group;
use crate::wire::GoneReason;
use crate::wire::Heartbeat;
use crate::wire::ReceiverId;
use crate::wire::StreamId;

/// In which order messages reach the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// By offset: a message behind a gap waits until the gap is mended or given up.
    #[default]
    Ordered,
    /// As they arrive, each at most once; a repair comes when it comes.
    AsArrived,
}

/// Why offsets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// The publisher's ring, or this subscriber's window, has gone on without them.
    Overrun,
    /// The publisher's retention has dropped them.
    Expired,
    /// They were not on disk when the publisher died.
    NotDurable,
    /// The publisher's disk gives them back damaged.
    Damaged,
    /// This subscriber had been evicted for holding the publisher, or cut off for asking too much of it.
    Evicted,
    /// Nobody repaired them within the repair timeout.
    Timeout,
    /// Repair is switched off.
    Unrepaired,
    /// Fragments of a message of which another part is lost.
    Incomplete,
    /// The source ended, fell silent or was replaced before they were repaired.
    SourceDown,
}

impl From<GoneReason> for LostReason {
    fn from(reason: GoneReason) -> Self {
        match reason {
            GoneReason::Overrun => Self::Overrun,
            GoneReason::Expired => Self::Expired,
            GoneReason::NotDurable => Self::NotDurable,
            GoneReason::Damaged => Self::Damaged,
            GoneReason::Evicted => Self::Evicted,
        }
    }
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overrun => "overrun",
            Self::Expired => "expired",
            Self::NotDurable => "not durable",
            Self::Damaged => "damaged",
            Self::Evicted => "evicted",
            Self::Timeout => "timeout",
            Self::Unrepaired => "unrepaired",
            Self::Incomplete => "incomplete",
            Self::SourceDown => "source down",
        })
    }
}

/// Why nothing more comes from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// It said so, and everything before is delivered or named as lost.
    Ended,
    /// Nothing was heard of it for the time of silence; what it sent without being heard cannot be counted.
    Silent,
    /// Another session took its place.
    Replaced,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "ended",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
        })
    }
}

/// Settings of a [`crate::protocol::Receiver`].
#[derive(Debug, Clone, Copy)]
pub struct ReceiverSettings {
    /// The stream to listen to; others on the endpoint are counted and ignored.
    pub stream: StreamId,
    /// This receiver's own name, random.
    pub receiver: ReceiverId,
    /// Seeds the jitter of timers.
    pub seed: u64,
    /// In which order messages are handed on.
    pub order: Order,
    /// Whether gaps are asked for; without, they are lost after the reorder guard.
    pub repair: bool,
    /// Only look on: never counted by the publisher, never waited for.
    pub observer: bool,
    /// The endpoint is not a group: nobody else hears our NAKs' answers, so there is no wait before asking.
    pub unicast: bool,
    /// What is heard comes over a connection, whole and in order, and from one publisher at a time: nothing is asked for
    /// again, what is skipped is lost at once, and whoever is heard is the one who is connected now.
    pub connected: bool,
    /// Lines that a session may be heard on, each copy of it by another way. 1.
    pub lines: u8,
    /// The line that is a connection, beside others that are not: what comes there is who was dialled.
    pub connection: Option<LineId>,
    /// Where to begin with a source.
    pub beginning: Beginning,
    /// Whether history can be had over a connection: whoever says so looks after [`Receiver::wanted`](crate::protocol::Receiver::wanted).
    pub fetches: bool,
    /// How much may be under way to this receiver, in charge (see [`crate::history::charge`]); shared by its sources.
    pub window: u64,
    /// Bytes of early batches kept for each source, with 192 more for each batch. 4 MiB.
    pub reorder_window: usize,
    /// Later batches that make a gap a loss. 3.
    pub guard_batches: u32,
    /// Time after which a gap is a loss; by default `max(grtt / 4, 50 µs)`.
    pub guard_time: Option<Duration>,
    /// How long a gap is asked for before it is lost. 1 s.
    pub repair_timeout: Duration,
    /// How long a source may be silent before it is called down. 3 s.
    pub silence: Duration,
    /// How often a STATUS goes out before a heartbeat tells. 200 ms.
    pub status_every: Duration,
    /// Sources at the same time. 64.
    pub sources: usize,
    /// Gaps kept for each source. 1,024.
    pub gaps: usize,
}

impl ReceiverSettings {
    /// The defaults, for a stream, a receiver's name and a seed. The window is that of a socket buffer of 208 KiB,
    /// which Linux grants anybody; set it from what the kernel granted.
    #[must_use]
    pub const fn new(stream: StreamId, receiver: ReceiverId, seed: u64) -> Self {
        Self {
            stream,
            receiver,
            seed,
            order: Order::Ordered,
            repair: true,
            observer: false,
            unicast: false,
            connected: false,
            lines: 1,
            connection: None,
            beginning: Beginning::Live,
            fetches: false,
            window: 212_992 / 4 * 3,
            reorder_window: 4 << 20,
            guard_batches: GUARD_BATCHES,
            guard_time: None,
            repair_timeout: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            status_every: Duration::from_millis(200),
            sources: 64,
            gaps: 1_024,
        }
    }
}

/// How long a connection for history that did not come about is not tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(30);
/// How long one source's history is fetched while another's waits.
pub(super) const TURN: Duration = Duration::from_secs(1);
/// The least round trip of a group that is believed.
const LEAST_ROUND_TRIP: Duration = Duration::from_micros(20);
/// The most round trip of a group that is believed: a forged heartbeat must not stop the asking.
const MOST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// The least time between two STATUS that a heartbeat can ask for.
const LEAST_STATUS: Duration = Duration::from_millis(10);

/// What a heartbeat says of its group, clipped to what is sensible.
pub(super) fn group(heartbeat: &Heartbeat) -> Group {
    let round_trip = Duration::from_micros(u64::from(heartbeat.grtt_us.get()));
    let status = Duration::from_millis(u64::from(heartbeat.status_ms.get()));
    Group {
        receivers: heartbeat.receivers.get(),
        round_trip: round_trip.clamp(LEAST_ROUND_TRIP, MOST_ROUND_TRIP),
        status_every: status.max(LEAST_STATUS),
        is_waited_for: heartbeat.flags.get() & Heartbeat::BLOCK != 0,
    }
}
