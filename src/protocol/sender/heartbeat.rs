//! When a heartbeat is due.

use core::time::Duration;

use crate::time::Time;

/// How long after the last data the first heartbeat follows.
const FIRST: Duration = Duration::from_millis(1);
/// The longest time between two heartbeats, however busy or quiet the stream.
const LAST: Duration = Duration::from_millis(100);
/// The longest nap between two looks at a stream that keeps moving: each wake-up on the publisher's core costs it
/// some 65 µs, so 125 of them a second cost under 1 %.
const NAP: Duration = Duration::from_millis(8);
/// How many more ENDs follow once there is nothing left to wait for.
const FAREWELLS: u32 = 3;

/// What a heartbeat is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// This is where I am.
    Notice,
    /// The publisher is held: where are you?
    Poll,
    /// Nothing follows; where are you?
    End,
    /// Nothing follows; good bye.
    Farewell,
}

/// The schedule: the first heartbeat at once, then 1 ms after data, then 2, 4 … to 100 ms apart; while held or ending
/// the same, counted from when that began.
///
/// Nobody tells it when data leave: it finds out when it looks. A look that comes before its time and finds new data
/// starts the millisecond afresh. A look in its time that finds them lets the heartbeat go that was due, the first
/// time; after that it sleeps twice as long each time, up to 8 ms, since the publisher is at work and every wake-up
/// takes time from it. So, with looks at nothing but [`Schedule::timeout`], the heartbeat after a burst comes at most
/// about twice the burst's length after its end, and within 16 ms.
#[derive(Debug)]
pub(super) struct Schedule {
    tone: Tone,
    due: bool,
    next: Time,
    /// How long after the coming heartbeat the next one follows.
    step: Duration,
    /// How long to sleep when new data are found.
    nap: Duration,
    /// Data were sent since the last heartbeat that was due.
    busy: bool,
    last: Time,
    farewells: u32,
}

