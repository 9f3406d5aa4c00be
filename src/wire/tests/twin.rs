//! A slow, obvious reading of the page in `wire/mod.rs`, and whether the decoder agrees with it on anything at all.

use proptest::prelude::*;

use super::*;
use crate::wire::tests::rows;

/// The number of `width` bytes at `at`.
fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut bare = bytes.to_vec();
    bare[3] &= !1;
    bare[4..8].fill(0);
    crc32fast::hash(&bare)
}

/// Makes the checksum right again, and the length, too, if asked.
pub(super) fn reseal(bytes: &mut [u8], length: bool) {
    if length {
        let length = (bytes.len() - 32) as u16;
        bytes[14..16].copy_from_slice(&length.to_le_bytes());
    }
    let end = bytes.len().min(32 + number(bytes, 14, 2) as usize);
    let checksum = checksum(&bytes[..end]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether the format allows `bytes`.
pub(super) fn sound(bytes: &[u8]) -> bool {
    if bytes.len() < 32 || bytes.len() < 32 + number(bytes, 14, 2) as usize {
        return false;
    }
    let bytes = &bytes[..32 + number(bytes, 14, 2) as usize];
    let (kind, flags, count) = (bytes[2], bytes[3], number(bytes, 12, 2));
    let base = number(bytes, 24, 8);
    if bytes[..2] != *b"NK" || number(bytes, 4, 4) != u64::from(checksum(bytes)) || flags > 7 {
        return false;
    }
    let time = if flags & 4 != 0 { 8 } else { 0 };
    if bytes.len() < 32 + time {
        return false;
    }
    let body = &bytes[32 + time..];
    let fixed = |size: usize| count == 0 && body.len() == size;
    match kind {
        0x11 => count > 0 && base.checked_add(count).is_some() && sound_frames(body, count),
        0x12 | 0x13 => fixed(24) && number(body, 20, 2) <= 3 && number(body, 22, 2) == 0,
        0x14 => sound_ranges(body, count),
        0x15 => fixed(72) && number(body, 68, 2) <= 7 && number(body, 70, 2) == 0,
        0x16 => fixed(24),
        0x17 => sound_gone(body, count),
        0x18 => sound_ranges(body, count) && number(body, 12, 4) == 0,
        0x19 => sound_hello(body, count),
        0x1A => fixed(8) && (1..=5).contains(&number(body, 0, 2)) && number(body, 2, 6) == 0,
        0x1B => rows::sound(body, count),
        _ => false,
    }
}

fn sound_frames(mut body: &[u8], mut left: u64) -> bool {
    while body.len() >= 4 {
        let (len, flags, topic) = (number(body, 0, 2) as usize, body[2], body[3] as usize);
        let (size, offsets) = match flags {
            4 if topic == 0 && len > 0 => (4, len as u64),
            1 | 3 => (4 + topic + len, 1),
            0 | 2 if topic == 0 => (4 + len, 1),
            _ => return false,
        };
        if body.len() < size || left < offsets {
            return false;
        }
        body = &body[size..];
        left -= offsets;
    }
    body.is_empty() && left == 0
}

fn sound_ranges(body: &[u8], count: u64) -> bool {
    if !(1..=100).contains(&count) || body.len() as u64 != 16 + 12 * count {
        return false;
    }
    let mut end = 0;
    body[16..].chunks(12).all(|entry| {
        let (from, n) = (number(entry, 0, 8), number(entry, 8, 4));
        let sound = from >= end && n > 0 && from.checked_add(n).is_some();
        end = from.saturating_add(n);
        sound
    })
}

fn sound_gone(body: &[u8], count: u64) -> bool {
    (1..=50).contains(&count)
        && body.len() as u64 == 24 * count
        && body.chunks(24).all(|entry| {
            number(entry, 0, 8) < number(entry, 8, 8)
                && (1..=5).contains(&entry[16])
                && number(entry, 17, 7) == 0
        })
}

fn sound_hello(body: &[u8], count: u64) -> bool {
    if body.len() < 24 || body[16] > 2 || body[17] > 3 || number(body, 18, 6) != 0 || count > 1_024 {
        return false;
    }
    let (mut at, mut topics) = (24, 0);
    while at < body.len() {
        at += 1 + body[at] as usize;
        topics += 1;
    }
    at == body.len() && topics == count
}

/// Walks all that a decoded datagram offers: nothing panics, and nothing contradicts the header.
fn walk(datagram: &Datagram<'_>) {
    let count = usize::from(datagram.header.count());
    match datagram.body {
        Body::Data(frames) => {
            let offsets: u64 = frames.map(|frame| u64::from(frame.offsets)).sum();
            assert_eq!((offsets, datagram.header.range().len()), (count as u64, count as u64));
        }
        Body::Nak(_, ranges) | Body::Shed(_, ranges) => {
            assert_eq!(ranges.len(), count);
            assert!(ranges.is_sorted_by(|a, b| a.range().to <= b.range().from));
            assert!(ranges.iter().all(|entry| !entry.range().is_empty()));
        }
        Body::Gone(gone) => {
            assert_eq!(gone.len(), count);
            assert!(gone.iter().all(|entry| entry.reason().is_some() && !entry.range().is_empty()));
        }
        Body::Heartbeat(_) | Body::End(_) | Body::Status(_) | Body::Welcome(_) => assert_eq!(count, 0),
        Body::Hello(hello, topics) => {
            assert_eq!(topics.count(), count);
            assert!(hello.start().is_some());
        }
        Body::Rows(_, entries) => assert_eq!(entries.len(), count),
        Body::Close(close) => assert!(count == 0 && close.reason().is_some()),
    }
}

fn agree(bytes: &[u8]) {
    let decoded = Datagram::decode(bytes);
    assert_eq!(decoded.is_ok(), sound(bytes), "{decoded:?}");
    if let Ok(datagram) = decoded {
        walk(&datagram);
    }
}

/// Whoever knows the format can seal anything: then the rules of each kind are what is left.
#[test]
fn no_single_byte_gets_by_that_the_format_refuses() {
    for golden in GOLDEN {
        for at in 0..hex(golden).len() {
            for byte in 0..=u8::MAX {
                let mut bytes = hex(golden);
                bytes[at] = byte;
                reseal(&mut bytes, false);
                agree(&bytes);
            }
        }
    }
}

#[test]
fn a_filtered_frame_leaves_something_out_and_holds_nothing() {
    let one = batch(Flags(0), &[(FrameFlags::WHOLE, b"", b"x")], None);
    for (frame, fits) in
        [([1, 0, 4, 0], true), ([0, 0, 4, 0], false), ([1, 0, 4, 1], false), ([1, 0, 5, 0], false)]
    {
        let mut bytes = one.clone();
        bytes.extend(frame);
        bytes[12] += frame[0];
        reseal(&mut bytes, true);
        assert_eq!((Datagram::decode(&bytes).is_ok(), sound(&bytes)), (fits, fits), "{frame:?}");
    }
}

/// The most a base can be, and one more.
#[test]
fn the_last_offset_is_not_passed() {
    for (base, fits) in [(u64::MAX - 301, true), (u64::MAX - 300, false), (u64::MAX, false)] {
        let mut bytes = hex(FILTERED);
        bytes[24..32].copy_from_slice(&base.to_le_bytes());
        reseal(&mut bytes, true);
        assert_eq!((Datagram::decode(&bytes).is_ok(), sound(&bytes)), (fits, fits), "{base}");
    }
    for (from, fits) in [(u64::MAX - 2, true), (u64::MAX - 1, false)] {
        let mut bytes = hex(NAK)[..60].to_vec();
        bytes[12] = 1;
        bytes[48..56].copy_from_slice(&from.to_le_bytes());
        reseal(&mut bytes, true);
        assert_eq!((Datagram::decode(&bytes).is_ok(), sound(&bytes)), (fits, fits), "{from}");
    }
}

/// One change to a datagram; positions and lengths are clipped to it.
#[derive(Debug, Clone)]
enum Edit {
    Set {
        at: usize,
        byte: u8,
    },
    /// Eight bytes, for the numbers that could overflow.
    Fill {
        at: usize,
        byte: u8,
    },
    Cut {
        len: usize,
    },
    Add {
        bytes: Vec<u8>,
    },
    /// Appends the last so many bytes once more: a further entry, often.
    Repeat {
        len: usize,
        times: usize,
    },
    Count {
        count: u16,
    },
    Kind {
        kind: u8,
    },
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match *self {
            Self::Set { at, byte } => bytes[at % len] = byte,
            Self::Fill { at, byte } => bytes[at % len..].iter_mut().take(8).for_each(|one| *one = byte),
            Self::Cut { len: to } => bytes.truncate(32.max(to % (len + 1))),
            Self::Add { bytes: ref more } => bytes.extend(more),
            Self::Repeat { len: tail, times } => {
                let tail = bytes[len - tail.min(len)..].to_vec();
                bytes.extend(tail.repeat(times));
            }
            Self::Count { count } => bytes[12..14].copy_from_slice(&count.to_le_bytes()),
            Self::Kind { kind } => bytes[2] = 0x10 | kind,
        }
    }
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![0..8_u8, Just(0xFF), any::<u8>()]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (0..110_usize, byte()).prop_map(|(at, byte)| Edit::Set { at, byte }),
        4 => (32..110_usize, byte()).prop_map(|(at, byte)| Edit::Set { at, byte }),
        1 => (24..110_usize, byte()).prop_map(|(at, byte)| Edit::Fill { at, byte }),
        1 => (32..110_usize).prop_map(|len| Edit::Cut { len }),
        1 => prop::collection::vec(byte(), 0..30).prop_map(|bytes| Edit::Add { bytes }),
        1 => (prop_oneof![Just(12_usize), Just(24), Just(4), 0..30_usize], 1..3_usize)
            .prop_map(|(len, times)| Edit::Repeat { len, times }),
        2 => prop_oneof![0..5_u16, any::<u16>()].prop_map(|count| Edit::Count { count }),
        1 => (0..16_u8).prop_map(|kind| Edit::Kind { kind }),
    ]
}

