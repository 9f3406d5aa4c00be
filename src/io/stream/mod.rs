//! The subscriber's side of a connection, made again whenever it is lost.
//!
//! ```text
//!   Waiting ── the time has come ──> Connecting ── at last ──> Connected ──> messages, lent from the buffer
//!      ^                                 │                         │
//!      └──── the next address, later ────┴── cut, silent, damaged ─┘
//! ```

mod addresses;
mod backoff;
mod connection;
mod fault;
mod inflow;
mod link;
mod outflow;
mod traffic;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use self::fault::LinkFault;
pub(crate) use self::link::Link;

/// What a link is told once.
#[derive(Debug)]
pub(crate) struct LinkSettings {
    /// A name or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `SO_RCVBUF` to ask for; the kernel's own choice when `None`.
    pub(crate) receive_buffer: Option<usize>,
    /// The shortest and the longest wait before it is tried again.
    pub(crate) backoff: (Duration, Duration),
    /// How many rounds of all addresses may fail in a row.
    pub(crate) limit: Option<u32>,
    /// How long nothing may come before the connection is given up.
    pub(crate) silence: Duration,
    pub(crate) seed: u64,
}

/// What a subscriber's connections have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Connections tried.
    pub attempts: u64,
    /// Connections made, the first among them.
    pub connects: u64,
    /// Connections that were made and have come to an end.
    pub cuts: u64,
    /// Of these, because nothing came for the time of [`silence`](crate::SubscriberBuilder::silence).
    pub silent: u64,
    /// Of these, because what came was damaged, or no message at all.
    pub damaged: u64,
    /// Of these, because the publisher said so.
    pub closed: u64,
    /// Bytes that came.
    pub bytes: u64,
    /// Reports to the publisher that found no room.
    pub reports_left_out: u64,
    /// Whether there is a connection now.
    pub is_connected: bool,
}

impl ConnectionStats {
    /// Those of one connection after the other.
    pub(crate) const fn and(&self, next: &Self) -> Self {
        Self {
            attempts: self.attempts + next.attempts,
            connects: self.connects + next.connects,
            cuts: self.cuts + next.cuts,
            silent: self.silent + next.silent,
            damaged: self.damaged + next.damaged,
            closed: self.closed + next.closed,
            bytes: self.bytes + next.bytes,
            reports_left_out: self.reports_left_out + next.reports_left_out,
            is_connected: next.is_connected,
        }
    }

    /// Connections made again.
    #[must_use]
    pub const fn reconnects(&self) -> u64 {
        self.connects.saturating_sub(1)
    }
}
