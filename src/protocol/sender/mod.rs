//! The publisher's machine: STATUS and NAK in; heartbeats, repairs, refusals and a limit out.
//!
//! It never sees a message. It reads positions from the [`Ring`] and says which ranges are to be sent again, to whom;
//! the caller reads those from the ring and says what it sent.

mod budget;
mod event;
mod flow;
mod group;
mod heartbeat;
mod joined;
mod line;
mod nak;
mod outbox;
mod queues;
mod receivers;
mod repair;
mod rows;
mod settings;
mod spans;
mod stats;
mod status;
mod stream;
mod token;
mod transmit;

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::VecDeque;

use crate::history::Ring;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::sender::budget::Budget;
use crate::protocol::sender::budget::Price;
use crate::protocol::sender::flow::Flow;
use crate::protocol::sender::group::Grtt;
use crate::protocol::sender::heartbeat::Schedule;
use crate::protocol::sender::joined::Joined;
use crate::protocol::sender::joined::OUT;
use crate::protocol::sender::outbox::Outbox;
use crate::protocol::sender::queues::Queues;
use crate::protocol::sender::receivers::Receiver;
use crate::protocol::sender::receivers::Receivers;
use crate::protocol::sender::repair::Piece;
use crate::protocol::sender::transmit::Peeked;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::GoneEntry;
use crate::wire::Head;
use crate::wire::RangeEntry;
use crate::wire::ReceiverId;

pub(super) use crate::protocol::line::LineId;
pub(super) use crate::protocol::line::Origin;
pub use event::SenderEvent;
pub use line::LineKind;
pub use settings::FlowPolicy;
pub use settings::SenderSettings;
pub use stats::ReceiverRow;
pub use stats::SenderStats;
pub use stream::StreamReceiver;

/// How long a session is opening.
const OPENING: Duration = Duration::from_secs(1);
/// How many batches a session opens with at most.
pub const OPENING_BATCHES: u64 = 1_000;
/// How often a live receiver of a large group may fail to be heard when it is asked to report, before it is taken
/// for silent.
const REPORTS_MISSED: u32 = 3;

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To wherever the data go, along every line.
    Everywhere,
    /// To the group, or the one address: along the lines that are [shared](LineKind::Shared).
    Group,
    /// To one receiver, along the line that it asked on.
    Peer(Origin),
}

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// A datagram, as it is.
    Datagram {
        /// Where to.
        to: Destination,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// Batches that the ring holds, as many of them as it [reads](Ring::read) at once; the rest stays queued.
    Repair {
        /// Where to.
        to: Destination,
        /// The offsets.
        range: OffsetRange,
    },
}

/// What was sent for a [`Transmit::Repair`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairSent {
    /// The offsets that were sent, in whole batches; from the start of the range asked for or before.
    pub covers: OffsetRange,
    /// The bytes on the wire.
    pub bytes: usize,
}

/// The publisher's machine for one session of one stream.
///
/// The caller hands in datagrams and the time, then sends what [`peek_transmit`](Self::peek_transmit) shows until
/// there is nothing left, and calls [`handle_timeout`](Self::handle_timeout) when
/// [`next_timeout`](Self::next_timeout) has come. The machine learns that data were sent only when one of its
/// `handle_*` is called: a caller that wants the heartbeat exactly 1 ms after the last message calls
/// `handle_timeout` when something is published after a pause.
#[derive(Debug)]
pub struct Sender {
    settings: SenderSettings,
    started: Time,
    schedule: Schedule,
    flow: Flow,
    budget: Budget,
    repairs: Queues,
    receivers: Receivers,
    joined: Joined,
    grtt: Grtt,
    outbox: Outbox,
    events: VecDeque<SenderEvent>,
    stats: SenderStats,
    /// The end of what was sent, as of the last look.
    seen: Offset,
    /// Bytes of data sent, as of the last look, each counted once.
    bytes: u64,
    /// The same, each counted for every copy that has to be repaired by itself.
    copied: u64,
    /// Where the numbering began in this run.
    first: Offset,
    /// What a repair costs, as of the last NAK.
    price: Price,
    /// The flags of answers, as of the last look.
    flags: Flags,
    peeked: Option<Peeked>,
    heartbeat: Vec<u8>,
    pieces: Vec<Piece>,
    gone: Vec<GoneEntry>,
    shed: Vec<RangeEntry>,
}

