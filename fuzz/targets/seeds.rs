//! Valid inputs to begin with.

use core::time::Duration;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::protocol::FlowPolicy;
use nakcast::time::Time;
use nakcast::wire;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::RangeEntry;
use nakcast::wire::Status;
use nakcast::wire::Token;
use nakcast::wire::Welcome;

use super::forge::STREAM;
use super::press::Publisher;

/// The seeds of `target`.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "wire" => datagrams(),
        "receiver" => receiver(),
        "publisher" => publisher(),
        "ring" => ring(),
        _ => TEXTS.map(|text| text.as_bytes().to_vec()).to_vec(),
    }
}

const TEXTS: [&str; 17] = [
    "udp://239.192.0.1:4000",
    "udp://[ff15::1]:4000?interface=veth0&stream=9&ttl=4",
    "udp://[ff02::1%3]:4000?source=fe80::1",
    "udp://239.1.1.1:4000?source=10.0.0.5&interface=10.0.0.1",
    "udp://127.0.0.1:9000?interface=lo",
    "64MiB",
    "1500",
    "2g",
    "12.5%",
    "0.05",
    "1e-3",
    "31536000",
    "200us",
    "2.5Gbit/s",
    "0x9f",
    "# calm\nseed = 7\nreceivers = 3\nloss = 0.05\ninterval = \"20us\"",
    "pacing = \"block\"\ntimestamps = true\nseed = \"0xffffffffffffffff\"",
];

fn head(base: u64, flags: Flags) -> Head {
    Head { stream: STREAM, session: SessionId(0x0102_0304), base: Offset(base), flags }
}

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

/// A datagram of every kind; what a real publisher sends first is among them.
pub fn datagrams() -> Vec<Vec<u8>> {
    let mut all = vec![
        batch(&[(3, b"px", b"hello"), (3, b"", b"")], Flags::OPENING),
        batch(&[(1, b"t", b"ab"), (0, b"", b"cd"), (2, b"", b"e")], Flags::REPAIR),
        batch(&[(3, b"topic", &[7; 300])], Flags::TIMESTAMP),
        filtered(),
    ];
    let now = Time::from_millis(1);
    let patience = Duration::from_secs(5);
    let mut publisher = Publisher::new(Publisher::settings(FlowPolicy::Block { patience }), now);
    publisher.publish();
    publisher.serve(now, |_, bytes| all.push(bytes.to_vec()));
    publisher.sender.conclude(now);
    publisher.serve(now, |_, bytes| all.push(bytes.to_vec()));
    let ranges = [range(5, 7), range(7, 9), range(100, 4_000_000)].map(RangeEntry::new);
    let reasons = [GoneReason::Overrun, GoneReason::Evicted];
    let gone = reasons.map(|reason| GoneEntry::new(range(1, 9), reason));
    let welcome = Welcome { receiver: 1.into(), token: 2.into(), echo: 3.into() };
    let mut out = Vec::new();
    let mut keep = |out: &Vec<u8>| all.push(out.clone());
    wire::encode_nak(&mut out, &head(0, Flags(0)), (ReceiverId(1), Token(2)), &ranges);
    keep(&out);
    wire::encode_shed(&mut out, &head(0, Flags::OPENING), ReceiverId(1), 500, &ranges);
    keep(&out);
    wire::encode_gone(&mut out, &head(0, Flags(0)), &gone);
    keep(&out);
    wire::encode_welcome(&mut out, &head(0, Flags(0)), &welcome);
    keep(&out);
    wire::encode_status(&mut out, &head(9, Flags(0)), &status());
    keep(&out);
    all
}

fn status() -> Status {
    Status {
        receiver: 1.into(),
        token: 2.into(),
        time: 3.into(),
        window: 159_744.into(),
        rtt_us: 120.into(),
        delivered: 9.into(),
        lost: 0.into(),
        naks: 1.into(),
        kernel_drops: 0.into(),
        lag_us: 0.into(),
        flags: Status::LEAVING.into(),
        zero: 0.into(),
    }
}

/// A frame: its flags, topic and payload.
type Part<'a> = (u8, &'a [u8], &'a [u8]);

