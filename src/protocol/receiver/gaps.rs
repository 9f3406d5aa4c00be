//! What is missing from one source, each run with its own timer.

use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::LostReason;
use crate::time::Time;

/// A run of missing offsets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) range: OffsetRange,
    pub(super) state: GapState,
    /// When the timer of the gap fires: its guard, its wait, its retry.
    pub(super) due: Time,
    /// When it is given up.
    pub(super) deadline: Time,
    /// The source's count of early batches before the one that revealed the gap.
    pub(super) revealed_at: u64,
    /// NAKs sent for it.
    pub(super) attempts: u32,
    /// When the last NAK for it was sent.
    pub(super) asked_at: Time,
    /// When the first NAK for it was sent.
    pub(super) first_asked_at: Time,
    /// What the next retry waits, before jitter.
    pub(super) retry: Duration,
    /// How much longer it has been given because the publisher put repairs off.
    pub(super) put_off: Duration,
    /// Repairs that have come since its NAK and were asked for after it.
    pub(super) overtaken: u8,
}

impl Gap {
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self.state, GapState::Lost(_))
    }
}

/// How far a gap is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GapState {
    /// Another line may bring it yet.
    Expected,
    /// It may be mere reordering.
    Guarded,
    /// It is a loss, and waits for somebody else's NAK to be faster.
    Waiting,
    /// A NAK went out.
    Asked,
    /// It comes over a connection, and is not asked for.
    Fetched,
    /// It is given up, and will be told when its turn comes.
    Lost(LostReason),
}

/// The gaps of one source, ascending and disjoint.
///
/// A sorted vector: at most a thousand entries of a hundred bytes, found by bisection, and gone through only when a
/// timer is due or something was given up.
#[derive(Debug)]
pub(super) struct Gaps {
    list: Vec<Gap>,
    most: usize,
    /// No timer fires before this; exact unless a gap was taken away or put off since it was set.
    earliest: Option<Time>,
    /// Whether any may be given up, so that asking for them costs nothing while none is.
    may_be_lost: bool,
}

