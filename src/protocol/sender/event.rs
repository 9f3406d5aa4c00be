//! What happens to receivers, for the publisher's owner.

use core::net::SocketAddr;

use crate::offset::Offset;
use crate::protocol::ReceiverRow;
use crate::protocol::Sender;
use crate::wire::ReceiverId;

/// What a publisher's owner may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderEvent {
    /// A receiver has proved its address, or one that was evicted and silent is heard again.
    ReceiverUp {
        /// Who.
        receiver: ReceiverId,
        /// Where.
        address: SocketAddr,
    },
    /// A receiver is gone.
    ReceiverDown {
        /// Who.
        receiver: ReceiverId,
        /// Where it was.
        address: SocketAddr,
        /// It said so; otherwise it has fallen silent.
        leaving: bool,
        /// What it last said of itself.
        last: ReceiverRow,
    },
    /// A receiver has fallen more than its window behind; said again only after it was within half of it.
    ReceiverSlow {
        /// Who.
        receiver: ReceiverId,
        /// Where.
        address: SocketAddr,
        /// How many offsets it is behind.
        behind: u64,
    },
    /// A receiver has asked for more repairs than its share for seconds and fallen behind all the same: what it asks for
    /// is refused, and nobody waits for it, until it is near the head again.
    ReceiverCutOff {
        /// Who.
        receiver: ReceiverId,
        /// Where.
        address: SocketAddr,
        /// The next offset it wants.
        next: Offset,
    },
    /// A receiver has held the publisher without moving until patience was used up, or until it fell silent: nobody
    /// waits for it any more, until it is near the head again.
    ReceiverEvicted {
        /// Who.
        receiver: ReceiverId,
        /// Where.
        address: SocketAddr,
        /// The next offset it wants.
        next: Offset,
    },
}

impl Sender {
    /// Counts an event and keeps it for the owner, as long as there are not more than two for each place in the table.
    pub(super) fn tell(&mut self, event: SenderEvent) {
        match event {
            SenderEvent::ReceiverUp { .. } => self.stats.receivers_up += 1,
            SenderEvent::ReceiverDown { .. } => self.stats.receivers_down += 1,
            SenderEvent::ReceiverSlow { .. } => self.stats.slow += 1,
            SenderEvent::ReceiverEvicted { .. } => self.stats.evicted += 1,
            SenderEvent::ReceiverCutOff { .. } => self.stats.cut_off += 1,
        }
        if self.events.len() < 2 * self.settings.receivers.max(8) {
            self.events.push_back(event);
        } else {
            self.stats.events_dropped += 1;
        }
    }
}
