//! A publisher: its ring, its machine, and what waits for room.

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use nakcast::SessionId;
use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::Stamp;
use nakcast::history::Writer;
use nakcast::history::charge;
use nakcast::protocol::Destination;
use nakcast::protocol::RepairSent;
use nakcast::protocol::Sender;
use nakcast::protocol::SenderEvent;
use nakcast::protocol::SenderSettings;
use nakcast::protocol::Transmit;
use nakcast::time::Time;
use nakcast::wire::Datagram;
use nakcast::wire::FRAME_BYTES;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;

use super::Truth;

/// Where to, or to all; and what.
pub(super) type Sent = (Option<SocketAddr>, Rc<[u8]>);

/// A frame that is published but has no place in the ring yet.
#[derive(Debug)]
struct Waiting {
    flags: FrameFlags,
    topic: Rc<[u8]>,
    payload: Rc<[u8]>,
    /// Of a first frame: what is published, and in how many frames.
    whole: Option<(u64, Rc<[u8]>)>,
    /// It is the last of its batch.
    seals: bool,
}

/// A publisher, served by its own hands.
pub(crate) struct Publisher {
    pub(crate) address: SocketAddr,
    pub(crate) session: SessionId,
    pub(crate) sender: Sender,
    pub(crate) ring: Arc<Ring>,
    pub(crate) is_alive: bool,
    /// What its clock says when a batch is sealed.
    pub(crate) timestamp: Option<u64>,
    /// Messages that go together in a batch.
    pub(crate) batch: u64,
    writer: Writer,
    waiting: VecDeque<Waiting>,
    published: u64,
    repair: Repair,
}

impl Publisher {
    pub(super) fn new(
        (ring, sender): (RingSettings, SenderSettings),
        address: SocketAddr,
        now: Time,
    ) -> Self {
        let session = ring.session;
        let (writer, ring) = Ring::new(ring);
        Self {
            address,
            session,
            sender: Sender::new(sender, now),
            ring,
            is_alive: true,
            timestamp: None,
            batch: 1,
            writer,
            waiting: VecDeque::new(),
            published: 0,
            repair: Repair::new(),
        }
    }

    /// How many messages were published.
    pub(crate) const fn next_number(&self) -> u64 {
        self.published
    }

    /// How many frames wait for room.
    pub(crate) fn held_back(&self) -> usize {
        self.waiting.len() + self.ring.next().since(self.ring.sent()) as usize
    }

    /// What happened to its receivers, in words.
    pub(crate) fn events(&mut self) -> Vec<String> {
        core::iter::from_fn(|| self.sender.poll_event()).map(event).collect()
    }

