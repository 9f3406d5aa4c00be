//! The subscriber's machine: headers and offsets in, verdicts, losses, NAKs and STATUS out.

mod admission;
mod beginning;
mod book;
mod claims;
mod gaps;
mod guard;
mod handle;
mod history;
mod join;
mod line;
mod outgoing;
mod passing;
mod quiet;
mod recovery;
mod report;
mod settings;
mod source;
mod spread;
mod stats;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::receiver::admission::Sessions;
use crate::protocol::receiver::history::Turn;
use crate::protocol::receiver::join::Join;
use crate::protocol::receiver::outgoing::Outgoing;
use crate::protocol::receiver::quiet::Quiet;
use crate::protocol::receiver::source::Source;
use crate::time::Jitter;
use crate::time::Time;
use crate::wire::RangeEntry;
use crate::wire::SessionId;

pub use beginning::Beginning;
pub use book::Book;
pub use guard::GUARD_BATCHES;
pub use history::Wanted;
pub use line::LineCounters;
pub use line::LineRow;
pub use quiet::LineNews;
pub use settings::DownReason;
pub use settings::LostReason;
pub use settings::Order;
pub use settings::ReceiverSettings;
pub use stats::ReceiverStats;
pub use stats::RepairTimes;
pub use stats::SourceRow;
pub use stats::SourceStats;

/// A clock that moved this much between two calls while a gap's timer was running means that the process was stopped.
const AWAY: Duration = Duration::from_millis(250);

/// Which of the receiver's sources: an index into its bounded table, stable while the source is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceKey(pub(super) u16);

/// What to do with the datagram just handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Hand `take` of its messages on now; when the batch goes beyond, offer the rest with [`Receiver::offer_rest`].
    Deliver {
        /// Whose they are.
        source: SourceKey,
        /// The offsets.
        take: OffsetRange,
    },
    /// Keep its bytes and say where with [`Receiver::hold`].
    Hold {
        /// Whose they are.
        source: SourceKey,
    },
    /// Everything in it has come before.
    Duplicate,
    /// Not taken in, and counted.
    Refused,
    /// It was no batch; it has done its work.
    Done,
}

/// What became ready without a datagram being handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// These offsets will not come.
    Lost {
        /// The offsets.
        range: OffsetRange,
        /// Why.
        reason: LostReason,
    },
    /// The batch kept in `slot` has its turn: hand `take` of it on (it may be empty), then free the slot.
    Held {
        /// Where it is kept.
        slot: u32,
        /// The offsets.
        take: OffsetRange,
    },
    /// Nothing more comes from this source; nothing of it is pending.
    Down {
        /// Why.
        reason: DownReason,
        /// The end of the last batch it was heard to have sent.
        heard: Offset,
    },
}

/// A source that came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Up {
    /// The source.
    pub source: SourceKey,
    /// Its session.
    pub session: SessionId,
    /// The address it sends from.
    pub address: SocketAddr,
    /// The first offset that the subscriber is entitled to.
    pub from: Offset,
    /// The session that this one takes the place of.
    pub replaces: Option<SessionId>,
}

/// The subscriber's machine for one stream on one endpoint.
#[derive(Debug)]
pub struct Receiver {
    settings: ReceiverSettings,
    sources: Vec<Source>,
    /// The source heard last: nearly always the next one, too.
    latest: usize,
    /// The one whose history comes over a connection now.
    fetching: Option<Turn>,
    sessions: Sessions,
    quiet: Quiet,
    joins: Vec<Join>,
    ups: Vec<Up>,
    outgoing: Outgoing,
    jitter: Jitter,
    rejoin: bool,
    leaving: bool,
    /// The ranges of the NAK being made.
    ranges: Vec<RangeEntry>,
    kernel_drops: u64,
    last_now: Time,
    stats: ReceiverStats,
}

