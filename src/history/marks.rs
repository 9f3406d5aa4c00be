//! How much charge was sent up to an offset: a ring of marks that is written under a lock and read without one.

use crate::history::sync::AtomicU64;
use crate::history::sync::MARKS;
use crate::history::sync::Ordering;
use crate::history::sync::fence;
use crate::history::sync::spin_loop;
use crate::offset::Offset;

/// What a datagram of `bytes` on the wire costs a receiver's socket buffer: the kernel accounts for the buffer it
/// allocated, not for what is in it (212,992 bytes hold 256 datagrams of 68 bytes, but 92 of 1,400).
#[must_use]
pub const fn charge(bytes: usize) -> u64 {
    1_024 + 2 * bytes as u64
}

/// The last 8,192 batches sent, as "the session up to `end` came to `charge`".
///
/// A sequence lock in safe code, over atomics. The writer, for mark i: `started = i + 1`; release fence; the two
/// fields of slot i mod 8,192; `finished = i + 1` (release). A reader: `finished` (acquire), which makes all marks
/// below it visible; the fields it needs; acquire fence; `started`. A field that it read from a *later* mark j in the
/// same slot was stored after the writer's fence, so by the pair of fences the reader then sees `started` > j. So as
/// long as no mark whose slot was read is `MARKS` or more behind `started`, everything read was what it was taken
/// for; else the search starts over. It is lock-free: a search starts over only because the writer got on.
pub(super) struct Marks {
    started: AtomicU64,
    finished: AtomicU64,
    slots: Box<[Mark]>,
}

#[derive(Default)]
struct Mark {
    end: AtomicU64,
    charge: AtomicU64,
}

impl Marks {
    /// Marks that know one thing: up to offset 0, nothing was sent.
    pub(super) fn new() -> Self {
        let slots = (0..MARKS).map(|_| Mark::default()).collect();
        Self { started: AtomicU64::new(1), finished: AtomicU64::new(1), slots }
    }

    /// Adds a mark; `end` and `charge` ascend. One caller at a time, each seeing what the last one did.
    pub(super) fn push(&self, end: Offset, charge: u64) {
        let index = self.finished.load(Ordering::Relaxed);
        self.started.store(index + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        let mark = self.slot(index);
        mark.end.store(end.0, Ordering::Relaxed);
        mark.charge.store(charge, Ordering::Relaxed);
        self.finished.store(index + 1, Ordering::Release);
    }

    /// The charge of the latest mark that ends at or before `offset`; `None` when that is no longer known.
    pub(super) fn charge_at(&self, offset: Offset) -> Option<u64> {
        loop {
            let finished = self.finished.load(Ordering::Acquire);
            // The oldest mark is the one that the next push overwrites: to look at it would be to wait for a writer that
            // was stopped just there.
            let (found, lowest) = self.search(finished.saturating_sub(MARKS - 1), finished, offset);
            fence(Ordering::Acquire);
            if lowest + MARKS >= self.started.load(Ordering::Relaxed) {
                return found;
            }
            spin_loop();
        }
    }

    /// Searches the marks `first..end`, and tells the lowest one looked at.
    fn search(&self, first: u64, end: u64, offset: Offset) -> (Option<u64>, u64) {
        let (mut low, mut high, mut lowest) = (first, end, end);
        while low < high {
            let middle = low.midpoint(high);
            lowest = lowest.min(middle);
            if self.slot(middle).end.load(Ordering::Relaxed) <= offset.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // When `low` has moved, the mark before it was looked at, so `lowest` vouches for its charge, too.
        let found = (low > first).then(|| self.slot(low - 1).charge.load(Ordering::Relaxed));
        (found, lowest)
    }

    fn slot(&self, index: u64) -> &Mark {
        &self.slots[(index % MARKS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_mark_is_found_until_it_is_overwritten() {
        let marks = Marks::new();
        assert_eq!(marks.charge_at(Offset(9)), Some(0));
        for batch in 1..MARKS - 1 {
            marks.push(Offset(10 * batch), 100 * batch);
        }
        assert_eq!(marks.charge_at(Offset(9)), Some(0));
        assert_eq!(marks.charge_at(Offset(10)), Some(100));
        assert_eq!(marks.charge_at(Offset(19)), Some(100));
        assert_eq!(marks.charge_at(Offset(u64::MAX)), Some(100 * (MARKS - 2)));
        marks.push(Offset(10 * (MARKS - 1)), 100 * (MARKS - 1));
        assert_eq!(marks.charge_at(Offset(9)), None);
        assert_eq!(marks.charge_at(Offset(10)), Some(100));
    }

    /// The writer laps the reader many times; whatever is answered is right.
    #[test]
    fn a_reader_never_sees_a_mixture() {
        let (marks, answers) = (Marks::new(), AtomicU64::new(0));
        let goes_on =
            |batch: &u64| *batch < 200_000 || (*batch < 100_000_000 && answers.load(Ordering::Relaxed) == 0);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                (1..).take_while(goes_on).for_each(|batch| marks.push(Offset(batch * 3), batch * 7))
            });
            while !writer.is_finished() {
                let end = marks.finished.load(Ordering::Acquire) - 1;
                for back in [0, 1, 4_000, MARKS - 2, MARKS - 1, MARKS] {
                    let batch = end.saturating_sub(back);
                    if let Some(charge) = marks.charge_at(Offset(batch * 3 + 1)) {
                        assert_eq!(charge, batch * 7);
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        assert!(answers.into_inner() > 0);
    }
}
