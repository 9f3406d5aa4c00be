//! How far one run got at each of several places.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use crate::publisher::fan::Way;
use crate::time::Time;

/// What is known of one line's socket.
#[derive(Debug, Clone, Copy, Default)]
struct Socket {
    /// It had no room for something of this run.
    full: bool,
    /// Since when it has taken nothing.
    since: Option<Time>,
    /// It has kept other lines waiting for too long: they go on without it, until it takes something again.
    lags: bool,
}

/// The run of batches that is being sent, which each place takes at its own pace: sockets fill up in the middle.
#[derive(Debug)]
pub(super) struct Pass {
    ways: Arc<[Way]>,
    /// Datagrams of the run that each has taken.
    taken: Vec<usize>,
    lines: Vec<Socket>,
}

impl Pass {
    pub(super) fn new(ways: Arc<[Way]>, lines: usize) -> Self {
        Self { taken: vec![0; ways.len()], ways, lines: vec![Socket::default(); lines] }
    }

    /// Goes to these places from now on; who is new begins with the run.
    pub(super) fn follow(&mut self, ways: &Arc<[Way]>) {
        if Arc::ptr_eq(&self.ways, ways) {
            return;
        }
        let before: HashMap<&Way, usize> = self.ways.iter().zip(self.taken.iter().copied()).collect();
        self.taken = ways.iter().map(|way| before.get(way).copied().unwrap_or(0)).collect();
        self.ways = Arc::clone(ways);
    }

    /// Hands each place what it has not taken of the datagrams with these sizes: `hand_over` is given the place, where in the
    /// bytes that begins, and its sizes, and says how many it takes. Gives a line that had no room, if any.
    pub(super) fn run(
        &mut self,
        sizes: &[u16],
        mut hand_over: impl FnMut(&Way, usize, &[u16]) -> usize,
    ) -> Option<u8> {
        self.lines.iter_mut().for_each(|line| line.full = false);
        for (way, taken) in self.ways.iter().zip(&mut self.taken) {
            let Some(line) = self.lines.get_mut(usize::from(way.line)) else { continue };
            let (before, rest) = sizes.split_at((*taken).min(sizes.len()));
            if rest.is_empty() || line.full {
                continue;
            }
            let at = before.iter().map(|size| usize::from(*size)).sum();
            let more = hand_over(way, at, rest);
            *taken += more;
            line.full = more < rest.len();
            if more > 0 {
                (line.since, line.lags) = (None, false);
            }
        }
        self.lines.iter().zip(0..).find(|(line, _)| line.full).map(|(_, number)| number)
    }

    /// A line has no room: it must not keep others waiting, which have, for longer than `patience`.
    pub(super) fn mind_laggards(&mut self, now: Time, patience: Duration) {
        let is_used = |number: usize| self.ways.iter().any(|way| usize::from(way.line) == number);
        let somebody_waits =
            self.lines.iter().enumerate().any(|(number, line)| !line.full && is_used(number));
        for line in self.lines.iter_mut().filter(|line| line.full) {
            let since = *line.since.get_or_insert(now);
            line.lags |= somebody_waits && now.since(since) >= patience;
        }
    }

