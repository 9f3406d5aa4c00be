//! Publishers and subscribers over TCP on loopback: whatever becomes of connections, what was published is what is
//! delivered, or named as lost.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use nakcast::Book;
use nakcast::Event;
use nakcast::LostReason;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::PublisherEvent;
use nakcast::Start;
use nakcast::Subscriber;
use sha2::Digest;
use sha2::Sha256;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a subscriber has heard, once the source is down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Account {
    first: Option<Offset>,
    messages: u64,
    hash: Vec<u8>,
    lost: Vec<(OffsetRange, LostReason)>,
    book: Option<Book>,
}

/// The SHA-256 of everything that is heard, in its order.
#[derive(Default, Clone)]
struct Ledger(Sha256);

impl Ledger {
    fn add(&mut self, offset: Offset, payload: &[u8]) {
        self.0.update(offset.0.to_le_bytes());
        self.0.update(payload);
    }

    fn hash(&self) -> Vec<u8> {
        self.0.clone().finalize().to_vec()
    }
}

fn payload(index: u64) -> Vec<u8> {
    let bytes = 8 + (index.wrapping_mul(0x9E37_79B9) >> 7) % 190;
    (0..bytes).map(|at| (index.wrapping_mul(31).wrapping_add(at)) as u8).collect()
}

fn uri(publisher: &Publisher) -> String {
    format!("tcp://{}", publisher.stream_address().unwrap())
}

