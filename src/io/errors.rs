//! Counts of what the system refused, by error number.

use std::io;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// How many kinds are told apart; the rest share one count.
const KINDS: usize = 8;

/// Errors counted by kind, from several threads, without a lock.
#[derive(Debug, Default)]
pub(super) struct ErrorTable {
    kinds: [Kind; KINDS],
    other: AtomicU64,
}

#[derive(Debug, Default)]
struct Kind {
    /// The error number, or 0 while the row is free.
    errno: AtomicI32,
    count: AtomicU64,
}

impl ErrorTable {
    /// Counts an error, and says whether it is the first of its kind (one without a number never is).
    pub(super) fn count(&self, error: &io::Error) -> bool {
        let errno = error.raw_os_error().unwrap_or(0);
        let row = self.kinds.iter().find(|kind| errno != 0 && kind.claim(errno));
        let count = row.map_or(&self.other, |kind| &kind.count);
        count.fetch_add(1, Relaxed) == 0 && row.is_some()
    }

    /// The counts at this moment.
    pub(super) fn snapshot(&self) -> ErrorCounts {
        let row = |kind: &Kind| (kind.errno.load(Relaxed), kind.count.load(Relaxed));
        ErrorCounts { kinds: std::array::from_fn(|n| row(&self.kinds[n])), other: self.other.load(Relaxed) }
    }
}

impl Kind {
    /// Whether the row belongs to `errno`, which takes it when it was free.
    fn claim(&self, errno: i32) -> bool {
        let owner = self.errno.compare_exchange(0, errno, Relaxed, Relaxed);
        owner.is_ok() || owner == Err(errno)
    }
}

/// How often each kind of error was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ErrorCounts {
    kinds: [(i32, u64); KINDS],
    other: u64,
}

impl ErrorCounts {
    /// The error numbers met and how often each was, in the order in which they were first met.
    #[cfg(test)]
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.kinds.iter().copied().filter(|&(errno, _)| errno != 0)
    }

    /// All errors together.
    #[must_use]
    pub(crate) fn total(&self) -> u64 {
        self.other + self.kinds.iter().map(|&(_, count)| count).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_is_told_once() {
        let table = ErrorTable::default();
        let told: Vec<bool> = [1, 2, 1, 2].map(|n| table.count(&io::Error::from_raw_os_error(n))).to_vec();
        assert_eq!(told, [true, true, false, false]);
        assert_eq!(table.snapshot().kinds().collect::<Vec<_>>(), [(1, 2), (2, 2)]);
    }

    #[test]
    fn a_full_table_still_counts() {
        let table = ErrorTable::default();
        let told = (1..=20).filter(|&n| table.count(&io::Error::from_raw_os_error(n))).count();
        assert!(!table.count(&io::ErrorKind::WouldBlock.into()));
        assert_eq!((told, table.snapshot().total()), (KINDS, 21));
    }
}
