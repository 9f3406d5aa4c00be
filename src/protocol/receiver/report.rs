//! When one source is to hear a STATUS, and what its WELCOME proves.

use core::time::Duration;

use crate::protocol::receiver::source::Group;
use crate::time::Jitter;
use crate::time::Time;
use crate::wire::Token;

/// STATUS with a `time` at the start, for a first round trip that is not one sample.
const TIMED_FIRST: u32 = 3;
/// How often a STATUS carries a `time` after that.
const TIMED_EVERY: Duration = Duration::from_secs(1);
/// Times remembered, so that an echo is believed only of what was sent.
const TIMES: usize = 4;
/// A STATUS goes out each time this part of the window was consumed.
const WINDOW_PART: u64 = 4;
/// Receivers whose reports a publisher that waits for its fastest only needs each quarter window, on average.
const REPORTERS: u32 = 16;
/// The most receivers that an answer to a POLL is spread for.
const POLL_SPREAD: u32 = 100;

/// The reports to one source.
#[derive(Debug)]
pub(super) struct Report {
    due: Option<Time>,
    /// Charge taken from the sockets since the last STATUS.
    taken: u64,
    /// STATUS with a time, as far as that matters.
    timed: u32,
    timed_at: Option<Time>,
    /// STATUS with a time since the last answer to one.
    unanswered: u32,
    /// The times sent last whose echo has not come, newest first; 0 is none.
    times: [u64; TIMES],
    pub(super) token: Token,
}

impl Report {
    /// The first STATUS is due at once: it asks for the token.
    pub(super) const fn new(now: Time) -> Self {
        let (times, token) = ([0; TIMES], Token(0));
        Self { due: Some(now), taken: 0, timed: 0, timed_at: None, unanswered: 0, times, token }
    }

    /// Reports go elsewhere from now on, where nothing is known of this receiver.
    pub(super) const fn restart(&mut self, now: Time) {
        *self = Self::new(now);
    }

    /// How many STATUS that wanted an answer have had none since one had.
    pub(super) const fn unanswered(&self) -> u32 {
        self.unanswered
    }

    pub(super) const fn due(&self) -> Option<Time> {
        self.due
    }

    /// A datagram of `charge` left the socket; whether that makes another quarter of the window.
    pub(super) const fn takes(&mut self, charge: u64, window: u64) -> bool {
        self.taken += charge;
        let is_quarter = self.taken >= window / WINDOW_PART;
        if is_quarter {
            self.taken = 0;
        }
        is_quarter
    }

    /// Another quarter of the window was consumed. Everybody reports that to a publisher that waits for its slowest
    /// receiver; to another, 16 of the group do, on average.
    ///
    /// Before there is a token a report moves nothing, and many of them would push out the times that its WELCOME is
    /// to echo.
    pub(super) fn on_quarter(&mut self, group: &Group, now: Time, jitter: &mut Jitter) {
        if self.token == Token(0) {
            return;
        }
        let chance = f64::from(REPORTERS) / f64::from(group.receivers.max(1));
        if group.is_waited_for || group.receivers <= REPORTERS || jitter.happens(chance) {
            self.bring_forward(now);
        }
    }

    /// The publisher asked for a STATUS: the answers of a group are spread over `U(0, grtt·min(G, 100))`.
    pub(super) fn on_poll(&mut self, group: &Group, now: Time, jitter: &mut Jitter) {
        let alone = group.receivers <= 1;
        let most = group.round_trip * group.receivers.min(POLL_SPREAD);
        self.bring_forward(if alone { now } else { now + jitter.up_to(most) });
    }

    /// Proof of address arrived; believed only with the echo of a time that was sent, once. Gives the round trip.
    ///
    /// Without an echo it may be the answer to a STATUS without a time, whose token a publisher that was restarted
    /// does not know any more: then the next STATUS has a time.
    pub(super) fn on_welcome(&mut self, token: Token, echo: u64, now: Time) -> Option<Duration> {
        let sent = self.times.iter_mut().find(|time| **time == echo && echo != 0);
        let Some(sent) = sent else {
            self.timed_at = self.timed_at.filter(|_| self.token == token);
            return None;
        };
        *sent = 0;
        self.unanswered = 0;
        if self.token != token {
            self.token = token;
            self.bring_forward(now);
        }
        // A time is sent one more than it is, so that 0 can mean none.
        Some(now.since(Time(echo - 1)))
    }

    /// A STATUS goes out, and the next one after `every`: its `time`, or 0 for one that wants no echo.
    pub(super) fn on_sent(&mut self, every: Option<Duration>, now: Time, jitter: &mut Jitter) -> u64 {
        self.due = every.map(|every| now + jitter.spread(every));
        self.taken = 0;
        let is_new = self.timed < TIMED_FIRST || self.token == Token(0);
        if !is_new && self.timed_at.is_some_and(|at| now.since(at) < TIMED_EVERY) {
            return 0;
        }
        let time = now.0.saturating_add(1);
        self.times.rotate_right(1);
        self.times[0] = time;
        self.timed = self.timed.saturating_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
        self.timed_at = Some(now);
        time
    }

