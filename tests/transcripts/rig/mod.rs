//! The rig: machines, links and virtual time.
//!
//! Every link takes 50 µs. What happens to a datagram on its way is asked of the test, once for each subscriber. After
//! each turn of a subscriber its books are checked: see [`Subscriber::check`].

mod network;
mod publisher;
mod subscriber;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::history::RingSettings;
use nakcast::protocol::FlowPolicy;
use nakcast::protocol::ReceiverSettings;
use nakcast::protocol::SenderSettings;
use nakcast::protocol::SubscriptionSettings;
use nakcast::time::Time;
use nakcast::wire::ReceiverId;

pub(crate) use network::Fate;
pub(crate) use network::Hop;
pub(crate) use network::Way;
pub(crate) use network::line;
pub(crate) use publisher::Publisher;
pub(crate) use subscriber::Subscriber;

use network::Network;

pub(crate) const STREAM: StreamId = StreamId(7);
pub(crate) const US: Duration = Duration::from_micros(1);
pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// How far apart messages are that leave at one time.
pub(crate) const AT_ONCE: Duration = Duration::ZERO;
/// How long a datagram is on its way.
pub(crate) const WIRE: Duration = Duration::from_micros(50);

/// Turns at one time that cannot be all work.
const SPIN: u32 = 200_000;

/// Waits for nobody.
pub(crate) const FREE: FlowPolicy = FlowPolicy::Drop { pace: Duration::from_millis(100), free_running: true };
/// Is paced by the fastest, the default.
pub(crate) const DROP: FlowPolicy =
    FlowPolicy::Drop { pace: Duration::from_millis(100), free_running: false };
/// Waits for the slowest, five seconds each.
pub(crate) const BLOCK: FlowPolicy = FlowPolicy::Block { patience: Duration::from_secs(5) };

/// What was published, by session and first offset: how many offsets, topic, payload.
pub(crate) type Truth = BTreeMap<(SessionId, Offset), (u64, Rc<[u8]>, Rc<[u8]>)>;

/// A datagram on its way.
#[derive(Debug)]
struct Flight {
    to: SocketAddr,
    from: SocketAddr,
    bytes: Rc<[u8]>,
}

/// Everything there is, at one time.
pub(crate) struct World {
    pub(crate) now: Time,
    flights: BTreeMap<(Time, u64), Flight>,
    serial: u64,
    pub(crate) network: Network,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) truth: Truth,
}

/// The settings of a publisher of session `session`: the smallest ring, datagrams of 1,400 bytes.
pub(crate) fn publishes(session: u64, policy: FlowPolicy) -> (RingSettings, SenderSettings) {
    let session = SessionId(session);
    let ring = RingSettings { bytes: 0, datagram: 1_400, stream: STREAM, session, timestamps: false };
    (ring, SenderSettings { policy, ..SenderSettings::new(STREAM, session, [1, 2]) })
}

/// The settings of a subscriber.
pub(crate) fn subscribes(id: u64) -> SubscriptionSettings {
    SubscriptionSettings::new(ReceiverSettings::new(STREAM, ReceiverId(id), id))
}

impl World {
    /// A world with nobody in it.
    pub(crate) fn empty() -> Self {
        Self {
            now: Time::ZERO,
            flights: BTreeMap::new(),
            serial: 0,
            network: Network::default(),
            publishers: Vec::new(),
            subscribers: Vec::new(),
            truth: Truth::new(),
        }
    }

    /// One publisher and `subscribers` of them, all of whom know each other: half a second has passed.
    pub(crate) fn new(policy: FlowPolicy, subscribers: u64) -> Self {
        let mut world = Self::empty();
        for id in 1..=subscribers {
            world.subscribe(subscribes(id));
        }
        world.open(publishes(77, policy));
        world.pass(500 * MS);
        for subscriber in &world.subscribers {
            assert_eq!(subscriber.lines, ["up 0"], "the opening is quiet");
        }
        world.forget();
        world
    }

    /// Another publisher, at an address of its own; gives its index.
    pub(crate) fn open(&mut self, settings: (RingSettings, SenderSettings)) -> usize {
        let index = self.publishers.len();
        let address = SocketAddr::from(([10, 0, 1, index as u8 + 1], 4_000));
        self.publishers.push(Publisher::new(settings, address, self.now));
        self.serve(index);
        index
    }

    /// The process of publisher `index` is gone, and another has its address; gives its index.
    pub(crate) fn restart(&mut self, index: usize, settings: (RingSettings, SenderSettings)) -> usize {
        self.publishers[index].is_alive = false;
        let address = self.publishers[index].address;
        self.publishers.push(Publisher::new(settings, address, self.now));
        self.serve(self.publishers.len() - 1);
        self.publishers.len() - 1
    }

    /// Another subscriber.
    pub(crate) fn subscribe(&mut self, settings: SubscriptionSettings) {
        let number = self.subscribers.len() as u8 + 1;
        let address = SocketAddr::from(([10, 0, 2, number], 9_000));
        self.subscribers.push(Subscriber::new(settings, address));
    }

    /// Publishes `count` messages, `apart` from each other, each in a datagram of its own.
    pub(crate) fn publish(&mut self, index: usize, count: u64, apart: Duration) {
        for _ in 0..count {
            let next = self.publishers[index].next_number();
            self.send(index, "", format!("message {next} of {index}").as_bytes());
            self.pass(apart);
        }
    }

    /// Publishes a message, in datagrams of its own.
    pub(crate) fn send(&mut self, index: usize, topic: &str, payload: &[u8]) {
        self.publishers[index].publish(topic.as_bytes(), payload);
        self.serve(index);
    }

