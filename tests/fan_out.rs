//! A publisher with several lines, with several subscribers on one, and with those that join it, over loopback.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

#[path = "fan_out/hand.rs"]
mod hand;

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use nakcast::Event;
use nakcast::Faults;
use nakcast::Offset;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::PublisherEvent;
use nakcast::Subscriber;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::Kind;
use nakcast::wire::Status;
use nakcast::wire::Token;

use hand::Hand;
use hand::Says;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

fn join(group: &str) -> UdpSocket {
    let group: SocketAddr = group.parse().unwrap();
    let SocketAddr::V4(address) = group else { unreachable!("IPv4") };
    let socket = UdpSocket::bind(group).unwrap();
    socket.join_multicast_v4(address.ip(), &[127, 0, 0, 1].into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// All batches that come until the end, and where each came from.
fn until_the_end(socket: &UdpSocket) -> (Vec<Vec<u8>>, SocketAddr) {
    let (mut batches, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let (size, from) = socket.recv_from(&mut buffer).expect("nothing came for half a minute");
        match Datagram::decode(&buffer[..size]).unwrap().header.kind().unwrap() {
            Kind::Data => batches.push(buffer[..size].to_vec()),
            Kind::End => return (batches, from),
            _ => {}
        }
    }
}

/// Delivers everything, in order, until the source is down; gives how many messages that were.
fn deliver_all(mut subscriber: Subscriber) -> u64 {
    let mut next = 0;
    loop {
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came for half a minute") {
            Event::Message(message) => {
                assert_eq!((message.offset, message.payload), (Offset(next), &next.to_le_bytes()[..]));
                next += 1;
            }
            Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
            Event::SourceDown { .. } => return next,
            _ => {}
        }
    }
}

fn publish(publisher: &mut Publisher, range: core::ops::Range<u64>) {
    for index in range {
        publisher.publish(b"", &index.to_le_bytes()).unwrap();
    }
    publisher.flush().unwrap();
}

#[test]
fn two_groups_carry_the_same_bytes() {
    let (a, b) = (join("239.192.26.1:26001"), join("239.192.26.2:26002"));
    let builder = Publisher::builder().udp("udp://239.192.26.1:26001?interface=lo");
    let mut publisher = builder.udp("udp://239.192.26.2:26002?interface=lo").open().unwrap();
    publish(&mut publisher, 0..2_000);
    let lines = publisher.lines();
    publisher.finish(Duration::ZERO).ok();
    let ((on_a, from_a), (on_b, from_b)) = (until_the_end(&a), until_the_end(&b));
    assert!(on_a == on_b, "the same batches on both");
    assert_eq!(on_a.len() as u64, publisher.stats().batches);
    assert_eq!([from_a, from_b], [lines[0].local_address, lines[1].local_address]);
    assert_ne!(from_a, from_b);
}

#[test]
fn a_subscriber_of_either_line_gets_everything() {
    let uris = ["udp://239.192.26.3:26003?interface=lo", "udp://239.192.26.4:26004?interface=lo"];
    let open =
        |(uri, seed)| Subscriber::builder().udp(uri).faults(Faults::loss(0.05).seed(seed)).open().unwrap();
    let subscribers: Vec<_> = uris.into_iter().zip(0..).map(open).collect();
    let threads: Vec<_> = subscribers.into_iter().map(|one| thread::spawn(|| deliver_all(one))).collect();
    let builder = Publisher::builder().udp(uris[0]).udp(uris[1]);
    let mut publisher = builder.policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(2, PATIENCE).unwrap();
    publish(&mut publisher, 0..100_000);
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(threads.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>(), [100_000; 2]);
    assert_eq!(publisher.stats().skipped, 0);
}

#[test]
fn a_nak_on_the_second_line_is_answered_from_there_and_repaired_on_both() {
    let (a, b) = (join("239.192.26.5:26005"), join("239.192.26.6:26006"));
    let builder = Publisher::builder().udp("udp://239.192.26.5:26005?interface=lo");
    let mut publisher = builder.udp("udp://239.192.26.6:26006?interface=lo").open().unwrap();
    publish(&mut publisher, 0..1);
    publish(&mut publisher, 1..2);
    let second = publisher.lines()[1].local_address;
    let mut hand = Hand::new(second, 7);
    hand.session = publisher.session();
    hand.prove();
    hand.nak(1, 2);
    let is_repair = |bytes: &[u8]| Datagram::decode(bytes).unwrap().header.flags().has(Flags::REPAIR);
    for line in [&a, &b] {
        let mut buffer = [0; 65_536];
        let repaired = loop {
            let size = line.recv(&mut buffer).expect("no repair");
            if is_repair(&buffer[..size]) {
                break Datagram::decode(&buffer[..size]).unwrap().header.base();
            }
        };
        assert_eq!(repaired, Offset(1));
    }
    publisher.abort();
}

fn unicast(ports: &[u16]) -> String {
    let addresses: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("udp://{}?interface=lo", addresses.join(","))
}

/// Subscribers at `heard`, a publisher for `ports`; everybody must get everything.
fn fan_out(ports: &[u16], heard: &[u16], loss: f64) -> Publisher {
    let open = |port: &u16| {
        let faults = Faults::loss(loss).seed(u64::from(*port));
        Subscriber::builder().udp(&unicast(&[*port])).faults(faults).open().unwrap()
    };
    let subscribers: Vec<_> = heard.iter().map(open).collect();
    let threads: Vec<_> = subscribers.into_iter().map(|one| thread::spawn(|| deliver_all(one))).collect();
    let mut publisher = Publisher::builder().udp(&unicast(ports)).policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(heard.len(), PATIENCE).unwrap();
    publish(&mut publisher, 0..50_000);
    publisher.finish(PATIENCE).unwrap();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 50_000);
    }
    publisher
}

