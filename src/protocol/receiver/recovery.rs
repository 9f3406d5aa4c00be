//! Getting back what a source lost: notice, wait, ask, ask again, give up.

use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::LostReason;
use crate::protocol::receiver::gaps::Gap;
use crate::protocol::receiver::gaps::GapState;
use crate::protocol::receiver::source::Source;
use crate::time::Jitter;
use crate::time::Time;
use crate::wire::GoneReason;
use crate::wire::RANGES;

/// NAK datagrams sent at one time, at most; what is left goes with the next.
const NAKS_AT_ONCE: usize = 4;
/// The least time before a NAK is repeated, so that a slow thread at the other end is not asked twice.
const LEAST_RETRY: Duration = Duration::from_micros(100);
/// The longest time between two NAKs for the same gap.
const MOST_RETRY: Duration = Duration::from_millis(100);
/// Repairs asked for later that make an earlier one a loss; as many as later batches make a gap.
const OVERTAKEN: u8 = 3;
/// A repair that is put off is overtaken by design.
const NEVER_OVERTAKEN: u8 = OVERTAKEN + 1;
/// How many times `repair_timeout` a gap is asked for when the publisher waits for its slowest receiver.
const PATIENCE: u32 = 10;
/// How many times `repair_timeout` a gap is given when its repair is put off again and again.
const MOST_PUT_OFF: u32 = 4;

impl Source {
    /// Goes on to position `to`, which is believed, noticing the gap before it; `false` when not another gap can be
    /// kept.
    ///
    /// What is a window or more behind `to` is given up at once: repairs at a share of the rate never catch up with
    /// live data.
    pub(super) fn reach(&mut self, to: Offset, now: Time) -> bool {
        if self.settings.connected {
            self.skip(to, LostReason::Unrepaired, now);
            return true;
        }
        let span = self.span();
        if to.since(self.seen) > span {
            if let Some(fits) = self.fetch_leap(to, now) {
                return fits;
            }
            let hopeless = Offset(to.0 - span / 2);
            self.note_gap(hopeless, now);
            self.gaps.give_up(OffsetRange::new(self.next, hopeless), LostReason::Overrun, |_| true);
        } else if self.gaps.is_full() && to > self.seen {
            self.stats.refused_gaps += 1;
            return false;
        }
        self.note_gap(to, now);
        true
    }

    /// What lies before `to` and has not come over the connection will not come any more.
    fn skip(&mut self, to: Offset, reason: LostReason, now: Time) {
        let range = OffsetRange::new(self.seen, to);
        self.note_gap(to, now);
        self.gaps.give_up(range, reason, |_| true);
    }

    /// Records `[seen, to)` as missing.
    pub(super) fn note_gap(&mut self, to: Offset, now: Time) {
        let range = OffsetRange::new(planted!(GapStartsLate, self.seen.plus(1), self.seen), to);
        if range.is_empty() {
            return;
        }
        let (state, due) = if self.history.brings(range.from, self.span()) {
            (GapState::Fetched, Time(u64::MAX))
        } else if self.lines.have_passed(to, now) {
            (GapState::Guarded, now + self.guard.time(self.group.round_trip))
        } else {
            (GapState::Expected, now + self.wait_for_lines())
        };
        self.seen = to;
        self.stats.gaps += 1;
        self.gaps.push(Gap {
            range,
            state,
            due,
            // The time for a repair begins with the first NAK.
            deadline: Time(u64::MAX),
            revealed_at: self.early,
            attempts: 0,
            asked_at: now,
            first_asked_at: now,
            retry: Duration::ZERO,
            put_off: Duration::ZERO,
            overtaken: 0,
        });
    }

    /// A batch came early: gaps before it may have waited long enough.
    pub(super) fn on_early(&mut self, now: Time) {
        self.early += 1;
        let (guard, early) = (u64::from(self.guard.batches()), self.early);
        let passed = |gap: &Gap| early - gap.revealed_at >= guard;
        if self.gaps.earliest().is_some_and(|at| at > now) && self.gaps.guarded().any(passed) {
            self.gaps.bring_forward(now);
        }
    }

