//! Where the messages of a source begin for who wants its past.

use crate::offset::Offset;
use crate::protocol::Receiver;
use crate::protocol::receiver::admission::first_offset;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::Heartbeat;
use crate::wire::SessionId;

/// Where a subscriber begins with a source whose past it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beginning {
    /// With what is heard first.
    #[default]
    Live,
    /// With the oldest that the publisher still holds.
    Earliest,
    /// With `offset` of `session`, or of the source heard first when that is 0; of any other with the oldest held.
    At {
        /// The session.
        session: SessionId,
        /// The first offset wanted.
        offset: Offset,
    },
}

impl Receiver {
    /// Where the messages of a source begin for somebody who hears `datagram` first, and whether that is without the past
    /// that was asked for. Who wants the past waits for a heartbeat, which tells where it can be had.
    pub(super) fn beginning(&self, datagram: &Datagram<'_>) -> Option<(Offset, bool)> {
        if self.settings.connected || self.settings.beginning == Beginning::Live {
            return first_offset(datagram).map(|first| (first, false));
        }
        let (Body::Heartbeat(heartbeat) | Body::End(heartbeat)) = datagram.body else { return None };
        let (base, session) = (datagram.header.base(), datagram.header.session());
        let is_first = self.sources.is_empty();
        let (earliest, is_pastless) = self.earliest(base, datagram.header.flags(), heartbeat);
        Some(match self.settings.beginning {
            Beginning::At { session: wanted, offset } if wanted == session || (wanted.0 == 0 && is_first) => {
                if offset <= base {
                    (offset, offset < base && heartbeat.tcp_port.get() == 0)
                } else {
                    (earliest, true)
                }
            }
            _ => (earliest, is_pastless),
        })
    }

    /// Where a source has come that is joined in its past, and what it says of that.
    pub(super) fn past<'a>(&self, datagram: &Datagram<'a>) -> Option<(Offset, &'a Heartbeat)> {
        let wants = !self.settings.connected && self.settings.beginning != Beginning::Live;
        match datagram.body {
            Body::Heartbeat(heartbeat) | Body::End(heartbeat) if wants => {
                Some((datagram.header.base(), heartbeat))
            }
            _ => None,
        }
    }

    fn earliest(&self, base: Offset, flags: Flags, heartbeat: &Heartbeat) -> (Offset, bool) {
        if self.settings.fetches && heartbeat.tcp_port.get() != 0 {
            return (Offset(heartbeat.oldest.get()).min(base), false);
        }
        if flags.has(Flags::OPENING) {
            return (Offset::ZERO, false);
        }
        (base, true)
    }
}
