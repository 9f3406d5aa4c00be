//! A connection whose subscriber wants some topics only.

use std::sync::Arc;

use crate::history::LentBatch;
use crate::history::Ring;
use crate::offset::Offset;
use crate::protocol::Prefixes;
use crate::protocol::stream::BatchFrames;
use crate::protocol::stream::Feed;
use crate::protocol::stream::Phase;
use crate::protocol::stream::Walked;
use crate::protocol::stream::weave::MOST_WOVEN;
use crate::protocol::stream::weave::Weave;
use crate::time::Time;
use crate::wire::CloseReason;
use crate::wire::Frame;
use crate::wire::FrameFlags;

/// What was left out is told at least once for this part of what the ring holds.
const TOLD_PER_RING: u64 = 8;

/// What a subscriber wants, and how far messages were looked at for it.
#[derive(Debug)]
pub(super) struct Filter {
    prefixes: Arc<Prefixes>,
    /// It goes along with the walk for all.
    is_joined: bool,
    /// The message that has begun before `seen` is left out, and its rest with it. What began where nobody has looked is
    /// not: the subscriber may have its beginning.
    leaves_out: bool,
    /// Everything from the cursor to here is left out.
    seen: Offset,
    /// The charge of everything up to the end of the last batch before that, once known.
    seen_charge: Option<u64>,
    /// How far the walk for all has come, and how often that has jumped.
    walked: Offset,
    jumps: u64,
    /// The charge up to which it was told, in time, what was left out.
    told_charge: Option<u64>,
    weave: Option<Weave>,
}

impl Filter {
    fn new(prefixes: Prefixes, from: Offset, charge: Option<u64>) -> Self {
        Self {
            prefixes: Arc::new(prefixes),
            is_joined: false,
            leaves_out: false,
            seen: from,
            seen_charge: charge,
            walked: Offset::ZERO,
            jumps: 0,
            told_charge: charge,
            weave: None,
        }
    }

    /// What to look at next, on its own.
    pub(super) fn next(&self, ring: &Ring) -> Option<Offset> {
        (!self.is_joined && self.seen < self.limit(ring.sent())).then_some(self.seen)
    }

    /// How far to look on its own: where the others are it joins them, unless it is to be without a filter anyway.
    fn limit(&self, sent: Offset) -> Offset {
        if self.prefixes.is_everything() { sent } else { self.walked }
    }

    /// It goes on at `oldest`.
    pub(super) fn skip_to(&mut self, oldest: Offset) {
        (self.seen, self.seen_charge) = (oldest, None);
        (self.is_joined, self.leaves_out) = (false, false);
    }

    /// Goes along to where the walk for all has come.
    fn go_along(&mut self, walked: &Walked, cursor: Offset) {
        if walked.offset > self.seen {
            self.leaves_out = walked.is_within && cursor < walked.offset;
        }
        (self.seen, self.seen_charge) = (walked.offset, Some(walked.charge));
    }
}

impl Feed {
    /// What the subscriber wants, if that is not everything.
    #[must_use]
    pub fn chosen(&self) -> Option<Arc<Prefixes>> {
        let filter = self.filter.as_ref()?;
        (!filter.prefixes.is_everything()).then(|| Arc::clone(&filter.prefixes))
    }

