//! The ring as its users see it, by example and from several threads.

mod corners;
mod model;
mod oracle;

use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;

use super::Open;
use super::Read;
use super::Repair;
use super::Ring;
use super::RingSettings;
use super::SEND_BYTES;
use super::Stamp;
use super::TRAIN_BYTES;
use super::Writer;
use super::charge;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::time::Jitter;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::FRAME_BYTES;
use crate::wire::Flags;
use crate::wire::FrameFlags;
use crate::wire::HEADER_BYTES;
use crate::wire::SessionId;
use crate::wire::StreamId;

fn settings(datagram: usize) -> RingSettings {
    RingSettings { bytes: 0, datagram, stream: StreamId(7), session: SessionId(9), timestamps: false }
}

fn ring(datagram: usize) -> (Writer, Arc<Ring>) {
    Ring::new(settings(datagram))
}

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

/// Appends one message of `len` bytes and seals it as a batch of its own.
fn batch(open: &mut Open<'_>, len: usize, full: bool) {
    assert!(open.append(FrameFlags::WHOLE, b"", &vec![5; len]).is_some());
    open.seal(Stamp::default(), full);
}

fn send_all(open: &mut Open<'_>) {
    let waiting = open.unsent().sizes.len();
    open.advance(waiting);
}

/// Publishes the way a publisher does: on a refusal seal, and when the train is full send it and take the next.
fn publish(open: &mut Open<'_>, payload: &[u8]) -> Offset {
    if let Some(offset) = open.append(FrameFlags::WHOLE, b"", payload) {
        return offset;
    }
    open.seal(Stamp::default(), true);
    if !open.has_room() {
        send_all(open);
        open.next_train();
    }
    open.append(FrameFlags::WHOLE, b"", payload).expect("an empty batch takes any message")
}

fn sizes(repair: &Repair) -> Vec<u16> {
    repair.sizes().to_vec()
}

#[test]
fn rings_are_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Ring>();
    shared::<Writer>();
    let (_writer, ring) = Ring::new(RingSettings { bytes: 10 * TRAIN_BYTES + 1, ..settings(1_400) });
    assert_eq!(ring.capacity(), 10 * TRAIN_BYTES);
    assert_eq!(ring.batch_room(), 1_400 - HEADER_BYTES);
    assert_eq!(Ring::new(settings(1)).1.batch_room(), 64 - HEADER_BYTES);
    assert_eq!(Ring::new(settings(usize::MAX)).1.batch_room(), SEND_BYTES - HEADER_BYTES);
}

#[test]
fn equal_batches_make_one_run_of_46() {
    let (mut writer, ring) = ring(1_400);
    let mut open = writer.open();
    while open.has_room() {
        batch(&mut open, 1_400 - HEADER_BYTES - FRAME_BYTES, true);
    }
    let run = open.unsent();
    assert_eq!((run.sizes, run.bytes.len()), ([1_400; 46].as_slice(), 64_400));
    assert_eq!((ring.next(), ring.sent()), (Offset(46), Offset(0)));
    send_all(&mut open);
    assert_eq!(open.unsent().bytes.len(), 0);
    assert_eq!((ring.sent(), ring.bytes_sent(), ring.batches_sent()), (Offset(46), 64_400, 46));
    assert_eq!(ring.charge_sent(), 46 * charge(1_400));
}

/// 36 bytes of header and frame go on top of each length.
#[test]
fn full_batches_are_padded_where_it_is_cheap() {
    let (mut writer, _ring) = ring(1_400);
    let mut open = writer.open();
    let lens = [1_284, 1_270, 1_284, 1_200, 1_290, 1_310, 900, 880, 840];
    lens.iter().for_each(|&len| batch(&mut open, len, true));
    assert_eq!(open.unsent().sizes, [1_320, 1_320, 1_320, 1_236, 1_400, 1_400, 936, 936, 936 - 60]);
    batch(&mut open, 835, false);
    assert_eq!(open.unsent().sizes.last(), Some(&871), "not full: no padding");
    send_all(&mut open);
    batch(&mut open, 830, true);
    assert_eq!(open.unsent().sizes, [866], "nothing waits that it could leave with");
    [1_244, 1_164, 1_165].iter().for_each(|&len| batch(&mut open, len, true));
    assert_eq!(open.unsent().sizes[1..], [1_280, 1_200, 1_201], "a sixteenth is not under a sixteenth");
}

