//! Publishers and subscribers over real sockets on loopback: what was published is what was delivered.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::thread;
use std::time::Duration;

use nakcast::Book;
use nakcast::Event;
use nakcast::Faults;
use nakcast::LostReason;
use nakcast::Offset;
use nakcast::Policy;
use nakcast::PublishError;
use nakcast::Publisher;
use nakcast::Subscriber;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

fn payload(index: u64, bytes: usize) -> Vec<u8> {
    let mut payload = index.to_le_bytes().to_vec();
    payload.extend((8..bytes as u64).map(|at| (index.wrapping_mul(31).wrapping_add(at)) as u8));
    payload.truncate(bytes.max(8));
    payload
}

/// Receives until the source is down; checks every payload, and the identity. Gives what it delivered.
fn receive_all(mut subscriber: Subscriber, bytes: usize) -> Book {
    let (mut next, mut lost) = (0, 0);
    loop {
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came for half a minute") {
            Event::Message(message) => {
                let index = u64::from_le_bytes(*message.payload.first_chunk().unwrap());
                assert_eq!(message.offset, Offset(index));
                assert!(index >= next, "{index} after {next}");
                assert!(message.payload == payload(index, bytes), "message {index} is damaged");
                next = index + 1;
            }
            Event::Lost { range, reason, .. } => {
                println!("lost {range}: {reason}");
                lost += range.len();
            }
            Event::SourceDown { .. } => break,
            _ => {}
        }
    }
    let source = subscriber.sources().remove(0);
    assert_eq!(source.book.pending(), 0);
    assert_eq!(source.book.lost, lost);
    source.book
}

fn open(uri: &str, faults: Faults) -> Subscriber {
    Subscriber::builder().udp(uri).faults(faults).open().unwrap()
}

#[test]
fn three_lossy_subscribers_get_everything_under_block() {
    let uri = "udp://239.192.20.1:21001?interface=lo";
    let subscribers: Vec<_> = (0..3).map(|seed| open(uri, Faults::loss(0.05).seed(seed))).collect();
    let threads: Vec<_> = subscribers
        .into_iter()
        .map(|subscriber| thread::spawn(move || receive_all(subscriber, 100)))
        .collect();
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(3, PATIENCE).unwrap();
    for index in 0..200_000 {
        publisher.publish(b"", &payload(index, 100)).unwrap();
    }
    publisher.finish(PATIENCE).unwrap();
    for thread in threads {
        let book = thread.join().unwrap();
        assert_eq!((book.delivered, book.lost), (200_000, 0));
    }
}

#[test]
fn long_messages_come_whole() {
    let uri = "udp://239.192.20.2:21002?interface=lo";
    let subscriber = open(uri, Faults::loss(0.02).seed(1));
    let thread = thread::spawn(move || {
        let mut subscriber = subscriber;
        let mut lengths = Vec::new();
        loop {
            match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
                Event::Message(message) => {
                    assert!(message.payload.iter().enumerate().all(|(at, byte)| *byte == (at * 7) as u8));
                    assert_eq!(message.topic, b"long");
                    lengths.push(message.payload.len());
                }
                Event::SourceDown { .. } => return lengths,
                Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
                _ => {}
            }
        }
    });
    let mut publisher = Publisher::builder().udp(uri).ring(64 << 20).policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(1, PATIENCE).unwrap();
    let lengths = [1, 1_363, 1_364, 1_365, 100_000, 16 << 20, 0, 5_000];
    for length in lengths {
        let payload: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        publisher.publish(b"long", &payload).unwrap();
    }
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(thread.join().unwrap(), lengths);
}

#[test]
fn messages_written_in_place_and_abandoned_ones() {
    let uri = "udp://239.192.20.3:21003?interface=lo";
    let mut subscriber = Subscriber::open(uri).unwrap();
    let mut publisher = Publisher::open(uri).unwrap();
    for n in 0..100_u8 {
        drop(publisher.claim(b"x", 900).unwrap());
        let mut claim = publisher.claim(b"t", usize::from(n)).unwrap();
        assert_eq!(claim.len(), usize::from(n));
        claim.fill(n);
        assert_eq!(claim.commit(), Offset(u64::from(n)));
    }
    publisher.flush().unwrap();
    for n in 0..100_u8 {
        let message = loop {
            match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
                Event::Message(message) => break message.to_owned(),
                Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
                _ => {}
            }
        };
        assert_eq!(message.payload, vec![n; usize::from(n)]);
    }
    publisher.abort();
}

