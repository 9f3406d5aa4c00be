//! Building the batches of a connection that does not get everything.

use crate::offset::Offset;
use crate::protocol::stream::pending::Pending;
use crate::wire;
use crate::wire::FRAME_BYTES;
use crate::wire::Flags;
use crate::wire::Frame;
use crate::wire::HEADER_BYTES;
use crate::wire::Head;
use crate::wire::TIMESTAMP_BYTES;

/// The most bytes that wait for a connection, unless a single message is longer.
pub(super) const MOST_WOVEN: usize = 65_536;
/// A batch that has reached so many bytes is sealed before the next message.
const BATCH: usize = 16_384;
/// What a message may cost beside its own bytes: two batches begun, and frames for what was left out before it.
const AROUND: usize = 2 * (HEADER_BYTES + TIMESTAMP_BYTES) + 4 * FRAME_BYTES;

/// A batch that is being built at the end of what waits to be written.
#[derive(Debug)]
pub(super) struct Weave {
    at: usize,
    base: Offset,
    count: u16,
    timestamp: Option<u64>,
}

impl Pending {
    /// Whether a message fits.
    pub(super) fn has_room_for(&self, frame: &Frame<'_>) -> bool {
        let needs = FRAME_BYTES + frame.topic.len() + frame.payload.len() + AROUND;
        self.is_empty() || self.len() + needs <= MOST_WOVEN
    }

    /// Adds a message to the batch at the end, or to one begun for it at `offset`.
    pub(super) fn weave(
        &mut self,
        weave: &mut Option<Weave>,
        head: &Head,
        (offset, frame): (Offset, &Frame<'_>),
        timestamp: Option<u64>,
    ) {
        let len = FRAME_BYTES + frame.topic.len() + frame.payload.len();
        let is_done = |open: &mut Weave, waiting: usize| {
            open.count == u16::MAX || waiting - open.at + len > BATCH || !open.takes(timestamp)
        };
        if weave.as_mut().is_some_and(|open| is_done(open, self.all().len())) {
            self.seal(weave, head);
        }
        let open = weave.get_or_insert_with(|| self.begin(offset, timestamp));
        let room = self.grow(len);
        let put = wire::put_frame(room, frame.flags, frame.topic, frame.payload);
        debug_assert_eq!(put, Some(len), "room was made for it");
        open.count += 1;
    }

    /// Says that the offsets from `from` to `to` are left out, in the batch at the end, or in one begun for it and a
    /// message of that time.
    pub(super) fn leave_out(
        &mut self,
        weave: &mut Option<Weave>,
        head: &Head,
        (mut from, to): (Offset, Offset),
        timestamp: Option<u64>,
    ) {
        while from < to {
            if weave.as_ref().is_some_and(|open| open.count == u16::MAX) {
                self.seal(weave, head);
            }
            let open = weave.get_or_insert_with(|| self.begin(from, timestamp));
            let offsets = to.since(from).min(u64::from(u16::MAX - open.count)) as u16;
            let put = wire::put_filtered(self.grow(FRAME_BYTES), offsets);
            debug_assert_eq!(put, Some(FRAME_BYTES), "room was made for it");
            open.count += offsets;
            from = from.plus(u64::from(offsets));
        }
    }

    /// Ends the batch that is being built.
    pub(super) fn seal(&mut self, weave: &mut Option<Weave>, head: &Head) {
        let Some(open) = weave.take() else { return };
        let flags = head.flags.with(Flags::TIMESTAMP, open.timestamp.is_some());
        let batch = self.all().get_mut(open.at..).unwrap_or_default();
        if let Some(time) = open.timestamp
            && let Some(room) = batch.get_mut(HEADER_BYTES..HEADER_BYTES + TIMESTAMP_BYTES)
        {
            room.copy_from_slice(&time.to_le_bytes());
        }
        wire::seal_batch(batch, &Head { base: open.base, flags, ..*head }, open.count);
    }

    fn begin(&mut self, base: Offset, timestamp: Option<u64>) -> Weave {
        self.make_room();
        let at = self.all().len();
        self.grow(HEADER_BYTES + if timestamp.is_some() { TIMESTAMP_BYTES } else { 0 });
        Weave { at, base, count: 0, timestamp }
    }

    fn grow(&mut self, bytes: usize) -> &mut [u8] {
        let all = self.all();
        let at = all.len();
        all.resize(at + bytes, 0);
        all.get_mut(at..).unwrap_or_default()
    }
}

impl Weave {
    /// Whether a message that was sent then may join: all of a batch has one time.
    fn takes(&self, timestamp: Option<u64>) -> bool {
        self.timestamp == timestamp
    }
}