#[test]
fn padding_is_zero_though_the_train_was_used_before() {
    let (mut writer, ring) = ring(1_400);
    for _ in 0..3 * ring.capacity() / 1_400 {
        publish(&mut writer.open(), &[0xFF; 1_364]);
    }
    let mut open = writer.open();
    open.seal(Stamp::default(), true);
    send_all(&mut open);
    open.next_train();
    batch(&mut open, 1_364, true);
    batch(&mut open, 1_300, true);
    let run = open.unsent();
    assert_eq!(run.sizes, [1_400, 1_400]);
    assert!(run.bytes[2_800 - 64..].iter().all(|&byte| byte == 0));
    Datagram::decode(&run.bytes[1_400..]).expect("padding is not parsed");
}

#[test]
fn a_soft_limit_refuses_early_and_a_hard_one_for_good() {
    let (mut writer, _ring) = ring(1_400);
    let mut open = writer.open();
    assert_eq!((open.limit(), open.open_bytes()), (1_400, 32));
    open.set_limit(32 + 14);
    assert!(open.append(FrameFlags::WHOLE, b"", &[1; 10]).is_some());
    assert_eq!(open.append(FrameFlags::WHOLE, b"", &[1; 10]), None);
    assert!(!open.is_full_for(14));
    open.set_limit(usize::MAX);
    assert_eq!(open.limit(), 1_400);
    assert!(open.append(FrameFlags::WHOLE, b"", &[1; 10]).is_some());
    assert!(open.is_full_for(1_400));
    open.set_limit(0);
    assert_eq!(open.append(FrameFlags::WHOLE, b"", &[]), None);
    open.seal(Stamp::default(), false);
    assert_eq!((open.limit(), open.open_messages()), (1_400, 0), "a new batch starts with the hard limit");
}

#[test]
fn a_claim_counts_when_committed_and_not_before() {
    let (mut writer, ring) = ring(1_400);
    let mut open = writer.open();
    open.claim(b"never", 100).expect("room").fill(1);
    open.claim(b"topic", 3).expect("room").copy_from_slice(b"abc");
    assert_eq!((open.open_messages(), open.commit(), open.open_messages()), (0, Offset(0), 1));
    open.claim(b"", 9).expect("room").fill(2);
    assert_eq!(open.append(FrameFlags::WHOLE, b"", b"over it"), Some(Offset(1)));
    open.claim(b"", 9).expect("room").fill(3);
    open.seal(Stamp { flags: Flags::OPENING, timestamp: None }, false);
    send_all(&mut open);
    open.seal(Stamp::default(), false);
    assert_eq!(open.unsent().sizes, [0; 0], "the claim was forgotten");
    drop(open);
    let mut repair = Repair::new();
    assert_eq!(ring.read(range(0, 9), &mut repair), Read::Copied);
    let datagram = Datagram::decode(repair.bytes()).expect("sealed");
    assert_eq!(datagram.header.flags(), Flags(Flags::OPENING.0 | Flags::REPAIR.0));
    let Body::Data(frames) = datagram.body else { panic!("a batch") };
    let messages: Vec<_> = frames.map(|frame| (frame.topic, frame.payload)).collect();
    assert_eq!(messages, [(b"topic".as_slice(), b"abc".as_slice()), (b"", b"over it")]);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "nothing is claimed"))]
fn a_commit_without_a_claim_is_a_mistake() {
    let (mut writer, _ring) = ring(1_400);
    writer.open().commit();
}

