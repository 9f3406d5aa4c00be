//! One session by several lines over real sockets on loopback: two groups, and a group and a connection.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use nakcast::DownReason;
use nakcast::Error;
use nakcast::Event;
use nakcast::Faults;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::SourceSnapshot;
use nakcast::Start;
use nakcast::Subscriber;
use nakcast::SubscriberBuilder;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);
const BYTES: usize = 200;

fn payload(index: u64) -> [u8; BYTES] {
    let mut bytes = [index as u8; BYTES];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    bytes
}

fn uri(group: SocketAddrV4) -> String {
    format!("udp://{group}?interface=lo")
}

/// Sends on to one group, from a socket of its own, what comes to another, until it is dropped or told to pause.
struct Relay {
    ends: Arc<AtomicBool>,
    pauses: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        let hears = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        hears.set_reuse_address(true).unwrap();
        hears.set_recv_buffer_size(4 << 20).unwrap();
        hears.bind(&from.into()).unwrap();
        hears.join_multicast_v4(from.ip(), &Ipv4Addr::LOCALHOST).unwrap();
        hears.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let sends = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        sends.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        sends.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let (ends, pauses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (told, held) = (Arc::clone(&ends), Arc::clone(&pauses));
        let thread = thread::spawn(move || {
            let (mut hears, mut bytes) = (hears, vec![0; 65_536]);
            while !told.load(Ordering::Acquire) {
                match hears.read(&mut bytes) {
                    Ok(_) if held.load(Ordering::Acquire) => {}
                    Ok(count) => drop(sends.send_to(&bytes[..count], &to.into()).unwrap()),
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
                    }
                }
            }
        });
        Self { ends, pauses, thread: Some(thread) }
    }

    fn pause(&self, yes: bool) {
        self.pauses.store(yes, Ordering::Release);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What a subscriber has heard, once the source is down.
struct Heard {
    messages: u64,
    lost: u64,
    down: DownReason,
    source: SourceSnapshot,
    subscriber: Subscriber,
}

/// Receives until the source is down; each message must be the one that its offset says, in order.
fn receive(mut subscriber: Subscriber, count: &AtomicU64) -> Heard {
    let (mut next, mut messages, mut lost) = (0, 0, 0);
    let down = loop {
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came for half a minute") {
            Event::Message(message) => {
                assert!(message.offset.0 >= next, "{} after {next}", message.offset);
                assert_eq!(message.payload, payload(message.offset.0));
                (next, messages) = (message.offset.0 + 1, messages + 1);
                count.store(messages, Ordering::Release);
            }
            Event::Lost { range, reason, .. } => {
                println!("lost {range}: {reason}");
                lost += range.len();
            }
            Event::SourceDown { reason, .. } => break reason,
            _ => {}
        }
    };
    let source = subscriber.sources().remove(0);
    Heard { messages, lost, down, source, subscriber }
}