#[test]
fn two_groups_on_one_port_and_two_streams_on_one_group_do_not_mix() {
    let uris = [
        "udp://239.192.20.4:21004?interface=lo",
        "udp://239.192.20.5:21004?interface=lo",
        "udp://239.192.20.5:21004?interface=lo&stream=2",
    ];
    let receive = |uri: &str| {
        let mut subscriber = Subscriber::open(uri).unwrap();
        thread::spawn(move || {
            let mut got = Vec::new();
            loop {
                match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
                    Event::Message(message) => got.push(message.payload.to_vec()),
                    Event::SourceDown { .. } => return got,
                    _ => {}
                }
            }
        })
    };
    let threads: Vec<_> = uris.into_iter().map(receive).collect();
    let mut publishers: Vec<_> = uris.iter().map(|uri| Publisher::open(uri).unwrap()).collect();
    for (at, publisher) in publishers.iter_mut().enumerate() {
        publisher.wait_for(1, PATIENCE).unwrap();
        publisher.publish(b"", &[at as u8]).unwrap();
        publisher.finish(PATIENCE).unwrap();
    }
    for (at, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), [[at as u8]]);
    }
}

#[test]
fn unicast_is_repaired_too() {
    let uri = "udp://127.0.0.1:21006?interface=lo";
    let subscriber = open(uri, Faults::loss(0.1).seed(4));
    let thread = thread::spawn(move || receive_all(subscriber, 60));
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(1, PATIENCE).unwrap();
    for index in 0..20_000 {
        publisher.publish(b"", &payload(index, 60)).unwrap();
    }
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(thread.join().unwrap().delivered, 20_000);
}

#[test]
fn a_publisher_without_a_thread_is_driven_by_hand() {
    let uri = "udp://239.192.20.7:21007?interface=lo";
    let subscriber = open(uri, Faults::loss(0.05).seed(9));
    let thread = thread::spawn(move || receive_all(subscriber, 40));
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).driven(true).open().unwrap();
    publisher.wait_for(1, PATIENCE).unwrap();
    for index in 0..50_000 {
        publisher.publish(b"", &payload(index, 40)).unwrap();
        if index % 64 == 0 {
            publisher.poll();
        }
    }
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(thread.join().unwrap().delivered, 50_000);
}

#[test]
fn several_threads_share_a_publisher() {
    let uri = "udp://239.192.20.8:21008?interface=lo";
    let mut subscriber = Subscriber::open(uri).unwrap();
    let shared = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap().share();
    let threads: Vec<_> = (0..4_u8)
        .map(|id| {
            let shared = shared.clone();
            thread::spawn(move || {
                (0..1_000_u16).for_each(|n| {
                    shared.publish(&[id], &n.to_le_bytes()).unwrap();
                })
            })
        })
        .collect();
    let mut seen = [0_u16; 4];
    while seen != [1_000; 4] {
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
            Event::Message(message) => {
                let count = &mut seen[usize::from(message.topic[0])];
                assert_eq!(message.payload, count.to_le_bytes());
                *count += 1;
            }
            Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
            _ => {}
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn what_is_not_repaired_is_lost_by_name() {
    let uri = "udp://239.192.20.9:21009?interface=lo";
    let builder = Subscriber::builder().udp(uri).repair(false).faults(Faults::loss(0.2).seed(3));
    let mut subscriber = builder.open().unwrap();
    let mut publisher = Publisher::builder().udp(uri).linger(Duration::ZERO).open().unwrap();
    let thread = thread::spawn(move || {
        let (mut delivered, mut lost, mut next) = (0, 0, Offset::ZERO);
        loop {
            match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
                Event::Message(message) => {
                    assert_eq!(message.offset, next);
                    (delivered, next) = (delivered + 1, next.plus(1));
                }
                Event::Lost { range, reason, .. } => {
                    assert_eq!((range.from, reason), (next, LostReason::Unrepaired));
                    (lost, next) = (lost + range.len(), range.to);
                }
                Event::SourceDown { heard, .. } => return (delivered, lost, heard),
                _ => {}
            }
        }
    });
    for index in 0..1_000 {
        publisher.publish(b"", &payload(index, 20)).unwrap();
    }
    publisher.finish(PATIENCE).ok();
    let (delivered, lost, heard) = thread.join().unwrap();
    assert_eq!((delivered + lost, heard), (1_000, Offset(1_000)));
    assert!((100..300).contains(&lost), "{lost} of 1,000 lost at 20 %");
}

#[test]
fn try_publish_refuses_where_publish_would_wait() {
    let uri = "udp://239.192.20.10:21010?interface=lo";
    let subscriber = Subscriber::builder().udp(uri).receive_buffer(200_000).open().unwrap();
    let (stop, stopped) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let mut subscriber = subscriber;
        // Known to the publisher, then deaf until told.
        while subscriber.sources().is_empty() || subscriber.stats().receiver.statuses < 3 {
            subscriber.recv_timeout(Duration::from_millis(20)).unwrap();
        }
        stopped.recv().unwrap();
        receive_all(subscriber, 1_000).delivered
    });
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(1, PATIENCE).unwrap();
    let mut published = 0;
    let error = loop {
        match publisher.try_publish(b"", &payload(published, 1_000)) {
            Ok(_) => published += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, PublishError::WouldBlock);
    assert!(published > 50, "{published}");
    stop.send(()).unwrap();
    publisher.publish(b"", &payload(published, 1_000)).unwrap();
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(thread.join().unwrap(), published + 1);
}

