//! What no larger test looks at: single accessors, each value of a list, where an error points.

use super::*;

#[test]
fn a_peek_tells_kind_and_flags_and_believes_nothing() {
    let kinds = [
        Kind::Data,
        Kind::Data,
        Kind::Data,
        Kind::Heartbeat,
        Kind::End,
        Kind::Nak,
        Kind::Status,
        Kind::Welcome,
        Kind::Gone,
        Kind::Shed,
        Kind::Hello,
        Kind::Close,
        Kind::Rows,
    ];
    for (golden, kind) in GOLDEN.iter().zip(kinds) {
        let mut bytes = hex(golden);
        assert_eq!(Header::peek(&bytes), Some((kind, Flags(bytes[3]))));
        assert_eq!(Header::peek(&bytes[..31]), None);
        bytes[2] = 0x1C;
        assert_eq!(Header::peek(&bytes), None, "no such kind");
    }
}

#[test]
fn a_header_tells_its_length() {
    assert_eq!(decoded(&hex(DATA)).header.length(), 0x17);
    assert_eq!(decoded(&hex(NAK)).header.length(), 0x28);
}

#[test]
fn every_reason_has_its_number() {
    let reasons = [
        GoneReason::Overrun,
        GoneReason::Expired,
        GoneReason::NotDurable,
        GoneReason::Damaged,
        GoneReason::Evicted,
    ];
    for (reason, number) in reasons.into_iter().zip(1..) {
        let entry = GoneEntry::new(range(1, 9), reason);
        assert_eq!((entry.as_bytes()[16], entry.reason()), (number, Some(reason)));
    }
    for number in [0, 6, 255] {
        let mut bytes = hex(GONE);
        bytes[32 + 16] = number;
        twin::reseal(&mut bytes, true);
        assert!(Datagram::decode(&bytes).is_err(), "reason {number}");
    }
}

#[test]
fn every_reason_to_close_and_every_start_has_its_number() {
    let reasons = [
        CloseReason::Stream,
        CloseReason::Full,
        CloseReason::Broken,
        CloseReason::Slow,
        CloseReason::Evicted,
    ];
    let mut bytes = Vec::new();
    for (reason, number) in reasons.into_iter().zip(1..) {
        encode_close(&mut bytes, &HEAD, reason);
        let Body::Close(close) = decoded(&bytes).body else { panic!("a CLOSE") };
        assert_eq!((bytes[32], close.reason()), (number, Some(reason)));
    }
    for (start, number) in [HelloStart::Live, HelloStart::Earliest, HelloStart::At].into_iter().zip(0..) {
        let hello = Hello::new(RECEIVER, start);
        assert!(encode_hello(&mut bytes, &HEAD, &hello, &[] as &[&[u8]]));
        let Body::Hello(read, mut topics) = decoded(&bytes).body else { panic!("a HELLO") };
        assert_eq!((bytes[32 + 16], read.start(), topics.next()), (number, Some(start), None));
        assert_eq!((read.to(), read.is_observer()), (Hello::NO_END, false));
    }
}

/// Start, flags, credentials, and what is kept for later.
#[test]
fn a_hello_says_nothing_that_is_not_known_yet() {
    for (at, value) in [(16, 3), (17, 4), (18, 1), (19, 1), (20, 1), (21, 1), (22, 1), (23, 1)] {
        let mut bytes = hex(HELLO);
        bytes[32 + at] = value;
        twin::reseal(&mut bytes, true);
        assert!(Datagram::decode(&bytes).is_err(), "{value} at {at}");
    }
}

#[test]
fn the_topics_of_a_hello_are_bounded_and_end_with_it() {
    let hello = Hello::new(RECEIVER, HelloStart::Live);
    let (mut bytes, longest) = (Vec::new(), vec![7; TOPIC_BYTES]);
    let mut says = |topics: &[Vec<u8>]| {
        let said = encode_hello(&mut bytes, &HEAD, &hello, topics);
        assert_eq!(said, Datagram::decode(&bytes).is_ok());
        assert_ne!(said, bytes.is_empty());
        said
    };
    assert!(says(&vec![b"t".to_vec(); HELLO_TOPICS]));
    assert!(!says(&vec![b"t".to_vec(); HELLO_TOPICS + 1]));
    assert!(says(&vec![longest.clone(); 255]), "65,280 bytes");
    assert!(!says(&vec![longest; 256]), "65,536 bytes");
    assert!(!says(&[vec![7; TOPIC_BYTES + 1]]));
    let mut bytes = hex(HELLO);
    bytes.extend([2, 1]);
    bytes[12] += 1;
    twin::reseal(&mut bytes, true);
    assert!(Datagram::decode(&bytes).is_err(), "a topic longer than what is left");
}