/// Receives until the source is down, and pauses after so many messages until told to go on; `count` is the next offset
/// that is wanted.
fn receive_all(
    mut subscriber: Subscriber,
    pause: Option<(u64, Arc<AtomicBool>)>,
    count: &AtomicU64,
) -> Account {
    let mut account = Account::default();
    let mut ledger = Ledger::default();
    loop {
        if let Some((at, goes_on)) = &pause
            && account.messages == *at
        {
            while !goes_on.load(Ordering::Relaxed) {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came for half a minute") {
            Event::Message(message) => {
                account.first = account.first.or(Some(message.offset));
                account.messages += 1;
                ledger.add(message.offset, message.payload);
                count.store(message.offset.0 + 1, Ordering::Release);
            }
            Event::Lost { range, reason, .. } => account.lost.push((range, reason)),
            Event::SourceDown { .. } => break,
            _ => {}
        }
    }
    account.hash = ledger.hash();
    account.book = Some(subscriber.sources().remove(0).book);
    account
}

fn spawn(subscriber: Subscriber) -> JoinHandle<Account> {
    spawn_counted(subscriber).0
}

fn spawn_counted(subscriber: Subscriber) -> (JoinHandle<Account>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    (thread::spawn(move || receive_all(subscriber, None, &counted)), count)
}

/// One that stops after 1,000 messages until it is told to go on.
fn spawn_stuck(subscriber: Subscriber) -> (JoinHandle<Account>, Arc<AtomicU64>, Arc<AtomicBool>) {
    let (goes_on, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (pause, counted) = (Some((1_000, Arc::clone(&goes_on))), Arc::clone(&count));
    (thread::spawn(move || receive_all(subscriber, pause, &counted)), count, goes_on)
}

/// Waits until a reader has come to `end`, or is over.
fn await_offset((reader, count): &(JoinHandle<Account>, Arc<AtomicU64>), end: u64) {
    while count.load(Ordering::Acquire) < end && !reader.is_finished() {
        thread::park_timeout(Duration::from_micros(100));
    }
}

/// Publishes, and gives the hash of it.
fn publish(publisher: &mut Publisher, range: core::ops::Range<u64>, ledger: &mut Ledger) {
    for index in range {
        let (offset, payload) = (Offset(index), payload(index));
        assert_eq!(publisher.publish(b"", &payload).unwrap(), offset);
        ledger.add(offset, &payload);
    }
}

fn is_whole(account: &Account, messages: u64, ledger: &Ledger) {
    assert_eq!((account.first, account.messages), (Some(Offset(0)), messages));
    assert_eq!((account.lost.len(), &account.hash), (0, &ledger.hash()));
    let book = account.book.unwrap();
    assert_eq!((book.delivered, book.lost, book.pending()), (messages, 0, 0));
}

fn block() -> Publisher {
    Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK).ring(1 << 20).open().unwrap()
}

#[test]
fn four_subscribers_get_everything_under_block() {
    let mut publisher = block();
    let readers: Vec<_> = (0..4).map(|_| spawn(Subscriber::connect(&uri(&publisher)).unwrap())).collect();
    publisher.wait_for(4, PATIENCE).unwrap();
    let mut ledger = Ledger::default();
    publish(&mut publisher, 0..60_000, &mut ledger);
    publisher.finish(PATIENCE).unwrap();
    for reader in readers {
        is_whole(&reader.join().unwrap(), 60_000, &ledger);
    }
}

#[test]
fn a_late_joiner_gets_everything_that_is_held() {
    let mut publisher = Publisher::bind("tcp://127.0.0.1:0").unwrap();
    let mut ledger = Ledger::default();
    publish(&mut publisher, 0..50_000, &mut ledger);
    publisher.flush().unwrap();
    let late = Subscriber::builder().tcp(&uri(&publisher)).from(Start::Earliest).open().unwrap();
    let reader = spawn(late);
    publisher.wait_for(1, PATIENCE).unwrap();
    publish(&mut publisher, 50_000..60_000, &mut ledger);
    publisher.finish(PATIENCE).unwrap();
    is_whole(&reader.join().unwrap(), 60_000, &ledger);
}

#[test]
fn udp_and_tcp_carry_the_same_offsets() {
    let udp = "udp://239.192.51.1:25101?interface=lo";
    let builder = Publisher::builder().udp(udp).tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    let readers = [
        spawn(Subscriber::connect(&uri(&publisher)).unwrap()),
        spawn(Subscriber::open(udp).unwrap()),
        spawn(Subscriber::connect(&uri(&publisher)).unwrap()),
    ];
    publisher.wait_for(3, PATIENCE).unwrap();
    let mut ledger = Ledger::default();
    publish(&mut publisher, 0..50_000, &mut ledger);
    publisher.finish(PATIENCE).unwrap();
    for reader in readers {
        is_whole(&reader.join().unwrap(), 50_000, &ledger);
    }
}

/// Whether what is missing was told in one piece, for `reason`.
fn lost_once(account: &Account, messages: u64, reason: LostReason) {
    let lost: u64 = account.lost.iter().map(|(range, _)| range.len()).sum();
    assert_eq!(account.messages + lost, messages);
    assert_eq!((account.lost.len(), account.lost[0].1), (1, reason), "{:?}", account.lost);
}

/// The ring holds 2 MiB, and the test goes on when those that read have what was published: they are never slow.
#[test]
fn under_drop_one_that_stops_reading_loses_a_named_range_and_nobody_else_anything() {
    const MESSAGES: u64 = 120_000;
    let mut publisher =
        Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::DROP).ring(2 << 20).open().unwrap();
    let (slow, _, goes_on) = spawn_stuck(Subscriber::connect(&uri(&publisher)).unwrap());
    let quick: Vec<_> =
        (0..2).map(|_| spawn_counted(Subscriber::connect(&uri(&publisher)).unwrap())).collect();
    publisher.wait_for(3, PATIENCE).unwrap();
    let mut ledger = Ledger::default();
    for turn in 0..MESSAGES / 5_000 {
        let end = (turn + 1) * 5_000;
        publish(&mut publisher, end - 5_000..end, &mut ledger);
        publisher.flush().unwrap();
        quick.iter().for_each(|reader| await_offset(reader, end));
    }
    goes_on.store(true, Ordering::Relaxed);
    publisher.finish(PATIENCE).unwrap();
    for (reader, _) in quick {
        is_whole(&reader.join().unwrap(), MESSAGES, &ledger);
    }
    lost_once(&slow.join().unwrap(), MESSAGES, LostReason::Overrun);
    assert_eq!(publisher.stats().streams.overruns, 1);
}