impl Receiver {
    /// A receiver that has heard nobody yet.
    #[must_use]
    pub fn new(settings: ReceiverSettings) -> Self {
        Self {
            settings,
            sources: Vec::new(),
            latest: 0,
            fetching: None,
            sessions: Sessions::default(),
            quiet: Quiet::new(settings.lines),
            joins: Vec::new(),
            ups: Vec::new(),
            outgoing: Outgoing::default(),
            jitter: Jitter::new(settings.seed),
            rejoin: false,
            leaving: false,
            ranges: Vec::new(),
            kernel_drops: 0,
            last_now: Time::ZERO,
            stats: ReceiverStats::default(),
        }
    }

    /// Does what is due: gaps are asked for or given up, and who was silent for long is called down.
    pub fn handle_timeout(&mut self, now: Time) {
        self.forgive_absence(now);
        for (index, source) in self.sources.iter_mut().enumerate() {
            if source.down.is_some() {
                continue;
            }
            if planted!(SilenceUnnoticed, false, now.since(source.last_heard) >= self.settings.silence) {
                source.close(DownReason::Silent);
                source.report.stop();
                self.stats.silences += 1;
                self.rejoin = true;
                continue;
            }
            if source.fetch_deadline().is_some_and(|at| now >= at) {
                source.give_up_fetch(LostReason::Timeout, now);
            }
            self.outgoing.ask(index, |asks| source.recover(now, &mut self.jitter, asks));
        }
        if self.settings.lines > 1 && self.is_anybody_up() {
            self.stats.line_silences += self.quiet.look(now, self.settings.silence);
        }
    }

    pub(super) fn is_anybody_up(&self) -> bool {
        self.sources.iter().any(|source| source.down.is_none())
    }

