//! The number of a message, and runs of such numbers.

use core::fmt;

/// The number of a message (or fragment) in its session: dense, from 0.
///
/// An offset doubles as a position: "the next offset I want". Arithmetic saturates, so a number from the network
/// can never wrap; 2⁶⁴ messages are 580 years at a billion a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub u64);

impl Offset {
    /// The first offset of every session.
    pub const ZERO: Self = Self(0);

    /// The offset `count` messages further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many messages lie in `[earlier, self)`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The offsets `[from, to)`; empty when `to <= from`.
///
/// ```
/// use nakcast::{Offset, OffsetRange};
/// let lost = OffsetRange::new(Offset(7), Offset(10));
/// assert_eq!(lost.len(), 3);
/// assert_eq!(lost.to_string(), "7..10");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OffsetRange {
    /// The first offset in the range.
    pub from: Offset,
    /// The first offset after the range.
    pub to: Offset,
}

impl OffsetRange {
    /// The offsets `[from, to)`.
    #[must_use]
    pub const fn new(from: Offset, to: Offset) -> Self {
        Self { from, to }
    }

    /// The `count` offsets from `from` on.
    #[must_use]
    pub const fn run(from: Offset, count: u64) -> Self {
        Self { from, to: from.plus(count) }
    }

    /// How many offsets the range holds.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.to.since(self.from)
    }

    /// Whether the range holds no offset.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.to.0 <= self.from.0
    }

    /// Whether `offset` lies in the range.
    #[must_use]
    pub fn contains(self, offset: Offset) -> bool {
        self.from <= offset && offset < self.to
    }

    /// The part of the range that lies in `bounds`; empty when they do not meet.
    #[must_use]
    pub fn clip(self, bounds: Self) -> Self {
        let from = self.from.max(bounds.from);
        Self { from, to: self.to.min(bounds.to).max(from) }
    }

    /// Whether the two ranges share an offset.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        !self.clip(other).is_empty()
    }

    /// The part before `at` and the part from `at` on.
    #[must_use]
    pub fn split(self, at: Offset) -> (Self, Self) {
        let at = at.clamp(self.from, self.to.max(self.from));
        (Self::new(self.from, at), Self::new(at, self.to))
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    #[test]
    fn clip_keeps_what_both_hold() {
        assert_eq!(range(2, 9).clip(range(5, 20)), range(5, 9));
        assert!(range(2, 4).clip(range(6, 8)).is_empty());
        assert!(range(6, 8).clip(range(2, 4)).is_empty());
        assert!(!range(2, 4).overlaps(range(4, 8)));
    }

    #[test]
    fn split_never_leaves_the_range() {
        assert_eq!(range(2, 9).split(Offset(5)), (range(2, 5), range(5, 9)));
        assert_eq!(range(2, 9).split(Offset(0)), (range(2, 2), range(2, 9)));
        assert_eq!(range(2, 9).split(Offset(99)), (range(2, 9), range(9, 9)));
    }

    #[test]
    fn numbers_from_the_network_do_not_wrap() {
        assert_eq!(OffsetRange::run(Offset(u64::MAX - 1), 10).len(), 1);
        assert_eq!(range(9, 2).len(), 0);
        assert_eq!(Offset(3).since(Offset(5)), 0);
    }
}
