//! Somebody who forges datagrams, each with a sound checksum.
//!
//! Forged is what the protocol promises to withstand without keys. What comes from a source's own address, in its own
//! session and with a position that it may have, cannot be told from what the source sends; such are not forged. Nor can
//! a new session at the address of a source that is not heard be told from a publisher that begins again.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::DownReason;
use crate::sim::cast;
use crate::sim::cast::STREAM;
use crate::sim::cast::address;
use crate::sim::chance::Chance;
use crate::sim::events::Event;
use crate::sim::options::Options;
use crate::sim::trace::Node;
use crate::sim::trace::Packet;
use crate::sim::trace::What;
use crate::sim::world::World;
use crate::time::Time;
use crate::wire;
use crate::wire::FrameFlags;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;
use crate::wire::HEADER_BYTES;
use crate::wire::Head;
use crate::wire::Heartbeat;
use crate::wire::RangeEntry;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::Status;
use crate::wire::Token;
use crate::wire::Welcome;

/// Datagrams of each session that are kept to be replayed.
const OVERHEARD: usize = 40;
/// Times that it forges something in a run: it draws our time, too.
const MOST: u64 = 1_000;
/// The least time between two forged leaps, so that one is never the second consistent datagram for another.
const LEAPS_APART: Duration = Duration::from_millis(400);

/// What the adversary knows.
#[derive(Debug)]
pub(super) struct Adversary {
    chance: Chance,
    overheard: Vec<(SessionId, Vec<Rc<[u8]>>)>,
    leapt: Option<Time>,
    /// Times that it forged something.
    forged: u64,
    pretended: Option<Pretended>,
}

/// A session that nobody has, as it pretends to be sent from a publisher's address.
#[derive(Debug)]
struct Pretended {
    publisher: usize,
    session: SessionId,
    base: u64,
    until: Time,
    /// When each receiver was first told; zero when it has missed a heartbeat, and may be told no more.
    told: BTreeMap<usize, Time>,
}