impl Sender {
    /// A machine that knows nobody, with its first heartbeat due at once.
    #[must_use]
    pub fn new(settings: SenderSettings, now: Time) -> Self {
        Self {
            started: now,
            schedule: Schedule::new(now),
            flow: Flow::new(settings.policy, now),
            budget: Budget::new(settings.repair_floor, now),
            repairs: Queues::new(),
            receivers: Receivers::new(settings.receivers),
            joined: Joined::new(settings.joined),
            grtt: Grtt::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            stats: SenderStats::default(),
            seen: Offset::ZERO,
            bytes: 0,
            copied: 0,
            first: Offset::ZERO,
            price: Price::ASSUMED,
            flags: Flags::default(),
            peeked: None,
            heartbeat: Vec::new(),
            pieces: Vec::new(),
            gone: Vec::new(),
            shed: Vec::new(),
            settings,
        }
    }

    /// Takes in a datagram that came from `from` (an address stands for the first line): STATUS and NAK of this stream
    /// and session. Anything else is counted and ignored.
    pub fn handle_datagram(
        &mut self,
        now: Time,
        from: impl Into<Origin>,
        datagram: &Datagram<'_>,
        ring: &Ring,
    ) {
        self.look(now, ring);
        let (header, from) = (datagram.header, from.into());
        let is_stream = header.stream() == self.settings.stream;
        let ours = is_stream && header.session() == self.settings.session;
        match datagram.body {
            Body::Status(status) if is_stream && self.is_greeting(header.session(), from) => {
                self.on_greeting(now, from, status, ring);
            }
            Body::Status(status) if ours => self.on_status(now, from, (header.base(), status), ring),
            Body::Nak(nak, ranges) if ours => self.on_nak(now, from, (nak, ranges), ring),
            _ => self.stats.strange += 1,
        }
    }

