//! Sets of offsets.

use crate::offset::OffsetRange;

/// A set of offsets as runs: ascending, disjoint, joined with their neighbours.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    runs: Vec<OffsetRange>,
    len: u64,
}

impl Runs {
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn overlaps(&self, range: OffsetRange) -> bool {
        let index = self.runs.partition_point(|run| run.to <= range.from);
        self.runs.get(index).is_some_and(|run| run.overlaps(range))
    }

    pub(super) fn covers(&self, range: OffsetRange) -> bool {
        let index = self.runs.partition_point(|run| run.to <= range.from);
        self.runs.get(index).is_some_and(|run| run.clip(range) == range)
    }

    /// Adds a run that shares nothing with what is there.
    pub(super) fn add(&mut self, range: OffsetRange) {
        self.len += range.len();
        let at = self.runs.partition_point(|run| run.to < range.from);
        match self.runs.get_mut(at) {
            Some(run) if run.to == range.from => run.to = range.to,
            Some(run) if run.from == range.to => run.from = range.from,
            _ => self.runs.insert(at, range),
        }
        if let (Some(left), Some(right)) = (self.runs.get(at).copied(), self.runs.get(at + 1).copied())
            && left.to == right.from
        {
            self.runs[at].to = right.to;
            self.runs.remove(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Offset;

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    #[test]
    fn neighbours_join() {
        let mut runs = Runs::default();
        for (from, to) in [(4, 6), (0, 2), (8, 9), (2, 4), (6, 8)] {
            assert!(!runs.overlaps(range(from, to)));
            runs.add(range(from, to));
        }
        assert_eq!((runs.runs.as_slice(), runs.len()), ([range(0, 9)].as_slice(), 9));
        assert!(runs.covers(range(3, 9)) && !runs.covers(range(3, 10)) && runs.overlaps(range(8, 12)));
    }
}
