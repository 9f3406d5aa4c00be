//! Subscribers over TCP that have named topics: each gets what it wants, and knows of all else that it was left out.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::io;
use std::io::Read;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use nakcast::Book;
use nakcast::Event;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::Subscriber;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);
const SUBSCRIBERS: usize = 50;
const THREADS: usize = 5;
const CHANGES: usize = 6;
/// What everybody wants in the end, and nobody before.
const LAST: &str = "zz";

/// Numbers that look as if they came by chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn topic(&mut self, longest: u64) -> String {
        let len = self.below(longest + 1);
        (0..len).map(|_| char::from(b'a' + self.below(3) as u8)).collect()
    }

    /// No prefix now and then, for everything.
    fn wish(&mut self) -> Vec<String> {
        let count = self.below(5);
        (0..count).map(|_| self.topic(3)).collect()
    }
}

/// A message that was published.
struct Published {
    from: u64,
    to: u64,
    topic: String,
}

#[derive(Default)]
struct Account {
    /// What was handed out: offsets, and whether its bytes were right.
    heard: Vec<(u64, u64)>,
    /// What was wanted, and how many messages had been handed out and offsets accounted for before.
    wishes: Vec<(Vec<String>, usize, u64)>,
    lost: u64,
    is_down: bool,
    book: Option<Book>,
}

fn payload(index: u64) -> Vec<u8> {
    let mut chance = Chance(index);
    let bytes = if chance.below(50) == 0 { 1_000 + chance.below(4_000) } else { chance.below(200) };
    (0..bytes).map(|at| index.wrapping_mul(31).wrapping_add(at) as u8).collect()
}

fn uri(publisher: &Publisher) -> String {
    format!("tcp://{}", publisher.stream_address().unwrap())
}

fn block() -> Publisher {
    Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK).ring(1 << 20).open().unwrap()
}

fn subscriber(uri: &str, wish: &[String]) -> Subscriber {
    let builder = Subscriber::builder().tcp(uri);
    let builder = builder.reconnect(Duration::from_millis(1), Duration::from_millis(5));
    wish.iter().fold(builder, |builder, prefix| builder.topic(prefix)).open().unwrap()
}

impl Account {
    /// Takes in what has come; how much that was.
    fn listen(&mut self, subscriber: &mut Subscriber) -> usize {
        let each = |event: Event<'_>| match event {
            Event::Message(message) => {
                let index = u64::from_le_bytes(*message.payload.first_chunk().unwrap());
                assert_eq!(message.payload[8..], payload(index));
                self.heard.push((message.offset.0, message.offset.0 + message.offsets));
            }
            Event::Lost { range, .. } => self.lost += range.len(),
            Event::SourceDown { .. } => self.is_down = true,
            _ => {}
        };
        let events = subscriber.poll(each).unwrap();
        if self.is_down {
            self.book = Some(subscriber.sources().remove(0).book);
        }
        events
    }

    fn wishes(&mut self, wish: Vec<String>, subscriber: &Subscriber) {
        let next = subscriber.sources().first().map_or(0, |source| source.next.0);
        self.wishes.push((wish, self.heard.len(), next));
    }

    /// Each message was handed out if, and only if, it was wanted: by what the publisher knew when it came by, which is one
    /// of the wishes so far and never goes back, and by what is wanted when it is handed out.
    fn check(&self, published: &[Published]) {
        let wants = |wish: usize, topic: &str| {
            let wish = &self.wishes[wish].0;
            wish.is_empty() || wish.iter().any(|prefix| topic.starts_with(prefix))
        };
        let mut known = vec![true];
        known.resize(self.wishes.len(), false);
        let (mut heard, mut count) = (self.heard.iter().peekable(), 0);
        for message in published {
            let is_heard = heard.next_if(|(from, to)| (*from, *to) == (message.from, message.to)).is_some();
            // A message is handed out once all of it is there.
            let of_now = if is_heard {
                self.wishes.iter().rposition(|(_, before, _)| *before <= count)
            } else {
                self.wishes.iter().rposition(|(_, _, next)| *next < message.to)
            };
            let now = of_now.unwrap();
            count += usize::from(is_heard);
            let mut reached = false;
            for (wish, is_known) in known.iter_mut().enumerate() {
                reached |= *is_known;
                let is_wanted = wants(wish, &message.topic) && wants(now, &message.topic);
                *is_known = reached && wish <= now && is_wanted == is_heard;
            }
            assert!(known.contains(&true), "{} at {}: {is_heard}", message.topic, message.from);
        }
        assert_eq!((heard.next(), known.last()), (None, Some(&true)));
    }

    fn check_book(&self, end: u64) {
        let (book, heard) = (self.book.unwrap(), self.heard.iter().map(|(from, to)| to - from).sum());
        assert_eq!((self.lost, book.lost, book.pending()), (0, 0, 0));
        assert_eq!((book.delivered, book.delivered + book.filtered), (heard, end));
    }
}

