//! When a message leaves: alone at once, or gathered with others in a burst, by itself.

use core::time::Duration;

use crate::time::Time;

/// A message that follows a send within this time is soon: the application is in a burst (measured: a request or a
/// feed paced at 100,000 messages a second never is).
const SOON: Duration = Duration::from_micros(3);
/// Soon messages in a row that still leave alone: a short burst costs no latency.
const ALONE: u32 = 8;
/// A hold of 2¹² messages fills any train of usual messages.
const MOST_DOUBLINGS: u32 = 12;
/// The most messages between two looks: a feed that slows down in the middle of a hold is found out.
const MOST_STRIDE: u64 = 256;
/// How often within a linger a holding publisher looks at the time.
const LOOKS: u64 = 8;

/// What becomes of the first message after everything was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It is sent at once.
    Alone,
    /// It waits for others, until there are so many, a train is full, or the linger is over.
    Hold {
        /// Messages that may wait.
        messages: u64,
    },
}

/// What a holding publisher does after a look at the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Send what waits.
    Flush,
    /// Hold on, and look again after so many messages.
    HoldOn {
        /// Messages until the next look.
        messages: u64,
    },
}

/// The rule by which a publisher gathers, without reading the clock for each message: only for the first one after a
/// send, and some eight times within a linger while it holds.
///
/// The first 8 messages that each follow a send within 3 µs leave alone; then up to 2, 4, 8 … are held. A pause takes
/// the streak back, and one as long as the linger ends it.
#[derive(Debug)]
pub struct Linger {
    most: Duration,
    sent_at: Option<Time>,
    streak: u32,
    since: Time,
    budget: u64,
    stride: u64,
    /// How far apart the messages of the last hold were.
    apart: Option<Duration>,
}

impl Linger {
    /// A rule that holds no message longer than `most` while messages flow; zero sends each alone.
    #[must_use]
    pub const fn new(most: Duration) -> Self {
        Self { most, sent_at: None, streak: 0, since: Time::ZERO, budget: 0, stride: 1, apart: None }
    }

    /// A message comes when nothing waits.
    pub fn on_first(&mut self, now: Time) -> Leave {
        let gap = self.gap(now);
        self.update_streak(gap);
        if self.streak <= ALONE || self.most.is_zero() {
            return Leave::Alone;
        }
        self.since = now;
        self.budget = 1 << (self.streak - ALONE).min(MOST_DOUBLINGS);
        // After a pause the burst may be over: then the next message tells.
        self.stride = if gap < SOON { (self.budget / LOOKS).clamp(1, MOST_STRIDE) } else { 1 };
        Leave::Hold { messages: self.budget }
    }

    /// How long ago the message before this one came, or was sent.
    fn gap(&mut self, now: Time) -> Duration {
        // A message that finds a hold over follows a send at once, however slowly messages come.
        let apart = self.apart.take().unwrap_or_default();
        self.sent_at.map_or(Duration::MAX, |sent_at| now.since(sent_at)).max(apart)
    }

    fn update_streak(&mut self, gap: Duration) {
        self.streak = if gap < SOON {
            (self.streak + 1).min(ALONE + MOST_DOUBLINGS)
        } else if gap >= self.most {
            0
        } else {
            self.streak.saturating_sub(1)
        };
    }

    /// How many messages may come before the next look at the time.
    #[must_use]
    pub const fn stride(&self) -> u64 {
        self.stride
    }

    /// Whether `waiting` messages are as many as may wait.
    #[must_use]
    const fn is_enough(&self, waiting: u64) -> bool {
        waiting >= self.budget
    }

    /// A look at the time while `waiting` messages wait.
    pub fn look(&mut self, now: Time, waiting: u64) -> Look {
        let held = now.since(self.since);
        let each = held.as_nanos() as u64 / waiting.max(1);
        if self.is_enough(waiting) || held >= self.most {
            if held >= self.most {
                // So few came in a whole linger: next time, hold no more than that.
                self.streak = self.streak.min(ALONE + waiting.max(1).ilog2().saturating_sub(1));
            }
            self.apart = Some(Duration::from_nanos(each));
            return Look::Flush;
        }
        let apart = self.most.as_nanos() as u64 / LOOKS;
        self.stride = apart.checked_div(each).unwrap_or(self.budget).clamp(1, self.budget.min(MOST_STRIDE));
        Look::HoldOn { messages: self.stride }
    }

    /// What waited was sent, by now.
    pub const fn on_sent(&mut self, now: Time) {
        self.sent_at = Some(now);
    }

