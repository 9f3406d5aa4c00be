//! Datagrams that anybody could send: any fields, and a checksum that fits.

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire;
use nakcast::wire::CloseReason;
use nakcast::wire::FRAME_BYTES;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::Hello;
use nakcast::wire::HelloStart;
use nakcast::wire::Kind;
use nakcast::wire::RangeEntry;
use nakcast::wire::Status;
use nakcast::wire::Token;
use nakcast::wire::Welcome;

use super::script::Script;

/// The stream that everybody is on.
pub const STREAM: StreamId = StreamId(7);
/// The most bytes of payload in one forged frame.
const LONGEST: usize = 1_200;
const FILL: [u8; LONGEST] = [0x2E; LONGEST];

/// Gives `bytes` the magic, the version, a length that they have, and the checksum that fits.
pub fn mend(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    bytes[..2].copy_from_slice(b"NK");
    bytes[2] = 0x10 | (bytes[2] & 0x0F);
    let told = usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
    let length = told.min(bytes.len() - HEADER_BYTES);
    bytes[14..16].copy_from_slice(&(length as u16).to_le_bytes());
    reseal(bytes, HEADER_BYTES + length);
}

/// Gives the first `end` bytes the checksum that fits.
fn reseal(bytes: &mut [u8], end: usize) {
    let flags = bytes[3];
    bytes[3] &= !Flags::REPAIR.0;
    bytes[4..8].fill(0);
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes[3] = flags;
}

/// Mends the script's next bytes into a datagram of [`STREAM`] and, if told, of `session`.
pub fn raw(script: &mut Script<'_>, session: Option<SessionId>, out: &mut Vec<u8>) {
    let len = usize::from(script.byte());
    out.clear();
    out.extend_from_slice(script.take(len));
    if out.len() < HEADER_BYTES {
        return;
    }
    out[8..12].copy_from_slice(&STREAM.0.to_le_bytes());
    if let Some(session) = session {
        out[16..24].copy_from_slice(&session.0.to_le_bytes());
    }
    mend(out);
}

/// What the next datagram of a forger says, but for its body.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    /// Its kind.
    pub kind: Kind,
    /// Its head.
    pub head: Head,
    /// The receiver that it names.
    pub receiver: ReceiverId,
    /// The token that it shows.
    pub token: Token,
    /// An offset that means something in the session.
    pub around: u64,
}

/// Writes a datagram of which the script chooses the body; gives how many frames it has.
pub fn forge(script: &mut Script<'_>, claims: &Claims, out: &mut Vec<u8>) -> u64 {
    let head = &claims.head;
    match claims.kind {
        Kind::Data => return data(script, head, out),
        Kind::Heartbeat => wire::encode_heartbeat(out, head, &heartbeat(script)),
        Kind::End => wire::encode_end(out, head, &heartbeat(script)),
        Kind::Nak => {
            wire::encode_nak(out, head, (claims.receiver, claims.token), &ranges(script, claims.around))
        }
        Kind::Status => wire::encode_status(out, head, &status(script, claims)),
        Kind::Welcome => wire::encode_welcome(out, head, &welcome(script, claims)),
        Kind::Gone => wire::encode_gone(out, head, &gone(script, claims.around)),
        Kind::Shed => {
            let after = script.word() >> (script.byte() % 32);
            wire::encode_shed(out, head, claims.receiver, after, &ranges(script, claims.around));
        }
        Kind::Hello => {
            let hello = Hello::new(claims.receiver, HelloStart::At).until(Offset(claims.around));
            let topic = [script.byte()];
            assert!(wire::encode_hello(out, head, &hello, &[topic]), "one short topic fits");
        }
        Kind::Close => wire::encode_close(out, head, CloseReason::Full),
        Kind::Rows => wire::encode_rows(out, head, 0, &[]),
    }
    0
}

