//! Real sockets on loopback.

use std::net::IpAddr;

use super::*;
use crate::io::Clock;
use crate::io::Interface;
use crate::io::Poller;
use crate::io::PublisherSocket;
use crate::io::SocketError;
use crate::io::SocketOptions;
use crate::io::SubscriberSocket;
use crate::time::Jitter;
use crate::time::Time;

const BUFFER: usize = 1 << 20;

fn options(receive_buffer: usize) -> SocketOptions {
    SocketOptions { receive_buffer, busy_poll: Duration::ZERO, segmentation: true }
}

fn loopback() -> Interface {
    Interface::find(Some("lo"), IpAddr::from([127, 0, 0, 1])).unwrap()
}

fn loopback_v6() -> Interface {
    Interface::find(Some("::1"), "::1".parse().unwrap()).unwrap()
}

/// A group that no other test uses, on a port that was free a moment ago.
fn group(last: u8) -> SocketAddr {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    SocketAddr::from(([239, 192, 77, last], port))
}

fn publisher(destination: SocketAddr) -> UdpSocket {
    let interface = if destination.is_ipv4() { loopback() } else { loopback_v6() };
    let (options, send_buffer, port) = (options(BUFFER), BUFFER, 0);
    let settings =
        PublisherSocket { destination, port, interface, ttl: 1, multicast_loop: true, send_buffer, options };
    UdpSocket::publisher(&settings).unwrap()
}

fn subscriber(group: SocketAddr, source: Option<IpAddr>) -> Listener {
    let settings = SubscriberSocket { group, source, interface: loopback(), options: options(BUFFER) };
    Listener::new(UdpSocket::multicast_data(&settings).unwrap())
}

fn unicast() -> Listener {
    Listener::new(
        UdpSocket::unicast_data("127.0.0.1:0".parse().unwrap(), &loopback(), &options(BUFFER)).unwrap(),
    )
}

/// A socket with what is needed to wait for datagrams and keep them.
struct Listener {
    socket: UdpSocket,
    poller: Poller,
    pool: Pool,
    clock: Clock,
}

impl Listener {
    fn new(mut socket: UdpSocket) -> Self {
        let mut poller = Poller::new().unwrap();
        poller.add(&mut socket, 3).unwrap();
        Self { socket, poller, pool: Pool::new(8, 65_536), clock: Clock::start() }
    }

    /// Waits for `count` datagrams, at most 5 s, and then takes what else is there.
    fn take(&mut self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut taken = self.take_ready();
        let deadline = self.clock.now() + Duration::from_secs(5);
        while taken.len() < count && !self.poller.wait(Some(deadline), &self.clock).unwrap().timer {
            taken.extend(self.take_ready());
        }
        taken
    }

    fn take_ready(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut taken = Vec::new();
        while self.socket.receive(&mut self.pool).unwrap() > 0 {
            while let Some(span) = self.pool.next_datagram() {
                taken.push((self.pool.from(span), self.pool.bytes(span).to_vec()));
            }
        }
        taken
    }

    fn expect(&mut self, from: SocketAddr, bytes: &[u8], sizes: &[u16]) {
        let taken = self.take(sizes.len());
        let lengths: Vec<usize> = taken.iter().map(|(_, datagram)| datagram.len()).collect();
        assert_eq!(lengths, sizes.iter().map(|&size| usize::from(size)).collect::<Vec<_>>());
        assert!(taken.iter().all(|&(sender, _)| sender == from));
        let joined: Vec<u8> = taken.into_iter().flat_map(|(_, datagram)| datagram).collect();
        assert!(joined == bytes, "the bytes differ");
    }
}

/// Bytes that differ everywhere, for datagrams of these sizes.
fn noise(sizes: &[u16]) -> Vec<u8> {
    let mut jitter = Jitter::new(5);
    (0..sizes.iter().map(|&size| usize::from(size)).sum()).map(|_| jitter.bits() as u8).collect()
}

/// Runs of datagrams that exercise every way of joining them.
fn runs() -> Vec<Vec<u16>> {
    let mut jitter = Jitter::new(6);
    vec![
        vec![1],
        vec![1_400],
        vec![1_400; 46],
        vec![1_400, 1_400, 1_400, 900],
        vec![700, 700, 1_400, 1_400, 3, 700, 0, 5],
        vec![512; 150],
        vec![65_507, 60_000],
        (1..=90).collect(),
        (0..200).map(|_| (jitter.bits() % 900) as u16).collect(),
    ]
}

