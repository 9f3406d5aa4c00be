//! What a publisher's machine is told once, at open.

use core::time::Duration;

use crate::protocol::sender::LineId;
use crate::protocol::sender::LineKind;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// The settings of a [`Sender`](super::Sender): filled by [`SenderSettings::new`], then changed field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderSettings {
    /// The stream that is published.
    pub stream: StreamId,
    /// This life of its numbering.
    pub session: SessionId,
    /// What is done for the sake of slow subscribers; default: [`FlowPolicy::Drop`], 100 ms, not free running.
    pub policy: FlowPolicy,
    /// What the lines are, by number; default: none, which is one that is [shared](LineKind::Shared).
    pub lines: Vec<LineKind>,
    /// How many places the lines that are [apart](LineKind::Apart) go to; default: none. Where no line is shared, the budget for
    /// repairs is that many times as large, since each is repaired by itself.
    pub places: usize,
    /// The destination is one address, not a group: every repair goes to it, as the data do; default: false.
    pub unicast: bool,
    /// The key of the address tokens: random, of this run, told to nobody.
    pub secret: [u64; 2],
    /// The most receivers the table holds, live or lately evicted; default 4,096, about 200 bytes each, taken as they
    /// come.
    pub receivers: usize,
    /// The most receivers that may [join](LineKind::Joined) to be sent a copy each; default 256.
    pub joined: usize,
    /// How long a receiver counts as live after it was last heard; default 5 s. Where the group is so large that
    /// receivers are told to report less often, it is at least three times that interval.
    pub live_for: Duration,
    /// The port that serves history over TCP, as announced in heartbeats; default 0: none.
    pub tcp_port: u16,
    /// The least the budget for repairs falls to, in bytes a second; default 8 MiB/s.
    pub repair_floor: u64,
}

impl SenderSettings {
    /// The defaults, for one session of one stream.
    #[must_use]
    pub const fn new(stream: StreamId, session: SessionId, secret: [u64; 2]) -> Self {
        Self {
            stream,
            session,
            policy: FlowPolicy::Drop { pace: Duration::from_millis(100), free_running: false },
            lines: Vec::new(),
            places: 0,
            unicast: false,
            secret,
            receivers: 4_096,
            joined: 256,
            live_for: Duration::from_secs(5),
            tcp_port: 0,
            repair_floor: 8 << 20,
        }
    }

    /// In how many copies data leave that have to be repaired one by one.
    pub(super) fn copies(&self, joined: usize) -> u64 {
        let is_shared = self.lines.is_empty() || self.lines.contains(&LineKind::Shared);
        if is_shared { 1 } else { (self.places + joined).max(1) as u64 }
    }

    /// What the line is.
    pub(super) fn kind(&self, line: LineId) -> LineKind {
        self.lines.get(usize::from(line.0)).copied().unwrap_or_default()
    }
}

/// What is done for the sake of slow subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowPolicy {
    /// The fastest live subscriber sets the pace; the others lose what they cannot take, and are told so.
    Drop {
        /// How long the publisher waits at most without any progress, before it runs free; usually 100 ms.
        pace: Duration,
        /// The publisher never waits at all.
        free_running: bool,
    },
    /// As `Drop`, but whoever is behind a connection and cannot take what the ring held for it is cut off.
    Disconnect {
        /// As for `Drop`.
        pace: Duration,
        /// As for `Drop`.
        free_running: bool,
    },
    /// The slowest live subscriber sets the pace.
    Block {
        /// How long one subscriber may hold the publisher without moving before it is evicted; usually 5 s.
        patience: Duration,
    },
}
