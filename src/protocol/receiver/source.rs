//! One source: what has come, what is missing, what may be handed on next.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::Book;
use crate::protocol::DownReason;
use crate::protocol::LostReason;
use crate::protocol::Order;
use crate::protocol::Origin;
use crate::protocol::Ready;
use crate::protocol::ReceiverSettings;
use crate::protocol::RoundTrip;
use crate::protocol::SourceStats;
use crate::protocol::receiver::gaps::Gaps;
use crate::protocol::receiver::guard::Guard;
use crate::protocol::receiver::history::History;
use crate::protocol::receiver::line::Lines;
use crate::protocol::receiver::report::Report;
use crate::protocol::receiver::spread::Spread;
use crate::time::Time;
use crate::wire::SessionId;

/// A leap must be confirmed by a second datagram within this time: an idle stream has a heartbeat every 100 ms and
/// a little, and one of them may be lost.
const LEAP_CONFIRMED_WITHIN: Duration = Duration::from_millis(250);
/// How long after a leap the same position must be told again to be another datagram and no copy of the first.
const LEAP_SAID_AGAIN: Duration = Duration::from_millis(20);
/// What a held batch costs beside its bytes: its places in two lists, and a buffer of its own.
const HELD_BYTES: usize = 192;
/// Bytes a message is taken to need before any batch has told.
const BYTES_UNKNOWN: u64 = 32;
/// The group's round trip before a heartbeat tells it.
const GRTT_UNKNOWN: Duration = Duration::from_millis(1);

/// Who was heard for the first time, and where its messages begin for this subscriber.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstHeard {
    pub(super) session: SessionId,
    pub(super) origin: Origin,
    pub(super) start: Offset,
}

/// A batch, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) range: OffsetRange,
    /// Bytes of its datagram.
    pub(super) bytes: usize,
    pub(super) is_repair: bool,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// Hand these offsets of it on now.
    Deliver(OffsetRange),
    /// Keep it, and say where with [`Source::hold`].
    Hold,
    /// Everything in it is here or decided.
    Duplicate,
    /// There is no room for it, or it leaps: dropped.
    Refused,
}

/// An early batch that the subscriber keeps in `slot`.
#[derive(Debug, Clone, Copy)]
struct Held {
    range: OffsetRange,
    slot: u32,
    bytes: usize,
}

/// What the publisher says of itself and its group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) receivers: u32,
    pub(super) round_trip: Duration,
    pub(super) status_every: Duration,
    /// Whether the publisher waits for its slowest receiver, so that every one reports.
    pub(super) is_waited_for: bool,
}

/// One (stream, session), as its subscriber sees it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) settings: ReceiverSettings,
    pub(super) session: SessionId,
    /// Where NAK and STATUS go.
    pub(super) address: SocketAddr,
    pub(super) lines: Lines,
    /// The next offset to hand on; everything before it is decided or in the user's hands.
    pub(super) next: Offset,
    /// Everything before it has come, is held, or is a gap.
    pub(super) seen: Offset,
    pub(super) gaps: Gaps,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Bytes of batches and the offsets in them: how wide the reorder window is in offsets.
    sizes: (u64, u64),
    /// A position beyond the window waits here for a second datagram that agrees.
    leap: Option<(Offset, Time)>,
    pub(super) end: Option<Offset>,
    closing: Option<DownReason>,
    pub(super) down: Option<DownReason>,
    pub(super) last_heard: Time,
    /// How often it has told where it is.
    pub(super) pulse: u64,
    /// Early batches so far: how many came after a gap was revealed tells loss from reordering.
    pub(super) early: u64,
    pub(super) guard: Guard,
    pub(super) spread: Spread,
    pub(super) rtt: RoundTrip,
    pub(super) group: Group,
    pub(super) report: Report,
    pub(super) book: Book,
    pub(super) stats: SourceStats,
    pub(super) history: History,
}

impl Source {
    pub(super) fn new(settings: ReceiverSettings, heard: FirstHeard, now: Time) -> Self {
        let group = Group {
            receivers: 1,
            round_trip: GRTT_UNKNOWN,
            status_every: settings.status_every,
            is_waited_for: false,
        };
        Self {
            settings,
            session: heard.session,
            address: heard.origin.address,
            lines: Lines::new(settings.lines, heard.origin, now),
            next: heard.start,
            seen: heard.start,
            gaps: Gaps::new(settings.gaps),
            held: VecDeque::new(),
            held_bytes: 0,
            sizes: (0, 0),
            leap: None,
            end: None,
            closing: None,
            down: None,
            last_heard: now,
            pulse: 0,
            early: 0,
            guard: Guard::new(settings.guard_batches, settings.guard_time),
            spread: Spread::default(),
            rtt: RoundTrip::default(),
            group,
            report: Report::new(now),
            book: Book { start: heard.start, heard: heard.start, ..Book::default() },
            stats: SourceStats::default(),
            history: History::default(),
        }
    }

