//! Everything there is, at one virtual time.

use core::net::SocketAddr;
use core::time::Duration;
use std::rc::Rc;

use zerocopy::FromBytes;

use crate::protocol::SenderEvent;
use crate::sim::adversary::Adversary;
use crate::sim::cast::GROUP;
use crate::sim::cast::address;
use crate::sim::cast::node;
use crate::sim::chance::Chance;
use crate::sim::events::Event;
use crate::sim::events::Events;
use crate::sim::network::Arrivals;
use crate::sim::network::Hop;
use crate::sim::network::Network;
use crate::sim::network::Way;
use crate::sim::options::Options;
use crate::sim::plan;
use crate::sim::publisher::Outgoing;
use crate::sim::stage::Seat;
use crate::sim::stage::Stage;
use crate::sim::subscriber::Scene;
use crate::sim::subscriber::Subscriber;
use crate::sim::totals::Latencies;
use crate::sim::trace::Node;
use crate::sim::trace::Packet;
use crate::sim::trace::Record;
use crate::sim::trace::Trace;
use crate::sim::trace::What;
use crate::sim::truth::Truth;
use crate::sim::verdict::Verdict;
use crate::time::Time;
use crate::wire::Header;

/// Events at one time that cannot be all work.
const SPIN: u64 = 100_000;

/// The world, with its queue of events.
pub(super) struct World<'w> {
    pub(super) options: Options,
    pub(super) now: Time,
    events: Events,
    spin: u64,
    pub(super) network: Network,
    pub(super) truth: Truth,
    pub(super) verdict: Verdict,
    pub(super) trace: Trace<'w>,
    pub(super) publishers: Vec<Stage>,
    pub(super) receivers: Vec<Seat>,
    pub(super) adversary: Adversary,
    pub(super) latencies: Latencies,
    lateness: Chance,
    arrivals: Arrivals,
    sends: Vec<Outgoing>,
    replies: Vec<(SocketAddr, Rc<[u8]>)>,
}

impl<'w> World<'w> {
    pub(super) fn new(options: &Options, trace: Trace<'w>) -> Self {
        let mut options = options.clone();
        options.publishers = if options.unicast { 1 } else { options.publishers.clamp(1, 2) };
        options.receivers = if options.unicast { 1 } else { options.receivers.clamp(1, 200) };
        let span = plan::span(&options);
        let mut world = Self {
            now: Time::ZERO,
            events: Events::default(),
            spin: 0,
            network: Network::new(&options, span),
            truth: Truth::default(),
            verdict: Verdict::new(),
            trace,
            publishers: (0..options.publishers as usize).map(|index| Stage::new(&options, index)).collect(),
            receivers: (0..options.receivers).map(|_| Seat::default()).collect(),
            adversary: Adversary::new(&options),
            latencies: Latencies::default(),
            lateness: Chance::of(options.seed, "late timers", 0),
            arrivals: Vec::new(),
            sends: Vec::new(),
            replies: Vec::new(),
            options,
        };
        if world.options.deaf {
            world.network.deaf = Some((plan::last(&world.options), Time::ZERO + span / 2));
        }
        for (at, act) in plan::plan(&world.options, span) {
            world.at(at, Event::Act(act));
        }
        for publisher in 0..world.publishers.len() {
            world.restart(publisher);
            world.at(Time::from_micros(100), Event::Publish(publisher));
        }
        if world.options.forged > 0.0 {
            world.at(Time::from_millis(1), Event::Forge);
        }
        world.begin_to_pretend(span);
        world
    }

    /// Puts an event in the queue.
    pub(super) fn at(&mut self, at: Time, event: Event) {
        self.events.put(at, event);
    }

    /// Nothing more happens of what was planned. What is on its way to publishers, late copies above all, never arrives: somebody who has left must not seem to
    /// be there.
    pub(super) fn drop_late(&mut self) {
        let deaf = self.network.deaf.map(|(receiver, _)| Node::Receiver(receiver));
        let is_late = |event: &Event| match event {
            Event::Arrive { to, .. } => matches!(to, Node::Publisher(_)) || Some(*to) == deaf,
            Event::Act(_) | Event::Pretend => true,
            _ => false,
        };
        self.events.retain(|event| !is_late(event));
    }

    /// When the last event of a kind is due.
    pub(super) fn last_event(&self, is_it: impl Fn(&Event) -> bool) -> Time {
        self.events.last(is_it).unwrap_or_default()
    }

    pub(super) fn record(&mut self, node: Node, what: What, number: u64) {
        self.trace.put(&Record { at: self.now, node, what, number, packet: None });
    }

    pub(super) fn record_packet(&mut self, node: Node, what: What, packet: Packet<'_>) {
        self.trace.put(&Record { at: self.now, node, what, number: 0, packet: Some(packet) });
    }