/// Ten subscribers or so, each of which changes its mind some times; tells of each that has got the last topic.
fn listen(uri: &str, seed: u64, (ready, done): (&AtomicUsize, &AtomicUsize)) -> Vec<Account> {
    let mut chance = Chance(seed);
    let mut all: Vec<_> = (0..SUBSCRIBERS / THREADS)
        .map(|_| {
            let wish = chance.wish();
            let (subscriber, mut account) = (subscriber(uri, &wish), Account::default());
            account.wishes(wish, &subscriber);
            (subscriber, account, 500 + chance.below(1_500))
        })
        .collect();
    let mut waiting: Vec<_> = all.iter().map(|_| true).collect();
    while all.iter().any(|(_, account, _)| !account.is_down) {
        let mut events = 0;
        for ((subscriber, account, change_at), waits) in all.iter_mut().zip(&mut waiting) {
            events += account.listen(subscriber);
            let next = subscriber.sources().first().map_or(0, |source| source.next.0);
            if account.wishes.len() <= CHANGES && next >= *change_at {
                let is_last = account.wishes.len() == CHANGES;
                let mut wish = chance.wish();
                if is_last {
                    // Not everything: the last topic is to be asked for.
                    wish.push(LAST.to_owned());
                    ready.fetch_add(1, Ordering::Relaxed);
                }
                account.wishes(wish.clone(), subscriber);
                subscriber.set_topics(&wish).unwrap();
                *change_at = next + 300 + chance.below(1_500);
            }
            let is_done = account.wishes.len() > CHANGES && account.heard.len() > account.wishes[CHANGES].1;
            if is_done && *waits {
                *waits = false;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
        if events == 0 {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
    all.into_iter().map(|(_, account, _)| account).collect()
}

struct Feed {
    publisher: Publisher,
    published: Vec<Published>,
}

impl Feed {
    fn publish(&mut self, topic: String) {
        let index = self.published.len() as u64;
        let bytes = [&index.to_le_bytes()[..], &payload(index)].concat();
        let from = self.publisher.publish(topic.as_bytes(), &bytes).unwrap().0;
        if let Some(last) = self.published.last_mut() {
            last.to = from;
        }
        self.published.push(Published { from, to: from + 1, topic });
    }
}

/// Publishes to `threads` times ten subscribers that connect by way of `address`, until each has changed its mind for the last
/// time, and some more; looks at what each has heard.
fn publish_to(threads: u64, via: impl FnOnce(SocketAddr) -> SocketAddr) {
    let (ready, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut feed = Feed { publisher: block(), published: Vec::new() };
    let address = via(feed.publisher.stream_address().unwrap());
    let readers: Vec<_> = (0..threads)
        .map(|seed| {
            let (ready, done) = (Arc::clone(&ready), Arc::clone(&done));
            thread::spawn(move || listen(&format!("tcp://{address}"), 77 + seed, (&ready, &done)))
        })
        .collect();
    let subscribers = readers.len() * SUBSCRIBERS / THREADS;
    feed.publisher.wait_for(subscribers, PATIENCE).unwrap();
    let mut chance = Chance(1);
    for least in [&ready, &done] {
        while least.load(Ordering::Relaxed) < subscribers && feed.published.len() < 1_000_000 {
            (0..99).for_each(|_| feed.publish(chance.topic(5)));
            feed.publish(LAST.to_owned());
        }
    }
    (0..2_000).for_each(|_| feed.publish(chance.topic(5)));
    feed.publish(LAST.to_owned());
    let end = feed.published.last().unwrap().to;
    let streams = feed.publisher.stats().streams;
    feed.publisher.finish(PATIENCE).unwrap();
    assert!(streams.sieved <= feed.published.len() as u64 && streams.sieved > 0);
    for reader in readers {
        for account in reader.join().unwrap() {
            account.check(&feed.published);
            account.check_book(end);
        }
    }
}

#[test]
fn fifty_subscribers_change_their_minds_and_get_what_they_want() {
    publish_to(THREADS as u64, |address| address);
}

/// Passes connections on, and cuts each of the first `cuts` after a number of bytes that comes by chance.
fn proxy(to: SocketAddr, cuts: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut chance = Chance(5);
        for (number, client) in listener.incoming().enumerate() {
            let left = if number < cuts { 1 + chance.below(30_000) } else { u64::MAX };
            let (client, server) = (client.unwrap(), TcpStream::connect(to).unwrap());
            thread::spawn(move || pass_on(&client, &server, left));
        }
    });
    address
}

fn pass_on(mut client: &TcpStream, server: &TcpStream, left: u64) {
    let (mut up_from, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut up_from, &mut up_to);
        let _ = up_to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server.take(left), &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn two_hundred_cuts_change_nothing_of_that() {
    publish_to(1, |address| proxy(address, 200));
}

#[test]
fn what_nobody_wants_is_looked_at_once_and_told_in_silence() {
    let mut publisher = block();
    let wish = ["x".to_owned(), "yz".to_owned()];
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| subscriber(&uri(&publisher), &wish)).collect();
    while publisher.wait_for(SUBSCRIBERS, Duration::from_millis(1)).is_err() {
        for subscriber in &mut subscribers {
            subscriber.poll(|_| {}).unwrap();
        }
    }
    for index in 0..3_000_u64 {
        publisher.publish(b"y", &index.to_le_bytes()).unwrap();
    }
    publisher.flush().unwrap();
    for subscriber in &mut subscribers {
        while subscriber.sources().first().is_none_or(|source| source.next.0 < 3_000) {
            let each = |event: Event<'_>| assert!(!matches!(event, Event::Message(_)));
            subscriber.poll_timeout(Duration::from_millis(1), each).unwrap();
        }
        let book = subscriber.sources().remove(0).book;
        assert_eq!((book.delivered, book.filtered, book.lost), (0, 3_000, 0));
    }
    let streams = publisher.stats().streams;
    assert_eq!((streams.sieved, streams.sifted), (3_000, 0));
}

/// What is left out does not hold a publisher that waits: some 40 MB that nobody wants go by a ring of 1 MiB.
#[test]
fn what_is_left_out_is_taken() {
    let mut publisher = block();
    let mut subscriber = subscriber(&uri(&publisher), &["end".to_owned()]);
    let reader = thread::spawn(move || {
        let mut account = Account::default();
        while !account.is_down {
            if account.listen(&mut subscriber) == 0 {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        account
    });
    publisher.wait_for(1, PATIENCE).unwrap();
    for _ in 0..40_000 {
        publisher.publish(b"other", &[7; 1_000]).unwrap();
    }
    publisher.publish(b"end", &[&[0; 8], &payload(0)[..]].concat()).unwrap();
    publisher.publish(b"other", b"and nothing more").unwrap();
    publisher.finish(PATIENCE).unwrap();
    let account = reader.join().unwrap();
    assert_eq!(account.book.unwrap().filtered, 40_001);
    assert_eq!((account.heard, account.lost), (vec![(40_000, 40_001)], 0));
}
