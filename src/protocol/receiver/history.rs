//! What a source sent before it was heard, or too long ago to be asked for, comes over a connection to it.
//!
//! Such offsets are gaps like any other, but are not asked for by NAK. The connection begins where the first gap does and brings
//! everything from there in order; what comes live meanwhile waits behind it as early batches do. When there is no more
//! room for that, live batches are let go: the connection, which has no end, brings them too. Once it has caught up, gaps are asked
//! for again, and it is of no more use.

use core::net::SocketAddr;
use core::time::Duration;

use crate::history::charge;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::LostReason;
use crate::protocol::Order;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::Verdict;
use crate::protocol::receiver::gaps::Gap;
use crate::protocol::receiver::gaps::GapState;
use crate::protocol::receiver::settings::AGAIN;
use crate::protocol::receiver::settings::TURN;
use crate::protocol::receiver::source::Batch;
use crate::protocol::receiver::source::Offer;
use crate::protocol::receiver::source::Source;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::GoneEntry;
use crate::wire::Heartbeat;
use crate::wire::SessionId;
use crate::wire::Token;

/// How near the connection must be to what comes live, in parts of the reorder window, for gaps there to be asked for: what
/// is a sixteenth of the window away is there before it is missed.
const NEAR: u64 = 16;

/// A part of a source's history that is to come over a connection to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub source: SourceKey,
    /// Its session.
    pub session: SessionId,
    /// Where it serves connections.
    pub address: SocketAddr,
}

/// How far a source's history has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetch {
    /// What the connection brings next.
    cursor: Offset,
    /// Live batches up to here have not been kept.
    until: Offset,
    /// When it last went on, or was opened; later by the time that it has waited since.
    moved_at: Time,
    /// Since when it waits for its turn.
    waits_since: Option<Time>,
}

impl Fetch {
    fn begin_turn(&mut self, now: Time) {
        if let Some(since) = self.waits_since.take() {
            self.moved_at = self.moved_at + now.since(since);
        }
    }

    fn end_turn(&mut self, now: Time) {
        self.waits_since.get_or_insert(now);
    }
}

/// Whose turn it is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    index: usize,
    since: Time,
}

/// The connection of a source, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct History {
    /// The port that its heartbeats tell; 0 for none.
    port: u16,
    /// The oldest offset that it holds, as its heartbeats tell.
    oldest: Offset,
    fetch: Option<Fetch>,
    /// It did not work, and is not tried again before that.
    avoided_until: Time,
}

impl History {
    pub(super) const fn hear(&mut self, heartbeat: &Heartbeat) {
        (self.port, self.oldest) = (heartbeat.tcp_port.get(), Offset(heartbeat.oldest.get()));
    }

    /// The port that its heartbeats tell, and the oldest offset it holds.
    pub(super) const fn told(&self) -> (u16, Offset) {
        (self.port, self.oldest)
    }

    /// Nothing is fetched any more.
    pub(super) const fn stop(&mut self) {
        self.fetch = None;
    }

    pub(super) const fn is_open(&self) -> bool {
        self.fetch.is_some()
    }

    /// A live batch up to `end` found no room to wait: it is brought instead, if anything is.
    pub(super) fn pass(&mut self, end: Offset) -> bool {
        self.fetch.as_mut().map(|fetch| fetch.until = fetch.until.max(end)).is_some()
    }

    /// Whether a gap that begins with `from`, just noticed, is brought rather than asked for.
    pub(super) fn brings(&self, from: Offset, span: u64) -> bool {
        let is_far = |fetch: &Fetch| from < fetch.until || from.since(fetch.cursor) >= span / NEAR;
        self.fetch.as_ref().is_some_and(is_far)
    }

    pub(super) fn forgive(&mut self, away: Duration) {
        if let Some(fetch) = &mut self.fetch {
            fetch.moved_at = fetch.moved_at + away;
            fetch.waits_since = fetch.waits_since.map(|since| since + away);
        }
    }
}

impl Source {
    /// Begins below `base`, to where the source has come by now.
    pub(super) fn join(&mut self, base: Offset, heartbeat: &Heartbeat, now: Time) {
        self.history.hear(heartbeat);
        if base <= self.next {
            return;
        }
        self.book.heard = base;
        if self.can_fetch(now) {
            self.open_fetch(base, now);
            self.note_gap(base, now);
        } else {
            self.note_gap(base, now);
            self.give_up_hopeless(LostReason::Overrun, |_| true);
        }
    }

    fn can_fetch(&self, now: Time) -> bool {
        self.settings.fetches && self.history.port != 0 && now >= self.history.avoided_until
    }