#[test]
fn a_hold_is_the_same_until_something_happens() {
    let (mut writer, ring) = ring(1_400);
    publish(&mut writer.open(), b"one");
    assert_eq!(ring.next(), Offset(0), "publishing touches no atomic");
    let held = writer.open().held();
    assert_eq!((held.train, held.messages, held.bytes, held.end), (0, 1, 39, Offset(1)));
    assert_eq!(ring.next(), Offset(1));
    let mut tail = ring.try_tail().expect("nobody holds it");
    assert!(ring.try_tail().is_none());
    assert_eq!(tail.held(), held);
    tail.seal(Stamp::default(), false);
    assert_eq!(tail.held(), held);
    send_all(&mut tail);
    assert_eq!(tail.held().messages, 0);
}

#[test]
fn the_oldest_train_goes_first_and_whole() {
    let (mut writer, ring) = ring(60_000);
    for _ in 0..8 {
        publish(&mut writer.open(), &[1; 50_000]);
    }
    let mut open = writer.open();
    open.seal(Stamp::default(), true);
    send_all(&mut open);
    assert_eq!((ring.oldest(), ring.sent()), (Offset(0), Offset(8)));
    open.next_train();
    assert_eq!(ring.oldest(), Offset(1));
    open.next_train();
    assert_eq!(ring.oldest(), Offset(1), "an empty train needs no other");
    drop(open);
    let mut repair = Repair::new();
    assert_eq!(ring.read(range(0, 8), &mut repair), Read::Gone { oldest: Offset(1) });
    assert_eq!(ring.read(range(8, 9), &mut repair), Read::Unsent);
    assert_eq!(ring.read(range(1, 8), &mut repair), Read::Copied);
    assert_eq!((repair.covers(), sizes(&repair)), (range(1, 2), vec![50_036]), "one train at a time");
    assert_eq!(ring.read(range(3, 3), &mut repair), Read::Copied);
    assert!(repair.covers().is_empty() && repair.bytes().is_empty());
}

#[test]
fn the_train_at_work_is_busy_and_older_ones_are_not() {
    let (mut writer, ring) = ring(60_000);
    for _ in 0..3 {
        publish(&mut writer.open(), &[1; 50_000]);
    }
    let mut open = writer.open();
    open.seal(Stamp::default(), true);
    send_all(&mut open);
    let mut repair = Repair::new();
    assert_eq!(ring.read(range(2, 3), &mut repair), Read::Busy);
    assert_eq!(ring.read(range(1, 3), &mut repair), Read::Copied);
    drop(open);
    assert_eq!(ring.read(range(2, 3), &mut repair), Read::Copied);
}

#[test]
fn small_batches_fill_a_train_by_their_number() {
    let (mut writer, _ring) = ring(64);
    let mut open = writer.open();
    while open.has_room() {
        batch(&mut open, 0, false);
    }
    assert_eq!(open.unsent().sizes.len(), 1_024);
    assert!(open.append(FrameFlags::WHOLE, b"", b"").is_none());
}

/// Sums over all batches, for every offset, beyond what the marks remember.
#[test]
fn charge_at_is_the_sum_of_what_ends_before() {
    let (mut writer, ring) = ring(1_400);
    let (mut ends, mut jitter) = (vec![(0, 0)], Jitter::new(5));
    for _ in 0..10_000 {
        let mut open = writer.open();
        for _ in 0..jitter.bits() % 4 + 1 {
            publish(&mut open, &vec![0; (jitter.bits() % 40) as usize]);
        }
        open.seal(Stamp::default(), false);
        let run = open.unsent();
        let paid: u64 = run.sizes.iter().map(|&size| charge(usize::from(size))).sum();
        assert_eq!(run.sizes.len(), 1);
        ends.push((open.held().end.0, ends.last().map_or(0, |last| last.1) + paid));
        send_all(&mut open);
        if !open.has_room() {
            open.next_train();
        }
    }
    assert_eq!(ends.last(), Some(&(ring.sent().0, ring.charge_sent())));
    let oldest = ends[ends.len() - 8_191].0;
    for offset in 0..ring.sent().0 + 3 {
        let slow = ends[ends.partition_point(|&(end, _)| end <= offset) - 1].1;
        assert_eq!(ring.charge_at(Offset(offset)), (offset >= oldest).then_some(slow), "{offset}");
    }
}

