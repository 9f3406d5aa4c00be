//! What goes out before the next batch.

use crate::offset::Offset;

/// The most room that is kept for the next time.
const KEPT: usize = 4_096;

/// Bytes that wait to be written, in order: the rest of a batch, then whatever is to be said.
///
/// It is bounded by what is put in: at most one rest, of a batch; answers only while there are few; one of everything
/// else.
#[derive(Debug)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    written: usize,
    /// Where a GONE at the very end begins, and the offset it begins with.
    gap: Option<(usize, Offset)>,
}

impl Pending {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), written: 0, gap: None }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// What is to be written next.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Adds `bytes` at the end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
            self.gap = None;
        }
    }

    /// Adds a GONE that begins with `from`, at the end.
    pub(super) fn push_gap(&mut self, bytes: &[u8], from: Offset) {
        let at = self.bytes.len();
        self.push(bytes);
        self.gap = Some((at, from));
    }

    /// Whether a GONE stands at the end of which nothing was written.
    pub(super) fn holds_gap(&self) -> bool {
        self.gap.is_some_and(|(at, _)| at >= self.written)
    }

    /// Whether another GONE may be put there, without a queue of them growing: nothing waits, or it takes the place of
    /// one that does.
    pub(super) fn is_replaceable(&self) -> bool {
        self.is_empty() || self.holds_gap()
    }

    /// Takes out the GONE at the end, if nothing of it was written; gives what it began with.
    pub(super) fn take_gap(&mut self) -> Option<Offset> {
        let (at, from) = self.gap.take().filter(|(at, _)| *at >= self.written)?;
        self.bytes.truncate(at);
        Some(from)
    }

    /// The first `bytes` were written.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.bytes.len() && self.bytes.capacity() > KEPT {
            *self = Self::new();
        } else if self.written >= self.bytes.len() {
            self.bytes.clear();
            (self.written, self.gap) = (0, None);
        }
    }

    /// Everything, to add batches at the end; a GONE is not replaced any more then.
    pub(super) const fn all(&mut self) -> &mut Vec<u8> {
        self.gap = None;
        &mut self.bytes
    }

    /// Drops what was written, once that is worth a move: a queue that is never quite empty does not grow for that.
    pub(super) fn make_room(&mut self) {
        if self.written > self.len().min(4 * KEPT) {
            self.bytes.drain(..self.written);
            (self.written, self.gap) = (0, None);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}
