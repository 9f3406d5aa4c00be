//! Who looks after the sockets: the publisher while it is at work, or its background thread.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::io::SLEEPS;
use crate::publisher::core::Core;
use crate::publisher::engine::Engine;
use crate::publisher::lock::try_lock;
use crate::publisher::streams::Carrier;
use crate::time::Time;

/// So long after the publisher served its own socket the background thread leaves it to it.
const ATTENDED: Duration = Duration::from_millis(2);

impl Core {
    /// A publisher that is at work serves its own socket, unless another thread is just doing so; gives when that is
    /// wanted again, and how many NAKs came so far.
    pub(in crate::publisher) fn attend(&self, now: Time) -> (Option<Time>, u64) {
        self.attended.store(now.0, Ordering::Relaxed);
        let Some(engine) = try_lock(&self.engine) else { return (None, 0) };
        let is_few = self.carrier.as_ref().is_some_and(Carrier::is_few);
        let (engine, next) = if is_few { self.serve(engine, now) } else { self.serve_datagrams(engine, now) };
        (next, engine.sender.stats().naks)
    }

    /// Whether the publisher serves its own socket these days, so that nobody else has to wake up for it. It never does
    /// that for many connections.
    pub(in crate::publisher) fn is_attended(&self, now: Time) -> bool {
        if self.carrier.as_ref().is_some_and(|carrier| !carrier.is_few()) {
            return false;
        }
        let at = self.attended.load(Ordering::Relaxed);
        at != 0 && now.since(Time(at)) < ATTENDED
    }

    /// Whether the publisher sleeps on its own socket.
    pub(in crate::publisher) fn is_resting(&self, now: Time) -> bool {
        self.attended.load(Ordering::Relaxed) > now.0
    }

    /// The publisher goes on serving its own socket.
    pub(in crate::publisher) fn stay_attended(&self, now: Time) {
        self.attended.store(now.0, Ordering::Relaxed);
    }

    /// A held publisher sleeps until something comes for it, or `deadline`: on its own socket, since to be woken by
    /// the background thread takes two wake-ups.
    pub(in crate::publisher) fn rest(&self, engine: MutexGuard<'_, Engine>, deadline: Time, now: Time) {
        if !SLEEPS || !self.carrier.as_ref().is_none_or(Carrier::is_few) {
            self.hand_over();
            drop(self.wait_served(engine, deadline, now));
            return;
        }
        self.stay_attended(deadline);
        drop(engine);
        if let Err(error) =
            self.socket.sleep_beside(self.carrier.as_ref().map(Carrier::board), deadline.since(now))
        {
            tracing::warn!(%error, "waiting for subscribers");
        }
    }

    /// The publisher sleeps, and leaves its socket to the background thread.
    pub(in crate::publisher) fn hand_over(&self) {
        if self.attended.swap(0, Ordering::Relaxed) != 0
            && let Some(background) = self.background.get()
        {
            background.unpark();
        }
    }

    /// Waits until the machine was served, by whichever thread, or until `deadline`.
    pub(in crate::publisher) fn wait_served<'a>(
        &self,
        mut engine: MutexGuard<'a, Engine>,
        deadline: Time,
        now: Time,
    ) -> MutexGuard<'a, Engine> {
        engine.waiting += 1;
        let waited = self.served.wait_timeout(engine, deadline.since(now));
        let mut engine = waited.unwrap_or_else(PoisonError::into_inner).0;
        engine.waiting -= 1;
        engine
    }

    /// Lets the background thread look after what was just published.
    pub(in crate::publisher) fn raise_alert(&self) {
        if !self.alert.load(Ordering::Relaxed) && !self.alert.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Ends the background thread's wait or nap, and leaves the socket to it.
    pub(in crate::publisher) fn wake(&self) {
        self.attended.store(0, Ordering::Relaxed);
        if let Err(error) = self.waker.wake() {
            tracing::warn!(%error, "waking the publisher's background thread");
        }
        if let Some(background) = self.background.get() {
            background.unpark();
        }
    }
}
