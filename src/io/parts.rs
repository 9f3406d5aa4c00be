//! Cuts a run of datagrams into the parts of one system call.
//!
//! ```text
//! sizes   1400 1400 1400 900 | 700 | 1400 1400
//! parts   one of 4 segments    one   one of 2 segments
//! ```

/// The most parts handed to one system call.
pub(super) const MOST_PARTS: usize = 64;

/// The most datagrams the kernel cuts out of one part (`UDP_MAX_SEGMENTS`, 64 before Linux 6.9).
const MOST_SEGMENTS: usize = 64;

/// The most bytes one part may carry: an IPv4 packet of 65,535 less its two headers.
const MOST_BYTES: usize = 65_507;

/// One element of a send: a single datagram, or a train that the kernel (or the network card) cuts apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The datagrams, end to end.
    pub(super) bytes: &'a [u8],
    /// The size of each but the last, which may be shorter; `None` for a single datagram.
    pub(super) segment: Option<u16>,
}

impl Part<'_> {
    /// How many datagrams the part holds.
    pub(super) fn datagrams(&self) -> usize {
        self.segment.map_or(1, |segment| self.bytes.len().div_ceil(usize::from(segment.max(1))))
    }
}

/// Consecutive datagrams that wait to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// The datagrams, end to end.
    pub(super) bytes: &'a [u8],
    /// The size of each.
    pub(super) sizes: &'a [u16],
}

impl<'a> Run<'a> {
    /// Whether the sizes account for every byte.
    pub(super) fn is_consistent(&self) -> bool {
        self.sizes.iter().map(|&size| usize::from(size)).sum::<usize>() == self.bytes.len()
    }

    /// Writes the first parts of the run into `parts` and says how many; trains are only built when `joined`.
    pub(super) fn gather(mut self, joined: bool, parts: &mut [Part<'a>; MOST_PARTS]) -> usize {
        let mut count = 0;
        while let Some(slot) = parts.get_mut(count)
            && let Some(part) = self.first(joined)
        {
            *slot = part;
            self.skip(&part);
            count += 1;
        }
        count
    }

    /// Drops the datagrams of `part` from the front.
    pub(super) fn skip(&mut self, part: &Part<'_>) {
        self.bytes = self.bytes.get(part.bytes.len()..).unwrap_or_default();
        self.sizes = self.sizes.get(part.datagrams()..).unwrap_or_default();
    }

    /// The longest part that starts here.
    fn first(&self, joined: bool) -> Option<Part<'a>> {
        let &size = self.sizes.first()?;
        let (length, datagrams) = if joined { self.train(size) } else { (usize::from(size), 1) };
        let segment = (datagrams > 1).then_some(size);
        Some(Part { bytes: self.bytes.get(..length).unwrap_or_default(), segment })
    }

    /// Bytes and datagrams of the train that starts here: equal sizes, closed by the first shorter one.
    fn train(&self, size: u16) -> (usize, usize) {
        let (mut length, mut datagrams) = (usize::from(size), 1);
        for &next in &self.sizes[1..] {
            let fits = datagrams < MOST_SEGMENTS && length + usize::from(next) <= MOST_BYTES;
            if !fits || next > size || next == 0 {
                break;
            }
            length += usize::from(next);
            datagrams += 1;
            if next < size {
                break;
            }
        }
        (length, datagrams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a run as (datagrams, bytes, segment).
    fn cut(sizes: &[u16], joined: bool) -> Vec<(usize, usize, Option<u16>)> {
        let bytes = vec![0; sizes.iter().map(|&size| usize::from(size)).sum()];
        let mut run = Run { bytes: &bytes, sizes };
        let mut cut = Vec::new();
        while !run.sizes.is_empty() {
            let mut parts = [Part::default(); MOST_PARTS];
            let count = run.gather(joined, &mut parts);
            for part in &parts[..count] {
                cut.push((part.datagrams(), part.bytes.len(), part.segment));
                run.skip(part);
            }
        }
        assert!(run.bytes.is_empty());
        cut
    }

    #[test]
    fn a_shorter_datagram_closes_a_train_and_a_longer_one_starts_the_next() {
        let sizes = [1400, 1400, 900, 700, 1400, 1400, 5];
        assert_eq!(cut(&sizes, true), [(3, 3700, Some(1400)), (1, 700, None), (3, 2805, Some(1400))]);
        assert_eq!(cut(&sizes, false).len(), 7);
    }

    #[test]
    fn a_train_stays_under_the_kernel_limits() {
        assert_eq!(cut(&[1400; 50], true)[0], (46, 64_400, Some(1400)));
        assert_eq!(cut(&[100; 130], true)[0], (64, 6_400, Some(100)));
        assert_eq!(cut(&[65_000, 600], true), [(1, 65_000, None), (1, 600, None)]);
        assert_eq!(cut(&[65_000, 507], true), [(2, 65_507, Some(65_000))]);
    }

    #[test]
    fn no_more_parts_than_one_call_takes() {
        let rising: Vec<u16> = (1..=200).collect();
        let bytes = vec![0; 20_100];
        let run = Run { bytes: &bytes, sizes: &rising };
        assert_eq!(run.gather(true, &mut [Part::default(); MOST_PARTS]), MOST_PARTS);
        assert_eq!(cut(&rising, true).len(), 200);
    }

    #[test]
    fn an_empty_datagram_travels_alone() {
        assert_eq!(cut(&[10, 0, 0, 10], true), [(1, 10, None), (1, 0, None), (1, 0, None), (1, 10, None)]);
    }

    #[test]
    fn sizes_must_account_for_every_byte() {
        assert!(Run { bytes: &[0; 5], sizes: &[2, 3] }.is_consistent());
        assert!(!Run { bytes: &[0; 4], sizes: &[2, 3] }.is_consistent());
    }
}