    /// The same, and it took until now, while the next hold had begun: that begins now.
    pub fn on_written(&mut self, now: Time) {
        self.on_sent(now);
        self.since = self.since.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_micros(50);

    fn at(nanos: u64) -> Time {
        Time(nanos)
    }

    #[test]
    fn requests_and_paced_feeds_are_never_held() {
        for gap in [4_000, 20_000, 1_000_000] {
            let mut linger = Linger::new(LINGER);
            for n in 1..10_000 {
                assert_eq!(linger.on_first(at(n * gap)), Leave::Alone, "{gap} ns apart");
                linger.on_sent(at(n * gap));
            }
        }
    }

    #[test]
    fn a_tight_loop_holds_ever_more() {
        let mut linger = Linger::new(LINGER);
        let holds: Vec<_> = (1..14)
            .map(|n| {
                let leave = linger.on_first(at(n * 100));
                linger.on_sent(at(n * 100));
                leave
            })
            .collect();
        assert!(holds[..9].iter().all(|leave| *leave == Leave::Alone), "{holds:?}");
        let more = [2, 4, 8, 16].map(|messages| Leave::Hold { messages });
        assert_eq!(holds[9..], more);
    }

    #[test]
    fn a_hold_ends_with_its_linger_or_its_budget() {
        let mut linger = Linger::new(LINGER);
        for n in 1..14 {
            linger.on_first(at(n * 100));
            linger.on_sent(at(n * 100));
        }
        let leave = linger.on_first(at(1_400));
        assert_eq!(leave, Leave::Hold { messages: 32 });
        assert!(matches!(linger.look(at(11_400), 4), Look::HoldOn { messages: 2 }));
        assert_eq!(linger.look(at(11_500), 32), Look::Flush);
        assert_eq!(linger.look(at(51_400), 20), Look::Flush);
        linger.on_sent(at(51_500));
        assert_eq!(linger.on_first(at(51_600)), Leave::Hold { messages: 16 }, "as few as came in a linger");
    }

    #[test]
    fn a_burst_that_turns_into_a_paced_feed_is_held_no_longer() {
        let mut linger = Linger::new(LINGER);
        for n in 1..30 {
            linger.on_first(at(n * 100));
            linger.on_sent(at(n * 100));
        }
        // Messages 20 µs apart; the one that finds the hold over is the first after its flush.
        assert!(matches!(linger.on_first(at(3_000)), Leave::Hold { .. }));
        assert!(matches!(linger.look(at(23_000), 1), Look::HoldOn { .. }));
        assert!(matches!(linger.look(at(43_000), 2), Look::HoldOn { .. }));
        assert_eq!(linger.look(at(63_000), 3), Look::Flush);
        linger.on_sent(at(69_000));
        assert_eq!(linger.on_first(at(69_000)), Leave::Alone);
    }

    /// Whatever flushed the burst: the streak must not hold a feed for which it is much too long.
    #[test]
    fn a_slow_feed_right_after_a_flushed_burst_is_not_held() {
        let mut linger = Linger::new(LINGER);
        for n in 1..30 {
            linger.on_first(at(n * 100));
            linger.on_sent(at(n * 100));
        }
        for n in 1..100 {
            assert_eq!(linger.on_first(at(3_000 + n * 160_000)), Leave::Alone, "message {n}");
            linger.on_sent(at(3_000 + n * 160_000));
        }
    }

    #[test]
    fn after_a_short_pause_the_second_message_tells_whether_the_burst_goes_on() {
        let mut linger = Linger::new(LINGER);
        for n in 1..30 {
            linger.on_first(at(n * 100));
            linger.on_sent(at(n * 100));
        }
        let leave = linger.on_first(at(23_000));
        assert!(matches!(leave, Leave::Hold { messages: 2_048.. }), "{leave:?}");
        assert_eq!(linger.stride(), 1);
        assert_eq!(linger.look(at(23_100), 2), Look::HoldOn { messages: 125 }, "it goes on");
    }

    #[test]
    fn the_time_that_a_write_takes_ends_no_hold() {
        let mut linger = Linger::new(LINGER);
        for n in 1..30 {
            linger.on_first(at(n * 100));
            linger.on_sent(at(n * 100));
        }
        assert!(matches!(linger.on_first(at(3_000)), Leave::Hold { .. }));
        linger.on_written(at(93_000));
        assert!(matches!(linger.look(at(93_100), 2), Look::HoldOn { .. }));
        assert_eq!(linger.look(at(144_000), 3), Look::Flush);
    }

    #[test]
    fn a_pause_ends_the_streak() {
        let mut linger = Linger::new(LINGER);
        for n in 1..14 {
            linger.on_first(at(n * 100));
            linger.on_sent(at(n * 100));
        }
        assert_eq!(linger.on_first(at(1_000_000)), Leave::Alone);
        linger.on_sent(at(1_000_100));
        assert_eq!(linger.on_first(at(1_000_200)), Leave::Alone);
    }
}
