//! A copy of the end of the current train, from which all connections are written that are there.

use crate::history::LentBatch;
use crate::history::TRAIN_BYTES;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::BatchFrames;

/// Sent batches, back to back, copied once for however many connections. What an offset holds never changes, so what is
/// here is right for as long as it is asked for.
#[derive(Debug)]
pub(super) struct Tail {
    from: Offset,
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

/// Where a batch ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// In bytes from the start of the first.
    pub(super) at: usize,
    /// In offsets.
    pub(super) end: Offset,
    /// In charge.
    pub(super) charge: u64,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { from: Offset::ZERO, bytes: Vec::with_capacity(TRAIN_BYTES), marks: Vec::new() }
    }

    /// Copies `batches` over what is here.
    pub(super) fn fill<'a>(&mut self, batches: impl Iterator<Item = LentBatch<'a>>) {
        self.bytes.clear();
        self.marks.clear();
        for batch in batches {
            if self.marks.is_empty() {
                self.from = batch.offsets.from;
            }
            self.bytes.extend_from_slice(batch.bytes);
            self.marks.push(Mark { at: self.bytes.len(), end: batch.offsets.to, charge: batch.charge });
        }
    }

    /// The batches from the one that holds `offset` on, if it is here: their bytes, and the marks of all of them with
    /// where in those the bytes begin.
    pub(super) fn from(&self, offset: Offset) -> Option<(&[u8], Run<'_>)> {
        if offset < self.from {
            return None;
        }
        let first = self.marks.partition_point(|mark| mark.end <= offset);
        let marks = self.marks.get(first..).filter(|marks| !marks.is_empty())?;
        let start = first.checked_sub(1).and_then(|before| self.marks.get(before)).map_or(0, |mark| mark.at);
        Some((self.bytes.get(start..)?, Run { start, marks }))
    }

    /// The same, one by one.
    pub(super) fn batches_from(&self, offset: Offset) -> Option<impl Iterator<Item = LentBatch<'_>>> {
        let (bytes, run) = self.from(offset)?;
        let mut at = run.start;
        let batch = move |mark: &Mark| {
            let bytes = bytes.get(at - run.start..mark.at - run.start)?;
            at = mark.at;
            let base = BatchFrames::new(bytes).offset();
            Some(LentBatch { bytes, offsets: OffsetRange::new(base, mark.end), charge: mark.charge })
        };
        Some(run.marks.iter().map_while(batch))
    }
}

/// Consecutive batches, by where each ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// Where the first begins, in the bytes that the marks count in.
    pub(super) start: usize,
    pub(super) marks: &'a [Mark],
}

impl Run<'_> {
    /// How far `bytes` of them reach: the batch of which the last byte is, and how many bytes of it are left. `None` for
    /// no byte at all.
    pub(super) fn reach(&self, bytes: usize) -> Option<(usize, Mark, usize)> {
        let end = self.start + bytes;
        let index = self.marks.partition_point(|mark| mark.at < end);
        let mark = *self.marks.get(index).filter(|_| bytes > 0)?;
        Some((index, mark, mark.at - end))
    }
}
