//! Nodes that find one another by beacons on the loopback interface.

use std::net::UdpSocket;
use std::time::Duration;

use nakcast::Announcement;
use nakcast::Discovery;
use nakcast::DiscoveryError;
use nakcast::DiscoveryEvent;
use nakcast::Peer;
use nakcast::Publisher;
use nakcast::SessionId;
use nakcast::Subscriber;
use nakcast::TcpEndpoint;

/// No test takes nearly as long.
const LONG: Duration = Duration::from_secs(30);
const OFTEN: Duration = Duration::from_millis(50);

/// A node that says what there is to say at once, and then not again before a test is over.
fn open(test: u8) -> Discovery {
    open_every(test, Duration::from_secs(60))
}

fn open_every(test: u8, interval: Duration) -> Discovery {
    let uri = format!("udp://239.192.43.{test}:{}?interface=lo", 43_000 + u16::from(test));
    Discovery::open(&uri).and_then(|discovery| discovery.every(interval)).expect("multicast on lo")
}

fn announcement(name: &str, session: u64) -> Announcement {
    Announcement::new(name, SessionId(session)).endpoint(TcpEndpoint::new("0.0.0.0", 7_001))
}

fn event(discovery: &mut Discovery) -> DiscoveryEvent {
    discovery.recv_timeout(LONG).expect("a socket").expect("an event")
}

fn peer_up(discovery: &mut Discovery) -> Peer {
    match event(discovery) {
        DiscoveryEvent::PeerUp(peer) => peer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_is_found_with_its_own_address_and_followed_until_it_leaves() {
    let (mut one, mut other) = (open(1), open(1));
    one.announce(announcement("one", 1)).unwrap();
    assert_eq!(one.poll().unwrap(), None);
    let peer = peer_up(&mut other);
    assert_eq!((peer.node, peer.announcement.name.as_str()), (one.node(), "one"));
    assert_eq!(peer.announcement.session, SessionId(1));
    assert_eq!(peer.announcement.endpoints[0].to_string(), "tcp://127.0.0.1:7001");
    assert_eq!(other.peers().count(), 1);
    one.announce(announcement("one", 2)).unwrap();
    assert_eq!(one.poll().unwrap(), None);
    assert!(
        matches!(event(&mut other), DiscoveryEvent::PeerChanged(peer) if peer.announcement.session == SessionId(2))
    );
    drop(one);
    assert!(matches!(event(&mut other), DiscoveryEvent::PeerDown { leaving: true, .. }));
    // Who announces nothing is heard by nobody.
    assert_eq!((other.peers().count(), other.stats().sent), (0, 0));
}

#[test]
fn who_falls_silent_is_down_and_who_comes_back_is_up() {
    let (mut one, mut other) = (open_every(2, OFTEN), open_every(2, OFTEN));
    one.announce(announcement("one", 1)).unwrap();
    one.poll().unwrap();
    peer_up(&mut other);
    assert!(matches!(event(&mut other), DiscoveryEvent::PeerDown { leaving: false, .. }));
    while one.stats().sent < 2 {
        one.recv_timeout(OFTEN).unwrap();
    }
    assert_eq!(peer_up(&mut other).node, one.node());
}

#[test]
fn eight_nodes_all_know_all_others() {
    let mut nodes: Vec<_> = (0..8).map(|_| open(3)).collect();
    for (node, number) in nodes.iter_mut().zip(0..) {
        node.announce(announcement(&format!("node {number}"), number)).unwrap();
    }
    while nodes.iter().any(|node| node.peers().count() < 7) {
        for node in &mut nodes {
            node.recv_timeout(Duration::from_millis(2)).unwrap();
        }
    }
    for (node, number) in nodes.iter().zip(0..) {
        let mut sessions: Vec<_> = node.peers().map(|peer| peer.announcement.session.0).collect();
        sessions.sort_unstable();
        assert!(sessions.into_iter().eq((0..8).filter(|other| *other != number)));
    }
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let (mut one, mut other) = (open(4), open(4));
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&stranger).set_multicast_if_v4(&"127.0.0.1".parse().unwrap()).unwrap();
    for bytes in [0, 1, 39, 40, 1_200, 1_201, 1_500] {
        stranger.send_to(&vec![0x4E; bytes], "239.192.43.4:43004").unwrap();
    }
    one.announce(announcement("one", 1)).unwrap();
    one.poll().unwrap();
    peer_up(&mut other);
    assert_eq!((other.stats().undecodable, other.stats().received), (7, 1));
}

#[test]
fn what_was_found_can_be_subscribed_to() {
    let mut publisher = Publisher::bind("tcp://0.0.0.0:0").unwrap();
    let endpoint = TcpEndpoint::new("0.0.0.0", publisher.stream_address().unwrap().port());
    let (mut one, mut other) = (open(5), open(5));
    one.announce(Announcement::new("one", publisher.session()).endpoint(endpoint)).unwrap();
    one.poll().unwrap();
    let peer = peer_up(&mut other);
    let subscriber = Subscriber::builder().endpoint(peer.announcement.endpoints[0].clone()).open();
    let mut subscriber = subscriber.unwrap();
    while subscriber.sources().is_empty() {
        subscriber.recv_timeout(OFTEN).unwrap();
    }
    assert_eq!(subscriber.sources()[0].session, peer.announcement.session);
    publisher.publish(b"", b"hello").unwrap();
}

#[test]
fn what_cannot_be_is_named_with_its_remedy() {
    let told = |uri: &str| Discovery::open(uri).unwrap_err().to_string();
    assert!(told("udp://127.0.0.1:4900?interface=lo").contains("is not a multicast address"));
    assert!(told("tcp://127.0.0.1:4900").contains("where udp:// is wanted"));
    assert!(told("udp://239.192.43.6:4900?interface=none0").contains("there is no network interface none0"));
    let slow = open(6).every(Duration::from_secs(61)).unwrap_err();
    assert!(matches!(slow, DiscoveryError::Interval(_)), "{slow}");
}

#[cfg(unix)]
#[test]
fn one_descriptor_tells_of_beacons_and_of_the_time_for_the_own() {
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;

    let (mut one, mut other) = (open_every(7, OFTEN), open_every(7, OFTEN));
    one.announce(announcement("one", 1)).unwrap();
    let (mut poll, mut events) = (mio::Poll::new().unwrap(), mio::Events::with_capacity(4));
    for (node, token) in [&one, &other].into_iter().zip(0..) {
        let descriptor = node.as_fd().as_raw_fd();
        let mut source = SourceFd(&descriptor);
        poll.registry().register(&mut source, mio::Token(token), mio::Interest::READABLE).unwrap();
    }
    let (mut heard, mut sent) = (0, 0);
    while heard < 1 || sent < 3 {
        heard += std::iter::from_fn(|| other.poll().unwrap()).count();
        assert_eq!(one.poll().unwrap(), None);
        sent = one.stats().sent;
        poll.poll(&mut events, Some(LONG)).unwrap();
        assert!(!events.is_empty(), "neither a beacon came nor was one due");
    }
}
