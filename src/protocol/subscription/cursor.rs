//! Where in a batch the next frame is.

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::SourceKey;
use crate::protocol::subscription::Found;
use crate::protocol::subscription::Place;
use crate::wire::Datagram;
use crate::wire::FRAME_BYTES;
use crate::wire::Flags;
use crate::wire::Frame;
use crate::wire::FrameFlags;
use crate::wire::Frames;
use crate::wire::HEADER_BYTES;
use crate::wire::TIMESTAMP_BYTES;

/// A message in one piece, lent from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its topic; empty for none.
    pub topic: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

/// A walk through the frames of one batch, as plain numbers, so that it can stop for the user and go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) source: SourceKey,
    pub(super) place: Place,
    /// The offsets that are to be handed on.
    pub(super) take: OffsetRange,
    pub(super) is_repair: bool,
    /// The end of the batch.
    whole: Offset,
    timestamp: Option<u64>,
    at: usize,
    end: usize,
    offset: Offset,
}

impl Cursor {
    pub(super) fn new(source: SourceKey, place: Place, datagram: &Datagram<'_>, take: OffsetRange) -> Self {
        let at = HEADER_BYTES + if datagram.timestamp.is_some() { TIMESTAMP_BYTES } else { 0 };
        let end = HEADER_BYTES + datagram.header.length();
        let (header, timestamp) = (datagram.header, datagram.timestamp);
        let (offset, whole) = (header.base(), header.range().to);
        let is_repair = header.flags().has(Flags::REPAIR);
        Self { source, place, take, is_repair, whole, timestamp, at, end, offset }
    }

    /// The same walk, but through the copy in `slot`, for the offsets of `take`.
    pub(super) const fn kept_in(self, slot: u32, take: OffsetRange) -> Self {
        Self { place: Place::Held(slot), take, ..self }
    }

    /// The same walk, going on to the offsets of `take`.
    pub(super) const fn taking(self, take: OffsetRange) -> Self {
        Self { take, ..self }
    }

    /// The next frame to be handed on and its offsets, without going past it.
    pub(super) fn peek<'b>(&mut self, bytes: &'b [u8]) -> Option<(Frame<'b>, OffsetRange)> {
        while self.offset < self.take.to && !self.take.is_empty() {
            let frame = Frames::new(bytes.get(self.at..self.end)?).next()?;
            let range = OffsetRange::run(self.offset, u64::from(frame.offsets)).clip(self.take);
            if !range.is_empty() {
                return Some((frame, range));
            }
            self.advance(&frame);
        }
        None
    }

    /// Goes past the frame seen last, or past what was to be handed on of it.
    pub(super) fn advance(&mut self, frame: &Frame<'_>) {
        let end = self.offset.plus(u64::from(frame.offsets));
        if end > self.take.to {
            self.take.from = self.take.to;
            return;
        }
        self.at += FRAME_BYTES + frame.topic.len() + frame.payload.len();
        self.offset = end;
    }

    /// Goes past the next frame and gives it, if it is a message in one piece that is to be handed on.
    #[inline]
    pub(super) fn next_whole<'b>(&mut self, bytes: &'b [u8]) -> Option<Whole<'b>> {
        if self.offset < self.take.from || self.offset >= self.take.to {
            return None;
        }
        let frame = Frames::new(bytes.get(self.at..self.end)?).next()?;
        if frame.flags != FrameFlags::WHOLE {
            return None;
        }
        let whole = Whole { offset: self.offset, topic: frame.topic, payload: frame.payload };
        self.at += FRAME_BYTES + frame.topic.len() + frame.payload.len();
        self.offset = self.offset.plus(1);
        Some(whole)
    }

    /// When the batch was sent, if it says so.
    pub(super) const fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    /// What the batch has beyond the offsets that were to be handed on.
    pub(super) const fn rest(&self) -> OffsetRange {
        OffsetRange::new(self.take.to, self.whole)
    }

    /// Where `whole` lies, of which [`Cursor::next_whole`] has just gone past.
    #[inline]
    pub(super) const fn found_whole(&self, whole: &Whole<'_>) -> Found {
        let payload = self.at - whole.payload.len();
        Found {
            source: self.source,
            range: OffsetRange::new(whole.offset, self.offset),
            timestamp: self.timestamp,
            place: self.place,
            topic: (payload - whole.topic.len(), payload),
            payload: (payload, self.at),
        }
    }

    /// The message in `frame`, which is the one seen last.
    pub(super) const fn found(&self, frame: &Frame<'_>, range: OffsetRange) -> Found {
        let topic = self.at + FRAME_BYTES;
        let payload = topic + frame.topic.len();
        Found {
            source: self.source,
            range,
            timestamp: self.timestamp,
            place: self.place,
            topic: (topic, payload),
            payload: (payload, payload + frame.payload.len()),
        }
    }

    /// The message of several fragments that `range` completes.
    pub(super) const fn assembled(&self, range: OffsetRange) -> Found {
        Found {
            source: self.source,
            range,
            timestamp: self.timestamp,
            place: Place::Assembled,
            topic: (0, 0),
            payload: (0, 0),
        }
    }
}
