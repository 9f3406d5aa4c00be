//! The decoder: any bytes, as they are and with the checksum mended, since nothing else gets past it.

use std::cell::RefCell;
use std::hint::black_box;

use nakcast::wire;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::Frame;
use nakcast::wire::FrameFlags;
use nakcast::wire::Frames;
use nakcast::wire::GoneEntry;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::Header;
use nakcast::wire::Kind;
use nakcast::wire::RangeEntry;
use nakcast::wire::TIMESTAMP_BYTES;

use super::canary;
use super::forge::mend;

#[derive(Default)]
struct Scratch {
    mended: Vec<u8>,
    again: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Nothing panics; what decodes says nothing that contradicts itself, and is encoded to the same bytes again.
pub fn target(data: &[u8]) {
    SCRATCH.with_borrow_mut(|Scratch { mended, again }| {
        look(data, again);
        mended.clear();
        mended.extend_from_slice(data);
        mend(mended);
        if look(mended, again) {
            wire::mark_repair(mended);
            assert!(Datagram::decode(mended).is_ok_and(|one| one.header.flags().has(Flags::REPAIR)));
        }
    });
}

/// Whether `bytes` are a datagram, all of which was looked at.
fn look(bytes: &[u8], again: &mut Vec<u8>) -> bool {
    let claimed = Header::peek(bytes);
    for frame in Frames::new(bytes) {
        assert!(frame.offsets > 0 && frame.payload.len() + frame.topic.len() < bytes.len());
    }
    let Ok(datagram) = Datagram::decode(bytes) else { return false };
    let header = datagram.header;
    assert_eq!(header.kind().ok().map(|kind| (kind, header.flags())), claimed);
    assert!(header.length() + HEADER_BYTES <= bytes.len());
    assert_eq!(datagram.timestamp.is_some(), header.flags().has(Flags::TIMESTAMP));
    walk(&datagram);
    encode(&datagram, again);
    compare(&datagram, &bytes[..HEADER_BYTES + header.length()], again);
    true
}

fn walk(datagram: &Datagram<'_>) {
    let header = datagram.header;
    let count = usize::from(header.count());
    match datagram.body {
        Body::Data(frames) => {
            assert_eq!(frames.check(header.count()), Ok(()));
            assert_eq!(header.range().len(), count as u64);
            assert_eq!(frames.map(|frame| usize::from(frame.offsets)).sum::<usize>(), count);
            frames.for_each(|frame| walk_frame(&frame));
        }
        Body::Nak(nak, ranges) => {
            black_box((nak.receiver(), nak.token()));
            walk_ranges(ranges, count);
        }
        Body::Shed(shed, ranges) => {
            walk_ranges(ranges, count);
            canary(is_odd(header, ranges) && shed.retry_after_us() > 1 << 24);
        }
        Body::Gone(gone) => {
            assert_eq!(gone.len(), count);
            assert!(gone.iter().all(|entry| !entry.range().is_empty() && entry.reason().is_some()));
        }
        Body::Heartbeat(_) | Body::End(_) | Body::Welcome(_) => assert_eq!(count, 0),
        Body::Status(status) => {
            assert_eq!((count, status.flags.get() & !7), (0, 0));
            assert_eq!((status.receiver().0, status.token().0), (status.receiver.get(), status.token.get()));
        }
        Body::Hello(hello, topics) => {
            assert_eq!(topics.count(), count);
            black_box((hello.receiver(), hello.to(), hello.start().expect("a start"), hello.is_observer()));
        }
        Body::Rows(rows, entries) => {
            assert_eq!(entries.len(), count);
            black_box(rows.left());
            entries.iter().for_each(|entry| _ = black_box((entry.receiver(), entry.address())));
        }
        Body::Close(close) => assert_eq!((count, close.reason().is_some()), (0, true)),
    }
}

/// Ranges without a gap between the first and the second, and a third that is wide, in a repair of the opening. The
/// black boxes keep the compares apart, one place each, so that libFuzzer sees how near it is.
fn is_odd(header: &Header, ranges: &[RangeEntry]) -> bool {
    let [first, second, third, ..] = ranges else { return false };
    let seam = black_box(first.range().to) == black_box(second.range().from);
    if !seam || black_box(third.range().len()) < 1 << 30 {
        return false;
    }
    let flags = black_box(header.flags());
    flags.has(Flags::REPAIR) && flags.has(Flags::OPENING)
}

fn walk_frame(frame: &Frame<'_>) {
    if frame.flags == FrameFlags::FILTERED {
        assert!(frame.topic.is_empty() && frame.payload.is_empty());
    } else {
        assert_eq!(frame.offsets, 1);
        assert!(frame.topic.is_empty() || frame.flags.has(FrameFlags::FIRST));
    }
}

fn walk_ranges(ranges: &[RangeEntry], count: usize) {
    assert_eq!(ranges.len(), count);
    assert!(ranges.iter().all(|entry| !entry.range().is_empty() && RangeEntry::new(entry.range()) == *entry));
    assert!(ranges.is_sorted_by(|a, b| a.range().to <= b.range().from));
}

fn encode(datagram: &Datagram<'_>, out: &mut Vec<u8>) {
    let header = datagram.header;
    let head = Head {
        stream: header.stream(),
        session: header.session(),
        base: header.base(),
        flags: header.flags(),
    };
    match datagram.body {
        Body::Data(frames) => encode_data(datagram, frames, &head, out),
        Body::Heartbeat(heartbeat) => wire::encode_heartbeat(out, &head, heartbeat),
        Body::End(heartbeat) => wire::encode_end(out, &head, heartbeat),
        Body::Nak(nak, ranges) => wire::encode_nak(out, &head, (nak.receiver(), nak.token()), ranges),
        Body::Status(status) => wire::encode_status(out, &head, status),
        Body::Welcome(welcome) => wire::encode_welcome(out, &head, welcome),
        Body::Gone(gone) => {
            let entry = |entry: &GoneEntry| Some(GoneEntry::new(entry.range(), entry.reason()?));
            let entries: Vec<_> = gone.iter().filter_map(entry).collect();
            wire::encode_gone(out, &head, &entries);
        }
        Body::Shed(shed, ranges) => {
            wire::encode_shed(out, &head, shed.receiver(), shed.retry_after_us(), ranges);
        }
        Body::Hello(hello, topics) => {
            let topics: Vec<_> = topics.collect();
            assert!(wire::encode_hello(out, &head, hello, &topics), "it was said before");
        }
        Body::Rows(rows, entries) => wire::encode_rows(out, &head, rows.left(), entries),
        Body::Close(close) => wire::encode_close(out, &head, close.reason().expect("a reason")),
    }
}

fn encode_data(datagram: &Datagram<'_>, frames: Frames<'_>, head: &Head, out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER_BYTES + datagram.header.length(), 0);
    let mut at = HEADER_BYTES;
    if let Some(time) = datagram.timestamp {
        out[at..at + TIMESTAMP_BYTES].copy_from_slice(&time.to_le_bytes());
        at += TIMESTAMP_BYTES;
    }
    for frame in frames {
        at += wire::put_frame(&mut out[at..], frame.flags, frame.topic, frame.payload)
            .expect("it fitted before");
        if frame.flags == FrameFlags::FILTERED {
            out[at - 4..at - 2].copy_from_slice(&frame.offsets.to_le_bytes());
        }
    }
    wire::seal_batch(out, head, datagram.header.count());
}

/// The same bytes; of control datagrams, whose encoders write no time, the same body.
fn compare(datagram: &Datagram<'_>, bytes: &[u8], again: &[u8]) {
    let is_data = datagram.header.kind() == Ok(Kind::Data);
    if is_data || datagram.timestamp.is_none() {
        assert!(bytes == again, "{bytes:02x?} became {again:02x?}");
    } else {
        assert!(bytes[HEADER_BYTES + TIMESTAMP_BYTES..] == again[HEADER_BYTES..], "the body has changed");
        assert!(bytes[8..14] == again[8..14] && bytes[16..32] == again[16..32], "the header has changed");
    }
}
