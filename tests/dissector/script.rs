//! Captures written by hand, with one datagram of every kind, and what is to be read there.

use std::net::SocketAddr;
use std::net::SocketAddrV4;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::time::Time;
use nakcast::wire::CloseReason;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::Hello;
use nakcast::wire::HelloStart;
use nakcast::wire::RangeEntry;
use nakcast::wire::RowEntry;
use nakcast::wire::Status;
use nakcast::wire::Token;
use nakcast::wire::Welcome;
use nakcast::wire::encode_close;
use nakcast::wire::encode_end;
use nakcast::wire::encode_gone;
use nakcast::wire::encode_heartbeat;
use nakcast::wire::encode_hello;
use nakcast::wire::encode_nak;
use nakcast::wire::encode_rows;
use nakcast::wire::encode_shed;
use nakcast::wire::encode_status;
use nakcast::wire::encode_welcome;
use nakcast::wire::put_filtered;
use nakcast::wire::put_frame;
use nakcast::wire::seal_batch;
use zerocopy::FromZeros;

use crate::capture::Capture;

const SESSION: SessionId = SessionId(0x1122_3344_5566_7788);
const RECEIVER: ReceiverId = ReceiverId(0xAB);
const PUBLISHER: SocketAddrV4 = address(1, 4_000);
const SUBSCRIBER: SocketAddrV4 = address(2, 9_000);
const GROUP: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(239, 192, 0, 7), 4_000);

const fn address(host: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, host), port)
}

fn head(base: u64) -> Head {
    Head { stream: StreamId(7), session: SESSION, base: Offset(base), flags: Flags::default() }
}

