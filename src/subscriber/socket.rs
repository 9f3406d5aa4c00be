//! The sockets of a subscriber, and the datagrams taken from them.

use core::net::SocketAddr;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use crate::error::Error;
use crate::io::Clock;
use crate::io::Poller;
use crate::io::Pool;
use crate::io::Span;
use crate::io::UdpSocket;
use crate::sim::FaultInjector;
use crate::stats::SubscriberStats;
use crate::time::Time;

/// Turns of the data socket for each look at the control socket, while nothing is being repaired.
const TURNS: u32 = 8;
/// How often the kernel is asked what it dropped: a system call of half a microsecond.
const DROPS_EVERY: Duration = Duration::from_millis(100);

/// Data comes in through one socket; NAK and STATUS leave through the other, and their answers come back to it.
pub(super) struct Inlet {
    data: UdpSocket,
    control: UdpSocket,
    poller: Poller,
    pool: Pool,
    current: Option<Span>,
    turn: u32,
    faults: Option<FaultInjector>,
    drops_at: Time,
}

impl Inlet {
    pub(super) const DATA: usize = 0;
    pub(super) const CONTROL: usize = 1;

    pub(super) fn new(
        (data, control): (UdpSocket, UdpSocket),
        poller: Poller,
        faults: Option<FaultInjector>,
    ) -> Self {
        let pool = Pool::new(8, 65_536);
        Self { data, control, poller, pool, current: None, turn: 0, faults, drops_at: Time::ZERO }
    }

    /// The bytes of the datagram taken last.
    pub(super) fn current(&self) -> &[u8] {
        self.current.map_or(&[], |span| self.pool.bytes(span))
    }

    /// The next datagram of those taken from the sockets, but for those lost on purpose.
    pub(super) fn next_datagram(&mut self) -> Option<(SocketAddr, &[u8])> {
        loop {
            self.current = self.pool.next_datagram();
            let span = self.current?;
            let lost = self.faults.as_mut().is_some_and(|faults| faults.loses(self.pool.bytes(span)));
            if !lost {
                return Some((self.pool.from(span), self.pool.bytes(span)));
            }
        }
    }

    /// Takes datagrams from the sockets; whether there were any. Repairs to this subscriber alone come to the control
    /// socket, so it is looked at every other time while something is missing; never every time, or a flood of it would
    /// starve the data.
    pub(super) fn fill(&mut self, is_recovering: bool) -> Result<bool, Error> {
        self.turn = self.turn.wrapping_add(1);
        let every = if is_recovering { 2 } else { TURNS };
        let control_first = self.turn.is_multiple_of(every);
        let (first, second) =
            if control_first { (&self.control, &self.data) } else { (&self.data, &self.control) };
        let taken = match first.receive(&mut self.pool).map_err(Error::system("receiving"))? {
            0 => second.receive(&mut self.pool).map_err(Error::system("receiving"))?,
            taken => taken,
        };
        Ok(taken > 0)
    }

    /// Sends a NAK or STATUS. What the system refuses is counted, and as good as lost on the way.
    pub(super) fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.faults.as_mut().is_some_and(|faults| faults.loses(datagram)) {
            return;
        }
        if let Err(error) = self.control.send(to, datagram) {
            tracing::debug!(%error, %to, "a NAK or STATUS finds no room in the socket");
        }
    }

    pub(super) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        self.poller.wait(deadline, clock).map_err(Error::system("waiting for datagrams"))?;
        Ok(())
    }

    pub(super) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        self.poller.arm(deadline, clock).map_err(Error::system("setting a timer"))
    }

    /// Leaves the group and joins it again.
    pub(super) fn rejoin(&self) {
        if let Err(error) = self.data.rejoin() {
            tracing::warn!(%error, "joining the group again after silence");
        }
    }

    /// What the kernel dropped so far, if it is time to ask.
    pub(super) fn kernel_drops(&mut self, now: Time) -> Option<u64> {
        if now < self.drops_at {
            return None;
        }
        self.drops_at = now + DROPS_EVERY;
        Some(self.data.kernel_drops())
    }

    pub(super) fn stats(&self) -> SubscriberStats {
        SubscriberStats {
            kernel_drops: self.data.kernel_drops(),
            faults: self.faults.as_ref().map_or(0, FaultInjector::lost),
            send_errors: self.control.send_errors().total(),
            receive_errors: self.data.receive_errors().total() + self.control.receive_errors().total(),
            ..SubscriberStats::default()
        }
    }

    pub(super) const fn receive_buffer(&self) -> (usize, usize) {
        (self.data.asked_receive_buffer(), self.data.granted_receive_buffer())
    }
}

#[cfg(unix)]
impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
