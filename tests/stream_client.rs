//! A subscriber over TCP against a publisher made by hand: what is greeted, cut, damaged, refused and made again.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

#[path = "stream_client/publisher.rs"]
mod publisher;
#[path = "stream_client/rig.rs"]
mod rig;

use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nakcast::Error;
use nakcast::Event;
use nakcast::Offset;
use nakcast::Refusal;
use nakcast::Start;
use nakcast::Subscriber;
use nakcast::SubscriberBuilder;
use nakcast::Wait;
use nakcast::time::Jitter;
use nakcast::wire::CloseReason;
use nakcast::wire::HelloStart;

use publisher::Peer;
use publisher::Session;
use publisher::listen;
use rig::Rig;

const FIRST: Session = Session(11);
const SECOND: Session = Session(22);

fn builder(address: SocketAddr) -> SubscriberBuilder {
    let millisecond = Duration::from_millis(1);
    Subscriber::builder().tcp(&format!("tcp://{address}?stream=5")).reconnect(millisecond, millisecond * 4)
}

#[test]
fn a_subscriber_greets_first_and_says_what_it_wants() {
    let (listener, address) = listen();
    let cases = [
        (Start::Live, HelloStart::Live, 0),
        (Start::Earliest, HelloStart::Earliest, 0),
        (Start::At(Offset(7)), HelloStart::At, 7),
    ];
    for (start, wanted, base) in cases {
        let uri = format!("tcp://{address}?stream=5&topic=th&topic=%00");
        let builder = Subscriber::builder().tcp(&uri).topic("x").from(start).observer(base == 7);
        let mut rig = Rig::open(builder);
        let (_, heard) = rig.meet(&listener);
        assert_eq!((heard.start, heard.base, heard.session), (wanted, base, 0));
        assert_eq!((heard.is_observer, heard.receiver), (base == 7, rig.subscriber.receiver()));
        assert_eq!(heard.topics, [&b"th"[..], b"\0", b"x"]);
    }
}

#[test]
fn messages_end_and_reports_go_over_the_connection() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(40), FIRST.batch(40..50), FIRST.batch(50..90), FIRST.end(90)].concat());
    rig.expect(&["11 up from 40", "40..90", "11 down ended at 90"]);
    let mut reported = 0;
    rig.until(|_| {
        reported = peer.status().map_or(reported, |(next, _)| next);
        reported == 90
    });
    let stats = rig.connection();
    assert_eq!((stats.attempts, stats.connects, stats.cuts, stats.is_connected), (1, 1, 0, true));
    let book = rig.subscriber.sources()[0].book;
    assert_eq!((book.delivered, book.lost), (50, 0));
}

#[test]
fn only_topics_asked_for_are_delivered_and_the_rest_is_counted() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address).topic("th"));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..9), FIRST.end(9)].concat());
    rig.expect(&["11 up from 0", "0..1", "3..4", "6..7", "11 down ended at 9"]);
    let book = rig.subscriber.sources()[0].book;
    assert_eq!((book.delivered, book.filtered, book.lost), (3, 6, 0));
}

#[test]
fn a_stream_may_be_cut_into_reads_anywhere() {
    let (listener, address) = listen();
    let bytes = [FIRST.heartbeat(0), FIRST.batch(0..1), FIRST.batch(1..4), FIRST.batch(4..6)].concat();
    for cut in 1..bytes.len() {
        let mut rig = Rig::open(builder(address));
        let (mut peer, _) = rig.meet(&listener);
        peer.send(&bytes[..cut]);
        rig.until(|rig| rig.connection().bytes == cut as u64);
        peer.send(&bytes[cut..]);
        rig.expect(&["11 up from 0", "0..6"]);
    }
    let mut rig = Rig::open(builder(address));
    let (mut peer, _) = rig.meet(&listener);
    for (byte, count) in bytes.iter().zip(1..) {
        peer.send(&[*byte]);
        rig.until(|rig| rig.connection().bytes == count);
    }
    assert_eq!(rig.log(), ["11 up from 0", "0..6"]);
}

