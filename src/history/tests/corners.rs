//! What no larger test looks at: what a claim lends, how far a part of a repair reaches, and callers' mistakes.

use super::*;

#[test]
fn what_was_claimed_is_lent_until_something_else_happens() {
    let (mut writer, ring) = ring(1_400);
    let mut open = writer.open();
    assert!(open.claimed().is_empty() && open.claimed_mut().is_empty());
    open.claim(b"topic", 3).expect("room").copy_from_slice(b"abc");
    assert_eq!(open.claimed(), b"abc");
    open.claimed_mut().copy_from_slice(b"xyz");
    assert_eq!(open.claimed(), b"xyz");
    assert_eq!(open.commit(), Offset(0));
    assert!(
        open.claimed().is_empty() && open.claimed_mut().is_empty(),
        "it counts now, and is nobody's to write"
    );
    open.claim(b"", 2).expect("room").fill(1);
    assert_eq!(open.append(FrameFlags::WHOLE, b"", b"over it"), Some(Offset(1)));
    assert!(open.claimed().is_empty() && open.claimed_mut().is_empty(), "it was written over");
    open.seal(Stamp::default(), false);
    send_all(&mut open);
    drop(open);
    let mut repair = Repair::new();
    assert_eq!(ring.read(range(0, 2), &mut repair), Read::Copied);
    let Body::Data(frames) = Datagram::decode(repair.bytes()).expect("sealed").body else {
        panic!("a batch")
    };
    assert_eq!(frames.map(|frame| frame.payload).collect::<Vec<_>>(), [b"xyz".as_slice(), b"over it"]);
}

#[test]
fn a_claim_of_nothing_is_a_message_of_no_bytes() {
    let (mut writer, _ring) = ring(1_400);
    let mut open = writer.open();
    assert_eq!(open.claim(b"", 0).map(|room| room.len()), Some(0));
    assert_eq!((open.commit(), open.open_bytes()), (Offset(0), HEADER_BYTES + FRAME_BYTES));
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "could_fit"))]
fn a_message_longer_than_a_batch_is_a_mistake() {
    let (mut writer, ring) = ring(1_400);
    let room = ring.batch_room() - FRAME_BYTES;
    assert!(writer.open().append(FrameFlags::WHOLE, b"", &vec![0; room]).is_some(), "just fits");
    writer.open().append(FrameFlags::WHOLE, b"", &vec![0; room + 1]);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "could_fit"))]
fn a_topic_of_more_than_a_byte_counts_is_a_mistake() {
    let (mut writer, _ring) = ring(1_400);
    assert!(writer.open().append(FrameFlags::WHOLE, &[0; 255], b"").is_some(), "just fits");
    writer.open().append(FrameFlags::WHOLE, &[0; 256], b"");
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "could_fit"))]
fn a_claim_longer_than_a_batch_is_a_mistake() {
    let (mut writer, ring) = ring(1_400);
    writer.open().claim(b"topic", ring.batch_room() - FRAME_BYTES - 4);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "would be skipped"))]
fn a_train_with_unsent_messages_is_not_left() {
    let (mut writer, ring) = ring(1_400);
    let mut open = writer.open();
    batch(&mut open, 1, false);
    open.next_train();
    send_all(&mut open);
    assert_eq!(ring.sent(), Offset(1));
}

#[test]
fn the_first_batches_of_a_repair_cover_what_they_say() {
    let (mut writer, ring) = ring(1_400);
    let mut open = writer.open();
    for messages in [2, 3, 1] {
        (0..messages).for_each(|_| assert!(open.append(FrameFlags::WHOLE, b"", b"x").is_some()));
        open.seal(Stamp::default(), false);
    }
    send_all(&mut open);
    drop(open);
    let mut repair = Repair::default();
    assert_eq!(ring.read(range(3, 6), &mut repair), Read::Copied);
    assert_eq!(repair.covers(), range(2, 6));
    let covers = [0, 1, 2].map(|count| repair.covers_first(count));
    assert_eq!(covers, [range(2, 2), range(2, 5), range(2, 6)]);
    assert_eq!(repair.datagrams().map(<[u8]>::len).collect::<Vec<_>>(), [32 + 3 * 5, 32 + 5]);
    repair.clear();
    assert!(repair.bytes().is_empty() && repair.sizes().is_empty() && repair.covers().is_empty());
    assert!(repair.covers_first(1).is_empty());
}

#[test]
fn a_soft_limit_stays_with_its_batch() {
    let (mut writer, _ring) = ring(200);
    let mut open = writer.open();
    batch(&mut open, 10, false);
    open.set_limit(100);
    assert_eq!((open.limit(), open.open_bytes()), (100, HEADER_BYTES));
    open.set_limit(201);
    assert_eq!(open.limit(), 200);
    assert!(!open.is_full_for(200 - HEADER_BYTES) && open.is_full_for(200 - HEADER_BYTES + 1));
}

