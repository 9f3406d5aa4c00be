//! What a receiver may ask for, and how often.

use core::time::Duration;

use crate::offset::OffsetRange;
use crate::sim::verdict::Verdict;
use crate::time::Time;

/// The least a first retry waits, before jitter.
const LEAST_RETRY: Duration = Duration::from_micros(100);
/// The most a retry waits, before jitter.
const MOST_RETRY: Duration = Duration::from_millis(100);
/// NAK datagrams that may leave at one time.
const AT_ONCE: u32 = 4;
/// Offsets that are followed one by one.
const FOLLOWED: u64 = 1 << 16;
/// Repairs of later offsets with which an earlier one counts as lost again.
const OVERTAKEN: u64 = 3;

/// Something taken in that may let a retry come early.
#[derive(Debug, Clone, Copy)]
pub(super) enum Excuse {
    /// A repair, which so often may overtake what was asked for before it.
    Repair(OffsetRange, u64),
    /// A range that the publisher puts off.
    Shed(OffsetRange),
}

impl Excuse {
    /// How much of what is needed to ask for `left` of `asked` again it is, [`OVERTAKEN`] being enough: a SHED is, of
    /// what it names; repairs are, when they overtake.
    fn weighs(self, (asked, left): (OffsetRange, OffsetRange)) -> u64 {
        match self {
            Self::Shed(range) if range.overlaps(asked) => OVERTAKEN,
            Self::Repair(range, times) if range.from >= left.to => times,
            Self::Shed(_) | Self::Repair(..) => 0,
        }
    }
}

/// One offset that was asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    first: Time,
    last: Time,
    times: u32,
    /// Retries in a row that nothing excuses.
    streak: u32,
    /// How many excuses there were when it was last asked for, and what with.
    excuses: usize,
    with: OffsetRange,
}

/// Watches the NAKs of one receiver for one session.
///
/// S7, as exact as it can be told from outside: the k-th retry in a row for an offset waits at least three quarters of
/// `min(100 µs · 2^(k-1), 100 ms)`, unless a SHED that names it, or three repairs of later offsets, were taken in in
/// between; so NAKs stay within `Σ (1 + outstanding time / shortest retry)`. No offset is asked for that was told as
/// delivered or lost, and no more than four datagrams leave at one time.
#[derive(Debug, Default)]
pub(super) struct NakWatch {
    asked: Vec<Asked>,
    /// Repairs and SHEDs that were taken in.
    excuses: Vec<Excuse>,
    burst: u32,
}

impl NakWatch {
    /// When anything in `range` was first asked for. (A loss is told with the fragments around it, which came.)
    pub(super) fn first_asked(&self, range: OffsetRange) -> Option<Time> {
        let (from, to) = (range.from.0 as usize, range.to.0.min(self.asked.len() as u64) as usize);
        let asked = self.asked.get(from..to)?.iter().filter(|asked| asked.times > 0);
        asked.map(|asked| asked.first).min()
    }

    /// A repair or a SHED was taken in.
    pub(super) fn on_excuse(&mut self, excuse: Excuse) {
        self.excuses.push(excuse);
    }

    /// Whether what was taken in since `asked` lets it be asked for early.
    fn is_excused(&self, asked: &Asked, left: OffsetRange) -> bool {
        let since = self.excuses.get(asked.excuses..).unwrap_or_default();
        let mut weight = 0;
        since.iter().any(|excuse| {
            weight += excuse.weighs((asked.with, left));
            weight >= OVERTAKEN
        })
    }

    /// A turn of the receiver begins.
    pub(super) const fn on_turn(&mut self) {
        self.burst = 0;
    }

    /// A NAK datagram leaves.
    pub(super) fn on_nak(&mut self, verdict: &mut Verdict) {
        self.burst += 1;
        verdict.check(self.burst <= AT_ONCE, "S7", || format!("{} NAKs at one time", self.burst));
    }

    /// A range of a NAK leaves.
    pub(super) fn on_range(&mut self, range: OffsetRange, now: Time, verdict: &mut Verdict) {
        let end = range.to.0.min(FOLLOWED);
        if self.asked.len() < end as usize {
            self.asked.resize(end as usize, Asked::default());
        }
        let (excuses, mut known) = (self.excuses.len(), None);
        for offset in range.from.0..end {
            let Some(&asked) = self.asked.get(offset as usize) else { return };
            // Neighbours were asked for together, mostly.
            let key = (asked.excuses, asked.with);
            let is_excused = match known {
                Some((same, is)) if same == key => is,
                _ => asked.times > 0 && self.is_excused(&asked, range),
            };
            known = Some((key, is_excused));
            let Some(asked) = self.asked.get_mut(offset as usize) else { return };
            if asked.times == 0 {
                *asked = Asked { first: now, last: now, times: 1, streak: 0, excuses, with: range };
                continue;
            }
            let waited = now - asked.last;
            let retry = (LEAST_RETRY * 2_u32.saturating_pow(asked.streak.min(16))).min(MOST_RETRY);
            verdict.check(is_excused || waited >= retry * 3 / 4, "S7", || {
                format!(
                    "{offset} asked for again after {waited:?}, not {retry:?}, the {}. time",
                    asked.times + 1
                )
            });
            asked.streak = if is_excused { 0 } else { asked.streak + 1 };
            (asked.last, asked.times) = (now, asked.times + 1);
            (asked.excuses, asked.with) = (excuses, range);
        }
    }
}
