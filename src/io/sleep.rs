//! A publisher's sleep on all that comes for it, without a poll.

use std::io;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::backend;
use super::listener::Switchboard;
use super::udp::UdpSocket;

/// Names the poll of a publisher's connections, for whoever sleeps on it and does not have it.
#[derive(Debug)]
pub(crate) struct BoardName(#[cfg(unix)] OwnedFd);

impl BoardName {
    /// Names `board`.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(crate) fn of(board: &Switchboard) -> io::Result<Self> {
        #[cfg(unix)]
        let name = Self(board.as_fd().try_clone_to_owned()?);
        #[cfg(not(unix))]
        let name = {
            let _ = board;
            Self()
        };
        Ok(name)
    }
}

/// Whether [`sleep_on`] is there.
pub(crate) const SLEEPS: bool = backend::SLEEPS_BY_NAME;

/// Sleeps for a while, whatever comes; false where the system cannot do so for less than a millisecond.
///
/// # Errors
///
/// What the system said.
pub(crate) fn pause(time: Duration) -> io::Result<bool> {
    if backend::SLEEPS_BY_NAME {
        backend::wait_any_readable(&[], Some(time))?;
    }
    Ok(backend::SLEEPS_BY_NAME)
}

/// Sleeps until something comes to `socket` or one of the connections, for so long at most.
///
/// # Errors
///
/// What the system said.
#[cfg(unix)]
pub(crate) fn sleep_on(
    socket: Option<&UdpSocket>,
    board: Option<&BoardName>,
    most: Duration,
) -> io::Result<()> {
    let (socket, board) = (socket.map(AsFd::as_fd), board.map(|board| board.0.as_fd()));
    match (socket, board) {
        (Some(socket), Some(board)) => backend::wait_readable([&socket, &board], Some(most)).map(|_| ()),
        (Some(one), None) | (None, Some(one)) => backend::wait_readable([&one], Some(most)).map(|_| ()),
        (None, None) => Ok(()),
    }
}

/// How many sockets [`sleep_on_all`] knows at most, beside a poll of connections.
#[cfg(unix)]
const SLEEPS_ON: usize = 16;

/// As [`sleep_on`], on several sockets.
///
/// # Errors
///
/// What the system said.
#[cfg(unix)]
pub(crate) fn sleep_on_all<'a>(
    sockets: impl Iterator<Item = &'a UdpSocket>,
    board: Option<&'a BoardName>,
    most: Duration,
) -> io::Result<()> {
    let mut all = sockets.map(AsFd::as_fd).take(SLEEPS_ON).chain(board.map(|board| board.0.as_fd()));
    let Some(first) = all.next() else { return Ok(()) };
    // To name one again changes nothing.
    let mut named = [first; SLEEPS_ON + 1];
    named.iter_mut().skip(1).zip(all).for_each(|(place, one)| *place = one);
    backend::wait_readable(named.each_ref(), Some(most)).map(|_| ())
}

/// Not here.
#[cfg(not(unix))]
pub(crate) fn sleep_on_all<'a>(
    _sockets: impl Iterator<Item = &'a UdpSocket>,
    _board: Option<&BoardName>,
    _most: Duration,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not here.
#[cfg(not(unix))]
pub(crate) fn sleep_on(
    _socket: Option<&UdpSocket>,
    _board: Option<&BoardName>,
    _most: Duration,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