/// The payload of the next message.
fn next_message(subscriber: &mut Subscriber) -> Vec<u8> {
    loop {
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
            Event::Message(message) => return message.payload.to_vec(),
            Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
            _ => {}
        }
    }
}

#[test]
fn a_message_after_an_abandoned_claim_leaves_at_once() {
    let uri = "udp://239.192.20.12:21013?interface=lo";
    let mut subscriber = Subscriber::open(uri).unwrap();
    let mut publisher = Publisher::open(uri).unwrap();
    drop(publisher.claim(b"", 8).unwrap());
    publisher.publish(b"", b"not held").unwrap();
    assert_eq!(next_message(&mut subscriber), b"not held");
    publisher.abort();
}

#[test]
fn the_tail_of_a_burst_leaves_without_a_flush() {
    let uri = "udp://239.192.20.13:21014?interface=lo";
    for driven in [false, true] {
        let mut subscriber = Subscriber::open(uri).unwrap();
        let mut publisher = Publisher::builder().udp(uri).driven(driven).open().unwrap();
        for index in 0..300 {
            publisher.publish(b"", &payload(index, 20)).unwrap();
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    publisher.poll();
                    thread::yield_now();
                }
            });
            for index in 0..300 {
                assert_eq!(next_message(&mut subscriber), payload(index, 20), "driven: {driven}");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        publisher.abort();
    }
}

#[test]
fn what_a_closed_window_held_back_is_not_lost_in_silence() {
    let uri = "udp://239.192.20.14:21015?interface=lo";
    let small = || Subscriber::builder().udp(uri).receive_buffer(100_000);
    let mut stuck = small().open().unwrap();
    let healthy = small().open().unwrap();
    let healthy = thread::spawn(move || receive_all(healthy, 1_000));
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap();
    while publisher.wait_for(2, Duration::from_millis(10)).is_err() {
        stuck.recv_timeout(Duration::from_millis(10)).unwrap();
    }
    let mut published = 0;
    while publisher.try_publish(b"", &payload(published, 1_000)).is_ok() {
        published += 1;
    }
    let error = publisher.finish(Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.laggards.len(), 1);
    assert_eq!(publisher.finish(Duration::ZERO), Err(error), "and says so again");
    let book = healthy.join().unwrap();
    assert_eq!(book.delivered + book.lost, published);
    assert_eq!(publisher.stats().published, published);
}

#[test]
fn mistakes_are_named_with_their_remedy() {
    let error = |result: Result<Publisher, nakcast::Error>| result.unwrap_err().to_string();
    let uri = "udp://239.192.20.11:21011?interface=lo";
    assert!(error(Publisher::open("239.192.20.11:1")).contains("begin with udp://"));
    assert!(error(Publisher::builder().open()).contains("name one with"));
    assert!(error(Publisher::open("udp://239.192.20.11:21011?interface=nope0")).contains("nope0"));
    assert!(error(Publisher::builder().udp(uri).ring(1_000).open()).contains("ring is 1000: choose 524288"));
    assert!(error(Publisher::builder().udp(uri).datagram(70_000).open()).contains("512 to 65000"));
    let mut publisher = Publisher::builder().udp(uri).ring(1 << 20).open().unwrap();
    let most = (1 << 20) / 4;
    assert_eq!(
        publisher.publish(b"", &vec![0; most + 1]),
        Err(PublishError::TooLong { bytes: most + 1, most })
    );
    assert_eq!(publisher.publish(&[b't'; 256], b""), Err(PublishError::TopicTooLong { bytes: 256 }));
    assert!(matches!(
        publisher.claim(b"", 2_000),
        Err(PublishError::DoesNotFitDatagram { bytes: 2_000, .. })
    ));
    assert_eq!(publisher.publish(b"", b"still there"), Ok(Offset(0)));
    publisher.finish(Duration::from_secs(1)).unwrap();
    assert_eq!(publisher.publish(b"", b"late"), Err(PublishError::Finished));
    let first = Subscriber::open("udp://127.0.0.1:21012?interface=lo").unwrap();
    let second = Subscriber::open("udp://127.0.0.1:21012?interface=lo").unwrap_err().to_string();
    assert!(second.contains("another process holds udp port 21012"), "{second}");
    drop(first);
}
