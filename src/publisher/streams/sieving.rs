//! Connections whose subscribers have named topics: one walk for all that are at the live end, and one of its own for each that
//! is behind.

use crate::history::LentBatch;
use crate::history::Read;
use crate::history::Ring;
use crate::history::SEND_BYTES;
use crate::offset::Offset;
use crate::protocol::BatchFrames;
use crate::protocol::Feed;
use crate::protocol::Sieve;
use crate::publisher::streams::By;
use crate::publisher::streams::SOON;
use crate::publisher::streams::line::Line;
use crate::publisher::streams::line::Source;
use crate::publisher::streams::line::Written;
use crate::time::Time;

/// The sieve, with lines for numbers.
#[derive(Debug, Default)]
pub(super) struct Sieving {
    sieve: Sieve,
}

impl Sieving {
    /// Looks at what was sent since the last time, and hands it to the lines that want it.
    pub(super) fn walk(&mut self, source: &mut Source<'_>, lines: &mut [Option<Line>]) -> Written {
        let (sent, mut left) = (source.ring.sent(), source.budget);
        while !self.sieve.is_idle() && self.sieve.walked().offset < sent {
            if left == 0 {
                return Written::Part;
            }
            match self.walk_train(source, lines) {
                Ok(bytes) => left = left.saturating_sub(bytes),
                Err(Read::Gone { oldest }) => {
                    self.jump(source.ring, oldest);
                    return Written::Part;
                }
                Err(Read::Busy) => return Written::Busy,
                Err(_) => return Written::All,
            }
        }
        Written::All
    }

    /// As far as one train goes; the bytes looked at.
    fn walk_train(&mut self, source: &mut Source<'_>, lines: &mut [Option<Line>]) -> Result<usize, Read> {
        let from = self.sieve.walked().offset;
        if let Some(batches) = source.tail.batches_from(from) {
            return Ok(batches.map(|batch| self.walk_batch(&batch, lines)).sum());
        }
        let Source { by, ring, tail, .. } = source;
        ring.lend(from, SEND_BYTES, |lent| {
            if lent.is_current() && *by == By::Background {
                tail.fill(lent);
                return 0;
            }
            lent.map(|batch| self.walk_batch(&batch, lines)).sum()
        })
    }

    fn walk_batch(&mut self, batch: &LentBatch<'_>, lines: &mut [Option<Line>]) -> usize {
        let frames = BatchFrames::new(batch.bytes);
        let from = self.sieve.walked().offset;
        for (offset, frame) in frames.skip_while(|(offset, _)| *offset < from) {
            for &number in self.sieve.wanted_by(&frame) {
                if let Some(Some(line)) = lines.get_mut(number as usize) {
                    line.feed.take((offset, &frame), frames.timestamp());
                }
            }
        }
        self.sieve.passed((batch.offsets.to, batch.charge));
        batch.bytes.len()
    }

    /// Writes to a line, with what the walk has found and has not.
    pub(super) fn write(&mut self, number: usize, line: &mut Line, source: &mut Source<'_>) -> Written {
        self.lead(number, line);
        let written = line.write(source);
        self.lead(number, line);
        written
    }

    /// Tells a line how far the walk has come.
    pub(super) fn lead(&mut self, number: usize, line: &mut Line) {
        if line.feed.follow(self.sieve.walked()) {
            self.sieve.join(number as u32);
        }
    }

    /// Looks whether a line's subscriber has chosen other topics.
    pub(super) fn choose(&mut self, number: usize, line: &mut Line, ring: &Ring) {
        if !line.feed.take_rechosen() {
            return;
        }
        if self.sieve.is_idle() {
            self.jump(ring, ring.sent());
        }
        self.sieve.choose(number as u32, line.feed.chosen(), line.feed.goes_along());
        self.lead(number, line);
    }

    /// A line is gone.
    pub(super) fn forget(&mut self, number: usize) {
        self.sieve.forget(number as u32);
    }

    /// How many messages were looked at.
    pub(super) const fn looks(&self) -> u64 {
        self.sieve.looks()
    }

    fn jump(&mut self, ring: &Ring, to: Offset) {
        self.sieve.jump((to, ring.charge_held(to).unwrap_or_else(|| ring.charge_sent())));
    }
}

impl Written {
    /// When to write again.
    pub(super) fn again(self, now: Time) -> Option<Time> {
        match self {
            Self::All => None,
            Self::Part => Some(now),
            Self::Busy => Some(now + SOON),
        }
    }
}

/// Goes through batches for one connection alone, at most so many bytes; how many that were.
pub(super) fn sift(
    feed: &mut Feed,
    source: &mut Source<'_>,
    (from, most): (Offset, usize),
) -> Result<usize, Read> {
    let Source { by, ring, tail, stats, .. } = source;
    let mut each = |batch: LentBatch<'_>| {
        stats.sifted += batch.offsets.len();
        feed.sift(&batch).then_some(batch.bytes.len())
    };
    if let Some(batches) = tail.batches_from(from) {
        return Ok(batches.map_while(each).sum());
    }
    ring.lend(from, most.clamp(1, SEND_BYTES), |lent| {
        if lent.is_current() && *by == By::Background {
            tail.fill(lent);
            return 0;
        }
        lent.map_while(&mut each).sum()
    })
}
