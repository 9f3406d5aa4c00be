//! Who wants a message, asked once for all connections.

use std::collections::HashMap;
use std::sync::Arc;

use zerocopy::FromBytes;

use crate::offset::Offset;
use crate::protocol::Prefixes;
use crate::protocol::stream::trie::Trie;
use crate::wire::Flags;
use crate::wire::Frame;
use crate::wire::FrameFlags;
use crate::wire::Frames;
use crate::wire::HEADER_BYTES;
use crate::wire::Header;
use crate::wire::TIMESTAMP_BYTES;

/// How far messages were looked at for all connections together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// The next offset to look at.
    pub offset: Offset,
    /// The charge of everything sent up to there.
    pub charge: u64,
    /// A message may have begun before it that ends after it.
    pub is_within: bool,
    /// How many times it has gone on elsewhere than where it was.
    pub jumps: u64,
}

/// The prefixes of all connections that have some, by numbers that the caller gives, and one walk through the history for
/// all of those that are at its end.
#[derive(Debug)]
pub struct Sieve {
    trie: Trie,
    chosen: HashMap<u32, Arc<Prefixes>>,
    /// Who wants the message that was looked at last.
    wanted_by: Vec<u32>,
    walked: Walked,
    looks: u64,
}

impl Sieve {
    /// Nobody wants anything.
    #[must_use]
    pub fn new() -> Self {
        let walked = Walked { offset: Offset::ZERO, charge: 0, is_within: true, jumps: 0 };
        Self { trie: Trie::new(), chosen: HashMap::new(), wanted_by: Vec::new(), walked, looks: 0 }
    }

    /// Connection `number` wants these topics from now on, as far as they are not all. Whether it wants the rest of a
    /// message that has begun stays as it was for one that goes along; another has not decided that yet.
    pub fn choose(&mut self, number: u32, prefixes: Option<Arc<Prefixes>>, goes_along: bool) {
        if !goes_along {
            self.wanted_by.retain(|&one| one != number);
        }
        if let Some(before) = self.chosen.remove(&number) {
            before.iter().for_each(|prefix| self.trie.remove(prefix, number));
        }
        if let Some(prefixes) = prefixes {
            prefixes.iter().for_each(|prefix| self.trie.insert(prefix, number));
            self.chosen.insert(number, prefixes);
        }
    }

    /// Connection `number` is gone.
    pub fn forget(&mut self, number: u32) {
        self.choose(number, None, false);
    }

    /// Connection `number` goes along from here on, and wants the rest of the message that has begun.
    pub fn join(&mut self, number: u32) {
        self.wanted_by.push(number);
    }

    /// Whether nobody has chosen anything, so that there is no need to walk.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Who wants the message that `frame` is a part of. Frames are shown in order.
    pub fn wanted_by(&mut self, frame: &Frame<'_>) -> &[u32] {
        if frame.flags.has(FrameFlags::FIRST) {
            self.looks += 1;
            self.wanted_by.clear();
            self.trie.find(frame.topic, &mut self.wanted_by);
        }
        self.walked.is_within = !frame.flags.has(FrameFlags::LAST);
        &self.wanted_by
    }

    /// A batch was looked at, up to an offset, by which so much was charged.
    pub const fn passed(&mut self, (offset, charge): (Offset, u64)) {
        (self.walked.offset, self.walked.charge) = (offset, charge);
    }

    /// It goes on elsewhere: the ring has come round, or nobody had chosen anything.
    pub fn jump(&mut self, (offset, charge): (Offset, u64)) {
        self.wanted_by.clear();
        self.walked = Walked { offset, charge, is_within: true, jumps: self.walked.jumps + 1 };
    }

    /// How far it has come.
    #[must_use]
    pub const fn walked(&self) -> &Walked {
        &self.walked
    }

    /// How many messages were looked at, each once for all.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks
    }
}

impl Default for Sieve {
    fn default() -> Self {
        Self::new()
    }
}

/// The frames of a batch of ours, which nothing can have damaged, with their offsets.
#[derive(Debug, Clone, Copy)]
pub struct BatchFrames<'a> {
    offset: Offset,
    timestamp: Option<u64>,
    frames: Frames<'a>,
}

impl<'a> BatchFrames<'a> {
    /// Those of the batch in `bytes`; none when there is no batch.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let Ok((header, _)) = Header::ref_from_prefix(bytes) else {
            return Self { offset: Offset::ZERO, timestamp: None, frames: Frames::new(&[]) };
        };
        let body = bytes.get(HEADER_BYTES..HEADER_BYTES + header.length()).unwrap_or_default();
        let stamp = body.split_first_chunk::<TIMESTAMP_BYTES>();
        let stamp = stamp.filter(|_| header.flags().has(Flags::TIMESTAMP));
        let (timestamp, frames) = match stamp {
            Some((stamp, frames)) => (Some(u64::from_le_bytes(*stamp)), frames),
            None => (None, body),
        };
        Self { offset: header.base(), timestamp, frames: Frames::new(frames) }
    }

    /// The offset of the next frame.
    #[must_use]
    pub const fn offset(&self) -> Offset {
        self.offset
    }

    /// When the batch was sent, if it says so.
    #[must_use]
    pub const fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }
}

impl<'a> Iterator for BatchFrames<'a> {
    type Item = (Offset, Frame<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next()?;
        let offset = self.offset;
        self.offset = offset.plus(u64::from(frame.offsets));
        Some((offset, frame))
    }
}
