//! Counting what came: in order or not, and how late.

use hdrhistogram::Histogram;

use crate::message::END;
use crate::message::WARM_UP;
use crate::message::read_head;
use crate::system;

/// Gaps that are remembered, to tell a late message from a second one.
const GAPS: usize = 4_096;

/// The longest latency told apart from longer ones: a minute.
const LONGEST: u64 = 60_000_000_000;

/// A histogram of nanoseconds, three digits exact.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that fit")
}

/// What a subscriber counts.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The next sequence number expected.
    next: u64,
    /// Numbers skipped and not seen since.
    missing: u64,
    /// Where those are; from, to.
    gaps: Vec<(u64, u64)>,
    bytes: usize,
    pub(crate) duplicates: u64,
    pub(crate) disordered: u64,
    pub(crate) malformed: u64,
    /// What the end marker says was published.
    pub(crate) published: Option<u64>,
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            next: 0,
            missing: 0,
            gaps: Vec::with_capacity(GAPS),
            bytes,
            duplicates: 0,
            disordered: 0,
            malformed: 0,
            published: None,
            latency: histogram(),
        }
    }

    /// Takes in a message.
    #[inline]
    pub(crate) fn take(&mut self, message: &[u8]) {
        match read_head(message) {
            Some((sequence, intended)) if sequence == self.next && message.len() == self.bytes => {
                self.next += 1;
                if intended != 0 {
                    self.time(intended);
                }
            }
            Some(head) if message.len() == self.bytes => self.take_odd(head),
            _ => self.malformed += 1,
        }
    }

    /// Whether a message came, or the end of none.
    pub(crate) fn has_begun(&self) -> bool {
        self.next > 0 || self.published.is_some()
    }

    /// Each number once, however it came.
    pub(crate) fn delivered(&self) -> u64 {
        self.next - self.missing
    }

    /// Published and never delivered.
    pub(crate) fn lost(&self) -> u64 {
        self.published.unwrap_or(self.next).saturating_sub(self.delivered())
    }

    fn time(&mut self, intended: u64) {
        self.latency.saturating_record(system::now().saturating_sub(intended));
    }

    #[cold]
    fn take_odd(&mut self, (sequence, word): (u64, u64)) {
        match sequence {
            END => self.published = Some(word),
            WARM_UP => {}
            _ if sequence > self.next => {
                self.missing += sequence - self.next;
                if self.gaps.len() < GAPS {
                    self.gaps.push((self.next, sequence));
                }
                self.next = sequence;
                self.next += 1;
                if word != 0 {
                    self.time(word);
                }
            }
            _ => self.take_earlier(sequence, word),
        }
    }

    fn take_earlier(&mut self, sequence: u64, word: u64) {
        let found = self.gaps.iter().position(|(from, to)| (*from..*to).contains(&sequence));
        let Some(at) = found else {
            self.duplicates += 1;
            return;
        };
        let (from, to) = self.gaps.swap_remove(at);
        let halves = [(from, sequence), (sequence + 1, to)];
        self.gaps.extend(halves.into_iter().filter(|(from, to)| from < to));
        self.missing -= 1;
        self.disordered += 1;
        if word != 0 {
            self.time(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    /// What a tally of 16-byte messages makes of these, and of an end after `published`.
    fn tally(sequences: &[u64], published: u64) -> Tally {
        let (mut tally, mut message) = (Tally::new(16), Message::new(16));
        for sequence in sequences {
            tally.take(message.write(*sequence, 0));
        }
        tally.take(message.write(END, published));
        tally
    }

    fn figures(tally: &Tally) -> [u64; 4] {
        [tally.delivered(), tally.lost(), tally.duplicates, tally.disordered]
    }

    #[test]
    fn all_in_order() {
        assert_eq!(figures(&tally(&[0, 1, 2, 3], 4)), [4, 0, 0, 0]);
        assert_eq!(figures(&tally(&[], 0)), [0; 4]);
    }

    #[test]
    fn what_never_comes_is_lost_wherever_it_was() {
        assert_eq!(figures(&tally(&[2, 3, 6], 10)), [3, 7, 0, 0]);
        assert_eq!(figures(&tally(&[], 3)), [0, 3, 0, 0]);
    }

    #[test]
    fn late_ones_are_disordered_and_second_ones_duplicates() {
        assert_eq!(figures(&tally(&[0, 4, 2, 1, 3], 5)), [5, 0, 0, 3]);
        assert_eq!(figures(&tally(&[0, 1, 1, 0, 4, 4, 2, 2], 5)), [4, 1, 4, 1]);
    }

    #[test]
    fn without_an_end_only_gaps_are_lost() {
        let (mut tally, mut message) = (Tally::new(16), Message::new(16));
        for sequence in [0, 5] {
            tally.take(message.write(sequence, 0));
        }
        assert_eq!(figures(&tally), [2, 4, 0, 0]);
    }

    #[test]
    fn strange_messages_and_warming_up_do_not_count() {
        let (mut tally, mut message) = (Tally::new(16), Message::new(16));
        tally.take(message.write(WARM_UP, 9));
        tally.take(&[0; 15]);
        tally.take(&[0; 17]);
        assert_eq!((figures(&tally), tally.malformed, tally.has_begun()), ([0; 4], 2, false));
    }

    #[test]
    fn only_timed_messages_have_a_latency() {
        let (mut tally, mut message) = (Tally::new(16), Message::new(16));
        for (sequence, intended) in [(0, 0), (1, system::now()), (3, system::now()), (2, system::now())] {
            tally.take(message.write(sequence, intended));
        }
        assert_eq!(tally.latency.len(), 3);
    }
}
