//! How many bytes of repairs the wire can bear beside new data, and each asker's share of it.

use core::time::Duration;
use std::collections::VecDeque;

use crate::history::Ring;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::time::Time;
use crate::wire::ReceiverId;

/// The span over which data, askers and budget are looked at.
pub(super) const SPAN: Duration = Duration::from_millis(100);
/// How many such spans a second has.
const SPANS: u64 = 10;
/// Repairs get one byte for every two of data: 50 %.
const DATA_PER_REPAIR: u64 = 2;
/// How far apart the samples of the data rate are taken.
const SAMPLE: Duration = Duration::from_millis(10);
/// The most askers with a share of their own; the others have one together.
const SHARES: usize = 256;
/// What a batch is taken to weigh before any was sent: the default datagram.
const ASSUMED_BATCH: u64 = 1_400;

/// Who a share belongs to: a receiver in the table, or everybody else together.
pub(super) type Payer = Option<ReceiverId>;

/// A token bucket, seen as the level that is in use: it drains at the rate and holds what drains in [`SPAN`].
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at: Time,
}

impl Bucket {
    fn drain(&mut self, now: Time, rate: u64) {
        let drained = u128::from(rate) * (now - self.at).as_nanos() / 1_000_000_000;
        let drained = planted!(BudgetNeverRefills, 0, drained);
        self.level = self.level.saturating_sub(u64::try_from(drained).unwrap_or(u64::MAX));
        self.at = now;
    }

    /// What may still be taken out; `least` at any rate while nothing is in use, so that a rate of less than a batch in
    /// [`SPAN`] makes repairs slow and not impossible.
    const fn room(&self, rate: u64, least: u64) -> u64 {
        let room = (rate / SPANS).saturating_sub(self.level);
        if self.level == 0 && room < least { least } else { room }
    }