    /// Takes `range` off the gaps and learns from how it came.
    pub(super) fn fill(&mut self, range: OffsetRange, is_repair: bool, now: Time) {
        if self.gaps.is_empty() {
            return;
        }
        let is_alone = self.is_alone();
        let (rtt, guard, stats) = (&mut self.rtt, &mut self.guard, &mut self.stats);
        let mut answered = None;
        self.gaps.fill(range, |gap| {
            let filled = gap.range.clip(range).len();
            match (is_repair, gap.attempts) {
                (true, 0) => stats.naks_suppressed += 1,
                (true, attempts) => {
                    // Karn: which of several NAKs a repair answers cannot be told, nor whose in a group.
                    if attempts == 1 && is_alone {
                        rtt.sample(now.since(gap.asked_at));
                    }
                    stats.repair_times.record(now.since(gap.first_asked_at));
                    answered = Some((gap.asked_at, gap.range.from));
                }
                (false, 0) => stats.reordered += filled,
                (false, _) => {
                    guard.on_needless_nak();
                    stats.naks_needless += 1;
                }
            }
            stats.repaired += if is_repair { filled } else { 0 };
        });
        if let Some(answered) = answered {
            self.overtake(answered, now);
        }
    }

    /// A repair came that was asked for at `answered`, a time and an offset. A publisher answers the oldest offset
    /// first, so what was asked for no later, lies before it, and has been overtaken three times is lost again: it is
    /// asked for at once, not when its timer runs out (the idea of RFC 8985).
    fn overtake(&mut self, answered: (Time, Offset), now: Time) {
        let mut is_lost = false;
        self.gaps.visit(|gap| {
            let (asked_at, offset) = answered;
            let earlier = gap.state == GapState::Asked && gap.asked_at <= asked_at && gap.range.from < offset;
            if earlier && gap.overtaken < OVERTAKEN {
                gap.overtaken += 1;
                if gap.overtaken == OVERTAKEN {
                    (gap.due, is_lost) = (now, true);
                }
            }
        });
        if is_lost {
            self.stats.overtaken += 1;
        }
    }

    /// Lets every gap whose time has come take its next step; the ranges to ask for are added to `asks`.
    ///
    /// Whoever asks asks for everything that is a loss and was not asked for yet. What is asked for at one time is
    /// asked for again at one time, in one NAK: each gap has a timer of its own, but the same chance made it.
    pub(super) fn recover(&mut self, now: Time, jitter: &mut Jitter, asks: &mut Vec<OffsetRange>) {
        if self.gaps.earliest().is_none_or(|at| at > now) {
            return;
        }
        let mut somebody_asks = false;
        let mut step = Step::of(self, now);
        self.gaps.visit(|gap| somebody_asks |= step.advance(gap, jitter));
        if !somebody_asks {
            return;
        }
        let (base, timeout) = (self.first_retry(), self.repair_timeout());
        let mut drawn = (Duration::ZERO, now);
        self.gaps.visit(|gap| {
            let asked = gap.state == GapState::Asked;
            let is_early = matches!(gap.state, GapState::Expected | GapState::Guarded | GapState::Fetched);
            if is_early || (asked && gap.due > now) {
                return;
            }
            if asks.len() >= NAKS_AT_ONCE * RANGES {
                gap.due = now + base;
                return;
            }
            asks.push(planted!(NakOfHeld, OffsetRange::new(gap.range.from, gap.range.to.plus(1)), gap.range));
            let silent = planted!(NoBackoff, false, asked && gap.overtaken < OVERTAKEN);
            gap.retry = if silent { (gap.retry * 2).min(MOST_RETRY.max(base)) } else { base };
            gap.overtaken = 0;
            if !asked {
                (gap.first_asked_at, gap.deadline) = (now, now + timeout);
            }
            if drawn.0 != gap.retry {
                drawn = (gap.retry, now + jitter.spread(gap.retry));
            }
            (gap.state, gap.asked_at, gap.due) = (GapState::Asked, now, drawn.1);
            planted!(NakOnce => gap.due = Time(u64::MAX));
            gap.attempts += 1;
        });
    }

    /// Whether nobody else asks for the same.
    const fn is_alone(&self) -> bool {
        self.group.receivers <= 1 || self.settings.unicast
    }

    /// The longest wait for another member of the group to ask first. A forged group must not keep anybody from asking
    /// in time.
    pub(super) fn longest_wait(&self) -> Duration {
        let longest = self.spread.longest(self.group.round_trip, self.group.receivers);
        longest.min(self.settings.repair_timeout / 4)
    }

