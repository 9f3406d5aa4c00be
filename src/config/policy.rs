//! What slow subscribers may cost.

use core::time::Duration;

/// What a publisher does for the sake of slow subscribers.
///
/// `Drop`: the fastest live subscriber sets the pace; the others lose what they cannot take, and each is told exactly
/// which offsets, and one that always wants more repairs than its share is cut off by name until it is near the head
/// again. `Block`: the slowest live subscriber sets the pace; everybody gets everything, or is evicted by
/// name. `Disconnect`: as `Drop`, but a subscriber over TCP that is left behind loses its connection instead, and is told
/// why. With no live subscriber, nothing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Paced by the fastest.
    Drop {
        /// The longest wait without any progress, before the publisher runs free. 100 ms.
        pace: Duration,
        /// Never wait at all: datagrams that find no room at any subscriber are repaired, or lost by name.
        free_running: bool,
    },
    /// Paced by the slowest.
    Block {
        /// How long one subscriber may hold the publisher without moving before it is evicted. 5 s.
        patience: Duration,
    },
    /// Paced by the fastest; who is left behind over TCP is disconnected. Over UDP it is `Drop`.
    Disconnect {
        /// As in `Drop`.
        pace: Duration,
        /// As in `Drop`.
        free_running: bool,
    },
}

impl Policy {
    /// `Drop` with its defaults.
    pub const DROP: Self = Self::Drop { pace: Duration::from_millis(100), free_running: false };
    /// `Block` with its defaults.
    pub const BLOCK: Self = Self::Block { patience: Duration::from_secs(5) };
    /// `Disconnect` with its defaults.
    pub const DISCONNECT: Self = Self::Disconnect { pace: Duration::from_millis(100), free_running: false };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DROP
    }
}