fn batch(parts: &[Part<'_>], flags: Flags) -> Vec<u8> {
    let mut bytes = vec![0; 1_400];
    let mut at = HEADER_BYTES + if flags.has(Flags::TIMESTAMP) { 8 } else { 0 };
    for (flags, topic, payload) in parts {
        at += wire::put_frame(&mut bytes[at..], FrameFlags(*flags), topic, payload).expect("room");
    }
    bytes.truncate(at);
    wire::seal_batch(&mut bytes, &head(42, flags), parts.len() as u16);
    bytes
}

fn filtered() -> Vec<u8> {
    let mut bytes = batch(&[(3, b"", b"x")], Flags(0));
    bytes.extend([44, 1, FrameFlags::FILTERED.0, 0]);
    wire::seal_batch(&mut bytes, &head(42, Flags(0)), 301);
    bytes
}

/// Batches from the source `who`: how the batch is made of a script, and the base by `(how, by)`.
const fn data(who: u8, flags: u8, base: (u8, u8)) -> [u8; 8] {
    [0x10, who, flags, base.0, base.1, 8, 3, 40]
}

/// A source that loses, is asked for, and repairs; one that leaps; one that ends; a message in fragments.
fn receiver() -> Vec<Vec<u8>> {
    let lossy: Vec<u8> = [
        &[0, 2][..],
        &data(0x12, 2, (4, 0)),
        &data(0x12, 0, (4, 5)),
        &data(0x12, 0, (4, 6)),
        &data(0x12, 0, (4, 7)),
        &[10, 5, 14],
        &data(0x12, 1, (4, 1)),
        &data(0x12, 1, (4, 2)),
        &[12, 10, 120, 14],
        // HEARTBEAT further on, then GONE for what is missing.
        &[0x61, 0x12, 0, 4, 12, 0, 1, 0, 0, 0, 0, 20, 0, 0, 0, 0, 10, 0, 0],
        &[10, 20, 14],
        &[0xA0, 0x12, 0, 4, 0, 0, 4, 8, 4, 3, 0],
        &[10, 200, 14],
    ]
    .concat();
    let ends: Vec<u8> = [
        &[1, 3][..],
        &data(0x25, 2, (4, 0)),
        &[0x80, 0x25, 2, 4, 1, 0, 1, 0, 0, 0, 0, 20, 0, 0, 0, 0, 10, 0, 0],
        &[14],
        &data(0x26, 0, (4, 9)),
        &[10, 255, 10, 255, 14],
    ]
    .concat();
    let fragments: Vec<u8> = [
        &[0x30, 2][..],
        &[0x10, 0x37, 2, 4, 0, 2, 1, 30, 0, 30, 2, 30],
        &[0x10, 0x37, 0, 4, 3, 1, 1, 30, 0, 30],
        &[0x10, 0x37, 0, 4, 9, 0, 4, 200],
        &[12, 10, 50, 13, 15],
    ]
    .concat();
    vec![lossy, ends, fragments, vec![0xFF, 1, 12, 12, 12], vec![0, 0]]
}

/// Receivers that come, ask, hold and leave.
fn publisher() -> Vec<Vec<u8>> {
    let status = |who: u8, how: u8, flags: u8| [0x60, who, how, flags, 0, 0, 1, 0, 0, 100, 0, 0, 0, 0];
    let nak = |who: u8, how: u8| [0x00, who, how, 2, 2, 9, 0, 3, 1, 2, 0, 1];
    let asks: Vec<u8> = [
        &[2][..],
        &status(0x11, 3 | 0xC, 4),
        &[0x3C],
        &nak(0x11, 3 | 0xC),
        &nak(0x11, 3),
        &nak(0x12, 0),
        &[10, 30],
        &nak(0x12, 0),
        &status(0x12, 0, 0),
        &[15],
    ]
    .concat();
    let holds: Vec<u8> = [
        &[2][..],
        &[0x60, 0x11, 15, 4, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0],
        &[0xFC, 0xFC, 10, 200, 10, 200, 15, 10, 255],
        &status(0x11, 15, 1),
        &[13, 100, 8, 0xFE, 10, 50],
    ]
    .concat();
    vec![asks, holds, vec![0, 0xFC, 10, 20, 15], vec![0x31, 0x3C, 0x3D, 15]]
}

fn ring() -> Vec<Vec<u8>> {
    vec![
        vec![2, 0x30, 2, 100, 0x30, 0, 0xF0, 7, 0x14, 3, 20, 8, 10, 13, 1, 0, 0, 9, 15, 3, 0, 0],
        vec![0, 12, 1, 63, 12, 7, 63, 10, 11, 12, 0, 63, 13, 0, 0, 0, 200],
        vec![1, 12, 0, 63, 7, 10, 11, 12, 3, 63, 14, 1, 0, 0, 3, 0, 9, 6, 90, 0],
        vec![3, 12, 2, 40, 8, 9, 10, 11, 15, 2, 0, 0],
    ]
}