/// Serves `end` messages on connections that it cuts at positions drawn from `seed`, `cuts` times, then to the end.
fn serve_with_cuts(listener: &TcpListener, (seed, cuts): (u64, u64), end: u64) -> Vec<u64> {
    let (mut jitter, mut resumed) = (Jitter::new(seed), Vec::new());
    loop {
        let mut peer = Peer::new(listener.accept().unwrap().0);
        let Some(hello) = peer.hello() else { continue };
        let from = if resumed.is_empty() { 0 } else { hello.base };
        assert!(resumed.is_empty() || (hello.session, hello.start) == (FIRST.0, HelloStart::At));
        let bytes = [FIRST.heartbeat(from), FIRST.batches(from, end), FIRST.end(end)].concat();
        if from > 0 || !resumed.is_empty() || hello.session == 0 {
            resumed.push(from);
        }
        if resumed.len() as u64 > cuts {
            peer.send(&bytes);
            // Until the subscriber has everything, and goes.
            while peer.next().is_some() {}
            return resumed;
        }
        let cut = jitter.bits() as usize % (bytes.len() / 60).max(1);
        // The other side may be gone already, and what is not sent is cut as well.
        if peer.socket.write_all(&bytes[..cut.max(100)]).is_err() || jitter.happens(0.5) {
            continue;
        }
        // Half of the cuts are orderly, and half reset the connection, with reports unread.
        peer.socket.shutdown(Shutdown::Write).unwrap();
        while peer.next().is_some() {}
    }
}

#[test]
fn no_cut_loses_or_repeats_a_message() {
    const END: u64 = 20_000;
    const CUTS: u64 = 200;
    for (seed, wait) in [(1, Wait::Block), (2, Wait::SpinThenBlock(Duration::from_micros(20)))] {
        let (listener, address) = listen();
        let server = thread::spawn(move || serve_with_cuts(&listener, (seed, CUTS), END));
        let mut rig = Rig::open(builder(address).wait(wait));
        let wanted = ["11 up from 0", "0..20000", "11 down ended at 20000"];
        rig.expect(&wanted);
        let (stats, book) = (rig.connection(), rig.subscriber.sources()[0].book);
        assert_eq!((book.delivered, book.lost), (END, 0));
        assert!(stats.reconnects() >= CUTS && stats.cuts >= CUTS, "{stats:?}");
        drop(rig);
        let resumed = server.join().unwrap();
        assert!(resumed.is_sorted(), "{resumed:?}");
        assert!(resumed.iter().filter(|from| **from > 0).count() > 100, "cuts fell into the transfer");
    }
}

#[test]
fn what_the_publisher_holds_no_more_is_lost_once_and_by_name() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address).from(Start::At(Offset(0))));
    let (mut peer, _) = rig.meet(&listener);
    let begin = [FIRST.heartbeat(0), FIRST.gone(0, 10), FIRST.batch(10..20)].concat();
    peer.send(&[begin, FIRST.gone(20, 35), FIRST.batch(35..40), FIRST.end(40)].concat());
    let lost = ["11 lost 0..10 overrun", "10..20", "11 lost 20..35 overrun", "35..40"];
    rig.expect(&[&["11 up from 0"], &lost[..], &["11 down ended at 40"]].concat());
    let book = rig.subscriber.sources()[0].book;
    assert_eq!((book.delivered, book.lost), (15, 25));
}

#[test]
fn a_jump_that_nobody_explains_is_lost_at_once() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..5), FIRST.batch(8..12)].concat());
    rig.expect(&["11 up from 0", "0..5", "11 lost 5..8 unrepaired", "8..12"]);
}

#[test]
fn garbage_costs_the_connection_and_nothing_else() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address));
    let mut damaged = FIRST.batch(5..9);
    *damaged.last_mut().unwrap() ^= 1;
    let trash = [b"HTTP/1.1 400 Bad Request\r\n\r\nand more than one header holds".to_vec(), damaged];
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..5)].concat());
    rig.expect(&["11 up from 0", "0..5"]);
    for (bytes, count) in trash.iter().zip(1..) {
        // What follows is not looked for: it would be a guess.
        peer.send(&[&bytes[..], &FIRST.batch(5..9)].concat());
        rig.until(|rig| rig.connection().cuts == count);
        let heard;
        (peer, heard) = rig.meet(&listener);
        assert_eq!((heard.session, heard.base, heard.start), (FIRST.0, 5, HelloStart::At));
        peer.send(&FIRST.heartbeat(5));
    }
    peer.send(&[FIRST.batch(3..9), FIRST.end(9)].concat());
    rig.expect(&["5..9", "11 down ended at 9"]);
    let stats = rig.connection();
    assert_eq!((stats.cuts, stats.damaged, stats.connects), (2, 2, 3));
    assert_eq!(rig.subscriber.stats().undecodable, 1);
}

#[test]
fn a_publisher_that_refuses_is_an_error_with_a_remedy() {
    let (listener, address) = listen();
    for (reason, wanted, remedy) in [
        (CloseReason::Stream, Refusal::Stream, "stream="),
        (CloseReason::Broken, Refusal::Broken, "Start::At"),
    ] {
        let mut rig = Rig::open(builder(address));
        let (mut peer, _) = rig.meet(&listener);
        peer.send(&FIRST.close(reason));
        let error = rig.error();
        assert!(error.to_string().contains(remedy), "{error}");
        assert!(matches!(error, Error::Refused { address: at, reason } if (at, reason) == (address, wanted)));
        // A later call asks again.
        rig.meet(&listener);
    }
}

