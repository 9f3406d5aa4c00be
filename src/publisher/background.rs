//! The one background thread of a publisher: answers, heartbeats, and the tail of a burst.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;

use crate::history::Held;
use crate::io::Poller;
use crate::offset::Offset;
use crate::publisher::core::Core;
use crate::publisher::core::Sending;
use crate::publisher::streams::By;
use crate::time::Time;

/// The longest nap while the publisher is busy: each wake-up on its core costs it some 65 µs, so a thousand a second
/// are the most it should bear.
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// The same while the publisher serves its own socket, holds nothing back and nobody loses anything: then only the end
/// of its work is to be noticed, and a hold ends the nap.
const CALM_NAP: Duration = Duration::from_millis(4);
/// How long a driven publisher may rest when nothing is due at all.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// The shortest nap: a wake-up takes about as long.
const SHORTEST_NAP: Duration = Duration::from_micros(50);

/// Serves `core` until it is told to stop, or the session is over.
pub(super) fn run(core: &Arc<Core>, mut poller: Poller, linger: Duration) {
    let mut tail = Tail::new(linger);
    let _ = core.background.set(std::thread::current());
    while !core.stop.load(Ordering::Acquire) {
        let now = core.clock.now();
        if core.is_attended(now) {
            // Not on the socket: whatever comes there would wake this thread, on a core that the publisher needs.
            let calm = if core.is_lossy() || core.carrier.is_some() { LONGEST_NAP } else { CALM_NAP };
            // A publisher that rests looks after what it holds itself.
            let nap = if core.is_resting(now) { None } else { tail.look_beside(core) };
            std::thread::park_timeout(nap.unwrap_or(calm));
            continue;
        }
        let deadline = turn(core, &mut tail);
        if let Err(error) = poller.wait(deadline, &core.clock) {
            tracing::error!(%error, "the publisher's background thread cannot wait and ends");
            return;
        }
    }
}

/// One turn: answers and heartbeats, then the tail of a burst. Gives when the next is due.
fn turn(core: &Core, tail: &mut Tail) -> Option<Time> {
    let (engine, now) = (core.engine(), core.clock.now());
    let (engine, next) = core.serve(engine, now);
    drop(engine);
    let nap = tail.look(core).map(|nap| now + nap);
    next.into_iter().chain(nap).min()
}

/// The single-threaded form: the same turns, on the caller's own thread.
#[derive(Debug)]
pub(super) struct Driven {
    poller: Poller,
    tail: Tail,
}

impl Driven {
    pub(super) fn new(poller: Poller, linger: Duration) -> Self {
        Self { poller, tail: Tail::new(linger) }
    }

    /// Gives when the next turn is due.
    pub(super) fn turn(&mut self, core: &Core) -> Time {
        if let Err(error) = self.poller.check() {
            tracing::warn!(%error, "polling the publisher's socket");
        }
        turn(core, &mut self.tail).unwrap_or(core.clock.now() + LONGEST_REST)
    }

    /// Waits until something comes, or `deadline`.
    pub(super) fn wait(&mut self, deadline: Time, core: &Core) {
        if let Err(error) = self.poller.wait(Some(deadline), &core.clock) {
            tracing::warn!(%error, "waiting for subscribers");
        }
    }
}

/// Watches the hold of a burst: whoever started it may never publish again.
#[derive(Debug)]
struct Tail {
    linger: Duration,
    /// The linger as it was asked for, which may be longer than any nap.
    most: Duration,
    /// When the hold that is seen was seen first.
    seen_at: Time,
    nap: Duration,
    seen: Option<Held>,
    sent: Offset,
    idle: bool,
}

impl Tail {
    fn new(linger: Duration) -> Self {
        let (most, linger) = (linger, linger.clamp(SHORTEST_NAP, LONGEST_NAP));
        let (seen_at, sent) = (Time::ZERO, Offset::ZERO);
        Self { linger, most, seen_at, nap: linger, seen: None, sent, idle: false }
    }

    /// One look; gives how long to nap before the next, or `None` when there is nothing to look after.
    ///
    /// The same hold at two looks is abandoned: it is sent. A publisher that moved on looks after itself, and is left
    /// alone twice as long.
    fn look(&mut self, core: &Core) -> Option<Duration> {
        if !core.alert.load(Ordering::SeqCst) {
            return None;
        }
        if self.has_moved(core) {
            self.nap = (self.nap * 2).min(LONGEST_NAP);
            self.idle = false;
            return Some(self.nap);
        }
        self.nap = self.linger;
        if !self.idle {
            self.idle = true;
            return Some(LONGEST_NAP);
        }
        // Down first, then one more look: who publishes in between either is seen now or raises the alert again.
        self.idle = false;
        core.alert.store(false, Ordering::SeqCst);
        if self.has_moved(core) || self.seen.is_some() {
            core.alert.store(true, Ordering::SeqCst);
            return Some(self.nap);
        }
        None
    }

    /// One look while the publisher serves its own socket: there is nothing to look after but a hold, and the next one
    /// raises the alert.
    fn look_beside(&mut self, core: &Core) -> Option<Duration> {
        if self.holds_nothing(core) {
            core.alert.store(false, Ordering::SeqCst);
            if self.holds_nothing(core) {
                return None;
            }
            core.alert.store(true, Ordering::SeqCst);
        }
        self.look(core)
    }

    /// Whether nothing is held for sure: not while the publisher is at work on it.
    fn holds_nothing(&mut self, core: &Core) -> bool {
        let holds_nothing = core.ring.try_tail().is_some_and(|open| open.held().messages == 0);
        self.seen = self.seen.filter(|_| !holds_nothing);
        holds_nothing
    }

    /// Whether the publisher did something since the last look; sends what it left behind.
    fn has_moved(&mut self, core: &Core) -> bool {
        let sent = core.ring.sent();
        let has_sent = sent != self.sent;
        self.sent = sent;
        let Some(mut open) = core.ring.try_tail() else { return true };
        let held = open.held();
        if held.messages == 0 {
            self.seen = None;
            return has_sent;
        }
        let now = core.clock.now();
        if self.seen.is_none() || has_sent {
            if !has_sent {
                // A hold that has only begun; the nap is doubled in a moment.
                self.nap = self.linger / 2;
            }
            (self.seen, self.seen_at) = (Some(held), now);
            return true;
        }
        // It grows, but so slowly that its publisher does not look at the time: that is over as well.
        if self.seen != Some(held) && now.since(self.seen_at) < self.most {
            self.seen = Some(held);
            return true;
        }
        open.seal(core.stamp(), false);
        open.set_limit(0);
        let sending = core.send_unsent(&mut open);
        drop(open);
        core.carry(By::Background);
        if sending == Sending::Done {
            self.seen = None;
        }
        // Nobody may be waiting in `publish` for what is held back here.
        core.engine().sender.set_held(core.clock.now(), sending == Sending::WindowClosed);
        true
    }
}