    /// Whether anything is missing from any source.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.sources.iter().any(|source| !source.gaps.is_empty())
    }

    /// Lets gaps take their next step, as [`Receiver::handle_timeout`] does, while datagrams still wait to be taken
    /// in: nobody is called down.
    pub fn handle_recovery(&mut self, now: Time) {
        self.forgive_absence(now);
        for (index, source) in self.sources.iter_mut().enumerate().filter(|(_, source)| source.down.is_none())
        {
            self.outgoing.ask(index, |asks| source.recover(now, &mut self.jitter, asks));
        }
    }

    /// When [`Receiver::handle_timeout`] or [`Receiver::peek_transmit`] next has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let present = |source: &Source| {
            let silent = source.last_heard + self.settings.silence;
            let gaps = source.gaps.earliest().unwrap_or(silent);
            let fetch = source.fetch_deadline().unwrap_or(silent);
            source.down.is_none().then_some(silent.min(gaps).min(fetch))
        };
        self.sources
            .iter()
            .filter_map(|source| present(source).into_iter().chain(source.report.due()).min())
            .chain(self.join_due())
            .chain(self.quiet.next_timeout().filter(|_| self.is_anybody_up()))
            .min()
    }

    /// What became ready: losses and held batches, source by source in order. Of a source that is up but was not
    /// [told](Self::poll_up) to be, nothing.
    pub fn poll_ready(&mut self) -> Option<(SourceKey, Ready)> {
        let ups = &self.ups;
        let is_told = |index: usize| ups.iter().all(|up| usize::from(up.source.0) != index);
        let ready = |(index, source): (usize, &mut Source)| Some((index, source.poll_ready()?));
        let mut told = self.sources.iter_mut().enumerate().filter(|(index, _)| is_told(*index));
        let (index, ready) = told.find_map(ready)?;
        let key = SourceKey(u16::try_from(index).ok()?);
        match ready {
            Ready::Lost { range, .. } => self.on_lost(key, range),
            Ready::Down { reason: DownReason::Ended, .. } => self.on_ended(key),
            Ready::Down { .. } | Ready::Held { .. } => {}
        }
        Some((key, ready))
    }

    fn on_lost(&mut self, key: SourceKey, range: OffsetRange) {
        if let Some(source) = self.sources.get_mut(usize::from(key.0)) {
            source.stats.lost_runs += 1;
            source.book.lost += range.len();
        }
    }

    fn on_ended(&mut self, key: SourceKey) {
        if let Some(source) = self.sources.get_mut(usize::from(key.0)) {
            // One last report, so that a publisher that finishes knows that everything is here.
            source.report.bring_forward(self.last_now);
        }
    }

    /// A source that came up since the last call. One that takes the place of another is kept back until what that
    /// one leaves was [taken](Self::poll_ready).
    pub fn poll_up(&mut self) -> Option<Up> {
        if self.ups.is_empty() || self.sources.iter().any(Source::is_being_replaced) {
            return None;
        }
        Some(self.ups.remove(0))
    }

    /// Whether a source came up of which [`Receiver::poll_up`] has not told.
    #[must_use]
    pub fn has_ups(&self) -> bool {
        !self.ups.is_empty()
    }

    /// Whether the group should be left and joined again: a source fell silent, and a membership that the network
    /// forgot stops delivery without a gap.
    pub fn poll_rejoin(&mut self) -> bool {
        let rejoins = core::mem::take(&mut self.rejoin);
        self.stats.rejoins += u64::from(rejoins);
        rejoins
    }

    /// The book of a source, for whoever counts what its messages became.
    pub fn book_mut(&mut self, source: SourceKey) -> Option<&mut Book> {
        self.sources.get_mut(usize::from(source.0)).map(|source| &mut source.book)
    }

    /// Bytes of early batches held now, of all sources, each with what its place costs.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.sources.iter().map(Source::held_bytes).sum()
    }

    /// Gaps kept now, of all sources.
    #[must_use]
    pub fn gap_count(&self) -> usize {
        self.sources.iter().map(|source| source.gaps.len()).sum()
    }

    /// What the kernel dropped so far, for the next STATUS.
    pub fn set_kernel_drops(&mut self, drops: u64) {
        self.kernel_drops = drops;
    }

    /// Numbers of the receiver as a whole.
    #[must_use]
    pub const fn stats(&self) -> &ReceiverStats {
        &self.stats
    }

    /// Whose source this is.
    #[must_use]
    pub fn session(&self, source: SourceKey) -> Option<SessionId> {
        self.sources.get(usize::from(source.0)).map(|source| source.session)
    }

    /// The next offset wanted of a source.
    #[must_use]
    pub fn next_wanted(&self, source: SourceKey) -> Option<Offset> {
        self.sources.get(usize::from(source.0)).map(|source| source.next)
    }

    /// Half a message was heard of a source that is silent: it is wanted again from its start, `next`, and was not heard.
    /// Only over a connection, which brings it again.
    pub(super) fn rewind(&mut self, source: SourceKey, next: Offset) {
        if let Some(source) = self.sources.get_mut(usize::from(source.0)) {
            source.rewind(next);
        }
    }

    /// Whether what is heard comes over a connection.
    pub(super) const fn is_connected(&self) -> bool {
        self.settings.connected
    }

    /// A row for each source, in the order they came up.
    pub fn rows(&self) -> impl Iterator<Item = SourceRow<'_>> {
        self.sources.iter().map(SourceRow::of)
    }

    /// A process that was stopped (or a laptop that slept) must not give up on what waits in its sockets.
    #[inline]
    fn forgive_absence(&mut self, now: Time) {
        let away = now.since(self.last_now);
        self.last_now = self.last_now.max(now);
        if away >= AWAY {
            self.forgive(away, now);
        }
    }

    #[cold]
    fn forgive(&mut self, away: Duration, now: Time) {
        self.quiet.forgive(away);
        for source in &mut self.sources {
            source.lines.forgive(away);
            let due = source.gaps.earliest().into_iter().chain(source.fetch_deadline()).min();
            let overdue = due.map_or(Duration::ZERO, |due| now.since(due));
            if overdue >= AWAY {
                source.forgive(away);
            }
        }
    }
}
