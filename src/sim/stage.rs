//! Places: what is at an address, one life after the other.

use core::time::Duration;
use std::rc::Rc;

use crate::sim::cast;
use crate::sim::cast::address;
use crate::sim::chance::Chance;
use crate::sim::events::Event;
use crate::sim::options::Options;
use crate::sim::plan::Act;
use crate::sim::publisher::Packing;
use crate::sim::publisher::Publisher;
use crate::sim::subscriber::Subscriber;
use crate::sim::trace::Node;
use crate::sim::trace::What;
use crate::sim::world::World;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::SessionId;

/// Frames that may wait for room before a publisher's owner publishes no more.
const PATIENT: usize = 64;
/// Where a publisher's wall clock begins, in nanoseconds since 1970.
const EPOCH: u64 = 1_700_000_000_000_000_000;

/// The one timer of a node.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    due: Option<Time>,
    number: u64,
}

impl Alarm {
    /// Sets it to `due`, unless it is set to that or earlier; the number it will ring with.
    pub(super) fn set(&mut self, due: Time) -> Option<u64> {
        if self.due.is_some_and(|is| is <= due) {
            return None;
        }
        (self.due, self.number) = (Some(due), self.number + 1);
        Some(self.number)
    }

    /// It rings with `number`; whether that is how it was set last.
    pub(super) fn rings(&mut self, number: u64) -> bool {
        let is_it = self.due.is_some() && number == self.number;
        if is_it {
            self.due = None;
        }
        is_it
    }

    pub(super) const fn clear(&mut self) {
        self.due = None;
    }
}

/// What earlier lives at an address counted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Past {
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) naks: u64,
    pub(super) repairs: u64,
}

/// The place of a publisher.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) publisher: Option<Publisher>,
    pub(super) alarm: Alarm,
    /// The session of whoever was here last.
    pub(super) last: Option<SessionId>,
    /// Messages still to be published.
    pub(super) left: u64,
    pub(super) published: u64,
    pub(super) past: Past,
    lives: u64,
    chance: Chance,
    topics: [Rc<[u8]>; 4],
}

impl Stage {
    pub(super) fn new(options: &Options, index: usize) -> Self {
        Self {
            publisher: None,
            alarm: Alarm::default(),
            last: None,
            left: options.messages,
            published: 0,
            past: Past::default(),
            lives: 0,
            chance: Chance::of(options.seed, "messages", index as u64),
            topics: ["a", "b", "ab", ""].map(|topic| topic.as_bytes().into()),
        }
    }

    /// Publishes one message, drawn.
    fn publish(&mut self, options: &Options, now: Time) {
        let is_large = self.chance.happens(options.large_share);
        let longest = if is_large { options.large } else { options.small };
        let bytes = self.chance.within(if is_large { options.small } else { 0 }, longest.max(options.small));
        let topic = Rc::clone(&self.topics[self.chance.below(4) as usize]);
        let Some(publisher) = self.publisher.as_mut() else { return };
        let number = self.published;
        let word = |index: u64| (index ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes();
        let payload: Rc<[u8]> = (0..bytes.div_ceil(8)).flat_map(word).take(bytes as usize).collect();
        publisher.publish(&topic, payload, now);
        self.published += 1;
    }

    fn end(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            self.past.repairs += publisher.watch.count;
        }
        self.alarm.clear();
    }
}

/// The place of a receiver.
#[derive(Debug, Default)]
pub(super) struct Seat {
    pub(super) subscriber: Option<Subscriber>,
    pub(super) alarm: Alarm,
    pub(super) past: Past,
    /// Nobody comes here any more.
    pub(super) is_dead: bool,
    /// Who has been here so far.
    pub(super) names: Vec<ReceiverId>,
    lives: u64,
}

impl Seat {
    fn end(&mut self) {
        if let Some(subscriber) = self.subscriber.take() {
            self.past.delivered += subscriber.ledger.delivered();
            self.past.lost += subscriber.ledger.lost();
            self.past.naks += subscriber.naks.0;
        }
        self.alarm.clear();
    }
}

