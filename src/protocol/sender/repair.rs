//! What is to be sent again, and what just was.

use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::sender::Destination;
use crate::protocol::sender::receivers::Receivers;
use crate::protocol::sender::spans::Spans;
use crate::time::Time;
use crate::wire::ReceiverId;

/// The most ranges that wait to be sent again, 64 bytes each.
const QUEUE: usize = 1_024;
/// The most repairs remembered for the ignore interval, 48 bytes each.
const REMEMBERED: usize = 4_096;

/// How many group round trips a repair is remembered for. It is ignored for one at most; but in a group the others ask
/// later than that, once their guard and their wait are over, and then it was not its asker's alone.
pub(super) const REMEMBERED_FOR: u32 = 8;

/// A range that waits to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) to: Destination,
    /// Who asked for it, if it is one proved receiver alone.
    pub(super) asker: Option<ReceiverId>,
}

/// A range that was sent again a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Repaired {
    at: Time,
    /// To one receiver only, so that it is of no use to another.
    unicast: bool,
    /// Who asked for it, as long as it is one proved receiver alone.
    asker: Option<ReceiverId>,
    /// The end of what was asked for, which makes it count as one more repair of its asker's own.
    last: bool,
}

/// A part of a NAK that is neither on its way nor waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: OffsetRange,
    /// Another receiver has asked for it, too.
    pub(super) shared: bool,
}

/// What became of a range of a NAK, beside the pieces that are left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Screened {
    /// A part was sent within the ignore interval.
    pub(super) ignored: bool,
    /// A part is waiting already.
    pub(super) joined: bool,
}

/// The queue of repairs, oldest first, and the ignore interval.
#[derive(Debug)]
pub(super) struct Repairs {
    queue: Spans<Wanted>,
    recent: Spans<Repaired>,
    /// Nothing recent is older than this.
    oldest: Time,
    scratch: Vec<OffsetRange>,
    nap: Nap,
}

impl Repairs {
    pub(super) const fn new() -> Self {
        Self {
            queue: Spans::new(),
            recent: Spans::new(),
            oldest: Time(u64::MAX),
            scratch: Vec::new(),
            nap: Nap::NONE,
        }
    }

    /// The next range to send again, as far as it lies before `sent`, the end of what was sent at all.
    pub(super) fn first(&mut self, now: Time, sent: Offset) -> Option<(OffsetRange, Wanted)> {
        let (range, wanted) = self.queue.first()?;
        let (ready, _) = range.split(sent);
        self.nap.look(now, ready.is_empty());
        (!ready.is_empty()).then_some((ready, wanted))
    }

    /// When to look again for what is wanted but was not sent yet.
    pub(super) fn timeout(&self) -> Option<Time> {
        self.nap.until
    }

    /// How many ranges wait.
    pub(super) const fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits, and nothing sent is remembered.
    pub(super) const fn is_idle(&self) -> bool {
        self.queue.len() == 0 && self.recent.len() == 0
    }

    /// Whether the queue takes another range.
    pub(super) const fn has_room(&self) -> bool {
        self.queue.len() < QUEUE
    }

    /// Forgets what was sent `kept` ago or earlier. Whatever nobody else has asked for by then counts as a repair
    /// of its asker's own.
    pub(super) fn forget(&mut self, now: Time, kept: Duration, receivers: &mut Receivers) {
        if self.oldest == Time(u64::MAX) || now < self.oldest + kept {
            return;
        }
        let mut oldest = Time(u64::MAX);
        self.recent.retain(|repaired| {
            if now < repaired.at + kept {
                oldest = oldest.min(repaired.at);
                return true;
            }
            if let Some(asker) = repaired.asker.filter(|_| repaired.last) {
                receivers.credit(asker);
            }
            false
        });
        self.oldest = oldest;
    }

    /// Forgets what of `want` was sent `trip` ago or earlier: whoever asks for it now has lost that repair, too.
    fn forget_lost(&mut self, want: OffsetRange, now: Time, trip: Duration) {
        let mut lost = core::mem::take(&mut self.scratch);
        lost.clear();
        lost.extend(
            self.recent
                .within(want)
                .filter(|(_, repaired)| planted!(IgnoreForgotten, true, now.since(repaired.at) >= trip))
                .map(|(part, _)| part),
        );
        lost.iter().for_each(|part| self.recent.cut(*part));
        self.scratch = lost;
    }

