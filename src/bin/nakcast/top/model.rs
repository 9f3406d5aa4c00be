//! What the screen shows: the last look at each stream, and how it came about.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire::RowEntry;

use crate::stat::view::SourceView;
use crate::stat::view::View;

/// Looks that are remembered: the width of a sparkline.
pub(crate) const HISTORY: usize = 16;
/// How long a receiver that its publisher no longer knows stays on the screen.
const REMEMBERED: Duration = Duration::from_secs(30);

/// By what receivers are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Lag,
    Loss,
    Drops,
    Heard,
    Name,
}

impl Key {
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Lag => Self::Loss,
            Self::Loss => Self::Drops,
            Self::Drops => Self::Heard,
            Self::Heard => Self::Name,
            Self::Name => Self::Lag,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Loss => "loss",
            Self::Drops => "drops",
            Self::Heard => "heard",
            Self::Name => "receiver",
        }
    }
}

/// The last values of something, the newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(VecDeque<u64>);

impl Trace {
    fn push(&mut self, value: u64) {
        self.0.push_back(value);
        if self.0.len() > HISTORY {
            self.0.pop_front();
        }
    }

    /// One character for each, as high as it is large.
    pub(crate) fn line(&self) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let most = self.0.iter().copied().max().unwrap_or(0).max(1);
        let bar = |value: &u64| BARS[((value * 7).div_ceil(most) as usize).min(7)];
        self.0.iter().map(bar).collect()
    }
}

/// A line of the receivers' table.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) stream: StreamId,
    pub(crate) row: RowEntry,
    pub(crate) state: &'static str,
    pub(crate) lag: u64,
    pub(crate) lags: Trace,
    /// NAKs and offsets lost since the look before.
    pub(crate) losses: Trace,
    seen: Duration,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) views: BTreeMap<u32, View>,
    rates: HashMap<SessionId, Trace>,
    lines: HashMap<(SessionId, ReceiverId), Line>,
    pub(crate) key: Key,
    pub(crate) is_reversed: bool,
    pub(crate) scroll: usize,
}

impl Model {
    pub(crate) fn new() -> Self {
        let (views, rates, lines) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { views, rates, lines, key: Key::Lag, is_reversed: false, scroll: 0 }
    }

    /// A look at a stream.
    pub(crate) fn take(&mut self, now: Duration, stream: StreamId, view: View) {
        for source in &view.sources {
            let rates = self.rates.entry(source.seen.session).or_default();
            rates.push(source.rates.messages as u64);
            for row in source.entries() {
                self.take_row(now, (stream, source), row);
            }
            if source.rows.is_ok() {
                self.miss(now, source.seen.session);
            }
        }
        self.views.insert(stream.0, view);
        let sessions: Vec<_> =
            self.views.values().flat_map(|view| &view.sources).map(|source| source.seen.session).collect();
        self.rates.retain(|session, _| sessions.contains(session));
        self.lines.retain(|_, line| now.saturating_sub(line.seen) < REMEMBERED);
    }

    fn take_row(&mut self, now: Duration, (stream, source): (StreamId, &SourceView), row: &RowEntry) {
        let (state, lag) = (source.word(row), source.behind(row));
        let trouble = |row: &RowEntry| row.naks.get().saturating_add(row.lost.get());
        let (lags, losses) = (Trace::default(), Trace::default());
        let fresh = Line { stream, row: *row, state, lag, lags, losses, seen: now };
        let line = self.lines.entry((source.seen.session, row.receiver())).or_insert(fresh);
        line.lags.push(lag);
        line.losses.push(trouble(row).saturating_sub(trouble(&line.row)));
        (line.row, line.state, line.lag, line.seen) = (*row, state, lag, now);
    }

    /// Whoever was not in the last look is gone.
    fn miss(&mut self, now: Duration, session: SessionId) {
        for ((of, _), line) in &mut self.lines {
            if *of == session && line.seen < now {
                line.state = "gone";
            }
        }
    }

    pub(crate) fn rates(&self, session: SessionId) -> String {
        self.rates.get(&session).map(Trace::line).unwrap_or_default()
    }

    /// The receivers, sorted; the worst first.
    pub(crate) fn lines(&self) -> Vec<&Line> {
        let mut lines: Vec<_> = self.lines.values().collect();
        lines.sort_by_key(|line| line.row.receiver());
        match self.key {
            Key::Lag => lines.sort_by_key(|line| Reverse(line.lag)),
            Key::Loss => lines.sort_by_key(|line| Reverse((line.row.lost.get(), line.row.naks.get()))),
            Key::Drops => lines.sort_by_key(|line| Reverse(line.row.kernel_drops.get())),
            Key::Heard => lines.sort_by_key(|line| Reverse(line.row.heard_ms.get())),
            Key::Name => {}
        }
        if self.is_reversed {
            lines.reverse();
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_as_high_as_its_largest_and_no_longer_than_its_width() {
        let mut trace = Trace::default();
        assert_eq!(trace.line(), "");
        [0, 1, 7, 70].into_iter().for_each(|value| trace.push(value));
        assert_eq!(trace.line(), "▁▂▂█");
        (0..100).for_each(|_| trace.push(0));
        assert_eq!(trace.line(), "▁".repeat(HISTORY));
    }
}