    /// A gap up to `to` is too wide to be asked for: whether it is brought instead.
    pub(super) fn fetch_leap(&mut self, to: Offset, now: Time) -> Option<bool> {
        if !self.settings.repair || !self.can_fetch(now) {
            return None;
        }
        if self.history.is_open() && self.gaps.is_full() {
            self.history.pass(to);
            return Some(false);
        }
        self.open_fetch(to, now);
        self.note_gap(to, now);
        Some(true)
    }

    fn open_fetch(&mut self, until: Offset, now: Time) {
        let new = Fetch { cursor: self.seen, until, moved_at: now, waits_since: Some(now) };
        let fetch = self.history.fetch.get_or_insert(new);
        fetch.until = fetch.until.max(until);
    }

    /// A connection is there: gives where it is to begin, which is before everything that is missing.
    fn begin_fetch(&mut self) -> Offset {
        let from = self.gaps.first().map_or(self.seen, |gap| gap.range.from);
        self.gaps.visit(|gap| (gap.state, gap.due, gap.deadline) = (GapState::Fetched, NEVER, NEVER));
        if let Some(fetch) = &mut self.history.fetch {
            fetch.cursor = from;
        }
        from
    }

    /// Whether the connection still has something to bring.
    fn is_fetching(&mut self) -> bool {
        let Some(fetch) = self.history.fetch else { return false };
        if self.seen >= fetch.until && !self.gaps.has_fetched() {
            self.history.stop();
        }
        self.history.is_open()
    }

    /// Whether there is something to bring, and a place to bring it from.
    fn may_be_fetched(&mut self) -> bool {
        self.is_fetching() && self.is_proved()
    }

    /// Whether it has answered a STATUS: anybody can forge a heartbeat, whose address and port are then no publisher's.
    fn is_proved(&self) -> bool {
        self.report.token != Token(0)
    }

    /// When the connection is given up, unless it goes on, or has its turn before.
    pub(super) fn fetch_deadline(&self) -> Option<Time> {
        let fetch = self.history.fetch?;
        let since = fetch.waits_since.unwrap_or(fetch.moved_at);
        let is_in_line = fetch.waits_since.is_some() && self.is_proved();
        let others = u32::try_from(self.settings.sources).unwrap_or(u32::MAX);
        let turns = if is_in_line { TURN.saturating_mul(others) } else { Duration::ZERO };
        Some(since + self.settings.silence + turns)
    }

    /// Nothing comes over the connection: what is too much to be asked for is lost, and the rest is asked for.
    pub(super) fn give_up_fetch(&mut self, reason: LostReason, now: Time) {
        if self.history.fetch.take().is_none() {
            return;
        }
        self.history.avoided_until = now + AGAIN;
        self.stats.fetches_failed += 1;
        self.give_up_hopeless(reason, |gap| gap.state == GapState::Fetched);
        self.release(Offset(u64::MAX), now);
    }

    /// Gives up what the publisher holds no more, and what lies more than half a window behind.
    fn give_up_hopeless(&mut self, reason: LostReason, believe: impl Fn(&Gap) -> bool) {
        let behind = Offset(self.seen.0.saturating_sub(self.span() / 2));
        let hopeless = behind.max(self.history.oldest.min(self.seen));
        self.gaps.give_up(OffsetRange::new(self.next, hopeless.max(self.next)), reason, believe);
    }

    /// What the connection should have brought before `upto` is asked for.
    fn release(&mut self, upto: Offset, now: Time) {
        self.gaps.visit(|gap| {
            if gap.state == GapState::Fetched && gap.range.from < upto {
                (gap.state, gap.due) = (GapState::Guarded, now);
            }
        });
    }

    /// Takes in a batch that the connection brought.
    fn offer_fetched(&mut self, batch: Batch, now: Time) -> Offer {
        let range = batch.range;
        let Some(fetch) = &mut self.history.fetch else { return Offer::Refused };
        let skips = range.from > fetch.cursor;
        (fetch.cursor, fetch.moved_at) = (fetch.cursor.max(range.to), now);
        self.book.heard = self.book.heard.max(range.to);
        if range.from > self.seen {
            self.note_gap(range.from, now);
        }
        if skips {
            self.release(range.from, now);
        }
        let Some(piece) = self.first_fresh(range) else { return Offer::Duplicate };
        if piece.from > self.next && self.settings.order == Order::Ordered {
            return if self.has_room(&batch, true) { Offer::Hold } else { Offer::Refused };
        }
        let is_gap_too_many = self.gaps.is_too_full_for(range);
        if is_gap_too_many {
            self.stats.refused_gaps += 1;
            return Offer::Refused;
        }
        let mut fetched = range.to.since(self.seen.max(range.from));
        self.gaps.fill(range, |gap| fetched += gap.range.clip(range).len());
        self.stats.fetched += fetched;
        Offer::Deliver(self.deliver(piece, &batch, now))
    }

