//! The NAK and STATUS datagrams of a receiver, one at a time.

use core::net::SocketAddr;

use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::LineId;
use crate::protocol::Origin;
use crate::protocol::Receiver;
use crate::protocol::receiver::source::Source;
use crate::time::Time;
use crate::wire::Flags;
use crate::wire::Head;
use crate::wire::RANGES;
use crate::wire::RangeEntry;
use crate::wire::Status;
use crate::wire::StreamId;
use crate::wire::encode_nak;
use crate::wire::encode_status;

/// What waits to be sent: ranges to ask for, and the datagram shown last.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Of each source with something to ask for: its index, and the ranges, ascending.
    asks: Vec<(usize, RangeEntry)>,
    /// What was just found to be missing from one source.
    ranges: Vec<OffsetRange>,
    shown: Vec<u8>,
    to: Option<SocketAddr>,
    /// The line that the datagram shown goes by.
    pub(super) line: LineId,
    /// The same datagram goes there as well.
    also: Option<Origin>,
}

impl Outgoing {
    /// Queues what `fill` wants to ask source `index` for, with what waits for it already: sorted, and joined where it
    /// touches, as a NAK has it.
    pub(super) fn ask(&mut self, index: usize, fill: impl FnOnce(&mut Vec<OffsetRange>)) {
        self.ranges.clear();
        fill(&mut self.ranges);
        if self.ranges.is_empty() {
            return;
        }
        let own = self.asks.iter().filter(|ask| ask.0 == index);
        self.ranges.extend(own.map(|ask| ask.1.range()));
        self.forget(index);
        self.ranges.sort_unstable_by_key(|range| range.from);
        self.ranges.dedup_by(|next, run| {
            let joined = next.from <= run.to;
            run.to = if joined { run.to.max(next.to) } else { run.to };
            joined
        });
        self.asks.extend(self.ranges.iter().map(|range| {
            let from = planted!(OffsetTruncated, Offset(range.from.0 & 0xFF), range.from);
            (index, RangeEntry::new(OffsetRange::run(from, range.len())))
        }));
    }

    /// Forgets what source `index` was to be asked for.
    pub(super) fn forget(&mut self, index: usize) {
        self.asks.retain(|ask| ask.0 != index);
    }

    /// Takes the ranges of one NAK: all of one source, as many as fit.
    fn take_nak(&mut self, ranges: &mut Vec<RangeEntry>) -> Option<usize> {
        let index = self.asks.first()?.0;
        let count = self.asks.iter().take(RANGES).take_while(|ask| ask.0 == index).count();
        ranges.clear();
        ranges.extend(self.asks.drain(..count).map(|ask| ask.1));
        Some(index)
    }
}

impl Receiver {
    /// The datagram that should go out now, and to whom; the same one until [`Receiver::sent`] is called.
    pub fn peek_transmit(&mut self, now: Time) -> Option<(SocketAddr, &[u8])> {
        self.peek_transmit_by(now).map(|((_, to), bytes)| (to, bytes))
    }

    /// The same, and the line that it should go out by.
    pub fn peek_transmit_by(&mut self, now: Time) -> Option<((LineId, SocketAddr), &[u8])> {
        if self.outgoing.to.is_none() {
            self.outgoing.to =
                self.next_nak(now).or_else(|| self.next_status(now)).or_else(|| self.next_join(now));
        }
        Some(((self.outgoing.line, self.outgoing.to?), &self.outgoing.shown))
    }

    /// The datagram that was shown last has been sent.
    pub const fn sent(&mut self) {
        self.outgoing.to = None;
        if let Some(also) = self.outgoing.also.take() {
            (self.outgoing.to, self.outgoing.line) = (Some(also.address), also.line);
        }
    }

    /// Tells every publisher that this receiver goes away.
    pub fn leave(&mut self, now: Time) {
        self.leaving = true;
        let present = self.sources.iter_mut().filter(|source| source.report.due().is_some());
        present.for_each(|source| source.report.bring_forward(now));
        self.leave_joined(now);
    }

    fn next_nak(&mut self, now: Time) -> Option<SocketAddr> {
        let index = self.outgoing.take_nak(&mut self.ranges)?;
        let source = self.sources.get_mut(index)?;
        source.choose_line(now);
        if self.settings.connection == Some(source.lines.main()) {
            // Nobody is asked over a connection, and nobody else is known: what it does not bring runs out of time.
            return self.next_nak(now);
        }
        self.outgoing.line = source.lines.main();
        source.stats.naks += 1;
        source.stats.nak_ranges += self.ranges.len() as u64;
        let head = head(source, self.settings.stream, Offset::ZERO);
        let name = (self.settings.receiver, source.report.token);
        encode_nak(&mut self.outgoing.shown, &head, name, &self.ranges);
        Some(source.address)
    }

    fn next_status(&mut self, now: Time) -> Option<SocketAddr> {
        let is_due = |source: &&mut Source| source.report.due().is_some_and(|due| due <= now);
        let window = u32::try_from(self.window()).unwrap_or(u32::MAX);
        let flags = self.status_flags();
        let source = self.sources.iter_mut().find(is_due)?;
        let fetching = if source.history.is_open() { Status::FETCHING } else { 0 };
        source.choose_line(now);
        self.outgoing.line = source.lines.main();
        self.outgoing.also = source.connection(now).filter(|also| also.line != self.outgoing.line);
        let every = (source.down.is_none() && !self.leaving).then_some(source.group.status_every);
        let time = source.report.on_sent(every, now, &mut self.jitter);
        let status = Status {
            receiver: U64::new(self.settings.receiver.0),
            token: U64::new(source.report.token.0),
            time: U64::new(time),
            window: U32::new(window),
            rtt_us: U32::new(micros(source)),
            delivered: U64::new(source.book.delivered),
            lost: U64::new(source.book.lost),
            naks: U64::new(source.stats.naks),
            kernel_drops: U64::new(self.kernel_drops),
            lag_us: U32::ZERO,
            flags: U16::new(flags | fetching),
            zero: U16::ZERO,
        };
        let head = head(source, self.settings.stream, source.next);
        encode_status(&mut self.outgoing.shown, &head, &status);
        self.stats.statuses += 1;
        Some(source.address)
    }

    /// How much may be under way from each source.
    pub(super) fn window(&self) -> u64 {
        let up = self.sources.iter().filter(|source| source.down.is_none()).count();
        self.settings.window / up.max(1) as u64
    }

    pub(super) const fn status_flags(&self) -> u16 {
        let leaving = if self.leaving { Status::LEAVING } else { 0 };
        let observer = if self.settings.observer { Status::OBSERVER } else { 0 };
        leaving | observer
    }
}

/// Shows a STATUS.
pub(super) fn show_status(outgoing: &mut Outgoing, head: &Head, status: &Status) {
    encode_status(&mut outgoing.shown, head, status);
}

fn head(source: &Source, stream: StreamId, base: Offset) -> Head {
    Head { stream, session: source.session, base, flags: Flags::default() }
}

/// The network's round trip in microseconds; at least 1 once it is measured, since 0 means none.
fn micros(source: &Source) -> u32 {
    let rtt = source.rtt.least().map(|rtt| rtt.as_micros().max(1));
    rtt.map_or(0, |rtt| u32::try_from(rtt).unwrap_or(u32::MAX))
}