#[test]
fn charge_is_counted_before_a_mark_is_forgotten() {
    let (mut writer, ring) = ring(1_400);
    let mut open = writer.open();
    assert_eq!((charge(0), charge(100), ring.charge_at(Offset(0))), (1_024, 1_224, Some(0)));
    batch(&mut open, 64, false);
    batch(&mut open, 264, false);
    open.advance(1);
    assert_eq!((ring.charge_sent(), ring.bytes_sent(), ring.batches_sent()), (1_224, 100, 1));
    open.advance(9);
    assert_eq!((ring.charge_sent(), ring.bytes_sent(), ring.batches_sent()), (1_224 + 1_624, 400, 2));
    assert_eq!([0, 1, 2, 3].map(|end| ring.charge_at(Offset(end))), [0, 1_224, 2_848, 2_848].map(Some));
}

#[test]
fn every_train_is_found_in_a_ring_of_any_size() {
    for trains in 8..18 {
        let settings = RingSettings { bytes: trains * TRAIN_BYTES, ..settings(1_400) };
        let (mut writer, ring) = Ring::new(settings);
        for sent in 0..3 * trains as u64 {
            let mut open = writer.open();
            open.next_train();
            batch(&mut open, 8, false);
            send_all(&mut open);
            drop(open);
            let (oldest, mut repair) = ((sent + 1).saturating_sub(trains as u64), Repair::new());
            for offset in oldest..=sent {
                assert_eq!(
                    ring.read(range(offset, offset + 1), &mut repair),
                    Read::Copied,
                    "{offset} of {trains}"
                );
                assert_eq!(repair.covers(), range(offset, offset + 1));
            }
        }
    }
}

/// 1,023 batches lie there, and the open one is the last that the train's index takes.
#[test]
fn the_last_batch_of_an_index_leaves_no_room_behind_it() {
    let (mut writer, _ring) = ring(64);
    let mut open = writer.open();
    (0..1_023).for_each(|_| batch(&mut open, 0, false));
    assert!(open.has_room(), "for the open one itself");
    assert!(open.append(FrameFlags::WHOLE, b"", b"").is_some());
    assert!(!open.has_room());
}

/// What one batch is, when it is lent without padding, and what the marks have forgotten.
#[test]
fn a_batch_is_lent_as_it_stands_on_a_connection() {
    let (mut writer, ring) = ring(1_400);
    let lend = |from| {
        ring.lend(Offset(from), usize::MAX, |lent| lent.map(|one| one.bytes.len()).collect::<Vec<_>>())
    };
    assert_eq!(lend(0), Err(Read::Unsent));
    let mut open = writer.open();
    batch(&mut open, 1_364, false);
    batch(&mut open, 1_300, true);
    assert_eq!(open.unsent().sizes, [1_400, 1_400]);
    send_all(&mut open);
    assert_eq!(lend(0), Err(Read::Busy), "the writer has it");
    drop(open);
    assert_eq!((lend(0), lend(1)), (Ok(vec![1_400, 1_336]), Ok(vec![1_336])));
    let told = ring.lend(Offset(1), 0, |lent| (lent.is_current(), format!("{lent:?}")));
    assert_eq!(told, Ok((true, "Lent { base: Offset(1), charge: 3824, .. }".to_owned())));
}

/// 20,000 batches are more than there are marks for; all of them are held.
#[test]
fn the_charge_of_all_that_is_held_is_known() {
    let (mut writer, ring) = Ring::new(RingSettings { bytes: 32 * TRAIN_BYTES, ..settings(200) });
    for _ in 0..20_000 {
        let mut open = writer.open();
        if !open.has_room() {
            open.next_train();
        }
        batch(&mut open, 8, false);
        send_all(&mut open);
    }
    let one = charge(HEADER_BYTES + FRAME_BYTES + 8);
    assert_eq!((ring.oldest(), ring.charge_at(Offset(5))), (Offset(0), None));
    for end in [0, 1, 5, 1_023, 1_024, 1_025, 11_000, 19_999, 20_000, 20_001] {
        assert_eq!(ring.charge_held(Offset(end)), Some(end.min(20_000) * one), "{end}");
    }
}

/// However full trains are left, and however large datagrams are: within the window nothing is evicted.
#[test]
fn within_its_window_a_ring_evicts_nothing() {
    for datagram in [64, 200, 1_400, 9_000, 20_000, 32_000] {
        for len in [1, 20, datagram / 2, datagram - HEADER_BYTES - FRAME_BYTES] {
            let (mut writer, ring) = Ring::new(RingSettings { bytes: 9 * TRAIN_BYTES, ..settings(datagram) });
            while ring.oldest() == Offset(0) {
                let mut open = writer.open();
                if !open.has_room() {
                    open.next_train();
                }
                batch(&mut open, len.min(datagram - HEADER_BYTES - FRAME_BYTES), false);
                send_all(&mut open);
            }
            assert!(ring.charge_sent() > ring.window(), "{len} in {datagram}");
        }
    }
}
