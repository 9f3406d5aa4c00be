//! Messages of several fragments, put together again.

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire::Frame;
use crate::wire::FrameFlags;
use crate::wire::SessionId;

/// A run of neighbouring fragments of one message.
#[derive(Debug, Default)]
struct Run {
    range: OffsetRange,
    has_first: bool,
    has_last: bool,
    /// A part is lost, so all of it is: no bytes, but what joins it is lost as well.
    is_lost: bool,
    topic_len: usize,
    /// The topic, if the first fragment is here, and the payload.
    bytes: Vec<u8>,
}

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Other parts are still missing.
    Kept,
    /// It completes the message of these offsets, which [`Assembler::message`] lends.
    Complete(OffsetRange),
    /// Another part of its message is lost, so these offsets are too.
    Lost {
        range: OffsetRange,
        /// Nothing more comes of the message.
        ends: bool,
    },
    /// These offsets belong to a message whose beginning was left out for this subscriber.
    LeftOut(OffsetRange),
    /// It belongs to a message that began before the subscriber was entitled to anything.
    Foreign(OffsetRange),
}

/// The fragments of one source that wait for others: one run when messages go in order, several when they go as they
/// arrive.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Ascending and disjoint.
    runs: Vec<Run>,
    bytes: usize,
    finished: Run,
    session: SessionId,
    /// The end of what was left out last. A fragment there that is not a first one belongs to a message left out: a
    /// publisher that is asked for the middle of a message does not know how it began.
    left_out: Option<Offset>,
}

/// What a run costs beside its bytes, so that a great many small ones are bounded, too.
const RUN_BYTES: usize = 128;

impl Assembler {
    /// Serves `session` from now on: with nothing kept, unless it did so before.
    pub(super) fn serve(&mut self, session: SessionId) {
        if self.session != session {
            *self = Self { session, ..Self::default() };
        }
    }

    /// Takes a fragment in. `start` is the first offset the subscriber is entitled to; `most` bounds the bytes kept.
    pub(super) fn push(&mut self, offset: Offset, frame: &Frame<'_>, start: Offset, most: usize) -> Piece {
        let range = OffsetRange::run(offset, 1);
        let (has_first, has_last) = (frame.flags.has(FrameFlags::FIRST), frame.flags.has(FrameFlags::LAST));
        let extent = self.extent(range, has_first, has_last);
        if !has_first && offset == start {
            self.drop_run_at(range.to, extent.to);
            return Piece::Foreign(extent);
        }
        if !has_first && self.left_out == Some(offset) {
            return Piece::LeftOut(self.drop_left_out(extent, has_last));
        }
        let index = self.insert(Run { range, has_first, has_last, ..Run::default() }, frame);
        let count = self.runs.len();
        let Some(run) = self.runs.get_mut(index) else { return Piece::Kept };
        self.bytes += frame.topic.len() + frame.payload.len();
        if run.is_lost || self.bytes + RUN_BYTES * count > most {
            run.is_lost = true;
            let ends = run.has_last;
            self.drop_lost_bytes();
            return Piece::Lost { range: extent, ends };
        }
        if run.has_first && run.has_last {
            self.finished = self.runs.remove(index);
            self.bytes -= self.finished.bytes.len();
            return Piece::Complete(self.finished.range);
        }
        Piece::Kept
    }

    /// The offsets `range` were left out for this subscriber: gives them together with the kept fragments of the
    /// messages that this cuts, which another line brought. A message is left out whole, so they go as well.
    pub(super) fn leave_out(&mut self, range: OffsetRange) -> OffsetRange {
        let extent = self.extent(range, false, false);
        self.drop_left_out(extent, false)
    }

    /// The offsets `range` are lost: gives them together with the kept fragments of the messages that this cuts.
    pub(super) fn lose(&mut self, range: OffsetRange) -> OffsetRange {
        let extent = self.extent(range, false, false);
        let nothing = Frame { flags: FrameFlags::default(), topic: &[], payload: &[], offsets: 0 };
        self.insert(Run { range, is_lost: true, ..Run::default() }, &nothing);
        self.drop_lost_bytes();
        extent
    }

