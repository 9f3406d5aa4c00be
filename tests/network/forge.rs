//! Forged datagrams of every kind, as fast as one core sends them: true checksums, false words.
#![allow(clippy::disallowed_methods, reason = "it sends for a real time")]

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::time::Jitter;
use nakcast::wire;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::RangeEntry;
use nakcast::wire::Status;
use nakcast::wire::Token;
use nakcast::wire::Welcome;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::net::S3;

/// Ports to send from: more than a subscriber keeps sources.
const SOCKETS: usize = 200;
/// Datagrams made ahead, and sent again and again.
const FORGERIES: usize = 20_000;
/// Datagrams between two looks at the clock.
const TURN: usize = 256;

pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 1, 1);
pub(crate) const PORT: u16 = 4_000;
/// Of packets that bear another's address.
pub(crate) const TTL: u8 = 64;
/// The victim of reflection: a subscriber's host, at a port where nobody listens.
pub(crate) const VICTIM_PORT: u16 = 9;

/// Who is flooded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Publisher,
    Subscribers,
    Everybody,
}

/// Where a forgery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Group,
    Publisher,
    /// One of two subscribers, where it takes repairs and answers.
    Control(usize),
    /// The publisher, from the victim's address.
    Reflected,
}

/// What the forger has overheard.
struct Overheard {
    publisher: SocketAddr,
    stream: StreamId,
    session: SessionId,
    base: Offset,
}

/// Listens to the group for the publisher's session, then floods group, publisher and the subscribers' control ports.
///
/// `target` is a [`Target`].
pub(crate) fn forge(duration: Duration, target: u64, control: [u64; 2]) {
    let control = [(S1, control[0]), (S2, control[1])]
        .map(|(host, port)| format!("{}:{port}", host.v4()).parse::<SocketAddr>().unwrap());
    let overheard = overhear();
    let mut forger = Forger { jitter: Jitter::new(7), overheard };
    let mut forgeries: Vec<_> = (0..FORGERIES).map(|number| forger.forgery(number)).collect();
    forgeries.retain(|(aim, _)| {
        let is_for_publisher = matches!(aim, Aim::Publisher | Aim::Reflected);
        target == Target::Everybody as u64 || is_for_publisher == (target == Target::Publisher as u64)
    });
    let sockets: Vec<_> = (0..SOCKETS).map(|_| UdpSocket::bind(mine(0)).unwrap()).collect();
    let raw = raw();
    let (group, publisher) = (SocketAddr::from((GROUP, PORT)), forger.overheard.publisher);
    let (began, mut tried, mut refused) = (Instant::now(), 0_u64, 0_u64);
    while began.elapsed() < duration {
        for _ in 0..TURN {
            let (aim, bytes) = &forgeries[tried as usize % forgeries.len()];
            let socket = &sockets[tried as usize % SOCKETS];
            let sent = match aim {
                Aim::Group => socket.send_to(bytes, group),
                Aim::Publisher => socket.send_to(bytes, publisher),
                Aim::Control(which) => socket.send_to(bytes, control[*which]),
                Aim::Reflected => raw.send_to(bytes, &publisher.into()),
            };
            tried += 1;
            refused += u64::from(sent.is_err());
        }
    }
    let (took, sent) = (began.elapsed().as_secs_f64(), tried - refused);
    eprintln!(
        "forged {sent} datagrams in {took:.1} s, {:.0} a second; {refused} refused",
        sent as f64 / took
    );
}

/// A socket that takes whole IPv4 packets, whatever address they bear.
pub(crate) fn raw() -> Socket {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).unwrap();
    raw.set_multicast_if_v4(&S3.v4().parse().unwrap()).unwrap();
    raw
}

