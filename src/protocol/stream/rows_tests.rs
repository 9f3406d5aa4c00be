//! Rows of receivers, asked for over a connection that begins nothing.

use core::net::SocketAddr;

use zerocopy::FromZeros;

use super::*;
use crate::history::RingSettings;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Hello;
use crate::wire::HelloStart;
use crate::wire::RowEntry;
use crate::wire::SessionId;
use crate::wire::StreamId;

const SETTINGS: FeedSettings =
    FeedSettings { stream: StreamId(7), session: SessionId(70), cut_off: false, waits: false, port: 7_001 };
const PEER: ReceiverId = ReceiverId(9);

fn ring() -> std::sync::Arc<Ring> {
    let (stream, session) = (SETTINGS.stream, SETTINGS.session);
    Ring::new(RingSettings { bytes: 0, datagram: 1_400, stream, session, timestamps: false }).1
}

fn hello(stream: StreamId, from: u64, is_for_rows: bool) -> Vec<u8> {
    let hello = Hello::new(PEER, HelloStart::Live);
    let hello = if is_for_rows { hello.for_rows() } else { hello };
    let (mut bytes, head) = (Vec::new(), Head { stream, base: Offset(from), ..Head::default() });
    assert!(wire::encode_hello(&mut bytes, &head, &hello, &[] as &[&[u8]]));
    bytes
}

fn row(id: u64) -> RowEntry {
    let row = RowEntry { receiver: id.into(), ..RowEntry::new_zeroed() };
    row.at(SocketAddr::from(([10, 0, 0, 1], 4_000)))
}

/// What a feed has written, and takes back.
fn written(feed: &mut Feed, ring: &Ring) -> Vec<u8> {
    let FeedWrite::Control(bytes) = feed.peek(ring, 1) else { return Vec::new() };
    let bytes = bytes.to_vec();
    feed.wrote_control(Time::ZERO, bytes.len());
    bytes
}

#[test]
fn each_hello_is_answered_with_one_page_and_begins_nothing() {
    let (ring, mut feed) = (ring(), Feed::new(SETTINGS, Time::ZERO));
    for (from, left) in [(0, 2), (5, 0)] {
        let ask = hello(StreamId(7), from, true);
        let asked = feed.handle(Time(3), &Datagram::decode(&ask).unwrap(), &ring);
        assert!(matches!(asked, Heard::Rows(first) if first.0 == from));
        feed.tell_rows(Offset(40), &[row(from), row(from + 1)], 2 + left);
        let bytes = written(&mut feed, &ring);
        let page = Datagram::decode(&bytes).unwrap();
        assert_eq!((page.header.session(), page.header.base()), (SETTINGS.session, Offset(40)));
        let Body::Rows(rows, entries) = page.body else { panic!("{page:?}") };
        assert_eq!((rows.left() as usize, entries), (left, &[row(from), row(from + 1)][..]));
        assert!(!feed.is_greeted() && feed.closed().is_none() && !feed.is_over());
    }
    // It may still become a subscriber's, and is cut when it asks nothing more.
    let greeting = hello(StreamId(7), 0, false);
    let greeted = feed.handle(Time(4), &Datagram::decode(&greeting).unwrap(), &ring);
    assert!(matches!(greeted, Heard::Hello { .. }) && feed.is_greeted());
    feed.handle(Time(5), &Datagram::decode(&hello(StreamId(7), 0, true)).unwrap(), &ring);
    assert_eq!(feed.closed(), Some(CloseReason::Broken), "not amid messages");
    let mut idle = Feed::new(SETTINGS, Time::ZERO);
    let second = Time::ZERO + Duration::from_secs(9);
    idle.handle(second, &Datagram::decode(&hello(StreamId(7), 0, true)).unwrap(), &ring);
    assert_eq!(idle.next_timeout(), Some(second + HELLO_WITHIN));
    idle.handle_timeout(second + HELLO_WITHIN, &ring, 1);
    assert_eq!(idle.closed(), Some(CloseReason::Broken));
}

#[test]
fn another_stream_has_no_rows_and_who_does_not_read_gets_no_more() {
    let (ring, mut feed) = (ring(), Feed::new(SETTINGS, Time::ZERO));
    feed.handle(Time::ZERO, &Datagram::decode(&hello(StreamId(8), 0, true)).unwrap(), &ring);
    assert_eq!(feed.closed(), Some(CloseReason::Stream));
    let (mut feed, rows) = (Feed::new(SETTINGS, Time::ZERO), (0..15).map(row).collect::<Vec<_>>());
    let ask = hello(StreamId(7), 0, true);
    let mut answers = 0;
    for _ in 0..1_000 {
        if let Heard::Rows(_) = feed.handle(Time::ZERO, &Datagram::decode(&ask).unwrap(), &ring) {
            feed.tell_rows(Offset::ZERO, &rows, 15);
            answers += 1;
        }
    }
    assert_eq!(answers, 13);
    assert!(feed.memory() < 64 << 10);
    assert!(feed.closed().is_none());
}
