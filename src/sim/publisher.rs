//! A publisher: its ring, its machine, and what waits for room.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::history::Read;
use crate::history::Repair;
use crate::history::Ring;
use crate::history::RingSettings;
use crate::history::Stamp;
use crate::history::Writer;
use crate::history::charge;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::Destination;
use crate::protocol::FlowPolicy;
use crate::protocol::RepairSent;
use crate::protocol::Sender;
use crate::protocol::SenderSettings;
use crate::protocol::Transmit;
use crate::sim::repairs::RepairWatch;
use crate::sim::truth::Message;
use crate::sim::truth::Truth;
use crate::sim::verdict::Verdict;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::FRAME_BYTES;
use crate::wire::Flags;
use crate::wire::FrameFlags;
use crate::wire::SessionId;

/// Where to, or to all; and what.
pub(super) type Outgoing = (Option<SocketAddr>, Rc<[u8]>);

/// A frame that is published but has no place in the ring yet.
#[derive(Debug)]
struct Waiting {
    flags: FrameFlags,
    topic: Rc<[u8]>,
    payload: Rc<[u8]>,
    /// Of a first frame: the whole message, and in how many frames.
    whole: Option<(u64, Rc<[u8]>, Time)>,
}

/// How a publisher puts messages into batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    /// Messages that go together in a batch.
    pub(super) batch: u64,
    /// Batches after which the ring goes on to its next train; 0 for whole trains.
    pub(super) train: u64,
}

/// A publisher, served by its own hands.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) address: SocketAddr,
    pub(super) session: SessionId,
    pub(super) sender: Sender,
    pub(super) ring: Arc<Ring>,
    /// What its clock says beyond the virtual time; `None` when batches carry no time.
    pub(super) clock: Option<u64>,
    pub(super) watch: RepairWatch,
    /// Datagrams handed to `handle_datagram`.
    heard: u64,
    policy: FlowPolicy,
    packing: Packing,
    writer: Writer,
    waiting: VecDeque<Waiting>,
    /// Batches in the current train.
    batches: u64,
    repair: Repair,
    /// Since when it waits for room, and for which limit.
    held: Option<(Time, Option<u64>)>,
}

impl Publisher {
    pub(super) fn new(
        (ring, sender): (RingSettings, SenderSettings),
        packing: Packing,
        address: SocketAddr,
        now: Time,
    ) -> Self {
        let (session, policy, floor) = (ring.session, sender.policy, sender.repair_floor);
        let (writer, ring) = Ring::new(ring);
        Self {
            address,
            session,
            sender: Sender::new(sender, now),
            ring,
            clock: None,
            watch: RepairWatch::new(floor),
            heard: 0,
            policy,
            packing,
            writer,
            waiting: VecDeque::new(),
            batches: 0,
            repair: Repair::new(),
            held: None,
        }
    }

    /// Frames that wait for room.
    pub(super) fn backlog(&self) -> usize {
        self.waiting.len() + self.ring.next().since(self.ring.sent()) as usize
    }