    /// Forgets losses that end before `next`: nothing that is still to come touches them.
    pub(super) fn forget(&mut self, next: Offset) {
        self.runs.retain(|run| !run.is_lost || run.range.to >= next);
    }

    /// Gives up the first run that waits in vain, because its source is down. What comes of its message after all is
    /// lost as well.
    pub(super) fn take_unfinished(&mut self) -> Option<OffsetRange> {
        let run = self.runs.iter_mut().find(|run| !run.is_lost)?;
        run.is_lost = true;
        let range = run.range;
        self.drop_lost_bytes();
        Some(range)
    }

    /// Forgets the fragments before `next` that wait for others, all of one message, as if none had come; gives where it
    /// begins.
    pub(super) fn drop_unfinished(&mut self, next: Offset) -> Option<Offset> {
        let index = self.runs.iter().position(|run| !run.is_lost && run.range.to == next)?;
        let run = self.runs.remove(index);
        self.bytes -= run.bytes.len();
        Some(run.range.from)
    }

    /// Bytes of fragments that wait for others.
    pub(super) const fn kept_bytes(&self) -> usize {
        self.bytes
    }

    /// Topic and payload of the message completed last.
    pub(super) fn message(&self) -> (&[u8], &[u8]) {
        self.finished.bytes.split_at_checked(self.finished.topic_len).unwrap_or((&[], &[]))
    }

    /// `range`, and the runs beside it that belong to its message and were not lost yet.
    fn extent(&self, range: OffsetRange, has_first: bool, has_last: bool) -> OffsetRange {
        let left = |run: &&Run| run.range.to == range.from && !run.has_last && !has_first && !run.is_lost;
        let right = |run: &&Run| run.range.from == range.to && !run.has_first && !has_last && !run.is_lost;
        let from = self.runs.iter().find(left).map_or(range.from, |run| run.range.from);
        let to = self.runs.iter().find(right).map_or(range.to, |run| run.range.to);
        OffsetRange::new(from, to)
    }

    /// Puts a run with the bytes of `frame` among the others, joined with those of its message; gives where it is.
    fn insert(&mut self, run: Run, frame: &Frame<'_>) -> usize {
        let index = self.runs.partition_point(|other| other.range.from < run.range.from);
        let joins_left = index > 0
            && self
                .runs
                .get(index - 1)
                .is_some_and(|left| left.range.to == run.range.from && !left.has_last && !run.has_first);
        let at = if joins_left { index - 1 } else { index };
        if joins_left {
            if let Some(left) = self.runs.get_mut(at) {
                left.range.to = run.range.to;
                left.has_last = run.has_last;
                left.is_lost |= run.is_lost;
                left.bytes.extend_from_slice(frame.payload);
            }
        } else {
            // The buffer of the message lent last serves again: a stream of equal messages allocates once.
            let bytes = core::mem::take(&mut self.finished.bytes);
            let mut run = Run { topic_len: frame.topic.len(), bytes, ..run };
            run.bytes.clear();
            run.bytes.extend_from_slice(frame.topic);
            run.bytes.extend_from_slice(frame.payload);
            self.runs.insert(at, run);
        }
        self.join_right(at);
        at
    }

    fn join_right(&mut self, at: usize) {
        let (Some(left), Some(right)) = (self.runs.get(at), self.runs.get(at + 1)) else { return };
        if left.range.to != right.range.from || left.has_last || right.has_first {
            return;
        }
        let right = self.runs.remove(at + 1);
        if let Some(left) = self.runs.get_mut(at) {
            left.range.to = right.range.to;
            left.has_last = right.has_last;
            left.is_lost |= right.is_lost;
            left.bytes.extend_from_slice(&right.bytes);
        }
    }

