//! A receiver made by hand: one socket, from which it says what the test wants.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::wire;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::Head;
use nakcast::wire::Kind;
use nakcast::wire::RangeEntry;
use nakcast::wire::ReceiverId;
use nakcast::wire::SessionId;
use nakcast::wire::Status;
use nakcast::wire::StreamId;
use nakcast::wire::Token;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing must come to count as silence.
const SILENCE: Duration = Duration::from_millis(300);

pub(crate) struct Hand {
    socket: UdpSocket,
    to: SocketAddr,
    receiver: ReceiverId,
    pub(crate) session: SessionId,
    pub(crate) token: Token,
}

/// A STATUS before it is encoded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Says {
    pub(crate) next: u64,
    pub(crate) flags: u16,
    pub(crate) time: u64,
}

impl Hand {
    pub(crate) fn new(to: SocketAddr, receiver: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, to, receiver: ReceiverId(receiver), session: SessionId(0), token: Token(0) }
    }

    /// One that has joined the publisher at `to`.
    pub(crate) fn joined(to: SocketAddr, receiver: u64) -> Self {
        let mut hand = Self::new(to, receiver);
        hand.greet(0);
        hand.greet(0);
        hand
    }

    /// Asks to join, and waits for the WELCOME.
    pub(crate) fn greet(&mut self, flags: u16) {
        self.say(SessionId(0), Says { flags, time: 5, ..Says::default() });
        self.take_welcome();
    }

    /// Asks to join, from who knows where.
    pub(crate) fn greet_unheard(&self) {
        self.say(SessionId(0), Says { time: 5, ..Says::default() });
    }

    /// Proves its address to a publisher whose session it knows.
    pub(crate) fn prove(&mut self) {
        self.status(Says { time: 5, ..Says::default() });
        self.take_welcome();
        self.status(Says::default());
    }

    pub(crate) fn status(&self, says: Says) {
        self.say(self.session, says);
    }

    pub(crate) fn greeting_bytes(&self) -> usize {
        self.encode(SessionId(0), Says::default()).len()
    }

    fn say(&self, session: SessionId, says: Says) {
        self.send(&self.encode(session, says));
    }

    fn encode(&self, session: SessionId, says: Says) -> Vec<u8> {
        let status = Status {
            receiver: self.receiver.0.into(),
            token: self.token.0.into(),
            time: says.time.into(),
            window: 100_000.into(),
            rtt_us: 100.into(),
            delivered: 0.into(),
            lost: 0.into(),
            naks: 0.into(),
            kernel_drops: 0.into(),
            lag_us: 0.into(),
            flags: says.flags.into(),
            zero: 0.into(),
        };
        let mut bytes = Vec::new();
        let head = Head { stream: StreamId(1), session, base: Offset(says.next), ..Head::default() };
        wire::encode_status(&mut bytes, &head, &status);
        bytes
    }

    pub(crate) fn nak(&self, from: u64, to: u64) {
        let mut bytes = Vec::new();
        let head = Head { stream: StreamId(1), session: self.session, ..Head::default() };
        let range = RangeEntry::new(OffsetRange::new(Offset(from), Offset(to)));
        wire::encode_nak(&mut bytes, &head, (self.receiver, self.token), &[range]);
        self.send(&bytes);
    }

    fn send(&self, bytes: &[u8]) {
        assert_eq!(self.socket.send_to(bytes, self.to).unwrap(), bytes.len());
    }

    fn take_welcome(&mut self) {
        let mut buffer = [0; 65_536];
        loop {
            let (size, from) = self.socket.recv_from(&mut buffer).expect("no WELCOME");
            let datagram = Datagram::decode(&buffer[..size]).unwrap();
            if let Body::Welcome(welcome) = datagram.body {
                assert_eq!((from, welcome.echo.get()), (self.to, 5), "from the socket that was asked");
                (self.session, self.token) = (datagram.header.session(), Token(welcome.token.get()));
                return;
            }
        }
    }

    /// The base of the next batch, and whether it was sent again.
    pub(crate) fn data(&self) -> (Offset, bool) {
        let mut buffer = [0; 65_536];
        loop {
            let size = self.socket.recv(&mut buffer).expect("no data");
            let datagram = Datagram::decode(&buffer[..size]).unwrap();
            if matches!(datagram.body, Body::Data(_)) {
                return (datagram.header.base(), datagram.header.flags().has(Flags::REPAIR));
            }
        }
    }

    /// What came next and how large it was; `None` after a silence.
    pub(crate) fn next(&self) -> Option<(Kind, usize)> {
        let mut buffer = [0; 65_536];
        self.socket.set_read_timeout(Some(SILENCE)).unwrap();
        let size = self.socket.recv(&mut buffer).ok()?;
        Some((Datagram::decode(&buffer[..size]).unwrap().header.kind().unwrap(), size))
    }

    /// Whether nothing comes any more, but for what was on its way.
    pub(crate) fn is_silent(&self) -> bool {
        (0..200).any(|_| self.next().is_none())
    }
}
