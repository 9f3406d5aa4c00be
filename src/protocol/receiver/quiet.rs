//! One of several lines that nothing comes by any more, while another brings everything: no source is silent then, and
//! nothing is lost that would tell.

use core::time::Duration;
use std::collections::VecDeque;

use crate::protocol::LineId;
use crate::protocol::Receiver;
use crate::time::Time;

/// Something about one of several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineNews {
    /// Nobody was heard on it for the time of silence, or for as long again, while somebody was on another: it should be
    /// left and joined again.
    Silent {
        /// The line.
        line: LineId,
        /// It was told before.
        again: bool,
    },
    /// Somebody is heard on it again.
    Heard(LineId),
}

/// One line.
#[derive(Debug, Clone, Copy)]
struct Heard {
    /// When it is told to be silent, unless it is heard.
    due: Time,
    is_silent: bool,
}

/// All lines; nothing while there is one.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    lines: Vec<Heard>,
    news: VecDeque<LineNews>,
}

impl Quiet {
    pub(super) fn new(count: u8) -> Self {
        let count = if count > 1 { usize::from(count) } else { 0 };
        let never = Heard { due: Time::ZERO, is_silent: false };
        Self { lines: vec![never; count], news: VecDeque::with_capacity(2 * count) }
    }

    /// Nobody was there to be heard before.
    pub(super) fn begin(&mut self, now: Time, silence: Duration) {
        for line in &mut self.lines {
            line.due = now + silence;
        }
    }

    #[inline]
    pub(super) fn hear(&mut self, id: LineId, now: Time, silence: Duration) {
        let Some(line) = self.lines.get_mut(usize::from(id.0)) else { return };
        line.due = now + silence;
        if core::mem::take(&mut line.is_silent) {
            self.tell(LineNews::Heard(id));
        }
    }

    /// The process was stopped for a while: nobody was silent meanwhile.
    pub(super) fn forgive(&mut self, away: Duration) {
        for line in &mut self.lines {
            line.due = line.due + away;
        }
    }

    /// Looks at every line; gives how many have fallen silent.
    pub(super) fn look(&mut self, now: Time, silence: Duration) -> u64 {
        let mut silences = 0;
        for at in 0..self.lines.len() {
            let Some(line) = self.lines.get_mut(at).filter(|line| now >= line.due) else { continue };
            let again = core::mem::replace(&mut line.is_silent, true);
            line.due = now + silence;
            silences += u64::from(!again);
            self.tell(LineNews::Silent { line: LineId(u8::try_from(at).unwrap_or(u8::MAX)), again });
        }
        silences
    }

    /// When [`look`](Self::look) next has something to do.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.lines.iter().map(|line| line.due).min()
    }

    /// Whoever does not ask is not told everything.
    fn tell(&mut self, news: LineNews) {
        if self.news.len() >= 2 * self.lines.len() {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }
}

impl Receiver {
    /// What became of a line, where there are several.
    pub fn poll_line(&mut self) -> Option<LineNews> {
        self.quiet.news.pop_front()
    }

    /// The lines on which nobody is heard, where there are several.
    pub fn silent_lines(&self) -> impl Iterator<Item = LineId> {
        let lines = self.quiet.lines.iter().zip(0..);
        lines.filter(|(line, _)| line.is_silent).map(|(_, at)| LineId(at))
    }
}
