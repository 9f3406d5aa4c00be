//! From batches and losses to what the user sees.

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::Book;
use crate::protocol::DownReason;
use crate::protocol::LostReason;
use crate::protocol::Ready;
use crate::protocol::SourceKey;
use crate::protocol::Step;
use crate::protocol::Subscription;
use crate::protocol::Up;
use crate::protocol::subscription::Found;
use crate::protocol::subscription::Incomplete;
use crate::protocol::subscription::Place;
use crate::protocol::subscription::assembler::Assembler;
use crate::protocol::subscription::assembler::Piece;
use crate::protocol::subscription::cursor::Cursor;
use crate::time::Time;
use crate::wire::Frame;
use crate::wire::FrameFlags;

impl Subscription {
    /// What comes when no batch is being walked: what a replaced source leaves, then who came up, then the datagram
    /// handed in last, then what that or the time made ready.
    pub(super) fn go_on(&mut self) -> Option<Step> {
        if self.put_off.is_none() {
            if let Some(up) = self.receiver.poll_up() {
                return Some(self.on_up(up));
            }
            if !self.receiver.has_ups() {
                self.cursor = self.fresh.take();
                if self.cursor.is_some() {
                    return None;
                }
            }
        }
        self.settle()
    }

    fn on_up(&mut self, up: Up) -> Step {
        let index = usize::from(up.source.0);
        if self.assemblers.len() <= index {
            self.assemblers.resize_with(index + 1, Assembler::default);
        }
        if let Some(assembler) = self.assemblers.get_mut(index) {
            assembler.serve(up.session);
        }
        Step::Up(up)
    }

    /// Goes through the frames at the cursor; `None` when they are all done.
    pub(super) fn walk(&mut self, mut cursor: Cursor, now: Time, bytes: &[u8]) -> Option<Step> {
        let Place::Held(slot) = cursor.place else {
            let step = self.walk_frames(&mut cursor, bytes);
            self.cursor = if step.is_some() { Some(cursor) } else { self.rest_of(cursor, now) };
            return step;
        };
        let held = self.store.lend(slot);
        let step = self.walk_frames(&mut cursor, &held);
        self.store.put_back(slot, held);
        self.cursor = step.is_some().then_some(cursor);
        if step.is_none() {
            self.store.free(slot);
        }
        step
    }

    fn walk_frames(&mut self, cursor: &mut Cursor, bytes: &[u8]) -> Option<Step> {
        while let Some((frame, range)) = cursor.peek(bytes) {
            let begins = frame.flags.has(FrameFlags::FIRST) || frame.flags == FrameFlags::FILTERED;
            let is_broken = begins && self.incomplete.is_some();
            if is_broken && let Some(step) = self.tell_incomplete() {
                return Some(step);
            }
            let step = self.on_frame(cursor, &frame, range);
            cursor.advance(&frame);
            if step.is_some() {
                return step;
            }
        }
        None
    }

    /// What the batch just walked has for another gap, when messages go as they arrive.
    fn rest_of(&mut self, cursor: Cursor, now: Time) -> Option<Cursor> {
        let rest = cursor.rest();
        if rest.is_empty() {
            return None;
        }
        let take = self.receiver.offer_rest(now, cursor.source, rest, cursor.is_repair)?;
        Some(cursor.taking(take))
    }

    /// One frame that is to be handed on: a step for the user, or nothing to see.
    fn on_frame(&mut self, cursor: &Cursor, frame: &Frame<'_>, range: OffsetRange) -> Option<Step> {
        if frame.flags == FrameFlags::FILTERED {
            let assembler = self.assemblers.get_mut(usize::from(cursor.source.0));
            let left_out = assembler.map_or(range, |assembler| assembler.leave_out(range));
            self.count(cursor.source, |book| book.filtered += left_out.len());
            return None;
        }
        if frame.flags != FrameFlags::WHOLE {
            return self.on_fragment(cursor, frame, range.from);
        }
        if !self.topics.admits(frame.topic) {
            self.count(cursor.source, |book| book.filtered += planted!(FilteredUncounted, 0, 1));
            return None;
        }
        let found = cursor.found(frame, range);
        if self.conflation.is_some() {
            return self.keep_newest(found, frame.topic, frame.payload);
        }
        Some(self.deliver(found))
    }

    fn on_fragment(&mut self, cursor: &Cursor, frame: &Frame<'_>, offset: Offset) -> Option<Step> {
        let start = self.receiver.book_mut(cursor.source)?.start;
        let assembler = self.assemblers.get_mut(usize::from(cursor.source.0))?;
        match assembler.push(offset, frame, start, self.fragments) {
            Piece::Kept => None,
            Piece::LeftOut(range) => {
                self.count(cursor.source, |book| book.filtered += range.len());
                None
            }
            Piece::Foreign(range) => {
                self.count(cursor.source, |book| book.start = range.to);
                None
            }
            Piece::Lost { range, ends } => {
                planted!(FragmentsUntold => return None);
                self.on_incomplete(cursor.source, range, ends)
            }
            Piece::Complete(range) => self.on_complete(cursor.assembled(range)),
        }
    }

