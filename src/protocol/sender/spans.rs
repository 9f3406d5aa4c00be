//! Runs of offsets, sorted and disjoint, each with a value.

use crate::offset::OffsetRange;

/// Sorted, disjoint, non-empty ranges of offsets with a value each; inserting joins neighbours of equal value.
#[derive(Debug)]
pub(super) struct Spans<T> {
    rows: Vec<(OffsetRange, T)>,
}

impl<T: Copy + PartialEq> Spans<T> {
    pub(super) const fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn first(&self) -> Option<(OffsetRange, T)> {
        self.rows.first().copied()
    }

    /// The parts of the spans that lie in `want`.
    pub(super) fn within(&self, want: OffsetRange) -> impl Iterator<Item = (OffsetRange, T)> {
        let start = self.rows.partition_point(|(range, _)| range.to <= want.from);
        let rows = self.rows.get(start..).unwrap_or_default().iter();
        rows.take_while(move |(range, _)| range.from < want.to)
            .map(move |(range, value)| (range.clip(want), *value))
    }

    /// The values of the spans that meet `want`, whole.
    pub(super) fn values_within(&mut self, want: OffsetRange) -> impl Iterator<Item = &mut T> {
        let start = self.rows.partition_point(|(range, _)| range.to <= want.from);
        let rows = self.rows.get_mut(start..).unwrap_or_default().iter_mut();
        rows.take_while(move |(range, _)| range.from < want.to).map(|(_, value)| value)
    }

    /// Gives `each` the parts of `want` that no span covers, in order.
    pub(super) fn uncovered(&self, want: OffsetRange, mut each: impl FnMut(OffsetRange)) {
        let mut rest = want;
        for (part, _) in self.within(want) {
            let gap = OffsetRange::new(rest.from, part.from);
            if !gap.is_empty() {
                each(gap);
            }
            rest.from = part.to;
        }
        if !rest.is_empty() {
            each(rest);
        }
    }

    /// Takes `range` out of every span that meets it.
    pub(super) fn cut(&mut self, range: OffsetRange) {
        if range.is_empty() {
            return;
        }
        let start = self.rows.partition_point(|(span, _)| span.to <= range.from);
        let end = self.rows.partition_point(|(span, _)| span.from < range.to);
        let touched = self.rows.get(start..end).unwrap_or_default();
        let (Some((first, head)), Some((last, tail))) = (touched.first(), touched.last()) else { return };
        let left = (first.split(range.from).0, *head);
        let right = (last.split(range.to).1, *tail);
        self.rows.splice(start..end, [left, right].into_iter().filter(|(span, _)| !span.is_empty()));
    }

    /// Adds `range`, which no span covers, with its value.
    pub(super) fn insert(&mut self, range: OffsetRange, value: T) {
        if range.is_empty() {
            return;
        }
        let at = self.rows.partition_point(|(span, _)| span.from < range.from);
        let joins_next = self.rows.get(at).is_some_and(|(next, v)| next.from == range.to && *v == value);
        let to = if joins_next { self.rows.remove(at).0.to } else { range.to };
        let before = at.checked_sub(1).and_then(|at| self.rows.get_mut(at));
        match before.filter(|(span, v)| span.to == range.from && *v == value) {
            Some((span, _)) => span.to = to,
            None => self.rows.insert(at, (OffsetRange::new(range.from, to), value)),
        }
    }

    /// Keeps the spans for which `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.rows.retain(|(_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Offset;
    use crate::time::Jitter;

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    /// The slow, obvious twin: a value for each offset.
    struct Twin([Option<u8>; 64]);

    impl Twin {
        fn rows(&self) -> Vec<(OffsetRange, u8)> {
            let mut rows: Vec<(OffsetRange, u8)> = Vec::new();
            for (at, value) in (0..).zip(self.0).filter_map(|(at, value)| Some((at, value?))) {
                match rows.last_mut() {
                    Some((last, v)) if last.to == Offset(at) && *v == value => last.to = Offset(at + 1),
                    _ => rows.push((range(at, at + 1), value)),
                }
            }
            rows
        }
    }

    #[test]
    fn spans_do_what_their_twin_does() {
        let mut jitter = Jitter::new(5);
        let (mut spans, mut twin) = (Spans::new(), Twin([None; 64]));
        for _ in 0..20_000 {
            let from = jitter.bits() % 60;
            let want = range(from, from + jitter.bits() % 5);
            let value = (jitter.bits() % 2) as u8;
            let cells = want.from.0 as usize..want.to.0 as usize;
            if jitter.happens(0.5) {
                let mut free = Vec::new();
                spans.uncovered(want, |part| free.push(part));
                let empty = twin.0[cells.clone()].iter().filter(|cell| cell.is_none()).count();
                assert_eq!(free.iter().map(|part| part.len()).sum::<u64>(), empty as u64);
                free.into_iter().for_each(|part| spans.insert(part, value));
                twin.0[cells].iter_mut().for_each(|cell| *cell = cell.or(Some(value)));
            } else {
                spans.cut(want);
                twin.0[cells].fill(None);
            }
            assert_eq!(spans.rows, twin.rows());
        }
    }
}
