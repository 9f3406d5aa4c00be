//! The machine that answers subscribers, and the buffers that serve it.

use crate::history::Read;
use crate::history::Repair;
use crate::io::Pool;
use crate::io::UdpSocket;
use crate::protocol::LineId;
use crate::protocol::Origin;
use crate::protocol::Sender;
use crate::protocol::Transmit;
use crate::publisher::core::Core;
use crate::publisher::parcel::Parcel;
use crate::time::Time;
use crate::wire::Datagram;

/// Receive buffers.
const BUFFERS: usize = 8;
/// Times the socket is emptied into the pool in one turn.
const REFILLS: u32 = 8;

/// The machine, and the buffers that serve it. Belongs to the background thread, and to whoever waits for it.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) sender: Sender,
    pool: Pool,
    repair: Repair,
    pub(super) undecodable: u64,
    /// Threads that wait for the machine to be served.
    pub(super) waiting: u32,
}

impl Engine {
    pub(super) fn new(sender: Sender) -> Self {
        Self { sender, pool: Pool::new(BUFFERS, 65_536), repair: Repair::new(), undecodable: 0, waiting: 0 }
    }

    /// Takes in what came, so much of it at a time that heartbeats keep their time; whether there may be more.
    pub(super) fn receive(&mut self, core: &Core, now: Time) -> bool {
        let mut has_more = false;
        for line in 0..core.socket.lines() {
            has_more |= self.receive_along(line, core, now);
        }
        has_more
    }

    fn receive_along(&mut self, line: u8, core: &Core, now: Time) -> bool {
        for _ in 0..REFILLS {
            match core.socket.receive(line, &mut self.pool) {
                Ok(0) => return false,
                Ok(_) => {
                    let is_emptied = UdpSocket::is_emptied(&self.pool);
                    self.hand_in(line, core, now);
                    if is_emptied {
                        return false;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "receiving from subscribers");
                    return true;
                }
            }
        }
        true
    }

    fn hand_in(&mut self, line: u8, core: &Core, now: Time) {
        while let Some(span) = self.pool.next_datagram() {
            match Datagram::decode(self.pool.bytes(span)) {
                Ok(datagram) => {
                    let from = Origin { address: self.pool.from(span), line: LineId(line) };
                    self.sender.handle_datagram(now, from, &datagram, &core.ring);
                }
                Err(_) => self.undecodable += 1,
            }
        }
    }

    /// Sends datagrams, and gathers repairs for one destination until they fill a send.
    pub(super) fn gather(&mut self, core: &Core, parcel: &mut Parcel) -> Transmitted {
        loop {
            let now = core.clock.now();
            let Some(transmit) = self.sender.peek_transmit(now, &core.ring) else { return Transmitted::All };
            let repair = match transmit {
                Transmit::Datagram { to, bytes } => {
                    if core.socket.send(to, bytes).is_err() {
                        return Transmitted::Refused;
                    }
                    None
                }
                Transmit::Repair { to, range } => match core.ring.read(range, &mut self.repair) {
                    Read::Copied if !parcel.has_room_for(to, &self.repair) => return Transmitted::Part,
                    Read::Copied => Some(parcel.put(to, &self.repair)),
                    Read::Gone { oldest } => {
                        self.sender.refused(oldest);
                        continue;
                    }
                    Read::Busy | Read::Unsent => return Transmitted::Refused,
                },
            };
            self.sender.sent(now, repair);
        }
    }
}

/// How far the machine's wishes were fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transmitted {
    All,
    /// Enough for one turn; more wants to be sent at once.
    Part,
    /// The socket, or a lock, refused for now.
    Refused,
}
