//! The publisher's side of one connection: a cursor that walks through the history.
//!
//! Over a connection goes what goes over UDP, back to back and without padding: a HEARTBEAT that says where the
//! subscriber's messages begin, batches in order, GONE where the ring has come round, heartbeats in silence, END. Back
//! come HELLO and STATUS.
//!
//! ```text
//!  bytes ──> Inbox ──> Datagram ──> Feed::handle ──> Heard (what the Sender is to know)
//!
//!  Feed::peek ──> Control(bytes) | Batches { from } | Nothing ──> the socket ──> wrote_control, wrote_batches
//! ```
//!
//! A [`Feed`] keeps no message: batches are written from the ring. Only the rest of a batch of which the socket took a
//! part is kept, since the ring may come round before the socket takes the other.
//!
//! One whose subscriber has named topics is written batches of its own, with a FILTERED frame in the place of each run
//! of messages left out. A [`Sieve`] finds all those who want a message in one walk; a feed that has no room for more
//! falls out of that, looks at the messages it has missed by itself, and joins again:
//!
//! ```text
//!  ring ──> Sieve::wanted_by ──> Feed::take, each that has joined ──> Control(bytes)
//!  ring ──────────────────────── Feed::sift, one that is behind  ──> Control(bytes)
//! ```

mod filtered;
mod heard;
mod inbox;
mod pending;
mod settings;
mod sieve;
mod trie;
mod weave;

#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod rows_tests;
#[cfg(test)]
mod tests;

use core::time::Duration;

use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::history::Ring;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::stream::filtered::Filter;
use crate::protocol::stream::pending::Pending;
use crate::time::Time;
use crate::wire;
use crate::wire::CloseReason;
use crate::wire::Flags;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;
use crate::wire::Head;
use crate::wire::Heartbeat;
use crate::wire::ReceiverId;

pub use heard::Heard;
pub use inbox::Inbox;
pub use settings::FeedSettings;
pub use settings::FeedWrite;
pub use sieve::BatchFrames;
pub use sieve::Sieve;
pub use sieve::Walked;

/// How long a peer has to say HELLO, and to complete a message that it has begun.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// The longest silence on a connection.
pub const SILENCE: Duration = Duration::from_millis(100);
/// How long a connection is left alone before its subscriber is asked for a report that the publisher waits for.
const ASK_AFTER: Duration = Duration::from_millis(2);
/// How often each of so few subscribers, or fewer, reports, in milliseconds; more of them report less often.
const STATUS_MS: usize = 200;
const FEW: usize = 50;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// HELLO is waited for.
    Waiting,
    /// Batches follow.
    Following,
    /// What is pending is the last: END, or nothing more that was asked for.
    Ending,
    /// What is pending ends with CLOSE.
    Closing(CloseReason),
}

/// The publisher's side of one connection.
#[derive(Debug)]
pub struct Feed {
    settings: FeedSettings,
    phase: Phase,
    receiver: Option<ReceiverId>,
    is_observer: bool,
    /// The next offset to write, which may lie within a batch at first.
    cursor: Offset,
    /// What the subscriber has confirmed, or began with.
    confirmed: Offset,
    /// The charge of what was sent up to the cursor, once known.
    taken: Option<u64>,
    /// Where the subscriber's interest ends.
    to: Offset,
    pending: Pending,
    /// What the subscriber wants, if that is not everything.
    filter: Option<Box<Filter>>,
    /// It has chosen other topics.
    is_rechosen: bool,
    /// Everything was published: END follows the last batch.
    is_finishing: bool,
    /// The subscriber has reported after END was written, and has everything.
    is_confirmed: bool,
    /// It was evicted before, and what it misses it misses for that.
    was_evicted: bool,
    /// Nothing was written to it yet: what it misses it misses for having come late.
    is_new: bool,
    /// How many times the ring has overrun the cursor.
    overruns: u64,
    /// When the connection was made, or last written to.
    active_at: Time,
    encoded: Vec<u8>,
}

impl Feed {
    /// A connection that was just accepted.
    #[must_use]
    pub const fn new(settings: FeedSettings, now: Time) -> Self {
        Self {
            settings,
            phase: Phase::Waiting,
            receiver: None,
            is_observer: false,
            cursor: Offset::ZERO,
            confirmed: Offset::ZERO,
            taken: None,
            to: Offset(u64::MAX),
            pending: Pending::new(),
            filter: None,
            is_rechosen: false,
            is_finishing: false,
            is_confirmed: false,
            was_evicted: false,
            is_new: true,
            overruns: 0,
            active_at: now,
            encoded: Vec::new(),
        }
    }