#[test]
fn three_places_on_one_line_get_everything() {
    let ports = [26_011, 26_012, 26_013];
    let publisher = fan_out(&ports, &ports, 0.02);
    assert_eq!(publisher.lines()[0].destinations, 3);
    let stats = publisher.stats();
    assert!(stats.sender.repairs_unicast > 0);
    assert_eq!((stats.sender.repairs_multicast, stats.skipped), (0, 0), "to who asked, and to nobody else");
}

#[test]
fn places_of_ipv6_and_a_connection_beside_two_lines_get_everything() {
    let uri = "udp://[::1]:26021,[::1]:26022?interface=lo";
    let open = |uri: &str| Subscriber::builder().udp(uri).open().unwrap();
    let heard = ["udp://[::1]:26021", "udp://[::1]:26022", "udp://239.192.26.10:26010"];
    let heard = heard.map(|uri| open(&format!("{uri}?interface=lo")));
    let mut subscribers: Vec<_> = heard.into_iter().map(|one| thread::spawn(|| deliver_all(one))).collect();
    let builder = Publisher::builder().udp("udp://239.192.26.10:26010?interface=lo").udp(uri);
    let mut publisher = builder.tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK).open().unwrap();
    let connected = Subscriber::connect(&format!("tcp://{}", publisher.stream_address().unwrap())).unwrap();
    subscribers.push(thread::spawn(|| deliver_all(connected)));
    publisher.wait_for(4, PATIENCE).unwrap();
    publish(&mut publisher, 0..5_000);
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(subscribers.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>(), [5_000; 4]);
}

#[test]
fn a_place_that_is_closed_harms_nobody() {
    let publisher = fan_out(&[26_014, 26_015, 26_016], &[26_014, 26_016], 0.0);
    let stats = publisher.stats();
    assert_eq!((stats.skipped, stats.send_errors), (0, 0));
}

#[test]
fn groups_and_single_places_stand_side_by_side() {
    let uris = ["udp://239.192.26.7:26007?interface=lo", "udp://127.0.0.1:26017?interface=lo"];
    let subscribers =
        uris.map(|uri| Subscriber::builder().udp(uri).faults(Faults::loss(0.02)).open().unwrap());
    let threads = subscribers.map(|one| thread::spawn(|| deliver_all(one)));
    let builder = Publisher::builder().udp(uris[0]).udp(uris[1]);
    let mut publisher = builder.policy(Policy::BLOCK).driven(true).open().unwrap();
    publisher.wait_for(2, PATIENCE).unwrap();
    for index in 0..20_000_u64 {
        publisher.publish(b"", &index.to_le_bytes()).unwrap();
        if index % 64 == 0 {
            publisher.poll();
        }
    }
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(threads.map(|one| one.join().unwrap()), [20_000; 2]);
}