impl Schedule {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            tone: Tone::Notice,
            due: true,
            next: now,
            step: FIRST,
            nap: FIRST,
            busy: false,
            last: now,
            farewells: FAREWELLS,
        }
    }

    pub(super) const fn tone(&self) -> Tone {
        self.tone
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    pub(super) const fn is_over(&self) -> bool {
        self.farewells == 0
    }

    /// Whether the stream has been ended.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.tone, Tone::End | Tone::Farewell)
    }

    /// When to look again; `None` while a heartbeat waits to be sent, and when all is over.
    pub(super) fn timeout(&self) -> Option<Time> {
        (!self.due && !self.is_over()).then(|| self.next.min(self.last + LAST))
    }

    /// Looks: `moved` says whether data were sent since the last look.
    pub(super) fn look(&mut self, now: Time, moved: bool) {
        if self.is_over() {
            return;
        }
        let in_time = now >= self.next;
        if moved && self.tone == Tone::Notice {
            if in_time && self.busy {
                self.nap = (self.nap * 2).min(NAP);
            }
            self.due |= in_time && !self.busy;
            self.busy = true;
            self.restart(now + self.nap);
        } else {
            self.due |= in_time;
        }
        self.due |= now >= self.last + LAST;
    }

    /// The heartbeat was sent.
    pub(super) fn sent(&mut self, now: Time) {
        let now = planted!(NoIdleHeartbeat, now + 1_000 * LAST, now);
        (self.due, self.last) = (false, now);
        if self.tone == Tone::Farewell {
            self.farewells = self.farewells.saturating_sub(1);
            self.next = now + FIRST;
        } else if now >= self.next {
            self.next = now + self.step;
            self.step = (self.step * 2).min(LAST);
            (self.nap, self.busy) = (FIRST, false);
        }
    }

    /// The publisher waits for so many receivers, or goes on.
    ///
    /// They report by themselves; to ask helps only where a report was lost, and everybody answers. So the more there
    /// are, the later they are asked: a thousand answers a second at most.
    pub(super) fn set_held(&mut self, now: Time, held: bool, receivers: usize) {
        if self.is_ending() || held == (self.tone == Tone::Poll) {
            return;
        }
        self.tone = if held { Tone::Poll } else { Tone::Notice };
        (self.nap, self.busy) = (FIRST, false);
        let receivers = u32::try_from(receivers).unwrap_or(u32::MAX).max(1);
        let first = if held { FIRST.saturating_mul(receivers).min(LAST) } else { FIRST };
        (self.next, self.step) = (now + first, (2 * first).min(LAST));
    }

    /// END takes the place of the heartbeat: the first at once.
    pub(super) fn finish(&mut self, now: Time) {
        if !self.is_ending() {
            (self.tone, self.due, self.next, self.step) = (Tone::End, true, now, FIRST);
        }
    }

    /// Three more ENDs, a millisecond apart, the first at once.
    pub(super) fn conclude(&mut self, now: Time) {
        if self.tone != Tone::Farewell {
            (self.tone, self.due, self.next) = (Tone::Farewell, true, now);
        }
    }

    fn restart(&mut self, next: Time) {
        (self.next, self.step) = (next, 2 * FIRST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs to `end` in milliseconds, sending what is due at once, with `moved` saying whether data were sent since
    /// the last look, and gives when heartbeats left.
    fn run(schedule: &mut Schedule, end: u64, mut moved: impl FnMut(Time) -> bool) -> Vec<u64> {
        let mut left = Vec::new();
        loop {
            if schedule.is_due() {
                unreachable!("sent in the same turn");
            }
            let Some(at) = schedule.timeout().filter(|at| *at <= Time::from_millis(end)) else { return left };
            schedule.look(at, moved(at));
            if schedule.is_due() {
                schedule.sent(at);
                left.push(at.0 / 1_000_000);
            }
        }
    }

    fn opened() -> Schedule {
        let mut schedule = Schedule::new(Time::ZERO);
        assert!(schedule.is_due() && schedule.timeout().is_none());
        schedule.sent(Time::ZERO);
        schedule
    }

    #[test]
    fn heartbeats_thin_out_after_data() {
        let mut schedule = opened();
        assert_eq!(run(&mut schedule, 500, |_| false), [1, 3, 7, 15, 31, 63, 127, 227, 327, 427]);
        schedule.look(Time::from_millis(500), true);
        assert_eq!(run(&mut schedule, 830, |_| false), [501, 503, 507, 515, 531, 563, 627, 727, 827]);
    }

    #[test]
    fn a_busy_stream_has_ten_a_second_and_few_looks() {
        let (mut schedule, mut looks) = (opened(), 0);
        let left = run(&mut schedule, 10_000, |_| {
            looks += 1;
            true
        });
        assert_eq!(left.len(), 100);
        assert!(left.iter().zip(1..).all(|(at, n)| *at == n * 100 - 99));
        assert!(looks < 1_500, "{looks}");
        let after = run(&mut schedule, 10_030, |_| false);
        assert!(after.first().is_some_and(|at| *at <= 10_016), "{after:?}");
    }

    #[test]
    fn looks_that_come_with_every_message_give_exactly_a_millisecond() {
        let mut schedule = opened();
        for at in 1..=50_u64 {
            schedule.look(Time::from_micros(at * 900), true);
            assert!(!schedule.is_due());
        }
        schedule.look(Time::from_micros(45_999), false);
        assert!(!schedule.is_due());
        assert_eq!(schedule.timeout(), Some(Time::from_micros(46_000)));
    }

    #[test]
    fn a_held_publisher_polls() {
        let mut schedule = opened();
        run(&mut schedule, 100, |_| false);
        schedule.set_held(Time::from_millis(100), true, 1);
        schedule.set_held(Time::from_millis(100), true, 1);
        assert_eq!(schedule.tone(), Tone::Poll);
        assert_eq!(run(&mut schedule, 430, |_| true), [101, 103, 107, 115, 131, 163, 227, 327, 427]);
        schedule.set_held(Time::from_millis(430), false, 1);
        assert_eq!(run(&mut schedule, 434, |_| false), [431, 433]);
    }

    #[test]
    fn a_large_group_is_polled_later() {
        for (receivers, asked) in [(0, [101, 103, 107]), (16, [116, 148, 212]), (5_000, [200, 300, 400])] {
            let mut schedule = opened();
            run(&mut schedule, 100, |_| false);
            schedule.sent(Time::from_millis(100));
            schedule.set_held(Time::from_millis(100), true, receivers);
            let polls = run(&mut schedule, 400, |_| true);
            assert_eq!(polls[..3], asked, "{receivers}");
        }
    }

    #[test]
    fn the_end_is_said_at_once_and_three_times_more() {
        let mut schedule = opened();
        schedule.finish(Time::from_millis(10));
        schedule.sent(Time::from_millis(10));
        assert_eq!(run(&mut schedule, 20, |_| false), [11, 13, 17]);
        schedule.conclude(Time::from_millis(20));
        schedule.sent(Time::from_millis(20));
        assert_eq!(run(&mut schedule, 1_000, |_| false), [21, 22]);
        assert!(schedule.is_over() && schedule.timeout().is_none() && !schedule.is_due());
    }
}