#[test]
fn a_publisher_that_closes_for_now_is_asked_again() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address));
    for (reason, count) in [CloseReason::Full, CloseReason::Slow, CloseReason::Evicted].into_iter().zip(1..) {
        let (mut peer, heard) = rig.meet(&listener);
        assert_eq!(heard.base, count - 1);
        peer.send(&[FIRST.heartbeat(count - 1), FIRST.batch(count - 1..count), FIRST.close(reason)].concat());
        rig.until(|rig| rig.connection().closed == count);
    }
    rig.meet(&listener);
    assert_eq!(rig.log(), ["11 up from 0", "0..3"]);
}

#[test]
fn a_publisher_may_come_later_and_go_and_come_back() {
    let (listener, address) = listen();
    drop(listener);
    let mut rig = Rig::open(builder(address));
    rig.until(|rig| rig.connection().attempts > 5);
    let listener = TcpListener::bind(address).unwrap();
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..5)].concat());
    rig.expect(&["11 up from 0", "0..5"]);
    drop((peer, listener));
    let before = rig.connection().attempts;
    rig.until(|rig| rig.connection().attempts > before + 5);
    let listener = TcpListener::bind(address).unwrap();
    let (mut peer, heard) = rig.meet(&listener);
    assert_eq!((heard.session, heard.base), (FIRST.0, 5));
    peer.send(&[FIRST.heartbeat(5), FIRST.batch(5..7)].concat());
    rig.expect(&["5..7"]);
    assert_eq!((rig.connection().connects, rig.connection().cuts), (2, 1));
}

#[test]
fn each_address_of_a_name_is_tried() {
    // Whatever else `localhost` stands for, nobody listens there.
    let (listener, address) = listen();
    let uri = format!("tcp://localhost:{}?stream=5", address.port());
    let mut rig = Rig::open(Subscriber::builder().tcp(&uri));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..5)].concat());
    rig.expect(&["11 up from 0", "0..5"]);
}

#[test]
fn a_restarted_publisher_is_a_new_source_from_its_beginning() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(100), FIRST.batch(100..105)].concat());
    rig.expect(&["11 up from 100", "100..105"]);
    drop(peer);
    let (mut peer, heard) = rig.meet(&listener);
    assert_eq!((heard.session, heard.base), (FIRST.0, 105));
    peer.send(&[SECOND.heartbeat(0), SECOND.batch(0..3)].concat());
    rig.expect(&["11 down replaced at 105", "22 up from 0 replaces 11", "0..3"]);
    drop(peer);
    let (mut peer, heard) = rig.meet(&listener);
    assert_eq!((heard.session, heard.base), (SECOND.0, 3));
    // The other one is back, as when a name stands for both: it begins anew, and the subscriber goes on where it was.
    peer.send(&[FIRST.heartbeat(0), FIRST.batches(0, 110)].concat());
    rig.expect(&["22 down replaced at 3", "11 up from 105 replaces 22", "105..110"]);
}

#[test]
fn a_limit_of_tries_ends_in_an_error_that_says_so() {
    let (listener, address) = listen();
    drop(listener);
    let mut rig = Rig::open(builder(address).reconnect_limit(3));
    for tries in [3, 6] {
        let error = rig.error();
        assert!(matches!(error, Error::Unreachable { tries: 3, .. }), "{error}");
        assert!(error.to_string().contains("start the publisher"), "{error}");
        assert_eq!(rig.connection().attempts, tries);
    }
}

#[test]
fn who_leaves_says_so() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..5)].concat());
    rig.expect(&["11 up from 0", "0..5"]);
    // Bytes that it will never read must not keep its last word from arriving.
    peer.send(&FIRST.batch(5..9));
    drop(rig);
    peer.socket.set_nonblocking(false).unwrap();
    let mut last = None;
    while let Some(status) = peer.status() {
        last = Some(status);
    }
    assert_eq!(last, Some((5, true)));
}

#[test]
fn a_silent_connection_is_made_again() {
    let (listener, address) = listen();
    let mut rig = Rig::open(builder(address).silence(Duration::from_millis(250)));
    let (mut peer, _) = rig.meet(&listener);
    peer.send(&[FIRST.heartbeat(0), FIRST.batch(0..5)].concat());
    rig.expect(&["11 up from 0", "0..5", "11 down silent at 5"]);
    let (mut again, heard) = rig.meet(&listener);
    assert_eq!((heard.session, heard.base), (FIRST.0, 5));
    assert_eq!((rig.connection().silent, rig.connection().cuts), (1, 1));
    again.send(&[FIRST.heartbeat(5), FIRST.batch(5..6)].concat());
    rig.expect(&["11 up from 5", "5..6"]);
}

