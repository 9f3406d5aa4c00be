//! A publisher over TCP against a subscriber written by hand: the bytes on the connection, whatever happens to it.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::PublisherEvent;
use nakcast::PublisherStats;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire;
use nakcast::wire::Body;
use nakcast::wire::CloseReason;
use nakcast::wire::Datagram;
use nakcast::wire::FrameFlags;
use nakcast::wire::Head;
use nakcast::wire::Hello;
use nakcast::wire::HelloStart;
use nakcast::wire::Status;
use zerocopy::FromZeros;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands on a connection, one datagram each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Greeting(Offset),
    Message(Offset, Vec<u8>),
    Gone(OffsetRange),
    End(Offset),
    Close(CloseReason),
    /// The publisher has closed the connection.
    Eof,
}

/// A subscriber that speaks by the book, and no better.
struct Hand {
    stream: TcpStream,
    receiver: ReceiverId,
    session: SessionId,
    buffer: Vec<u8>,
    heard: Vec<Heard>,
    next: Offset,
    /// It says how far it has come after each read, as one should that is waited for.
    is_reporting: bool,
}

impl Hand {
    fn connect(publisher: &Publisher, id: u64, (start, from): (HelloStart, u64)) -> Self {
        let mut hand = Self::silent(publisher, id);
        hand.hello(StreamId(1), (start, from));
        hand
    }

