//! The lines that a source is heard on: who sends on each, how far it has come there, and what it has brought.
//!
//! A receiver with one line keeps nothing of this.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::LineId;
use crate::protocol::Origin;
use crate::time::Time;

/// How long a line that is not heard still counts as one that may bring what another has missed: publishers are heard every
/// 100 ms, and one heartbeat may be lost.
pub(super) const LIVE: Duration = Duration::from_millis(250);
/// Runs that a line has passed without bringing them, of those last noticed, which it may bring yet.
const MISSING: usize = 64;
/// First copies remembered, to tell how much later the others come.
const FIRSTS: usize = 1_024;
/// Part by which the lag of the slowest line is forgotten with each batch that comes again.
const FORGET: u32 = 256;

/// What one line has brought of one source, in offsets of first sendings: repairs are counted apart.
///
/// While nothing is refused for want of room, `first + duplicate + missed` is what the line has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineCounters {
    /// Offsets that came first by it.
    pub first: u64,
    /// Offsets that it brought after they were here.
    pub duplicate: u64,
    /// Offsets that it has passed and not brought.
    pub missed: u64,
    /// Batches that came first by it, and later by another line.
    pub leads: u64,
    /// By how much all of these came first, by the times of the reads.
    pub lead: Duration,
    /// By how much one of these came first at most.
    pub longest_lead: Duration,
}

impl LineCounters {
    /// By how much a batch that came first by it did so on average.
    #[must_use]
    pub fn mean_lead(&self) -> Option<Duration> {
        let nanos = self.lead.as_nanos().checked_div(u128::from(self.leads))?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

/// One line of a source, as its subscriber sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRow {
    /// Which.
    pub line: LineId,
    /// The address that the source sends from on it, once it was heard there.
    pub address: Option<SocketAddr>,
    /// When it was last heard there.
    pub heard_at: Time,
    /// What it has brought.
    pub stats: LineCounters,
}

/// One line of one source.
#[derive(Debug)]
struct Line {
    address: Option<SocketAddr>,
    /// A line that was never heard counts from when the source was.
    heard_at: Time,
    /// The end of what it has brought or passed.
    reach: Option<Offset>,
    /// What it has passed lately and not brought.
    missing: VecDeque<OffsetRange>,
    stats: LineCounters,
}

impl Line {
    const fn is_live(&self, now: Time) -> bool {
        now.0.saturating_sub(self.heard_at.0) < LIVE.as_nanos() as u64
    }

    /// It has come to `to`, having brought what begins with `from`.
    fn pass(&mut self, (from, to): (Offset, Offset), begins: Offset) {
        let reach = self.reach.unwrap_or(begins.min(from));
        let passed = OffsetRange::new(reach, from.max(reach));
        if !passed.is_empty() {
            self.stats.missed += passed.len();
            if self.missing.len() >= MISSING {
                self.missing.pop_front();
            }
            self.missing.push_back(passed);
        }
        self.reach = Some(reach.max(to));
    }

    /// It brought `range` after all, as far as it had passed that.
    fn regain(&mut self, range: OffsetRange) {
        for _ in 0..self.missing.len() {
            let Some(run) = self.missing.pop_front() else { return };
            let (before, rest) = run.split(range.from);
            let (brought, after) = rest.split(range.to);
            self.stats.missed -= brought.len();
            let parts = [before, after].into_iter().filter(|part| !part.is_empty());
            self.missing.extend(parts.take(MISSING - self.missing.len()));
        }
    }
}

/// A batch that came for the first time.
#[derive(Debug, Clone, Copy, Default)]
struct First {
    base: Offset,
    line: LineId,
    at: Option<Time>,
}

/// The lines of one source; nothing while the receiver has one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    list: Vec<Line>,
    /// The one whose address NAK and STATUS go to.
    main: LineId,
    /// By how much the slowest comes after the fastest, lately and at most.
    lag: Duration,
    /// By a part of their base, so that a lookup is one step; only batches cut alike are found.
    firsts: Box<[First]>,
}

impl Lines {
    /// Of a source first heard from `origin`, at a receiver with `count` lines.
    pub(super) fn new(count: u8, origin: Origin, now: Time) -> Self {
        if count <= 1 {
            return Self::default();
        }
        let line = |at: u8| Line {
            address: (at == origin.line.0).then_some(origin.address),
            heard_at: now,
            reach: None,
            missing: VecDeque::new(),
            stats: LineCounters::default(),
        };
        let list = (0..count).map(line).collect();
        let firsts = vec![First::default(); FIRSTS].into_boxed_slice();
        Self { list, main: origin.line, lag: Duration::ZERO, firsts }
    }

    /// Whether the receiver has one line.
    #[inline]
    pub(super) const fn is_one(&self) -> bool {
        self.list.is_empty()
    }

    #[inline]
    pub(super) fn is_main(&self, line: LineId) -> bool {
        self.main == line
    }

