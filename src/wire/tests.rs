//! Golden bytes of every kind, and the decoder against a naive twin.

mod corners;
mod rows;
mod twin;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use super::*;
use crate::offset::Offset;
use crate::offset::OffsetRange;

const HEAD: Head = Head {
    stream: StreamId(0x1122_3344),
    session: SessionId(0x0102_0304_0506_0708),
    base: Offset(0x1112_1314_1516_1718),
    flags: Flags(0),
};
const RECEIVER: ReceiverId = ReceiverId(0xA1A2_A3A4_A5A6_A7A8);
const TOKEN: Token = Token(0xB1B2_B3B4_B5B6_B7B8);

// Made from the page in `wire/mod.rs` by a script that shares no code with this crate (struct and zlib of Python).
// First line: magic, version and kind, flags, checksum, stream, count, length, session, base.
const DATA: &str = "4e4b 11 06 2e5a451d 44332211 0200 1700 0807060504030201 1817161514131211
    c8c7c6c5c4c3c2c1  0500 03 02 7078 68656c6c6f  0000 03 00";
const FRAGMENTS: &str = "4e4b 11 00 a71102d0 44332211 0300 1200 0807060504030201 1817161514131211
    0200 01 01 74 6162  0200 00 00 6364  0100 02 00 65";
const FILTERED: &str = "4e4b 11 01 df311b0a 44332211 2d01 0900 0807060504030201 1817161514131211
    2c01 04 00  0100 03 00 78";
const HEARTBEAT: &str = "4e4b 12 02 9fbcb494 44332211 0000 1800 0807060504030201 1817161514131211
    2827262524232221 34333231 44434241 5251 6261 0300 0000";
const END: &str = "4e4b 13 00 ab75a068 44332211 0000 1800 0807060504030201 1817161514131211
    2827262524232221 34333231 44434241 5251 6261 0300 0000";
const NAK: &str = "4e4b 14 00 a1281745 44332211 0200 2800 0807060504030201 1817161514131211
    a8a7a6a5a4a3a2a1 b8b7b6b5b4b3b2b1  0500000000000000 02000000  0001000000000000 04030201";
const STATUS: &str = "4e4b 15 00 f23a50ed 44332211 0000 4800 0807060504030201 1817161514131211
    a8a7a6a5a4a3a2a1 b8b7b6b5b4b3b2b1 d8d7d6d5d4d3d2d1 04030201 14131211 2100000000000000 3100000000000000
    4100000000000000 5100000000000000 64636261 0300 0000";
const WELCOME: &str = "4e4b 16 00 aa608c04 44332211 0000 1800 0807060504030201 1817161514131211
    a8a7a6a5a4a3a2a1 b8b7b6b5b4b3b2b1 d8d7d6d5d4d3d2d1";
const GONE: &str = "4e4b 17 00 b04cc624 44332211 0200 3000 0807060504030201 1817161514131211
    0100000000000000 0900000000000000 01 00000000000000
    0001000000000000 0002000000000000 05 00000000000000";
const SHED: &str = "4e4b 18 00 932dc9c9 44332211 0200 2800 0807060504030201 1817161514131211
    a8a7a6a5a4a3a2a1 04030201 00000000  0500000000000000 02000000  0001000000000000 04030201";
const HELLO: &str = "4e4b 19 00 d410561a 44332211 0200 1c00 0807060504030201 1817161514131211
    a8a7a6a5a4a3a2a1 e8e7e6e5e4e3e2e1 02 01 0000 00000000  02 7078  00";
const CLOSE: &str = "4e4b 1a 00 af89d113 44332211 0000 0800 0807060504030201 1817161514131211
    0500 000000000000";
const ROWS: &str = "4e4b 1b 00 2d5c8888 44332211 0200 b800 0807060504030201 1817161514131211
    07000000 00000000
    0500000000000000 1200000000000000 2200000000000000 3200000000000000 4200000000000000 5200000000000000
    64636261 74737271 04030201 14131211 00000000000000000000ffff0a000001 8281 0f00 00000000
    a8a7a6a5a4a3a2a1 1200000000000000 2200000000000000 3200000000000000 4200000000000000 5200000000000000
    64636261 74737271 04030201 14131211 fd000000000000000000000000000007 8281 0100 00000000";
const GOLDEN: [&str; 13] =
    [DATA, FRAGMENTS, FILTERED, HEARTBEAT, END, NAK, STATUS, WELCOME, GONE, SHED, HELLO, CLOSE, ROWS];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// What an encoder writes, which must be `golden`.
