//! The world: a ring, a sender and a subscription, joined by function calls.

use core::net::SocketAddr;
use core::time::Duration;
use std::hint::black_box;
use std::sync::Arc;

use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::Stamp;
use nakcast::history::Writer;
use nakcast::protocol::ReceiverSettings;
use nakcast::protocol::RepairSent;
use nakcast::protocol::Sender;
use nakcast::protocol::SenderSettings;
use nakcast::protocol::Step;
use nakcast::protocol::Subscription;
use nakcast::protocol::SubscriptionSettings;
use nakcast::protocol::Transmit;
use nakcast::time::Time;
use nakcast::wire::Datagram;
use nakcast::wire::FrameFlags;

const STREAM: StreamId = StreamId(1);
const SESSION: SessionId = SessionId(0x5E55);
const DATAGRAM: usize = 1_400;
/// Between two sends: what one of 64 KiB takes on the machine of the figures.
const TICK: Duration = Duration::from_micros(100);

/// A publisher and a subscriber.
pub(crate) struct World {
    writer: Writer,
    ring: Arc<Ring>,
    sender: Sender,
    repair: Repair,
    subscription: Subscription,
    now: Time,
    payload: Vec<u8>,
    lose_every: u64,
    sent: u64,
    delivered: u64,
}

impl World {
    pub(crate) fn new(bytes: usize, lose_every: u64) -> Self {
        let settings = RingSettings {
            bytes: 32 << 20,
            datagram: DATAGRAM,
            stream: STREAM,
            session: SESSION,
            timestamps: false,
        };
        let (writer, ring) = Ring::new(settings);
        let now = Time(1_000_000);
        let receiver =
            ReceiverSettings { window: 8 << 20, ..ReceiverSettings::new(STREAM, ReceiverId(7), 1) };
        let mut world = Self {
            writer,
            ring,
            sender: Sender::new(SenderSettings::new(STREAM, SESSION, [1, 2]), now),
            repair: Repair::new(),
            subscription: Subscription::new(SubscriptionSettings::new(receiver)),
            now,
            payload: vec![7; bytes],
            lose_every,
            sent: 0,
            delivered: 0,
        };
        world.exchange();
        world
    }

    pub(crate) fn published(&self) -> u64 {
        self.ring.next().0
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Fills one train.
    #[inline(never)]
    pub(crate) fn measured_publish(&mut self) {
        self.writer.open().next_train();
        while !self.publish_one() {}
    }

    /// As `Publisher::publish` does in a burst: one lock a message. Whether the train is full.
    #[inline]
    fn publish_one(&mut self) -> bool {
        let mut open = self.writer.open();
        if open.append(FrameFlags::WHOLE, b"", &self.payload).is_some() {
            return false;
        }
        open.seal(Stamp::default(), true);
        !open.has_room()
    }

    /// Sends the train, and hands on what arrives.
    #[inline(never)]
    pub(crate) fn measured_receive(&mut self) {
        self.deliver_train();
    }

    /// The same, and what was lost is asked for, sent again and handed on.
    #[inline(never)]
    pub(crate) fn measured_repair(&mut self) {
        self.deliver_train();
        self.exchange();
    }

    fn deliver_train(&mut self) {
        let mut open = self.writer.open();
        let run = open.unsent();
        let (mut rest, count) = (run.bytes, run.sizes.len());
        for size in run.sizes {
            let (datagram, after) = rest.split_at(usize::from(*size));
            rest = after;
            self.sent += 1;
            if self.lose_every == 0 || !self.sent.is_multiple_of(self.lose_every) {
                self.delivered += receive(&mut self.subscription, self.now, datagram);
            }
        }
        open.advance(count);
    }

    /// A tick passes: reports, NAKs, heartbeats and repairs go to and fro.
    pub(crate) fn exchange(&mut self) {
        self.now = self.now + TICK;
        self.subscription.receiver().handle_timeout(self.now);
        while let Some((_, bytes)) = self.subscription.receiver().peek_transmit(self.now) {
            let datagram = Datagram::decode(bytes).expect("a datagram of ours");
            self.sender.handle_datagram(self.now, SUBSCRIBER, &datagram, &self.ring);
            self.subscription.receiver().sent();
        }
        self.sender.handle_timeout(self.now, &self.ring);
        while let Some(transmit) = self.sender.peek_transmit(self.now, &self.ring) {
            let sent = match transmit {
                Transmit::Datagram { bytes, .. } => {
                    self.delivered += receive(&mut self.subscription, self.now, bytes);
                    None
                }
                Transmit::Repair { range, .. } => {
                    assert_eq!(self.ring.read(range, &mut self.repair), Read::Copied);
                    for bytes in self.repair.datagrams() {
                        self.delivered += receive(&mut self.subscription, self.now, bytes);
                    }
                    Some(RepairSent { covers: self.repair.covers(), bytes: self.repair.bytes().len() })
                }
            };
            self.sender.sent(self.now, sent);
        }
    }

    /// Ticks until everything is delivered, for a second at most.
    pub(crate) fn catch_up(&mut self) {
        for _ in 0..10_000 {
            if self.delivered == self.published() {
                return;
            }
            self.exchange();
        }
    }
}

/// Where the subscriber's datagrams come from.
const SUBSCRIBER: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 7_001);
/// Where the publisher's come from.
const PUBLISHER: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 7_000);

/// As `Subscriber::poll` does with one datagram; gives how many messages that were.
fn receive(subscription: &mut Subscription, now: Time, bytes: &[u8]) -> u64 {
    subscription.handle_datagram(now, PUBLISHER, bytes);
    let mut count = 0;
    loop {
        for message in subscription.run(bytes).into_iter().flatten() {
            black_box(message.payload);
            count += 1;
        }
        match subscription.step(now, bytes) {
            Step::Message(found) => {
                black_box(subscription.message(&found, bytes));
                count += 1;
            }
            Step::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
            Step::Need => return count,
            Step::Up(_) | Step::Down { .. } => {}
        }
    }
}