    /// Publishes messages of `bytes` bytes.
    pub(crate) fn send_large(&mut self, index: usize, count: u64, (bytes, apart): (usize, Duration)) {
        for _ in 0..count {
            let next = self.publishers[index].next_number();
            let payload: Vec<u8> = (next..).map(|byte| byte as u8).take(bytes).collect();
            self.send(index, "", &payload);
            self.pass(apart);
        }
    }

    /// Lets `span` pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        let (end, mut turns) = (self.now + span, 0);
        while let Some(next) = self.next().filter(|next| *next <= end) {
            turns = if next > self.now { 0 } else { turns + 1 };
            assert!(turns < SPIN, "{next:?} at {:?}: the caller spins", self.now);
            // Only of a process that was stopped is the time over already.
            self.now = self.now.max(next);
            self.turn();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Time> {
        let arrival = self.flights.first_key_value().map(|((at, _), _)| *at);
        let publishers = self.publishers.iter().filter_map(|publisher| publisher.next_timeout());
        let subscribers = self.subscribers.iter().filter_map(|subscriber| subscriber.next_timeout());
        arrival.into_iter().chain(publishers).chain(subscribers).min()
    }

    /// One datagram that arrives now, or else the timers that are due now.
    fn turn(&mut self) {
        if let Some(entry) = self.flights.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let flight = entry.remove();
            self.arrive(&flight);
            return;
        }
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        for index in 0..self.publishers.len() {
            if due(self.publishers[index].next_timeout()) {
                self.publishers[index].handle_timeout(now);
                self.serve(index);
            }
        }
        for index in 0..self.subscribers.len() {
            if due(self.subscribers[index].next_timeout()) {
                self.subscribers[index].handle_timeout(now, &self.truth);
                self.drain(index);
            }
        }
    }

    fn arrive(&mut self, flight: &Flight) {
        let at = |address: SocketAddr| address == flight.to;
        if let Some(index) = self.subscribers.iter().position(|subscriber| at(subscriber.address)) {
            self.subscribers[index].receive(self.now, flight.from, &flight.bytes, &self.truth);
            self.drain(index);
        }
        let alive = |publisher: &Publisher| publisher.is_alive && at(publisher.address);
        if let Some(index) = self.publishers.iter().position(alive) {
            self.publishers[index].receive(self.now, flight.from, &flight.bytes);
            self.serve(index);
        }
    }

    /// Sends what publisher `index` has.
    fn serve(&mut self, index: usize) {
        let from = self.publishers[index].address;
        let sent = self.publishers[index].serve(self.now, &mut self.truth);
        for (to, bytes) in sent {
            self.network.leaves(&bytes, to);
            match to {
                Some(to) => self.launch((from, to), &bytes),
                None => {
                    for subscriber in 0..self.subscribers.len() {
                        self.launch((from, self.subscribers[subscriber].address), &bytes);
                    }
                }
            }
        }
    }

    /// Sends what subscriber `index` has.
    fn drain(&mut self, index: usize) {
        let from = self.subscribers[index].address;
        for (to, bytes) in self.subscribers[index].drain(self.now) {
            self.launch((from, to), &bytes);
        }
    }

    fn launch(&mut self, (from, to): (SocketAddr, SocketAddr), bytes: &Rc<[u8]>) {
        for late in self.network.carry(self.now, (from, to), bytes) {
            self.fly((from, to), self.now + WIRE + late, bytes);
        }
    }

    /// Puts a datagram on the wire that nobody asks about, to arrive at `at`.
    pub(crate) fn fly(&mut self, (from, to): (SocketAddr, SocketAddr), at: Time, bytes: &[u8]) {
        self.serial += 1;
        self.flights.insert((at, self.serial), Flight { to, from, bytes: bytes.into() });
    }

    /// Puts a forged datagram on the wire from publisher `from`'s address, or from another one, to subscriber `to`.
    pub(crate) fn forge(&mut self, from: SocketAddr, to: usize, bytes: &[u8]) {
        let to = self.subscribers[to].address;
        self.fly((from, to), self.now + WIRE, bytes);
        self.pass(WIRE);
    }

    /// Asks `fates` about every datagram from now on.
    pub(crate) fn fates(&mut self, fates: impl FnMut(&Hop) -> Fate + 'static) {
        self.network.fates = Box::new(fates);
    }

    /// The process of subscriber `index` goes on.
    pub(crate) fn resume(&mut self, index: usize) {
        self.subscribers[index].resume(self.now, &self.truth);
        self.drain(index);
    }

    /// Forgets what was counted and logged so far.
    pub(crate) fn forget(&mut self) {
        self.network.forget();
        self.subscribers.iter_mut().for_each(|subscriber| subscriber.lines.clear());
    }

    /// NAK datagrams sent by subscribers, and repair batches put on the network.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.network.naks, self.network.repairs)
    }

    /// Finishes publisher `index`, until everybody has everything; then it concludes, and nobody has anything pending.
    pub(crate) fn finish(&mut self, index: usize) {
        self.publishers[index].sender.finish(self.now);
        self.serve(index);
        for _ in 0..200 {
            self.pass(10 * MS);
            if self.publishers[index].is_complete() {
                break;
            }
        }
        self.publishers[index].sender.conclude(self.now);
        self.serve(index);
        self.pass(10 * MS);
        assert!(self.publishers[index].sender.is_over());
    }

    /// Finishes publisher 0 and checks that everybody got everything from `start` on.
    pub(crate) fn finish_whole(&mut self, start: u64) {
        self.finish(0);
        let (end, session) = (self.publishers[0].ring.sent(), self.publishers[0].session);
        for subscriber in &self.subscribers {
            let delivered = subscriber.delivered(session);
            assert_eq!(delivered, [OffsetRange::new(Offset(start), end)].to_vec());
            assert_eq!(subscriber.lines.last(), Some(&format!("down ended {end}")));
        }
    }
}