    /// `max(2·RTT + 4·deviation, 1.5·least RTT, 100 µs)`: later than the publisher's ignore interval for this
    /// receiver, its least RTT, even when the jitter draws its ¾. Before the first sample both take the group's.
    ///
    /// One round trip measured while the process was stopped must not be all the asking there is, so what was measured
    /// here counts for a quarter of the repair timeout at most.
    fn first_retry(&self) -> Duration {
        let network = self.rtt.least().unwrap_or(self.group.round_trip);
        let late = self.rtt.late_after().min(self.settings.repair_timeout / 4);
        late.max(network * 3 / 2).max(LEAST_RETRY)
    }

    /// How long a gap is asked for. A publisher that waits for its slowest receiver still has what is missing, so
    /// patience with a slow answer costs time and no message.
    fn repair_timeout(&self) -> Duration {
        self.settings.repair_timeout.saturating_mul(if self.group.is_waited_for { PATIENCE } else { 1 })
    }

    /// The publisher cannot give `range` any more. Believed only for what was asked, or in its place on a connection.
    pub(super) fn on_gone(&mut self, range: OffsetRange, reason: GoneReason, now: Time) {
        if self.settings.connected {
            if self.down.is_none() && range.to > self.seen {
                self.reach(range.from, now);
                self.skip(range.to, LostReason::from(reason), now);
                self.book.heard = self.book.heard.max(range.to);
            }
            return;
        }
        self.gaps.give_up(range, LostReason::from(reason), |gap| gap.attempts > 0);
    }

    /// The publisher puts repairs off. Believed only for what was asked, whose time it does not use up.
    pub(super) fn on_shed(
        &mut self,
        ranges: impl Iterator<Item = OffsetRange>,
        (now, after): (Time, Duration),
        jitter: &mut Jitter,
    ) {
        let most = self.settings.repair_timeout.saturating_mul(MOST_PUT_OFF);
        let due = now + jitter.spread(after);
        let mut is_ours = false;
        for range in ranges {
            self.gaps.visit_within(range, |gap| {
                let more = after.min(most.saturating_sub(gap.put_off));
                if gap.state != GapState::Asked || more.is_zero() {
                    return;
                }
                gap.put_off += more;
                (gap.deadline, gap.due) = (gap.deadline + more, due);
                gap.overtaken = NEVER_OVERTAKEN;
                is_ours = true;
            });
        }
        self.stats.shed += u64::from(is_ours);
    }

    /// The process was stopped for a while: what may wait in its sockets gets its time back.
    pub(super) fn forgive(&mut self, away: Duration) {
        self.last_heard = self.last_heard + away;
        self.history.forgive(away);
        self.gaps.visit(|gap| (gap.due, gap.deadline) = (gap.due + away, gap.deadline + away));
    }
}

/// What decides a gap's next step, taken once for all gaps.
struct Step {
    now: Time,
    guard: u64,
    early: u64,
    asks: bool,
    /// How long to wait for another member of the group to ask first; `None` at once.
    wait: Option<(Duration, u32)>,
    /// When the wait ends that is under way: new losses join it, since whoever asks asks for all.
    waits_until: Option<Time>,
}

impl Step {
    fn of(source: &Source, now: Time) -> Self {
        let group = source.group.receivers;
        Self {
            now,
            guard: u64::from(source.guard.batches()),
            early: source.early,
            asks: source.settings.repair,
            wait: planted!(NoSuppression, false, !source.is_alone()).then(|| (source.longest_wait(), group)),
            waits_until: None,
        }
    }

    /// One gap's step; whether it wants to ask now.
    fn advance(&mut self, gap: &mut Gap, jitter: &mut Jitter) -> bool {
        if gap.deadline <= self.now {
            gap.state = GapState::Lost(LostReason::Timeout);
            return false;
        }
        if matches!(gap.state, GapState::Expected | GapState::Guarded) {
            let is_passed = gap.state == GapState::Guarded && self.early - gap.revealed_at >= self.guard;
            let is_loss = gap.due <= self.now || is_passed;
            if !is_loss {
                return false;
            }
            if !self.asks {
                gap.state = GapState::Lost(LostReason::Unrepaired);
                return false;
            }
            gap.state = GapState::Waiting;
            gap.due = *self.waits_until.get_or_insert_with(|| {
                self.now + self.wait.map_or(Duration::ZERO, |(most, group)| jitter.exponential(most, group))
            });
        } else if gap.state == GapState::Waiting {
            self.waits_until = Some(gap.due);
        }
        gap.due <= self.now
    }
}