#[test]
fn every_run_arrives_byte_for_byte_at_two_subscribers() {
    let to = group(1);
    let (mut first, mut second) = (subscriber(to, None), subscriber(to, None));
    let publisher = publisher(to);
    for sizes in runs() {
        let bytes = noise(&sizes);
        assert_eq!(publisher.send_batches(to, &bytes, &sizes).unwrap(), sizes.len());
        first.expect(publisher.local_addr(), &bytes, &sizes);
        second.expect(publisher.local_addr(), &bytes, &sizes);
    }
    assert_eq!(publisher.send_errors().total(), 0);
}

#[test]
fn every_run_arrives_byte_for_byte_by_unicast_and_one_by_one() {
    let mut subscriber = unicast();
    let to = subscriber.socket.local_addr();
    let publisher = publisher(to);
    for (trains, told) in [(true, Offload::On), (false, Offload::Refused)] {
        publisher.sends_trains.store(trains, Relaxed);
        assert_eq!(publisher.segmentation(), told);
        for sizes in runs() {
            let bytes = noise(&sizes);
            assert_eq!(publisher.send_batches(to, &bytes, &sizes).unwrap(), sizes.len());
            subscriber.expect(publisher.local_addr(), &bytes, &sizes);
        }
    }
}

#[test]
fn a_train_crosses_the_loopback_in_one_buffer() {
    let mut subscriber = unicast();
    let publisher = publisher(subscriber.socket.local_addr());
    let sizes = [1_400; 46];
    publisher.send_batches(subscriber.socket.local_addr(), &noise(&sizes), &sizes).unwrap();
    subscriber.poller.wait(None, &subscriber.clock).unwrap();
    assert_eq!(subscriber.socket.receive(&mut subscriber.pool).unwrap(), 1);
    subscriber.pool.next_datagram().unwrap();
    // Nothing is overwritten while 45 datagrams wait in the pool.
    publisher.send(subscriber.socket.local_addr(), b"later").unwrap();
    assert_eq!(subscriber.socket.receive(&mut subscriber.pool).unwrap(), 1);
    assert_eq!(std::iter::from_fn(|| subscriber.pool.next_datagram()).count(), 45);
    assert_eq!(subscriber.take(1)[0].1, b"later");
}

#[test]
fn groups_on_one_port_never_mix() {
    let one = group(2);
    let two = SocketAddr::from(([239, 192, 77, 3], one.port()));
    let (mut ones, mut twos) = (subscriber(one, None), subscriber(two, None));
    let publisher = publisher(one);
    for turn in 0..20 {
        publisher.send(one, &[1, turn]).unwrap();
        publisher.send(two, &[2, turn]).unwrap();
    }
    assert!(ones.take(20).iter().enumerate().all(|(turn, (_, bytes))| *bytes == [1, turn as u8]));
    assert!(twos.take(20).iter().enumerate().all(|(turn, (_, bytes))| *bytes == [2, turn as u8]));
    assert!(ones.take_ready().is_empty() && twos.take_ready().is_empty());
}

#[test]
fn a_request_reaches_the_publisher_and_the_reply_the_control_socket() {
    let to = group(4);
    let mut data = subscriber(to, None);
    let mut control = Listener::new(UdpSocket::control(&loopback(), &options(BUFFER)).unwrap());
    let mut publisher = Listener::new(publisher(to));
    publisher.socket.send(to, b"data").unwrap();
    let (source, _) = data.take(1)[0];
    control.socket.send(source, b"nak").unwrap();
    let (asker, nak) = publisher.take(1).remove(0);
    assert_eq!((asker, nak.as_slice()), (control.socket.local_addr(), b"nak".as_slice()));
    publisher.socket.send(asker, b"repair").unwrap();
    assert_eq!(control.take(1), [(source, b"repair".to_vec())]);
    assert!(data.take_ready().is_empty());
}

#[test]
fn a_subscriber_of_one_source_hears_it_alone() {
    let to = group(5);
    let mut wanted = subscriber(to, Some(IpAddr::from([127, 0, 0, 1])));
    let mut other = subscriber(to, Some(IpAddr::from([127, 0, 0, 9])));
    let publisher = publisher(to);
    publisher.send(to, b"mine").unwrap();
    assert_eq!(wanted.take(1).len(), 1);
    assert!(other.take_ready().is_empty());
    wanted.socket.rejoin().unwrap();
    publisher.send(to, b"again").unwrap();
    assert_eq!(wanted.take(1).len(), 1);
}