impl Gaps {
    pub(super) fn new(most: usize) -> Self {
        Self { list: Vec::with_capacity(most.min(64)), most, earliest: None, may_be_lost: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_full(&self) -> bool {
        planted!(GapsUnbounded, false, self.list.len() >= self.most)
    }

    pub(super) fn first(&self) -> Option<&Gap> {
        self.list.first()
    }

    /// The gaps noticed last that may be mere reordering, newest first: a few, since that is soon decided.
    pub(super) fn guarded(&self) -> impl Iterator<Item = &Gap> {
        let passed = self.list.iter().rev().skip_while(|gap| gap.state == GapState::Expected);
        passed.take_while(|gap| gap.state == GapState::Guarded)
    }

    /// The oldest of those noticed last that another line may bring yet.
    pub(super) fn first_expected(&self) -> Option<&Gap> {
        self.list.iter().rev().take_while(|gap| gap.state == GapState::Expected).last()
    }

    /// How many offsets of `range` are missing here.
    pub(super) fn missing_within(&self, range: OffsetRange) -> u64 {
        let met = self.list.get(self.first_after(range.from)..).unwrap_or_default();
        let met = met.iter().take_while(|gap| gap.range.from < range.to);
        met.map(|gap| gap.range.clip(range).len()).sum()
    }

    /// Whether any comes over a connection: nearly always the first one, then.
    pub(super) fn has_fetched(&self) -> bool {
        self.list.iter().any(|gap| gap.state == GapState::Fetched)
    }

    /// When the next timer may fire.
    pub(super) const fn earliest(&self) -> Option<Time> {
        self.earliest
    }

    /// Adds a gap behind all others.
    pub(super) fn push(&mut self, gap: Gap) {
        debug_assert!(self.list.last().is_none_or(|last| last.range.to <= gap.range.from));
        self.bring_forward(gap.due.min(gap.deadline));
        self.list.push(gap);
    }

    /// Visits every gap that is not given up, and sets the earliest timer anew from what the visits leave.
    pub(super) fn visit(&mut self, mut each: impl FnMut(&mut Gap)) {
        self.earliest = None;
        for gap in self.list.iter_mut().filter(|gap| !gap.is_lost()) {
            each(gap);
            if gap.is_lost() {
                self.may_be_lost = true;
            } else {
                let due = gap.due.min(gap.deadline);
                self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
            }
        }
    }

    /// Visits every gap that meets `range` and is not given up, to change its times.
    pub(super) fn visit_within(&mut self, range: OffsetRange, mut each: impl FnMut(&mut Gap)) {
        let start = self.first_after(range.from);
        let met = self.list.get_mut(start..).unwrap_or_default().iter_mut();
        let mut earliest = self.earliest;
        for gap in met.take_while(|gap| gap.range.from < range.to).filter(|gap| !gap.is_lost()) {
            each(gap);
            let due = gap.due.min(gap.deadline);
            earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
        }
        self.earliest = earliest;
    }

    /// Lets the next visit happen no later than `at`.
    pub(super) fn bring_forward(&mut self, at: Time) {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// The first run of `range` that is missing here.
    pub(super) fn first_missing(&self, range: OffsetRange) -> Option<OffsetRange> {
        let gap = self.list.get(self.first_after(range.from))?;
        let piece = gap.range.clip(range);
        (!piece.is_empty()).then_some(piece)
    }

    /// Whether taking `range` away would need one more place than there is.
    pub(super) fn is_too_full_for(&self, range: OffsetRange) -> bool {
        let splits = |gap: &Gap| gap.range.from < range.from && range.to < gap.range.to;
        self.is_full() && self.list.get(self.first_after(range.from)).is_some_and(splits)
    }

    /// Takes `range` off the gaps, and shows each gap it took from.
    pub(super) fn fill(&mut self, range: OffsetRange, mut each: impl FnMut(&Gap)) {
        let mut index = self.first_after(range.from);
        while let Some(&gap) = self.list.get(index).filter(|gap| gap.range.overlaps(range)) {
            each(&gap);
            index += self.cut(index, gap, range);
            planted!(NeighbourCancelled => self.list.iter_mut().skip(index).take(1).for_each(|gap| gap.due = Time(u64::MAX)));
        }
        if self.list.is_empty() {
            self.earliest = None;
        }
    }

    /// Gives up the parts of `range` that `believe` accepts. A gap that this would cut while there is no place for
    /// its parts stays.
    pub(super) fn give_up(&mut self, range: OffsetRange, reason: LostReason, believe: impl Fn(&Gap) -> bool) {
        let mut index = self.first_after(range.from);
        while let Some(&gap) = self.list.get(index).filter(|gap| gap.range.overlaps(range)) {
            let lost = gap.range.clip(range);
            if !believe(&gap) || gap.is_lost() || (self.is_full() && lost != gap.range) {
                index += 1;
                continue;
            }
            self.may_be_lost = true;
            let kept = self.cut(index, gap, range);
            let at = index + usize::from(gap.range.from < lost.from);
            self.list.insert(at, Gap { range: lost, state: GapState::Lost(reason), ..gap });
            planted!(LostTwice => self.list.insert(at, Gap { range: lost, state: GapState::Lost(reason), ..gap }));
            index += kept + 1;
        }
    }

    /// Takes the first gap away if it is given up, with those that follow without a seam for the same reason.
    pub(super) fn pop_lost(&mut self) -> Option<(OffsetRange, LostReason)> {
        let &Gap { range, state: GapState::Lost(reason), .. } = self.list.first()? else { return None };
        Some((self.pop_run(0, range, reason), reason))
    }

    /// Takes any given-up gap away, for those who want to know at once.
    pub(super) fn pop_any_lost(&mut self) -> Option<(OffsetRange, LostReason)> {
        if !self.may_be_lost {
            return None;
        }
        let lost =
            |gap: &Gap| if let GapState::Lost(reason) = gap.state { Some((gap.range, reason)) } else { None };
        let found = self.list.iter().enumerate().find_map(|(index, gap)| Some((index, lost(gap)?)));
        self.may_be_lost = found.is_some();
        let (index, (range, reason)) = found?;
        Some((self.pop_run(index, range, reason), reason))
    }

    fn pop_run(&mut self, index: usize, mut range: OffsetRange, reason: LostReason) -> OffsetRange {
        let follows = |gap: &Gap, end: Offset| gap.range.from == end && gap.state == GapState::Lost(reason);
        let mut end = index + 1;
        while let Some(gap) = self.list.get(end).filter(|gap| follows(gap, range.to)) {
            range.to = gap.range.to;
            end += 1;
        }
        self.list.drain(index..end);
        range
    }

    /// Index of the first gap that ends after `offset`.
    fn first_after(&self, offset: Offset) -> usize {
        self.list.partition_point(|gap| gap.range.to <= offset)
    }

    /// Replaces the gap at `index` by its parts outside `range`; gives how many there are.
    fn cut(&mut self, index: usize, gap: Gap, range: OffsetRange) -> usize {
        let (before, rest) = gap.range.split(range.from);
        let (_, after) = rest.split(range.to);
        let parts = [before, after].into_iter().filter(|part| !part.is_empty());
        let parts = parts.map(|range| Gap { range, ..gap });
        let parts = parts.take(planted!(GapForgotten, 1, 2));
        let was = self.list.len();
        self.list.splice(index..=index, parts);
        self.list.len() + 1 - was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    fn gap(from: u64, to: u64) -> Gap {
        Gap {
            range: range(from, to),
            state: GapState::Asked,
            due: Time(from),
            deadline: Time(1_000),
            revealed_at: 0,
            attempts: 1,
            asked_at: Time::ZERO,
            first_asked_at: Time::ZERO,
            retry: Duration::ZERO,
            put_off: Duration::ZERO,
            overtaken: 0,
        }
    }

    fn gaps(list: &[(u64, u64)]) -> Gaps {
        let mut gaps = Gaps::new(8);
        list.iter().for_each(|&(from, to)| gaps.push(gap(from, to)));
        gaps
    }

    fn left(gaps: &Gaps) -> Vec<(u64, u64)> {
        gaps.list.iter().map(|gap| (gap.range.from.0, gap.range.to.0)).collect()
    }

    #[test]
    fn filling_cuts_splits_and_removes() {
        let mut gaps = gaps(&[(2, 6), (8, 9), (12, 20)]);
        let mut touched = 0;
        gaps.fill(range(4, 14), |_| touched += 1);
        assert_eq!((left(&gaps), touched), (vec![(2, 4), (14, 20)], 3));
        gaps.fill(range(16, 17), |_| ());
        assert_eq!(left(&gaps), [(2, 4), (14, 16), (17, 20)]);
        gaps.fill(range(0, 99), |_| ());
        assert!(gaps.is_empty() && gaps.earliest().is_none());
    }

    #[test]
    fn the_first_missing_piece_is_clipped() {
        let gaps = gaps(&[(2, 6), (8, 9)]);
        assert_eq!(gaps.first_missing(range(4, 20)), Some(range(4, 6)));
        assert_eq!(gaps.first_missing(range(6, 20)), Some(range(8, 9)));
        assert_eq!(gaps.first_missing(range(6, 8)), None);
        assert_eq!(gaps.first_missing(range(9, 20)), None);
    }

    #[test]
    fn what_is_given_up_comes_out_in_order_and_joined() {
        let mut gaps = gaps(&[(2, 6), (6, 9), (12, 20)]);
        gaps.give_up(range(4, 15), LostReason::Overrun, |_| true);
        assert_eq!(left(&gaps), [(2, 4), (4, 6), (6, 9), (12, 15), (15, 20)]);
        assert_eq!(gaps.pop_lost(), None, "the first is still hoped for");
        gaps.give_up(range(2, 4), LostReason::Overrun, |_| true);
        assert_eq!(gaps.pop_lost(), Some((range(2, 9), LostReason::Overrun)));
        assert_eq!(gaps.pop_any_lost(), Some((range(12, 15), LostReason::Overrun)));
        assert_eq!(left(&gaps), [(15, 20)]);
    }

    #[test]
    fn the_table_stays_within_its_bound() {
        let mut gaps = gaps(&[(0, 10), (20, 21), (30, 31), (40, 41), (50, 51), (60, 61), (70, 71), (80, 81)]);
        assert!(gaps.is_full());
        assert!(gaps.is_too_full_for(range(4, 5)) && !gaps.is_too_full_for(range(0, 5)));
        assert!(!gaps.is_too_full_for(range(4, 10)) && !gaps.is_too_full_for(range(20, 21)));
        gaps.give_up(range(3, 21), LostReason::Overrun, |_| true);
        assert_eq!(gaps.pop_any_lost(), Some((range(20, 21), LostReason::Overrun)));
        assert_eq!(gaps.pop_any_lost(), None);
        gaps.give_up(range(3, 21), LostReason::Overrun, |_| true);
        assert_eq!(gaps.pop_any_lost(), Some((range(3, 10), LostReason::Overrun)));
    }

    #[test]
    fn only_what_was_asked_for_is_believed_gone() {
        let mut gaps = gaps(&[(2, 6)]);
        gaps.give_up(range(0, 99), LostReason::Overrun, |gap| gap.attempts > 1);
        assert_eq!(gaps.pop_lost(), None);
    }
}