/// The one that stops holds the publisher until its patience is used up. It is told why, comes back, and hears by name what it
/// misses.
#[test]
fn under_block_one_that_stops_reading_is_evicted_and_hears_what_it_lost() {
    let policy = Policy::Block { patience: Duration::from_millis(500) };
    let mut publisher =
        Publisher::builder().tcp("tcp://127.0.0.1:0").policy(policy).ring(1 << 20).open().unwrap();
    let (stuck, count, goes_on) = spawn_stuck(Subscriber::connect(&uri(&publisher)).unwrap());
    let quick = spawn(Subscriber::connect(&uri(&publisher)).unwrap());
    publisher.wait_for(2, PATIENCE).unwrap();
    let mut ledger = Ledger::default();
    publish(&mut publisher, 0..80_000, &mut ledger);
    publisher.flush().unwrap();
    let evicted = |event: &PublisherEvent| matches!(event, PublisherEvent::ReceiverEvicted { .. });
    assert_eq!(publisher.events().filter(evicted).count(), 1);
    goes_on.store(true, Ordering::Relaxed);
    // The end waits for those that count, and one that was evicted does not before it is near the head again.
    let stuck = (stuck, count);
    await_offset(&stuck, 80_000);
    publisher.finish(PATIENCE).unwrap();
    is_whole(&quick.join().unwrap(), 80_000, &ledger);
    lost_once(&stuck.0.join().unwrap(), 80_000, LostReason::Evicted);
    assert_eq!(publisher.stats().streams.evicted, 1);
}

/// Passes connections on, and cuts each after a random number of bytes, `cuts` times in all.
fn proxy(to: SocketAddr, cuts: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, done) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&done);
    thread::spawn(move || {
        let mut jitter = nakcast::time::Jitter::new(11);
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(to).unwrap());
            let (mut up_from, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut up_from, &mut up_to);
                let _ = up_to.shutdown(Shutdown::Write);
            });
            let is_cut = count.load(Ordering::Relaxed) < cuts;
            let mut left = if is_cut { 1 + jitter.bits() % 15_000 } else { u64::MAX };
            let mut room = [0; 16_384];
            while left > 0 {
                let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let Ok(bytes @ 1..) = server.read(&mut room[..most]) else { break };
                if client.write_all(&room[..bytes]).is_err() {
                    break;
                }
                left -= bytes as u64;
            }
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            count.fetch_add(u64::from(is_cut && left == 0), Ordering::Relaxed);
        }
    });
    (address, done)
}

#[test]
fn five_hundred_cuts_at_random_bytes_lose_and_repeat_nothing() {
    let mut publisher = block();
    let (address, cuts) = proxy(publisher.stream_address().unwrap(), 500);
    let (short, long) = (Duration::from_millis(1), Duration::from_millis(5));
    let builder = Subscriber::builder().tcp(&format!("tcp://{address}")).reconnect(short, long);
    let reader = spawn(builder.open().unwrap());
    publisher.wait_for(1, PATIENCE).unwrap();
    let mut ledger = Ledger::default();
    publish(&mut publisher, 0..80_000, &mut ledger);
    publisher.finish(PATIENCE).unwrap();
    is_whole(&reader.join().unwrap(), 80_000, &ledger);
    assert_eq!(cuts.load(Ordering::Relaxed), 500);
}

#[test]
fn crowds_leave_a_subscriber_alone() {
    let mut publisher = block();
    let address = publisher.stream_address().unwrap();
    let reader = spawn(Subscriber::connect(&uri(&publisher)).unwrap());
    publisher.wait_for(1, PATIENCE).unwrap();
    let crowd = thread::spawn(move || (0..10_000).for_each(|_| drop(TcpStream::connect(address).unwrap())));
    let mut ledger = Ledger::default();
    publish(&mut publisher, 0..100_000, &mut ledger);
    crowd.join().unwrap();
    publisher.finish(PATIENCE).unwrap();
    is_whole(&reader.join().unwrap(), 100_000, &ledger);
}
