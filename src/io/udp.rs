//! A UDP socket that sends runs of datagrams and reads into a pool, with few system calls and counted errors.

mod receive;

use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::event::Source;
#[cfg(unix)]
use mio::unix::SourceFd;
use socket2::SockRef;
use socket2::Socket;

use super::backend;
use super::backend::Kernel;
use super::drops::DropCount;
use super::errors::ErrorCounts;
use super::errors::ErrorTable;
use super::membership::Membership;
use super::offload::Offload;
use super::parts::MOST_PARTS;
use super::parts::Part;
use super::parts::Run;
use super::pool::Pool;

/// How often in a row a send is tried again because nobody hears some earlier datagram.
const MOST_REFUSALS: u32 = 8;

/// A bound, non-blocking UDP socket; `UdpSocket::publisher` and its like open one.
///
/// Two threads may send through it at once. Errors never tear a stream: what the system refuses counts as lost on
/// the network, to be mended like any other loss, and shows in [`UdpSocket::send_errors`].
#[derive(Debug)]
pub(crate) struct UdpSocket {
    inner: mio::net::UdpSocket,
    kernel: Kernel,
    local: SocketAddr,
    /// A socket connected to where most datagrams go.
    lane: Option<Lane>,
    membership: Option<Membership>,
    asked_receive_buffer: usize,
    granted_receive_buffer: usize,
    /// Whether trains are left to the kernel to cut (GSO); off for good once it refused one.
    sends_trains: AtomicBool,
    segmentation: Offload,
    coalescing: Offload,
    drops: DropCount,
    send_errors: ErrorTable,
    receive_errors: ErrorTable,
}

impl UdpSocket {
    /// Takes over a socket that is bound and has its options; `segmentation` is what was asked for both ways, and
    /// `joined` whether the kernel has agreed to hand over trains.
    pub(super) fn new(
        socket: Socket,
        asked_receive_buffer: usize,
        (segmentation, joined): (bool, bool),
    ) -> io::Result<Self> {
        let kernel = Kernel::new(&socket)?;
        let granted_receive_buffer = socket.recv_buffer_size()?;
        let inner = mio::net::UdpSocket::from_std(socket.into());
        let sending = Offload::new(segmentation, kernel.segments(&inner));
        let receiving =
            if kernel.coalesces(joined) { Offload::On } else { Offload::new(segmentation, false) };
        Ok(Self {
            local: inner.local_addr()?,
            inner,
            kernel,
            lane: None,
            membership: None,
            asked_receive_buffer,
            granted_receive_buffer,
            sends_trains: AtomicBool::new(sending == Offload::On),
            segmentation: sending,
            coalescing: receiving,
            drops: DropCount::default(),
            send_errors: ErrorTable::default(),
            receive_errors: ErrorTable::default(),
        })
    }

    /// From now on, what goes to `to` leaves through `lane`, which is connected to it.
    pub(super) fn set_lane(&mut self, lane: Self, to: SocketAddr) {
        self.lane = Some(Lane { socket: lane.inner, to });
    }

    /// The socket that sends there, and the address to give it.
    fn way_to(&self, to: SocketAddr) -> (&mio::net::UdpSocket, Option<SocketAddr>) {
        match &self.lane {
            Some(lane) if lane.to == to => (&lane.socket, None),
            _ => (&self.inner, Some(to)),
        }
    }

    pub(super) fn set_reuse_address(&self, yes: bool) -> io::Result<()> {
        SockRef::from(&self.inner).set_reuse_address(yes)
    }

    pub(super) fn connect(&self, to: SocketAddr) -> io::Result<()> {
        self.inner.connect(to)
    }

    /// The address it is bound to.
    #[must_use]
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The receive buffer that was asked for, in bytes.
    #[must_use]
    pub(crate) const fn asked_receive_buffer(&self) -> usize {
        self.asked_receive_buffer
    }

    /// The receive buffer as the system reports it, in bytes.
    ///
    /// Linux doubles what was asked for, to allow for its own book-keeping, and charges datagrams against the
    /// doubled figure; without privilege it grants at most twice `net.core.rmem_max`. So less than twice
    /// [`asked_receive_buffer`](Self::asked_receive_buffer) there means that the system's limit was met.
    #[must_use]
    pub(crate) const fn granted_receive_buffer(&self) -> usize {
        self.granted_receive_buffer
    }

    /// Whether the kernel cuts the trains that are sent.
    #[must_use]
    pub(crate) fn segmentation(&self) -> Offload {
        match self.segmentation {
            Offload::On if !self.sends_trains.load(Relaxed) => Offload::Refused,
            told => told,
        }
    }

    /// Whether the kernel hands over trains.
    #[must_use]
    pub(crate) const fn coalescing(&self) -> Offload {
        self.coalescing
    }

