//! What a publisher's two threads share, in every order in which they can meet: `scripts/loom`.
//!
//! The ring is the real one, over loom's mutexes and atomics, with 3 trains and 3 marks, of which 2 can be read, so
//! that it comes round at once. Each model's comment says what breaks it; `docs/testing.md` lists what was broken to see it found.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use loom::model::Builder;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering;
use loom::thread;
use loom::thread::JoinHandle;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::history::Open;
use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::Stamp;
use nakcast::history::Writer;
use nakcast::history::charge;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::FrameFlags;

/// One message with an 8-byte payload, alone in its datagram.
const BATCH: usize = 32 + 4 + 8;

/// All orders with at most so many switches away from a thread that could have gone on. Bugs of this kind need one or
/// two; `LOOM_MAX_PREEMPTIONS` sets another bound.
const PREEMPTIONS: usize = 3;

/// Which thread goes first in the first execution. Loom finds the others from there, by the last access to each object:
/// a thread that loads what it then stores hides that another loaded it, too, so each model starts from both ends.
#[derive(Clone, Copy)]
enum First {
    Main,
    Spawned,
}

fn model(body: impl Fn(First) + Copy + Sync + Send + 'static) {
    for first in [First::Main, First::Spawned] {
        let mut builder = Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
        builder.check(move || body(first));
    }
}

impl First {
    fn spawn(self, body: impl FnOnce() + 'static) -> JoinHandle<()> {
        let spawned = thread::spawn(body);
        if matches!(self, Self::Spawned) {
            thread::yield_now();
        }
        spawned
    }
}

fn ring() -> (Writer, Arc<Ring>) {
    let (stream, session) = (StreamId(1), SessionId(2));
    Ring::new(RingSettings { bytes: 0, datagram: 64, stream, session, timestamps: false })
}

/// Publishes one message, which says its offset, as a batch of its own.
fn publish(open: &mut Open<'_>, offset: u64) {
    assert_eq!(open.append(FrameFlags::WHOLE, b"", &offset.to_le_bytes()), Some(Offset(offset)));
    open.seal(Stamp::default(), false);
    open.advance(1);
}

/// Publishes `offsets`, each in a train of its own.
fn fill(writer: &mut Writer, offsets: core::ops::Range<u64>) {
    for offset in offsets {
        let mut open = writer.open();
        open.next_train();
        publish(&mut open, offset);
    }
}

/// Reads one message and checks that what comes back is what was published, whole.
fn read(ring: &Ring, offset: u64) -> Read {
    let mut repair = Repair::new();
    let read = ring.read(OffsetRange::run(Offset(offset), 1), &mut repair);
    let offsets: Vec<u64> = repair.datagrams().map(offset_in).collect();
    let expected = if read == Read::Copied { vec![offset] } else { Vec::new() };
    assert_eq!((offsets, repair.covers().len()), (expected.clone(), expected.len() as u64));
    read
}

/// The offset that a batch of one message bears in its header and says in its payload.
fn offset_in(bytes: &[u8]) -> u64 {
    let datagram = Datagram::decode(bytes).expect("whole bytes");
    let Body::Data(mut frames) = datagram.body else { panic!("a batch") };
    let payload = frames.next().expect("a message").payload;
    assert_eq!(payload, datagram.header.base().0.to_le_bytes());
    datagram.header.base().0
}

fn sent(batches: u64) -> u64 {
    batches * charge(BATCH)
}

/// A batch is read whole or not at all while it is appended, sealed and sent; and whoever has seen `sent` move finds
/// the totals and the marks at least as far on. Broken by a `sent` that is stored first, or without release.
#[test]
fn what_counts_as_sent_is_whole_and_counted() {
    model(|first| {
        let (mut writer, ring) = ring();
        let writing = first.spawn(move || {
            let mut open = writer.open();
            publish(&mut open, 0);
            publish(&mut open, 1);
        });
        let seen = ring.sent();
        assert!(ring.batches_sent() >= seen.0);
        assert!(ring.charge_sent() >= sent(seen.0));
        assert_eq!(ring.charge_at(seen).unwrap_or(sent(seen.0)), sent(seen.0));
        match read(&ring, 0) {
            Read::Copied | Read::Busy => {}
            Read::Unsent => assert_eq!(seen, Offset(0)),
            Read::Gone { oldest } => panic!("nothing was evicted: {oldest}"),
        }
        writing.join().unwrap();
        assert_eq!((ring.sent(), ring.charge_at(Offset(2))), (Offset(2), Some(sent(2))));
        assert_eq!(
            (read(&ring, 0), read(&ring, 1), read(&ring, 2)),
            (Read::Copied, Read::Copied, Read::Unsent)
        );
    });
}

/// The train that is evicted is read whole, or gone, and then nothing before it comes back; `Busy` only while its
/// bytes are at work. Broken by a reader that does not look again at what its train holds once it has the lock.
#[test]
fn an_evicted_train_is_whole_or_gone() {
    model(|first| {
        let (mut writer, ring) = ring();
        fill(&mut writer, 0..3);
        let writing = first.spawn(move || fill(&mut writer, 3..4));
        match read(&ring, 0) {
            Read::Copied | Read::Busy => {}
            Read::Gone { oldest } => {
                assert_eq!((oldest, ring.oldest()), (Offset(1), Offset(1)));
                assert_eq!(read(&ring, 1), Read::Copied);
            }
            Read::Unsent => panic!("it was sent long ago"),
        }
        writing.join().unwrap();
        assert_eq!(read(&ring, 0), Read::Gone { oldest: Offset(1) });
        assert_eq!(read(&ring, 3), Read::Copied);
    });
}