    /// Whether the walk for all is its own as well.
    #[must_use]
    pub fn goes_along(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.is_joined)
    }

    /// Whether it wants other topics than when this was asked last: the [`Sieve`](crate::protocol::Sieve) is to be told
    /// before it goes on.
    pub const fn take_rechosen(&mut self) -> bool {
        core::mem::replace(&mut self.is_rechosen, false)
    }

    /// The end of what was written or left out.
    pub(super) fn reach(&self) -> Offset {
        self.filter.as_ref().map_or(self.cursor, |filter| filter.seen)
    }

    /// The subscriber wants these topics: of messages that begin where it was not looked at them yet. A heartbeat says
    /// where that is.
    pub(super) fn choose(&mut self, now: Time, (prefixes, is_first): (Prefixes, bool), ring: &Ring) {
        let is_same = match &self.filter {
            Some(filter) => *filter.prefixes == prefixes,
            None => prefixes.is_everything(),
        };
        if is_same || self.phase != Phase::Following {
            return;
        }
        self.tell_left_out();
        match &mut self.filter {
            None => {
                let charge = self.taken.or_else(|| ring.charge_held(self.cursor));
                self.filter = Some(Box::new(Filter::new(prefixes, self.cursor, charge)));
            }
            Some(filter) if prefixes.is_everything() && !filter.leaves_out => self.filter = None,
            Some(filter) => {
                filter.is_joined &= !prefixes.is_everything();
                filter.prefixes = Arc::new(prefixes);
            }
        }
        self.is_rechosen = true;
        if is_first {
            return;
        }
        if self.pending.len() > 2 * MOST_WOVEN {
            // It changes its mind again and again, and reads nothing.
            self.close(CloseReason::Broken);
        } else {
            self.active_at = now;
            self.say(ring, 1, false);
        }
    }

    /// The walk for all has come so far. True: the feed goes along from here on, and wants the rest of the message that
    /// has begun. To be told after each walk, before anything else.
    pub fn follow(&mut self, walked: &Walked) -> bool {
        self.seal();
        let Some(filter) = &mut self.filter else { return false };
        filter.is_joined &= filter.jumps == walked.jumps;
        (filter.walked, filter.jumps) = (walked.offset, walked.jumps);
        if filter.is_joined {
            filter.go_along(walked, self.cursor);
            if self.cursor == filter.seen {
                self.taken = filter.seen_charge;
            }
            return false;
        }
        let may_join = !filter.prefixes.is_everything() && self.phase == Phase::Following;
        filter.is_joined = may_join && filter.seen == walked.offset;
        filter.is_joined && !filter.leaves_out
    }

    /// A message, or a part of one, that the walk for all has found to be wanted here. Without room for it the feed
    /// falls out, to look at it again by itself.
    pub fn take(&mut self, at: (Offset, &Frame<'_>), timestamp: Option<u64>) {
        let is_new = at.0 >= self.cursor && self.phase == Phase::Following;
        let Some(filter) = self.filter.as_mut().filter(|filter| filter.is_joined && is_new) else { return };
        (filter.seen, filter.leaves_out) = (at.0, false);
        if self.pending.has_room_for(at.1) {
            self.put(at, timestamp);
        } else {
            filter.is_joined = false;
            self.tell_left_out();
        }
    }

    /// Looks at a batch for this connection alone: the one that holds what [`FeedWrite::Sift`](crate::protocol::FeedWrite)
    /// named, or the one behind the last. False when that is enough; what is wanted is to be written first.
    pub fn sift(&mut self, batch: &LentBatch<'_>) -> bool {
        let frames = BatchFrames::new(batch.bytes);
        for (offset, frame) in frames {
            let Some(filter) = &mut self.filter else { return false };
            if offset < filter.seen {
                continue;
            }
            let is_everything = filter.prefixes.is_everything();
            if !is_everything && offset >= filter.walked {
                return false;
            }
            if frame.flags.has(FrameFlags::FIRST) {
                if is_everything {
                    self.tell_left_out();
                    self.filter = None;
                    return false;
                }
                filter.leaves_out = !filter.prefixes.admits(frame.topic);
            }
            if filter.leaves_out {
                filter.seen = offset.plus(u64::from(frame.offsets));
            } else if self.pending.has_room_for(&frame) {
                self.put((offset, &frame), frames.timestamp());
            } else {
                return false;
            }
        }
        self.pass(batch)
    }

    /// All of a batch was looked at.
    fn pass(&mut self, batch: &LentBatch<'_>) -> bool {
        let Some(filter) = &mut self.filter else { return false };
        filter.seen_charge = Some(batch.charge);
        if self.cursor == filter.seen {
            self.taken = filter.seen_charge;
        }
        true
    }

    /// Adds a message to what is to be written, behind what was left out before it.
    fn put(&mut self, (offset, frame): (Offset, &Frame<'_>), timestamp: Option<u64>) {
        let head = self.head(Offset::ZERO);
        let Some(filter) = &mut self.filter else { return };
        let (pending, weave) = (&mut self.pending, &mut filter.weave);
        pending.leave_out(weave, &head, (self.cursor, offset), timestamp);
        pending.weave(weave, &head, (offset, frame), timestamp);
        filter.seen = offset.plus(1);
        (self.cursor, self.is_new) = (filter.seen, false);
        self.taken = filter.seen_charge.or(self.taken);
    }

    /// Says what was left out last, before anything else is said.
    pub(super) fn tell_left_out(&mut self) {
        let head = self.head(Offset::ZERO);
        let Some(filter) = &mut self.filter else { return };
        if filter.seen > self.cursor {
            self.pending.leave_out(&mut filter.weave, &head, (self.cursor, filter.seen), None);
            (self.cursor, self.is_new) = (filter.seen, false);
            self.taken = filter.seen_charge.or(self.taken);
        }
        self.seal();
    }

    /// The same, where it cannot wait for the next message: before the ring forgets it, at the end, and often enough that the
    /// publisher knows how far the subscriber is.
    pub(super) fn tell_in_time(&mut self, ring: &Ring, subscribers: usize) {
        self.seal();
        let Some(filter) = &mut self.filter else { return };
        if filter.seen <= self.cursor || !self.pending.is_replaceable() {
            return;
        }
        let charge = filter.seen_charge.unwrap_or(0);
        let told = *filter.told_charge.get_or_insert(charge);
        let is_long = charge.saturating_sub(told) >= ring.window() / TOLD_PER_RING;
        let is_last = filter.seen >= self.to || (self.is_finishing && filter.seen >= ring.sent());
        if is_long {
            filter.told_charge = Some(charge);
        }
        if is_long || is_last || self.cursor < ring.oldest() {
            self.tell_left_out();
        }
        if is_long && self.settings.waits {
            self.say(ring, subscribers, false);
        }
    }

    /// Ends the batch that is being built.
    pub(super) fn seal(&mut self) {
        let head = self.head(Offset::ZERO);
        if let Some(filter) = &mut self.filter {
            self.pending.seal(&mut filter.weave, &head);
        }
    }
}
