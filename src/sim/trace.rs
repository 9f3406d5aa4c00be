//! What happened, event by event, and a hash over all of it.

use core::fmt;
use core::net::SocketAddr;

use crate::sim::totals::Traffic;
use crate::sim::words::words;
use crate::time::Time;

/// FNV-1a over 64 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    pub(super) fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0100_0000_01B3).rotate_left(29);
    }

    pub(super) const fn hash(self) -> u64 {
        self.0
    }
}

/// Who it happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// Nobody in particular.
    World,
    /// The publisher at this address, from 0.
    Publisher(usize),
    /// The receiver at this address, from 0.
    Receiver(usize),
    /// Whoever forges datagrams.
    Adversary,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Publisher(index) => write!(f, "pub{index}"),
            Self::Receiver(index) => write!(f, "sub{index}"),
            Self::Adversary => f.write_str("adversary"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "their Display says what each is")]
pub enum What {
    Sends,
    Receives,
    Loses,
    Overflows,
    Refuses,
    Forges,
    Timer,
    Publishes,
    Message,
    Lost,
    Up,
    Down,
    Joins,
    Leaves,
    Dies,
    Restarts,
    Stops,
    Resumes,
    Heals,
    Ends,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sends => "sends",
            Self::Receives => "receives",
            Self::Loses => "is not reached by",
            Self::Overflows => "has no room for",
            Self::Refuses => "fails to send",
            Self::Forges => "forges",
            Self::Timer => "timer",
            Self::Publishes => "publishes",
            Self::Message => "tells message",
            Self::Lost => "tells lost",
            Self::Up => "tells up",
            Self::Down => "tells down",
            Self::Joins => "joins",
            Self::Leaves => "leaves",
            Self::Dies => "dies",
            Self::Restarts => "restarts",
            Self::Stops => "stops",
            Self::Resumes => "goes on",
            Self::Heals => "all faults end",
            Self::Ends => "finishes",
        })
    }
}

/// A datagram and its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where it says that it comes from.
    pub from: SocketAddr,
    /// Where it goes; [`GROUP`](super::GROUP) for all.
    pub to: SocketAddr,
    /// The datagram.
    pub bytes: &'a [u8],
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When.
    pub at: Time,
    /// To whom.
    pub node: Node,
    /// What.
    pub what: What,
    /// A number that belongs to it: a session, an offset, a count.
    pub number: u64,
    /// The datagram, if it is about one.
    pub packet: Option<Packet<'a>>,
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.at.0 / 1_000_000_000, self.at.0 % 1_000_000_000);
        write!(f, "{seconds}.{nanos:09} {} {}", self.node, self.what)?;
        match self.packet {
            Some(packet) => write!(f, " {} -> {} {}", packet.from, packet.to, words(packet.bytes)),
            None => write!(f, " {}", self.number),
        }
    }
}

/// Where events go: into the hash, and to whoever watches.
pub(super) struct Trace<'a> {
    hash: Fnv,
    events: u64,
    traffic: Traffic,
    watch: Option<&'a mut dyn FnMut(&Record<'_>)>,
}

impl<'a> Trace<'a> {
    pub(super) fn new(watch: Option<&'a mut dyn FnMut(&Record<'_>)>) -> Self {
        Self { hash: Fnv::default(), events: 0, traffic: Traffic::default(), watch }
    }

    pub(super) fn put(&mut self, record: &Record<'_>) {
        self.events += 1;
        self.hash.number(record.at.0);
        self.hash.number(record.number << 8 | record.what as u64);
        if let Some(packet) = record.packet {
            // The header holds the checksum of the rest.
            for part in packet.bytes.get(..24).unwrap_or(packet.bytes).chunks(8) {
                let mut word = [0; 8];
                word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
                self.hash.number(u64::from_le_bytes(word));
            }
            self.hash.number(packet.bytes.len() as u64);
            if record.what == What::Sends {
                self.traffic.count(packet.bytes);
            }
        }
        if let Some(watch) = &mut self.watch {
            watch(record);
        }
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    pub(super) const fn traffic(&self) -> Traffic {
        self.traffic
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash.hash()
    }
}