    /// Forgets the runs in `extent`, of which the message at its end may go on, unless it `ends` there.
    fn drop_left_out(&mut self, extent: OffsetRange, ends: bool) -> OffsetRange {
        let is_in = |run: &Run| extent.from <= run.range.from && run.range.to <= extent.to && !run.is_lost;
        let ends =
            ends || self.runs.iter().any(|run| is_in(run) && run.range.to == extent.to && run.has_last);
        self.left_out = Some(extent.to).filter(|_| !ends);
        self.runs.retain(|run| !is_in(run));
        self.bytes = self.runs.iter().map(|run| run.bytes.len()).sum();
        extent
    }

    /// Forgets the run `[from, to)`, if that is one.
    fn drop_run_at(&mut self, from: Offset, to: Offset) {
        self.runs.retain(|run| run.range != OffsetRange::new(from, to));
        self.bytes = self.runs.iter().map(|run| run.bytes.len()).sum();
    }

    fn drop_lost_bytes(&mut self) {
        for run in self.runs.iter_mut().filter(|run| run.is_lost) {
            run.bytes = Vec::new();
        }
        self.bytes = self.runs.iter().map(|run| run.bytes.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1_000;

    fn push(assembler: &mut Assembler, offset: u64, flags: u8, payload: &str) -> Piece {
        let topic: &[u8] = if flags & 1 == 1 { b"t" } else { b"" };
        let frame = Frame { flags: FrameFlags(flags), topic, payload: payload.as_bytes(), offsets: 1 };
        assembler.push(Offset(offset), &frame, Offset(0), MOST)
    }

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    fn lost(from: u64, to: u64, ends: bool) -> Piece {
        Piece::Lost { range: range(from, to), ends }
    }

    #[test]
    fn three_fragments_in_any_order_make_one_message() {
        for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
            let mut assembler = Assembler::default();
            let part = |n: usize| [(1, "a"), (0, "b"), (2, "c")][n - 1];
            let pieces = order.map(|n| push(&mut assembler, n as u64, part(n).0, part(n).1));
            assert_eq!(pieces, [Piece::Kept, Piece::Kept, Piece::Complete(range(1, 4))], "{order:?}");
            assert_eq!(assembler.message(), (&b"t"[..], &b"abc"[..]), "{order:?}");
        }
    }

    #[test]
    fn a_loss_takes_the_fragments_around_it_along() {
        let mut assembler = Assembler::default();
        push(&mut assembler, 5, 1, "a");
        push(&mut assembler, 8, 0, "d");
        assert_eq!(assembler.lose(range(6, 8)), range(5, 9));
        assert_eq!(push(&mut assembler, 9, 0, "e"), lost(9, 10, false));
        assert_eq!(push(&mut assembler, 11, 2, "g"), Piece::Kept);
        assert_eq!(push(&mut assembler, 10, 0, "f"), lost(10, 12, true));
        assert_eq!(push(&mut assembler, 12, 1, "h"), Piece::Kept);
        assembler.forget(Offset(13));
        assert_eq!(assembler.take_unfinished(), Some(range(12, 13)));
        assert_eq!(assembler.take_unfinished(), None);
    }

    #[test]
    fn a_loss_between_whole_messages_cuts_nothing() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.lose(range(3, 5)), range(3, 5));
        assert_eq!(push(&mut assembler, 5, 1, "a"), Piece::Kept);
        assert_eq!(push(&mut assembler, 6, 2, "b"), Piece::Complete(range(5, 7)));
    }

    #[test]
    fn the_rest_of_what_was_left_out_is_left_out() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.leave_out(range(1, 4)), range(1, 4));
        assert_eq!(push(&mut assembler, 4, 0, "b"), Piece::LeftOut(range(4, 5)));
        assert_eq!(push(&mut assembler, 5, 2, "c"), Piece::LeftOut(range(5, 6)));
        assert_eq!(push(&mut assembler, 6, 1, "d"), Piece::Kept);
        assert_eq!(push(&mut assembler, 7, 2, "e"), Piece::Complete(range(6, 8)));
        assert_eq!(assembler.leave_out(range(8, 9)), range(8, 9));
        assert_eq!(push(&mut assembler, 9, 1, "f"), Piece::Kept);
        assert_eq!(push(&mut assembler, 10, 2, "g"), Piece::Complete(range(9, 11)));
    }

    #[test]
    fn what_is_kept_of_a_message_that_is_left_out_goes_with_it() {
        let mut assembler = Assembler::default();
        push(&mut assembler, 1, 2, "of another");
        push(&mut assembler, 2, 1, "a");
        push(&mut assembler, 4, 0, "c");
        push(&mut assembler, 6, 2, "e");
        push(&mut assembler, 7, 1, "of the next");
        assert_eq!(assembler.leave_out(range(3, 4)), range(2, 5));
        assert_eq!(push(&mut assembler, 5, 0, "d"), Piece::LeftOut(range(5, 7)));
        assert_eq!(assembler.kept_bytes(), "of another".len() + "tof the next".len());
        assert_eq!(push(&mut assembler, 8, 2, ""), Piece::Complete(range(7, 9)));
        assert_eq!(assembler.leave_out(range(9, 10)), range(9, 10), "the message before it is whole");
        assert_eq!(assembler.take_unfinished(), Some(range(1, 2)));
        assert_eq!(assembler.take_unfinished(), None);
    }

    #[test]
    fn what_began_before_the_start_is_not_ours() {
        let mut assembler = Assembler::default();
        assert_eq!(push(&mut assembler, 0, 0, "x"), Piece::Foreign(range(0, 1)));
        let mut assembler = Assembler::default();
        assert_eq!(push(&mut assembler, 1, 0, "y"), Piece::Kept, "it came before its neighbour");
        assert_eq!(push(&mut assembler, 0, 0, "x"), Piece::Foreign(range(0, 2)));
        assert_eq!((assembler.bytes, assembler.runs.len()), (0, 0));
    }

    #[test]
    fn more_than_the_bound_is_lost_and_not_kept() {
        let mut assembler = Assembler::default();
        push(&mut assembler, 1, 1, "a");
        let long = "x".repeat(MOST);
        assert_eq!(push(&mut assembler, 2, 0, &long), lost(1, 3, false));
        assert_eq!(assembler.bytes, 0);
    }

    #[test]
    fn what_was_handed_on_takes_no_room() {
        let mut assembler = Assembler::default();
        assert_eq!(push(&mut assembler, 1, 3, "whole"), Piece::Complete(range(1, 2)));
        assert_eq!(assembler.kept_bytes(), 0);
        push(&mut assembler, 2, 1, "a");
        push(&mut assembler, 5, 1, "de");
        assert_eq!(assembler.kept_bytes(), 2 + 3);
        assert_eq!(push(&mut assembler, 3, 2, "b"), Piece::Complete(range(2, 4)));
        assert_eq!(assembler.kept_bytes(), 3);
    }

    #[test]
    fn only_what_is_lost_is_forgotten() {
        let mut assembler = Assembler::default();
        assembler.lose(range(1, 2));
        assembler.lose(range(8, 10));
        push(&mut assembler, 5, 1, "a");
        assembler.forget(Offset(10));
        assert_eq!(push(&mut assembler, 2, 0, "b"), Piece::Kept, "what was lost before it is forgotten");
        assert_eq!(push(&mut assembler, 10, 0, "k"), lost(10, 11, false), "the loss that ends there is not");
        assert_eq!(assembler.take_unfinished(), Some(range(2, 3)));
        assert_eq!(assembler.take_unfinished(), Some(range(5, 6)));
    }

    #[test]
    fn a_loss_leaves_fragments_that_it_does_not_touch() {
        let mut assembler = Assembler::default();
        push(&mut assembler, 2, 1, "a");
        push(&mut assembler, 9, 0, "h");
        assert_eq!(assembler.lose(range(5, 7)), range(5, 7));
        push(&mut assembler, 12, 2, "l");
        assert_eq!(assembler.lose(range(13, 14)), range(13, 14), "what it follows is whole");
        assert_eq!(assembler.kept_bytes(), 2 + 1 + 1);
    }
}
