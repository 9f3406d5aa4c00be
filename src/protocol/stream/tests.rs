//! Transcripts of one connection, in virtual time.

use super::*;
use crate::history::Read;
use crate::history::RingSettings;
use crate::history::Stamp;
use crate::history::Writer;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::FrameFlags;
use crate::wire::Hello;
use crate::wire::HelloStart;
use crate::wire::SessionId;
use crate::wire::Status;
use crate::wire::StreamId;
use std::sync::Arc;
use zerocopy::FromZeros;

const STREAM: StreamId = StreamId(7);
const SESSION: SessionId = SessionId(70);
const RECEIVER: ReceiverId = ReceiverId(700);
const SETTINGS: FeedSettings =
    FeedSettings { stream: STREAM, session: SESSION, cut_off: false, waits: false, port: 7_001 };

/// A publisher of which a feed reads, and what was written to its connection.
struct Rig {
    writer: Writer,
    ring: Arc<Ring>,
    feed: Feed,
    wire: Vec<u8>,
    now: Time,
}

impl Rig {
    fn new(settings: FeedSettings) -> Self {
        let of_ring =
            RingSettings { bytes: 0, datagram: 1_400, stream: STREAM, session: SESSION, timestamps: false };
        let (writer, ring) = Ring::new(of_ring);
        Self { writer, ring, feed: Feed::new(settings, Time::ZERO), wire: Vec::new(), now: Time::ZERO }
    }

    /// Publishes so many batches of one message of 1,000 bytes each.
    fn publish(&mut self, batches: u64) {
        for _ in 0..batches {
            let mut open = self.writer.open();
            if !open.has_room() {
                open.next_train();
            }
            let offset = open.held().end.0;
            open.append(FrameFlags::WHOLE, b"t", &[offset as u8; 1_000]).unwrap();
            open.seal(Stamp::default(), false);
            let sealed = open.unsent().sizes.len();
            open.advance(sealed);
        }
    }

    fn handle(&mut self, bytes: &[u8]) {
        self.feed.handle(self.now, &Datagram::decode(bytes).unwrap(), &self.ring);
    }

    fn hello(&mut self, session: SessionId, (start, from): (HelloStart, u64), to: u64) {
        let head = Head { stream: STREAM, session, base: Offset(from), flags: Flags(0) };
        let mut bytes = Vec::new();
        let hello = Hello::new(RECEIVER, start).until(Offset(to));
        assert!(wire::encode_hello(&mut bytes, &head, &hello, &["t"; 0]));
        self.handle(&bytes);
    }

    fn greet(&mut self, start: HelloStart, from: u64) {
        self.hello(SESSION, (start, from), u64::MAX);
    }

    fn status(&mut self, next: u64, time: u64) {
        let head = Head { stream: STREAM, session: SESSION, base: Offset(next), flags: Flags(0) };
        let mut status = Status::new_zeroed();
        (status.receiver, status.time) = (RECEIVER.0.into(), time.into());
        let mut bytes = Vec::new();
        wire::encode_status(&mut bytes, &head, &status);
        self.handle(&bytes);
    }

    /// The connection takes so many bytes; whether it could have taken more.
    fn write(&mut self, mut room: usize) -> bool {
        while room > 0 {
            match self.feed.peek(&self.ring, 1) {
                FeedWrite::Nothing => return true,
                FeedWrite::Control(bytes) => {
                    let taken = bytes.len().min(room);
                    self.wire.extend_from_slice(&bytes[..taken]);
                    self.feed.wrote_control(self.now, taken);
                    room -= taken;
                }
                FeedWrite::Batches { from } => {
                    let (feed, wire, now) = (&mut self.feed, &mut self.wire, self.now);
                    let lent = self.ring.lend(from, 1, |mut lent| {
                        let batch = lent.next().unwrap();
                        let taken = batch.bytes.len().min(room);
                        wire.extend_from_slice(&batch.bytes[..taken]);
                        feed.wrote_batches(now, (batch.offsets.to, batch.charge), &batch.bytes[taken..]);
                        taken
                    });
                    match lent {
                        Ok(taken) => room -= taken,
                        Err(Read::Gone { .. }) => {}
                        Err(read) => panic!("{read:?}"),
                    }
                }
                FeedWrite::Sift { .. } => panic!("it wants everything"),
            }
        }
        false
    }