impl Adversary {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            chance: Chance::of(options.seed, "adversary", 0),
            overheard: Vec::new(),
            leapt: None,
            forged: 0,
            pretended: None,
        }
    }

    /// Until when it pretends.
    pub(super) fn pretends_until(&self) -> Time {
        self.pretended.as_ref().map_or(Time::ZERO, |pretended| pretended.until)
    }

    /// A datagram of `session` goes by.
    pub(super) fn overhear(&mut self, session: SessionId, bytes: &Rc<[u8]>) {
        if self.overheard.last().is_none_or(|(last, _)| *last != session)
            && !self.overheard.iter().any(|(known, _)| *known == session)
        {
            self.overheard.push((session, Vec::new()));
        }
        let known = self.overheard.iter_mut().find(|(known, _)| *known == session);
        if let Some((_, datagrams)) = known.filter(|(_, datagrams)| datagrams.len() < OVERHEARD) {
            datagrams.push(Rc::clone(bytes));
        }
    }

    /// One of the addresses that nobody has.
    fn address(&mut self) -> SocketAddr {
        let octet = self.chance.within(1, 9) as u8;
        SocketAddr::from(([10, 0, 9, octet], 1_000 + self.chance.below(3) as u16))
    }

    fn head(&mut self, session: SessionId, base: u64) -> Head {
        Head { stream: STREAM, session, base: Offset(base), ..Head::default() }
    }

    /// An offset of any size.
    fn offset(&mut self) -> u64 {
        let bits = self.chance.below(64);
        self.chance.seed() >> bits
    }

    fn batch(&mut self, session: SessionId, base: u64) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + 64];
        let used =
            wire::put_frame(&mut bytes[HEADER_BYTES..], FrameFlags::WHOLE, b"a", b"forged").unwrap_or(0);
        bytes.truncate(HEADER_BYTES + used);
        let head = self.head(session, base.min(u64::MAX - 1));
        wire::seal_batch(&mut bytes, &head, 1);
        bytes
    }

    /// A heartbeat that says nothing unusual of its group, or an END.
    fn heartbeat(&mut self, session: SessionId, base: u64, ends: bool) -> Vec<u8> {
        let body = Heartbeat {
            oldest: 0.into(),
            receivers: 2.into(),
            grtt_us: 1_000.into(),
            status_ms: 200.into(),
            tcp_port: 0.into(),
            flags: 0.into(),
            zero: 0.into(),
        };
        let (mut bytes, head) = (Vec::new(), self.head(session, base));
        if ends {
            wire::encode_end(&mut bytes, &head, &body);
        } else {
            wire::encode_heartbeat(&mut bytes, &head, &body);
        }
        bytes
    }

    fn answer(&mut self, session: SessionId, receiver: ReceiverId) -> Vec<u8> {
        let (mut bytes, head) = (Vec::new(), self.head(session, 0));
        let range = OffsetRange::run(Offset(self.offset() / 2), 1 + self.chance.below(1_000));
        match self.chance.below(3) {
            0 => wire::encode_gone(&mut bytes, &head, &[GoneEntry::new(range, GoneReason::Overrun)]),
            1 => wire::encode_shed(&mut bytes, &head, receiver, 3_000_000, &[RangeEntry::new(range)]),
            _ => bytes = self.welcome(session, receiver),
        }
        bytes
    }

    fn welcome(&mut self, session: SessionId, receiver: ReceiverId) -> Vec<u8> {
        let (mut bytes, head) = (Vec::new(), self.head(session, 0));
        let (token, echo) = (self.chance.seed().into(), self.chance.seed().into());
        wire::encode_welcome(&mut bytes, &head, &Welcome { receiver: receiver.0.into(), token, echo });
        bytes
    }

    /// A NAK of any shape: one range or a hundred, short or long, of what exists and of what does not.
    fn nak(&mut self, session: SessionId, end: Offset) -> Vec<u8> {
        let token = if self.chance.happens(0.5) { Token(0) } else { Token(self.chance.seed()) };
        let receiver = ReceiverId(self.chance.seed());
        let (mut from, mut ranges) = (self.chance.below(end.0 + 2), Vec::new());
        if self.chance.happens(0.2) {
            from = self.offset() / 2;
        }
        for _ in 0..self.chance.one_of([1, 2, 100]) {
            let length = self.chance.one_of([1, 2, 1_000, u64::from(u32::MAX)]);
            ranges.push(RangeEntry::new(OffsetRange::run(Offset(from), length)));
            from = from.saturating_add(length + 1);
        }
        let (mut bytes, head) = (Vec::new(), self.head(session, 0));
        wire::encode_nak(&mut bytes, &head, (receiver, token), &ranges);
        bytes
    }

    /// A STATUS without proof, in the name of nobody or of `receiver`.
    fn status(&mut self, session: SessionId, receiver: Option<ReceiverId>) -> Vec<u8> {
        let name = receiver.unwrap_or(ReceiverId(self.chance.seed()));
        let flags = self.chance.one_of([0, Status::LEAVING, Status::OBSERVER]);
        let next = self.offset();
        let status = Status {
            receiver: name.0.into(),
            token: self.chance.one_of([0, 1, 7]).into(),
            time: self.chance.one_of([0, 5]).into(),
            window: (self.chance.seed() as u32).into(),
            rtt_us: (self.chance.seed() as u32).into(),
            delivered: 0.into(),
            lost: 0.into(),
            naks: 0.into(),
            kernel_drops: 0.into(),
            lag_us: 0.into(),
            flags: flags.into(),
            zero: 0.into(),
        };
        let (mut bytes, head) = (Vec::new(), self.head(session, next));
        wire::encode_status(&mut bytes, &head, &status);
        bytes
    }
}

