//! Repairs for one destination, gathered so that they leave in one send: each send of its own costs some 5 µs.

use crate::history::Repair;
use crate::history::SEND_BYTES;
use crate::protocol::Destination;
use crate::protocol::RepairSent;
use crate::publisher::core::Core;

/// Room for the sizes of as many datagrams as usually fill a send.
const SIZES: usize = 64;

/// What waits to be posted. What is put in counts as sent: a full send buffer delays it, nothing loses it.
#[derive(Debug)]
pub(super) struct Parcel {
    to: Destination,
    bytes: Vec<u8>,
    sizes: Vec<u16>,
}

impl Parcel {
    pub(super) fn new() -> Self {
        Self {
            to: Destination::Group,
            bytes: Vec::with_capacity(SEND_BYTES),
            sizes: Vec::with_capacity(SIZES),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Whether `repair`, for `to`, may go with what is here.
    pub(super) fn has_room_for(&self, to: Destination, repair: &Repair) -> bool {
        let fits = self.bytes.len() + repair.bytes().len() <= SEND_BYTES;
        self.is_empty() || (self.to == to && fits)
    }

    /// Adds a repair for which there is room.
    pub(super) fn put(&mut self, to: Destination, repair: &Repair) -> RepairSent {
        self.to = to;
        self.bytes.extend_from_slice(repair.bytes());
        self.sizes.extend_from_slice(repair.sizes());
        RepairSent { covers: repair.covers(), bytes: repair.bytes().len() }
    }

    /// Hands everything to the socket; whether it took it all.
    pub(super) fn post(&mut self, core: &Core) -> bool {
        while !self.is_empty() {
            let Ok(sent) = core.socket.post(self.to, &self.bytes, &self.sizes) else {
                return false;
            };
            let bytes: usize = self.sizes.drain(..sent).map(usize::from).sum();
            self.bytes.drain(..bytes);
        }
        true
    }
}
