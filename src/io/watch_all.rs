//! A subscriber's wait for any of several lines, each with sockets and a descriptor of its own.

use std::io;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::time::Duration;

use super::backend;
use super::clock::Clock;
use super::poll::Poller;
use crate::time::Time;

/// How long it sleeps where the system cannot sleep on descriptors named in the call.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Sleeps on all of them, and offers one descriptor to others who want to.
#[derive(Debug)]
pub(crate) struct WatchAll {
    poller: Poller,
    /// The descriptors of the lines are in the poll.
    polled: OnceLock<()>,
}

impl WatchAll {
    /// A watch over nothing yet.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poller: Poller::new()?, polled: OnceLock::new() })
    }

    /// Sleeps until one of `sockets` is readable or the deadline has come; a bit for each of the first 64 that is.
    ///
    /// # Errors
    ///
    /// What the system said.
    #[cfg(unix)]
    pub(crate) fn wait(
        &mut self,
        sockets: &[BorrowedFd<'_>],
        deadline: Option<Time>,
        clock: &Clock,
    ) -> io::Result<u64> {
        if backend::SLEEPS_BY_NAME {
            return backend::wait_any_readable(sockets, deadline.map(|at| at.since(clock.now())));
        }
        self.wait_blindly(deadline, clock)
    }

    /// Sleeps for a while, and says that all may have something.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn wait_blindly(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<u64> {
        let soon = clock.now() + LOOK_EVERY;
        self.poller.wait(Some(deadline.map_or(soon, |at| at.min(soon))), clock)?;
        Ok(u64::MAX)
    }

    /// Sets the deadline for whoever waits on the descriptor, or will.
    ///
    /// # Errors
    ///
    /// What the system said to the timer.
    pub(crate) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<()> {
        self.poller.arm(deadline, clock)
    }

    /// The descriptor, readable while one of `lines` is or the deadline armed has come.
    #[cfg(unix)]
    pub(crate) fn descriptor<'a>(&self, lines: impl Iterator<Item = BorrowedFd<'a>>) -> BorrowedFd<'_> {
        self.polled.get_or_init(|| {
            for (token, line) in lines.enumerate() {
                if let Err(error) = self.poller.add_shared(&line, token) {
                    tracing::error!(%error, "the descriptor will not tell of datagrams");
                }
            }
        });
        self.poller.as_fd()
    }
}
