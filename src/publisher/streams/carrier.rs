//! The connections of a publisher, as its threads share them.

use core::net::SocketAddr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use std::sync::Mutex;
use std::sync::MutexGuard;

use crate::io::BoardName;
use crate::publisher::core::Core;
use crate::publisher::engine::Engine;
use crate::publisher::lock::lock;
use crate::publisher::lock::try_lock;
use crate::publisher::streams::By;
use crate::publisher::streams::SOON;
use crate::publisher::streams::Streams;
use crate::stats::StreamStats;
use crate::time::Time;

/// Bytes written to one connection in one turn, by the background thread.
const BUDGET: usize = 1 << 20;
/// The same by the publisher itself, which has a message to publish next.
const OWN_BUDGET: usize = 128 << 10;
/// To so many connections the publisher writes itself: a thread woken for it takes longer than all of them.
const FEW: usize = 8;

/// The streams behind their lock, and what is known of them without it.
///
/// Order of locks: the streams, then the machine. Whoever has the machine lets go of it first.
#[derive(Debug)]
pub(in crate::publisher) struct Carrier {
    streams: Mutex<Streams>,
    board: BoardName,
    address: SocketAddr,
    /// The publisher has no background thread.
    is_driven: bool,
    /// The background thread was asked to write, and has not begun.
    is_wanted: AtomicBool,
    /// The end of what somebody has begun to write to all connections.
    carried: AtomicU64,
    /// When that was done, if it was done at once.
    written_at: AtomicU64,
    live: AtomicUsize,
    unsettled: AtomicUsize,
}

impl Carrier {
    pub(in crate::publisher) fn new(
        (streams, board): (Streams, BoardName),
        address: SocketAddr,
        is_driven: bool,
    ) -> Self {
        Self {
            streams: Mutex::new(streams),
            board,
            address,
            is_driven,
            is_wanted: AtomicBool::new(false),
            carried: AtomicU64::new(0),
            written_at: AtomicU64::new(0),
            live: AtomicUsize::new(0),
            unsettled: AtomicUsize::new(0),
        }
    }

    /// The poll of all connections, to sleep on.
    pub(in crate::publisher) const fn board(&self) -> &BoardName {
        &self.board
    }

    /// Where connections come to.
    pub(in crate::publisher) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Something was sent: sees to it that it is written, at once where connections are few.
    pub(in crate::publisher) fn carry(&self, core: &Core, by: By) {
        let (sent, live) = (core.ring.sent().0, self.live.load(Ordering::Relaxed));
        if self.carried.swap(sent, Ordering::Relaxed) == sent || live == 0 {
            return;
        }
        if (self.is_driven || self.is_few())
            && let Some(mut streams) = try_lock(&self.streams)
        {
            let more = streams.pump((core.clock.now(), by), &core.ring, OWN_BUDGET);
            self.written_at.store(core.clock.now().0, Ordering::Relaxed);
            if more.is_none() {
                return;
            }
        }
        // What is left is written at the publisher's next look.
        let is_looked_after = self.is_driven || core.is_attended(core.clock.now());
        if !is_looked_after && !self.is_wanted.swap(true, Ordering::SeqCst) {
            core.wake();
        }
    }

    /// Whether connections are so few that the publisher serves them itself while it publishes.
    pub(in crate::publisher) fn is_few(&self) -> bool {
        self.live.load(Ordering::Relaxed) <= FEW
    }

    /// When the publisher had written what was sent last, once.
    pub(in crate::publisher) fn take_written(&self) -> Option<Time> {
        match self.written_at.swap(0, Ordering::Relaxed) {
            0 => None,
            at => Some(Time(at)),
        }
    }

    /// Serves all connections, as far as another thread is not just doing so; gives when to do so again.
    pub(in crate::publisher) fn serve<'a>(
        &self,
        core: &'a Core,
        engine: MutexGuard<'a, Engine>,
        now: Time,
    ) -> (MutexGuard<'a, Engine>, Option<Time>) {
        drop(engine);
        let Some(mut streams) = try_lock(&self.streams) else { return (core.engine(), Some(now + SOON)) };
        self.is_wanted.store(false, Ordering::SeqCst);
        let has_more = streams.listen(now);
        streams.pump((now, By::Background), &core.ring, BUDGET);
        let mut engine = core.engine();
        let next = streams.turn(now, &core.ring, &mut engine.sender);
        self.live.store(streams.subscribers(), Ordering::Relaxed);
        self.unsettled.store(streams.unsettled(), Ordering::Relaxed);
        (engine, if has_more { Some(now) } else { next })
    }

    /// Everything was published.
    pub(in crate::publisher) fn finish(&self) {
        let mut streams = lock(&self.streams);
        streams.finish();
        self.unsettled.store(streams.unsettled(), Ordering::Relaxed);
    }

    /// Whether every subscriber that is connected has been told the end, and has confirmed it.
    pub(in crate::publisher) fn is_settled(&self) -> bool {
        self.unsettled.load(Ordering::Relaxed) == 0
    }

    /// Ends all connections.
    pub(in crate::publisher) fn close(&self) {
        lock(&self.streams).close();
    }

    pub(in crate::publisher) fn stats(&self) -> StreamStats {
        lock(&self.streams).stats()
    }
}