    /// What stands on the connection, in words; nothing is left over.
    fn said(&mut self) -> Vec<String> {
        assert!(self.write(usize::MAX));
        let mut said = Vec::new();
        let mut rest = &std::mem::take(&mut self.wire)[..];
        while !rest.is_empty() {
            let (bytes, after) = rest.split_at(wire::datagram_len(rest).unwrap());
            let datagram = Datagram::decode(bytes).unwrap();
            let base = datagram.header.base();
            said.push(match datagram.body {
                Body::Heartbeat(_) => format!("heartbeat {base}"),
                Body::End(_) => format!("end {base}"),
                Body::Data(frames) => {
                    assert!(frames.clone().all(|frame| frame.payload == [base.0 as u8; 1_000]));
                    format!("data {base}")
                }
                Body::Gone(gone) => format!("gone {} {:?}", gone[0].range(), gone[0].reason().unwrap()),
                Body::Close(close) => format!("close {:?}", close.reason().unwrap()),
                Body::Welcome(welcome) => format!("welcome {}", welcome.echo.get()),
                other => panic!("{other:?}"),
            });
            rest = after;
        }
        said
    }
}

#[test]
fn each_start_is_greeted_with_where_it_begins() {
    let cases = [(HelloStart::Live, 0, "heartbeat 3"), (HelloStart::At, 3, "heartbeat 3")];
    for (start, from, greeting) in cases {
        let mut rig = Rig::new(SETTINGS);
        rig.publish(3);
        rig.greet(start, from);
        assert_eq!(rig.said(), [greeting]);
        rig.publish(1);
        assert_eq!(rig.said(), ["data 3"]);
    }
    for (start, from) in [(HelloStart::Earliest, 9), (HelloStart::At, 0)] {
        let mut rig = Rig::new(SETTINGS);
        rig.publish(2);
        rig.greet(start, from);
        assert_eq!(rig.said(), ["heartbeat 0", "data 0", "data 1"]);
    }
}

#[test]
fn another_session_begins_at_the_start_of_this_one() {
    let mut rig = Rig::new(SETTINGS);
    rig.publish(1);
    rig.hello(SessionId(1), (HelloStart::At, 5_000), u64::MAX);
    assert_eq!(rig.said(), ["heartbeat 0", "data 0"]);
}

#[test]
fn a_start_that_the_ring_has_lost_is_named_as_gone() {
    for cut_off in [false, true] {
        let mut rig = Rig::new(FeedSettings { cut_off, ..SETTINGS });
        rig.publish(10_000);
        let oldest = rig.ring.oldest();
        assert!(oldest > Offset(5));
        rig.greet(HelloStart::At, 5);
        let said = rig.said();
        let gone = format!("gone 5..{oldest} Overrun");
        assert_eq!(said[..3], ["heartbeat 5".to_owned(), gone, format!("data {oldest}")]);
        assert_eq!(said.last().unwrap(), "data 9999");
        assert_eq!(rig.feed.overruns(), 0);
    }
}

#[test]
fn a_start_beyond_the_end_is_refused() {
    let mut rig = Rig::new(SETTINGS);
    rig.greet(HelloStart::At, 1);
    assert_eq!(rig.said(), ["close Broken"]);
    assert!(rig.feed.is_over());
}

#[test]
fn another_stream_and_what_is_no_hello_are_refused() {
    let mut rig = Rig::new(FeedSettings { stream: StreamId(8), ..SETTINGS });
    rig.greet(HelloStart::Live, 0);
    assert_eq!(rig.said(), ["close Stream"]);
    let mut rig = Rig::new(SETTINGS);
    rig.status(0, 0);
    assert_eq!(rig.said(), ["close Broken"]);
    let mut rig = Rig::new(SETTINGS);
    rig.feed.handle_broken();
    rig.greet(HelloStart::Live, 0);
    assert_eq!(rig.said(), ["close Broken"]);
}