/// Eviction disturbs nobody who reads another train: a middle one, or the one that was current until then, while its
/// successor is at work. Broken by a `tail` that is stored before the base of its train, or without release.
#[test]
fn an_eviction_disturbs_no_other_train() {
    model(|first| {
        let (mut writer, ring) = ring();
        let is_left = Arc::new(AtomicBool::new(false));
        let left = Arc::clone(&is_left);
        fill(&mut writer, 0..3);
        let writing = first.spawn(move || {
            let mut open = writer.open();
            open.next_train();
            left.store(true, Ordering::Relaxed);
            publish(&mut open, 3);
        });
        let wanted = if is_left.load(Ordering::Relaxed) { 2 } else { 1 };
        assert_eq!(read(&ring, wanted), Read::Copied, "{wanted}");
        writing.join().unwrap();
    });
}

/// Once the bytes of a train are overwritten, whoever notices also knows the oldest offset that is left, so it is told
/// `Gone` and not to ask again. Broken by an `oldest` that moves after the lock is given back.
#[test]
fn an_overwritten_train_is_below_oldest() {
    model(|first| {
        let (mut writer, ring) = ring();
        fill(&mut writer, 0..3);
        let writing = first.spawn(move || fill(&mut writer, 3..4));
        let is_started = ring.try_tail().is_some_and(|open| open.held().train == 3);
        assert!(!is_started || read(&ring, 0) == Read::Gone { oldest: Offset(1) });
        writing.join().unwrap();
    });
}

/// Two append: the background thread sends a tail and goes on to the next train while the owner wants to go on with the
/// old one. Every offset is given once and read back in order. Broken by an `open` that does not look again at which
/// train is current once it has the lock.
#[test]
fn a_tail_sent_by_another_thread_loses_no_message() {
    model(|first| {
        let (mut writer, ring) = ring();
        assert!(writer.open().append(FrameFlags::WHOLE, b"", &0_u64.to_le_bytes()).is_some());
        let tails = Arc::clone(&ring);
        let sending = first.spawn(move || {
            let Some(mut tail) = tails.try_tail() else { return };
            tail.seal(Stamp::default(), false);
            tail.advance(1);
            tail.next_train();
        });
        let mut open = writer.open();
        open.seal(Stamp::default(), false);
        let unsent = open.unsent().sizes.len();
        open.advance(unsent);
        publish(&mut open, 1);
        drop(open);
        sending.join().unwrap();
        assert_eq!((ring.sent(), ring.next()), (Offset(2), Offset(2)));
        assert_eq!((read(&ring, 0), read(&ring, 1)), (Read::Copied, Read::Copied));
        assert_eq!((ring.charge_sent(), ring.batches_sent()), (sent(2), 2));
    });
}

/// The other way round: the owner goes on to the next train while the background thread looks for a tail. What was sent
/// stays sent. Broken by a `try_tail` that does not look again at which train is current once it has the lock.
#[test]
fn a_train_that_its_owner_left_has_no_tail() {
    model(|first| {
        let (mut writer, ring) = ring();
        let owning = first.spawn(move || {
            let mut open = writer.open();
            publish(&mut open, 0);
            open.next_train();
            publish(&mut open, 1);
        });
        if let Some(mut tail) = ring.try_tail() {
            tail.seal(Stamp::default(), false);
            let unsent = tail.unsent().sizes.len();
            tail.advance(unsent);
        }
        owning.join().unwrap();
        assert_eq!((ring.sent(), ring.next(), ring.batches_sent()), (Offset(2), Offset(2), 2));
        assert_eq!((read(&ring, 0), read(&ring, 1)), (Read::Copied, Read::Copied));
    });
}

/// With 3 marks, of which 2 can be read, a reader is lapped while it searches: it answers with the right charge, or
/// that it is no longer known. Broken by the want of either fence, or of the release of `finished`.
#[test]
fn a_charge_is_right_or_unknown() {
    model(|first| {
        let (mut writer, ring) = ring();
        let writing = first.spawn(move || {
            let mut open = writer.open();
            (0..3).for_each(|offset| publish(&mut open, offset));
        });
        for offset in [0, 1] {
            let charge = ring.charge_at(Offset(offset));
            // Marks that are not there yet are not looked at, so an earlier one may be the latest that is known.
            let known = (0..=offset).map(sent).collect::<Vec<_>>();
            assert!(charge.is_none_or(|charge| known.contains(&charge)), "{offset}: {charge:?}");
        }
        writing.join().unwrap();
        let charges = [0, 1, 2, 3].map(|offset| ring.charge_at(Offset(offset)));
        assert_eq!(charges, [None, None, Some(sent(2)), Some(sent(3))]);
    });
}

/// A hold is never abandoned: the first message after a send raises the alert while it has the train; the background
/// thread takes the alert down, and then looks once more. The ring is the real one; the alert follows
/// `src/publisher` step by step, since the type that has it there has sockets, too. Broken by a last look before the
/// alert is down.
#[test]
fn a_hold_and_an_alert_do_not_miss_each_other() {
    model(|first| {
        let (mut writer, ring) = ring();
        let alert = Arc::new(AtomicBool::new(true));
        let raised = Arc::clone(&alert);
        let publishing = first.spawn(move || {
            let mut open = writer.open();
            assert!(open.append(FrameFlags::WHOLE, b"", &0_u64.to_le_bytes()).is_some());
            if !raised.load(Ordering::Relaxed) {
                raised.swap(true, Ordering::SeqCst);
            }
        });
        alert.store(false, Ordering::SeqCst);
        let has_moved = ring.try_tail().is_none_or(|open| open.held().messages > 0);
        if has_moved {
            alert.store(true, Ordering::SeqCst);
        }
        publishing.join().unwrap();
        assert!(alert.load(Ordering::SeqCst), "a message waits, and nobody looks after it");
    });
}
