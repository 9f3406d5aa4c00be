//! What is read back from the ring.

use crate::history::train::BATCHES;
use crate::history::train::TRAIN_BYTES;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire;

/// How a [`Ring::read`](crate::history::Ring::read) went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The batches are in the [`Repair`]; [`Repair::covers`] tells how far they reach.
    Copied,
    /// The first offset wanted has been evicted; offsets from `oldest` on are still there.
    Gone {
        /// The oldest offset still readable.
        oldest: Offset,
    },
    /// The publisher is at work on the train that holds it: ask again soon.
    Busy,
    /// The first offset wanted has not been handed to the socket yet.
    Unsent,
}

/// A reusable buffer of sealed batches, ready to be sent again; holds at most one train.
#[derive(Debug)]
pub struct Repair {
    bytes: Vec<u8>,
    sizes: Vec<u16>,
    /// The end of each batch.
    ends: Vec<Offset>,
    covers: OffsetRange,
}

impl Repair {
    /// An empty buffer. Allocates 74 KiB, room for a whole train, so that reading into it never allocates.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(TRAIN_BYTES),
            sizes: Vec::with_capacity(BATCHES),
            ends: Vec::with_capacity(BATCHES),
            covers: OffsetRange::default(),
        }
    }

    /// The batches, back to back, padding included, each with REPAIR set.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The wire size of each batch, in bytes.
    #[must_use]
    pub fn sizes(&self) -> &[u16] {
        &self.sizes
    }

    /// The offsets in the buffer: from the start of the first batch to the end of the last.
    #[must_use]
    pub fn covers(&self) -> OffsetRange {
        self.covers
    }

    /// The offsets in the first `count` batches.
    #[must_use]
    pub fn covers_first(&self, count: usize) -> OffsetRange {
        let end = count.checked_sub(1).and_then(|last| self.ends.get(last));
        OffsetRange::new(self.covers.from, end.copied().unwrap_or(self.covers.from))
    }

    /// The batches, one at a time.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes();
        self.sizes.iter().map_while(move |&size| {
            let (datagram, later) = rest.split_at_checked(usize::from(size))?;
            rest = later;
            Some(datagram)
        })
    }

    /// Forgets the batches and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sizes.clear();
        self.ends.clear();
        self.covers = OffsetRange::default();
    }

    /// Adds a sealed batch that follows the last one.
    pub(super) fn push(&mut self, datagram: &[u8], size: u16, offsets: OffsetRange) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        wire::mark_repair(&mut self.bytes[at..]);
        let from = if self.sizes.is_empty() { offsets.from } else { self.covers.from };
        self.covers = OffsetRange::new(from, offsets.to);
        self.sizes.push(size);
        self.ends.push(offsets.to);
    }
}

impl Default for Repair {
    fn default() -> Self {
        Self::new()
    }
}
