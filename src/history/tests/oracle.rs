//! The naive twin of the ring: every batch ever made, in a list.

use crate::history::Held;
use crate::history::SEND_BYTES;
use crate::history::Stamp;
use crate::history::charge;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire::FRAME_BYTES;
use crate::wire::FrameFlags;
use crate::wire::HEADER_BYTES;

/// Trains of the smallest ring.
const TRAINS: u64 = 8;

#[derive(Clone)]
pub(super) struct Message {
    pub(super) flags: FrameFlags,
    pub(super) topic: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Message {
    pub(super) fn size(&self) -> usize {
        FRAME_BYTES + self.topic.len() + self.payload.len()
    }
}

pub(super) struct Batch {
    pub(super) train: u64,
    pub(super) offsets: OffsetRange,
    pub(super) size: usize,
    pub(super) sent: bool,
    pub(super) stamp: Stamp,
    pub(super) messages: Vec<Message>,
}

/// The twin: no state but what was done.
pub(super) struct Oracle {
    pub(super) datagram: usize,
    pub(super) timestamps: bool,
    pub(super) train: u64,
    pub(super) limit: usize,
    pub(super) batches: Vec<Batch>,
    pub(super) open: Vec<Message>,
}

impl Oracle {
    pub(super) fn head(&self) -> usize {
        HEADER_BYTES + if self.timestamps { 8 } else { 0 }
    }

    pub(super) fn room(&self) -> usize {
        self.datagram - self.head()
    }

    pub(super) fn open_bytes(&self) -> usize {
        self.head() + self.open.iter().map(Message::size).sum::<usize>()
    }

    pub(super) fn in_train(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(|batch| batch.train == self.train)
    }

    pub(super) fn has_room_behind(&self, bytes: usize, batches: usize) -> bool {
        let used: usize = self.in_train().map(|batch| batch.size).sum();
        used + bytes + self.datagram <= SEND_BYTES && self.in_train().count() + batches < 1_024
    }

    pub(super) fn hard(&self) -> usize {
        if self.has_room_behind(0, 0) { self.datagram } else { 0 }
    }

    pub(super) fn has_room(&self) -> bool {
        if self.open.is_empty() { self.hard() > 0 } else { self.has_room_behind(self.datagram, 1) }
    }

    pub(super) fn sealed(&self) -> Offset {
        self.batches.last().map_or(Offset(0), |batch| batch.offsets.to)
    }

    pub(super) fn next(&self) -> Offset {
        self.sealed().plus(self.open.len() as u64)
    }

    pub(super) fn sent(&self) -> Offset {
        self.batches.iter().rfind(|batch| batch.sent).map_or(Offset(0), |batch| batch.offsets.to)
    }

    pub(super) fn oldest(&self) -> Offset {
        let first = (self.train + 1).saturating_sub(TRAINS);
        self.batches.iter().find(|batch| batch.train >= first).map_or(Offset(0), |batch| batch.offsets.from)
    }

    pub(super) fn unsent(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(|batch| !batch.sent)
    }

    pub(super) fn append(&mut self, message: Message) -> Option<Offset> {
        if self.open_bytes() + message.size() > self.limit {
            return None;
        }
        self.open.push(message);
        Some(Offset(self.next().0 - 1))
    }

    pub(super) fn seal(&mut self, stamp: Stamp, full: bool) {
        if self.open.is_empty() {
            return;
        }
        let mut size = self.open_bytes();
        if let Some(before) = self.unsent().last().filter(|_| full) {
            let target = if size <= before.size { before.size } else { self.datagram };
            if target - size < target.div_ceil(16) {
                size = target;
            }
        }
        let offsets = OffsetRange::run(self.sealed(), self.open.len() as u64);
        let messages = std::mem::take(&mut self.open);
        self.batches.push(Batch { train: self.train, offsets, size, sent: false, stamp, messages });
        self.limit = self.hard();
    }

    pub(super) fn held(&self) -> Held {
        let open = if self.open.is_empty() { 0 } else { self.open_bytes() };
        Held {
            train: self.train,
            messages: self.next().since(self.sent()),
            bytes: self.unsent().map(|batch| batch.size).sum::<usize>() + open,
            end: self.next(),
        }
    }

    pub(super) fn charge_at(&self, offset: Offset) -> u64 {
        let before = self.batches.iter().filter(|batch| batch.sent && batch.offsets.to <= offset);
        before.map(|batch| charge(batch.size)).sum()
    }

    /// Bytes of a batch without padding.
    pub(super) fn len(&self, batch: &Batch) -> usize {
        self.head() + batch.messages.iter().map(Message::size).sum::<usize>()
    }

    /// What is lent from `from` on, which is there.
    pub(super) fn lend(&self, from: Offset, most: usize) -> Vec<&Batch> {
        let rest = self.read(OffsetRange::new(from, Offset(u64::MAX)));
        let mut bytes = 0_usize;
        let fits = |(index, batch): &(usize, &&Batch)| {
            bytes += self.len(batch);
            *index == 0 || bytes <= most
        };
        rest.iter().enumerate().take_while(fits).map(|(_, batch)| *batch).collect()
    }

    /// What a read of `want` brings, when its first offset is there.
    pub(super) fn read(&self, want: OffsetRange) -> Vec<&Batch> {
        let Some(first) = self.batches.iter().position(|batch| batch.offsets.contains(want.from)) else {
            return Vec::new();
        };
        let train = self.batches[first].train;
        let rest = self.batches[first..].iter();
        rest.take_while(|batch| batch.sent && batch.train == train && batch.offsets.overlaps(want)).collect()
    }
}
