//! The datagram side of a publisher, which may have none.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use crate::io::BoardName;
use crate::io::Offload;
use crate::io::Pool;
use crate::io::UdpSocket;
use crate::io::sleep_on;
use crate::io::sleep_on_all;
use crate::protocol::Destination;
use crate::protocol::Sender;
use crate::publisher::fan::Fan;
use crate::stats::LineStats;

/// The sockets that datagrams leave from and NAKs come to; without one, everything sent counts as gone, and nothing comes.
#[derive(Debug)]
pub(super) struct Outlet {
    first: Option<UdpSocket>,
    /// Where everything goes, as long as there is no fan.
    to: SocketAddr,
    /// The other lines, and all places that everything goes to; boxed, since most publishers have none.
    fan: Option<Box<Fan>>,
}

impl Outlet {
    pub(super) const fn new(first: Option<UdpSocket>, to: SocketAddr, fan: Option<Box<Fan>>) -> Self {
        Self { first, to, fan }
    }

    /// The address that datagrams leave from.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.first.as_ref().map(UdpSocket::local_addr)
    }

    /// Where everything goes, or the first of those places.
    pub(super) const fn to(&self) -> SocketAddr {
        self.to
    }

    /// Sends a run of batches to wherever everything goes; how many of them are done with.
    #[inline]
    pub(super) fn send_run(&self, bytes: &[u8], sizes: &[u16]) -> io::Result<usize> {
        match (&self.fan, &self.first) {
            (None, Some(socket)) => socket.send_batches(self.to, bytes, sizes),
            (Some(fan), first) => fan.send_run(first.as_ref(), bytes, sizes),
            (None, None) => Ok(sizes.len()),
        }
    }

    /// Sends an answer or a heartbeat.
    pub(super) fn send(&self, to: Destination, bytes: &[u8]) -> io::Result<()> {
        match (&self.fan, &self.first) {
            (None, Some(socket)) => socket.send(self.address(to), bytes),
            (Some(fan), first) => fan.send(first.as_ref(), to, bytes),
            (None, None) => Ok(()),
        }
    }

    /// Sends repairs; how many of them are done with.
    pub(super) fn post(&self, to: Destination, bytes: &[u8], sizes: &[u16]) -> io::Result<usize> {
        match (&self.fan, &self.first) {
            (None, Some(socket)) => socket.send_batches(self.address(to), bytes, sizes),
            (Some(fan), first) => fan.post(first.as_ref(), to, bytes, sizes),
            (None, None) => Ok(sizes.len()),
        }
    }

    const fn address(&self, to: Destination) -> SocketAddr {
        match to {
            Destination::Group | Destination::Everywhere => self.to,
            Destination::Peer(to) => to.address,
        }
    }

    /// How many sockets there are to look at.
    pub(super) fn lines(&self) -> u8 {
        self.fan.as_ref().map_or(1, |fan| fan.lines())
    }

    pub(super) fn receive(&self, line: u8, pool: &mut Pool) -> io::Result<usize> {
        let socket = match &self.fan {
            Some(fan) => fan.socket(self.first.as_ref(), line),
            None => self.first.as_ref(),
        };
        socket.map_or(Ok(0), |socket| socket.receive(pool))
    }

    /// From now on everything also goes to those who have joined, and no longer to those who are gone.
    pub(super) fn follow(&self, sender: &Sender) {
        if let Some(fan) = &self.fan {
            fan.follow(sender);
        }
    }

    pub(super) fn wait_for_room(&self, time: Duration) -> io::Result<()> {
        let socket = match &self.fan {
            Some(fan) => fan.full_socket(self.first.as_ref()),
            None => self.first.as_ref(),
        };
        socket.map_or(Ok(()), |socket| socket.wait_for_room(time))
    }

    /// Sleeps until something comes, here or over the connections of `board`, for so long at most.
    pub(super) fn sleep_beside(&self, board: Option<&BoardName>, most: Duration) -> io::Result<()> {
        match &self.fan {
            None => sleep_on(self.first.as_ref(), board, most),
            Some(fan) => sleep_on_all(self.first.iter().chain(fan.beyond()), board, most),
        }
    }

    /// What each line has counted, in the order in which they were named.
    pub(super) fn stats(&self) -> Vec<LineStats> {
        match (&self.fan, &self.first) {
            (Some(fan), first) => fan.stats(first.as_ref()),
            (None, Some(socket)) => vec![LineStats {
                local_address: socket.local_addr(),
                destinations: 1,
                skipped: 0,
                send_errors: socket.send_errors().total(),
                kernel_drops: socket.kernel_drops(),
            }],
            (None, None) => Vec::new(),
        }
    }

    /// Whether the kernel cuts what is sent, as far as one line tells it.
    pub(super) fn segmentation(&self) -> Offload {
        self.first.as_ref().map_or(Offload::Off, UdpSocket::segmentation)
    }
}
