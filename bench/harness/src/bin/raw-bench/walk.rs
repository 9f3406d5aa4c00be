//! The receiving side of packed datagrams.

use std::net::UdpSocket;

use harness::Heard;
use harness::Options;
use harness::Receive;
use harness::Received;
use harness::Result;
use harness::Wait;
use harness::system;
use harness::system::ReceivePool;
use serde_json::json;

use crate::frame;
use crate::is_segmenting;
use crate::sockets;
use crate::window;
use crate::window::Statuses;

/// Receives, checks and walks; the CRC too, if there is one.
pub(crate) struct Walk<const CRC: bool> {
    socket: UdpSocket,
    pool: ReceivePool,
    statuses: Option<Statuses>,
    wait: Wait,
    datagrams: u64,
    damaged: u64,
}

impl<const CRC: bool> Walk<CRC> {
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let socket = sockets::receiver(options)?;
        let is_joining = is_segmenting(options);
        if is_joining {
            system::join_segments(&socket)?;
        }
        let statuses = window::size(options).map(|size| Statuses::open(options, size)).transpose()?;
        let pool = ReceivePool::new(is_joining);
        Ok(Self { socket, pool, statuses, wait: options.wait, datagrams: 0, damaged: 0 })
    }
}

impl<const CRC: bool> Receive for Walk<CRC> {
    #[inline]
    fn receive<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<Received> {
        let filled = self.pool.receive(&self.socket, self.wait)?;
        let mut position = 0;
        for datagram in (0..filled).flat_map(|buffer| self.pool.datagrams(buffer)) {
            let Some((header, frames)) = frame::open::<CRC>(datagram) else {
                self.damaged += 1;
                continue;
            };
            self.datagrams += 1;
            position = header.position + datagram.len() as u64;
            let count = frame::walk(frames, &mut each);
            self.damaged += u64::from(count != header.count);
        }
        if filled == 0 {
            return Ok(Received::Nothing);
        }
        if let Some(statuses) = &mut self.statuses {
            statuses.tell(position);
        }
        Ok(Received::Some)
    }

    fn counters(&self) -> Heard {
        let mut heard = Heard::default();
        heard.notes.insert("datagrams".into(), json!(self.datagrams));
        heard.notes.insert("damaged".into(), json!(self.damaged));
        heard
    }
}
