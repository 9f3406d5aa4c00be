//! Writing everything that is not a batch.

use zerocopy::IntoBytes;

use crate::wire::Close;
use crate::wire::CloseReason;
use crate::wire::GONE_ENTRIES;
use crate::wire::GoneEntry;
use crate::wire::HELLO_TOPICS;
use crate::wire::Head;
use crate::wire::Heartbeat;
use crate::wire::Hello;
use crate::wire::Kind;
use crate::wire::Nak;
use crate::wire::RANGES;
use crate::wire::ROWS_ENTRIES;
use crate::wire::RangeEntry;
use crate::wire::ReceiverId;
use crate::wire::RowEntry;
use crate::wire::Rows;
use crate::wire::Shed;
use crate::wire::Status;
use crate::wire::TOPIC_BYTES;
use crate::wire::Token;
use crate::wire::Welcome;
use crate::wire::header::HEADER_BYTES;

/// Writes a HEARTBEAT over `out`.
pub fn encode_heartbeat(out: &mut Vec<u8>, head: &Head, heartbeat: &Heartbeat) {
    write(out, head, Kind::Heartbeat, 0, &[heartbeat.as_bytes()]);
}

/// Writes an END over `out`.
pub fn encode_end(out: &mut Vec<u8>, head: &Head, heartbeat: &Heartbeat) {
    write(out, head, Kind::End, 0, &[heartbeat.as_bytes()]);
}

/// Writes a NAK over `out` for the first [`RANGES`] of `ranges`, which ascend and are disjoint.
pub fn encode_nak(out: &mut Vec<u8>, head: &Head, from: (ReceiverId, Token), ranges: &[RangeEntry]) {
    let ranges = ranges.get(..RANGES).unwrap_or(ranges);
    let nak = Nak::new(from.0, from.1);
    write(out, head, Kind::Nak, ranges.len(), &[nak.as_bytes(), ranges.as_bytes()]);
}

/// Writes a STATUS over `out`.
pub fn encode_status(out: &mut Vec<u8>, head: &Head, status: &Status) {
    write(out, head, Kind::Status, 0, &[status.as_bytes()]);
}

/// Writes a WELCOME over `out`.
pub fn encode_welcome(out: &mut Vec<u8>, head: &Head, welcome: &Welcome) {
    write(out, head, Kind::Welcome, 0, &[welcome.as_bytes()]);
}

/// Writes a GONE over `out` for the first [`GONE_ENTRIES`] of `entries`.
pub fn encode_gone(out: &mut Vec<u8>, head: &Head, entries: &[GoneEntry]) {
    let entries = entries.get(..GONE_ENTRIES).unwrap_or(entries);
    write(out, head, Kind::Gone, entries.len(), &[entries.as_bytes()]);
}

/// Writes a SHED over `out` for the first [`RANGES`] of `ranges`, which ascend and are disjoint.
pub fn encode_shed(
    out: &mut Vec<u8>,
    head: &Head,
    receiver: ReceiverId,
    retry_after_us: u32,
    ranges: &[RangeEntry],
) {
    let ranges = ranges.get(..RANGES).unwrap_or(ranges);
    let shed = Shed::new(receiver, retry_after_us);
    write(out, head, Kind::Shed, ranges.len(), &[shed.as_bytes(), ranges.as_bytes()]);
}

/// Writes a HELLO over `out`. False, and `out` is empty, when it cannot say so much: more than [`HELLO_TOPICS`], one
/// longer than a topic may be, or more than 65,535 bytes in all.
#[must_use]
pub fn encode_hello(out: &mut Vec<u8>, head: &Head, hello: &Hello, topics: &[impl AsRef<[u8]>]) -> bool {
    out.clear();
    let bytes: usize = topics.iter().map(|topic| 1 + topic.as_ref().len()).sum();
    let is_one_too_long = topics.iter().any(|topic| topic.as_ref().len() > TOPIC_BYTES);
    let fits = size_of::<Hello>() + bytes <= usize::from(u16::MAX);
    if topics.len() > HELLO_TOPICS || is_one_too_long || !fits {
        return false;
    }
    let mut list = Vec::with_capacity(bytes);
    for topic in topics.iter().map(AsRef::as_ref) {
        list.push(u8::try_from(topic.len()).unwrap_or(u8::MAX));
        list.extend_from_slice(topic);
    }
    write(out, head, Kind::Hello, topics.len(), &[hello.as_bytes(), &list]);
    true
}

/// Writes a CLOSE over `out`.
pub fn encode_close(out: &mut Vec<u8>, head: &Head, reason: CloseReason) {
    write(out, head, Kind::Close, 0, &[Close::new(reason).as_bytes()]);
}

/// Writes a ROWS over `out` for the first [`ROWS_ENTRIES`] of `entries`, which ascend by receiver and are followed by `left`
/// more.
pub fn encode_rows(out: &mut Vec<u8>, head: &Head, left: u32, entries: &[RowEntry]) {
    let entries = entries.get(..ROWS_ENTRIES).unwrap_or(entries);
    write(out, head, Kind::Rows, entries.len(), &[Rows::new(left).as_bytes(), entries.as_bytes()]);
}

fn write(out: &mut Vec<u8>, head: &Head, kind: Kind, count: usize, parts: &[&[u8]]) {
    out.clear();
    out.resize(HEADER_BYTES, 0);
    for part in parts {
        out.extend_from_slice(part);
    }
    head.seal(kind, u16::try_from(count).unwrap_or(u16::MAX), out);
}
