//! What a receiver counts.

use core::net::SocketAddr;
use core::time::Duration;

use hdrhistogram::Histogram;

use crate::offset::Offset;
use crate::protocol::DownReason;
use crate::protocol::receiver::Book;
use crate::protocol::receiver::line::LineRow;
use crate::protocol::receiver::line::Lines;
use crate::protocol::receiver::source::Source;
use crate::time::Time;
use crate::wire::SessionId;

/// Counters of a receiver that belong to no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiverStats {
    /// Datagrams of another stream on the endpoint.
    pub other_stream: u64,
    /// NAK, STATUS, HELLO or CLOSE that came here as a datagram.
    pub misdirected: u64,
    /// Datagrams of a session that another one has replaced.
    pub replaced_session: u64,
    /// Datagrams of a new session from the address and port of one that lives, before it is believed to follow it.
    pub session_conflicts: u64,
    /// Datagrams of a known session from an address that it does not send from.
    pub strange_address: u64,
    /// Datagrams of a source that found no place in the table.
    pub refused_sources: u64,
    /// Datagrams of a source not yet up that cannot begin one.
    pub unknown_session: u64,
    /// Sources joined without the past that was asked for: they serve none, or have not come so far.
    pub pastless: u64,
    /// STATUS sent.
    pub statuses: u64,
    /// Sources that fell silent.
    pub silences: u64,
    /// Times the group was to be left and joined again for it.
    pub rejoins: u64,
    /// Times one line of several fell silent while another was heard.
    pub line_silences: u64,
    /// Addresses that sources were heard from by further lines.
    pub lines_joined: u64,
}

/// Times from the first NAK of a gap to its repair, in microseconds with two digits.
#[derive(Debug, Clone)]
pub struct RepairTimes(Histogram<u64>);

impl Default for RepairTimes {
    /// About 20 KiB, so that recording never allocates: 1 µs to 100 s.
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, 100_000_000, 2);
        #[expect(clippy::unwrap_used, reason = "the bounds are constants that the library accepts")]
        Self(histogram.unwrap())
    }
}

impl RepairTimes {
    pub(super) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many repairs were timed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time within which `quantile` (0 to 1) of the repairs came.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    /// The longest.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

/// Counters of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceStats {
    /// Batches that arrived, originals and repairs.
    pub batches: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Batches marked as repairs.
    pub repairs: u64,
    /// Batches of which everything had come before; with several lines that is most of what all but the first bring.
    pub duplicates: u64,
    /// Of these, repairs: somebody else's, or asked for twice.
    pub repairs_useless: u64,
    /// Early batches that were held.
    pub held: u64,
    /// Gaps noticed.
    pub gaps: u64,
    /// Offsets that arrived late but unasked.
    pub reordered: u64,
    /// Connections made to fetch history.
    pub fetches: u64,
    /// Times history could not be had, although it was offered.
    pub fetches_failed: u64,
    /// Offsets that such a connection brought.
    pub fetched: u64,
    /// Offsets that a repair brought.
    pub repaired: u64,
    /// NAK datagrams sent.
    pub naks: u64,
    /// Ranges in them.
    pub nak_ranges: u64,
    /// Gaps mended before their NAK was sent: another member asked.
    pub naks_suppressed: u64,
    /// Gaps whose original arrived after their NAK.
    pub naks_needless: u64,
    /// Times lost repairs were noticed because later ones had come.
    pub overtaken: u64,
    /// Times the publisher put a repair off.
    pub shed: u64,
    /// `Lost` events.
    pub lost_runs: u64,
    /// Batches dropped because the reorder window was full.
    pub refused_window: u64,
    /// Batches dropped because the gap table was full.
    pub refused_gaps: u64,
    /// Datagrams whose leap was not confirmed yet.
    pub leaps: u64,
    /// Batches of something new from a source that is down.
    pub after_end: u64,
    /// Heartbeats heard.
    pub heartbeats: u64,
    /// From the first NAK of a gap to its repair.
    pub repair_times: RepairTimes,
}

impl SourceStats {
    pub(super) const fn on_batch(&mut self, bytes: usize, is_repair: bool) {
        self.batches += 1;
        self.bytes += bytes as u64;
        if is_repair {
            self.repairs += 1;
        }
    }
}

/// One source, as its subscriber sees it.
#[derive(Debug, Clone, Copy)]
pub struct SourceRow<'a> {
    /// Its session.
    pub session: SessionId,
    /// The address it sends from.
    pub address: SocketAddr,
    /// Why it is down, if it is.
    pub down: Option<DownReason>,
    /// The next offset wanted.
    pub next: Offset,
    /// What became of every offset.
    pub book: Book,
    /// The smoothed round trip to it.
    pub round_trip: Option<Duration>,
    /// The group's round trip, as it announces it.
    pub group_round_trip: Duration,
    /// The receivers it counts.
    pub receivers: u32,
    /// When it was heard last.
    pub last_heard: Time,
    /// The oldest offset that it holds, as it last said.
    pub oldest: Offset,
    /// The port at which it takes connections, as it last said; 0 for none.
    pub tcp_port: u16,
    /// Counters.
    pub stats: &'a SourceStats,
    lines: &'a Lines,
}

impl<'a> SourceRow<'a> {
    /// A row for each line, in the order in which they were named; none where there is one line.
    pub fn lines(&self) -> impl Iterator<Item = LineRow> + use<'a> {
        self.lines.rows()
    }

    pub(super) fn of(source: &'a Source) -> Self {
        let (tcp_port, oldest) = source.history.told();
        Self {
            session: source.session,
            address: source.address,
            down: source.down,
            next: source.next,
            book: source.book,
            round_trip: source.rtt.smoothed(),
            group_round_trip: source.group.round_trip,
            receivers: source.group.receivers,
            last_heard: source.last_heard,
            oldest,
            tcp_port,
            stats: &source.stats,
            lines: &source.lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repair_times_are_told_by_rank() {
        let mut times = RepairTimes::default();
        assert_eq!((times.count(), times.longest()), (0, Duration::ZERO));
        [100, 1_000, 3_000].map(Duration::from_micros).iter().for_each(|&took| times.record(took));
        let about = |micros: u64| Duration::from_micros(micros)..=Duration::from_micros(micros + micros / 50);
        assert_eq!(times.count(), 3);
        assert!(about(1_000).contains(&times.quantile(0.5)), "{times:?}");
        assert!(about(3_000).contains(&times.longest()), "{times:?}");
    }
}
