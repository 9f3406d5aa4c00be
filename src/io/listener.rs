//! The server's side of connections: one socket that takes them, and a poll of their own for all of them.

use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::TcpKeepalive;
use socket2::Type;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1_024;
/// A peer that is gone without a word is found out within a minute: first asked after so long,
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// then so often,
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// so many times; or when it has confirmed nothing for so long.
const KEEPALIVE_TRIES: u32 = 3;
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(60);
/// Events taken at a time.
const EVENTS: usize = 256;
const LISTENER: Token = Token(usize::MAX);

/// A socket that connections come to.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: mio::net::TcpListener,
    local: SocketAddr,
}

impl Listener {
    /// Listens at `address`; at every address of both families when that is `[::]`. Port 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // On Windows it would let two processes have one port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let inner = mio::net::TcpListener::from_std(socket.into());
        Ok(Self { local: inner.local_addr()?, inner })
    }

    /// The address it is bound to.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection, ready to be used; `None` when no other waits. One that fails at once is passed over.
    ///
    /// # Errors
    ///
    /// When the system cannot give another one: it has no descriptor left, for example.
    pub(crate) fn accept(&self) -> io::Result<Option<(Peer, SocketAddr)>> {
        loop {
            match self.inner.accept() {
                Ok((stream, from)) => {
                    if prepare(&stream).is_ok() {
                        return Ok(Some((Peer { inner: stream }, from)));
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(None),
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

fn prepare(stream: &mio::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_TRIES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
    Ok(())
}

/// One connection that was taken.
#[derive(Debug)]
pub(crate) struct Peer {
    inner: mio::net::TcpStream,
}

impl Peer {
    /// Reads what is there into `room`; `None` for nothing as yet, and 0 for the peer's end of it.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        later(|| self.inner.read(room))
    }

    /// Writes as much as the connection takes; `None` when it takes nothing now.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        later(|| self.inner.write(bytes))
    }

    /// The same, of bytes that lie in several places.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        later(|| self.inner.write_vectored(slices))
    }

    /// Says that nothing more will be written; what was still arrives.
    pub(crate) fn shut(&self) {
        // An error means that the connection is broken, and the next read says so.
        let _ = self.inner.shutdown(Shutdown::Write);
    }
}

fn later(mut act: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match act() {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What has happened to one of the sockets of a [`Switchboard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A connection waits to be taken.
    Knock,
    /// Something happened to the connection of this number.
    Peer {
        number: usize,
        /// There is something to read, or the end of it, or an error.
        readable: bool,
        /// It takes bytes again.
        writable: bool,
    },
}

/// A poll for a listener and its connections. It has a descriptor of its own, which another poll may wait on.
///
/// Edge-triggered: what is reported is not reported again before it was used up.
#[derive(Debug)]
pub(crate) struct Switchboard {
    poll: Poll,
    events: Events,
}

impl Switchboard {
    /// Waits for a listener, as yet.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn new(listener: &mut Listener) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener.inner, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, events: Events::with_capacity(EVENTS) })
    }

    /// Adds a connection, which is `number` from now on. Dropping it takes it out.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn add(&self, peer: &mut Peer, number: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut peer.inner, Token(number), interest)
    }

    /// Puts what has happened behind `calls`, without waiting; whether there may be more.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn check(&mut self, calls: &mut Vec<Call>) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            polled => polled?,
        }
        let had = calls.len();
        calls.extend(self.events.iter().map(|event| match event.token() {
            LISTENER => Call::Knock,
            Token(number) => Call::Peer {
                number,
                readable: event.is_readable() || event.is_error() || event.is_read_closed(),
                writable: event.is_writable() || event.is_error() || event.is_write_closed(),
            },
        }));
        Ok(calls.len() - had >= EVENTS)
    }
}

#[cfg(unix)]
impl AsFd for Switchboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}
