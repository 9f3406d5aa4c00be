//! Subscribers of a group that come late, or lose more than can be asked for: what the publisher still holds comes over TCP,
//! and meets what comes live without a seam.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use nakcast::Book;
use nakcast::DownReason;
use nakcast::Event;
use nakcast::Faults;
use nakcast::LostReason;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::Start;
use nakcast::Subscriber;
use nakcast::SubscriberBuilder;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);
const BYTES: usize = 100;

/// What a subscriber has heard, once the source is down.
#[derive(Debug)]
struct Account {
    from: Option<Offset>,
    first: Option<Offset>,
    messages: u64,
    lost: Vec<(OffsetRange, LostReason)>,
    down: Option<DownReason>,
    book: Book,
    naks: u64,
    fetched: u64,
    fetches: u64,
}

fn payload(index: u64) -> [u8; BYTES] {
    let mut bytes = [index as u8; BYTES];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    bytes
}

/// Receives until the source is down, and checks that each message is the one that its offset says, in order.
fn receive(mut subscriber: Subscriber, heard: &AtomicU64) -> Account {
    let (mut from, mut first, mut messages, mut lost, mut next) = (None, None, 0, Vec::new(), 0);
    let down = loop {
        match subscriber.recv_timeout(PATIENCE).unwrap() {
            Some(Event::Message(message)) => {
                assert!(message.offset.0 >= next, "in order: {} after {next}", message.offset);
                assert_eq!(message.payload, payload(message.offset.0));
                first.get_or_insert(message.offset);
                next = message.offset.0 + 1;
                messages += 1;
                heard.store(messages, Ordering::Release);
            }
            Some(Event::Lost { range, reason, .. }) => lost.push((range, reason)),
            Some(Event::SourceUp { from: start, .. }) => from = Some(start),
            Some(Event::SourceDown { reason, .. }) => break Some(reason),
            Some(_) => {}
            None => break None,
        }
    };
    let sources = subscriber.sources();
    let (book, stats) = (sources[0].book, &sources[0].stats);
    let (naks, fetched, fetches) = (stats.naks, stats.fetched, stats.fetches);
    Account { from, first, messages, lost, down, book, naks, fetched, fetches }
}

type Joined = (JoinHandle<Account>, Arc<AtomicU64>);

fn join(builder: SubscriberBuilder) -> Joined {
    let heard = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&heard);
    let subscriber = builder.open().unwrap();
    (thread::spawn(move || receive(subscriber, &count)), heard)
}

/// Publishes up to `upto`, in bursts, not too fast for a machine that runs other tests.
fn feed(publisher: &mut Publisher, index: &mut u64, upto: u64) {
    while *index < upto {
        for _ in 0..64 {
            publisher.publish(b"", &payload(*index)).unwrap();
            *index += 1;
        }
        publisher.flush().unwrap();
        thread::park_timeout(Duration::from_micros(500));
    }
}

fn publisher(group: &str, ring: usize) -> Publisher {
    Publisher::builder().udp(group).tcp("tcp://127.0.0.1:0").ring(ring).open().unwrap()
}

#[test]
fn three_that_join_a_running_feed_get_every_message_from_the_first() {
    let group = "udp://239.192.77.1:46101?interface=lo";
    let mut publisher = publisher(group, 64 << 20);
    let mut index = 0;
    feed(&mut publisher, &mut index, 50_000);
    let mut joined = Vec::new();
    for round in 1..=3 {
        // The last one hears one datagram in fifty not.
        let loss = if round == 3 { Faults::loss(0.02) } else { Faults::default() };
        joined.push(join(Subscriber::builder().udp(group).from(Start::Earliest).faults(loss)));
        feed(&mut publisher, &mut index, 50_000 + 30_000 * round);
    }
    while joined.iter().any(|(_, heard)| heard.load(Ordering::Acquire) < 100_000) && index < 400_000 {
        let upto = index + 1_000;
        feed(&mut publisher, &mut index, upto);
    }
    publisher.finish(PATIENCE).unwrap();
    for (thread, _) in joined {
        let account = thread.join().unwrap();
        assert_eq!(account.down, Some(DownReason::Ended), "{account:?}");
        assert_eq!((account.from, account.first), (Some(Offset(0)), Some(Offset(0))), "{account:?}");
        assert_eq!((account.messages, account.lost.len()), (index, 0), "{account:?}");
        assert!(account.fetched >= 50_000, "{account:?}");
        assert_eq!((account.book.delivered, account.book.pending()), (index, 0), "{account:?}");
    }
}