    /// Takes a batch in: decides what becomes of it, and notices the gap in front of it.
    #[inline(always)]
    pub(super) fn offer(&mut self, batch: Batch, now: Time) -> Offer {
        let range = batch.range;
        planted!(DuplicateDelivered => if range.to == self.next && self.down.is_none() { return Offer::Deliver(range) });
        let Some(piece) = self.first_fresh(range) else { return Offer::Duplicate };
        if self.down.is_some() {
            self.stats.after_end += 1;
            return Offer::Refused;
        }
        if !self.is_believed(range.from, now) {
            return Offer::Refused;
        }
        self.measure(batch);
        self.book.heard = self.book.heard.max(range.to);
        let is_early = piece.from > self.next;
        let holds = is_early && self.settings.order == Order::Ordered;
        let fits = self.has_room(&batch, holds) && self.reach(range.from, now);
        if is_early && !batch.is_repair {
            self.on_early(now);
        }
        if !fits {
            return Offer::Refused;
        }
        if holds {
            return Offer::Hold;
        }
        Offer::Deliver(self.deliver(piece, &batch, now))
    }

    /// Whether there is room to hold a batch, and for the gap that it may cut.
    pub(super) fn has_room(&mut self, batch: &Batch, holds: bool) -> bool {
        let is_held_back = holds && self.held_bytes + batch.bytes + HELD_BYTES > self.settings.reorder_window;
        let is_gap_too_many = self.gaps.is_too_full_for(batch.range);
        let is_lost = is_held_back && !self.history.pass(batch.range.to);
        self.stats.refused_window += u64::from(is_lost);
        self.stats.refused_gaps += u64::from(is_gap_too_many && !is_held_back);
        !is_held_back && !is_gap_too_many
    }

    /// The next run of a batch that is still missing, behind those that were handed on.
    pub(super) fn offer_rest(&mut self, rest: Batch, now: Time) -> Option<OffsetRange> {
        let piece = self.first_fresh(rest.range).filter(|_| !self.gaps.is_too_full_for(rest.range))?;
        Some(self.deliver(piece, &rest, now))
    }

    pub(super) fn deliver(&mut self, piece: OffsetRange, batch: &Batch, now: Time) -> OffsetRange {
        let ordered = self.settings.order == Order::Ordered;
        let taken = if ordered { OffsetRange::new(self.next, batch.range.to) } else { piece };
        self.take(taken, batch.is_repair, now);
        taken
    }

    /// The batch that was to be held is in `slot` now.
    pub(super) fn hold(&mut self, batch: Batch, slot: u32, now: Time) {
        self.take(batch.range, batch.is_repair, now);
        let bytes = batch.bytes + HELD_BYTES;
        self.held_bytes += bytes;
        let at = self.held.partition_point(|held| held.range.from < batch.range.from);
        self.held.insert(at, Held { range: batch.range, slot, bytes });
        self.stats.held += 1;
    }

    /// The publisher told where it is, which may reveal a gap at the tail; whether that is believed.
    ///
    /// While the window is half full already, the tail is not asked for: it could not be held.
    pub(super) fn hear_of(&mut self, end: Offset, now: Time) -> bool {
        planted!(HeartbeatIgnored => return end <= self.seen);
        if !self.is_believed(end, now) {
            return false;
        }
        self.book.heard = self.book.heard.max(end);
        let crowded = self.held_bytes > self.settings.reorder_window / 2;
        crowded || self.reach(end, now)
    }

    /// What may be handed on now: losses and held batches in order, and last that the source is down.
    pub(super) fn poll_ready(&mut self) -> Option<Ready> {
        self.poll_lost().or_else(|| self.poll_held()).or_else(|| self.poll_down())
    }

    fn poll_lost(&mut self) -> Option<Ready> {
        let (range, reason) = match self.settings.order {
            Order::Ordered if self.gaps.first()?.range.from > self.next => return None,
            Order::Ordered => self.gaps.pop_lost()?,
            Order::AsArrived => self.gaps.pop_any_lost()?,
        };
        self.next = self.front(range.to);
        planted!(LostUntold => if reason == LostReason::Timeout { return None });
        Some(Ready::Lost { range, reason })
    }

    fn poll_held(&mut self) -> Option<Ready> {
        let held = *self.held.front().filter(|held| held.range.from <= self.next)?;
        self.held.pop_front();
        self.held_bytes -= planted!(WindowLeaks, 0, held.bytes);
        let take = OffsetRange::new(self.next.min(held.range.to), held.range.to);
        self.next = self.next.max(held.range.to);
        Some(Ready::Held { slot: held.slot, take })
    }

    fn poll_down(&mut self) -> Option<Ready> {
        // Whoever goes on after an end has not ended.
        let is_last = |end| end >= self.book.heard && self.next >= end;
        let ended = self.end.is_some_and(|end| planted!(EndTooSoon, true, is_last(end)));
        let ended = ended.then_some(DownReason::Ended);
        let reason = self.closing.or(ended)?;
        if self.down.is_some() || planted!(EndTooSoon, false, !self.gaps.is_empty()) {
            return None;
        }
        self.down = self.closing.take().or(ended);
        Some(Ready::Down { reason, heard: self.book.heard })
    }