    fn silent(publisher: &Publisher, id: u64) -> Self {
        let stream = TcpStream::connect(publisher.stream_address().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (receiver, session) = (ReceiverId(id), publisher.session());
        Self {
            stream,
            receiver,
            session,
            buffer: Vec::new(),
            heard: Vec::new(),
            next: Offset(0),
            is_reporting: true,
        }
    }

    fn hello(&mut self, stream: StreamId, (start, from): (HelloStart, u64)) {
        let head = Head { stream, session: self.session, base: Offset(from), ..Head::default() };
        let mut bytes = Vec::new();
        assert!(wire::encode_hello(&mut bytes, &head, &Hello::new(self.receiver, start), &[""; 0]));
        self.stream.write_all(&bytes).unwrap();
    }

    fn report(&mut self, flags: u16) {
        let head = Head { stream: StreamId(1), session: self.session, base: self.next, ..Head::default() };
        let mut status = Status::new_zeroed();
        status.receiver = self.receiver.0.into();
        status.flags = flags.into();
        let mut bytes = Vec::new();
        wire::encode_status(&mut bytes, &head, &status);
        // A publisher that has closed the connection hears no more.
        let _ = self.stream.write_all(&bytes);
    }

    /// Reads more; the first datagram that is news, if there is one yet.
    fn listen(&mut self) -> Heard {
        loop {
            if !self.heard.is_empty() {
                return self.heard.remove(0);
            }
            let mut room = [0; 65_536];
            match self.stream.read(&mut room) {
                Ok(0) => return Heard::Eof,
                Ok(bytes) => self.buffer.extend_from_slice(&room[..bytes]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Heard::Eof,
                Err(error) => panic!("{error}"),
            }
            self.cut();
            if self.is_reporting {
                self.report(0);
            }
        }
    }

    fn cut(&mut self) {
        let mut at = 0;
        while let Some(len) = self.buffer.get(at..at + 32).map(|header| wire::datagram_len(header).unwrap()) {
            let Some(bytes) = self.buffer.get(at..at + len) else { break };
            let datagram = Datagram::decode(bytes).unwrap();
            assert!([self.session, SessionId(0)].contains(&datagram.header.session()));
            let base = datagram.header.base();
            match datagram.body {
                Body::Heartbeat(_) if self.next == Offset(0) || base >= self.next => {
                    self.heard.push(Heard::Greeting(base));
                    self.next = base;
                }
                Body::Data(frames) => {
                    let mut end = base.0;
                    for frame in frames {
                        let offset = end;
                        end += u64::from(frame.offsets);
                        if frame.flags == FrameFlags::FILTERED {
                            self.next = self.next.max(Offset(end));
                        } else if offset >= self.next.0 {
                            assert_eq!(Offset(offset), self.next, "a gap without a word");
                            self.heard.push(Heard::Message(Offset(offset), frame.payload.to_vec()));
                            self.next = Offset(offset + 1);
                        }
                    }
                }
                Body::Gone(gone) => {
                    assert_eq!(gone.len(), 1);
                    let range = gone[0].range();
                    assert_eq!(range.from, self.next);
                    self.next = range.to;
                    self.heard.push(Heard::Gone(range));
                }
                Body::End(_) => self.heard.push(Heard::End(base)),
                Body::Close(close) => self.heard.push(Heard::Close(close.reason().unwrap())),
                Body::Welcome(_) => {}
                other => panic!("{other:?}"),
            }
            at += len;
        }
        self.buffer.drain(..at);
    }

    /// The next thing heard that is no heartbeat.
    fn news(&mut self) -> Heard {
        loop {
            match self.listen() {
                Heard::Greeting(_) => {}
                news => return news,
            }
        }
    }

    /// Everything up to END, which is confirmed, or until the connection ends.
    fn all(mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let news = self.news();
            let is_last = matches!(news, Heard::End(_) | Heard::Eof);
            all.push(news);
            if is_last {
                self.report(0);
                return all;
            }
        }
    }
}

fn payload(index: u64) -> Vec<u8> {
    index.to_le_bytes().repeat(12)
}

fn messages(range: core::ops::Range<u64>) -> Vec<Heard> {
    range.map(|index| Heard::Message(Offset(index), payload(index))).collect()
}

fn publish(publisher: &mut Publisher, range: core::ops::Range<u64>) {
    for index in range {
        assert_eq!(publisher.publish(b"", &payload(index)).unwrap(), Offset(index));
    }
    publisher.flush().unwrap();
}

/// Waits until what the publisher counts is so.
fn until(publisher: &mut Publisher, what: impl Fn(&PublisherStats) -> bool) {
    for _ in 0..3_000 {
        publisher.poll();
        if what(&publisher.stats()) {
            return;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{:?}", publisher.stats().streams);
}

fn block(driven: bool) -> Publisher {
    let builder = Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK);
    builder.driven(driven).open().unwrap()
}

#[test]
fn every_start_is_greeted_with_where_it_begins() {
    let mut publisher = block(false);
    publish(&mut publisher, 0..100);
    let mut live = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    let mut earliest = Hand::connect(&publisher, 2, (HelloStart::Earliest, 0));
    let mut at = Hand::connect(&publisher, 3, (HelloStart::At, 33));
    let mut restarted = Hand::silent(&publisher, 4);
    let session = std::mem::replace(&mut restarted.session, SessionId(77));
    restarted.hello(StreamId(1), (HelloStart::At, 5_000));
    restarted.session = session;
    assert_eq!(live.listen(), Heard::Greeting(Offset(100)));
    assert_eq!(earliest.listen(), Heard::Greeting(Offset(0)));
    assert_eq!(at.listen(), Heard::Greeting(Offset(33)));
    assert_eq!(restarted.listen(), Heard::Greeting(Offset(0)));
    publish(&mut publisher, 100..150);
    let readers = [(live, 100), (earliest, 0), (at, 33), (restarted, 0)].map(|(hand, from)| {
        thread::spawn(move || {
            let mut expected = messages(from..150);
            expected.push(Heard::End(Offset(150)));
            assert!(hand.all() == expected);
        })
    });
    publisher.finish(PATIENCE).unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let stats = publisher.stats();
    assert_eq!((stats.streams.accepted, stats.streams.refused, stats.streams.cut), (4, 0, 0));
}

#[test]
fn what_cannot_be_served_is_refused_with_a_reason() {
    let mut publisher = Publisher::builder().tcp("tcp://127.0.0.1:0").streams(3).open().unwrap();
    let mut other = Hand::silent(&publisher, 1);
    other.hello(StreamId(2), (HelloStart::Live, 0));
    assert_eq!([other.news(), other.news()], [Heard::Close(CloseReason::Stream), Heard::Eof]);
    let mut beyond = Hand::connect(&publisher, 2, (HelloStart::At, 1));
    assert_eq!([beyond.news(), beyond.news()], [Heard::Close(CloseReason::Broken), Heard::Eof]);
    let mut garbage = Hand::silent(&publisher, 3);
    garbage.stream.write_all(&[b'G'; 1_000]).unwrap();
    assert_eq!([garbage.news(), garbage.news()], [Heard::Close(CloseReason::Broken), Heard::Eof]);
    drop((other, beyond, garbage));
    until(&mut publisher, |stats| stats.streams.connections == 0);
    let hands: Vec<_> = (4..7).map(|id| Hand::connect(&publisher, id, (HelloStart::Live, 0))).collect();
    publisher.wait_for(3, PATIENCE).unwrap();
    let mut full = Hand::silent(&publisher, 8);
    assert_eq!([full.news(), full.news()], [Heard::Close(CloseReason::Full), Heard::Eof]);
    assert_eq!(publisher.stats().streams.refused, 4);
    drop(hands);
    publisher.abort();
}

#[test]
fn a_driven_publisher_serves_connections_too() {
    let mut publisher = block(true);
    let hand = Hand::connect(&publisher, 1, (HelloStart::Earliest, 0));
    publisher.wait_for(1, PATIENCE).unwrap();
    let reader = thread::spawn(move || hand.all());
    publish(&mut publisher, 0..20_000);
    publisher.finish(PATIENCE).unwrap();
    let mut expected = messages(0..20_000);
    expected.push(Heard::End(Offset(20_000)));
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn drop_names_what_the_ring_has_overrun_and_goes_on() {
    let drop_policy = Policy::Drop { pace: Duration::ZERO, free_running: true };
    let builder = Publisher::builder().tcp("tcp://127.0.0.1:0").policy(drop_policy).ring(512 << 10);
    let mut publisher = builder.open().unwrap();
    let mut hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    publisher.wait_for(1, PATIENCE).unwrap();
    // Far more than the kernel keeps for either end.
    publish(&mut publisher, 0..400_000);
    let reader = thread::spawn(move || {
        let mut at = 0;
        let mut gaps = 0;
        loop {
            match hand.news() {
                Heard::Message(offset, bytes) => {
                    assert_eq!((offset.0, bytes), (at, payload(at)));
                    at += 1;
                }
                Heard::Gone(range) => {
                    assert_eq!(range.from.0, at);
                    at = range.to.0;
                    gaps += 1;
                }
                Heard::End(end) => {
                    hand.report(0);
                    return (at, end.0, gaps);
                }
                other => panic!("{other:?}"),
            }
        }
    });
    publisher.finish(PATIENCE).unwrap();
    assert_eq!(reader.join().unwrap(), (400_000, 400_000, 1));
    assert_eq!(publisher.stats().streams.overruns, 1);
}

#[test]
fn disconnect_cuts_off_the_slow_one_and_says_so() {
    let policy = Policy::Disconnect { pace: Duration::ZERO, free_running: true };
    let builder = Publisher::builder().tcp("tcp://127.0.0.1:0").policy(policy).ring(512 << 10);
    let mut publisher = builder.open().unwrap();
    let hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    publisher.wait_for(1, PATIENCE).unwrap();
    publish(&mut publisher, 0..400_000);
    until(&mut publisher, |stats| stats.streams.slow == 1);
    let all = {
        let mut hand = hand;
        let mut all = Vec::new();
        while all.last() != Some(&Heard::Eof) {
            all.push(hand.news());
        }
        all
    };
    let count = all.len() as u64 - 2;
    assert!(all[..count as usize] == messages(0..count));
    assert_eq!(all[count as usize..], [Heard::Close(CloseReason::Slow), Heard::Eof]);
    let events: Vec<_> = publisher.events().collect();
    assert!(events.iter().any(|event| matches!(event, PublisherEvent::ReceiverEvicted { .. })), "{events:?}");
    publisher.abort();
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let mut publisher = block(false);
    let mut hand = Hand::connect(&publisher, 9, (HelloStart::Live, 0));
    publisher.wait_for(1, PATIENCE).unwrap();
    let reader = {
        let address = publisher.stream_address().unwrap();
        thread::spawn(move || {
            let (mut all, mut cuts) = (Vec::new(), 0);
            loop {
                match hand.news() {
                    end @ Heard::End(_) => {
                        hand.report(0);
                        all.push(end);
                        return (all, cuts);
                    }
                    news => all.push(news),
                }
                if all.len() % 1_999 == 0 {
                    hand.stream.shutdown(Shutdown::Both).unwrap();
                    hand.stream = TcpStream::connect(address).unwrap();
                    hand.buffer.clear();
                    let from = all.len() as u64;
                    hand.heard.clear();
                    hand.next = Offset(from);
                    hand.hello(StreamId(1), (HelloStart::At, from));
                    cuts += 1;
                }
            }
        })
    };
    publish(&mut publisher, 0..200_000);
    publisher.finish(PATIENCE).unwrap();
    let (all, cuts) = reader.join().unwrap();
    let mut expected = messages(0..200_000);
    expected.push(Heard::End(Offset(200_000)));
    assert!(all == expected);
    assert_eq!(cuts, 100);
}

#[test]
fn crowds_garbage_and_silence_leave_the_others_alone() {
    let mut publisher = block(false);
    let address = publisher.stream_address().unwrap();
    let hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    publisher.wait_for(1, PATIENCE).unwrap();
    let reader = thread::spawn(move || hand.all());
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    let crowd = thread::spawn(move || {
        for index in 0..10_000_u32 {
            let mut stream = TcpStream::connect(address).unwrap();
            if index % 3 == 0 {
                // The publisher may have closed it already.
                let _ = stream.write_all(&index.to_le_bytes().repeat(100));
            }
        }
    });
    publish(&mut publisher, 0..100_000);
    crowd.join().unwrap();
    until(&mut publisher, |stats| stats.streams.accepted == 10_051 && stats.streams.connections == 51);
    publisher.finish(PATIENCE).unwrap();
    let mut expected = messages(0..100_000);
    expected.push(Heard::End(Offset(100_000)));
    assert!(reader.join().unwrap() == expected);
    assert!(publisher.stats().streams.refused > 0);
    drop(silent);
}

#[test]
fn one_that_leaves_is_not_waited_for() {
    let mut publisher = block(false);
    let mut hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    publisher.wait_for(1, PATIENCE).unwrap();
    publish(&mut publisher, 0..10);
    assert_eq!(hand.news(), Heard::Message(Offset(0), payload(0)));
    hand.report(Status::LEAVING);
    until(&mut publisher, |stats| stats.receivers == 0 && stats.streams.connections == 0);
    assert_eq!(publisher.stats().streams.cut, 0);
    publisher.finish(PATIENCE).unwrap();
}

#[test]
fn ipv6_and_a_name_are_listened_at() {
    for uri in ["tcp://[::1]:0", "tcp://localhost:0"] {
        let publisher = Publisher::bind(uri).unwrap();
        let mut hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
        assert_eq!(hand.listen(), Heard::Greeting(Offset(0)));
        publisher.abort();
    }
}

#[test]
fn a_taken_port_is_named_with_its_remedy() {
    let publisher = Publisher::bind("tcp://127.0.0.1:0").unwrap();
    let uri = format!("tcp://{}", publisher.stream_address().unwrap());
    let error = Publisher::bind(&uri).unwrap_err().to_string();
    assert!(error.contains(&uri) && error.contains("choose another"), "{error}");
}

/// A HELLO that comes byte by byte, one that never ends, peers that say nothing, and one that has said HELLO and never
/// reads: the publisher goes on with everybody else.
#[test]
fn a_slow_loris_leaves_the_others_alone() {
    let mut publisher =
        Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::DROP).ring(16 << 20).open().unwrap();
    let never_reads: Vec<_> =
        (100..120).map(|id| Hand::connect(&publisher, id, (HelloStart::Live, 0))).collect();
    let hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    publisher.wait_for(21, PATIENCE).unwrap();
    let half: Vec<_> = (0..50)
        .map(|id| {
            let mut hand = Hand::silent(&publisher, 200 + id);
            hand.stream.write_all(&hello_of(&publisher, 200 + id)[..1 + id as usize]).unwrap();
            hand
        })
        .collect();
    let mut slow = Hand::silent(&publisher, 2);
    let bytes = hello_of(&publisher, 2);
    let trickle = thread::spawn(move || {
        for byte in bytes {
            slow.stream.write_all(&[byte]).unwrap();
            thread::park_timeout(Duration::from_millis(1));
        }
        slow
    });
    let reader = thread::spawn(move || hand.all());
    // So little that the ring holds all of it: nobody is too slow for anything.
    publish(&mut publisher, 0..50_000);
    let mut slow = trickle.join().unwrap();
    assert!(matches!(slow.listen(), Heard::Greeting(_)), "slow, but in time");
    until(&mut publisher, |stats| stats.streams.connections == 72);
    drop((half, never_reads, slow));
    until(&mut publisher, |stats| stats.streams.connections == 1 && stats.streams.cut == 21);
    publisher.finish(PATIENCE).unwrap();
    let mut expected = messages(0..50_000);
    expected.push(Heard::End(Offset(50_000)));
    assert!(reader.join().unwrap() == expected);
}

/// The bytes of a HELLO for everything that is live.
fn hello_of(publisher: &Publisher, id: u64) -> Vec<u8> {
    let head = Head { stream: StreamId(1), session: publisher.session(), ..Head::default() };
    let mut bytes = Vec::new();
    let hello = Hello::new(ReceiverId(id), HelloStart::Live);
    assert!(wire::encode_hello(&mut bytes, &head, &hello, &["a", "bc"]));
    bytes
}

#[test]
fn an_absurd_range_is_refused_or_empty() {
    let mut publisher = block(false);
    publish(&mut publisher, 0..10);
    for from in [11, 1 << 40, u64::MAX] {
        let mut hand = Hand::connect(&publisher, from, (HelloStart::At, from));
        assert_eq!([hand.news(), hand.news()], [Heard::Close(CloseReason::Broken), Heard::Eof], "{from}");
    }
    for to in [0, 2] {
        let mut hand = Hand::silent(&publisher, 7);
        let head =
            Head { stream: StreamId(1), session: publisher.session(), base: Offset(5), ..Head::default() };
        let hello = Hello::new(ReceiverId(7), HelloStart::At).until(Offset(to));
        let mut bytes = Vec::new();
        assert!(wire::encode_hello(&mut bytes, &head, &hello, &[""; 0]));
        hand.stream.write_all(&bytes).unwrap();
        assert_eq!([hand.listen(), hand.listen()], [Heard::Greeting(Offset(5)), Heard::Eof], "to {to}");
    }
    assert_eq!(publisher.stats().streams.refused, 3);
    publisher.abort();
}

/// More peers than the publisher bears, all of them silent; a subscriber finds its place all the same, and the oldest have to go.
#[test]
fn those_that_never_say_hello_keep_nobody_out() {
    const STRANGERS: usize = 1_024;
    let mut publisher =
        Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::BLOCK).streams(2).open().unwrap();
    let address = publisher.stream_address().unwrap();
    if let Err(error) = raise_open_files(4_096) {
        eprintln!("not enough descriptors for this test: {error}");
        return;
    }
    let mut silent: Vec<_> = (0..STRANGERS + 100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let hands: Vec<_> = (1..3).map(|id| Hand::connect(&publisher, id, (HelloStart::Live, 0))).collect();
    publisher.wait_for(2, PATIENCE).unwrap();
    until(&mut publisher, |stats| stats.streams.accepted == STRANGERS as u64 + 102);
    // Both became subscribers, so nobody had to go for the second one's sake any more than for the first's.
    let stats = publisher.stats().streams;
    assert!(stats.connections <= STRANGERS + 2, "{stats:?}");
    assert!((100..=102).contains(&stats.refused), "{stats:?}");
    silent[0].set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0, "the oldest is the first to go");
    let mut full = Hand::silent(&publisher, 8);
    assert_eq!([full.news(), full.news()], [Heard::Close(CloseReason::Full), Heard::Eof]);
    let readers: Vec<_> = hands.into_iter().map(|hand| thread::spawn(move || hand.all())).collect();
    publish(&mut publisher, 0..1_000);
    publisher.finish(PATIENCE).unwrap();
    let mut expected = messages(0..1_000);
    expected.push(Heard::End(Offset(1_000)));
    readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() == expected));
    drop(silent);
}

#[test]
fn an_abort_cuts_everybody_off_at_once() {
    let mut publisher = block(false);
    let mut hand = Hand::connect(&publisher, 1, (HelloStart::Live, 0));
    let never_reads = Hand::connect(&publisher, 2, (HelloStart::Live, 0));
    publisher.wait_for(2, PATIENCE).unwrap();
    publish(&mut publisher, 0..100);
    assert_eq!(hand.news(), Heard::Message(Offset(0), payload(0)));
    publisher.abort();
    let mut all = Vec::new();
    while all.last() != Some(&Heard::Eof) {
        all.push(hand.news());
    }
    // What had left arrives; there is no END that was not.
    let count = all.len() as u64 - 1;
    assert!(count <= 99 && all[..count as usize] == messages(1..count + 1));
    drop(never_reads);
}

/// Lets this process have so many open files, if the system does.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library cannot ask for more descriptors")]
fn raise_open_files(wanted: u64) -> std::io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    if limit.rlim_max < wanted {
        return Err(std::io::Error::other(format!("the hard limit is {}", limit.rlim_max)));
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid `rlimit`.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn raise_open_files(_: u64) -> std::io::Result<()> {
    Ok(())
}