#[test]
fn who_wants_more_than_the_ring_holds_is_told_once_what_is_gone() {
    let group = "udp://239.192.77.2:46102?interface=lo";
    let mut publisher = publisher(group, 1 << 20);
    let mut index = 0;
    feed(&mut publisher, &mut index, 60_000);
    let (thread, heard) = join(Subscriber::builder().udp(group).from(Start::At(Offset(0))));
    // It has gone on when it catches up while nothing is published.
    while heard.load(Ordering::Acquire) == 0 && !thread.is_finished() {
        thread::park_timeout(Duration::from_millis(1));
    }
    // Less than the ring holds: nothing else is lost, however late it is.
    feed(&mut publisher, &mut index, 63_000);
    publisher.finish(PATIENCE).unwrap();
    let account = thread.join().unwrap();
    assert_eq!(account.from, Some(Offset(0)), "{account:?}");
    let [(range, LostReason::Overrun)] = account.lost[..] else { panic!("{account:?}") };
    assert_eq!((range.from, Some(range.to)), (Offset(0), account.first), "{account:?}");
    assert_eq!(account.messages + range.len(), index, "{account:?}");
    assert_eq!(account.book.pending(), 0, "{account:?}");
}

#[test]
fn an_offset_to_begin_with_is_where_it_begins() {
    let group = "udp://239.192.77.3:46103?interface=lo";
    let mut publisher = publisher(group, 32 << 20);
    let mut index = 0;
    feed(&mut publisher, &mut index, 20_000);
    let (thread, heard) = join(Subscriber::builder().udp(group).from(Start::At(Offset(12_345))));
    while heard.load(Ordering::Acquire) < 1_000 && !thread.is_finished() {
        thread::park_timeout(Duration::from_millis(1));
    }
    publisher.finish(PATIENCE).unwrap();
    let account = thread.join().unwrap();
    assert_eq!((account.first, account.messages), (Some(Offset(12_345)), index - 12_345), "{account:?}");
    assert_eq!((account.lost.len(), account.naks), (0, 0), "{account:?}");
}

#[test]
fn without_a_port_it_begins_with_what_comes_or_is_told_what_is_gone() {
    let group = "udp://239.192.77.4:46104?interface=lo";
    let builder = Publisher::builder().udp(group).ring(1 << 20);
    // Whoever is heard is waited for: nothing else is lost, however late it is.
    let mut publisher = builder.policy(Policy::BLOCK).open().unwrap();
    let mut index = 0;
    feed(&mut publisher, &mut index, 50_000);
    let earliest = join(Subscriber::builder().udp(group).from(Start::Earliest));
    let at = join(Subscriber::builder().udp(group).from(Start::At(Offset(0))));
    // Whoever begins has heard a heartbeat.
    let mut waited = 0;
    while [&earliest, &at].iter().any(|(_, heard)| heard.load(Ordering::Acquire) == 0) && waited < 3_000 {
        let upto = index + 64;
        feed(&mut publisher, &mut index, upto);
        thread::park_timeout(Duration::from_millis(5));
        waited += 1;
    }
    publisher.finish(PATIENCE).unwrap();
    let account = earliest.0.join().unwrap();
    assert!(account.lost.is_empty() && account.from >= Some(Offset(50_000)), "{account:?}");
    assert_eq!(account.messages, index - account.first.unwrap().0, "{account:?}");
    let account = at.0.join().unwrap();
    assert_eq!(account.from, Some(Offset(0)), "{account:?}");
    assert_eq!((account.book.pending(), account.fetches), (0, 0), "{account:?}");
    let [(range, LostReason::Overrun)] = account.lost[..] else { panic!("{account:?}") };
    assert_eq!((range.from, Some(range.to)), (Offset(0), account.first), "{account:?}");
    assert_eq!(account.messages + range.len(), index, "{account:?}");
}