#[test]
fn every_way_of_receiving_gives_the_same() {
    let (listener, address) = listen();
    let bytes = [FIRST.heartbeat(0), FIRST.batches(0, 500), FIRST.end(500)].concat();
    let ways = [Wait::Block, Wait::Spin, Wait::SpinThenBlock(Duration::from_micros(50))];
    for (wait, way) in ways.into_iter().flat_map(|wait| [(wait, 0), (wait, 1), (wait, 2), (wait, 3)]) {
        let (listener, bytes) = (listener.try_clone().unwrap(), bytes.clone());
        let server = thread::spawn(move || {
            listener.set_nonblocking(false).unwrap();
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.hello().unwrap();
            peer.send(&bytes);
            while peer.next().is_some() {}
        });
        let mut subscriber = builder(address).wait(wait).open().unwrap();
        let (mut told, mut run) = (Vec::new(), None);
        while !told.iter().any(|words: &String| words.contains("down")) {
            let mut tell = |event: Event<'_>| rig::tell(&mut told, &mut run, &event);
            match way {
                0 => tell(subscriber.recv().unwrap()),
                1 => subscriber.recv_timeout(Duration::from_secs(60)).unwrap().into_iter().for_each(tell),
                2 => subscriber.try_recv().unwrap().into_iter().for_each(tell),
                _ => {
                    subscriber.poll(tell).unwrap();
                }
            }
        }
        assert_eq!(told, ["11 up from 0", "0..500", "11 down ended at 500"], "{wait:?} {way}");
        drop(subscriber);
        server.join().unwrap();
    }
}

/// The descriptor tells of the connection, of what comes, and of nothing when there is nothing.
#[cfg(unix)]
#[test]
fn a_users_own_loop_waits_on_the_descriptor() {
    use std::os::fd::AsRawFd;

    use mio::Events;
    use mio::Interest;
    use mio::Poll;
    use mio::Token;
    use mio::unix::SourceFd;

    let (listener, address) = listen();
    let server = thread::spawn(move || {
        let mut peer = Peer::new(listener.accept().unwrap().0);
        peer.hello().unwrap();
        for base in 0..200 {
            peer.send(&if base == 0 { FIRST.heartbeat(0) } else { FIRST.batch(base - 1..base) });
        }
        peer.send(&FIRST.end(199));
        while peer.next().is_some() {}
    });
    let mut subscriber = builder(address).open().unwrap();
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
    let fd = subscriber.as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
    let (mut told, mut run) = (Vec::new(), None);
    while !told.iter().any(|words: &String| words.contains("down")) {
        while let Some(event) = subscriber.try_recv().unwrap() {
            rig::tell(&mut told, &mut run, &event);
        }
        if told.iter().all(|words| !words.contains("down")) {
            poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
            assert!(!events.is_empty(), "{told:?} {run:?}");
        }
    }
    assert_eq!(told, ["11 up from 0", "0..199", "11 down ended at 199"]);
    drop(subscriber);
    server.join().unwrap();
}

#[test]
fn what_does_not_fit_is_told_at_open() {
    let error = |builder: SubscriberBuilder| builder.open().unwrap_err().to_string();
    let tcp = || Subscriber::builder().tcp("tcp://127.0.0.1:9");
    assert!(error(Subscriber::builder()).contains("`.tcp("));
    assert!(error(Subscriber::builder().tcp("tcp://127.0.0.1:0")).contains("choose a port"));
    assert!(error(Subscriber::builder().tcp("udp://127.0.0.1:9")).contains("where tcp:// is wanted"));
    assert!(error(tcp().udp("udp://239.1.1.1:9?stream=2")).contains("the same stream="));
    assert!(error(tcp().faults(nakcast::Faults::loss(0.1))).contains("udp://"));
    assert!(error(tcp().reconnect(Duration::ZERO, Duration::ZERO)).contains("reconnect's min"));
    assert!(
        error(tcp().reconnect(Duration::from_secs(2), Duration::from_secs(1))).contains("reconnect's max")
    );
    assert!(error(tcp().reconnect_limit(0)).contains("reconnect_limit"));
    assert!(error(tcp().topic("x".repeat(256))).contains("length of a topic"));
    let many = (0..1_025).fold(tcp(), |builder, _| builder.topic("x"));
    assert!(error(many).contains("choose 0 to 1024"));
    let long = (0..300).fold(tcp(), |builder, _| builder.topic("x".repeat(255)));
    assert!(error(long).contains("60,000 bytes"));
    // A label of 64 letters is no name that a resolver would ask anybody for.
    let nobody = Subscriber::connect(&format!("tcp://{}:9", "a".repeat(64))).unwrap_err();
    assert!(nobody.to_string().contains("write its address"), "{nobody}");
}
