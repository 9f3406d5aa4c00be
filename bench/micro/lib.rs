//! What the micro benchmarks share: a ring, and the datagrams of one send.

use std::sync::Arc;

use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::history::Open;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::Stamp;
use nakcast::history::Writer;
use nakcast::wire::FrameFlags;

/// The stream of every benchmark.
pub const STREAM: StreamId = StreamId(1);
/// Its only session.
pub const SESSION: SessionId = SessionId(2);

/// A ring of the default size with datagrams of 1,400 bytes.
#[must_use]
pub fn ring() -> (Writer, Arc<Ring>) {
    let (bytes, datagram) = (32 << 20, 1_400);
    Ring::new(RingSettings { bytes, datagram, stream: STREAM, session: SESSION, timestamps: false })
}

/// Places one message, sealing the batch when it is full and going round when the train is.
pub fn append(open: &mut Open<'_>, payload: &[u8]) {
    while open.append(FrameFlags::WHOLE, b"", payload).is_none() {
        open.seal(Stamp::default(), true);
        if !open.has_room() {
            let waiting = open.unsent().sizes.len();
            open.advance(waiting);
            open.next_train();
        }
    }
}

/// The first datagram of a stream of messages of `bytes` bytes, full.
#[must_use]
pub fn datagram(bytes: usize) -> Vec<u8> {
    let (mut writer, _) = ring();
    let payload = vec![7; bytes];
    let mut open = writer.open();
    while open.append(FrameFlags::WHOLE, b"", &payload).is_some() {}
    open.seal(Stamp::default(), true);
    let run = open.unsent();
    run.bytes[..usize::from(run.sizes[0])].to_vec()
}
