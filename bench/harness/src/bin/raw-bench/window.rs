//! How far a sender may be ahead of its slowest receiver, in bytes of datagrams.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use harness::Options;
use harness::Result;
use harness::system;

use crate::sockets;

/// Bytes in flight at most, unless chosen otherwise.
const DEFAULT: u64 = 8 << 20;

/// How long a full window waits for a word of its receivers.
const PATIENCE: Duration = Duration::from_secs(1);

/// Receivers that are remembered.
const RECEIVERS: usize = 64;

/// The size of the window; `None` without one.
pub(crate) fn size(options: &Options) -> Option<u64> {
    Some(options.window.unwrap_or(DEFAULT)).filter(|bytes| *bytes > 0)
}

/// The sender's side.
pub(crate) struct Window {
    socket: UdpSocket,
    size: u64,
    /// Up to which position each receiver has taken everything in.
    receivers: Vec<(SocketAddr, u64)>,
    /// The least of those.
    confirmed: u64,
    /// The position at which to look for statuses again.
    look_at: u64,
    /// How often nobody answered.
    pub(crate) reopened: u64,
}

impl Window {
    pub(crate) fn open(options: &Options, size: u64) -> Result<Self> {
        let socket = sockets::status_receiver(options)?;
        let receivers = Vec::with_capacity(RECEIVERS);
        Ok(Self { socket, size, receivers, confirmed: 0, look_at: size / 2, reopened: 0 })
    }

    /// Waits until everything before `position` may be in flight; no system call until half of the window is.
    #[inline]
    pub(crate) fn admit(&mut self, position: u64) -> Result<()> {
        if position <= self.look_at { Ok(()) } else { self.look(position) }
    }

    #[cold]
    fn look(&mut self, position: u64) -> Result<()> {
        self.take_statuses()?;
        while position > self.confirmed + self.size {
            if !system::is_readable(&self.socket, PATIENCE)? {
                self.reopened += 1;
                self.receivers.clear();
                self.confirmed = position;
            }
            self.take_statuses()?;
        }
        let edge = self.confirmed + self.size;
        self.look_at = (edge - self.size / 2).max(position + self.size / 8).min(edge);
        Ok(())
    }

    fn take_statuses(&mut self) -> Result<()> {
        let mut bytes = [0; 8];
        loop {
            let (read, from) = match self.socket.recv_from(&mut bytes) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            if read == bytes.len() {
                self.note(from, u64::from_le_bytes(bytes));
            }
        }
        if let Some(least) = self.receivers.iter().map(|(_, position)| *position).min() {
            self.confirmed = self.confirmed.max(least);
        }
        Ok(())
    }

    fn note(&mut self, from: SocketAddr, position: u64) {
        if let Some((_, known)) = self.receivers.iter_mut().find(|(receiver, _)| *receiver == from) {
            *known = position.max(*known);
        } else if self.receivers.len() < RECEIVERS {
            self.receivers.push((from, position));
        }
    }
}

/// The receiver's side: a word each quarter of the window.
pub(crate) struct Statuses {
    socket: UdpSocket,
    every: u64,
    next: u64,
}

impl Statuses {
    pub(crate) fn open(options: &Options, size: u64) -> Result<Self> {
        Ok(Self { socket: sockets::status_sender(options)?, every: size / 4, next: 0 })
    }

    /// Everything before `position` was taken in.
    #[inline]
    pub(crate) fn tell(&mut self, position: u64) {
        if position >= self.next {
            self.next = position + self.every;
            // A sender that is gone is told of by silence, not here.
            self.socket.send(&position.to_le_bytes()).ok();
        }
    }
}
