//! A batch: a run of messages behind one header.

use crate::wire::DecodeError;
use crate::wire::Head;
use crate::wire::Kind;
use crate::wire::header::HEADER_BYTES;

/// Bytes that a message costs in a batch beyond its topic and payload.
pub const FRAME_BYTES: usize = 4;
/// The most bytes a topic has.
pub const TOPIC_BYTES: usize = 255;

/// The flags of a frame, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FrameFlags(pub u8);

impl FrameFlags {
    /// The first fragment of a message.
    pub const FIRST: Self = Self(1);
    /// The last fragment of a message.
    pub const LAST: Self = Self(2);
    /// A message in one piece.
    pub const WHOLE: Self = Self(3);
    /// No message, but a number of offsets left out.
    pub const FILTERED: Self = Self(4);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One frame of a batch, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the frame is.
    pub flags: FrameFlags,
    /// The topic; empty but in a first fragment.
    pub topic: &'a [u8],
    /// The payload; empty when FILTERED.
    pub payload: &'a [u8],
    /// How many offsets the frame covers: 1, or what was filtered out.
    pub offsets: u16,
}

/// The frames of a batch, in order. Iteration ends early at a frame that breaks the format, so bytes that were not
/// checked with [`Frames::check`] are safe to walk.
#[derive(Debug, Clone, Copy)]
pub struct Frames<'a> {
    bytes: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not yet walked.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the frames end exactly at the end of the bytes and cover exactly `count` offsets.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Body`] with about where they do not.
    pub fn check(self, count: u16) -> Result<(), DecodeError> {
        let mut walk = self;
        let offsets: u64 = walk.by_ref().map(|frame| u64::from(frame.offsets)).sum();
        if walk.bytes.is_empty() && offsets == u64::from(count) && count > 0 {
            return Ok(());
        }
        Err(DecodeError::Body { kind: Kind::Data, at: self.bytes.len() - walk.bytes.len() })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (&[low, high, flags, topic_len], rest) = self.bytes.split_first_chunk::<FRAME_BYTES>()?;
        let (len, flags) = (u16::from_le_bytes([low, high]), FrameFlags(flags));
        if flags == FrameFlags::FILTERED {
            if topic_len != 0 || len == 0 {
                return None;
            }
            self.bytes = rest;
            return Some(Frame { flags, topic: &[], payload: &[], offsets: len });
        }
        let misplaced_topic = topic_len != 0 && !flags.has(FrameFlags::FIRST);
        if flags.0 & !FrameFlags::WHOLE.0 != 0 || misplaced_topic {
            return None;
        }
        let (topic, rest) = rest.split_at_checked(usize::from(topic_len))?;
        let (payload, rest) = rest.split_at_checked(usize::from(len))?;
        self.bytes = rest;
        Some(Frame { flags, topic, payload, offsets: 1 })
    }
}

/// Writes a frame at the start of `room` and gives its size; `None` when it does not fit, or topic or payload are
/// longer than their fields can say.
#[inline]
pub fn put_frame(room: &mut [u8], flags: FrameFlags, topic: &[u8], payload: &[u8]) -> Option<usize> {
    let topic_len = u8::try_from(topic.len()).ok()?;
    let [low, high] = u16::try_from(payload.len()).ok()?.to_le_bytes();
    let (head, rest) = room.split_first_chunk_mut::<FRAME_BYTES>()?;
    let (topic_room, rest) = rest.split_at_mut_checked(topic.len())?;
    let payload_room = rest.get_mut(..payload.len())?;
    *head = [low, high, flags.0, topic_len];
    if !topic.is_empty() {
        topic_room.copy_from_slice(topic);
    }
    // A copy of known size needs no call: 32 bytes are the smallest usual message, and worth 1.5 ns.
    match (payload_room.as_chunks_mut::<32>(), payload.as_chunks::<32>()) {
        (([to], []), ([from], [])) => *to = *from,
        _ => payload_room.copy_from_slice(payload),
    }
    Some(FRAME_BYTES + topic.len() + payload.len())
}

/// Writes a frame for `offsets` that are left out at the start of `room` and gives its size; `None` when it does not fit,
/// or nothing is left out.
pub fn put_filtered(room: &mut [u8], offsets: u16) -> Option<usize> {
    let (head, _) = room.split_first_chunk_mut::<FRAME_BYTES>()?;
    let [low, high] = offsets.to_le_bytes();
    (offsets > 0).then(|| *head = [low, high, FrameFlags::FILTERED.0, 0])?;
    Some(FRAME_BYTES)
}

/// Seals a batch of `count` offsets whose frames (and timestamp, when its flag is set) stand in `datagram` from
/// byte 32 on.
pub fn seal_batch(datagram: &mut [u8], head: &Head, count: u16) {
    debug_assert!(datagram.len() >= HEADER_BYTES);
    head.seal(Kind::Data, count, datagram);
}