    pub(super) fn publish(&mut self, topic: &[u8], payload: &[u8]) {
        self.published += 1;
        let room = self.ring.batch_room() - FRAME_BYTES;
        let topic: Rc<[u8]> = topic.into();
        let (first, mut rest) = payload.split_at(payload.len().min(room - topic.len()));
        let count = 1 + rest.len().div_ceil(room) as u64;
        let whole = Some((count, payload.into()));
        let flags = if count == 1 { FrameFlags::WHOLE } else { FrameFlags::FIRST };
        let seals = self.published.is_multiple_of(self.batch) || count > 1;
        self.waiting.push_back(Waiting { flags, topic, payload: first.into(), whole, seals });
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(room));
            let flags = if later.is_empty() { FrameFlags::LAST } else { FrameFlags::default() };
            let topic: Rc<[u8]> = [].as_slice().into();
            self.waiting.push_back(Waiting { flags, topic, payload: part.into(), whole: None, seals: true });
            rest = later;
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.sender.next_timeout().filter(|_| self.is_alive)
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.sender.handle_timeout(now, &self.ring);
    }

    pub(super) fn receive(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram::decode(bytes).expect("what is sent is sound");
        self.sender.handle_datagram(now, from, &datagram, &self.ring);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.sender.is_complete(&self.ring)
    }

    /// Everything that leaves now.
    pub(super) fn serve(&mut self, now: Time, truth: &mut Truth) -> Vec<Sent> {
        let mut out = Vec::new();
        if !self.is_alive {
            return out;
        }
        self.advance(now, truth, &mut out);
        while let Some(transmit) = self.sender.peek_transmit(now, &self.ring) {
            let sent = match transmit {
                Transmit::Datagram { to, bytes } => {
                    out.push((peer(to), bytes.into()));
                    None
                }
                Transmit::Repair { to, range } => match self.ring.read(range, &mut self.repair) {
                    Read::Copied => {
                        out.extend(self.repair.datagrams().map(|bytes| (peer(to), bytes.into())));
                        let (covers, bytes) = (self.repair.covers(), self.repair.bytes().len());
                        Some(RepairSent { covers, bytes })
                    }
                    Read::Gone { oldest } => {
                        self.sender.refused(oldest);
                        continue;
                    }
                    Read::Busy | Read::Unsent => unreachable!("nobody else is at work"),
                },
            };
            self.sender.sent(now, sent);
        }
        out
    }

    /// Publishes what waits as far as there is room, and tells the machine whether there is.
    fn advance(&mut self, now: Time, truth: &mut Truth, out: &mut Vec<Sent>) {
        loop {
            let is_sent = self.send(out);
            if !is_sent || self.waiting.is_empty() {
                self.sender.set_held(now, !is_sent);
                break;
            }
            self.append(now, truth);
        }
        self.sender.handle_timeout(now, &self.ring);
    }

    fn append(&mut self, now: Time, truth: &mut Truth) {
        let opening = self.sender.opening(now, &self.ring);
        let stamp =
            Stamp { flags: Flags::default().with(Flags::OPENING, opening), timestamp: self.timestamp };
        let Some(frame) = self.waiting.front() else { return };
        let mut open = self.writer.open();
        if !open.has_room() && open.open_messages() == 0 {
            open.next_train();
        }
        let Some(offset) = open.append(frame.flags, &frame.topic, &frame.payload) else {
            open.seal(stamp, false);
            return;
        };
        if frame.seals {
            open.seal(stamp, false);
        }
        if let Some((count, payload)) = &frame.whole {
            let key = (self.session, offset);
            truth.insert(key, (*count, Rc::clone(&frame.topic), Rc::clone(payload)));
        }
        self.waiting.pop_front();
    }

    /// Hands sealed batches over as far as the limit goes; whether none is left.
    fn send(&mut self, out: &mut Vec<Sent>) -> bool {
        let mut open = self.writer.open();
        loop {
            let run = open.unsent();
            let Some(size) = run.sizes.first().map(|size| usize::from(*size)) else { return true };
            if self.sender.limit().is_some_and(|limit| self.ring.charge_sent() + charge(size) > limit) {
                return false;
            }
            out.push((None, run.bytes[..size].into()));
            open.advance(1);
        }
    }
}

const fn peer(to: Destination) -> Option<SocketAddr> {
    match to {
        Destination::Group | Destination::Everywhere => None,
        Destination::Peer(to) => Some(to.address),
    }
}

fn event(event: SenderEvent) -> String {
    match event {
        SenderEvent::ReceiverUp { receiver, .. } => format!("up r{}", receiver.0),
        SenderEvent::ReceiverDown { receiver, leaving: true, .. } => format!("left r{}", receiver.0),
        SenderEvent::ReceiverDown { receiver, leaving: false, .. } => format!("silent r{}", receiver.0),
        SenderEvent::ReceiverSlow { receiver, behind, .. } => format!("slow r{} by {behind}", receiver.0),
        SenderEvent::ReceiverCutOff { receiver, next, .. } => format!("cut off r{} at {next}", receiver.0),
        SenderEvent::ReceiverEvicted { receiver, next, .. } => format!("evicted r{} at {next}", receiver.0),
    }
}
