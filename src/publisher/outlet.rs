//! The datagram side of a publisher, which may have none.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use crate::io::BoardName;
use crate::io::Offload;
use crate::io::Pool;
use crate::io::UdpSocket;
use crate::io::sleep_on;

/// The socket that datagrams leave from and NAKs come to; without one, everything sent counts as gone, and nothing comes.
#[derive(Debug)]
pub(super) struct Outlet(Option<UdpSocket>);

impl Outlet {
    pub(super) const fn new(socket: Option<UdpSocket>) -> Self {
        Self(socket)
    }

    /// The address that datagrams leave from.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.0.as_ref().map(UdpSocket::local_addr)
    }

    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |socket| socket.send(to, bytes))
    }

    #[inline]
    pub(super) fn send_batches(&self, to: SocketAddr, bytes: &[u8], sizes: &[u16]) -> io::Result<usize> {
        self.0.as_ref().map_or(Ok(sizes.len()), |socket| socket.send_batches(to, bytes, sizes))
    }

    pub(super) fn receive(&self, pool: &mut Pool) -> io::Result<usize> {
        self.0.as_ref().map_or(Ok(0), |socket| socket.receive(pool))
    }

    pub(super) fn wait_for_room(&self, time: Duration) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |socket| socket.wait_for_room(time))
    }

    /// Sleeps until something comes, here or over the connections of `board`, for so long at most.
    pub(super) fn sleep_beside(&self, board: Option<&BoardName>, most: Duration) -> io::Result<()> {
        sleep_on(self.0.as_ref(), board, most)
    }

    pub(super) fn send_errors(&self) -> u64 {
        self.0.as_ref().map_or(0, |socket| socket.send_errors().total())
    }

    pub(super) fn kernel_drops(&self) -> u64 {
        self.0.as_ref().map_or(0, UdpSocket::kernel_drops)
    }

    pub(super) fn segmentation(&self) -> Offload {
        self.0.as_ref().map_or(Offload::Off, UdpSocket::segmentation)
    }
}