#[test]
fn a_socket_that_rejoins_goes_on() {
    let to = group(6);
    let mut subscriber = subscriber(to, None);
    let publisher = publisher(to);
    for _ in 0..3 {
        publisher.send(to, b"x").unwrap();
        assert_eq!(subscriber.take(1).len(), 1);
        subscriber.socket.rejoin().unwrap();
    }
    publisher.rejoin().unwrap();
}

fn unicast_v6() -> Listener {
    let interface = loopback_v6();
    let address = SocketAddr::new(interface.address, 0);
    Listener::new(UdpSocket::unicast_data(address, &interface, &options(BUFFER)).unwrap())
}

#[test]
fn ipv6_unicast_works_alike() {
    let mut subscriber = unicast_v6();
    let to = subscriber.socket.local_addr();
    let publisher = publisher(to);
    for sizes in runs().into_iter().filter(|sizes| sizes[0] < 65_507) {
        let bytes = noise(&sizes);
        assert_eq!(publisher.send_batches(to, &bytes, &sizes).unwrap(), sizes.len());
        subscriber.expect(publisher.local_addr(), &bytes, &sizes);
    }
}

/// The loopback's MTU is 65,536, and the headers of IPv6 and UDP take 48.
#[test]
fn a_datagram_above_the_mtu_leaves_in_fragments_or_is_counted() {
    let mut subscriber = unicast_v6();
    let to = subscriber.socket.local_addr();
    let publisher = publisher(to);
    let bytes = noise(&[65_507]);
    publisher.send(to, &bytes).unwrap();
    if Kernel::ALLOWS_FRAGMENTS {
        subscriber.expect(publisher.local_addr(), &bytes, &[65_507]);
    } else {
        assert!(publisher.send_errors().total() > 0);
    }
}

#[test]
fn a_taken_port_is_named_with_the_remedy() {
    let taken = unicast().socket;
    let error = UdpSocket::unicast_data(taken.local_addr(), &loopback(), &options(BUFFER)).unwrap_err();
    let port = taken.local_addr().port();
    let text = format!("another process holds udp port {port} on 127.0.0.1: stop it or choose another port");
    assert_eq!(error.to_string(), text);
}

#[test]
fn what_cannot_be_a_socket_says_why() {
    let to = |address: &str| -> SocketAddr { address.parse().unwrap() };
    let elsewhere = UdpSocket::unicast_data(to("192.0.2.77:4000"), &loopback(), &options(BUFFER));
    assert!(matches!(elsewhere, Err(SocketError::AddressNotAvailable { .. })), "{elsewhere:?}");
    let settings =
        |group| SubscriberSocket { group, source: None, interface: loopback(), options: options(BUFFER) };
    let single = UdpSocket::multicast_data(&settings(to("127.0.0.1:4000")));
    assert!(matches!(single, Err(SocketError::NotMulticast { .. })), "{single:?}");
    let mixed = UdpSocket::multicast_data(&settings(to("[ff15::1]:4000")));
    assert!(matches!(mixed, Err(SocketError::WrongFamily { .. })), "{mixed:?}");
    let mut gone = settings(group(7));
    gone.interface.address = IpAddr::from([192, 0, 2, 77]);
    let error = UdpSocket::multicast_data(&gone).unwrap_err();
    assert_eq!(error.to_string(), "network interface lo is down or gone: `ip link set lo up`");
}

#[test]
fn refused_datagrams_are_counted_and_taken() {
    let publisher = publisher(group(8));
    // A broadcast without SO_BROADCAST is refused before it leaves.
    let to = SocketAddr::from(([127, 255, 255, 255], 4_000));
    let sizes = [100, 100, 50, 80, 80];
    assert_eq!(publisher.send_batches(to, &noise(&sizes), &sizes).unwrap(), sizes.len());
    let counts = publisher.send_errors();
    let (errno, refused) = counts.kinds().next().unwrap();
    assert_eq!(io::Error::from_raw_os_error(errno).kind(), ErrorKind::PermissionDenied);
    assert!(refused >= 2 && counts.total() == refused, "{counts:?}");
}