#[test]
fn hello_must_come_within_ten_seconds() {
    let mut rig = Rig::new(SETTINGS);
    assert_eq!(rig.feed.next_timeout(), Some(Time::from_millis(10_000)));
    rig.feed.handle_timeout(Time::from_millis(9_999), &rig.ring, 1);
    assert_eq!(rig.said().len(), 0);
    rig.feed.handle_timeout(Time::from_millis(10_000), &rig.ring, 1);
    assert_eq!(rig.said(), ["close Broken"]);
}

#[test]
fn hello_again_changes_nothing_and_another_one_is_broken() {
    let mut rig = Rig::new(SETTINGS);
    rig.greet(HelloStart::Live, 0);
    rig.greet(HelloStart::Earliest, 0);
    assert_eq!(rig.said(), ["heartbeat 0"]);
    let mut bytes = Vec::new();
    let head = Head { stream: STREAM, session: SESSION, ..Head::default() };
    let other = Hello::new(ReceiverId(1), HelloStart::Live);
    assert!(wire::encode_hello(&mut bytes, &head, &other, &["t"; 0]));
    rig.handle(&bytes);
    assert_eq!(rig.said(), ["close Broken"]);
}

#[test]
fn a_heartbeat_breaks_each_silence_and_never_runs_ahead() {
    let mut rig = Rig::new(SETTINGS);
    rig.greet(HelloStart::Live, 0);
    rig.publish(1);
    rig.now = Time::from_millis(50);
    assert_eq!(rig.said(), ["heartbeat 0", "data 0"]);
    assert_eq!(rig.feed.next_timeout(), Some(Time::from_millis(150)));
    rig.publish(1);
    rig.now = Time::from_millis(150);
    rig.feed.handle_timeout(rig.now, &rig.ring, 1);
    assert_eq!(rig.said(), ["heartbeat 1", "data 1"]);
    assert_eq!(rig.feed.next_timeout(), Some(Time::from_millis(250)));
}

#[test]
fn end_follows_the_last_batch_and_is_confirmed() {
    let mut rig = Rig::new(SETTINGS);
    rig.publish(2);
    rig.greet(HelloStart::Earliest, 0);
    rig.feed.finish();
    assert_eq!(rig.said(), ["heartbeat 0", "data 0", "data 1", "end 2"]);
    assert!(rig.feed.is_over() && !rig.feed.is_confirmed());
    rig.status(1, 0);
    assert!(!rig.feed.is_confirmed());
    rig.status(2, 0);
    assert!(rig.feed.is_confirmed());
}

#[test]
fn a_request_with_an_end_ends_without_end() {
    let mut rig = Rig::new(SETTINGS);
    rig.publish(5);
    rig.hello(SessionId(0), (HelloStart::At, 1), 3);
    assert_eq!(rig.said(), ["heartbeat 1", "data 1", "data 2"]);
    assert!(rig.feed.is_over());
}

#[test]
fn an_overrun_is_named_once_however_long_it_lasts() {
    let mut rig = Rig::new(SETTINGS);
    rig.greet(HelloStart::Live, 0);
    rig.publish(2);
    rig.write(600);
    // The first batch is cut, and evicted; its rest was kept.
    rig.publish(10_000);
    let first = rig.ring.oldest();
    rig.write(100);
    assert_eq!(rig.feed.overruns(), 0);
    // It was never looked at in time.
    rig.publish(10_000);
    let second = rig.ring.oldest();
    assert!(second > first);
    let said = rig.said();
    let gone = format!("gone 1..{second} Overrun");
    assert_eq!(said[..4], ["heartbeat 0".to_owned(), "data 0".to_owned(), gone, format!("data {second}")]);
    assert_eq!(said.last().unwrap(), "data 20001");
    assert_eq!(rig.feed.overruns(), 1);
}

