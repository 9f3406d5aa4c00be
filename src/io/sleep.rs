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

/// Not here.
#[cfg(not(unix))]
pub(crate) fn sleep_on(
    _socket: Option<&UdpSocket>,
    _board: Option<&BoardName>,
    _most: Duration,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