    /// Gives up everything still missing, because nobody will bring it.
    pub(super) fn close(&mut self, reason: DownReason) {
        if self.down.is_some() || self.closing.is_some() {
            return;
        }
        self.closing = Some(reason);
        self.history.stop();
        self.note_gap(self.book.heard, Time::ZERO);
        self.gaps.give_up(OffsetRange::new(self.next, Offset(u64::MAX)), LostReason::SourceDown, |_| true);
    }

    /// Whether another session has taken its place: then it never comes back.
    pub(super) fn is_replaced(&self) -> bool {
        self.down == Some(DownReason::Replaced) || self.is_being_replaced()
    }

    /// Whether what it leaves behind has to be told, before the session that takes its place comes up.
    pub(super) fn is_being_replaced(&self) -> bool {
        self.closing == Some(DownReason::Replaced)
    }

    /// The source is heard again, up to `reach`, after it was told to be down; whether it is up again. What ended
    /// goes on only with something new: a publisher that opens its journal again keeps its session.
    pub(super) fn revive(&mut self, reach: Offset) -> bool {
        let goes_on = match self.down {
            Some(DownReason::Silent) => true,
            Some(DownReason::Ended) => self.end.is_some_and(|end| reach > end),
            Some(DownReason::Replaced) => planted!(OldSessionRevived, true, false),
            None => false,
        };
        if goes_on {
            (self.down, self.end) = (None, None);
        }
        goes_on
    }

    /// A session that another one had replaced is connected again: it goes on where it was.
    pub(super) fn readmit(&mut self, from: SocketAddr, now: Time) {
        (self.down, self.end, self.address) = (None, None, from);
        self.report.bring_forward(now);
    }

    /// What is heard from `next` on, half a message, is to be heard again.
    pub(super) fn rewind(&mut self, next: Offset) {
        self.next = self.next.min(next);
        self.seen = self.seen.min(next);
        self.book.heard = self.book.heard.min(next);
    }

    /// Bytes of early batches that are held, each with what its place costs.
    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// How many offsets the reorder window spans, by the size that messages have had.
    pub(super) fn span(&self) -> u64 {
        let (bytes, offsets) = self.sizes;
        let window = self.settings.reorder_window as u64;
        window.saturating_mul(offsets).checked_div(bytes).unwrap_or(window / BYTES_UNKNOWN).max(64)
    }

    /// Whether a position may be believed: one a window or more ahead of all that was seen needs a second datagram
    /// that agrees, since a forged one would cost everything in between.
    pub(super) fn is_believed(&mut self, to: Offset, now: Time) -> bool {
        let span = self.span();
        planted!(LeapBelieved => return true);
        if self.settings.connected {
            return true;
        }
        if to.since(self.seen) <= span {
            // Whoever goes on from here has not leapt.
            self.leap = self.leap.filter(|_| to < self.seen);
            return true;
        }
        let leap = self.leap.filter(|(_, since)| now.since(*since) <= LEAP_CONFIRMED_WITHIN);
        // A copy of the very datagram is no second one; an idle publisher says the same again after a while.
        let agrees = |(at, since): (Offset, Time)| {
            let is_another = to > at || (to == at && now.since(since) >= LEAP_SAID_AGAIN);
            is_another && to.since(at) <= span
        };
        let confirmed = leap.is_some_and(agrees);
        let kept = leap.filter(|(at, _)| *at == to).unwrap_or((to, now));
        self.leap = (!confirmed).then_some(kept);
        self.stats.leaps += u64::from(!confirmed);
        confirmed
    }

    /// Marks `range` as come: no longer missing, and `next` goes on where nothing is in the way.
    fn take(&mut self, range: OffsetRange, is_repair: bool, now: Time) {
        self.fill(range, is_repair, now);
        self.seen = self.seen.max(range.to);
        if range.from <= self.next {
            self.next = self.front(range.to);
        }
    }

    /// The next offset to hand on, once everything up to `taken` is.
    fn front(&self, taken: Offset) -> Offset {
        match self.settings.order {
            Order::Ordered => self.next.max(taken),
            Order::AsArrived => self.gaps.first().map_or(self.seen, |gap| gap.range.from),
        }
    }

    /// The first run of `range` that has neither come nor been given up.
    pub(super) fn first_fresh(&self, range: OffsetRange) -> Option<OffsetRange> {
        let (old, new) = range.split(self.seen);
        self.gaps.first_missing(old).or((!new.is_empty()).then_some(new))
    }

    fn measure(&mut self, batch: Batch) {
        let (bytes, offsets) = &mut self.sizes;
        if *bytes > u64::from(u32::MAX) {
            (*bytes, *offsets) = (*bytes / 2, *offsets / 2);
        }
        *bytes += batch.bytes as u64;
        *offsets += batch.range.len();
    }
}