    /// Whether the read that filled `pool` last found the socket's end: what comes after it makes a poll tell.
    #[must_use]
    pub(crate) const fn is_emptied(pool: &Pool) -> bool {
        Kernel::READS_ALL && pool.had_room()
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_batches`].
    pub(crate) fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let size = u16::try_from(bytes.len()).map_err(|_| ErrorKind::InvalidInput)?;
        self.send_batches(to, bytes, &[size]).map(|_| ())
    }

    /// Sends consecutive datagrams, `sizes` of `bytes`, and says how many were taken: sent, or counted as an error.
    /// Runs of equal size, the last of which may be shorter, travel as one; it takes fewer only when the send
    /// buffer is full.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the send buffer has room for none of them, `InvalidInput` when the sizes do not add up to
    /// the bytes. There are no others.
    pub(crate) fn send_batches(&self, to: SocketAddr, bytes: &[u8], sizes: &[u16]) -> io::Result<usize> {
        let mut run = Run { bytes, sizes };
        if !run.is_consistent() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let (socket, name) = self.way_to(to);
        let mut told = 0;
        while !run.sizes.is_empty() {
            let (one, mut many);
            let parts = if run.sizes.len() == 1 {
                one = [Part { bytes: run.bytes, segment: None }];
                &one[..]
            } else {
                many = [Part::default(); MOST_PARTS];
                let count = run.gather(self.sends_trains.load(Relaxed), &mut many);
                &many[..count]
            };
            let next = match self.kernel.send_many(socket, name, parts) {
                Ok(sent) => Next::Skip(sent),
                Err(error) => self.on_send_error(&error, &parts[0], to, told),
            };
            match next {
                Next::Skip(0) => break,
                Next::Skip(taken) => parts.iter().take(taken).for_each(|part| run.skip(part)),
                Next::Again => {}
            }
            told = if matches!(next, Next::Again) { told + 1 } else { 0 };
        }
        match sizes.len() - run.sizes.len() {
            0 if !sizes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// Waits until the send buffer has room again, at most `most`: what there is to do about `WouldBlock`, since a
    /// [`Poller`](super::Poller) does not watch for room (it would wake up for every datagram that leaves).
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(crate) fn wait_for_room(&self, most: Duration) -> io::Result<()> {
        #[cfg(unix)]
        {
            let mut poll = mio::Poll::new()?;
            let fd = self.lane.as_ref().map_or(&self.inner, |lane| &lane.socket).as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::WRITABLE)?;
            match poll.poll(&mut mio::Events::with_capacity(1), Some(most)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
                _ => Ok(()),
            }
        }
        #[cfg(not(unix))]
        {
            // A socket can be in one poll only here.
            std::thread::park_timeout(most.min(Duration::from_millis(1)));
            Ok(())
        }
    }

    /// Decides about the first part of a send that failed; the `told` calls before failed too.
    fn on_send_error(&self, error: &io::Error, part: &Part<'_>, to: SocketAddr, told: u32) -> Next {
        match error.kind() {
            ErrorKind::WouldBlock => return Next::Skip(0),
            ErrorKind::Interrupted => return Next::Again,
            _ => {}
        }
        let refuses_train = part.segment.is_some() && backend::refuses_trains(error);
        if backend::is_hearsay(error) {
            self.kernel.drain_errors(self.way_to(to).0);
            // It may be about an earlier datagram, and then these were not even tried. That nobody is there any more is no
            // fault of this machine's, nor of those that this is for: one of several places may be closed.
            let is_closed = error.kind() == ErrorKind::ConnectionRefused;
            if told == 0 || (is_closed && told < MOST_REFUSALS) {
                if !refuses_train && !is_closed {
                    self.count_send_error(error, to);
                }
                return Next::Again;
            }
        }
        if refuses_train {
            self.sends_trains.store(false, Relaxed);
            tracing::debug!(%error, %to, "the system does not cut trains here; sending datagrams one by one");
            return Next::Again;
        }
        self.count_send_error(error, to);
        Next::Skip(1)
    }

    fn count_send_error(&self, error: &io::Error, to: SocketAddr) {
        if self.send_errors.count(error) {
            tracing::warn!(%error, %to, "a datagram was not sent; more of the same are only counted");
        }
    }

    /// What was refused, by kind, since the socket was opened.
    #[must_use]
    pub(crate) fn send_errors(&self) -> ErrorCounts {
        self.send_errors.snapshot()
    }

    /// Leaves and joins the group again, which makes the network hear of the membership anew; nothing to do for a
    /// socket that has joined none.
    ///
    /// # Errors
    ///
    /// What the system said to the join; that the membership was gone already is none.
    pub(crate) fn rejoin(&self) -> io::Result<()> {
        let Some(membership) = &self.membership else { return Ok(()) };
        let socket = SockRef::from(&self.inner);
        if let Err(error) = membership.leave(&socket) {
            tracing::debug!(%error, group = %membership.group, "there was no membership to leave");
        }
        membership.join(&socket)
    }

    /// Joins a group, which the socket then belongs to.
    pub(super) fn join(&mut self, membership: Membership) -> io::Result<()> {
        membership.join(&SockRef::from(&self.inner))?;
        self.membership = Some(membership);
        Ok(())
    }
}

#[cfg(unix)]
impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Source for UdpSocket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.inner.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.inner.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.inner.deregister(registry)
    }
}

/// A socket that sends to one place only.
#[derive(Debug)]
struct Lane {
    socket: mio::net::UdpSocket,
    to: SocketAddr,
}

/// What a send does next.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// Leaves the first parts behind; with 0, stops.
    Skip(usize),
    /// Tries the same datagrams again.
    Again,
}

#[cfg(test)]
mod tests;