    fn refilled_in(&self, rate: u64) -> Duration {
        let nanos = u128::from(self.level) * 1_000_000_000 / u128::from(rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The account of one asker.
#[derive(Debug)]
struct Share {
    payer: Payer,
    asked: Time,
    used: Bucket,
}

/// The budget: half of the bytes sent as data in the last 100 ms, never under the floor, and each asker's share: the
/// budget divided by those who asked in the last 100 ms.
///
/// As long as the publisher is *idle* (nothing new was sent for 100 ms) or held, nobody competes with repairs: the
/// total has no bound then, nor has the share of an asker that is alone. With several askers each has as much as the
/// whole budget: divided, the shares would bound the total again, and a publisher that waits for its slowest would wait
/// for its own thrift.
///
/// An estimate is booked when a NAK is let in, and the total is put right when the repair is sent.
#[derive(Debug)]
pub(super) struct Budget {
    floor: u64,
    /// Bytes of data sent in all, as seen at times at least [`SAMPLE`] apart, going back just beyond [`SPAN`].
    samples: VecDeque<(Time, u64)>,
    /// When new data were last seen.
    moved: Option<Time>,
    bytes: u64,
    total: Bucket,
    shares: Vec<Share>,
}

impl Budget {
    pub(super) fn new(floor: u64, now: Time) -> Self {
        let total = Bucket { level: 0, at: now };
        Self { floor, samples: VecDeque::new(), moved: None, bytes: 0, total, shares: Vec::new() }
    }

    /// Looks at how many bytes of data were sent in all.
    pub(super) fn look(&mut self, now: Time, bytes: u64) {
        if bytes != self.bytes {
            (self.bytes, self.moved) = (bytes, Some(now));
        }
        if self.samples.back().is_none_or(|(at, _)| now - *at >= SAMPLE) {
            self.samples.push_back((now, bytes));
        }
        while self.samples.get(1).is_some_and(|(at, _)| now - *at >= SPAN) {
            self.samples.pop_front();
        }
    }

    /// Whether nothing new wants the wire.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        self.moved.is_none_or(|moved| now - moved >= SPAN)
    }

    /// What may be sent again, in bytes a second.
    pub(super) fn rate(&self, now: Time) -> u64 {
        let (at, before) = self.samples.front().copied().unwrap_or((now, self.bytes));
        let span = (now - at).max(SPAN).as_nanos();
        let data = u128::from(self.bytes.saturating_sub(before)) * 1_000_000_000 / span;
        u64::try_from(data).unwrap_or(u64::MAX).saturating_div(DATA_PER_REPAIR).max(self.floor)
    }

    /// How many bytes `payer` may ask for now, in batches of `batch`. `free`: the publisher is idle or held.
    pub(super) fn room(&mut self, now: Time, payer: Payer, free: bool, batch: u64) -> u64 {
        let rate = self.rate(now);
        self.total.drain(now, rate);
        let total = if free { u64::MAX } else { self.total.room(rate, batch) };
        self.shares.retain(|share| now - share.asked < SPAN);
        let at = self.account(now, payer);
        let askers = self.shares.len() as u64;
        let part = self.part(rate, free);
        let Some(share) = self.shares.get_mut(at) else { return total };
        share.asked = now;
        share.used.drain(now, part);
        if free && askers == 1 { total } else { total.min(share.used.room(part, batch)) }
    }

    /// `payer` was let in for `bytes`.
    pub(super) fn book(&mut self, payer: Payer, bytes: u64, free: bool) {
        if !free {
            self.total.level = self.total.level.saturating_add(bytes);
        }
        let is_bound = !free || self.shares.len() > 1;
        if let Some(share) = self.find(payer).filter(|_| is_bound).and_then(|at| self.shares.get_mut(at)) {
            share.used.level = share.used.level.saturating_add(bytes);
        }
    }

    /// What was booked as `estimate` came to `bytes` on the wire.
    pub(super) fn settle(&mut self, estimate: u64, bytes: u64, free: bool) {
        if !free {
            self.total.level = self.total.level.saturating_add(bytes).saturating_sub(estimate);
        }
    }

    /// Each asker's share of the rate.
    fn part(&self, rate: u64, free: bool) -> u64 {
        if free { rate } else { rate / (self.shares.len() as u64).max(1) }
    }

    /// How long until the budget, or the payer's share, has refilled.
    pub(super) fn refilled_in(&self, now: Time, payer: Payer, free: bool) -> Duration {
        let rate = self.rate(now);
        let part = self.part(rate, free);
        let share = self.find(payer).and_then(|at| self.shares.get(at));
        let share = share.map(|share| share.used.refilled_in(part));
        let total = if free { Duration::ZERO } else { self.total.refilled_in(rate) };
        share.unwrap_or_default().max(total)
    }

    /// The place of the payer's account, opened if need be.
    fn account(&mut self, now: Time, payer: Payer) -> usize {
        let is_full = self.shares.len() >= SHARES;
        let found = self.find(payer);
        let is_own = found.and_then(|at| self.shares.get(at)).is_some_and(|share| share.payer == payer);
        found.filter(|_| is_own || is_full).unwrap_or_else(|| {
            let payer = payer.filter(|_| !is_full);
            self.shares.push(Share { payer, asked: now, used: Bucket { level: 0, at: now } });
            self.shares.len() - 1
        })
    }

    /// The place of the payer's account; of the one for everybody else, when it has none.
    fn find(&self, payer: Payer) -> Option<usize> {
        let own = self.shares.iter().position(|share| share.payer == payer);
        own.or_else(|| self.shares.iter().position(|share| share.payer.is_none()))
    }
}

/// What a range costs to send again, as far as can be told from what was sent so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Price {
    bytes: u64,
    offsets: u64,
    pub(super) batch: u64,
}

impl Price {
    /// What is taken for it before anything was sent.
    pub(super) const ASSUMED: Self = Self { bytes: ASSUMED_BATCH, offsets: 1, batch: ASSUMED_BATCH };

