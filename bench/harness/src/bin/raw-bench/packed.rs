//! The sending side of packed datagrams: written into a train, which leaves with one call.

use std::net::UdpSocket;

use harness::Options;
use harness::Publish;
use harness::Result;
use harness::Role;
use harness::Sent;
use harness::system;
use serde_json::json;

use crate::frame;
use crate::frame::FRAME_BYTES;
use crate::frame::HEADER_BYTES;
use crate::frame::Header;
use crate::is_segmenting;
use crate::sockets;
use crate::window;
use crate::window::Window;

/// The most that one send carries.
const SEND_BYTES: usize = 65_507;

/// Bytes between the beginnings of trains.
const TRAIN_BYTES: usize = 65_536;

/// The ring of a publisher, as large as this library's.
const RING_BYTES: usize = 32 << 20;

/// Datagrams of a `sendmmsg`.
const SENDMMSG: usize = 32;

/// Datagrams of a train that the kernel cuts.
const SEGMENTS: usize = 64;

/// Packs and sends; with a ring (and a CRC) every train has a place of its own, without all use the same.
pub(crate) struct Packed<const RING: bool> {
    socket: UdpSocket,
    window: Option<Window>,
    ring: Box<[u8]>,
    datagram_bytes: usize,
    is_segmenting: bool,
    /// Whether a message waits for nobody: it is one at a time.
    is_alone: bool,
    is_paced: bool,
    /// Where the current train begins in the ring.
    train: usize,
    /// Where the open datagram begins.
    start: usize,
    /// Where its messages end, and how far they may reach.
    end: usize,
    limit: usize,
    /// Messages in it.
    count: u16,
    /// Datagrams sealed in this train, and the size of each.
    sealed: usize,
    segment: usize,
    /// Datagrams sealed, ever, and their bytes.
    number: u64,
    position: u64,
}

impl<const RING: bool> Packed<RING> {
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let ring = if RING { options.ring.unwrap_or(RING_BYTES) } else { TRAIN_BYTES };
        let trains = (ring / TRAIN_BYTES).max(1);
        let window = window::size(options).map(|size| Window::open(options, size)).transpose()?;
        let mut packed = Self {
            socket: sockets::sender(options)?,
            window,
            // Pages of another value than 0 exist from the start.
            ring: vec![1; trains * TRAIN_BYTES].into_boxed_slice(),
            datagram_bytes: options.datagram.clamp(512, SEND_BYTES),
            is_segmenting: is_segmenting(options),
            is_alone: matches!(options.role, Role::Ping | Role::Echo),
            is_paced: options.is_paced(),
            train: 0,
            start: 0,
            end: 0,
            limit: 0,
            count: 0,
            sealed: 0,
            segment: 0,
            number: 0,
            position: 0,
        };
        if options.message_bytes() + HEADER_BYTES + FRAME_BYTES > packed.datagram_bytes {
            return Err("a message does not fit a datagram".into());
        }
        packed.begin(0);
        Ok(packed)
    }

    /// Begins a datagram here.
    fn begin(&mut self, at: usize) {
        self.start = at;
        self.end = at + HEADER_BYTES;
        self.limit = at + self.datagram_bytes;
        self.count = 0;
    }

    /// Seals the open datagram, and makes room for another: behind it, or in the next train.
    fn next_datagram(&mut self) -> Result<()> {
        self.seal();
        let most = if self.is_segmenting { SEGMENTS.min(SEND_BYTES / self.segment) } else { SENDMMSG };
        let is_full = self.sealed == most || self.end + self.datagram_bytes > self.train + SEND_BYTES;
        // Only the last of a train may be of another size, and messages are all of one.
        let is_last = self.end - self.start != self.segment;
        if is_full || is_last {
            return self.send();
        }
        self.begin(self.end);
        Ok(())
    }

    fn seal(&mut self) {
        let datagram = &mut self.ring[self.start..self.end];
        let header = Header { count: self.count, number: self.number, position: self.position };
        frame::seal::<RING>(datagram, header);
        self.number += 1;
        self.position += datagram.len() as u64;
        if self.sealed == 0 {
            self.segment = datagram.len();
        }
        self.sealed += 1;
    }

    /// Sends what is sealed of the train, and begins the next.
    fn send(&mut self) -> Result<()> {
        if let Some(window) = &mut self.window {
            window.admit(self.position)?;
        }
        let train = &self.ring[self.train..self.end];
        match self.sealed {
            1 => drop(self.socket.send(train)?),
            _ if self.is_segmenting => system::send_segments(&self.socket, train, self.segment as u16)?,
            _ => {
                let mut left = train;
                while !left.is_empty() {
                    let sent = system::send_many(&self.socket, left.chunks(self.segment))?;
                    left = left.get(sent * self.segment..).unwrap_or_default();
                }
            }
        }
        self.sealed = 0;
        self.train += TRAIN_BYTES;
        if self.train == self.ring.len() {
            self.train = 0;
        }
        self.begin(self.train);
        Ok(())
    }

    /// Sends everything.
    fn flush(&mut self) -> Result<()> {
        if self.count > 0 {
            self.seal();
        } else {
            // The open datagram has nothing but room for a header.
            self.end = self.start;
        }
        if self.sealed == 0 {
            self.begin(self.start);
            return Ok(());
        }
        self.send()
    }
}

impl<const RING: bool> Publish for Packed<RING> {
    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<()> {
        let need = FRAME_BYTES + message.len();
        if self.end + need > self.limit {
            self.next_datagram()?;
        }
        frame::write(&mut self.ring[self.end..self.end + need], message);
        self.end += need;
        self.count += 1;
        if self.is_alone { self.flush() } else { Ok(()) }
    }

    /// Nothing is held back while there is nothing to publish.
    fn idle(&mut self) -> Result<()> {
        if self.is_paced { self.flush() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<Sent> {
        self.flush()?;
        let mut sent = Sent::default();
        let mut note = |name: &str, value| drop(sent.notes.insert(name.into(), value));
        note("datagrams", json!(self.number));
        note("datagram_bytes", json!(self.position));
        note("window_reopened", json!(self.window.as_ref().map(|window| window.reopened)));
        Ok(sent)
    }
}