#[test]
fn a_header_tells_where_the_next_datagram_starts() {
    for golden in GOLDEN {
        let bytes = hex(golden);
        assert_eq!(datagram_len(&bytes[..32]), Ok(bytes.len()));
    }
    let mut bytes = hex(CLOSE);
    assert_eq!(datagram_len(&bytes[..31]), Err(DecodeError::Short { need: 32, got: 31 }));
    (bytes[3], bytes[14], bytes[15]) = (0xFF, 0xFF, 0xFF);
    assert_eq!(datagram_len(&bytes), Ok(32 + 65_535), "nothing else is looked at");
    bytes[2] = 0x2A;
    assert_eq!(datagram_len(&bytes), Err(DecodeError::Version(2)));
    bytes[0] = 0;
    assert_eq!(datagram_len(&bytes), Err(DecodeError::Magic(0x4B00)));
}

#[test]
fn what_is_left_out_is_written_as_it_is_read() {
    let mut room = [0xEE; 5];
    assert_eq!(put_filtered(&mut room, 300), Some(4));
    assert_eq!((room, &room[..4]), ([0x2C, 1, 4, 0, 0xEE], &hex(FILTERED)[32..36]));
    assert_eq!(Frames::new(&room[..4]).next().map(|frame| frame.offsets), Some(300));
    assert_eq!((put_filtered(&mut room, 0), room[0]), (None, 0x2C), "nothing left out is not said");
    assert_eq!(put_filtered(&mut room[..3], 1), None);
}

#[test]
fn a_flag_is_there_or_not() {
    let has = |flags: u16| {
        let status = Status { flags: U16::new(flags), ..status() };
        (status.has(Status::LEAVING), status.has(Status::OBSERVER))
    };
    assert_eq!([0, 1, 2, 3].map(has), [(false, false), (true, false), (false, true), (true, true)]);
    assert!(!FrameFlags::FIRST.has(FrameFlags::WHOLE), "one of two is not both");
    assert!(!Flags::REPAIR.has(Flags(3)));
    assert_eq!(Flags::OPENING.with(Flags::OPENING, true), Flags::OPENING, "twice is once");
    assert_eq!(Flags::OPENING.with(Flags::REPAIR, false), Flags::OPENING);
}

/// The second frame starts at byte 11 of the body, and its length says more than there is.
#[test]
fn an_error_points_at_the_frame_that_breaks_the_format() {
    let mut bytes =
        batch(Flags(0), &[(FrameFlags::WHOLE, b"px", b"hello"), (FrameFlags::WHOLE, b"", b"xy")], None);
    bytes[32 + 11] = 3;
    twin::reseal(&mut bytes, true);
    let error = Datagram::decode(&bytes).expect_err("broken");
    assert_eq!(error, DecodeError::Body { kind: Kind::Data, at: 11 });
    let mut frames = Frames::new(&bytes[32..]);
    assert_eq!((frames.next().is_some(), frames.next(), frames.rest()), (true, None, &bytes[32 + 11..]));
}

#[test]
fn a_frame_has_known_flags_and_its_topic_in_front() {
    let reads = |flags: u8, topic: u8| Frames::new(&[1, 0, flags, topic, 7, 8]).next().is_some();
    assert_eq!([0, 1, 2, 3].map(|flags| reads(flags, 0)), [true; 4]);
    assert_eq!([0, 1, 2, 3].map(|flags| reads(flags, 1)), [false, true, false, true]);
    assert_eq!(
        [4, 5, 7, 8, 9, 11, 255].map(|flags| reads(flags, 0)),
        [true, false, false, false, false, false, false]
    );
    assert!(!reads(4, 1), "what was left out has no topic");
    assert_eq!(Frames::new(&[0, 0, 4, 0]).next(), None, "nothing left out is not said");
}

#[test]
fn a_batch_of_nothing_is_none() {
    let mut bytes = vec![0; HEADER_BYTES];
    seal_batch(&mut bytes, &HEAD, 0);
    assert_eq!(Datagram::decode(&bytes).unwrap_err(), DecodeError::Body { kind: Kind::Data, at: 0 });
}

/// 68 is where the flags are in the body, and 70 what is kept for later.
#[test]
fn a_status_says_nothing_that_is_not_known_yet() {
    for (at, value) in [(68, 8), (69, 1), (70, 1), (71, 1)] {
        let mut bytes = hex(STATUS);
        bytes[32 + at] = value;
        twin::reseal(&mut bytes, true);
        assert!(Datagram::decode(&bytes).is_err(), "{value} at {at}");
    }
}

/// A datagram whose time is cut off, though it says that it bears one.
#[test]
fn half_a_time_is_none() {
    let mut bytes = hex(DATA)[..32 + 7].to_vec();
    twin::reseal(&mut bytes, true);
    let error = Datagram::decode(&bytes).expect_err("broken");
    assert_eq!(error, DecodeError::Body { kind: Kind::Data, at: 7 });
}

#[test]
fn ids_read_as_they_are_searched_for() {
    assert_eq!(StreamId(1_234).to_string(), "1234");
    assert_eq!(SessionId(0x5E55).to_string(), "0000000000005e55");
    assert_eq!(ReceiverId(0xA1).to_string(), "00000000000000a1");
    assert_eq!(format!("{:?}", Token(0xB2)), "Token(00000000000000b2)");
}