    /// Does what the time asks for; harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Time, ring: &Ring) {
        self.look(now, ring);
        self.on_silence(now);
        if self.joined.timeout().is_some_and(|at| at <= now) {
            let live_for = self.live_for();
            self.joined.expire(now, live_for);
        }
        if self.flow.gives_up(now) {
            self.stats.free_runs += 1;
        }
        let holding = self.flow.holding();
        while self.flow.holding() == holding
            && let Some(receiver) = self.flow.overdue(now, &self.receivers)
        {
            self.on_overdue(now, receiver);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), at the latest. What waits to be sent has no part in it.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        if self.is_over() {
            return None;
        }
        let times = [self.schedule.timeout(), self.flow.timeout(), self.receivers.timeout()];
        let rest = [self.repairs.timeout(), self.joined.timeout()];
        times.into_iter().chain(rest).flatten().min()
    }

    /// The cumulative [charge](crate::history::charge) that the publisher may have handed to the socket; `None` for
    /// no bound.
    #[must_use]
    pub const fn limit(&self) -> Option<u64> {
        self.flow.limit()
    }

    /// The publisher waits for the [limit](Self::limit) to rise, or goes on. Saying the same again changes nothing.
    pub fn set_held(&mut self, now: Time, held: bool) {
        self.flow.set_held(now, held);
        self.schedule.set_held(now, held, self.group_size());
    }

    /// Everything was published: END takes the place of heartbeats, and repairs are served still.
    pub fn finish(&mut self, now: Time) {
        self.schedule.finish(now);
    }

    /// The live receivers that are waited for and do not have everything that was sent.
    pub fn laggards(&self, ring: &Ring) -> impl Iterator<Item = ReceiverRow> {
        let sent = ring.sent();
        let counted = self.receivers.iter().filter(|receiver| receiver.counted_grant().is_some());
        counted.map(|receiver| receiver.row).filter(move |row| row.next < sent)
    }

    /// Whether every live receiver that is waited for has everything that was sent; the answer also of nobody.
    #[must_use]
    pub fn is_complete(&self, ring: &Ring) -> bool {
        self.laggards(ring).next().is_none()
    }

    /// Ends the session, complete or not, with or without [`finish`](Self::finish): three more ENDs, a millisecond
    /// apart.
    pub fn conclude(&mut self, now: Time) {
        self.schedule.conclude(now);
    }

    /// Whether the last END was sent: there is nothing to do any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.schedule.is_over()
    }

    /// Whether what is sent now carries OPENING: in the first second, until 1,000 batches were sent.
    #[must_use]
    pub fn opening(&self, now: Time, ring: &Ring) -> bool {
        now - self.started < OPENING && ring.batches_sent() < OPENING_BATCHES
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &SenderStats {
        &self.stats
    }

    /// What each receiver last said of itself, by id.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverRow> {
        self.receivers.iter().map(|receiver| receiver.row)
    }

    /// How many receivers are live, behind a connection or not.
    #[must_use]
    pub fn live(&self) -> usize {
        self.receivers.live()
    }

    /// Ranges that wait to be sent again.
    #[must_use]
    pub fn repairs_waiting(&self) -> usize {
        self.repairs.len()
    }

    /// The group's round trip time: the largest that live receivers report, losing 10 % a second, at least 20 µs;
    /// 1 ms before the first report.
    #[must_use]
    pub fn grtt(&self, now: Time) -> Duration {
        self.grtt.at(now)
    }

    /// Finds out what was sent since the last look.
    fn look(&mut self, now: Time, ring: &Ring) {
        let sent = ring.sent();
        self.schedule.look(now, sent != self.seen);
        let bytes = ring.bytes_sent();
        let copies = self.settings.copies(self.joined.len());
        self.copied = self.copied.saturating_add(bytes.saturating_sub(self.bytes).saturating_mul(copies));
        self.bytes = bytes;
        self.budget.look(now, self.copied);
        self.seen = sent;
        if ring.batches_sent() == 0 {
            self.first = sent;
        }
        self.flags = Flags::default().with(Flags::OPENING, self.opening(now, ring));
    }

    /// The head of an answer.
    fn head(&self) -> Head {
        let (stream, session) = (self.settings.stream, self.settings.session);
        Head { stream, session, base: Offset::ZERO, flags: self.flags }
    }

    /// How long a receiver counts as live: longer where the group is so large that it reports seldom.
    fn live_for(&self) -> Duration {
        let report = Duration::from_millis(u64::from(group::status_ms(self.group_size())));
        self.settings.live_for.max(REPORTS_MISSED * report)
    }

    /// Takes out receivers that were not heard for too long.
    fn on_silence(&mut self, now: Time) {
        if self.receivers.timeout().is_none_or(|at| now < at) {
            return;
        }
        let (live_for, holding) = (self.live_for(), self.flow.holding());
        let mut gone = Vec::new();
        self.receivers.expire(now, live_for, holding, |event| gone.push(event));
        for event in gone {
            self.tell(event);
        }
        self.flow.rescan(now, &self.receivers);
    }

    /// A receiver has used up the publisher's patience.
    fn on_overdue(&mut self, now: Time, receiver: ReceiverId) {
        let Some(entry) = self.receivers.get_mut(receiver) else { return };
        let was = entry.counted_grant();
        entry.row.evicted = true;
        entry.cast_off = entry.is_attached();
        entry.out_until = now + OUT;
        let (address, next) = (entry.row.address, entry.row.next);
        let is = planted!(EvictedStillCounts, was, None);
        self.flow.on_grant(now, was, is, &self.receivers);
        self.joined.remove(receiver);
        self.tell(SenderEvent::ReceiverEvicted { receiver, address, next });
    }
}

/// The end of what a receiver can know of: what is being handed to the socket right now is not counted as sent yet.
fn known_end(ring: &Ring) -> Offset {
    ring.sent().max(ring.next())
}