/// Reads `want` and checks each batch that comes back: it decodes, follows the last, and holds its offsets.
fn read_and_check(ring: &Ring, want: OffsetRange, repair: &mut Repair) -> Read {
    let read = ring.read(want, repair);
    let mut next = repair.covers().from;
    for bytes in repair.datagrams() {
        let datagram = Datagram::decode(bytes).expect("what was sealed decodes");
        assert!(datagram.header.flags().has(Flags::REPAIR));
        assert_eq!(datagram.header.base(), next);
        let Body::Data(frames) = datagram.body else { panic!("a batch") };
        for frame in frames {
            assert_eq!(frame.payload, next.0.to_le_bytes());
            next = next.plus(1);
        }
    }
    assert_eq!(next, repair.covers().to);
    match read {
        Read::Copied => assert!(repair.covers().contains(want.from)),
        Read::Gone { oldest } => assert!(want.from < oldest),
        Read::Busy | Read::Unsent => assert!(repair.covers().is_empty()),
    }
    read
}

/// Ends the other threads of a test, also when it fails.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One thread publishes, one sends tails and turns trains, two read at random; the ring is lapped many times.
#[test]
fn readers_get_what_was_published_while_it_goes_on() {
    const READS: u64 = 3_000;
    const MESSAGES: u64 = 8_000_000;
    let (mut writer, ring) = ring(1_400);
    let (reads, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let read_on = |seed| {
        let (mut repair, mut jitter) = (Repair::new(), Jitter::new(seed));
        while !done.load(Ordering::Relaxed) {
            let (oldest, sent) = (ring.oldest(), ring.sent());
            let from = oldest.plus(jitter.bits() % (sent.since(oldest) + 1));
            let want = OffsetRange::run(from, jitter.bits() % 3_000 + 1);
            if read_and_check(&ring, want, &mut repair) == Read::Copied {
                reads.fetch_add(1, Ordering::Relaxed);
            }
            assert!(ring.charge_at(ring.sent()).is_some());
        }
    };
    let send_tails = || {
        while !done.load(Ordering::Relaxed) {
            let Some(mut tail) = ring.try_tail() else { continue };
            tail.seal(Stamp::default(), false);
            send_all(&mut tail);
            tail.next_train();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| read_on(1));
        scope.spawn(|| read_on(2));
        scope.spawn(send_tails);
        let _finally = Finally(&done);
        let mut offset = 0;
        while offset < MESSAGES && (offset < 100_000 || reads.load(Ordering::Relaxed) < READS) {
            assert_eq!(publish(&mut writer.open(), &offset.to_le_bytes()), Offset(offset));
            offset += 1;
        }
    });
    let (mut from, mut repair) = (ring.oldest(), Repair::new());
    while from < ring.sent() {
        assert_eq!(read_and_check(&ring, OffsetRange::new(from, ring.sent()), &mut repair), Read::Copied);
        from = repair.covers().to;
    }
}

/// Every batch is a train, so the trains come round as fast as they can, and all readers want the oldest.
#[test]
fn a_train_that_comes_round_is_not_taken_for_the_old_one() {
    let (mut writer, ring) = ring(1_400);
    let done = AtomicBool::new(false);
    let read_oldest = || {
        let mut repair = Repair::new();
        while !done.load(Ordering::Relaxed) {
            read_and_check(&ring, OffsetRange::run(ring.oldest(), 1), &mut repair);
        }
    };
    thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(read_oldest)));
        let _finally = Finally(&done);
        for offset in 0..100_000_u64 {
            let mut open = writer.open();
            publish(&mut open, &offset.to_le_bytes());
            open.seal(Stamp::default(), false);
            send_all(&mut open);
            open.next_train();
        }
    });
    assert_eq!((ring.oldest(), ring.sent()), (Offset(100_000 - 7), Offset(100_000)));
}