    /// Lets time pass until `end`, or until a promise is broken.
    pub(super) fn run_until(&mut self, end: Time) {
        while !self.verdict.is_broken()
            && let Some((at, event)) = self.events.take(end)
        {
            self.spin = if at > self.now { 0 } else { self.spin + 1 };
            self.now = self.now.max(at);
            self.verdict.enter(self.now, Node::World);
            if !self.verdict.check(self.spin < SPIN, "L1", || format!("nothing but {event:?} at one time")) {
                break;
            }
            self.handle(event);
        }
        if !self.verdict.is_broken() {
            self.now = self.now.max(end);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { to, from, bytes } => self.arrive(to, from, &bytes),
            Event::Timer { node, number } => self.on_timer(node, number),
            Event::Publish(publisher) => self.publish(publisher),
            Event::Take(receiver) => self.take(receiver),
            Event::Act(act) => self.act(act),
            Event::Forge => self.forge(),
            Event::Pretend => self.pretend(),
        }
    }

    /// A datagram reaches a node.
    pub(super) fn arrive(&mut self, to: Node, from: SocketAddr, bytes: &Rc<[u8]>) {
        let packet = Packet { from, to: address(to), bytes };
        match to {
            Node::Publisher(index) => {
                let now = self.now;
                let Some(publisher) =
                    self.publishers.get_mut(index).and_then(|stage| stage.publisher.as_mut())
                else {
                    return;
                };
                publisher.receive(now, from, bytes);
                self.record_packet(to, What::Receives, packet);
                self.serve(index);
            }
            Node::Receiver(index) if self.is_stale(index, bytes) => {
                self.record_packet(to, What::Loses, packet)
            }
            Node::Receiver(index) => {
                let fits = self.with_receiver(index, |subscriber, scene| {
                    scene.trace.put(&Record {
                        at: scene.now,
                        node: scene.node,
                        what: What::Receives,
                        number: 0,
                        packet: Some(packet),
                    });
                    subscriber.receive(from, bytes, scene)
                });
                match fits {
                    Some(false) => self.record_packet(to, What::Overflows, packet),
                    Some(true) => self.drain(index),
                    None => {}
                }
            }
            Node::World | Node::Adversary => {}
        }
    }

    /// Whether a datagram is of a session that is gone, and that the receiver never knew: a late copy cannot be told
    /// from a publisher that begins.
    fn is_stale(&self, index: usize, bytes: &[u8]) -> bool {
        let Ok((header, _)) = Header::ref_from_prefix(bytes) else { return false };
        let session = header.session();
        let seat = self.receivers.get(index);
        let knows = |subscriber: &Subscriber| subscriber.ledger.of(session).is_some();
        let is_known = seat.and_then(|seat| seat.subscriber.as_ref()).is_some_and(knows);
        !is_known && self.truth.of(session).is_some_and(|published| !published.is_alive)
    }

    /// Lets a receiver have its turn, if there is one.
    pub(super) fn with_receiver<T>(
        &mut self,
        index: usize,
        turn: impl FnOnce(&mut Subscriber, &mut Scene<'_, 'w>) -> T,
    ) -> Option<T> {
        let node = Node::Receiver(index);
        let subscriber = self.receivers.get_mut(index)?.subscriber.as_mut()?;
        self.verdict.enter(self.now, node);
        let late = if self.options.late_timers > 0.0 { self.options.timer_late } else { Duration::ZERO };
        let mut scene = Scene {
            now: self.now,
            node,
            truth: &self.truth,
            verdict: &mut self.verdict,
            trace: &mut self.trace,
            latencies: &mut self.latencies,
            late: late + Duration::from_millis(1),
        };
        Some(turn(subscriber, &mut scene))
    }

    fn on_timer(&mut self, node: Node, number: u64) {
        let now = self.now;
        match node {
            Node::Publisher(index) => {
                let Some(stage) = self.publishers.get_mut(index) else { return };
                let rings = stage.alarm.rings(number);
                let Some(publisher) = stage.publisher.as_mut().filter(|_| rings) else { return };
                if publisher.sender.next_timeout().is_some_and(|at| at <= now) {
                    publisher.sender.handle_timeout(now, &publisher.ring);
                }
                self.record(node, What::Timer, 0);
                self.serve(index);
            }
            Node::Receiver(index) => {
                if !self.receivers.get_mut(index).is_some_and(|seat| seat.alarm.rings(number)) {
                    return;
                }
                self.record(node, What::Timer, 0);
                self.with_receiver(index, |subscriber, scene| {
                    if subscriber.next_timeout().is_some_and(|at| at <= scene.now) {
                        subscriber.handle_timeout(scene);
                    }
                });
                self.drain(index);
            }
            Node::World | Node::Adversary => {}
        }
    }

    /// A slow receiver takes the next datagram.
    fn take(&mut self, index: usize) {
        self.with_receiver(index, |subscriber, scene| {
            subscriber.busy = None;
            if subscriber.stopped.is_none() {
                subscriber.take_waiting(scene);
                if subscriber.next_timeout().is_some_and(|at| at <= scene.now) {
                    subscriber.handle_timeout(scene);
                }
            }
        });
        self.drain(index);
    }