    /// Adds to `pieces` what of `want` is neither on its way nor waiting, and notes who asks for the same as others.
    pub(super) fn screen(
        &mut self,
        want: OffsetRange,
        (asker, now, trip): (Option<ReceiverId>, Time, Duration),
        receivers: &mut Receivers,
        pieces: &mut Vec<Piece>,
    ) -> Screened {
        let shared = self.meet_recent(want, asker, receivers);
        self.forget_lost(want, now, trip);
        let mut fresh = core::mem::take(&mut self.scratch);
        fresh.clear();
        self.recent.uncovered(want, |part| fresh.push(part));
        let ignored = fresh.iter().map(|part| part.len()).sum::<u64>() < want.len();
        let mut joined = false;
        for part in &fresh {
            joined |= self.meet_queue(*part, asker.filter(|_| !shared), receivers);
            self.queue.uncovered(*part, |range| pieces.push(Piece { range, shared }));
        }
        self.scratch = fresh;
        Screened { ignored, joined }
    }

    /// Looks at recent repairs that meet `want`. One that went to another receiver alone was of no use, so it is
    /// forgotten, and the answer is true: `want` is asked for by several.
    fn meet_recent(
        &mut self,
        want: OffsetRange,
        asker: Option<ReceiverId>,
        receivers: &mut Receivers,
    ) -> bool {
        let mut again = core::mem::take(&mut self.scratch);
        again.clear();
        for (part, repaired) in
            self.recent.within(want).filter(|(_, repaired)| is_other(repaired.asker, asker))
        {
            receivers.together(repaired.asker, asker);
            again.extend(repaired.unicast.then_some(part));
        }
        for repaired in self.recent.values_within(want).filter(|repaired| is_other(repaired.asker, asker)) {
            repaired.asker = None;
        }
        again.iter().for_each(|part| self.recent.cut(*part));
        let shared = !again.is_empty();
        self.scratch = again;
        shared
    }

    /// Makes what waits for another receiver within `want` go to the group. Says whether anything waits there.
    fn meet_queue(
        &mut self,
        want: OffsetRange,
        asker: Option<ReceiverId>,
        receivers: &mut Receivers,
    ) -> bool {
        let shared = Wanted { to: Destination::Group, asker: None };
        let waiting: Vec<_> = self.queue.within(want).collect();
        for (part, wanted) in waiting.iter().filter(|(_, wanted)| is_other(wanted.asker, asker)) {
            receivers.together(wanted.asker, asker);
            if *wanted == shared {
                continue;
            }
            if self.queue.len() + 2 <= QUEUE {
                self.queue.cut(*part);
                self.queue.insert(*part, shared);
            } else {
                self.queue.values_within(*part).for_each(|wanted| *wanted = shared);
            }
        }
        !waiting.is_empty()
    }

    /// Queues `range`, which [`Repairs::screen`] left over.
    pub(super) fn push(&mut self, range: OffsetRange, wanted: Wanted) {
        self.queue.insert(range, wanted);
    }

    /// `covers` was sent for the first in the queue, which is returned with the part of it that is done. False with
    /// it: there was no place to remember it.
    pub(super) fn sent(&mut self, now: Time, covers: OffsetRange) -> Option<Sent> {
        let (range, wanted) = self.queue.first()?;
        let done = range.clip(OffsetRange::new(range.from, covers.to));
        let reached = covers.from <= range.from && !done.is_empty();
        if !reached {
            self.queue.cut(range);
            return Some(Sent { wanted, done: OffsetRange::default(), remembered: true });
        }
        let unicast = wanted.to != Destination::Group;
        if unicast {
            self.cut_own(covers, wanted);
        } else {
            self.queue.cut(covers);
        }
        let last = done.to == range.to;
        let remembered = self.recent.len() + 2 <= REMEMBERED;
        if remembered {
            self.recent.cut(covers);
            self.recent.insert(covers, Repaired { at: now, unicast, asker: wanted.asker, last });
            self.oldest = self.oldest.min(now);
        }
        Some(Sent { wanted, done, remembered })
    }

    /// Takes out what waits within `covers` for the same asker: what others want there was not sent to them.
    fn cut_own(&mut self, covers: OffsetRange, wanted: Wanted) {
        self.scratch.clear();
        self.scratch
            .extend(self.queue.within(covers).filter(|(_, other)| *other == wanted).map(|(part, _)| part));
        for part in &self.scratch {
            self.queue.cut(*part);
        }
    }

    /// The history begins at `oldest`: gives the part of the first in the queue that is gone, and drops it. All of
    /// it, when none is gone: then nobody can say what it waits for.
    pub(super) fn refused(&mut self, oldest: Offset) -> Option<(OffsetRange, Wanted)> {
        let (range, wanted) = self.queue.first()?;
        let (lost, rest) = range.split(oldest);
        self.queue.cut(if lost.is_empty() { rest } else { lost });
        Some((lost, wanted))
    }
}