fn follow(builder: SubscriberBuilder) -> (JoinHandle<Heard>, Arc<AtomicU64>) {
    let (subscriber, count) = (builder.open().unwrap(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&count);
    (thread::spawn(move || receive(subscriber, &counted)), count)
}

fn publish(publisher: &mut Publisher, from: u64, to: u64) {
    for index in from..to {
        publisher.publish(b"", &payload(index)).unwrap();
    }
}

#[test]
fn two_groups_bring_each_message_once() {
    let a = SocketAddrV4::new([239, 192, 81, 1].into(), 47_101);
    let b = SocketAddrV4::new([239, 192, 81, 2].into(), 47_102);
    let relay = Relay::start(a, b);
    let loss = Faults { data: 0.05, seed: 7, ..Faults::default() };
    let both = Subscriber::builder().udp(&uri(a)).udp(&uri(b)).faults(loss);
    let (heard, _) = follow(both);
    let mut publisher = Publisher::builder().udp(&uri(a)).policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(1, PATIENCE).unwrap();
    for burst in 0..1_000 {
        publish(&mut publisher, 50 * burst, 50 * burst + 50);
        publisher.flush().unwrap();
        thread::park_timeout(Duration::from_micros(500));
    }
    assert_eq!(publisher.stats().receivers, 1, "both lines are one subscriber");
    publisher.finish(PATIENCE).unwrap();
    let mut heard = heard.join().unwrap();
    // The other line may not have come to the end by then.
    let passed = |subscriber: &Subscriber| {
        let lines = subscriber.sources().remove(0).lines;
        lines.iter().map(|line| line.stats.first + line.stats.duplicate + line.stats.missed).min()
    };
    for _ in 0..3_000 {
        if passed(&heard.subscriber) < Some(50_000) {
            heard.subscriber.poll_timeout(Duration::from_millis(10), |_| ()).unwrap();
        }
    }
    drop(relay);
    heard.source = heard.subscriber.sources().remove(0);
    let (source, lines) = (&heard.source, &heard.source.lines);
    assert_eq!((heard.messages, heard.lost, heard.down), (50_000, 0, DownReason::Ended));
    assert_eq!((lines.len(), heard.subscriber.sources().len()), (2, 1));
    let first: u64 = lines.iter().map(|line| line.stats.first).sum();
    assert_eq!(first + source.stats.repaired, 50_000);
    for (line, row) in heard.subscriber.lines().iter().zip(lines) {
        let stats = row.stats;
        println!("{}: {stats:?}", line.endpoint);
        assert!(stats.missed > 0 && line.faults > 0, "{stats:?}");
        assert_eq!(stats.first + stats.duplicate + stats.missed, 50_000, "{stats:?}");
    }
    assert_ne!(lines[0].address, lines[1].address);
    println!("repaired {}, NAKs {}", source.stats.repaired, source.stats.naks);
}

#[test]
fn a_line_that_falls_silent_changes_nothing_but_is_told() {
    let a = SocketAddrV4::new([239, 192, 81, 3].into(), 47_103);
    let b = SocketAddrV4::new([239, 192, 81, 4].into(), 47_104);
    let relay = Relay::start(a, b);
    let mut subscriber =
        Subscriber::builder().udp(&uri(a)).udp(&uri(b)).silence(Duration::from_millis(400)).open().unwrap();
    let mut publisher = Publisher::builder().udp(&uri(a)).open().unwrap();
    let mut index = 0;
    let mut until = |subscriber: &mut Subscriber, is_silent: bool| {
        while subscriber.lines()[1].is_silent != is_silent
            || subscriber.sources().first().is_none_or(|source| source.lines[1].address.is_none())
        {
            publish(&mut publisher, index, index + 1);
            index += 1;
            assert!(index < 30_000, "it is never {is_silent}");
            thread::park_timeout(Duration::from_millis(1));
            let _ = subscriber.poll_timeout(Duration::from_millis(10), |_| ()).unwrap();
        }
    };
    until(&mut subscriber, false);
    relay.pause(true);
    until(&mut subscriber, true);
    relay.pause(false);
    until(&mut subscriber, false);
    assert_eq!(subscriber.stats().receiver.line_silences, 1);
    assert!(!subscriber.lines()[0].is_silent);
    publisher.abort();
}

/// Passes connections on to `to`, and cuts each after so many bytes, so many times.
fn cutting(to: SocketAddr, bytes: usize, cuts: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (peer, number) in listener.incoming().zip(0..) {
            let (peer, Ok(publisher)) = (peer.unwrap(), TcpStream::connect(to)) else { return };
            let (back, forth) = (peer.try_clone().unwrap(), publisher.try_clone().unwrap());
            let upstream = thread::spawn(move || carry(back, forth, usize::MAX));
            carry(publisher, peer, if number < cuts { bytes } else { usize::MAX });
            upstream.join().unwrap();
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, most: usize) {
    let (mut room, mut left) = (vec![0; 16_384], most);
    while left > 0 {
        let most = left.min(room.len());
        let Ok(count @ 1..) = from.read(&mut room[..most]) else { break };
        left -= count;
        if to.write_all(&room[..count]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    for end in [from, to] {
        drop(end.shutdown(Shutdown::Both));
    }
}

#[test]
fn a_group_and_a_connection_that_is_cut_bring_each_message_once() {
    const CUTS: usize = 20;
    let a = SocketAddrV4::new([239, 192, 81, 5].into(), 47_105);
    let builder = Publisher::builder().udp(&uri(a)).tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    let proxy = cutting(publisher.stream_address().unwrap(), 100_000, CUTS);
    let loss = Faults { data: 0.1, seed: 3, ..Faults::default() };
    let both = Subscriber::builder()
        .udp(&uri(a))
        .tcp(&format!("tcp://{proxy}"))
        .faults(loss)
        .reconnect(Duration::from_millis(1), Duration::from_millis(5));
    let (heard, count) = follow(both);
    publisher.wait_for(1, PATIENCE).unwrap();
    let mut index = 0;
    while publisher.stats().streams.accepted <= CUTS as u64 {
        publish(&mut publisher, index, index + 100);
        index += 100;
        publisher.flush().unwrap();
        thread::park_timeout(Duration::from_micros(300));
        assert!(index < 3_000_000, "{:?}", publisher.stats().streams);
    }
    assert_eq!(publisher.stats().receivers, 1, "{:?}", publisher.receivers());
    publisher.finish(PATIENCE).unwrap();
    let heard = heard.join().unwrap();
    assert_eq!((heard.messages, heard.lost, heard.down), (index, 0, DownReason::Ended));
    assert_eq!(count.load(Ordering::Acquire), index);
    let connection = heard.subscriber.stats().connection;
    assert!(connection.cuts >= CUTS as u64, "{connection:?}");
    let [group, stream] = [0, 1].map(|line| heard.source.lines[line].stats);
    println!("{group:?}\n{stream:?}\n{connection:?}\nNAKs {}", heard.source.stats.naks);
    assert!(group.first > 0 && group.missed > 0 && stream.first > 0);
}

#[test]
fn a_group_that_nothing_comes_by_is_made_up_for_by_the_connection() {
    let (a, other) = ([239, 192, 81, 6], [239, 192, 81, 7]);
    let a = SocketAddrV4::new(a.into(), 47_106);
    let builder = Publisher::builder().udp(&uri(a)).tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    let stream = format!("tcp://{}", publisher.stream_address().unwrap());
    let deaf = uri(SocketAddrV4::new(other.into(), 47_107));
    publish(&mut publisher, 0, 1_000);
    publisher.flush().unwrap();
    let (heard, _) = follow(Subscriber::builder().udp(&deaf).tcp(&stream).from(Start::Earliest));
    publisher.wait_for(1, PATIENCE).unwrap();
    publish(&mut publisher, 1_000, 20_000);
    publisher.finish(PATIENCE).unwrap();
    let heard = heard.join().unwrap();
    assert_eq!((heard.messages, heard.lost, heard.down), (20_000, 0, DownReason::Ended));
    assert_eq!(heard.source.lines[0].address, None);
}

#[test]
fn late_subscribers_of_two_groups_fetch_the_past() {
    let a = SocketAddrV4::new([239, 192, 81, 8].into(), 47_108);
    let b = SocketAddrV4::new([239, 192, 81, 9].into(), 47_109);
    let relay = Relay::start(a, b);
    let mut publisher = Publisher::builder().udp(&uri(a)).tcp("tcp://127.0.0.1:0").open().unwrap();
    publish(&mut publisher, 0, 20_000);
    publisher.flush().unwrap();
    let (heard, count) = follow(Subscriber::builder().udp(&uri(a)).udp(&uri(b)).from(Start::Earliest));
    let mut index = 20_000;
    while count.load(Ordering::Acquire) < 25_000 {
        publish(&mut publisher, index, index + 100);
        index += 100;
        publisher.flush().unwrap();
        thread::park_timeout(Duration::from_millis(1));
        assert!(index < 1_000_000);
    }
    publisher.finish(PATIENCE).unwrap();
    let heard = heard.join().unwrap();
    drop(relay);
    assert_eq!((heard.messages, heard.lost, heard.down), (index, 0, DownReason::Ended));
    assert!(heard.source.stats.fetched >= 15_000, "{:?}", heard.source.stats);
}

/// Waits until the descriptor is readable; false after a long while.
fn is_readable(subscriber: &Subscriber) -> bool {
    let (mut poll, mut events) = (mio::Poll::new().unwrap(), mio::Events::with_capacity(1));
    let fd = subscriber.as_fd().as_raw_fd();
    let mut source = mio::unix::SourceFd(&fd);
    poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).unwrap();
    poll.poll(&mut events, Some(PATIENCE)).unwrap();
    !events.is_empty()
}

#[test]
fn one_descriptor_tells_of_every_line() {
    let a = SocketAddrV4::new([239, 192, 81, 10].into(), 47_110);
    let b = SocketAddrV4::new([239, 192, 81, 11].into(), 47_111);
    let mut by_a = Publisher::builder().udp(&uri(a)).open().unwrap();
    let mut by_b = Publisher::builder().udp(&uri(b)).open().unwrap();
    let mut by_tcp = Publisher::builder().tcp("tcp://127.0.0.1:0").open().unwrap();
    let stream = format!("tcp://{}", by_tcp.stream_address().unwrap());
    let mut subscriber = Subscriber::builder().udp(&uri(a)).udp(&uri(b)).tcp(&stream).open().unwrap();
    let mut came = 0;
    let mut until = |publisher: &mut Publisher, wanted: u64| {
        publish(publisher, 0, 1);
        publisher.flush().unwrap();
        while came < wanted {
            while let Some(event) = subscriber.try_recv().unwrap() {
                came += u64::from(matches!(event, Event::Message(_)));
            }
            assert!(came >= wanted || is_readable(&subscriber));
        }
    };
    until(&mut by_a, 1);
    until(&mut by_b, 2);
    by_tcp.publish(b"", &payload(0)).unwrap();
    by_tcp.flush().unwrap();
    let connected = |subscriber: &Subscriber| subscriber.stats().connection.is_connected;
    until(&mut by_tcp, 3);
    assert!(connected(&subscriber) && subscriber.sources().len() == 3);
    for publisher in [by_a, by_b, by_tcp] {
        publisher.abort();
    }
}

#[test]
fn a_subscriber_joins_a_publisher_that_is_not_there_yet_and_its_successor() {
    let uri = "udp://127.0.0.1:47120?interface=lo&join=yes";
    let mut subscriber = Subscriber::builder()
        .udp(uri)
        .faults(Faults::loss(0.05).seed(4))
        .silence(Duration::from_millis(500))
        .open()
        .unwrap();
    for life in 0..2 {
        // Nobody answers for a while.
        assert!(subscriber.recv_timeout(Duration::from_millis(50)).unwrap().is_none());
        let publishing = thread::spawn(move || {
            let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap();
            publisher.wait_for(1, PATIENCE).unwrap();
            publish(&mut publisher, 0, 5_000);
            let receivers = publisher.receivers().len();
            if life == 0 {
                // It goes without a word.
                publisher.flush().unwrap();
                while publisher.receivers().iter().any(|row| row.next.0 < 5_000) {
                    thread::park_timeout(Duration::from_millis(1));
                }
                publisher.abort();
            } else {
                publisher.finish(PATIENCE).unwrap();
            }
            receivers
        });
        let (mut messages, mut is_down) = (0, false);
        while !is_down {
            match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came for half a minute") {
                Event::Message(message) => {
                    assert_eq!((message.offset.0, message.payload), (messages, &payload(messages)[..]));
                    messages += 1;
                }
                Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
                Event::SourceDown { .. } => is_down = true,
                _ => {}
            }
        }
        assert_eq!((messages, publishing.join().unwrap()), (5_000, 1));
    }
}

#[test]
fn a_group_and_a_publisher_that_is_joined_are_lines_of_one_subscriber() {
    let group = uri(SocketAddrV4::new([239, 192, 81, 14].into(), 47_114));
    let join = "udp://127.0.0.1:47121?interface=lo&join=yes";
    let builder = Publisher::builder().udp(&group).udp(join).policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    let loss = Faults { data: 0.1, seed: 9, ..Faults::default() };
    let (heard, _) = follow(Subscriber::builder().udp(&group).udp(join).faults(loss));
    publisher.wait_for(1, PATIENCE).unwrap();
    // Longer than a place is kept for who says nothing.
    for burst in 0..700 {
        publish(&mut publisher, 20 * burst, 20 * burst + 20);
        publisher.flush().unwrap();
        thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(publisher.stats().receivers, 1, "{:?}", publisher.receivers());
    publisher.finish(PATIENCE).unwrap();
    let heard = heard.join().unwrap();
    assert_eq!((heard.messages, heard.lost, heard.down), (14_000, 0, DownReason::Ended));
    for line in &heard.source.lines {
        println!("{line:?}");
        // All the time, but for what comes before its place is given.
        assert!(line.stats.first + line.stats.duplicate > 12_000, "{line:?}");
    }
}

#[test]
fn a_publisher_that_is_joined_and_connected_to_is_heard_both_ways() {
    let join = "udp://127.0.0.1:47122?interface=lo&join=yes";
    let builder = Publisher::builder().udp(join).tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    let stream = format!("tcp://{}", publisher.stream_address().unwrap());
    let (heard, _) = follow(Subscriber::builder().udp(join).tcp(&stream));
    publisher.wait_for(1, PATIENCE).unwrap();
    let mut index = 0;
    // Until it has joined, and then some more.
    let mut left = 100;
    while left > 0 {
        publish(&mut publisher, index, index + 20);
        index += 20;
        publisher.flush().unwrap();
        left -= publisher.lines()[0].destinations.min(1);
        thread::park_timeout(Duration::from_millis(1));
        assert!(index < 600_000, "it never joins: {:?}", publisher.stats().sender);
    }
    assert_eq!(publisher.stats().receivers, 1, "{:?}", publisher.receivers());
    publisher.finish(PATIENCE).unwrap();
    let heard = heard.join().unwrap();
    assert_eq!((heard.messages, heard.lost, heard.down), (index, 0, DownReason::Ended));
    let [joined, stream] = [0, 1].map(|line| heard.source.lines[line].stats);
    println!("{joined:?}\n{stream:?}");
    assert!(joined.first + joined.duplicate > 0 && stream.first + stream.duplicate > 0);
}

#[test]
fn lines_that_do_not_fit_together_are_refused_with_a_remedy() {
    let error = |builder: SubscriberBuilder| builder.open().map(drop).unwrap_err();
    let (a, b) =
        ("udp://239.192.81.12:47112?interface=lo", "udp://239.192.81.13:47113?interface=lo&stream=2");
    let differ = error(Subscriber::builder().udp(a).udp(b));
    assert!(matches!(differ, Error::LinesDiffer { .. }) && differ.to_string().contains("stream="));
    let differ = error(Subscriber::builder().udp(a).tcp("tcp://127.0.0.1:1?stream=9"));
    assert!(matches!(differ, Error::StreamsDiffer { .. }));
    let twice = error(Subscriber::builder().udp(a).udp(a));
    assert!(matches!(twice, Error::LineTwice { .. }));
    let many = (0..17).fold(Subscriber::builder(), |builder, _| builder.udp(a));
    assert!(error(many).to_string().contains("choose 0 to 16"));
    let loss = Subscriber::builder().udp(a).tcp("tcp://127.0.0.1:1").faults(Faults::loss(0.1));
    assert_eq!(loss.open().unwrap().lines().len(), 2, "the datagrams may be lost");
}