#[test]
fn a_datagram_too_large_for_udp_does_not_stop_the_next() {
    let mut subscriber = unicast();
    let publisher = publisher(subscriber.socket.local_addr());
    let sizes = [10, 65_520, 10];
    let taken = publisher.send_batches(subscriber.socket.local_addr(), &noise(&sizes), &sizes).unwrap();
    assert_eq!((taken, subscriber.take(2).len()), (3, 2));
    assert!(publisher.send_errors().total() > 0);
}

#[test]
fn sizes_that_do_not_add_up_send_nothing() {
    let publisher = publisher(group(9));
    let error = publisher.send_batches(group(9), &[0; 10], &[4, 4]).unwrap_err().kind();
    assert_eq!(error, ErrorKind::InvalidInput);
    assert_eq!(publisher.send_batches(group(9), &[], &[]).unwrap(), 0);
}

/// The ICMP answer to the first datagram arrives as an error of a later call, which must not cost a datagram.
#[test]
fn a_closed_port_disturbs_neither_sending_nor_receiving() {
    let closed = SocketAddr::from(([127, 0, 0, 77], 9));
    let mut subscriber = unicast();
    let mut publisher = Listener::new(publisher(closed));
    for turn in 0..100 {
        publisher.socket.send(closed, b"nobody").unwrap();
        publisher.socket.send(subscriber.socket.local_addr(), &[turn]).unwrap();
        publisher.socket.send(closed, b"nobody").unwrap();
        assert!(publisher.take_ready().is_empty());
    }
    let taken: Vec<u8> = subscriber.take(100).iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(taken, (0..100).collect::<Vec<u8>>());
    if Kernel::COUNTS_DROPS {
        assert!(publisher.socket.send_errors().total() < 10, "that nobody is there is no failure to send");
        assert!(publisher.socket.receive_errors().total() >= 100);
    }
}

#[test]
fn datagrams_dropped_by_a_full_buffer_are_counted() {
    let mut subscriber = Listener::new(
        UdpSocket::unicast_data("127.0.0.1:0".parse().unwrap(), &loopback(), &options(4_096)).unwrap(),
    );
    let to = subscriber.socket.local_addr();
    let publisher = publisher(to);
    for _ in 0..200 {
        publisher.send(to, &[7; 1_000]).unwrap();
    }
    let before = if Kernel::COUNTS_DROPS { subscriber.socket.kernel_drops() } else { 0 };
    let arrived = subscriber.take(1).len() as u64;
    assert!(arrived < 200);
    if Kernel::COUNTS_DROPS {
        assert_eq!(before + arrived, 200);
        assert_eq!(subscriber.socket.kernel_drops(), before);
    }
}

#[test]
fn a_drop_count_outlives_the_modulus_of_the_system() {
    let count = DropCount::default();
    for (told, total) in [(5, 5), (3, 5), (1 << 31, 1 << 31), (u32::MAX, (1 << 32) - 1), (9, (1 << 32) + 9)] {
        count.learn(told);
        assert_eq!(count.total(), total);
    }
}

#[test]
fn the_buffer_granted_is_told_beside_the_one_asked_for() {
    let socket = unicast().socket;
    assert!(socket.asked_receive_buffer() == BUFFER && socket.granted_receive_buffer() > 0);
}

#[test]
fn two_threads_may_send_through_one_socket() {
    let mut subscriber = unicast();
    let to = subscriber.socket.local_addr();
    let publisher = publisher(to);
    std::thread::scope(|scope| {
        for value in [1, 2] {
            let publisher = &publisher;
            scope.spawn(move || (0..50).for_each(|_| publisher.send(to, &[value]).unwrap()));
        }
    });
    let sum: usize = subscriber.take(100).iter().map(|(_, bytes)| usize::from(bytes[0])).sum();
    assert_eq!(sum, 150);
}

#[test]
fn a_socket_with_room_is_not_waited_for() {
    let mut publisher = Listener::new(publisher(group(10)));
    publisher.socket.wait_for_room(Duration::from_secs(3_600)).unwrap();
    assert!(publisher.take_ready().is_empty());
}

#[test]
fn a_wait_ends_with_the_datagram() {
    let mut subscriber = unicast();
    let publisher = publisher(subscriber.socket.local_addr());
    publisher.send(subscriber.socket.local_addr(), b"x").unwrap();
    let ready = subscriber.poller.wait(Some(Time(u64::MAX)), &subscriber.clock).unwrap();
    assert!(ready.is_readable(3) && ready.any_readable() && !ready.timer && !ready.woken);
    assert!(!ready.is_readable(2) && !ready.is_readable(99));
}