fn data(script: &mut Script<'_>, head: &Head, out: &mut Vec<u8>) -> u64 {
    let how = script.byte();
    let (frames, is_uniform) = (1 + how % 8, how & 8 != 0);
    out.clear();
    out.resize(HEADER_BYTES, 0);
    if head.flags.has(Flags::TIMESTAMP) {
        out.extend_from_slice(&[how; 8]);
    }
    let mut count = 0_u16;
    let mut shape = (script.byte(), script.byte());
    for _ in 0..frames {
        count = count.saturating_add(frame(shape, out));
        if !is_uniform {
            shape = (script.byte(), script.byte());
        }
    }
    let count = if how & 0x70 == 0x70 { script.short() } else { count };
    wire::seal_batch(out, head, count);
    u64::from(frames)
}

/// Adds a frame; gives how many offsets it covers.
fn frame((what, size): (u8, u8), out: &mut Vec<u8>) -> u16 {
    let (flags, topic) = (FrameFlags(what & 7), usize::from(what >> 3 & 3));
    if flags == FrameFlags::FILTERED {
        let left_out = u16::from(size) << (what >> 5);
        out.extend_from_slice(&left_out.to_le_bytes());
        out.extend_from_slice(&[flags.0, 0]);
        return left_out;
    }
    let topic = if flags.has(FrameFlags::FIRST) { topic } else { 0 };
    let len = if what & 0x80 == 0 { usize::from(size) } else { LONGEST };
    let at = out.len();
    out.resize(at + FRAME_BYTES + topic + len, 0);
    wire::put_frame(&mut out[at..], flags, &b"sxy"[..topic], &FILL[..len]);
    1
}

fn heartbeat(script: &mut Script<'_>) -> Heartbeat {
    Heartbeat {
        oldest: u64::from(script.byte()).into(),
        receivers: (script.word() >> (script.byte() % 32)).into(),
        grtt_us: (script.word() >> (script.byte() % 32)).into(),
        status_ms: script.short().into(),
        tcp_port: 0.into(),
        flags: u16::from(script.byte() & 3).into(),
        zero: 0.into(),
    }
}

fn status(script: &mut Script<'_>, claims: &Claims) -> Status {
    let how = script.byte();
    Status {
        receiver: claims.receiver.0.into(),
        token: claims.token.0.into(),
        time: u64::from(how >> 2 & 3).into(),
        window: (script.word() >> (script.byte() % 32)).into(),
        rtt_us: (script.word() >> (script.byte() % 32)).into(),
        delivered: 0.into(),
        lost: 0.into(),
        naks: 0.into(),
        kernel_drops: 0.into(),
        lag_us: u32::from(how).into(),
        flags: u16::from(how & 3).into(),
        zero: 0.into(),
    }
}

fn welcome(script: &mut Script<'_>, claims: &Claims) -> Welcome {
    let echo = script.offset(claims.around);
    Welcome { receiver: claims.receiver.0.into(), token: claims.token.0.into(), echo: echo.into() }
}

/// Ascending, disjoint ranges that begin near `around`.
fn ranges(script: &mut Script<'_>, around: u64) -> Vec<RangeEntry> {
    let how = script.byte();
    let mut at = script.offset(around);
    let mut ranges = Vec::new();
    for _ in 0..=how % 16 {
        let (gap, len) = (script.byte(), script.byte());
        let len = if gap & 0xC0 == 0xC0 { 1 << (len % 32) } else { u64::from(len).max(1) };
        let range = OffsetRange::run(Offset(at.saturating_add(u64::from(gap & 0x3F))), len);
        if range.is_empty() {
            break;
        }
        ranges.push(RangeEntry::new(range));
        at = range.to.0;
    }
    ranges
}

fn gone(script: &mut Script<'_>, around: u64) -> Vec<GoneEntry> {
    let reasons = [
        GoneReason::Overrun,
        GoneReason::Expired,
        GoneReason::NotDurable,
        GoneReason::Damaged,
        GoneReason::Evicted,
    ];
    let how = script.byte();
    let mut entries = Vec::new();
    for _ in 0..=how % 4 {
        let (from, len) = (script.offset(around), script.offset(0).max(1));
        let range = OffsetRange::run(Offset(from), len);
        if !range.is_empty() {
            entries.push(GoneEntry::new(range, script.pick(&reasons)));
        }
    }
    entries
}
