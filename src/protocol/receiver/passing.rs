//! What comes by one of several lines: counted there, and what every line has passed is no longer waited for.

use core::net::SocketAddr;
use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::LineId;
use crate::protocol::LostReason;
use crate::protocol::Origin;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::receiver::gaps::GapState;
use crate::protocol::receiver::line::LIVE;
use crate::protocol::receiver::source::Batch;
use crate::protocol::receiver::source::Offer;
use crate::protocol::receiver::source::Source;
use crate::time::Time;
use crate::wire::GoneReason;

/// How long another line is given at least, and at most, to bring what one has passed. Between these it is twice what the
/// slowest has lately come after the fastest.
const LEAST: Duration = Duration::from_millis(1);
const MOST: Duration = Duration::from_millis(20);
/// STATUS in a row without an answer after which another line is tried.
const UNANSWERED: u32 = 2;

/// A batch that came by one of several lines, before anything was done with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passing {
    line: LineId,
    range: OffsetRange,
    /// How many of its offsets had not come.
    fresh: u64,
    /// It is no leap.
    is_near: bool,
    is_opening: bool,
}

impl Source {
    /// Whether this is who the source sends as.
    #[inline]
    pub(super) fn is_from(&self, origin: &Origin) -> bool {
        let is_main = self.lines.is_main(origin.line) && self.address == origin.address;
        is_main || (!self.lines.is_one() && self.is_from_besides(origin))
    }

    #[cold]
    fn is_from_besides(&self, origin: &Origin) -> bool {
        self.lines.address(origin.line) == Some(origin.address)
    }

    /// Whether it sends from `address` on any line.
    pub(super) fn has_address(&self, address: SocketAddr) -> bool {
        self.address == address || self.lines.have(address)
    }

    /// Whether it sends on any line from the machine of `address`.
    pub(super) fn has_host(&self, address: SocketAddr) -> bool {
        self.address.ip() == address.ip() || self.lines.have_host(address)
    }

    /// From now on this is who the source sends as on that line.
    pub(super) fn bind(&mut self, origin: Origin) {
        self.lines.bind(origin);
        if self.lines.is_main(origin.line) {
            self.address = origin.address;
        }
    }

    /// How long another line is waited for.
    #[cold]
    pub(super) fn wait_for_lines(&self) -> Duration {
        let guard = self.guard.time(self.group.round_trip);
        if self.settings.guard_time.is_some() {
            return guard;
        }
        if !self.settings.repair {
            // Nothing else brings it.
            return LIVE;
        }
        guard.max((self.lines.lag() * 2).clamp(LEAST, MOST))
    }

    /// A batch that came by one of several lines is about to be [offered](Self::offer); nothing to note of a repair.
    #[cold]
    pub(super) fn before_offer(&mut self, line: LineId, batch: &Batch, is_opening: bool) -> Option<Passing> {
        if batch.is_repair {
            return None;
        }
        let range = self.entitled(batch.range);
        let fresh = self.missing_in(range);
        // A leap is not believed before it is confirmed.
        let is_near = range.to.since(self.seen) <= self.span();
        if is_near {
            self.pass(line, range, is_opening);
        }
        Some(Passing { line, range, fresh, is_near, is_opening })
    }

    /// What became of it.
    #[cold]
    pub(super) fn after_offer(&mut self, passing: Passing, offer: Offer, now: Time) {
        let Passing { line, range, fresh, is_near, is_opening } = passing;
        if offer != Offer::Refused {
            if !is_near {
                self.pass(line, range, is_opening);
            }
            self.lines.count(line, (range, fresh), now);
        }
        self.end_waiting(now);
    }

    /// As [`hear_of`](Self::hear_of), for a position told by one of several lines.
    #[cold]
    pub(super) fn hear_of_on(&mut self, line: LineId, end: Offset, is_opening: bool, now: Time) -> bool {
        let here = self.entitled(OffsetRange::new(end, end));
        let is_near = end.since(self.seen) <= self.span();
        if is_near {
            self.pass(line, here, is_opening);
        }
        let believed = self.down.is_none() && self.hear_of(end, now);
        if believed && !is_near {
            self.pass(line, here, is_opening);
        }
        self.end_waiting(now);
        believed
    }

    /// What of `range` does not lie before the beginning.
    fn entitled(&self, range: OffsetRange) -> OffsetRange {
        let from = range.from.max(self.book.start);
        OffsetRange::new(from, range.to.max(from))
    }

    fn pass(&mut self, line: LineId, range: OffsetRange, is_opening: bool) {
        self.lines.pass(line, range, if is_opening { self.book.start } else { range.from });
    }

    /// How many offsets of `range` have not come.
    fn missing_in(&self, range: OffsetRange) -> u64 {
        let (old, new) = range.split(self.seen);
        self.gaps.missing_within(old) + new.len()
    }

    /// What every live line has passed is waited for only as long as one line is: it may be mere reordering.
    fn end_waiting(&mut self, now: Time) {
        let Some(first) = self.gaps.first_expected() else { return };
        let Some(slowest) = self.lines.slowest(now).filter(|slowest| first.range.to <= *slowest) else {
            return;
        };
        let (early, due) = (self.early, now + self.guard.time(self.group.round_trip));
        self.gaps.visit(|gap| {
            if gap.state == GapState::Expected && gap.range.to <= slowest {
                (gap.state, gap.revealed_at, gap.due) = (GapState::Guarded, early, due.min(gap.due));
            }
        });
    }

    /// The publisher could not bring `range` over the connection, which is one line of several: what no other may bring
    /// yet is lost.
    pub(super) fn on_gone_on(&mut self, line: LineId, range: OffsetRange, reason: GoneReason) {
        let here = OffsetRange::new(range.to.min(self.seen), range.to.min(self.seen));
        self.pass(line, here, false);
        self.gaps.give_up(range, LostReason::from(reason), |gap| gap.state != GapState::Expected);
    }

    /// Asks and reports by another line from now on, if that one is silent or nobody answers there.
    pub(super) fn choose_line(&mut self, now: Time) {
        if self.lines.is_one() {
            return;
        }
        let (main, connection) = (self.lines.main(), self.settings.connection);
        let is_good = connection != Some(main) && self.lines.is_live(main, now);
        if is_good && self.report.unanswered() < UNANSWERED {
            return;
        }
        if let Some(address) = self.lines.change_main(now, |line| connection != Some(line)) {
            self.address = address;
            self.report.restart(now);
        }
    }

    /// The connection that is one of its lines, if it is heard on it now.
    pub(super) fn connection(&self, now: Time) -> Option<Origin> {
        let line = self.settings.connection?;
        let address = self.lines.address(line).filter(|_| self.lines.is_live(line, now))?;
        Some(Origin { address, line })
    }
}

impl Receiver {
    /// The source that is heard by a line; the one heard last there, if there are several.
    #[must_use]
    pub fn heard_on(&self, line: LineId) -> Option<SourceKey> {
        let heard = self
            .sources
            .iter()
            .zip(0..)
            .filter_map(|(source, key)| Some((source.lines.heard_at(line)?, key)));
        heard.max_by_key(|(at, _)| *at).map(|(_, key)| SourceKey(key))
    }
}