    /// Does what the time asks for, and finds out whether the ring has come round meanwhile. `subscribers` is how many
    /// there are.
    pub fn handle_timeout(&mut self, now: Time, ring: &Ring, subscribers: usize) {
        self.look(ring);
        let is_asked = self.is_waited_for(ring) && now.since(self.active_at) >= ASK_AFTER;
        if !is_asked && self.next_timeout().is_none_or(|at| now < at) {
            return;
        }
        if self.phase == Phase::Waiting {
            self.close(CloseReason::Broken);
        } else {
            self.active_at = now;
            self.tell_left_out();
            self.say(ring, subscribers, false);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        match self.phase {
            Phase::Waiting => Some(self.active_at + HELLO_WITHIN),
            Phase::Following if self.pending.is_empty() => Some(self.active_at + SILENCE),
            _ => None,
        }
    }

    /// What to write now; the same again until something was written.
    pub fn peek(&mut self, ring: &Ring, subscribers: usize) -> FeedWrite<'_> {
        if self.phase == Phase::Following {
            self.prepare(ring, subscribers);
        }
        if !self.pending.is_empty() {
            return FeedWrite::Control(self.pending.bytes());
        }
        match &self.filter {
            _ if self.phase != Phase::Following => FeedWrite::Nothing,
            Some(filter) => filter.next(ring).map_or(FeedWrite::Nothing, |from| FeedWrite::Sift { from }),
            None if self.cursor < ring.sent() => FeedWrite::Batches { from: self.cursor },
            None => FeedWrite::Nothing,
        }
    }

    /// The first `bytes` of [`FeedWrite::Control`] were written.
    pub fn wrote_control(&mut self, now: Time, bytes: usize) {
        self.active_at = now;
        self.pending.consume(bytes);
    }

    /// Batches were written up to `upto`, by then a `charge` of all that was sent. `rest` is what of the last one was
    /// not written: it is kept, and goes before everything else.
    pub fn wrote_batches(&mut self, now: Time, (upto, charge): (Offset, u64), rest: &[u8]) {
        self.active_at = now;
        self.pending.push(rest);
        (self.cursor, self.taken, self.is_new) = (upto, Some(charge), false);
    }

    /// Everything was published: END follows the last batch.
    pub fn finish(&mut self) {
        self.is_finishing = true;
    }