fn written(golden: &str, encode: impl FnOnce(&mut Vec<u8>)) {
    let mut out = vec![0xEE; 200];
    encode(&mut out);
    assert_eq!(out, hex(golden));
}

fn decoded(bytes: &[u8]) -> Datagram<'_> {
    let datagram = Datagram::decode(bytes).expect("a datagram of ours");
    let header = datagram.header;
    assert_eq!((header.stream(), header.session(), header.base()), (HEAD.stream, HEAD.session, HEAD.base));
    datagram
}

/// A sealed batch of `frames`, each with how many offsets it covers.
fn batch(flags: Flags, frames: &[(FrameFlags, &[u8], &[u8])], timestamp: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.extend(timestamp.map(u64::to_le_bytes).iter().flatten());
    for &(flags, topic, payload) in frames {
        let at = bytes.len();
        bytes.resize(at + FRAME_BYTES + topic.len() + payload.len(), 0xEE);
        assert_eq!(put_frame(&mut bytes[at..], flags, topic, payload), Some(bytes.len() - at));
    }
    let flags = flags.with(Flags::TIMESTAMP, timestamp.is_some());
    seal_batch(&mut bytes, &Head { flags, ..HEAD }, frames.len() as u16);
    bytes
}

fn frames<'a>(datagram: &Datagram<'a>) -> Vec<Frame<'a>> {
    let Body::Data(frames) = datagram.body else { panic!("{:?}", datagram.body) };
    frames.collect()
}

fn frame<'a>(flags: FrameFlags, topic: &'a [u8], payload: &'a [u8]) -> Frame<'a> {
    Frame { flags, topic, payload, offsets: 1 }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        oldest: U64::new(0x2122_2324_2526_2728),
        receivers: U32::new(0x3132_3334),
        grtt_us: U32::new(0x4142_4344),
        status_ms: U16::new(0x5152),
        tcp_port: U16::new(0x6162),
        flags: U16::new(Heartbeat::POLL | Heartbeat::BLOCK),
        zero: U16::ZERO,
    }
}

fn status() -> Status {
    Status {
        receiver: U64::new(RECEIVER.0),
        token: U64::new(TOKEN.0),
        time: U64::new(0xD1D2_D3D4_D5D6_D7D8),
        window: U32::new(0x0102_0304),
        rtt_us: U32::new(0x1112_1314),
        delivered: U64::new(0x21),
        lost: U64::new(0x31),
        naks: U64::new(0x41),
        kernel_drops: U64::new(0x51),
        lag_us: U32::new(0x6162_6364),
        flags: U16::new(Status::LEAVING | Status::OBSERVER),
        zero: U16::ZERO,
    }
}

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

fn ranges() -> [RangeEntry; 2] {
    [range(5, 7), range(0x100, 0x100 + 0x0102_0304)].map(RangeEntry::new)
}

fn gone() -> [GoneEntry; 2] {
    [
        GoneEntry::new(range(1, 9), GoneReason::Overrun),
        GoneEntry::new(range(0x100, 0x200), GoneReason::Evicted),
    ]
}

#[test]
fn golden_batches() {
    const { assert!(HEADER_BYTES == 32) };
    let (whole, first, last) = (FrameFlags::WHOLE, FrameFlags::FIRST, FrameFlags::LAST);
    let middle = FrameFlags::default();
    let time = Some(0xC1C2_C3C4_C5C6_C7C8);
    assert_eq!(batch(Flags::OPENING, &[(whole, b"px", b"hello"), (whole, b"", b"")], time), hex(DATA));
    let parts: [(_, &[u8], &[u8]); 3] = [(first, b"t", b"ab"), (middle, b"", b"cd"), (last, b"", b"e")];
    assert_eq!(batch(Flags(0), &parts, None), hex(FRAGMENTS));

    let bytes = hex(DATA);
    let data = decoded(&bytes);
    assert_eq!((data.timestamp, data.header.flags()), (time, Flags(6)));
    assert_eq!(frames(&data), [frame(whole, b"px", b"hello"), frame(whole, b"", b"")]);
    assert_eq!(data.header.range(), OffsetRange::run(HEAD.base, 2));
    let bytes = hex(FRAGMENTS);
    assert_eq!(
        frames(&decoded(&bytes)),
        [frame(first, b"t", b"ab"), frame(middle, b"", b"cd"), frame(last, b"", b"e")]
    );
    let bytes = hex(FILTERED);
    let filtered = decoded(&bytes);
    let left_out = Frame { flags: FrameFlags::FILTERED, topic: b"", payload: b"", offsets: 300 };
    assert_eq!(frames(&filtered), [left_out, frame(whole, b"", b"x")]);
    assert_eq!((filtered.header.count(), filtered.header.flags()), (301, Flags::REPAIR));
}