    /// Puts a message in line, cut into fragments where it must be.
    pub(super) fn publish(&mut self, topic: &Rc<[u8]>, payload: Rc<[u8]>, now: Time) {
        let room = self.ring.batch_room() - FRAME_BYTES;
        let (first, mut rest) = payload.split_at(payload.len().min(room - topic.len()));
        let count = 1 + rest.len().div_ceil(room) as u64;
        let flags = if count == 1 { FrameFlags::WHOLE } else { FrameFlags::FIRST };
        let whole = Some((count, Rc::clone(&payload), now));
        self.waiting.push_back(Waiting { flags, topic: Rc::clone(topic), payload: first.into(), whole });
        let none: Rc<[u8]> = [].as_slice().into();
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(room));
            let flags = if later.is_empty() { FrameFlags::LAST } else { FrameFlags::default() };
            let topic = Rc::clone(&none);
            self.waiting.push_back(Waiting { flags, topic, payload: part.into(), whole: None });
            rest = later;
        }
    }

    pub(super) fn receive(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        let Ok(datagram) = Datagram::decode(bytes) else { return };
        self.heard += 1;
        match datagram.body {
            Body::Nak(nak, _) => {
                self.watch.on_token(from, nak.receiver(), nak.token());
                self.watch.on_nak(now, &self.sender);
            }
            Body::Status(status) => self.watch.on_token(from, status.receiver(), status.token()),
            _ => {}
        }
        self.sender.handle_datagram(now, from, &datagram, &self.ring);
    }

    /// S11: every datagram handed in is counted once.
    pub(super) fn check_counters(&self, verdict: &mut Verdict) {
        let (stats, heard) = (self.sender.stats(), self.heard);
        let counted = stats.naks + stats.statuses + stats.strange;
        verdict.check(counted == heard, "S11", || format!("{heard} datagrams, but {counted} counted"));
    }

    /// Everything that leaves now.
    pub(super) fn serve(
        &mut self,
        now: Time,
        truth: &mut Truth,
        verdict: &mut Verdict,
        out: &mut Vec<Outgoing>,
    ) {
        let sent = self.ring.bytes_sent();
        self.advance(now, (truth, verdict), out);
        self.watch.on_data(now, self.ring.bytes_sent() - sent);
        while let Some(transmit) = self.sender.peek_transmit(now, &self.ring) {
            let sent = match transmit {
                Transmit::Datagram { to, bytes } => {
                    self.watch.on_answer(to, bytes, verdict);
                    out.push((peer(to), bytes.into()));
                    None
                }
                Transmit::Repair { to, range } => match self.ring.read(range, &mut self.repair) {
                    Read::Copied => {
                        self.watch.on_repair((now, to), &self.repair, &self.sender, verdict);
                        out.extend(self.repair.datagrams().map(|bytes| (peer(to), bytes.into())));
                        Some(RepairSent { covers: self.repair.covers(), bytes: self.repair.bytes().len() })
                    }
                    Read::Gone { oldest } => {
                        self.sender.refused(oldest);
                        continue;
                    }
                    Read::Busy | Read::Unsent => break,
                },
            };
            self.sender.sent(now, sent);
        }
        self.watch.on_turn(now, verdict);
    }

    /// Publishes what waits as far as there is room, and tells the machine whether there is.
    fn advance(&mut self, now: Time, (truth, verdict): (&mut Truth, &mut Verdict), out: &mut Vec<Outgoing>) {
        let stamp = self.stamp(now);
        loop {
            let is_sent = self.send(out);
            if !is_sent || !self.append(stamp, truth, verdict) {
                self.sender.set_held(now, !is_sent);
                self.on_held(now, !is_sent, verdict);
                break;
            }
        }
        self.sender.handle_timeout(now, &self.ring);
    }

    fn stamp(&self, now: Time) -> Stamp {
        let opening = self.sender.opening(now, &self.ring);
        let timestamp = self.clock.map(|clock| clock.saturating_add(now.0));
        Stamp { flags: Flags::default().with(Flags::OPENING, opening), timestamp }
    }

    /// Fills the open batch and seals it; whether there was anything to do.
    fn append(&mut self, stamp: Stamp, truth: &mut Truth, verdict: &mut Verdict) -> bool {
        let oldest = self.ring.oldest();
        let mut open = self.writer.open();
        let is_full = self.packing.train > 0 && self.batches >= self.packing.train;
        if open.open_messages() == 0 && !self.waiting.is_empty() && (is_full || !open.has_room()) {
            open.next_train();
            self.batches = 0;
            keeps_its_promise((&self.sender, self.policy, self.packing), oldest, self.ring.oldest(), verdict);
        }
        while open.open_messages() < self.packing.batch
            && let Some(frame) = self.waiting.front()
            && let Some(offset) = open.append(frame.flags, &frame.topic, &frame.payload)
        {
            if let Some((count, payload, at)) = &frame.whole {
                let (topic, payload) = (Rc::clone(&frame.topic), Rc::clone(payload));
                let range = OffsetRange::run(offset, *count);
                truth.add(self.session, Message { range, topic, payload, at: *at });
            }
            self.waiting.pop_front();
        }
        let is_anything = open.open_messages() > 0;
        self.batches += u64::from(is_anything);
        open.seal(stamp, !self.waiting.is_empty() && self.packing.batch > 1);
        is_anything
    }

    /// Hands sealed batches over as far as the limit goes; whether none is left.
    fn send(&mut self, out: &mut Vec<Outgoing>) -> bool {
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

    /// S12: a publisher that runs free never waits; one that is paced by the fastest never waits longer than its pace
    /// without any progress; one that blocks never waits much longer than its patience where it is.
    fn on_held(&mut self, now: Time, is_held: bool, verdict: &mut Verdict) {
        self.watch.set_held(now, is_held);
        let limit = self.sender.limit();
        self.held = match self.held {
            _ if !is_held => None,
            Some((since, of)) if of == limit => Some((since, of)),
            _ => Some((now, limit)),
        };
        let Some((since, _)) = self.held else { return };
        let most = match self.policy {
            FlowPolicy::Drop { free_running: true, .. }
            | FlowPolicy::Disconnect { free_running: true, .. } => Duration::ZERO,
            FlowPolicy::Drop { pace, .. } | FlowPolicy::Disconnect { pace, .. } => pace + LATE,
            // Those who grant the same may have moved last one after the other.
            FlowPolicy::Block { patience } => 2 * patience + LATE + LATE,
        };
        verdict.check(now - since <= most, "S12", || format!("held for {:?} at {limit:?}", now - since));
    }
}

/// Timers fire late by this much at most, and a little.
const LATE: Duration = Duration::from_millis(201);

/// S12: a publisher that blocks does not overwrite what a receiver that it waits for does not have.
fn keeps_its_promise(
    (sender, policy, packing): (&Sender, FlowPolicy, Packing),
    was: Offset,
    is: Offset,
    verdict: &mut Verdict,
) {
    if was == is || packing.train > 0 || !matches!(policy, FlowPolicy::Block { .. }) {
        return;
    }
    for row in sender.receivers().filter(|row| row.live && !row.evicted) {
        verdict.check(row.next < was || row.next >= is, "S12", || {
            format!(
                "overwrote {} that {} waits for, at {}",
                OffsetRange::new(was, is),
                row.receiver,
                row.next
            )
        });
    }
}

const fn peer(to: Destination) -> Option<SocketAddr> {
    match to {
        Destination::Group | Destination::Everywhere => None,
        Destination::Peer(to) => Some(to.address),
    }
}