    pub(super) const fn main(&self) -> LineId {
        self.main
    }

    fn get(&self, line: LineId) -> Option<&Line> {
        self.list.get(usize::from(line.0))
    }

    fn get_mut(&mut self, line: LineId) -> Option<&mut Line> {
        self.list.get_mut(usize::from(line.0))
    }

    /// Who sends on a line, once that is known.
    pub(super) fn address(&self, line: LineId) -> Option<SocketAddr> {
        self.get(line)?.address
    }

    /// Whether the source sends from `address` on any line.
    pub(super) fn have(&self, address: SocketAddr) -> bool {
        self.list.iter().any(|line| line.address == Some(address))
    }

    /// Whether it sends on any line from the machine of `address`.
    pub(super) fn have_host(&self, address: SocketAddr) -> bool {
        self.list.iter().any(|line| line.address.is_some_and(|known| known.ip() == address.ip()))
    }

    /// From now on `address` is who sends on a line.
    pub(super) fn bind(&mut self, origin: Origin) {
        if let Some(line) = self.get_mut(origin.line) {
            line.address = Some(origin.address);
        }
    }

    /// A sign of life came by a line.
    pub(super) fn hear(&mut self, line: LineId, now: Time) {
        if let Some(line) = self.get_mut(line) {
            line.heard_at = line.heard_at.max(now);
        }
    }

    /// How long a line was not heard.
    pub(super) fn quiet_for(&self, line: LineId, now: Time) -> Duration {
        self.get(line).map_or(Duration::ZERO, |line| now.since(line.heard_at))
    }

    /// When it was last heard on a line, once it was.
    pub(super) fn heard_at(&self, line: LineId) -> Option<Time> {
        self.get(line).filter(|line| line.address.is_some()).map(|line| line.heard_at)
    }

    pub(super) fn is_live(&self, line: LineId, now: Time) -> bool {
        self.get(line).is_some_and(|line| line.is_live(now))
    }

    /// The process was stopped for a while: nobody was silent meanwhile.
    pub(super) fn forgive(&mut self, away: Duration) {
        self.list.iter_mut().for_each(|line| line.heard_at = line.heard_at + away);
    }

    /// A line goes on to the end of `range`, which it brings; a source begins with `begins`.
    pub(super) fn pass(&mut self, line: LineId, range: OffsetRange, begins: Offset) {
        let Some(line) = self.get_mut(line) else { return };
        if !range.is_empty() && line.reach.is_some_and(|reach| range.from < reach) {
            line.regain(range);
        }
        line.pass((range.from, range.to), begins);
    }