    fn on_complete(&mut self, found: Found) -> Option<Step> {
        let assembler = self.assemblers.get_mut(usize::from(found.source.0))?;
        let (topic, _) = assembler.message();
        if !self.topics.admits(topic) {
            self.count(found.source, |book| book.filtered += found.range.len());
            return None;
        }
        if self.conflation.is_none() {
            return Some(self.deliver(found));
        }
        let assembler = core::mem::take(assembler);
        let (topic, payload) = assembler.message();
        let step = self.keep_newest(found, topic, payload);
        *self.assemblers.get_mut(usize::from(found.source.0))? = assembler;
        step
    }

    /// Fragments of a message that is lost: gathered, so that one message is one loss.
    fn on_incomplete(&mut self, source: SourceKey, range: OffsetRange, is_ended: bool) -> Option<Step> {
        let joins = |lost: &Incomplete| lost.source == source && lost.range.to == range.from;
        let told = match self.incomplete {
            Some(lost) if !joins(&lost) => self.tell_incomplete(),
            _ => None,
        };
        let from = self.incomplete.map_or(range.from, |lost| lost.range.from);
        self.incomplete = Some(Incomplete { source, range: OffsetRange::new(from, range.to), is_ended });
        told
    }

    fn tell_incomplete(&mut self) -> Option<Step> {
        let Incomplete { source, range, .. } = self.incomplete.take()?;
        self.count(source, |book| book.lost += range.len());
        Some(Step::Lost { source, range, reason: LostReason::Incomplete })
    }

    /// Keeps a message as the newest of its topic; a step when another topic has to go for it.
    fn keep_newest(&mut self, found: Found, topic: &[u8], payload: &[u8]) -> Option<Step> {
        let conflation = self.conflation.as_mut()?;
        let oldest = if conflation.must_make_room(found.source, topic) { conflation.pop() } else { None };
        if let Some(old) = conflation.put(found, topic, payload) {
            self.count(old.source, |book| book.conflated += old.range.len());
        }
        oldest.map(|found| self.deliver(found))
    }

    /// What the receiver has ready, when no batch is being walked.
    fn settle(&mut self) -> Option<Step> {
        let ready = self.put_off.take().or_else(|| self.receiver.poll_ready());
        match ready {
            Some((_, Ready::Held { slot, take })) => {
                self.cursor = self.store.cursor(slot).map(|cursor| cursor.kept_in(slot, take));
                None
            }
            Some((source, Ready::Lost { .. })) if self.incomplete.is_some() => {
                self.put_off = ready.map(|(_, ready)| (source, ready));
                self.tell_incomplete()
            }
            Some((source, Ready::Lost { range, reason })) => Some(self.on_lost(source, range, reason)),
            Some((source, Ready::Down { reason, heard })) => {
                let heard = self.put_back(source, reason).unwrap_or(heard);
                let first = self.finish(source);
                self.put_off = first.is_some().then_some((source, Ready::Down { reason, heard }));
                Some(first.unwrap_or(Step::Down { source, reason, heard }))
            }
            None if self.incomplete.is_some_and(|lost| lost.is_ended) => self.tell_incomplete(),
            None => Some(Step::Need),
        }
    }

    fn on_lost(&mut self, source: SourceKey, range: OffsetRange, reason: LostReason) -> Step {
        let next = self.receiver.next_wanted(source).unwrap_or(range.to);
        let mut lost = range;
        if let Some(assembler) = self.assemblers.get_mut(usize::from(source.0)) {
            assembler.forget(next.min(range.from));
            lost = assembler.lose(range);
        }
        self.count(source, |book| book.lost += lost.len() - range.len());
        Step::Lost { source, range: lost, reason }
    }

    /// Half a message of a connection that is silent: it comes again with the next one, from its start, which is how far
    /// the source was heard then.
    fn put_back(&mut self, source: SourceKey, reason: DownReason) -> Option<Offset> {
        if reason != DownReason::Silent || !self.receiver.is_connected() {
            return None;
        }
        let next = self.receiver.next_wanted(source)?;
        let from = self.assemblers.get_mut(usize::from(source.0))?.drop_unfinished(next)?;
        self.receiver.rewind(source, from);
        Some(from)
    }

    /// What of a source must be told before it may be called down.
    fn finish(&mut self, source: SourceKey) -> Option<Step> {
        if let Some(step) = self.tell_incomplete().or_else(|| self.step_conflated()) {
            return Some(step);
        }
        let range = self.assemblers.get_mut(usize::from(source.0))?.take_unfinished()?;
        self.count(source, |book| book.lost += range.len());
        Some(Step::Lost { source, range, reason: LostReason::SourceDown })
    }

    pub(super) fn deliver(&mut self, found: Found) -> Step {
        self.count(found.source, |book| book.delivered += found.range.len());
        Step::Message(found)
    }

    fn count(&mut self, source: SourceKey, change: impl FnOnce(&mut Book)) {
        if let Some(book) = self.receiver.book_mut(source) {
            change(book);
        }
    }
}
