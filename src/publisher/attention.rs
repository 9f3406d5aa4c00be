//! When a publisher that publishes looks at its own socket: a look costs half a microsecond, and waking the background
//! thread on its core some 65.

use core::time::Duration;

use crate::publisher::core::Core;
use crate::time::Time;

/// Between two looks while subscribers lose something: what is missing waits no longer.
const LOSSY: Duration = Duration::from_micros(20);
/// Between two looks otherwise: only reports come, and a closed window is looked after anyway.
const CALM: Duration = Duration::from_micros(200);
/// How long one NAK makes the stream a lossy one.
const MEMORY: Duration = Duration::from_secs(1);
/// Who pauses for longer leaves the socket to the background thread, which then sleeps on it.
const SELDOM: Duration = Duration::from_micros(100);

/// Looks at the socket from the publisher's own thread.
#[derive(Debug)]
pub(super) struct Attention {
    next: Option<Time>,
    sent_at: Time,
    naks: u64,
    asked_at: Option<Time>,
}

impl Attention {
    pub(super) const fn new() -> Self {
        Self { next: None, sent_at: Time::ZERO, naks: 0, asked_at: None }
    }

    /// A message comes when nothing waits.
    pub(super) fn on_first(&mut self, now: Time) {
        self.next = if now.since(self.sent_at) < SELDOM { self.next.or(Some(now)) } else { None };
    }

    /// Whether the socket is looked at while messages keep coming like this.
    pub(super) const fn is_active(&self) -> bool {
        self.next.is_some()
    }

    /// What waited was sent, by now.
    pub(super) const fn on_sent(&mut self, now: Time) {
        self.sent_at = now;
    }

    /// Looks, if it is time: as of the last send, since the clock is not read for this.
    pub(super) fn attend(&mut self, core: &Core) {
        let now = self.sent_at;
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        let (wanted, naks) = core.attend(now);
        if naks > self.naks {
            (self.naks, self.asked_at) = (naks, Some(now));
        }
        let is_lossy = self.asked_at.is_some_and(|at| now.since(at) < MEMORY);
        core.set_lossy(is_lossy);
        let next = now + if is_lossy { LOSSY } else { CALM };
        self.next = Some(wanted.map_or(next, |wanted| wanted.min(next)));
    }
}
