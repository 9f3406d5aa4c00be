//! What both sides call a line: one of several ways by which a whole session goes.

use core::net::SocketAddr;

/// The number of a line, in the order in which the lines were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LineId(pub u8);

/// Where a datagram came from: the other end, and the line that it came along. An answer goes back the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The other end.
    pub address: SocketAddr,
    /// The line.
    pub line: LineId,
}

impl From<SocketAddr> for Origin {
    /// Along the first line, where there may be no other.
    #[inline]
    fn from(address: SocketAddr) -> Self {
        Self { address, line: LineId(0) }
    }
}