#[test]
fn golden_words_of_a_publisher() {
    let opening = Head { flags: Flags::OPENING, ..HEAD };
    written(HEARTBEAT, |out| encode_heartbeat(out, &opening, &heartbeat()));
    written(END, |out| encode_end(out, &HEAD, &heartbeat()));
    written(GONE, |out| encode_gone(out, &HEAD, &gone()));
    written(SHED, |out| encode_shed(out, &HEAD, RECEIVER, 0x0102_0304, &ranges()));
    assert!(matches!(decoded(&hex(HEARTBEAT)).body, Body::Heartbeat(body) if *body == heartbeat()));
    assert!(matches!(decoded(&hex(END)).body, Body::End(body) if *body == heartbeat()));
    let bytes = hex(GONE);
    let Body::Gone(entries) = decoded(&bytes).body else { panic!("a GONE") };
    assert_eq!(entries, gone());
    let reasons: Vec<_> = entries.iter().map(|entry| (entry.range(), entry.reason())).collect();
    let expected = [(range(1, 9), GoneReason::Overrun), (range(0x100, 0x200), GoneReason::Evicted)];
    assert_eq!(reasons, expected.map(|(range, reason)| (range, Some(reason))));
    let bytes = hex(SHED);
    let Body::Shed(shed, put_off) = decoded(&bytes).body else { panic!("a SHED") };
    assert_eq!((shed.receiver(), shed.retry_after_us(), put_off), (RECEIVER, 0x0102_0304, &ranges()[..]));
}

#[test]
fn golden_words_of_a_subscriber_and_the_answer() {
    let welcome = Welcome {
        receiver: U64::new(RECEIVER.0),
        token: U64::new(TOKEN.0),
        echo: U64::new(0xD1D2_D3D4_D5D6_D7D8),
    };
    written(NAK, |out| encode_nak(out, &HEAD, (RECEIVER, TOKEN), &ranges()));
    written(STATUS, |out| encode_status(out, &HEAD, &status()));
    written(WELCOME, |out| encode_welcome(out, &HEAD, &welcome));
    let bytes = hex(NAK);
    let Body::Nak(nak, wanted) = decoded(&bytes).body else { panic!("a NAK") };
    assert_eq!((nak.receiver(), nak.token(), wanted), (RECEIVER, TOKEN, &ranges()[..]));
    assert_eq!(wanted[1].range(), range(0x100, 0x100 + 0x0102_0304));
    let bytes = hex(STATUS);
    let Body::Status(body) = decoded(&bytes).body else { panic!("a STATUS") };
    assert_eq!((*body, body.receiver(), body.token()), (status(), RECEIVER, TOKEN));
    assert!(body.has(Status::LEAVING) && body.has(Status::OBSERVER));
    assert!(matches!(decoded(&hex(WELCOME)).body, Body::Welcome(body) if *body == welcome));
    assert!(hex(WELCOME).len() <= hex(STATUS).len(), "no amplification");
}

#[test]
fn golden_words_of_a_connection() {
    let to = Offset(0xE1E2_E3E4_E5E6_E7E8);
    let hello = Hello::new(RECEIVER, HelloStart::At).until(to).observing(true);
    written(HELLO, |out| assert!(encode_hello(out, &HEAD, &hello, &[b"px".as_slice(), b""])));
    written(CLOSE, |out| encode_close(out, &HEAD, CloseReason::Evicted));
    let bytes = hex(HELLO);
    let Body::Hello(body, topics) = decoded(&bytes).body else { panic!("a HELLO") };
    assert_eq!((*body, body.receiver(), body.to()), (hello, RECEIVER, to));
    assert_eq!((body.start(), body.is_observer()), (Some(HelloStart::At), true));
    assert_eq!(topics.collect::<Vec<_>>(), [b"px".as_slice(), b""]);
    assert!(
        matches!(decoded(&hex(CLOSE)).body, Body::Close(body) if body.reason() == Some(CloseReason::Evicted))
    );
}

