//! A subscriber's wait for either of its sockets.
//!
//! A socket in a poll costs whoever sends to it: the kernel goes through the poll's lock for each datagram that arrives
//! (130 ns of the sender's time over veth, 6 % of a cut train). So the sockets are in the poll only for a user who
//! waits on its descriptor; the subscriber's own sleep names them to the system each time it begins.

use std::io;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use super::backend;
use super::clock::Clock;
use super::poll::Poller;
use super::stream::Link;
use super::udp::UdpSocket;
use crate::time::Time;

/// The token of a connection beside the two sockets.
#[cfg(unix)]
const BESIDE: usize = 2;

/// Sleeps on two sockets, and offers a descriptor to others who want to.
#[derive(Debug)]
pub(crate) struct Watch {
    poller: Poller,
    /// The sockets are in the poll.
    polled: OnceLock<()>,
}

impl Watch {
    /// A watch over `sockets`.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(crate) fn new(sockets: [&mut UdpSocket; 2]) -> io::Result<Self> {
        let (mut poller, polled) = (Poller::new()?, OnceLock::new());
        if !backend::SLEEPS_BY_NAME {
            for (token, socket) in sockets.into_iter().enumerate() {
                poller.add(socket, token)?;
            }
            polled.get_or_init(|| ());
        }
        Ok(Self { poller, polled })
    }

    /// Sleeps until a socket is readable or the deadline has come; tells which are.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn wait(
        &mut self,
        sockets: [&UdpSocket; 2],
        deadline: Option<Time>,
        clock: &Clock,
    ) -> io::Result<[bool; 2]> {
        if backend::SLEEPS_BY_NAME {
            return backend::wait_readable(sockets, deadline.map(|at| at.since(clock.now())));
        }
        let ready = self.poller.wait(deadline, clock)?;
        Ok([ready.is_readable(0), ready.is_readable(1)])
    }

    /// Tells whoever waits on the descriptor of `link`, too, until that is dropped.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn add_beside(&self, link: &Link) -> io::Result<()> {
        #[cfg(unix)]
        return self.poller.add_shared(&link.as_fd(), BESIDE);
        #[cfg(not(unix))]
        {
            let _ = link;
            Ok(())
        }
    }

    /// As [`wait`](Self::wait), and until there is news of `link`, which was [added](Self::add_beside).
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn wait_beside(
        &mut self,
        sockets: [&UdpSocket; 2],
        link: &Link,
        deadline: Option<Time>,
        clock: &Clock,
    ) -> io::Result<[bool; 2]> {
        #[cfg(unix)]
        if backend::SLEEPS_BY_NAME {
            let fds = [sockets[0].as_fd(), sockets[1].as_fd(), link.as_fd()];
            let timeout = deadline.map(|at| at.since(clock.now()));
            let [data, control, _] = backend::wait_readable(fds.each_ref(), timeout)?;
            return Ok([data, control]);
        }
        // Where one poll cannot be in another, the connection is looked at every now and then.
        #[cfg(not(unix))]
        let deadline = {
            let _ = link;
            deadline.into_iter().chain([clock.now() + std::time::Duration::from_millis(5)]).min()
        };
        self.wait(sockets, deadline, clock)
    }

    /// Sets the deadline for whoever waits on the descriptor, or will.
    ///
    /// # Errors
    ///
    /// What the system said to the timer.
    pub(crate) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<()> {
        self.poller.arm(deadline, clock)
    }

    /// The descriptor, readable while a socket is or the deadline armed has come.
    #[cfg(unix)]
    pub(crate) fn descriptor(&self, sockets: [&UdpSocket; 2]) -> BorrowedFd<'_> {
        self.polled.get_or_init(|| {
            for (token, socket) in sockets.into_iter().enumerate() {
                if let Err(error) = self.poller.add_shared(&socket.as_fd(), token) {
                    tracing::error!(%error, "the descriptor will not tell of datagrams");
                }
            }
        });
        self.poller.as_fd()
    }
}