/// An IPv4 packet that bears the address `from`.
pub(crate) fn packet(from: SocketAddrV4, to: SocketAddrV4, bytes: &[u8]) -> Vec<u8> {
    let length = (20 + 8 + bytes.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, TTL, 17, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend((length - 20).to_be_bytes());
    // No checksum: over IPv4 that is allowed.
    packet.extend([0, 0]);
    packet.extend(bytes);
    packet
}

fn mine(port: u16) -> SocketAddr {
    format!("{}:{port}", S3.v4()).parse().unwrap()
}

fn overhear() -> Overheard {
    let socket = UdpSocket::bind((GROUP, PORT)).unwrap();
    socket.join_multicast_v4(&GROUP, &S3.v4().parse().unwrap()).unwrap();
    let mut bytes = [0; 65_536];
    loop {
        let (length, publisher) = socket.recv_from(&mut bytes).unwrap();
        if let Ok(Datagram { header, .. }) = Datagram::decode(&bytes[..length]) {
            let (stream, session, base) = (header.stream(), header.session(), header.base());
            return Overheard { publisher, stream, session, base };
        }
    }
}

struct Forger {
    jitter: Jitter,
    overheard: Overheard,
}

impl Forger {
    fn forgery(&mut self, number: usize) -> (Aim, Vec<u8>) {
        let head = self.head();
        let mut bytes = Vec::new();
        let kind = number % 10;
        match kind {
            0 => bytes = self.data(&head),
            1 => wire::encode_heartbeat(&mut bytes, &head, &self.heartbeat()),
            2 => wire::encode_end(&mut bytes, &head, &self.heartbeat()),
            3 => wire::encode_welcome(&mut bytes, &head, &self.welcome()),
            4 => wire::encode_gone(&mut bytes, &head, &[self.gone(), self.gone()]),
            5 => wire::encode_shed(&mut bytes, &head, self.receiver(), u32::MAX, &self.ranges()),
            6 => wire::encode_nak(&mut bytes, &head, (self.receiver(), self.token()), &self.ranges()),
            7 => wire::encode_status(&mut bytes, &head, &self.status()),
            8 => bytes = self.garbage(),
            _ => {
                bytes = self.data(&head);
                self.damage(&mut bytes);
            }
        }
        let aim = match (kind, number / 10 % 8) {
            (6 | 7, 0) => Aim::Group,
            (6 | 7, 1) => Aim::Reflected,
            (6 | 7, _) | (_, 0) => Aim::Publisher,
            (_, which @ (1 | 2)) => Aim::Control(which - 1),
            _ => Aim::Group,
        };
        (aim, if aim == Aim::Reflected { self.reflected(&bytes) } else { bytes })
    }

    /// One word in four is of the session that lives, the others of sessions that never were.
    fn head(&mut self) -> Head {
        let is_known = self.jitter.happens(0.25);
        let session = if is_known { self.overheard.session } else { SessionId(self.jitter.bits() % 500) };
        let flags = Flags((self.jitter.bits() & 3) as u8);
        Head { stream: self.overheard.stream, session, base: self.offset(), flags }
    }

    /// Near where the publisher is, far ahead, or anywhere.
    fn offset(&mut self) -> Offset {
        let any = self.jitter.bits();
        Offset(match any % 4 {
            0 => any >> 2,
            1 => u64::MAX - any % 1_000,
            2 => self.overheard.base.0 + (1 << 20) + any % 1_000,
            _ => self.overheard.base.0 + any % 20_000,
        })
    }

    fn data(&mut self, head: &Head) -> Vec<u8> {
        let mut room = [0; 1_400];
        let payload = vec![0xEE; (self.jitter.bits() % 1_200) as usize];
        let flags = FrameFlags(1 + (self.jitter.bits() % 3) as u8);
        let head = Head { base: Offset(head.base.0.min(u64::MAX - 2)), ..*head };
        let used = wire::put_frame(&mut room[wire::HEADER_BYTES..], flags, b"false", &payload).unwrap();
        let mut bytes = room[..wire::HEADER_BYTES + used].to_vec();
        wire::seal_batch(&mut bytes, &head, 1);
        bytes
    }

    fn heartbeat(&mut self) -> Heartbeat {
        let bits = self.jitter.bits();
        Heartbeat {
            oldest: self.offset().0.into(),
            receivers: (bits as u32).into(),
            grtt_us: ((bits >> 8) as u32).into(),
            status_ms: ((bits >> 16) as u16).into(),
            tcp_port: 0.into(),
            flags: ((bits & 3) as u16).into(),
            zero: 0.into(),
        }
    }

    /// A window of nothing or of everything, a position behind or ahead, somebody who leaves.
    fn status(&mut self) -> Status {
        let bits = self.jitter.bits();
        Status {
            receiver: self.receiver().0.into(),
            token: self.token().0.into(),
            time: bits.into(),
            window: (if bits & 1 == 0 { 0 } else { u32::MAX }).into(),
            rtt_us: ((bits >> 8) as u32).into(),
            delivered: bits.into(),
            lost: bits.into(),
            naks: bits.into(),
            kernel_drops: bits.into(),
            lag_us: (bits as u32).into(),
            flags: ((bits >> 4 & 3) as u16).into(),
            zero: 0.into(),
        }
    }

    fn welcome(&mut self) -> Welcome {
        let token = self.token().0.into();
        Welcome { receiver: self.receiver().0.into(), token, echo: self.jitter.bits().into() }
    }

    fn gone(&mut self) -> GoneEntry {
        let from = Offset(self.offset().0.min(u64::MAX - 1));
        let to = Offset(from.0.saturating_add(1 + self.jitter.bits() % (1 << 40)));
        GoneEntry::new(OffsetRange::new(from, to), GoneReason::Overrun)
    }

    /// Up to a hundred runs: a few offsets each, or as many as one can say.
    fn ranges(&mut self) -> Vec<RangeEntry> {
        let (count, mut at) = (1 + self.jitter.bits() % 100, self.jitter.bits() % 20_000);
        let mut ranges = Vec::new();
        for _ in 0..count {
            let length =
                if self.jitter.happens(0.1) { u64::from(u32::MAX) } else { 1 + self.jitter.bits() % 50 };
            ranges.push(RangeEntry::new(OffsetRange::run(Offset(at), length)));
            at += length + 1;
        }
        ranges
    }

    fn receiver(&mut self) -> ReceiverId {
        ReceiverId(self.jitter.bits() % 100_000)
    }

    fn token(&mut self) -> Token {
        let bits = self.jitter.bits();
        Token(if bits & 1 == 0 { 0 } else { bits })
    }

    fn garbage(&mut self) -> Vec<u8> {
        let length = self.jitter.bits() % 1_500;
        (0..length).map(|_| self.jitter.bits() as u8).collect()
    }

    /// One bit turned, or the end cut off.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = (self.jitter.bits() % bytes.len() as u64) as usize;
        if self.jitter.happens(0.5) {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (self.jitter.bits() % 8);
        }
    }

    /// An IPv4 packet to the publisher that bears the victim's address.
    fn reflected(&self, bytes: &[u8]) -> Vec<u8> {
        let SocketAddr::V4(publisher) = self.overheard.publisher else { panic!("not over IPv4") };
        packet(SocketAddrV4::new(S2.v4().parse().unwrap(), VICTIM_PORT), publisher, bytes)
    }
}
