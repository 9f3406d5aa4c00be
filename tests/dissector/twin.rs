//! What the dissector is to say, said by the library's own decoder and by a slow, obvious account of offsets.

use std::collections::BTreeSet;
use std::collections::HashMap;

use nakcast::SessionId;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::Header;
use nakcast::wire::RangeEntry;

pub(crate) const FIELDS: &str = "nakcast.kind,nakcast.flags,nakcast.checksum.status,nakcast.stream,nakcast.count,\
    nakcast.length,nakcast.session,nakcast.base,nakcast.message.offset,nakcast.message.length,nakcast.message.fragment,\
    nakcast.topic,nakcast.receiver,nakcast.range.from,nakcast.range.count,nakcast.status.delivered,\
    nakcast.status.window,nakcast.oldest,nakcast.receivers,nakcast.welcome.echo";
pub(crate) const ANALYSIS: &str = "nakcast.analysis.gap.from,nakcast.analysis.gap,nakcast.analysis.repair.mended,\
    nakcast.analysis.late,nakcast.analysis.duplicate";

pub(crate) fn kind(bytes: &[u8]) -> String {
    format!("{:?}", Header::peek(bytes).unwrap().0).to_uppercase()
}

/// The cells of [`FIELDS`].
pub(crate) fn row(datagram: &Datagram<'_>) -> Vec<String> {
    let header = datagram.header;
    let mut row = vec![
        (header.kind().unwrap() as u8).to_string(),
        format!("0x{:02x}", header.flags().0),
        "1".to_owned(),
        header.stream().to_string(),
        header.count().to_string(),
        header.length().to_string(),
        format!("0x{:016x}", header.session().0),
        header.base().0.to_string(),
    ];
    row.extend(messages(datagram));
    row.extend(control(datagram));
    row
}

fn join(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().collect::<Vec<_>>().join(",")
}

fn messages(datagram: &Datagram<'_>) -> [String; 4] {
    let Body::Data(frames) = datagram.body else { return Default::default() };
    let base = datagram.header.base().0;
    let frames: Vec<_> = frames.collect();
    let split = frames.iter().filter(|frame| frame.flags != FrameFlags::WHOLE);
    let topics = frames.iter().filter(|frame| !frame.topic.is_empty());
    [
        join((base..).take(frames.len()).map(|offset| offset.to_string())),
        join(frames.iter().map(|frame| frame.payload.len().to_string())),
        join(split.map(|_| "1".to_owned())),
        join(topics.map(|frame| String::from_utf8_lossy(frame.topic).into_owned())),
    ]
}

fn ranges(entries: &[RangeEntry]) -> [String; 2] {
    [
        join(entries.iter().map(|entry| entry.range().from.0.to_string())),
        join(entries.iter().map(|entry| entry.range().len().to_string())),
    ]
}

fn control(datagram: &Datagram<'_>) -> [String; 8] {
    let hex = |number: u64| format!("0x{number:016x}");
    let mut cells: [String; 8] = Default::default();
    match datagram.body {
        Body::Heartbeat(heartbeat) | Body::End(heartbeat) => {
            cells[5] = heartbeat.oldest.to_string();
            cells[6] = heartbeat.receivers.to_string();
        }
        Body::Nak(nak, entries) => {
            cells[0] = hex(nak.receiver().0);
            [cells[1], cells[2]] = ranges(entries);
        }
        Body::Status(status) => {
            cells[0] = hex(status.receiver().0);
            cells[3] = status.delivered.to_string();
            cells[4] = status.window.to_string();
        }
        Body::Welcome(welcome) => {
            cells[0] = hex(welcome.receiver.get());
            cells[7] = welcome.echo.to_string();
        }
        Body::Shed(shed, entries) => {
            cells[0] = hex(shed.receiver().0);
            [cells[1], cells[2]] = ranges(entries);
        }
        _ => {}
    }
    cells
}

#[derive(Default)]
struct Session {
    next: Option<u64>,
    seen: BTreeSet<u64>,
    start: u64,
}

/// Every offset that was seen, one by one.
#[derive(Default)]
pub(crate) struct Seen {
    sessions: HashMap<SessionId, Session>,
    pub(crate) gaps: u64,
    pub(crate) gap_datagrams: usize,
    pub(crate) mended: u64,
}

impl Seen {
    /// The cells of [`ANALYSIS`].
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Vec<String> {
        let datagram = Datagram::decode(bytes).unwrap();
        let header = datagram.header;
        let mut cells = vec![String::new(); 5];
        if !matches!(datagram.body, Body::Data(_) | Body::Heartbeat(_) | Body::End(_)) {
            return cells;
        }
        let session = self.sessions.entry(header.session()).or_default();
        let base = header.base().0;
        let next = session.next.unwrap_or_else(|| {
            session.start = base;
            base
        });
        if base > next {
            (cells[0], cells[1]) = (next.to_string(), (base - next).to_string());
            self.gaps += base - next;
            self.gap_datagrams += 1;
        }
        let end = base + u64::from(header.count());
        if matches!(datagram.body, Body::Data(_)) {
            let fresh: Vec<_> =
                (base.max(session.start)..end).filter(|offset| session.seen.insert(*offset)).collect();
            let mended = fresh.iter().filter(|offset| **offset < next).count() as u64;
            self.mended += mended;
            if header.flags().has(Flags::REPAIR) {
                cells[2] = mended.to_string();
            } else if mended > 0 {
                cells[3] = mended.to_string();
            } else if fresh.is_empty() {
                cells[4] = "1".to_owned();
            }
        }
        session.next = Some(next.max(end));
        cells
    }
}