type Parts = Vec<(u8, Vec<u8>, Vec<u8>)>;

/// Flags, topic and payload of each frame; a topic only where one may stand.
fn parts() -> impl Strategy<Value = Parts> {
    let part = (0..4_u8, prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..99));
    prop::collection::vec(
        part.prop_map(|(flags, topic, payload)| {
            let topic = if flags & 1 == 1 { topic } else { Vec::new() };
            (flags, topic, payload)
        }),
        1..20,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn batches_come_back(parts in parts(), time in any::<Option<u64>>(), padding in prop::collection::vec(any::<u8>(), 0..9)) {
        let parts: Vec<_> =
            parts.iter().map(|(flags, topic, payload)| (FrameFlags(*flags), &topic[..], &payload[..])).collect();
        let mut bytes = batch(Flags::OPENING, &parts, time);
        assert!((0..bytes.len()).all(|len| Datagram::decode(&bytes[..len]).is_err()));
        bytes.extend(padding);
        mark_repair(&mut bytes);
        agree(&bytes);
        let datagram = decoded(&bytes);
        assert_eq!(datagram.timestamp, time);
        assert_eq!(datagram.header.flags(), Flags(3).with(Flags::TIMESTAMP, time.is_some()));
        let expected: Vec<_> = parts.iter().map(|&(flags, topic, payload)| frame(flags, topic, payload)).collect();
        assert_eq!(frames(&datagram), expected);
    }

    #[test]
    fn control_comes_back(words in any::<[u64; 9]>(), steps in prop::collection::vec((0..9_u64, 1..=u32::MAX), 1..=RANGES)) {
        let mut end = words[0] >> 8;
        let ranges: Vec<_> = steps
            .iter()
            .map(|&(gap, len)| {
                let from = end + gap;
                end = from + u64::from(len);
                RangeEntry::new(range(from, end))
            })
            .collect();
        let mut out = Vec::new();
        encode_nak(&mut out, &HEAD, (ReceiverId(words[1]), Token(words[2])), &ranges);
        agree(&out);
        assert!(matches!(decoded(&out).body, Body::Nak(nak, wanted)
            if nak.receiver().0 == words[1] && nak.token().0 == words[2] && wanted == ranges));
        encode_shed(&mut out, &HEAD, ReceiverId(words[1]), words[2] as u32, &ranges);
        agree(&out);
        assert!(matches!(decoded(&out).body, Body::Shed(shed, put_off)
            if shed.receiver().0 == words[1] && shed.retry_after_us() == words[2] as u32 && put_off == ranges));
        let reasons = [GoneReason::Expired, GoneReason::NotDurable, GoneReason::Damaged];
        let gone: Vec<_> =
            ranges.iter().take(GONE_ENTRIES).zip(reasons.iter().cycle()).map(|(entry, &why)| GoneEntry::new(entry.range(), why)).collect();
        encode_gone(&mut out, &HEAD, &gone);
        agree(&out);
        assert!(matches!(decoded(&out).body, Body::Gone(entries) if entries == gone));
        fixed_control_comes_back(words);
    }

    #[test]
    fn a_hello_comes_back(
        words in any::<[u64; 2]>(),
        start in prop::sample::select(vec![HelloStart::Live, HelloStart::Earliest, HelloStart::At]),
        observer in any::<bool>(),
        topics in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=TOPIC_BYTES), 0..20),
    ) {
        let hello = Hello::new(ReceiverId(words[0]), start).until(Offset(words[1])).observing(observer);
        let mut out = Vec::new();
        assert!(encode_hello(&mut out, &HEAD, &hello, &topics));
        agree(&out);
        assert_eq!(datagram_len(&out[..HEADER_BYTES]), Ok(out.len()));
        assert!(matches!(decoded(&out).body, Body::Hello(body, prefixes) if *body == hello
            && body.receiver().0 == words[0] && body.to().0 == words[1] && body.start() == Some(start)
            && body.is_observer() == observer && prefixes.eq(&topics)));
    }

    #[test]
    fn chance_never_passes_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agree(&bytes);
        Frames::new(&bytes).for_each(drop);
    }

    #[test]
    fn a_forger_gets_no_further_than_the_format(
        golden in 0..GOLDEN.len(),
        edits in prop::collection::vec(edit(), 1..4),
        length in prop::bool::weighted(0.9),
    ) {
        let mut bytes = hex(GOLDEN[golden]);
        edits.iter().for_each(|edit| edit.apply(&mut bytes));
        reseal(&mut bytes, length);
        agree(&bytes);
    }
}