/// Far more than the sockets and the window hold is published while the subscriber does not look.
#[test]
fn a_gap_too_wide_to_be_asked_for_is_fetched() {
    let group = "udp://239.192.77.5:46105?interface=lo";
    let policy = Policy::Drop { pace: Duration::ZERO, free_running: true };
    let builder = Publisher::builder().udp(group).tcp("tcp://127.0.0.1:0").ring(64 << 20).policy(policy);
    let mut publisher = builder.open().unwrap();
    // Not looking is no silence of the publisher.
    let builder = Subscriber::builder().udp(group).reorder_window(65_536).silence(2 * PATIENCE);
    let mut subscriber = builder.open().unwrap();
    publisher.publish(b"", &payload(0)).unwrap();
    publisher.flush().unwrap();
    while !matches!(subscriber.recv_timeout(PATIENCE).unwrap(), Some(Event::Message(_))) {}
    let mut index = 1;
    feed(&mut publisher, &mut index, 120_000);
    let heard = AtomicU64::new(0);
    let account = thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(subscriber, &heard));
        while heard.load(Ordering::Acquire) < 100_000 && index < 1_000_000 {
            let upto = index + 64;
            feed(&mut publisher, &mut index, upto);
        }
        publisher.finish(PATIENCE).unwrap();
        receiving.join().unwrap()
    });
    assert_eq!((account.messages, account.lost.len()), (index - 1, 0), "{account:?}");
    assert!(account.fetches > 0 && account.fetched > 50_000, "{account:?}");
}

/// A publisher that waits for its slowest subscriber waits for one that catches up, too.
#[test]
fn nothing_is_lost_under_block_while_one_catches_up() {
    let group = "udp://239.192.77.6:46106?interface=lo";
    let builder =
        Publisher::builder().udp(group).tcp("tcp://127.0.0.1:0").ring(4 << 20).policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    let mut index = 0;
    feed(&mut publisher, &mut index, 10_000);
    let (thread, heard) = join(Subscriber::builder().udp(group).from(Start::Earliest));
    while heard.load(Ordering::Acquire) == 0 && !thread.is_finished() {
        thread::park_timeout(Duration::from_millis(1));
    }
    feed(&mut publisher, &mut index, 60_000);
    publisher.finish(PATIENCE).unwrap();
    let account = thread.join().unwrap();
    assert_eq!((account.messages, account.lost.len()), (index, 0), "{account:?}");
}

/// Who waits on the descriptor is woken by the connection, and by its timers.
#[cfg(unix)]
#[test]
fn a_loop_of_its_own_is_woken_by_history() {
    use std::os::fd::AsRawFd;

    let group = "udp://239.192.77.7:46107?interface=lo";
    let mut publisher = publisher(group, 32 << 20);
    let mut index = 0;
    feed(&mut publisher, &mut index, 20_000);
    let mut subscriber = Subscriber::builder().udp(group).from(Start::Earliest).open().unwrap();
    let (mut poll, mut events) = (mio::Poll::new().unwrap(), mio::Events::with_capacity(4));
    let descriptor = subscriber.as_raw_fd();
    let mut source = mio::unix::SourceFd(&descriptor);
    poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).unwrap();
    let (mut messages, mut wakings) = (0, 0);
    while messages < index {
        while let Some(event) = subscriber.try_recv().unwrap() {
            match event {
                Event::Message(message) => {
                    assert_eq!(message.offset.0, messages);
                    messages += 1;
                }
                Event::Lost { range, .. } => panic!("lost {range}"),
                _ => {}
            }
        }
        if messages < index {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "asleep with {messages} of {index}");
            wakings += 1;
        }
    }
    assert!(wakings > 0);
    publisher.abort();
}