    /// The mean weight of an offset and of a batch in `ring`, whose numbering began at `first` in this run.
    pub(super) fn of(ring: &Ring, first: Offset) -> Self {
        let (bytes, offsets, batches) = (ring.bytes_sent(), ring.sent().since(first), ring.batches_sent());
        match bytes.checked_div(batches) {
            Some(batch) if offsets > 0 => Self { bytes, offsets, batch: batch.max(1) },
            _ => Self::ASSUMED,
        }
    }

    /// The bytes that `range` comes to: no less than a batch, since batches are what is sent.
    pub(super) fn estimate(&self, range: OffsetRange) -> u64 {
        let bytes = u128::from(range.len()) * u128::from(self.bytes) / u128::from(self.offsets);
        u64::try_from(bytes).unwrap_or(u64::MAX).max(self.batch)
    }

    /// How many offsets of `range` can be had for `room` bytes.
    pub(super) fn affordable(&self, range: OffsetRange, room: u64) -> u64 {
        if room < self.batch {
            return 0;
        }
        let offsets = u128::from(room) * u128::from(self.offsets) / u128::from(self.bytes.max(1));
        let offsets = u64::try_from(offsets).unwrap_or(u64::MAX).max(1);
        range.len().min(offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_half_of_the_data_of_the_last_100_ms() {
        let mut budget = Budget::new(0, Time::ZERO);
        for ms in 0..=500 {
            budget.look(Time::from_millis(ms), 1_000 * ms.min(300));
        }
        assert!(budget.is_idle(Time::from_millis(500)));
        let mut budget = Budget::new(7, Time::ZERO);
        assert!(budget.is_idle(Time::ZERO));
        for ms in 0..=300 {
            budget.look(Time::from_millis(ms), 1_000 * ms);
        }
        let now = Time::from_millis(300);
        assert_eq!((budget.is_idle(now), budget.rate(now)), (false, 500_000));
        for ms in 300..=500 {
            budget.look(Time::from_millis(ms), 300_000);
        }
        assert_eq!(budget.rate(Time::from_millis(500)), 7);
    }

    #[test]
    fn those_beyond_the_last_share_have_one_together() {
        let mut budget = Budget::new(1_000_000, Time::ZERO);
        for id in 0..1_000 {
            budget.room(Time::ZERO, Some(ReceiverId(id)), false, 0);
        }
        assert_eq!(budget.shares.len(), SHARES + 1);
        let part = 1_000_000 / (SHARES as u64 + 1) / SPANS;
        assert_eq!(budget.room(Time::ZERO, Some(ReceiverId(998)), false, 0), part);
        budget.book(Some(ReceiverId(998)), part - 1, false);
        assert_eq!(budget.room(Time::ZERO, Some(ReceiverId(999)), false, 0), 1);
        assert_eq!(budget.room(Time::ZERO, None, false, 0), 1);
        assert_eq!(budget.room(Time::ZERO, Some(ReceiverId(5)), false, 0), part);
        assert_eq!(
            budget.room(Time::from_millis(100), Some(ReceiverId(5)), false, 0),
            100_000,
            "alone again"
        );
    }

    #[test]
    fn a_range_costs_at_least_a_batch() {
        let price = Price { bytes: 10_000, offsets: 1_000, batch: 500 };
        let range = |len| OffsetRange::run(Offset(3), len);
        assert_eq!([1, 50, 51, 200].map(|len| price.estimate(range(len))), [500, 500, 510, 2_000]);
        assert_eq!(price.affordable(range(200), 499), 0);
        assert_eq!(price.affordable(range(200), 500), 50);
        assert_eq!(price.affordable(range(20), 500), 20);
        assert_eq!(price.affordable(range(u64::MAX - 3), u64::MAX), u64::MAX / 10);
        assert_eq!(price.estimate(range(u64::MAX - 3)), u64::MAX);
    }
}