impl World<'_> {
    /// A publisher publishes a burst, and will again.
    pub(super) fn publish(&mut self, index: usize) {
        let Some(stage) = self.publishers.get_mut(index) else { return };
        let waits = stage.publisher.as_ref().is_none_or(|publisher| publisher.backlog() > PATIENT);
        let burst = stage.chance.within(1, self.options.burst);
        let count = if waits { 0 } else { burst.min(stage.left) };
        for _ in 0..count {
            stage.publish(&self.options, self.now);
        }
        stage.left -= count;
        let pause = self.options.interval.mul_f64(0.5 + stage.chance.unit()).max(Duration::from_micros(1));
        if stage.left > 0 {
            self.at(self.now + pause, Event::Publish(index));
        }
        self.record(Node::Publisher(index), What::Publishes, count);
        self.serve(index);
    }

    /// Publishes one more message at once.
    pub(super) fn publish_one(&mut self, index: usize) {
        if let Some(stage) = self.publishers.get_mut(index) {
            stage.publish(&self.options, self.now);
        }
        self.serve(index);
    }

    /// Something happens to a node.
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Join(receiver) => self.join(receiver),
            Act::Leave(receiver) => self.leave(receiver),
            Act::Kill(receiver) => self.kill(receiver),
            Act::Die(receiver) => {
                self.kill(receiver);
                if let Some(seat) = self.receivers.get_mut(receiver) {
                    seat.is_dead = true;
                }
            }
            Act::Stop(receiver) => self.stop(receiver),
            Act::Resume(receiver) => self.resume(receiver),
            Act::Crash(publisher) => self.crash(publisher),
            Act::Restart(publisher) => self.restart(publisher),
        }
    }

    /// A receiver comes, unless somebody is there.
    pub(super) fn join(&mut self, index: usize) {
        let Some(seat) = self.receivers.get_mut(index) else { return };
        if seat.subscriber.is_some() || seat.is_dead {
            return;
        }
        let settings = cast::subscribes(&self.options, index, seat.lives);
        seat.lives += 1;
        seat.names.push(settings.receiver.receiver);
        let mut subscriber = Subscriber::new(settings, address(Node::Receiver(index)), self.options.socket);
        if index == 0 && !self.network.healed {
            subscriber.service = self.options.service;
        }
        seat.subscriber = Some(subscriber);
        self.record(Node::Receiver(index), What::Joins, 0);
    }

    fn leave(&mut self, index: usize) {
        let now = self.now;
        if let Some(subscriber) = self.receivers.get_mut(index).and_then(|seat| seat.subscriber.as_mut()) {
            subscriber.machine.receiver().leave(now);
            self.record(Node::Receiver(index), What::Leaves, 0);
            self.drain(index);
        }
        self.kill(index);
    }

    fn kill(&mut self, index: usize) {
        if let Some(seat) = self.receivers.get_mut(index) {
            seat.end();
            self.record(Node::Receiver(index), What::Dies, 0);
        }
    }

    fn stop(&mut self, index: usize) {
        if let Some(subscriber) = self.receivers.get_mut(index).and_then(|seat| seat.subscriber.as_mut())
            && subscriber.stopped.is_none()
        {
            subscriber.stopped = Some(self.now);
            self.record(Node::Receiver(index), What::Stops, 0);
        }
    }

    /// A process goes on, with what waits in its socket first.
    pub(super) fn resume(&mut self, index: usize) {
        self.with_receiver(index, |subscriber, scene| {
            if let Some(since) = subscriber.stopped.take() {
                subscriber.ledger.stopped += scene.now - since;
            }
            while subscriber.service.is_zero() && subscriber.waits() {
                subscriber.take_waiting(scene);
            }
        });
        self.record(Node::Receiver(index), What::Resumes, 0);
        self.drain(index);
    }

    pub(super) fn crash(&mut self, index: usize) {
        if let Some(stage) = self.publishers.get_mut(index) {
            if let Some(publisher) = &stage.publisher {
                self.truth.close(publisher.session);
                self.verdict.enter(self.now, Node::Publisher(index));
                publisher.check_counters(&mut self.verdict);
            }
            stage.end();
            self.record(Node::Publisher(index), What::Dies, 0);
        }
    }

    /// A publisher begins, unless it is there.
    pub(super) fn restart(&mut self, index: usize) {
        let Some(stage) = self.publishers.get_mut(index).filter(|stage| stage.publisher.is_none()) else {
            return;
        };
        let settings = cast::publishes(&self.options, index, stage.lives);
        let packing = Packing { batch: self.options.batch.max(1), train: self.options.train };
        let mut publisher = Publisher::new(settings, packing, address(Node::Publisher(index)), self.now);
        let back = self.options.clock_back.as_nanos() as u64;
        publisher.clock = self.options.timestamps.then_some(EPOCH - back.saturating_mul(stage.lives));
        stage.lives += 1;
        let session = publisher.session;
        self.truth.open(session, std::sync::Arc::clone(&publisher.ring));
        (stage.publisher, stage.last) = (Some(publisher), Some(session));
        self.record(Node::Publisher(index), What::Restarts, session.0);
        self.serve(index);
    }
}