    /// How many of `count` datagrams are done with; what a line that lags has not taken of them goes to `skipped`.
    pub(super) fn settle(&mut self, count: usize, mut skipped: impl FnMut(&Way, usize)) -> usize {
        let Self { ways, taken, lines } = self;
        let lags = |way: &Way| lines.get(usize::from(way.line)).is_some_and(|line| line.lags);
        // Where nobody else is left, it is waited for as any.
        let anybody_else = ways.iter().any(|way| !lags(way));
        let is_waited_for = |(way, _): &(&Way, &usize)| !anybody_else || !lags(way);
        let waited_for = ways.iter().zip(taken.iter()).filter(is_waited_for).map(|(_, taken)| *taken);
        let done = waited_for.min().unwrap_or(count).min(count);
        for (way, taken) in ways.iter().zip(taken) {
            if *taken < done {
                skipped(way, done - *taken);
            }
            *taken = taken.saturating_sub(done);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u16; 4] = [100, 100, 100, 50];
    const PATIENCE: Duration = Duration::from_millis(20);

    fn ways(lines: &[u8]) -> Arc<[Way]> {
        let way = |(line, port)| Way { line, to: std::net::SocketAddr::from(([10, 0, 0, 1], port)) };
        lines.iter().copied().zip(1..).map(way).collect()
    }

    /// One attempt at `millis`, each place taking so many at most; gives what is done with and what was skipped.
    fn attempt(pass: &mut Pass, millis: u64, sizes: &[u16], room: &[usize]) -> (usize, usize) {
        let full = pass.run(sizes, |way, at, rest| {
            let all: usize = sizes.iter().map(|size| usize::from(*size)).sum();
            assert_eq!(all - at, rest.iter().map(|size| usize::from(*size)).sum::<usize>());
            rest.len().min(room[usize::from(way.to.port()) - 1])
        });
        if full.is_some() {
            pass.mind_laggards(Time::from_millis(millis), PATIENCE);
        }
        let mut skipped = 0;
        (pass.settle(sizes.len(), |_, count| skipped += count), skipped)
    }

    #[test]
    fn each_place_goes_on_where_its_socket_was_full() {
        let mut pass = Pass::new(ways(&[0, 1]), 2);
        assert_eq!(attempt(&mut pass, 0, &SIZES, &[4, 1]), (1, 0));
        assert_eq!(attempt(&mut pass, 1, &SIZES[1..], &[0, 0]), (0, 0));
        assert_eq!(attempt(&mut pass, 2, &SIZES[1..], &[0, 3]), (3, 0), "the first has taken them already");
    }

    #[test]
    fn a_full_line_is_waited_for_only_so_long_and_then_left_behind_until_it_has_room() {
        let mut pass = Pass::new(ways(&[0, 1]), 2);
        assert_eq!(attempt(&mut pass, 0, &SIZES, &[4, 1]), (1, 0));
        assert_eq!(attempt(&mut pass, 19, &SIZES[1..], &[0, 0]), (0, 0));
        assert_eq!(attempt(&mut pass, 20, &SIZES[1..], &[0, 0]), (3, 3));
        assert_eq!(attempt(&mut pass, 21, &SIZES, &[4, 0]), (4, 4), "and no longer, each time");
        assert_eq!(attempt(&mut pass, 22, &SIZES, &[4, 2]), (2, 0), "here again");
        assert_eq!(attempt(&mut pass, 41, &SIZES[2..], &[0, 0]), (0, 0));
    }

    #[test]
    fn where_all_are_full_the_publisher_waits() {
        let mut pass = Pass::new(ways(&[0, 1]), 2);
        for millis in [0, 100, 10_000] {
            assert_eq!(attempt(&mut pass, millis, &SIZES, &[0, 0]), (0, 0));
        }
        assert_eq!(attempt(&mut pass, 10_001, &SIZES, &[1, 2]), (1, 0));
    }

    #[test]
    fn places_on_one_full_line_take_turns() {
        let mut pass = Pass::new(ways(&[0, 0, 0]), 1);
        assert_eq!(attempt(&mut pass, 0, &SIZES, &[4, 2, 9]), (0, 0));
        assert_eq!(attempt(&mut pass, 1, &SIZES, &[9, 9, 1]), (1, 0));
        assert_eq!(attempt(&mut pass, 2, &SIZES[1..], &[9, 9, 3]), (3, 0));
    }

    #[test]
    fn a_line_that_is_slow_for_its_many_places_is_not_left_behind() {
        let mut pass = Pass::new(ways(&[0, 1, 1]), 2);
        assert_eq!(attempt(&mut pass, 0, &SIZES, &[4, 1, 0]), (0, 0));
        assert_eq!(attempt(&mut pass, 15, &SIZES, &[4, 1, 0]), (0, 0));
        assert_eq!(
            attempt(&mut pass, 30, &SIZES, &[4, 2, 1]),
            (1, 0),
            "it moves, though the last waits for long"
        );
    }

    #[test]
    fn who_comes_in_the_middle_of_a_run_gets_all_of_it_and_nobody_is_done_at_once() {
        let mut pass = Pass::new(ways(&[0, 1]), 2);
        assert_eq!(attempt(&mut pass, 0, &SIZES, &[4, 2]), (2, 0));
        pass.follow(&ways(&[0, 1, 1]));
        assert_eq!(attempt(&mut pass, 0, &SIZES[2..], &[9, 2, 2]), (2, 0));
        pass.follow(&ways(&[]));
        assert_eq!(attempt(&mut pass, 0, &SIZES, &[]), (4, 0), "to nobody");
    }
}