    /// Ends the connection, and says why. What was cut by a partial write is still completed before.
    pub fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        self.phase = Phase::Closing(reason);
        let head = self.head(Offset::ZERO);
        wire::encode_close(&mut self.encoded, &head, reason);
        self.push_encoded();
    }

    /// What the subscriber misses from now on it misses because it was evicted before, or no longer for that.
    pub const fn set_evicted(&mut self, was_evicted: bool) {
        self.was_evicted = was_evicted;
    }

    /// Whether everything is written that ever will be: the connection's way to the subscriber may be shut.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ending | Phase::Closing(_)) && self.pending.is_empty()
    }

    /// Why the connection is closed, if it is.
    #[must_use]
    pub const fn closed(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Closing(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the subscriber has said, after END was written, that it has everything.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// Whether HELLO was heard, and was accepted.
    #[must_use]
    pub const fn is_greeted(&self) -> bool {
        self.receiver.is_some()
    }

    /// Who is served, if it is to be counted among the subscribers.
    #[must_use]
    pub const fn counted(&self) -> Option<ReceiverId> {
        if self.is_observer { None } else { self.receiver }
    }

    /// The next offset to be written.
    #[must_use]
    pub const fn cursor(&self) -> Offset {
        self.cursor
    }

    /// How far the subscriber has come, for the pace of the publisher: whenever it changes,
    /// [`taken`](Self::taken) is to be told.
    #[must_use]
    pub const fn position(&self) -> Offset {
        if self.settings.waits { self.confirmed } else { self.cursor }
    }

    /// The charge of everything sent up to its position; `None` when that is not known, or not now.
    #[must_use]
    pub fn taken(&self, ring: &Ring) -> Option<u64> {
        if self.settings.waits { ring.charge_held(self.confirmed.max(ring.oldest())) } else { self.taken }
    }

    /// How far it is behind what was sent, in charge.
    #[must_use]
    pub fn lag(&self, ring: &Ring) -> u64 {
        let charge = self.taken.or_else(|| ring.charge_held(self.cursor.max(ring.oldest())));
        charge.map_or(u64::MAX, |charge| ring.charge_sent().saturating_sub(charge))
    }

    /// How many times the ring has overrun the cursor.
    #[must_use]
    pub const fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Bytes that this connection keeps.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.pending.memory() + self.encoded.capacity()
    }

    /// Queues what goes before the next batch: GONE, END, or nothing more at all.
    fn prepare(&mut self, ring: &Ring, subscribers: usize) {
        self.look(ring);
        let oldest = ring.oldest();
        if self.phase != Phase::Following {
            return;
        }
        self.tell_in_time(ring, subscribers);
        if self.reach() < oldest && (self.is_new || self.pending.is_replaceable()) {
            self.overruns += u64::from(!self.is_new && !self.pending.holds_gap());
            self.skip_to(oldest);
        }
        if self.cursor >= self.to {
            self.phase = Phase::Ending;
        } else if self.is_finishing && self.cursor >= ring.sent() {
            self.say(ring, subscribers, true);
            self.phase = Phase::Ending;
        }
    }

    /// Cuts off a subscriber that the ring has overrun, where that is the policy; whether or not it takes anything now.
    fn look(&mut self, ring: &Ring) {
        let may_be_cut_off = self.settings.cut_off && !self.is_new && self.phase == Phase::Following;
        if may_be_cut_off && self.reach() < ring.oldest() {
            self.overruns += 1;
            self.close(CloseReason::Slow);
        }
    }

    /// The ring has come round: what lies before `oldest` is named, in one piece with what was named just now and not
    /// yet written.
    fn skip_to(&mut self, oldest: Offset) {
        self.tell_left_out();
        let from = self.pending.take_gap().unwrap_or(self.cursor);
        let reason = if self.was_evicted { GoneReason::Evicted } else { GoneReason::Overrun };
        let head = self.head(Offset::ZERO);
        let gone = GoneEntry::new(OffsetRange::new(from, oldest), reason);
        wire::encode_gone(&mut self.encoded, &head, &[gone]);
        self.pending.push_gap(&self.encoded, from);
        (self.cursor, self.taken) = (oldest, None);
        if let Some(filter) = &mut self.filter {
            filter.skip_to(oldest);
        }
    }

    /// Whether the publisher may be waiting for no more than a word of this subscriber.
    fn is_waited_for(&self, ring: &Ring) -> bool {
        let is_open = self.settings.waits && self.phase == Phase::Following && self.pending.is_empty();
        is_open && self.confirmed < self.reach() && self.reach() >= ring.sent() && ring.next() > ring.sent()
    }

    /// Queues a heartbeat, or END.
    fn say(&mut self, ring: &Ring, subscribers: usize, is_end: bool) {
        // One that gets little else would not report how far it has come.
        let is_quiet = self.settings.waits && self.filter.is_some();
        let asks = is_end || is_quiet || self.is_waited_for(ring);
        let status_ms = STATUS_MS.max(subscribers.saturating_mul(STATUS_MS / FEW));
        let heartbeat = Heartbeat {
            oldest: U64::new(ring.oldest().0),
            receivers: U32::new(u32::try_from(subscribers).unwrap_or(u32::MAX)),
            grtt_us: U32::ZERO,
            status_ms: U16::new(u16::try_from(status_ms).unwrap_or(u16::MAX)),
            tcp_port: U16::new(self.settings.port),
            flags: U16::new(
                if asks { Heartbeat::POLL } else { 0 }
                    | if self.settings.waits { Heartbeat::BLOCK } else { 0 },
            ),
            zero: U16::ZERO,
        };
        let head = self.head(self.cursor);
        if is_end {
            wire::encode_end(&mut self.encoded, &head, &heartbeat);
        } else {
            wire::encode_heartbeat(&mut self.encoded, &head, &heartbeat);
        }
        self.push_encoded();
    }

    fn push_encoded(&mut self) {
        self.seal();
        self.pending.push(&self.encoded);
    }

    const fn head(&self, base: Offset) -> Head {
        Head { stream: self.settings.stream, session: self.settings.session, base, flags: Flags(0) }
    }
}
