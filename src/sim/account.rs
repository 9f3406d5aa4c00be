//! What became of one session at one receiver.

use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::DownReason;
use crate::protocol::SourceRow;
use crate::sim::naks::NakWatch;
use crate::sim::runs::Runs;
use crate::sim::truth::Truth;
use crate::sim::verdict::Verdict;
use crate::time::Time;
use crate::wire::SessionId;

/// The longest time between two signs of life of a source of which no heartbeat is lost.
const BEAT: Duration = Duration::from_millis(150);

/// What one session's offsets became, as the user saw it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) session: SessionId,
    pub(super) delivered: Runs,
    pub(super) lost: Runs,
    /// What of these was told before the receiver forgot the session, silent for long, and met it anew.
    pub(super) before: (u64, u64),
    pub(super) asked: NakWatch,
    /// Offsets that repairs brought.
    pub(super) repaired: Runs,
    /// The end of what was told last, when messages come in order.
    pub(super) end: Offset,
    pub(super) is_up: bool,
    pub(super) is_replaced: bool,
    /// Losses were told because it is down, in this turn.
    pub(super) closes: bool,
    /// When something that goes to everybody was last heard of it.
    pub(super) heard_at: Time,
    /// Since when no heartbeat of it was lost, and when it last told its position.
    pub(super) beats: (Time, Time),
    /// By what it was last told to be down.
    pub(super) down: Option<DownReason>,
    /// Told as parts of messages of which others are lost, and not looked at yet.
    pub(super) incomplete: Vec<OffsetRange>,
    /// Datagrams counted for it in rows that the receiver has forgotten, and in the last one.
    pub(super) counted: (u64, u64),
}

impl Account {
    pub(super) fn new(session: SessionId) -> Self {
        Self {
            session,
            delivered: Runs::default(),
            lost: Runs::default(),
            before: (0, 0),
            asked: NakWatch::default(),
            repaired: Runs::default(),
            end: Offset::ZERO,
            is_up: false,
            is_replaced: false,
            closes: false,
            heard_at: Time::ZERO,
            beats: (Time::ZERO, Time::ZERO),
            down: None,
            incomplete: Vec::new(),
            counted: (0, 0),
        }
    }
}

impl Account {
    /// Something that goes to everybody was heard of it, and tells its position or an old one.
    pub(super) fn hear(&mut self, now: Time, is_present: bool) {
        self.heard_at = now;
        if is_present {
            let is_broken = now.since(self.beats.1) > BEAT;
            self.beats = (if is_broken { now } else { self.beats.0 }, now);
        }
    }

    /// Since when it was up and no heartbeat of it was lost.
    pub(super) fn beats_since(&self, now: Time) -> Option<Time> {
        let (since, last) = self.beats;
        (self.is_up && now.since(last) <= BEAT).then_some(since)
    }

    /// S4: of a message whose parts are told as lost because it is incomplete, another part is lost; or it began
    /// before the start, or its end was never heard of.
    pub(super) fn check_incomplete(&mut self, row: &SourceRow<'_>, truth: &Truth, verdict: &mut Verdict) {
        let ranges = core::mem::take(&mut self.incomplete);
        let Some(published) = truth.of(self.session) else { return };
        let (start, heard) = (row.book.start, row.book.heard);
        for range in ranges {
            for message in published.within(range).map(|message| message.range) {
                let before = OffsetRange::new(message.from, range.from.clamp(message.from, message.to));
                let behind = OffsetRange::new(range.to.clamp(message.from, message.to), message.to);
                let is_cut = message.from < start || message.to > heard;
                let lacks = [before, behind].iter().any(|part| !part.is_empty() && self.lost.overlaps(*part));
                verdict.check(is_cut || lacks, "S4", || {
                    format!("{range} of {} lost, but nothing else of {message}", self.session)
                });
            }
        }
    }
}

/// Datagrams that a receiver has counted for a source.
pub(super) const fn counted(row: &SourceRow<'_>) -> u64 {
    row.stats.batches + row.stats.heartbeats
}