fn run(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

type FrameText<'a> = (FrameFlags, &'a str, &'a str);

fn data(base: u64, frames: &[FrameText<'_>]) -> Vec<u8> {
    let mut room = vec![0; 1_400];
    let (mut at, mut count) = (HEADER_BYTES, 0);
    for (flags, topic, payload) in frames {
        at += if *flags == FrameFlags::FILTERED {
            put_filtered(&mut room[at..], 1).unwrap()
        } else {
            put_frame(&mut room[at..], *flags, topic.as_bytes(), payload.as_bytes()).unwrap()
        };
        count += 1;
    }
    room.truncate(at);
    seal_batch(&mut room, &head(base), count);
    room
}

fn whole(base: u64, payloads: &[&str]) -> Vec<u8> {
    data(base, &payloads.iter().map(|payload| (FrameFlags::WHOLE, "", *payload)).collect::<Vec<_>>())
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn heartbeat(flags: u16) -> Heartbeat {
    Heartbeat {
        oldest: 0.into(),
        receivers: 1.into(),
        grtt_us: 200.into(),
        status_ms: 200.into(),
        tcp_port: 0.into(),
        flags: flags.into(),
        zero: 0.into(),
    }
}

fn status(kernel_drops: u64, flags: u16) -> Status {
    Status {
        receiver: RECEIVER.0.into(),
        token: 5.into(),
        time: 0.into(),
        window: 100_000.into(),
        rtt_us: 150.into(),
        delivered: 4.into(),
        lost: 0.into(),
        naks: 1.into(),
        kernel_drops: kernel_drops.into(),
        lag_us: 0.into(),
        flags: flags.into(),
        zero: 0.into(),
    }
}

/// What the list of packets says of [`session`].
pub(crate) const SUMMARIES: &[&str] = &[
    "STATUS next 0, delivered 4, lost 0",
    "WELCOME to receiver 00000000000000ab",
    "DATA 0..1 (2)",
    "HEARTBEAT next 2, oldest 0, 1 receivers, POLL",
    "DATA 4..4 (1) [gap 2..3 (2)]",
    "NAK 2..3 (2) [0 of 2 seen here]",
    "SHED after 100 µs: 2..3 (2)",
    "DATA again 2..3 (2) [repair]",
    "DATA 4..4 (1) [duplicate]",
    "DATA 5..6 (2)",
    "GONE 7..8 (2) OVERRUN [lost]",
    "STATUS next 9, delivered 4, lost 0, LEAVING [kernel drops]",
    "END next 9, oldest 0, 1 receivers [gap 7..8 (2)]",
];

/// Two messages; two that are lost, asked for and repaired; one that comes twice; a fragmented one; the end.
pub(crate) fn session() -> Capture {
    let mut capture = Capture::new();
    let mut at = Time(1_000_000_000);
    let mut say = |from: SocketAddrV4, to: SocketAddrV4, bytes: Vec<u8>| {
        capture.datagram(at, SocketAddr::V4(from), SocketAddr::V4(to), &bytes);
        at = Time(at.0 + 100_000);
    };
    let repair = |mut bytes: Vec<u8>| {
        nakcast::wire::mark_repair(&mut bytes);
        bytes
    };
    let whole_of = |topic, payload| (FrameFlags::WHOLE, topic, payload);
    say(SUBSCRIBER, PUBLISHER, written(|out| encode_status(out, &head(0), &status(0, 0))));
    say(PUBLISHER, SUBSCRIBER, {
        let welcome = Welcome { receiver: RECEIVER.0.into(), token: 5.into(), echo: 9.into() };
        written(|out| encode_welcome(out, &head(0), &welcome))
    });
    say(PUBLISHER, GROUP, data(0, &[whole_of("trades.IBM", "1"), whole_of("trades.AAPL", "22")]));
    say(PUBLISHER, GROUP, written(|out| encode_heartbeat(out, &head(2), &heartbeat(Heartbeat::POLL))));
    say(PUBLISHER, GROUP, whole(4, &["five"]));
    let asked = [RangeEntry::new(run(2, 4))];
    say(SUBSCRIBER, PUBLISHER, written(|out| encode_nak(out, &head(0), (RECEIVER, Token(5)), &asked)));
    say(PUBLISHER, SUBSCRIBER, written(|out| encode_shed(out, &head(0), RECEIVER, 100, &asked)));
    say(PUBLISHER, GROUP, repair(whole(2, &["three", "four"])));
    say(PUBLISHER, GROUP, whole(4, &["five"]));
    say(PUBLISHER, GROUP, data(5, &[(FrameFlags::FIRST, "t", "lo"), (FrameFlags::LAST, "", "ng")]));
    let gone = [GoneEntry::new(run(7, 9), GoneReason::Overrun)];
    say(PUBLISHER, SUBSCRIBER, written(|out| encode_gone(out, &head(0), &gone)));
    say(SUBSCRIBER, PUBLISHER, written(|out| encode_status(out, &head(9), &status(3, Status::LEAVING))));
    say(PUBLISHER, GROUP, written(|out| encode_end(out, &head(9), &heartbeat(0))));
    capture
}

/// Three datagrams in one packet, as a capture shows what is sent with GSO, the first two padded to the same size.
pub(crate) fn joined() -> Capture {
    let mut capture = Capture::new();
    let [mut bytes, mut second, third] = [whole(0, &["1"]), whole(1, &["22"]), whole(2, &["333333333"])];
    let size = third.len();
    bytes.resize(size, 0);
    second.resize(size, 0);
    second.truncate(size);
    bytes.extend(second);
    bytes.extend(third);
    capture.datagram(Time(0), SocketAddr::V4(PUBLISHER), SocketAddr::V4(GROUP), &bytes);
    capture
}

/// A whole connection, its publisher's side in segments of `cut` bytes.
pub(crate) fn connection(cut: usize) -> Capture {
    let hello = Hello::new(RECEIVER, HelloStart::Live);
    let asks = written(|out| assert!(encode_hello(out, &head(0), &hello, &["trades."])));
    let gone = [GoneEntry::new(run(13, 16), GoneReason::Overrun)];
    let before = [
        written(|out| encode_heartbeat(out, &head(10), &heartbeat(0))),
        data(10, &[(FrameFlags::WHOLE, "trades.A", "a"), (FrameFlags::FILTERED, "", "")]),
        whole(12, &[&"x".repeat(1_000)]),
        written(|out| encode_gone(out, &head(0), &gone)),
        whole(16, &["b"]),
    ];
    let after = [
        written(|out| encode_end(out, &head(17), &heartbeat(0))),
        written(|out| encode_close(out, &head(0), CloseReason::Slow)),
    ];
    let mut segments = Segments { capture: Capture::new(), at: 0, sent: [1, 1], cut };
    segments.say(0, &asks);
    segments.say(1, &before.concat());
    segments.say(0, &written(|out| encode_status(out, &head(17), &status(0, 0))));
    segments.say(1, &after.concat());
    segments.capture
}

/// A connection on which somebody asks for rows of receivers.
pub(crate) fn rows_connection() -> Capture {
    let hello = Hello::new(RECEIVER, HelloStart::Live).for_rows();
    let row = RowEntry {
        receiver: RECEIVER.0.into(),
        next: 18.into(),
        kernel_drops: 3.into(),
        flags: RowEntry::LIVE.into(),
        ..RowEntry::new_zeroed()
    };
    let row = row.at(SocketAddr::V4(SUBSCRIBER));
    let mut segments = Segments { capture: Capture::new(), at: 0, sent: [1, 1], cut: 1_400 };
    segments.say(0, &written(|out| assert!(encode_hello(out, &head(0), &hello, &[] as &[&[u8]]))));
    segments.say(1, &written(|out| encode_rows(out, &head(20), 0, &[row])));
    segments.capture
}

/// The end of one datagram and another one.
pub(crate) fn torn_connection() -> Capture {
    let mut segments = Segments { capture: Capture::new(), at: 0, sent: [1, 1], cut: 10_000 };
    // Its first bytes are those of a datagram, or nobody would know whose connection it is.
    segments.say(1, &whole(19, &["0"]));
    let mut capture = segments.capture;
    let bytes = [&whole(19, &["lost"])[10..], &whole(20, &["1"])].concat();
    capture.segment(Time(9), (PUBLISHER, SUBSCRIBER), 5_000, &bytes);
    capture
}

struct Segments {
    capture: Capture,
    at: u64,
    sent: [u32; 2],
    cut: usize,
}

impl Segments {
    fn say(&mut self, side: usize, bytes: &[u8]) {
        let ways = if side == 0 { (SUBSCRIBER, PUBLISHER) } else { (PUBLISHER, SUBSCRIBER) };
        for part in bytes.chunks(self.cut) {
            self.at += 1_000;
            self.capture.segment(Time(self.at), ways, self.sent[side], part);
            self.sent[side] += part.len() as u32;
        }
    }
}