    pub(super) fn bring_forward(&mut self, at: Time) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) const fn stop(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const EVERY: Option<Duration> = Some(Duration::from_millis(200));

    fn group(receivers: u32, is_waited_for: bool) -> Group {
        Group { receivers, round_trip: MS, status_every: 200 * MS, is_waited_for }
    }

    /// A report that has its token, and has sent its first three.
    fn settled() -> (Report, Jitter) {
        let (mut report, mut jitter) = (Report::new(Time::ZERO), Jitter::new(1));
        for ms in 0..3 {
            let time = report.on_sent(EVERY, Time::from_millis(ms), &mut jitter);
            assert_eq!(report.on_welcome(Token(5), time, Time::from_millis(ms) + MS), Some(MS));
        }
        report.on_sent(EVERY, Time::from_millis(3), &mut jitter);
        (report, jitter)
    }

    #[test]
    fn the_first_three_and_one_a_second_have_a_time() {
        let (mut report, mut jitter) = (Report::new(Time::ZERO), Jitter::new(1));
        report.token = Token(5);
        let timed: Vec<_> = (0..20)
            .map(|n| Time::from_millis(200 * n))
            .filter(|now| report.on_sent(EVERY, *now, &mut jitter) != 0)
            .map(|now| now.0 / 1_000_000)
            .collect();
        assert_eq!(timed, [0, 200, 400, 1_400, 2_400, 3_400]);
    }

    #[test]
    fn without_a_token_every_one_has_a_time() {
        let (mut report, mut jitter) = (Report::new(Time::ZERO), Jitter::new(1));
        assert!((0..20).all(|ms| report.on_sent(EVERY, Time::from_millis(ms), &mut jitter) != 0));
    }

    #[test]
    fn a_status_follows_after_three_to_five_quarters_of_the_interval() {
        let (mut report, mut jitter) = settled();
        for _ in 0..100 {
            report.on_sent(EVERY, Time::from_millis(1_000), &mut jitter);
            let after = report.due().map(|due| due - Time::from_millis(1_000)).expect("one more");
            assert!((150 * MS..250 * MS).contains(&after), "{after:?}");
        }
        report.on_sent(None, Time::from_millis(1_000), &mut jitter);
        assert_eq!(report.due(), None);
    }

    #[test]
    fn only_the_echo_of_what_was_sent_is_believed_and_once() {
        let (mut report, mut jitter) = (Report::new(Time::ZERO), Jitter::new(1));
        let time = report.on_sent(EVERY, Time(0), &mut jitter);
        let later = Time::from_millis(3);
        assert_eq!(report.on_welcome(Token(9), time + 1, later), None);
        assert_eq!(report.on_welcome(Token(9), 0, later), None);
        assert_eq!(report.token, Token(0));
        assert_eq!(report.on_welcome(Token(5), time, later), Some(3 * MS));
        assert_eq!((report.token, report.due()), (Token(5), Some(later)), "proved at once");
        assert_eq!(report.on_welcome(Token(9), time, later), None);
        assert_eq!(report.token, Token(5));
    }

    #[test]
    fn a_publisher_that_forgot_the_token_gets_a_time_with_the_next_report() {
        let (mut report, mut jitter) = settled();
        assert_eq!(report.on_sent(EVERY, Time::from_millis(10), &mut jitter), 0);
        assert_eq!(report.on_welcome(Token(5), 0, Time::from_millis(11)), None);
        assert_eq!(report.on_sent(EVERY, Time::from_millis(12), &mut jitter), 0, "nothing new");
        assert_eq!(report.on_welcome(Token(6), 0, Time::from_millis(13)), None);
        let time = report.on_sent(EVERY, Time::from_millis(14), &mut jitter);
        assert_eq!(report.on_welcome(Token(6), time, Time::from_millis(15)), Some(MS));
    }

    #[test]
    fn each_quarter_of_the_window_counts_once() {
        let (mut report, _) = settled();
        let quarters: Vec<_> = (1..=12).filter(|_| report.takes(100, 1_200)).collect();
        assert_eq!(quarters, [3, 6, 9, 12]);
    }

    #[test]
    fn a_small_group_and_one_that_is_waited_for_report_each_quarter() {
        let now = Time::from_millis(10);
        for (group, most) in [(group(16, false), 100), (group(1_000, true), 100), (group(160, false), 20)] {
            let (mut report, mut jitter) = settled();
            let reports = (0..100).filter(|_| {
                report.on_quarter(&group, now, &mut jitter);
                let reports = report.due() == Some(now);
                report.on_sent(EVERY, now, &mut jitter);
                reports
            });
            let reports = reports.count();
            assert!(reports <= most && reports >= most / 5, "{reports} of {group:?}");
        }
    }

    #[test]
    fn answers_to_a_poll_are_spread_over_the_group() {
        let now = Time::from_millis(10);
        let (mut report, mut jitter) = settled();
        report.on_poll(&group(1, false), now, &mut jitter);
        assert_eq!(report.due(), Some(now), "alone, at once");
        let mut latest = Duration::ZERO;
        for _ in 0..1_000 {
            let (mut report, _) = settled();
            report.on_poll(&group(4_000, false), now, &mut jitter);
            latest = latest.max(report.due().expect("one more") - now);
        }
        assert!((95 * MS..100 * MS).contains(&latest), "{latest:?}: 100 round trips, not 4,000");
    }
}
