//! Who takes part: the settings of every publisher and receiver, drawn from the seed.

use core::net::SocketAddr;

use crate::history::RingSettings;
use crate::protocol::FlowPolicy;
use crate::protocol::Order;
use crate::protocol::ReceiverSettings;
use crate::protocol::SenderSettings;
use crate::protocol::SubscriptionSettings;
use crate::sim::chance::Chance;
use crate::sim::options::Options;
use crate::sim::options::Pacing;
use crate::sim::trace::Node;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// The stream that everybody is on.
pub const STREAM: StreamId = StreamId(7);
/// Where datagrams for everybody go, as traces and captures show it.
pub const GROUP: SocketAddr =
    SocketAddr::V4(core::net::SocketAddrV4::new(core::net::Ipv4Addr::new(239, 192, 0, 7), 4_000));

/// The address of a publisher or receiver, from 0.
pub(super) fn address(node: Node) -> SocketAddr {
    let (network, index, port) = match node {
        Node::Publisher(index) => (1, index, 4_000),
        Node::Receiver(index) => (2, index, 9_000),
        Node::World | Node::Adversary => (3, 0, 6_666),
    };
    SocketAddr::from(([10, 0, network, u8::try_from(index).unwrap_or(u8::MAX)], port))
}

/// Who is at an address.
pub(super) fn node(address: SocketAddr) -> Option<Node> {
    let SocketAddr::V4(address) = address else { return None };
    let [_, _, network, index] = address.ip().octets();
    match network {
        1 => Some(Node::Publisher(usize::from(index))),
        2 => Some(Node::Receiver(usize::from(index))),
        _ => None,
    }
}

/// The settings of life number `life` of a publisher, from 0.
pub(super) fn publishes(options: &Options, publisher: usize, life: u64) -> (RingSettings, SenderSettings) {
    let mut chance = Chance::of(options.seed, "publisher", publisher as u64 * 1_000 + life);
    let session = SessionId(chance.seed());
    let datagram = options.datagram.clamp(64, 65_000) as usize;
    let bytes = options.ring as usize;
    let ring = RingSettings { bytes, datagram, stream: STREAM, session, timestamps: options.timestamps };
    let pace = core::time::Duration::from_millis(100);
    let policy = match options.pacing {
        Pacing::Free => FlowPolicy::Drop { pace, free_running: true },
        Pacing::Drop => FlowPolicy::Drop { pace, free_running: false },
        Pacing::Block => FlowPolicy::Block { patience: options.patience },
    };
    let secret = [chance.seed(), chance.seed()];
    let sender = SenderSettings {
        policy,
        unicast: options.unicast,
        repair_floor: options.repair_floor,
        ..SenderSettings::new(STREAM, session, secret)
    };
    (ring, sender)
}

/// The settings of life number `life` of a receiver, from 0.
pub(super) fn subscribes(options: &Options, receiver: usize, life: u64) -> SubscriptionSettings {
    let draw = |what: &str| Chance::of(options.seed, what, receiver as u64 * 1_000 + life);
    let is = |what: &str, share: f64| draw(what).happens(share);
    let mut names = draw("receiver");
    let id = ReceiverId(names.seed());
    let mut settings = SubscriptionSettings::new(ReceiverSettings {
        order: if is("as arrived", options.as_arrived) { Order::AsArrived } else { Order::Ordered },
        repair: !is("unrepaired", options.unrepaired),
        observer: is("observer", options.observers),
        unicast: options.unicast,
        window: options.socket / 4 * 3,
        sources: options.sources.max(2) as usize,
        ..ReceiverSettings::new(STREAM, id, names.seed())
    });
    if is("few gaps", options.few_gaps) {
        settings.receiver.gaps = 3;
    }
    if is("small window", options.small_window) {
        settings.receiver.reorder_window = 20_000;
    }
    if is("filtered", options.filtered) {
        settings.topics = vec![b"a".to_vec()];
    }
    if is("conflated", options.conflated) {
        settings.conflate = Some(2);
    }
    settings.fragments = 1 << 20;
    settings
}
