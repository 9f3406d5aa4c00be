//! Sent batches, lent where they lie.

use core::fmt;

use crate::history::marks::charge;
use crate::history::train::Train;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire::datagram_len;

/// A sent batch, lent from its train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LentBatch<'a> {
    /// The sealed batch, without padding: as it stands on a connection.
    pub bytes: &'a [u8],
    /// Its offsets.
    pub offsets: OffsetRange,
    /// The [charge](crate::history::charge) sent since the session began, up to and with this batch.
    pub charge: u64,
}

/// Whole sent batches of one train, in order, from the one that holds the first offset wanted.
#[derive(Clone)]
pub struct Lent<'a> {
    train: &'a Train,
    is_current: bool,
    /// Bytes that may still be lent; the first batch is, whatever its size.
    left: usize,
    is_first: bool,
    index: usize,
    at: usize,
    base: Offset,
    charge: u64,
}

impl<'a> Lent<'a> {
    /// The batches of `train` from the one that holds `from` on, which is sent; no more than `most` bytes of them, but
    /// for the first.
    pub(super) fn new(train: &'a Train, is_current: bool, (from, most): (Offset, usize)) -> Self {
        let (base, charge) = (train.held().from, train.charge);
        let mut lent = Self { train, is_current, left: most, is_first: true, index: 0, at: 0, base, charge };
        while let Some((padded, count)) = train.sent_batch(lent.index) {
            if lent.base.plus(count) > from {
                break;
            }
            lent.pass(padded, count);
        }
        lent
    }

    /// Whether the publisher fills this very train, and may be waiting for it: copy what is lent, and go. An older
    /// train is missed by nobody until the ring comes round.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.is_current
    }

    /// The charge sent since the session began, before the next batch.
    #[must_use]
    pub const fn charge(&self) -> u64 {
        self.charge
    }

    /// Goes past a batch of `padded` bytes.
    fn pass(&mut self, padded: usize, count: u64) {
        self.index += 1;
        self.at += padded;
        self.base = self.base.plus(count);
        self.charge += charge(padded);
    }
}

impl<'a> Iterator for Lent<'a> {
    type Item = LentBatch<'a>;

    fn next(&mut self) -> Option<LentBatch<'a>> {
        let (padded, count) = self.train.sent_batch(self.index)?;
        let bytes = self.train.bytes_at(self.at, padded)?;
        let bytes = bytes.get(..datagram_len(bytes).ok()?)?;
        if !self.is_first && bytes.len() > self.left {
            return None;
        }
        self.left = self.left.saturating_sub(bytes.len());
        self.is_first = false;
        let offsets = OffsetRange::run(self.base, count);
        self.pass(padded, count);
        Some(LentBatch { bytes, offsets, charge: self.charge })
    }
}

impl fmt::Debug for Lent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("base", &self.base).field("charge", &self.charge).finish_non_exhaustive()
    }
}
