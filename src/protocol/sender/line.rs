//! The lines of a publisher: sockets that each carry the whole session.

use core::net::SocketAddr;

/// The number of a line, in the order in which the lines were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LineId(pub u8);

/// Who hears what is sent along a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LineKind {
    /// All who hear it hear the same: a group, or the one address that there is. What one of them asks for goes to all.
    #[default]
    Shared,
    /// Each hears a copy of its own. What one asks for goes to it alone, once it has proved its address.
    Apart,
    /// As [`LineKind::Apart`], and nobody is known beforehand: who hears is whoever asks to, by STATUS.
    Joined,
}

/// Where a datagram came from: the other end, and the line that it came along. An answer goes back the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The other end.
    pub address: SocketAddr,
    /// The line.
    pub line: LineId,
}

impl From<SocketAddr> for Origin {
    /// Along the first line.
    fn from(address: SocketAddr) -> Self {
        Self { address, line: LineId(0) }
    }
}