#[test]
fn who_joins_gets_everything_from_then_on_until_it_leaves() {
    let uri = "udp://127.0.0.1:26018?interface=lo&join=yes";
    let mut publisher = Publisher::builder().udp(uri).linger(Duration::ZERO).open().unwrap();
    assert_eq!(publisher.local_address(), "127.0.0.1:26018".parse().unwrap());
    assert_eq!(publisher.lines()[0].destinations, 0);
    publish(&mut publisher, 0..10);
    let mut hand = Hand::new(publisher.local_address(), 7);
    hand.greet(0);
    assert_eq!(hand.session, publisher.session());
    hand.greet(0);
    publisher.wait_for(1, PATIENCE).unwrap();
    assert_eq!(publisher.lines()[0].destinations, 1);
    publish(&mut publisher, 10..20);
    let got: Vec<_> = core::iter::repeat_with(|| hand.data()).take(10).map(|(base, _)| base).collect();
    assert_eq!(got, (10..20).map(Offset).collect::<Vec<_>>());
    hand.nak(3, 4);
    assert_eq!(hand.data(), (Offset(3), true), "repaired to it alone");
    hand.status(Says { next: 20, flags: Status::LEAVING, ..Says::default() });
    while publisher.lines()[0].destinations > 0 {
        thread::park_timeout(Duration::from_millis(1));
    }
    publish(&mut publisher, 20..30);
    assert!(hand.is_silent(), "nothing comes to one that has left");
    let told: Vec<_> = publisher.events().collect();
    assert!(matches!(
        told[..],
        [PublisherEvent::ReceiverUp { .. }, PublisherEvent::ReceiverDown { leaving: true, .. }]
    ));
    publisher.finish(Duration::from_secs(1)).unwrap();
}

#[test]
fn a_forged_request_brings_a_welcome_and_nothing_else() {
    let uri = "udp://127.0.0.1:26019?interface=lo&join=yes";
    let mut publisher = Publisher::builder().udp(uri).open().unwrap();
    let mut victim = Hand::new(publisher.local_address(), 7);
    for guess in 0..50 {
        victim.token = Token(guess);
        victim.greet_unheard();
    }
    let mut others = Hand::new(publisher.local_address(), 8);
    others.greet(0);
    // Its own token, of another address and receiver, is worth nothing here.
    victim.token = others.token;
    victim.greet_unheard();
    publish(&mut publisher, 0..100);
    let (mut sent, mut answers) = (51 * victim.greeting_bytes(), 0);
    while let Some((kind, bytes)) = victim.next() {
        assert_eq!(kind, Kind::Welcome);
        (sent, answers) = (sent.checked_sub(bytes).expect("more than was asked with"), answers + 1);
    }
    assert!((1..=51).contains(&answers), "{answers}");
    assert_eq!((publisher.lines()[0].destinations, publisher.receivers().len()), (0, 0));
    publisher.abort();
}

#[test]
fn no_more_join_than_may() {
    let uri = "udp://127.0.0.1:26020?interface=lo&join=yes";
    let mut publisher = Publisher::builder().udp(uri).joined(2).open().unwrap();
    let hands: Vec<_> = (1..=3).map(|id| Hand::joined(publisher.local_address(), id)).collect();
    publisher.wait_for(2, PATIENCE).unwrap();
    while publisher.stats().sender.joins_refused == 0 {
        thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(
        (publisher.lines()[0].destinations, publisher.receivers().len()),
        (2, 2),
        "nobody waits for the third"
    );
    publish(&mut publisher, 0..1);
    assert_eq!(hands.iter().take(2).map(Hand::data).collect::<Vec<_>>(), [(Offset(0), false); 2]);
    publisher.abort();
}

#[test]
fn lines_that_do_not_fit_are_named_with_their_remedy() {
    let error = |uris: &[&str]| {
        let builder = uris.iter().fold(Publisher::builder(), |builder, uri| builder.udp(uri));
        builder.open().unwrap_err().to_string()
    };
    let group = "udp://239.192.26.8:26008?interface=lo";
    let told = error(&[group, "udp://239.192.26.9:26008?interface=lo&stream=2"]);
    assert!(
        told.contains("26.8:26008") && told.contains("26.9:26008") && told.contains("same stream="),
        "{told}"
    );
    assert!(error(&[group, group]).contains("named twice"));
    assert!(error(&[group, "udp://10.0.0.1"]).contains("address and a port"));
    assert!(error(&["udp://192.0.2.7:26008?interface=lo&join=yes"]).contains("no address 192.0.2.7"));
    let many: Vec<_> = (1..=17).map(|port| format!("udp://127.0.0.1:{port}?interface=lo")).collect();
    assert!(error(&many.iter().map(String::as_str).collect::<Vec<_>>()).contains("number of lines"));
    let subscriber = |uri: &str| Subscriber::open(uri).unwrap_err().to_string();
    assert!(subscriber("udp://127.0.0.1:26008,127.0.0.1:26009?interface=lo").contains("is for a publisher"));
}