impl World<'_> {
    /// Forges a datagram or a few, and goes on with that.
    pub(super) fn forge(&mut self) {
        if self.network.healed || self.adversary.forged >= MOST {
            return;
        }
        self.adversary.forged += 1;
        for _ in 0..self.adversary.chance.within(1, 3) {
            let publisher = self.adversary.chance.below(self.publishers.len() as u64) as usize;
            if self.adversary.chance.happens(0.4) {
                self.forge_to_publisher(publisher);
            } else {
                let receiver = self.adversary.chance.below(self.receivers.len() as u64) as usize;
                self.forge_to_receiver(publisher, receiver);
            }
        }
        let pause = self.options.interval.mul_f64(2.0 / self.options.forged.max(0.001));
        let pause = pause.mul_f64(0.5 + self.adversary.chance.unit()).max(Duration::from_micros(20));
        self.at(self.now + pause, Event::Forge);
    }

    /// Draws when and where a session that nobody has begins to speak.
    pub(super) fn begin_to_pretend(&mut self, span: Duration) {
        if self.options.pretends.is_zero() {
            return;
        }
        let mut chance = Chance::of(self.options.seed, "pretended", 0);
        let (at, session) = (Time::ZERO + chance.up_to(span), SessionId(chance.seed()));
        let publisher = chance.below(self.publishers.len() as u64) as usize;
        let (base, until) = (chance.below(1_000), at + self.options.pretends);
        self.adversary.pretended = Some(Pretended { publisher, session, base, until, told: BTreeMap::new() });
        self.at(at, Event::Pretend);
    }

    /// T7: a session that nobody has, from a publisher's very address, consistent and again and again. Only to those
    /// who hear the publisher: to others it might be one that begins.
    pub(super) fn pretend(&mut self) {
        let Some(mut pretended) = self.adversary.pretended.take().filter(|one| self.now < one.until) else {
            return;
        };
        let adversary = &mut self.adversary;
        let (is_data, session) = (adversary.chance.happens(0.3), pretended.session);
        let bytes = if is_data {
            adversary.batch(session, pretended.base)
        } else {
            adversary.heartbeat(session, pretended.base, false)
        };
        pretended.base += u64::from(is_data) + adversary.chance.below(2);
        let pause = adversary.chance.log_span(Duration::from_millis(1), Duration::from_millis(200));
        self.at(self.now + pause, Event::Pretend);
        let home = address(Node::Publisher(pretended.publisher));
        for receiver in 0..self.receivers.len() {
            let since = self.beats_since(receiver, pretended.publisher);
            let first = pretended.told.get(&receiver).copied();
            if since.is_some_and(|since| first.is_none_or(|first| since <= first)) {
                pretended.told.entry(receiver).or_insert(self.now);
                self.put_forged(Node::Receiver(receiver), home, bytes.clone());
            } else if first.is_some() {
                pretended.told.insert(receiver, Time::ZERO);
            }
        }
        self.adversary.pretended = Some(pretended);
    }

    /// Since when a receiver hears every heartbeat of the publisher that is there.
    fn beats_since(&self, receiver: usize, publisher: usize) -> Option<Time> {
        let live = self.publishers.get(publisher)?.publisher.as_ref()?;
        let subscriber = self.receivers.get(receiver)?.subscriber.as_ref()?;
        let is_busy = subscriber.stopped.is_some() || subscriber.waits();
        subscriber.ledger.of(live.session).filter(|_| !is_busy)?.beats_since(self.now)
    }

    fn put_forged(&mut self, to: Node, from: SocketAddr, bytes: Vec<u8>) {
        let bytes: Rc<[u8]> = bytes.into();
        self.record_packet(Node::Adversary, What::Forges, Packet { from, to: address(to), bytes: &bytes });
        self.arrive(to, from, &bytes);
    }

    /// T3, T4: NAKs and STATUS without proof.
    fn forge_to_publisher(&mut self, index: usize) {
        let receivers = self.receivers.len() as u64;
        let Some(publisher) = self.publishers.get(index).and_then(|stage| stage.publisher.as_ref()) else {
            return;
        };
        let (session, end) = (publisher.session, publisher.ring.sent());
        let adversary = &mut self.adversary;
        let whose = adversary.chance.below(receivers) as usize;
        let is_spoofed = adversary.chance.happens(0.3);
        let own = adversary.address();
        let from = if is_spoofed { address(Node::Receiver(whose)) } else { own };
        let name = self.receivers.get(whose).and_then(|seat| seat.subscriber.as_ref());
        let name = name.map(|subscriber| subscriber.settings.receiver.receiver);
        let bytes = if adversary.chance.happens(0.5) {
            adversary.nak(session, end)
        } else {
            let name = name.filter(|_| adversary.chance.happens(0.5));
            adversary.status(session, name)
        };
        self.put_forged(Node::Publisher(index), from, bytes);
        self.check_table(index);
    }

    /// T4: nobody without proof is in a publisher's table, and nobody at an address that is not its own.
    fn check_table(&mut self, index: usize) {
        self.verdict.enter(self.now, Node::Publisher(index));
        let Some(publisher) = self.publishers.get(index).and_then(|stage| stage.publisher.as_ref()) else {
            return;
        };
        for row in publisher.sender.receivers() {
            let Some(Node::Receiver(seat)) = cast::node(row.address) else {
                self.verdict.check(false, "T4", || format!("nobody lives at {}", row.address));
                return;
            };
            let is_real = self.receivers.get(seat).is_some_and(|seat| seat.names.contains(&row.receiver));
            self.verdict.check(is_real, "T4", || format!("{} at {} is believed", row.receiver, row.address));
        }
    }

    /// T1, T2, T7, T8, T10: data, positions and answers of sessions that the receiver knows, from elsewhere; unknown
    /// sessions, also where a known one lives; single leaps; replays of what was replaced.
    fn forge_to_receiver(&mut self, publisher: usize, index: usize) {
        let home = address(Node::Publisher(publisher));
        let session =
            self.publishers.get(publisher).and_then(|stage| Some(stage.publisher.as_ref()?.session));
        let Some(subscriber) = self.receivers.get(index).and_then(|seat| seat.subscriber.as_ref()) else {
            return;
        };
        let row = session.and_then(|session| subscriber.row(session));
        let lives = row.is_some_and(|row| row.down.is_none());
        let is_silent = row.is_some_and(|row| row.down == Some(DownReason::Silent));
        let known = row.filter(|_| !is_silent).map(|row| (row.session, row.next));
        let name = subscriber.settings.receiver.receiver;
        let replaced = self.adversary.overheard.iter().position(|(old, datagrams)| {
            !datagrams.is_empty() && Some(*old) != session && subscriber.ledger.is_replaced(*old)
        });
        let now = self.now;
        let adversary = &mut self.adversary;
        let stranger = adversary.address();
        let kind = adversary.chance.below(8);
        let (from, bytes) = match (kind, known) {
            (0, _) => (stranger, adversary.unknown()),
            (1, Some((session, next))) => (stranger, adversary.batch(session, next.0)),
            (2, Some((session, _))) => {
                let (base, ends) = (adversary.offset(), adversary.chance.happens(0.5));
                (stranger, adversary.heartbeat(session, base, ends))
            }
            (3, Some((session, _))) => (stranger, adversary.answer(session, name)),
            (4, Some((session, _))) => (home, adversary.welcome(session, name)),
            (5, Some((session, next))) if adversary.leapt.is_none_or(|at| now - at > LEAPS_APART) => {
                adversary.leapt = Some(now);
                (home, adversary.leap(session, next))
            }
            (6, _) => match replaced {
                Some(old) => (home, adversary.replay(old)),
                None => return,
            },
            (7, _) if lives => (home, adversary.unknown()),
            _ => return,
        };
        self.put_forged(Node::Receiver(index), from, bytes);
    }
}

impl Adversary {
    /// Something of a session that nobody has.
    fn unknown(&mut self) -> Vec<u8> {
        let (session, base) = (SessionId(self.chance.seed()), self.offset());
        if self.chance.happens(0.5) {
            self.batch(session, base)
        } else {
            self.heartbeat(session, base, false)
        }
    }

    /// A position far beyond any window.
    fn leap(&mut self, session: SessionId, next: Offset) -> Vec<u8> {
        let base = next.0.saturating_add(1 << 40).saturating_add(self.chance.seed() >> 2);
        match self.chance.below(3) {
            0 => self.batch(session, base),
            kind => self.heartbeat(session, base, kind == 1),
        }
    }

    fn replay(&mut self, old: usize) -> Vec<u8> {
        let Some((_, datagrams)) = self.overheard.get(old) else { return Vec::new() };
        let index = self.chance.below(datagrams.len() as u64) as usize;
        datagrams.get(index).map_or(Vec::new(), |bytes| bytes.to_vec())
    }
}