    /// Sends what a publisher has, and sets its timer.
    pub(super) fn serve(&mut self, index: usize) {
        let now = self.now;
        self.verdict.enter(now, Node::Publisher(index));
        let Some(publisher) = self.publishers.get_mut(index).and_then(|stage| stage.publisher.as_mut())
        else {
            return;
        };
        let mut sends = core::mem::take(&mut self.sends);
        publisher.serve(now, &mut self.truth, &mut self.verdict, &mut sends);
        while let Some(event) = publisher.sender.poll_event() {
            if let SenderEvent::ReceiverEvicted { receiver, .. }
            | SenderEvent::ReceiverCutOff { receiver, .. } = event
            {
                self.truth.evict(publisher.session, receiver);
            }
        }
        let (from, session) = (publisher.address, publisher.session);
        for (to, bytes) in &sends {
            self.adversary.overhear(session, bytes);
            self.send(index, (from, *to), bytes);
        }
        sends.clear();
        self.sends = sends;
        self.arm(Node::Publisher(index));
    }

    /// A datagram leaves a publisher, to one receiver or to all.
    fn send(&mut self, publisher: usize, (from, to): (SocketAddr, Option<SocketAddr>), bytes: &Rc<[u8]>) {
        let node_of = Node::Publisher(publisher);
        let packet = Packet { from, to: to.unwrap_or(GROUP), bytes };
        if self.network.refuses() {
            return self.record_packet(node_of, What::Refuses, packet);
        }
        self.record_packet(node_of, What::Sends, packet);
        let Some(wait) = self.network.passes_uplink(self.now, publisher, bytes.len()) else {
            return self.record_packet(node_of, What::Overflows, packet);
        };
        let is_shared_loss = self.network.is_shared_loss();
        let all = 0..self.receivers.len();
        let one = to.map(node);
        for receiver in all {
            let is_meant = one.is_none_or(|one| one == Some(Node::Receiver(receiver)));
            if !is_meant || (is_shared_loss && self.network.shares()) {
                continue;
            }
            let hop = Hop { way: Way::Down, receiver, is_multicast: to.is_none() && !self.options.unicast };
            self.launch((from, Node::Receiver(receiver)), hop, (wait, bytes));
        }
    }

    fn launch(&mut self, (from, to): (SocketAddr, Node), hop: Hop, (wait, bytes): (Duration, &Rc<[u8]>)) {
        let mut arrivals = core::mem::take(&mut self.arrivals);
        arrivals.clear();
        if !self.network.carry(self.now + wait, hop, bytes, &mut arrivals) {
            self.record_packet(to, What::Loses, Packet { from, to: address(to), bytes });
        }
        for (at, bytes) in arrivals.drain(..) {
            self.at(at, Event::Arrive { to, from, bytes });
        }
        self.arrivals = arrivals;
    }

    /// Sends what a receiver has, and sets its timer.
    pub(super) fn drain(&mut self, index: usize) {
        let now = self.now;
        let Some(subscriber) = self.receivers.get_mut(index).and_then(|seat| seat.subscriber.as_mut()) else {
            return;
        };
        self.verdict.enter(now, Node::Receiver(index));
        let mut replies = core::mem::take(&mut self.replies);
        subscriber.drain(now, &mut self.verdict, &mut replies);
        let from = subscriber.address;
        let takes = subscriber.waits() && subscriber.busy.is_none() && subscriber.stopped.is_none();
        if takes {
            let at = now + subscriber.service;
            subscriber.busy = Some(at);
            self.at(at, Event::Take(index));
        }
        for (to, bytes) in replies.drain(..) {
            self.record_packet(Node::Receiver(index), What::Sends, Packet { from, to, bytes: &bytes });
            if let Some(to) = node(to) {
                let hop = Hop { way: Way::Up, receiver: index, is_multicast: false };
                self.launch((from, to), hop, (Duration::ZERO, &bytes));
            }
        }
        self.replies = replies;
        self.arm(Node::Receiver(index));
    }

    /// Sets a node's timer, if its next one is earlier than that which is set.
    pub(super) fn arm(&mut self, node: Node) {
        let (due, alarm) = match node {
            Node::Publisher(index) => {
                let Some(stage) = self.publishers.get_mut(index) else { return };
                let due = stage.publisher.as_ref().and_then(|publisher| publisher.sender.next_timeout());
                (due, &mut stage.alarm)
            }
            Node::Receiver(index) => {
                let Some(seat) = self.receivers.get_mut(index) else { return };
                // One with datagrams to take looks at its timers after each.
                let present = seat.subscriber.as_ref().filter(|subscriber| !subscriber.waits());
                (present.and_then(|subscriber| subscriber.next_timeout()), &mut seat.alarm)
            }
            Node::World | Node::Adversary => return,
        };
        let Some(due) = due else { return };
        let Some(number) = alarm.set(due) else { return };
        let mut at = due.max(self.now);
        if !self.network.healed && self.lateness.happens(self.options.late_timers) {
            at = at + self.lateness.up_to(self.options.timer_late);
        }
        self.at(at, Event::Timer { node, number });
    }
}
