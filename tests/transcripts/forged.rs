//! Datagrams that nobody of ours has sent, each with a sound checksum.

use core::net::SocketAddr;
use core::time::Duration;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::wire;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::RangeEntry;
use nakcast::wire::ReceiverId;
use nakcast::wire::Status;
use nakcast::wire::Welcome;

use super::rig::STREAM;

/// The session that is forged, unless another is named.
pub(crate) const SESSION: SessionId = SessionId(77);

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

pub(crate) fn head(base: u64) -> Head {
    Head { stream: STREAM, session: SESSION, base: Offset(base), ..Head::default() }
}

/// Somebody who publishes nothing.
pub(crate) fn stranger() -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 99], 4_000))
}

/// A batch of one message.
pub(crate) fn data(session: SessionId, base: u64) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let frame = wire::put_frame(&mut bytes[32..], FrameFlags::WHOLE, b"", b"something").expect("room");
    bytes.truncate(32 + frame);
    wire::seal_batch(&mut bytes, &Head { session, ..head(base) }, 1);
    bytes
}

pub(crate) fn heartbeat(base: u64, receivers: u32, grtt_us: u32) -> Vec<u8> {
    session_heartbeat(SESSION, base, (receivers, grtt_us))
}

pub(crate) fn session_heartbeat(session: SessionId, base: u64, (receivers, grtt_us): (u32, u32)) -> Vec<u8> {
    let body = Heartbeat {
        oldest: 0.into(),
        receivers: receivers.into(),
        grtt_us: grtt_us.into(),
        status_ms: 200.into(),
        tcp_port: 0.into(),
        flags: 0.into(),
        zero: 0.into(),
    };
    let mut bytes = Vec::new();
    wire::encode_heartbeat(&mut bytes, &Head { session, ..head(base) }, &body);
    bytes
}

pub(crate) fn gone(entries: &[(u64, u64)]) -> Vec<u8> {
    let entries: Vec<_> =
        entries.iter().map(|&(from, to)| GoneEntry::new(range(from, to), GoneReason::Overrun)).collect();
    let mut bytes = Vec::new();
    wire::encode_gone(&mut bytes, &head(0), &entries);
    bytes
}

pub(crate) fn shed(receiver: u64, after: Duration, (from, to): (u64, u64)) -> Vec<u8> {
    let ranges = [RangeEntry::new(range(from, to))];
    let mut bytes = Vec::new();
    wire::encode_shed(&mut bytes, &head(0), ReceiverId(receiver), after.as_micros() as u32, &ranges);
    bytes
}

pub(crate) fn welcome(receiver: u64, echo: u64) -> Vec<u8> {
    let body = Welcome { receiver: receiver.into(), token: 4_711.into(), echo: echo.into() };
    let mut bytes = Vec::new();
    wire::encode_welcome(&mut bytes, &head(0), &body);
    bytes
}

/// A STATUS with a small window and a token of its own making.
pub(crate) fn status(receiver: u64) -> Vec<u8> {
    let status = Status {
        receiver: receiver.into(),
        token: 4_711.into(),
        time: 0.into(),
        window: 1.into(),
        rtt_us: u32::MAX.into(),
        delivered: 0.into(),
        lost: 0.into(),
        naks: 0.into(),
        kernel_drops: 0.into(),
        lag_us: 0.into(),
        flags: 0.into(),
        zero: 0.into(),
    };
    let mut bytes = Vec::new();
    wire::encode_status(&mut bytes, &head(0), &status);
    bytes
}
