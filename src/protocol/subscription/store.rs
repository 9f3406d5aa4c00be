//! Where early batches wait: a pool of buffers that are used again.

use crate::protocol::subscription::cursor::Cursor;

/// The most bytes of buffers that wait to be used again: the default window of one source.
const SPARE: usize = 4 << 20;

/// The bytes of held batches, by slot, each with the cursor that will walk it.
#[derive(Debug, Default)]
pub(super) struct Store {
    slots: Vec<(Vec<u8>, Option<Cursor>)>,
    free: Vec<u32>,
    /// Bytes of the buffers in free slots.
    spare: usize,
}

impl Store {
    /// Copies `bytes` aside; gives the slot. How many are kept at a time is the receiver's to bound.
    pub(super) fn keep(&mut self, bytes: &[u8], cursor: Cursor) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((Vec::new(), None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some((kept, of)) = self.slots.get_mut(slot as usize) {
            self.spare -= kept.capacity();
            kept.clear();
            kept.extend_from_slice(bytes);
            *of = Some(cursor);
        }
        slot
    }

    /// The cursor of the batch in `slot`.
    pub(super) fn cursor(&self, slot: u32) -> Option<Cursor> {
        self.slots.get(slot as usize)?.1
    }

    /// The bytes in `slot`.
    pub(super) fn bytes(&self, slot: u32) -> &[u8] {
        self.slots.get(slot as usize).map_or(&[], |(bytes, _)| bytes)
    }

    /// Takes the bytes out of `slot` for a while, to be put back.
    pub(super) fn lend(&mut self, slot: u32) -> Vec<u8> {
        self.slots.get_mut(slot as usize).map(|(bytes, _)| core::mem::take(bytes)).unwrap_or_default()
    }

    /// Puts lent bytes back.
    pub(super) fn put_back(&mut self, slot: u32, bytes: Vec<u8>) {
        if let Some((kept, _)) = self.slots.get_mut(slot as usize) {
            *kept = bytes;
        }
    }

    /// Bytes of all buffers.
    pub(super) fn kept_bytes(&self) -> usize {
        self.slots.iter().map(|(bytes, _)| bytes.capacity()).sum()
    }

    /// The slot may be used again.
    pub(super) fn free(&mut self, slot: u32) {
        self.free.push(slot);
        if let Some((kept, _)) = self.slots.get_mut(slot as usize) {
            if self.spare + kept.capacity() > SPARE {
                *kept = Vec::new();
            }
            self.spare += kept.capacity();
        }
    }
}