    /// A line brought `range`, of which `fresh` offsets were not here.
    pub(super) fn count(&mut self, id: LineId, (range, fresh): (OffsetRange, u64), now: Time) {
        let again = range.len() - fresh;
        if let Some(line) = self.get_mut(id) {
            line.stats.first += fresh;
            line.stats.duplicate += again;
        }
        let at = (range.from.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
        let Some(first) = self.firsts.get_mut(at) else { return };
        if again == 0 {
            *first = First { base: range.from, line: id, at: Some(now) };
            return;
        }
        let known = *first;
        let Some(came) = known.at.filter(|_| fresh == 0 && known.base == range.from && known.line != id)
        else {
            return;
        };
        let lead = now.since(came);
        self.lag = lead.max(self.lag - self.lag / FORGET);
        if let Some(stats) = self.get_mut(known.line).map(|line| &mut line.stats) {
            stats.leads += 1;
            stats.lead += lead;
            stats.longest_lead = stats.longest_lead.max(lead);
        }
    }

    /// How far every live line has come; `None` while one of them was never heard.
    #[cold]
    pub(super) fn slowest(&self, now: Time) -> Option<Offset> {
        let live = self.list.iter().filter(|line| line.is_live(now));
        live.map(|line| line.reach).min().unwrap_or(Some(Offset(u64::MAX)))
    }

    /// Whether every live line has come to `to`.
    #[inline]
    pub(super) fn have_passed(&self, to: Offset, now: Time) -> bool {
        self.is_one() || self.slowest(now).is_some_and(|reach| reach >= to)
    }

    /// By how much the slowest line comes after the fastest, lately and at most.
    pub(super) const fn lag(&self) -> Duration {
        self.lag
    }

    /// NAK and STATUS go by the next live line whose publisher can be asked, from now on; its address, if there is one.
    pub(super) fn change_main(&mut self, now: Time, can_ask: impl Fn(LineId) -> bool) -> Option<SocketAddr> {
        let count = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
        let others = (1..count).map(|step| LineId((self.main.0 + step) % count));
        let is_better = |id: &LineId| can_ask(*id) && self.is_live(*id, now) && self.address(*id).is_some();
        self.main = others.into_iter().find(is_better)?;
        self.address(self.main)
    }

    /// A row for each line.
    pub(super) fn rows(&self) -> impl Iterator<Item = LineRow> {
        self.list.iter().zip(0..).map(|(line, at)| LineRow {
            line: LineId(at),
            address: line.address,
            heard_at: line.heard_at,
            stats: line.stats,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LineId = LineId(0);
    const B: LineId = LineId(1);

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    fn lines() -> Lines {
        Lines::new(2, Origin::from(SocketAddr::from(([10, 0, 0, 1], 4_000))), Time::ZERO)
    }

    fn bring(lines: &mut Lines, line: LineId, (from, to): (u64, u64), (fresh, at): (u64, u64)) {
        lines.pass(line, range(from, to), Offset(0));
        lines.count(line, (range(from, to), fresh), Time(at));
    }

    fn stats(lines: &Lines, line: LineId) -> (u64, u64, u64) {
        let stats = lines.get(line).unwrap().stats;
        (stats.first, stats.duplicate, stats.missed)
    }

    #[test]
    fn what_a_line_passes_is_missed_until_it_brings_it() {
        let mut lines = lines();
        bring(&mut lines, A, (2, 4), (2, 0));
        assert_eq!(stats(&lines, A), (2, 0, 2));
        bring(&mut lines, A, (8, 9), (1, 0));
        assert_eq!(stats(&lines, A), (3, 0, 6));
        bring(&mut lines, A, (5, 7), (2, 0));
        assert_eq!(stats(&lines, A), (5, 0, 4));
        bring(&mut lines, A, (0, 8), (4, 0));
        assert_eq!(stats(&lines, A), (9, 4, 0));
        // A heartbeat passes, and brings nothing.
        lines.pass(A, range(12, 12), Offset(0));
        assert_eq!(stats(&lines, A), (9, 4, 3));
    }

    #[test]
    fn runs_that_may_come_yet_are_bounded() {
        let mut lines = lines();
        for at in 0..1_000 {
            bring(&mut lines, A, (3 * at + 2, 3 * at + 3), (1, 0));
        }
        let line = &mut lines.list[0];
        assert_eq!((line.stats.missed, line.missing.len()), (2_000, MISSING));
        for at in 0..1_000 {
            line.regain(range(3 * at + 1, 3 * at + 2));
            assert!(line.missing.len() <= MISSING);
        }
        assert_eq!(line.stats.missed, 2_000 - MISSING as u64);
    }

    #[test]
    fn who_was_first_and_by_how_much_is_told_of_batches_that_come_by_both() {
        let mut lines = lines();
        bring(&mut lines, A, (0, 10), (10, 100));
        bring(&mut lines, B, (0, 10), (0, 160));
        bring(&mut lines, B, (10, 20), (10, 200));
        bring(&mut lines, B, (10, 20), (0, 900));
        bring(&mut lines, A, (10, 20), (0, 230));
        bring(&mut lines, A, (20, 30), (10, 300));
        bring(&mut lines, B, (20, 30), (0, 320));
        let [a, b] = [A, B].map(|line| lines.get(line).unwrap().stats);
        assert_eq!((a.first, a.duplicate, a.leads, a.longest_lead), (20, 10, 2, Duration::from_nanos(60)));
        assert_eq!((b.first, b.duplicate, b.leads, b.lead), (10, 30, 1, Duration::from_nanos(30)));
        assert_eq!(a.mean_lead(), Some(Duration::from_nanos(40)));
        assert!((55..60).contains(&lines.lag().as_nanos()) || lines.lag().as_nanos() == 60);
    }

    #[test]
    fn only_live_lines_are_waited_for() {
        let mut lines = lines();
        bring(&mut lines, A, (0, 10), (10, 0));
        assert!(!lines.have_passed(Offset(5), Time::ZERO), "the other may be about to be heard");
        let later = Time::ZERO + LIVE;
        lines.hear(A, later);
        assert!(lines.have_passed(Offset(10), later) && !lines.have_passed(Offset(11), later));
        lines.hear(B, later);
        lines.pass(B, range(3, 7), Offset(0));
        assert_eq!(lines.slowest(later), Some(Offset(7)));
        assert_eq!(lines.slowest(later + LIVE), Some(Offset(u64::MAX)));
    }

    #[test]
    fn the_main_line_changes_to_one_that_lives_and_can_be_asked() {
        let mut lines = Lines::new(3, Origin::from(SocketAddr::from(([10, 0, 0, 1], 1))), Time::ZERO);
        let (now, address) = (Time::ZERO + LIVE, SocketAddr::from(([10, 0, 0, 2], 2)));
        assert_eq!(lines.change_main(now, |_| true), None);
        for line in [1, 2] {
            lines.bind(Origin { address, line: LineId(line) });
            lines.hear(LineId(line), now);
        }
        assert_eq!(lines.change_main(now, |line| line != LineId(1)), Some(address));
        assert_eq!(lines.main(), LineId(2));
        assert_eq!(lines.change_main(now, |_| false), None);
        assert_eq!(lines.main(), LineId(2));
    }
}
