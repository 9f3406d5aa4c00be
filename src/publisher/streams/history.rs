//! Whose turn it is among the connections that are late, and when: what is published now must not wait for what was
//! published before, neither here nor where it is received.

use core::time::Duration;

use crate::time::Time;

/// So much is written to one of them at a time.
pub(super) const PIECE: usize = 64 << 10;
/// What was not written when it was time may be written later, up to so many bytes.
const SAVED: u64 = 4 * PIECE as u64;
/// Bytes of history to each of them for every byte that is published: twice as fast as the present goes on.
const TIMES: u64 = 2;
/// Bytes of history a second to each of them that it gets however little is published.
const LEAST: u64 = 32 << 20;
/// Bytes of history a second to all of them together.
const MOST: u64 = 512 << 20;

/// A publisher that has published nothing for so long is idle.
const IDLE: Duration = Duration::from_millis(10);

/// The turns of those that are late.
#[derive(Debug, Default)]
pub(super) struct History {
    /// How many there are.
    count: u64,
    /// The first of them, and the first after the one whose turn was last.
    first: Option<usize>,
    following: Option<usize>,
    last: usize,
    /// Bytes that may be written of history.
    credit: u64,
    /// What was published by then.
    seen: (Time, u64),
    /// When there was something new last.
    moved_at: Time,
}

impl History {
    /// They are counted anew.
    pub(super) const fn begin(&mut self) {
        (self.count, self.first, self.following) = (0, None, None);
    }

    /// The next of them by number.
    pub(super) fn count(&mut self, number: usize) {
        self.count += 1;
        self.first.get_or_insert(number);
        if number > self.last {
            self.following.get_or_insert(number);
        }
    }

    /// Whose turn it is, if it is time; by `now` so many bytes were `published`.
    pub(super) fn turn(&mut self, now: Time, published: u64) -> Option<usize> {
        let number = self.following.or(self.first)?;
        let (at, before) = self.seen;
        self.seen = (now, published);
        if published != before {
            self.moved_at = now;
        }
        let is_idle = now.since(self.moved_at) >= IDLE;
        let allowed = allowance(self.count, now.since(at), (!is_idle).then_some(published - before));
        self.credit = (self.credit + allowed).min(SAVED);
        self.credit = self.credit.checked_sub(PIECE as u64)?;
        self.last = number;
        Some(number)
    }

    /// When it is the next one's turn.
    pub(super) fn next_turn(&self) -> Option<Time> {
        let left = (PIECE as u64).saturating_sub(self.credit);
        let rate = (LEAST * self.count).min(MOST);
        let wait = Duration::from_nanos((left * 1_000_000_000).checked_div(rate)?);
        Some(self.seen.0 + wait)
    }
}

/// Bytes of history that `count` connections may be written for a time in which so much was published; `None` when nothing
/// has been for long, and there is nobody to wait.
fn allowance(count: u64, time: Duration, published: Option<u64>) -> u64 {
    let bytes = |rate: u64| (u128::from(rate) * time.as_nanos() / 1_000_000_000) as u64;
    let wanted = published.map(|published| count * bytes(LEAST).max(TIMES * published));
    wanted.unwrap_or(u64::MAX).min(bytes(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_micros(100);
    const TICKS: u64 = 10_000;

    /// Who had a turn in a second, in each tick of which so many bytes were published.
    fn turns(late: &[usize], published: u64) -> Vec<usize> {
        let mut history = History::default();
        let turn = |tick: u64| {
            history.begin();
            late.iter().for_each(|number| history.count(*number));
            history.turn(Time::ZERO + TICK * (tick + 1) as u32, published * tick)
        };
        (0..TICKS).filter_map(turn).collect()
    }

    fn bytes(late: &[usize], published: u64) -> u64 {
        (turns(late, published).len() * PIECE) as u64
    }

    #[test]
    fn they_take_turns() {
        assert_eq!(turns(&[2, 5, 9], 1_000)[..6], [2, 5, 9, 2, 5, 9]);
        assert!(turns(&[], 1_000).is_empty());
    }

    #[test]
    fn each_gets_twice_what_is_published_or_a_least_and_all_together_no_more_than_a_most() {
        let near =
            |bytes: u64, wanted: u64| assert!(bytes.abs_diff(wanted) < wanted / 10, "{bytes}: {wanted}");
        near(bytes(&[0], 1), LEAST);
        near(bytes(&[0, 1, 2], 1), 3 * LEAST);
        near(bytes(&[0], 3_200), TIMES * 32_000_000);
        assert!(bytes(&[0; 1_000], 1_000) <= MOST);
    }

    #[test]
    fn while_nothing_is_published_nobody_has_to_wait() {
        let mut history = History::default();
        for tick in 0..100 {
            history.begin();
            history.count(0);
            let now = Time::ZERO + 10 * TICK * tick;
            let is_turn = history.turn(now, 1_000).is_some();
            assert!(is_turn || tick < 12, "{tick}");
            assert!(history.next_turn().is_some_and(|at| at <= now + 20 * TICK));
        }
    }
}