#[test]
fn a_gap_that_waits_to_be_written_grows_in_its_place() {
    let mut rig = Rig::new(SETTINGS);
    rig.greet(HelloStart::Live, 0);
    rig.publish(1);
    assert_eq!(rig.said(), ["heartbeat 0", "data 0"]);
    rig.publish(10_000);
    assert!(matches!(rig.feed.peek(&rig.ring, 1), FeedWrite::Control(_)));
    rig.publish(10_000);
    let oldest = rig.ring.oldest();
    let said = rig.said();
    assert_eq!(said[..2], [format!("gone 1..{oldest} Overrun"), format!("data {oldest}")]);
    assert_eq!(rig.feed.overruns(), 1);
}

#[test]
fn an_evicted_one_is_told_so_and_a_slow_one_is_cut_off() {
    let mut rig = Rig::new(SETTINGS);
    rig.publish(10_000);
    rig.greet(HelloStart::At, 0);
    rig.feed.set_evicted(true);
    assert_eq!(rig.said()[1], format!("gone 0..{} Evicted", rig.ring.oldest()));
    let mut rig = Rig::new(FeedSettings { cut_off: true, ..SETTINGS });
    rig.greet(HelloStart::Live, 0);
    rig.publish(2);
    rig.write(600);
    rig.publish(10_000);
    // It takes nothing, and is cut off all the same.
    rig.feed.handle_timeout(rig.now, &rig.ring, 1);
    assert_eq!(rig.feed.closed(), Some(CloseReason::Slow));
    assert_eq!(rig.said(), ["heartbeat 0", "data 0", "close Slow"]);
}

/// The connection takes the first `cut` bytes, then the ring comes round or does not, then it takes the rest.
#[test]
fn a_partial_write_at_any_byte_leaves_the_bytes_whole() {
    for comes_round in [false, true] {
        for cut in (1..2_400).step_by(if comes_round { 97 } else { 1 }) {
            let mut rig = Rig::new(SETTINGS);
            rig.publish(2);
            rig.greet(HelloStart::Earliest, 0);
            rig.status(0, 5);
            rig.write(cut);
            if comes_round {
                rig.publish(10_000);
            }
            rig.feed.finish();
            let said = rig.said();
            assert_eq!(said[..2], ["heartbeat 0", "welcome 5"]);
            let (mut next, mut is_over) = (0, false);
            for word in &said[2..] {
                let mut words = word.split([' ', '.']).filter(|word| !word.is_empty());
                match (words.next().unwrap(), words.next().unwrap().parse::<u64>().unwrap()) {
                    ("data", at) if at == next => next += 1,
                    ("gone", at) if at == next => next = words.next().unwrap().parse().unwrap(),
                    ("end", at) if at == next => is_over = true,
                    other => panic!("{other:?} at {next}, cut at {cut}"),
                }
            }
            assert_eq!((next, is_over), (rig.ring.sent().0, true), "cut at {cut}");
        }
    }
}

#[test]
fn a_flood_of_reports_keeps_no_memory() {
    let mut rig = Rig::new(SETTINGS);
    rig.greet(HelloStart::Live, 0);
    (0..100_000).for_each(|time| rig.status(0, time + 1));
    assert!(rig.feed.memory() < 16_384, "{}", rig.feed.memory());
    rig.said();
    assert!(rig.feed.memory() < 8_192, "{}", rig.feed.memory());
}

#[test]
fn a_publisher_that_waits_counts_what_is_confirmed() {
    let mut rig = Rig::new(FeedSettings { waits: true, ..SETTINGS });
    rig.greet(HelloStart::Live, 0);
    rig.publish(3);
    assert_eq!(rig.said().len(), 4);
    assert_eq!((rig.feed.position(), rig.feed.taken(&rig.ring)), (Offset(0), Some(0)));
    rig.status(2, 0);
    assert_eq!((rig.feed.position(), rig.feed.taken(&rig.ring)), (Offset(2), rig.ring.charge_at(Offset(2))));
    // Beyond what was written to it there is nothing to confirm.
    rig.status(9, 0);
    assert_eq!(rig.feed.position(), Offset(2));
    let mut free = Rig::new(SETTINGS);
    free.greet(HelloStart::Live, 0);
    free.publish(3);
    free.said();
    assert_eq!(
        (free.feed.position(), free.feed.taken(&free.ring)),
        (Offset(3), Some(free.ring.charge_sent()))
    );
}
