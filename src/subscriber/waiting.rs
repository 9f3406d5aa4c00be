//! What a subscriber does while nothing is here.

use core::hint::spin_loop;
use core::mem::replace;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
#[cfg(unix)]
use std::os::fd::RawFd;

use crate::error::Error;
use crate::subscriber::Subscriber;
use crate::subscriber::path::Turn;
use crate::time::Time;

/// How long it spins without looking after anything else.
const LONGEST_SPIN: Duration = Duration::from_millis(1);

/// One call's wait for something to hand on.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// When the call found the sockets empty first.
    dry_at: Option<Time>,
}

impl Subscriber {
    /// Spins or sleeps, as the user chose, until the sockets may hold something, a timer is due, or `deadline`.
    pub(super) fn wait(&mut self, patience: &mut Patience, deadline: Option<Time>) -> Result<(), Error> {
        let dry_at = *patience.dry_at.get_or_insert(self.now);
        let spin_until = dry_at + self.wait.spin(Duration::ZERO);
        let spins = self.now < spin_until;
        let has_spun = replace(&mut self.glances, spins);
        if spins {
            return self.spin(deadline.into_iter().chain([spin_until, self.now + LONGEST_SPIN]).min());
        }
        if has_spun {
            // Glances leave one socket aside, and whoever sleeps must have emptied both.
            self.inlet.forget();
            return Ok(());
        }
        let receiver = self.subscription.receiver_ref();
        let (is_recovering, next) = (receiver.is_recovering(), receiver.next_timeout());
        let deadline = next.into_iter().chain(deadline).min();
        if self.inlet.may_nap(is_recovering, self.now, deadline) {
            return self.inlet.nap();
        }
        self.inlet.wait(deadline, &self.clock)
    }

    /// Whether the sockets are empty as of this call: what an earlier one found may be long ago.
    pub(super) fn has_looked(&self, patience: &Patience) -> bool {
        patience.dry_at.is_some() && self.inlet.is_surely_empty()
    }

    /// Looks at the sockets and the clock, and at nothing else, until something comes or is due.
    fn spin(&mut self, until: Option<Time>) -> Result<(), Error> {
        let receiver = self.subscription.receiver_ref();
        let (is_recovering, next) = (receiver.is_recovering(), receiver.next_timeout());
        let until = next.into_iter().chain(until).min();
        loop {
            spin_loop();
            self.now = self.clock.now();
            if until.is_some_and(|at| self.now >= at) || self.inlet.glance(self.now, is_recovering)? {
                return Ok(());
            }
        }
    }

    /// A caller who waits elsewhere, or not at all, is told of everything that is here.
    pub(super) fn look_anew(&mut self) {
        self.glances = false;
        self.inlet.forget();
    }

    /// Makes the descriptor readable when there is something to do again: now, if the sockets were not emptied.
    pub(super) fn arm(&mut self, turn: Turn) -> Result<(), Error> {
        let next = self.subscription.receiver_ref().next_timeout();
        let at = if matches!(turn, Turn::Busy) { Some(self.now) } else { next };
        self.inlet.arm(at, &self.clock)
    }
}

#[cfg(unix)]
impl AsRawFd for Subscriber {
    /// As [`AsFd`], for loops that ask for it.
    fn as_raw_fd(&self) -> RawFd {
        self.inlet.as_fd().as_raw_fd()
    }
}

#[cfg(unix)]
impl AsFd for Subscriber {
    /// Readable when something came or a timer is due, once [`try_recv`](Subscriber::try_recv) gave `None`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inlet.as_fd()
    }
}