/// What became of a repair that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) wanted: Wanted,
    /// The part of the range wanted that was sent; empty when what was sent is something else.
    pub(super) done: OffsetRange,
    /// It is remembered for the ignore interval.
    pub(super) remembered: bool,
}

/// Waiting for the publisher to send what somebody wants already: a receiver that reads the head of a train while its
/// tail is being handed to the socket may miss, and ask for, what the ring has not yet counted as sent.
#[derive(Debug)]
struct Nap {
    until: Option<Time>,
    span: Duration,
}

impl Nap {
    /// About what a train takes to hand to the socket.
    const SHORTEST: Duration = Duration::from_micros(100);
    const LONGEST: Duration = Duration::from_millis(100);
    const NONE: Self = Self { until: None, span: Self::SHORTEST };

    /// Naps twice as long each time it finds that it must wait.
    fn look(&mut self, now: Time, must_wait: bool) {
        if !must_wait {
            *self = Self::NONE;
        } else if self.until.is_none_or(|until| now >= until) {
            self.until = Some(now + self.span);
            self.span = (2 * self.span).min(Self::LONGEST);
        }
    }
}

/// Whether two askers are not known to be the same; `None` may be anybody.
fn is_other(one: Option<ReceiverId>, other: Option<ReceiverId>) -> bool {
    one.is_none() || one != other
}

#[cfg(test)]
mod tests {
    use super::*;

    const IGNORE: Duration = Duration::from_millis(1);
    const A: Option<ReceiverId> = Some(ReceiverId(1));
    const B: Option<ReceiverId> = Some(ReceiverId(2));

    fn range(from: u64, to: u64) -> OffsetRange {
        OffsetRange::new(Offset(from), Offset(to))
    }

    fn ask(repairs: &mut Repairs, want: OffsetRange, asker: Option<ReceiverId>) {
        let (mut receivers, mut pieces) = (Receivers::new(0), Vec::new());
        repairs.screen(want, (asker, Time::ZERO, IGNORE), &mut receivers, &mut pieces);
        for piece in pieces {
            if repairs.has_room() {
                repairs.push(piece.range, Wanted { to: Destination::Group, asker });
            }
        }
    }

    #[test]
    fn splitting_what_waits_does_not_break_the_queues_bound() {
        let mut repairs = Repairs::new();
        ask(&mut repairs, range(0, 10_000), A);
        for from in 0..4_000 {
            ask(&mut repairs, range(2 * from + 1, 2 * from + 2), B);
            assert!(repairs.queue.len() <= QUEUE);
        }
        let all: u64 = repairs.queue.within(range(0, 10_000)).map(|(part, _)| part.len()).sum();
        assert_eq!(all, 10_000);
        assert!(repairs.queue.within(range(7_000, 8_000)).all(|(_, wanted)| wanted.asker.is_none()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_then_sent_all_the_same() {
        let mut repairs = Repairs::new();
        let mut forgotten = 0;
        for from in 0..5_000 {
            ask(&mut repairs, range(2 * from, 2 * from + 1), A);
            let sent = repairs.sent(Time(from), range(2 * from, 2 * from + 1)).expect("it waits");
            assert_eq!(sent.done.len(), 1);
            forgotten += usize::from(!sent.remembered);
        }
        assert_eq!(repairs.recent.len() + forgotten, 5_000);
        assert!(repairs.recent.len() <= REMEMBERED && repairs.queue.len() == 0);
        repairs.forget(Time(5_000) + IGNORE, IGNORE, &mut Receivers::new(0));
        assert_eq!(repairs.recent.len(), 0);
    }

    #[test]
    fn a_repair_to_one_takes_out_all_of_its_own_and_nothing_else() {
        let mut repairs = Repairs::new();
        let home = Destination::Peer(std::net::SocketAddr::from(([10, 0, 0, 1], 9)).into());
        for (from, asker) in [(0, A), (2, B), (4, A), (9, A)] {
            let to = if asker == A { home } else { Destination::Group };
            repairs.push(range(from, from + 1), Wanted { to, asker });
        }
        repairs.sent(Time(1), range(0, 8));
        let left: Vec<_> = repairs.queue.within(range(0, 20)).map(|(part, _)| part).collect();
        assert_eq!(left, [range(2, 3), range(9, 10)]);
    }

    #[test]
    fn naps_grow_while_nothing_is_sent() {
        let mut nap = Nap::NONE;
        let mut until = Vec::new();
        for _ in 0..12 {
            nap.look(nap.until.unwrap_or_default(), true);
            until.push(nap.until.unwrap_or_default().0 / 100_000);
        }
        assert_eq!(until[..5], [1, 3, 7, 15, 31]);
        assert_eq!(until[11] - until[10], 1_000);
        nap.look(Time(u64::MAX), false);
        assert_eq!(nap.until, None);
    }
}