/// REPAIR is outside the checksum, and what follows `length` is not looked at; every other bit counts.
#[test]
fn every_damage_is_noticed() {
    for golden in GOLDEN {
        let bytes = hex(golden);
        for len in 0..bytes.len() {
            assert!(Datagram::decode(&bytes[..len]).is_err(), "{golden} cut to {len}");
        }
        let mut padded = bytes.clone();
        padded.extend([0xFF, 0, 1, 2]);
        for bit in 0..8 * padded.len() {
            let mut flipped = padded.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let harmless = bit == 8 * 3 || bit / 8 >= bytes.len();
            assert_eq!(Datagram::decode(&flipped).is_ok(), harmless, "{golden} with bit {bit} flipped");
        }
    }
}

#[test]
fn a_repair_is_the_first_sending_one_bit_apart() {
    let mut again = hex(DATA);
    mark_repair(&mut again);
    mark_repair(&mut again);
    assert_eq!(again[3], 7);
    again[3] = 6;
    assert_eq!(again, hex(DATA));
    mark_repair(&mut again);
    assert_eq!(frames(&decoded(&again)), frames(&decoded(&hex(DATA))));
    mark_repair(&mut []);
}

#[test]
fn an_error_tells_what_is_wrong() {
    let error = |at: usize, byte: u8| {
        let mut bytes = hex(HEARTBEAT);
        bytes[at] = byte;
        twin::reseal(&mut bytes, at != 14);
        Datagram::decode(&bytes).expect_err("broken")
    };
    assert_eq!(Datagram::decode(&[1; 31]).unwrap_err(), DecodeError::Short { need: 32, got: 31 });
    assert_eq!(error(0, 0), DecodeError::Magic(0x4B00));
    assert_eq!(error(2, 0x22), DecodeError::Version(2));
    assert_eq!(error(2, 0x02), DecodeError::Version(0));
    assert_eq!(error(14, 25), DecodeError::Short { need: 57, got: 56 });
    assert_eq!(error(2, 0x10), DecodeError::Kind(0));
    assert_eq!(error(2, 0x1C), DecodeError::Kind(12));
    assert_eq!(error(3, 8), DecodeError::Flags(8));
    assert_eq!(error(3, 128 | 2), DecodeError::Flags(128 | 2));
    let body = DecodeError::Body { kind: Kind::Heartbeat, at: 24 };
    assert!([12, 13, 52, 53, 54, 55].iter().all(|&at| error(at, 4) == body));
    let mut bytes = hex(HEARTBEAT);
    bytes[40] ^= 1;
    assert!(matches!(Datagram::decode(&bytes), Err(DecodeError::Checksum { told: 0x94B4_BC9F, .. })));
}

#[test]
fn a_frame_that_cannot_be_said_is_not_written() {
    let whole = FrameFlags::WHOLE;
    let mut room = vec![0; 70_000];
    assert_eq!(put_frame(&mut room, whole, &[1; 255], &[]), Some(259));
    assert_eq!(put_frame(&mut room, whole, &[1; 256], &[]), None);
    assert_eq!(put_frame(&mut room, whole, &[], &[1; 65_535]), Some(65_539));
    assert_eq!(put_frame(&mut room, whole, &[], &[1; 65_536]), None);
    for len in 0..4 + 2 + 3 {
        assert_eq!(put_frame(&mut room[..len], whole, b"ab", b"cde"), None);
    }
}

/// An entry says no more than its field can, and an encoder no more than a datagram may.
#[test]
fn lists_are_cut_at_what_the_format_allows() {
    assert_eq!(RangeEntry::new(range(0, u64::MAX)).range(), range(0, u64::from(u32::MAX)));
    let many: Vec<_> = (0..RANGES as u64 + 1).map(|n| RangeEntry::new(range(2 * n, 2 * n + 2))).collect();
    let (mut nak, mut shed, mut list) = (Vec::new(), Vec::new(), Vec::new());
    encode_nak(&mut nak, &HEAD, (RECEIVER, TOKEN), &many);
    encode_shed(&mut shed, &HEAD, RECEIVER, 1, &many);
    encode_gone(&mut list, &HEAD, &[gone()[0]; GONE_ENTRIES + 1]);
    for (bytes, count) in [(&mut nak, RANGES), (&mut shed, RANGES), (&mut list, GONE_ENTRIES)] {
        assert_eq!(usize::from(decoded(bytes).header.count()), count);
        match count {
            RANGES => bytes.extend(many[RANGES].as_bytes()),
            _ => bytes.extend(gone()[0].as_bytes()),
        }
        bytes[12] += 1;
        twin::reseal(bytes, true);
        assert!(!twin::sound(bytes) && Datagram::decode(bytes).is_err(), "one more than {count}");
    }
}