    /// The publisher holds no more of what the connection was to bring.
    fn on_gone_fetched(&mut self, gone: &GoneEntry, now: Time) {
        let (range, Some(reason)) = (gone.range(), gone.reason()) else { return };
        let Some(fetch) = &mut self.history.fetch else { return };
        if range.from > fetch.cursor || range.to <= fetch.cursor {
            return;
        }
        let range = OffsetRange::new(fetch.cursor, range.to);
        (fetch.cursor, fetch.moved_at) = (range.to, now);
        self.book.heard = self.book.heard.max(range.to);
        self.note_gap(range.to, now);
        self.gaps.give_up(range, reason.into(), |_| true);
        // What there was no place to cut off is asked for, and refused, on its own.
        self.release(range.to, now);
    }
}

/// A gap without a timer.
const NEVER: Time = Time(u64::MAX);

impl Receiver {
    /// The history that is to come over a connection now; one source's at a time, each for a while.
    pub fn wanted(&mut self, now: Time) -> Option<Wanted> {
        if self.sources.iter().all(|source| !source.history.is_open()) {
            return None;
        }
        let index = self.take_turn(now)?;
        let source = self.sources.get(index)?;
        let mut address = source.address;
        address.set_port(source.history.port);
        let key = SourceKey(u16::try_from(index).ok()?);
        Some(Wanted { source: key, session: source.session, address })
    }

    /// Whose turn it is: the same one's until it has had its time and another waits, so that one whose
    /// history never ends keeps nobody from theirs.
    fn take_turn(&mut self, now: Time) -> Option<usize> {
        let last = self.fetching.filter(|turn| now.since(turn.since) < TURN);
        if let Some(turn) = last
            && self.sources.get_mut(turn.index).is_some_and(Source::may_be_fetched)
        {
            self.begin_turn(turn.index, now);
            return Some(turn.index);
        }
        let first = self.fetching.map_or(0, |turn| turn.index + 1);
        let count = self.sources.len();
        let mut around = (first..first + count).map(|at| at % count);
        let may = |at: &usize| self.sources.get_mut(*at).is_some_and(Source::may_be_fetched);
        let next = around.find(may);
        let ended = self.fetching.filter(|turn| next != Some(turn.index));
        if let Some(fetch) = ended.and_then(|turn| self.sources.get_mut(turn.index)?.history.fetch.as_mut()) {
            fetch.end_turn(now);
        }
        self.fetching = next.map(|index| Turn { index, since: now });
        self.begin_turn(next?, now);
        next
    }

    fn begin_turn(&mut self, index: usize, now: Time) {
        if let Some(fetch) = self.sources.get_mut(index).and_then(|source| source.history.fetch.as_mut()) {
            fetch.begin_turn(now);
        }
    }

    /// The connection that was [wanted](Self::wanted) is there: gives the offset to ask for.
    pub fn begin_history(&mut self, source: SourceKey) -> Option<Offset> {
        let source = self.sources.get_mut(usize::from(source.0))?;
        source.stats.fetches += 1;
        Some(source.begin_fetch())
    }

    /// The connection cannot be had, or brings nothing.
    pub fn fail_history(&mut self, now: Time, source: SourceKey, reason: LostReason) {
        if let Some(source) = self.sources.get_mut(usize::from(source.0)) {
            source.give_up_fetch(reason, now);
        }
    }

    /// Takes in what came over the connection to `source`.
    pub fn handle_history(
        &mut self,
        now: Time,
        key: SourceKey,
        datagram: &Datagram<'_>,
        bytes: usize,
    ) -> Verdict {
        let window = self.window();
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return Verdict::Refused };
        let header = datagram.header;
        if source.down.is_some() || header.stream() != self.settings.stream {
            return Verdict::Refused;
        }
        if header.session() != source.session {
            // Another life of the publisher, which has nothing of this one.
            source.give_up_fetch(LostReason::Overrun, now);
            return Verdict::Refused;
        }
        match datagram.body {
            Body::Data(_) => {}
            Body::Gone(entries) => {
                entries.iter().for_each(|gone| source.on_gone_fetched(gone, now));
                return Verdict::Done;
            }
            _ => return Verdict::Done,
        }
        if source.report.takes(charge(bytes), window) {
            source.report.on_quarter(&source.group, now, &mut self.jitter);
        }
        match source.offer_fetched(Batch { range: header.range(), bytes, is_repair: true }, now) {
            Offer::Deliver(take) => Verdict::Deliver { source: key, take },
            Offer::Hold => Verdict::Hold { source: key },
            Offer::Refused => Verdict::Refused,
            Offer::Duplicate => Verdict::Duplicate,
        }
    }
}
