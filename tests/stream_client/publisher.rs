//! A publisher made by hand: it knows the bytes of a connection, and nothing else.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire::Body;
use nakcast::wire::CloseReason;
use nakcast::wire::Datagram;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::HelloStart;
use nakcast::wire::Status;
use nakcast::wire::datagram_len;
use nakcast::wire::encode_close;
use nakcast::wire::encode_end;
use nakcast::wire::encode_gone;
use nakcast::wire::encode_heartbeat;
use nakcast::wire::put_frame;
use nakcast::wire::seal_batch;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

pub(crate) const STREAM: StreamId = StreamId(5);

/// One life of a stream, and its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session(pub u64);

impl Session {
    fn head(self, base: u64) -> Head {
        Head { stream: STREAM, session: SessionId(self.0), base: Offset(base), ..Head::default() }
    }

    /// The greeting, and what comes when there is nothing else to say.
    pub(crate) fn heartbeat(self, base: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode_heartbeat(&mut out, &self.head(base), &beat());
        out
    }

    pub(crate) fn end(self, base: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode_end(&mut out, &self.head(base), &beat());
        out
    }

    pub(crate) fn gone(self, from: u64, to: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let range = OffsetRange::new(Offset(from), Offset(to));
        encode_gone(&mut out, &self.head(0), &[GoneEntry::new(range, GoneReason::Overrun)]);
        out
    }

    pub(crate) fn close(self, reason: CloseReason) -> Vec<u8> {
        let mut out = Vec::new();
        encode_close(&mut out, &self.head(0), reason);
        out
    }

    /// A batch of one message for each of the offsets.
    pub(crate) fn batch(self, offsets: std::ops::Range<u64>) -> Vec<u8> {
        let mut out = vec![0; 65_000];
        let mut end = HEADER_BYTES;
        for offset in offsets.clone() {
            let payload = payload(offset);
            end += put_frame(&mut out[end..], FrameFlags::WHOLE, topic(offset), &payload).unwrap();
        }
        out.truncate(end);
        seal_batch(&mut out, &self.head(offsets.start), (offsets.end - offsets.start) as u16);
        out
    }

    /// The batches, of sizes that vary, that hold the offsets up to `end`; the first holds `from`, and may begin before.
    pub(crate) fn batches(self, from: u64, end: u64) -> Vec<u8> {
        let (mut out, mut base, mut size) = (Vec::new(), 0, 1);
        while base < end {
            let next = (base + size).min(end);
            if next > from {
                out.extend(self.batch(base..next));
            }
            (base, size) = (next, size % 23 + 1);
        }
        out
    }
}

fn beat() -> Heartbeat {
    Heartbeat {
        oldest: U64::ZERO,
        receivers: U32::new(1),
        grtt_us: U32::new(50),
        status_ms: U16::new(20),
        tcp_port: U16::ZERO,
        flags: U16::ZERO,
        zero: U16::ZERO,
    }
}

pub(crate) fn topic(offset: u64) -> &'static [u8] {
    if offset.is_multiple_of(3) { b"three" } else { b"" }
}

pub(crate) fn payload(offset: u64) -> Vec<u8> {
    format!("message {offset} {}", "x".repeat(offset as usize * 7 % 90)).into_bytes()
}

/// What a subscriber said first on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) session: u64,
    pub(crate) base: u64,
    pub(crate) start: HelloStart,
    pub(crate) receiver: ReceiverId,
    pub(crate) is_observer: bool,
    pub(crate) topics: Vec<Vec<u8>>,
}

pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// One connection, as the publisher sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self { socket, read: Vec::new() }
    }

    /// The next message of the subscriber, waiting for it or not as the socket does; `None` when it is not here.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Ok(length) = datagram_len(&self.read)
                && self.read.len() >= length
            {
                return Some(self.read.drain(..length).collect());
            }
            let mut room = [0; 4_096];
            match self.socket.read(&mut room) {
                Ok(0) => return None,
                Ok(taken) => self.read.extend_from_slice(&room[..taken]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// The HELLO, which must be the first message.
    pub(crate) fn hello(&mut self) -> Option<Heard> {
        let message = self.next()?;
        let datagram = Datagram::decode(&message).unwrap();
        let Body::Hello(hello, topics) = datagram.body else { panic!("{:?} came first", datagram.body) };
        assert_eq!(datagram.header.stream(), STREAM);
        Some(Heard {
            session: datagram.header.session().0,
            base: datagram.header.base().0,
            start: hello.start().unwrap(),
            receiver: hello.receiver(),
            is_observer: hello.is_observer(),
            topics: topics.map(<[u8]>::to_vec).collect(),
        })
    }

    /// The next STATUS: what it wants next, and whether it leaves.
    pub(crate) fn status(&mut self) -> Option<(u64, bool)> {
        let message = self.next()?;
        let datagram = Datagram::decode(&message).unwrap();
        let Body::Status(status) = datagram.body else { panic!("{:?} is no STATUS", datagram.body) };
        Some((datagram.header.base().0, status.flags.get() & Status::LEAVING != 0))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }
}
