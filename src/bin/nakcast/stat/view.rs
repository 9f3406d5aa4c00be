//! What a stream shows at one moment.

use std::time::Duration;

use nakcast::DownReason;
use nakcast::Offset;
use nakcast::ReceiverRow;
use nakcast::SourceSnapshot;
use nakcast::wire::RowEntry;

use crate::stat::asker::Rows;

/// An idle publisher says something every 100 ms: after this it is silent.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// How often each of so few receivers reports; more of them report less often.
const REPORTS_EVERY: Duration = Duration::from_millis(200);
const FEW: usize = 50;

/// A second's worth of something, in the time since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    pub(crate) messages: f64,
    pub(crate) batches: f64,
    pub(crate) bytes: f64,
    /// Gaps so far, without what was sent before the first word heard.
    pub(crate) gaps: u64,
}

/// One publisher, as heard here and as it says itself.
#[derive(Debug, Clone)]
pub(crate) struct SourceView {
    pub(crate) seen: SourceSnapshot,
    pub(crate) rates: Rates,
    /// Its receivers, or why they are not known.
    pub(crate) rows: Result<Rows, String>,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Over so much time.
    pub(crate) over: Duration,
    pub(crate) sources: Vec<SourceView>,
    /// Datagrams that the kernel dropped here.
    pub(crate) kernel_drops: u64,
    pub(crate) undecodable: u64,
}

/// A row as its publisher has it.
pub(crate) fn receiver(row: &RowEntry) -> ReceiverRow {
    let micros = |time: u32| Duration::from_micros(time.into());
    ReceiverRow {
        receiver: row.receiver(),
        address: row.address(),
        next: Offset(row.next.get()),
        window: row.window.get().into(),
        rtt: Some(micros(row.rtt_us.get())).filter(|rtt| !rtt.is_zero()),
        lag: micros(row.lag_us.get()),
        delivered: row.delivered.get(),
        lost: row.lost.get(),
        naks: row.naks.get(),
        kernel_drops: row.kernel_drops.get(),
        live: row.has(RowEntry::LIVE),
        evicted: row.has(RowEntry::EVICTED),
        slow: row.has(RowEntry::SLOW),
        stream: row.has(RowEntry::STREAM),
    }
}

impl SourceView {
    pub(crate) fn state(&self) -> &'static str {
        match self.seen.down {
            Some(DownReason::Ended) => "ended",
            Some(DownReason::Replaced) => "replaced",
            Some(_) => "silent",
            None if self.seen.silent_for >= SILENT_AFTER => "silent",
            None => "up",
        }
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.state() == "silent"
    }

    pub(crate) fn entries(&self) -> &[RowEntry] {
        self.rows.as_ref().map_or(&[], |rows| &rows.entries)
    }

    /// Messages that have been sent and are not yet taken by a receiver.
    pub(crate) fn behind(&self, row: &RowEntry) -> u64 {
        self.rows.as_ref().map_or(0, |rows| rows.sent.0.saturating_sub(row.next.get()))
    }

    /// In what time so much is sent, at the present rate.
    pub(crate) fn behind_for(&self, row: &RowEntry) -> Option<Duration> {
        let behind = self.behind(row) as f64 / self.rates.messages;
        Duration::try_from_secs_f64(behind).ok()
    }

    /// How often each receiver reports.
    fn report_every(&self) -> Duration {
        REPORTS_EVERY * u32::try_from(self.entries().len() / FEW).unwrap_or(u32::MAX).max(1)
    }

    /// Whether a receiver has missed several reports.
    pub(crate) fn is_stopped(&self, row: &RowEntry) -> bool {
        let is_over_udp = !row.has(RowEntry::STREAM);
        is_over_udp && row.heard_ago() >= 5 * self.report_every()
    }

    /// Whether a receiver takes less than is sent.
    pub(crate) fn is_slow(&self, row: &RowEntry) -> bool {
        let is_far = self.behind_for(row).is_some_and(|time| time > 3 * self.report_every());
        row.has(RowEntry::SLOW) || (is_far && self.behind(row) > 0)
    }

    /// What is to be said of a receiver in one word.
    pub(crate) fn word(&self, row: &RowEntry) -> &'static str {
        match row {
            row if row.has(RowEntry::EVICTED) => "evicted",
            row if !row.has(RowEntry::LIVE) => "gone",
            row if self.is_stopped(row) => "stopped",
            row if self.is_slow(row) => "slow",
            _ => "live",
        }
    }
}