fn fixed_control_comes_back(words: [u64; 9]) {
    let [oldest, token, time, delivered, lost, naks, drops, pair, small] = words;
    let (low, high) = (U32::new(pair as u32), U32::new((pair >> 32) as u32));
    let (first, second) = (U16::new(small as u16), U16::new((small >> 16) as u16));
    let flags = |known: u16| U16::new((small >> 32) as u16 & known);
    let beat = Heartbeat {
        oldest: U64::new(oldest),
        receivers: low,
        grtt_us: high,
        status_ms: first,
        tcp_port: second,
        flags: flags(1),
        zero: U16::ZERO,
    };
    let status = Status {
        time: U64::new(time),
        window: low,
        rtt_us: high,
        delivered: U64::new(delivered),
        lost: U64::new(lost),
        naks: U64::new(naks),
        kernel_drops: U64::new(drops),
        flags: flags(3),
        ..status()
    };
    let welcome = Welcome { receiver: U64::new(oldest), token: U64::new(token), echo: U64::new(time) };
    let mut out = Vec::new();
    encode_heartbeat(&mut out, &HEAD, &beat);
    assert!(matches!(decoded(&out).body, Body::Heartbeat(body) if *body == beat));
    encode_end(&mut out, &HEAD, &beat);
    assert!(matches!(decoded(&out).body, Body::End(body) if *body == beat));
    encode_status(&mut out, &HEAD, &status);
    assert!(matches!(decoded(&out).body, Body::Status(body) if *body == status));
    encode_welcome(&mut out, &HEAD, &welcome);
    assert!(matches!(decoded(&out).body, Body::Welcome(body) if *body == welcome));
}
