//! A message as the datagrams that carry it.

use nakcast::Message;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire::FRAME_BYTES;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::TIMESTAMP_BYTES;
use nakcast::wire::encode_end;
use nakcast::wire::put_filtered;
use nakcast::wire::put_frame;
use nakcast::wire::seal_batch;

/// Writes piece number `piece` of a message over `out`: one for each offset it has taken, of equal size.
pub(crate) fn data(out: &mut Vec<u8>, stream: StreamId, message: &Message<'_>, piece: u64) {
    let Message { session, offset, offsets, topic, payload, timestamp } = *message;
    let size = payload.len().div_ceil(usize::try_from(offsets.max(1)).unwrap_or(usize::MAX));
    let start = usize::try_from(piece).unwrap_or(usize::MAX).saturating_mul(size).min(payload.len());
    let payload = payload.get(start..(start + size).min(payload.len())).unwrap_or_default();
    let (is_first, is_last) = (piece == 0, piece + 1 == offsets);
    let topic = if is_first { topic } else { &[] };
    let mut flags = FrameFlags::default();
    if is_first {
        flags.0 |= FrameFlags::FIRST.0;
    }
    if is_last {
        flags.0 |= FrameFlags::LAST.0;
    }
    let stamp = if timestamp.is_some() { TIMESTAMP_BYTES } else { 0 };
    let frame = HEADER_BYTES + stamp;
    out.clear();
    out.resize(frame + FRAME_BYTES + topic.len() + payload.len(), 0);
    if let (Some(time), Some(room)) = (timestamp, out.get_mut(HEADER_BYTES..frame)) {
        room.copy_from_slice(&time.to_le_bytes());
    }
    // A fragment is no longer than the datagram that it came in, and that was at most 65,000.
    let room = out.get_mut(frame..).unwrap_or_default();
    debug_assert!(payload.len() <= usize::from(u16::MAX));
    put_frame(room, flags, topic, payload);
    let flags = Flags::default().with(Flags::TIMESTAMP, timestamp.is_some());
    let head = Head { stream, session, base: Offset(offset.0.saturating_add(piece)), flags };
    seal_batch(out, &head, 1);
}

/// Writes over `out` that `range`, or as much of it as one datagram can say, was left out because of its topics; where the
/// rest begins.
pub(crate) fn left_out(
    out: &mut Vec<u8>,
    (stream, session): (StreamId, SessionId),
    range: OffsetRange,
) -> Offset {
    let offsets = u16::try_from(range.len()).unwrap_or(u16::MAX);
    out.clear();
    out.resize(HEADER_BYTES + FRAME_BYTES, 0);
    put_filtered(out.get_mut(HEADER_BYTES..).unwrap_or_default(), offsets);
    seal_batch(out, &Head { stream, session, base: range.from, flags: Flags::default() }, offsets);
    Offset(range.from.0.saturating_add(u64::from(offsets)))
}

/// The end of a session, so that the file says whether its last messages are there.
pub(crate) fn end((stream, session): (StreamId, SessionId), heard: Offset) -> Vec<u8> {
    let zero = Heartbeat {
        oldest: 0.into(),
        receivers: 0.into(),
        grtt_us: 0.into(),
        status_ms: 0.into(),
        tcp_port: 0.into(),
        flags: 0.into(),
        zero: 0.into(),
    };
    let mut out = Vec::new();
    encode_end(&mut out, &Head { stream, session, base: heard, flags: Flags::default() }, &zero);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use nakcast::wire::Body;
    use nakcast::wire::Datagram;

    #[test]
    fn pieces_make_the_message_again() {
        for (bytes, offsets) in [(0_usize, 1_u64), (10, 1), (10, 3), (7, 7), (65_000, 1), (3_000, 2)] {
            let payload: Vec<_> = (0..bytes).map(|at| at as u8).collect();
            let message = Message {
                session: SessionId(9),
                offset: Offset(100),
                offsets,
                topic: b"t",
                payload: &payload,
                timestamp: Some(5),
            };
            let (mut out, mut whole) = (Vec::new(), Vec::new());
            for piece in 0..offsets {
                data(&mut out, StreamId(7), &message, piece);
                let datagram = Datagram::decode(&out).unwrap();
                let Body::Data(mut frames) = datagram.body else { panic!("no data") };
                let frame = frames.next().unwrap();
                assert_eq!((datagram.header.base().0, datagram.timestamp), (100 + piece, Some(5)));
                assert_eq!(frame.flags.has(FrameFlags::FIRST), piece == 0);
                assert_eq!(frame.flags.has(FrameFlags::LAST), piece + 1 == offsets);
                whole.extend_from_slice(frame.payload);
            }
            assert_eq!(whole, payload);
        }
    }
}
