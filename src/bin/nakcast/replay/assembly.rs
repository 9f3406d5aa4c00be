//! Datagrams as they were captured, into messages in order: each once, and what is missing by name.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use nakcast::LONGEST_MESSAGE;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Frame;
use nakcast::wire::FrameFlags;
use nakcast::wire::HEADER_BYTES;

/// How much later in the capture a repair may come: longer than any publisher still answers for.
const PATIENCE: u64 = Duration::from_secs(5).as_nanos() as u64;
/// The most bytes of a source kept behind what is missing; then it is given up. As much as a subscriber keeps.
const HELD: usize = 4 << 20;
/// What a piece costs beside its bytes.
const PIECE: usize = 128;
const SOURCES: usize = 64;
/// Missing ranges that are named; further ones are only counted.
const NAMED: usize = 10;

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Nanoseconds since the Unix epoch; never less than that of the message before it.
    pub(crate) at: u64,
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// All sources of one stream.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// The stream; the first one heard, if none was asked for.
    pub(crate) stream: Option<StreamId>,
    sources: Vec<Source>,
    ready: VecDeque<Recorded>,
    /// Datagrams that are not ours, or damaged.
    pub(crate) strange: u64,
    /// Datagrams of other streams.
    pub(crate) of_others: u64,
    /// Datagrams of sources beyond the table.
    pub(crate) crowded: u64,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) session: SessionId,
    pub(crate) messages: u64,
    pub(crate) duplicates: u64,
    pub(crate) missing: u64,
    /// The first of what is missing.
    pub(crate) named: Vec<OffsetRange>,
    next: u64,
    /// The end of what it was heard to have sent.
    heard: u64,
    held: BTreeMap<u64, Piece>,
    held_bytes: usize,
    partial: Option<Partial>,
    at: u64,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    flags: FrameFlags,
    offsets: u64,
    topic: Vec<u8>,
    payload: Vec<u8>,
}

/// A message of which not all fragments are there.
#[derive(Debug)]
struct Partial {
    from: u64,
    topic: Vec<u8>,
    payload: Vec<u8>,
}

impl Assembly {
    pub(crate) fn new(stream: Option<StreamId>) -> Self {
        Self { stream, ..Self::default() }
    }

    /// Takes in a UDP payload: a datagram, or several where the kernel had not cut them apart yet.
    pub(crate) fn take(&mut self, at: u64, mut bytes: &[u8]) {
        loop {
            let Ok(datagram) = Datagram::decode(bytes) else {
                self.strange += 1;
                return;
            };
            self.on_datagram(at, &datagram);
            bytes = bytes.get(HEADER_BYTES + datagram.header.length()..).unwrap_or_default();
            // Between two of them there may be padding.
            let Some(start) = bytes.iter().position(|byte| *byte != 0) else { return };
            bytes = bytes.get(start..).unwrap_or_default();
        }
    }

    fn on_datagram(&mut self, at: u64, datagram: &Datagram<'_>) {
        let header = datagram.header;
        let is_of_publisher = matches!(datagram.body, Body::Data(_) | Body::Heartbeat(_) | Body::End(_));
        if !is_of_publisher {
            return;
        }
        if header.stream() != *self.stream.get_or_insert(header.stream()) {
            self.of_others += 1;
            return;
        }
        let Some(source) = source(&mut self.sources, header.session(), header.base().0) else {
            self.crowded += 1;
            return;
        };
        let mut base = header.base().0;
        source.heard = source.heard.max(base.saturating_add(u64::from(header.count())));
        if let Body::Data(frames) = datagram.body {
            for frame in frames {
                source.hold(at, base, &frame);
                base = base.saturating_add(u64::from(frame.offsets));
            }
        }
        source.release(at, false, &mut self.ready);
    }

    /// Nothing more comes: what is missing is missing.
    pub(crate) fn end(&mut self) {
        self.sources.iter_mut().for_each(|source| source.end(&mut self.ready));
    }

    pub(crate) fn pop(&mut self) -> Option<Recorded> {
        self.ready.pop_front()
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }
}

fn source(sources: &mut Vec<Source>, session: SessionId, base: u64) -> Option<&mut Source> {
    let at = sources.iter().position(|source| source.session == session).or_else(|| {
        (sources.len() < SOURCES).then(|| {
            sources.push(Source::new(session, base));
            sources.len() - 1
        })
    })?;
    sources.get_mut(at)
}

impl Source {
    const fn new(session: SessionId, next: u64) -> Self {
        Self {
            session,
            messages: 0,
            duplicates: 0,
            missing: 0,
            named: Vec::new(),
            next,
            heard: next,
            held: BTreeMap::new(),
            held_bytes: 0,
            partial: None,
            at: 0,
        }
    }

    fn hold(&mut self, at: u64, offset: u64, frame: &Frame<'_>) {
        if offset < self.next || self.held.contains_key(&offset) {
            self.duplicates += 1;
            return;
        }
        let (topic, payload) = (frame.topic.to_vec(), frame.payload.to_vec());
        self.held_bytes += PIECE + topic.len() + payload.len();
        let piece = Piece { at, flags: frame.flags, offsets: u64::from(frame.offsets), topic, payload };
        self.held.insert(offset, piece);
    }

    /// Hands on what is next, and gives up what nobody repairs any more.
    fn release(&mut self, now: u64, is_end: bool, ready: &mut VecDeque<Recorded>) {
        while let Some(entry) = self.held.first_entry() {
            let (offset, came) = (*entry.key(), entry.get().at);
            let is_patient = now.saturating_sub(came) < PATIENCE && self.held_bytes <= HELD && !is_end;
            if offset > self.next && is_patient {
                return;
            }
            let piece = entry.remove();
            self.held_bytes -= PIECE + piece.topic.len() + piece.payload.len();
            self.miss(offset);
            self.next = self.next.max(offset.saturating_add(piece.offsets));
            self.on_piece(offset, piece, ready);
        }
    }

    fn end(&mut self, ready: &mut VecDeque<Recorded>) {
        self.release(self.at, true, ready);
        self.miss(self.heard.max(self.next));
        if let Some(partial) = self.partial.take() {
            self.name(OffsetRange::new(Offset(partial.from), Offset(self.next)));
        }
    }

    /// What lies between the next offset and `offset` is missing, and with it the message that it would have completed.
    fn miss(&mut self, offset: u64) {
        if offset > self.next {
            let from = self.partial.take().map_or(self.next, |partial| partial.from);
            self.name(OffsetRange::new(Offset(from), Offset(offset)));
            self.next = offset;
        }
    }

    fn name(&mut self, range: OffsetRange) {
        self.missing = self.missing.saturating_add(range.len());
        let named = self.named.len();
        match self.named.last_mut() {
            Some(last) if last.to == range.from => last.to = range.to,
            _ if named < NAMED => self.named.push(range),
            _ => {}
        }
    }

    fn on_piece(&mut self, offset: u64, piece: Piece, ready: &mut VecDeque<Recorded>) {
        let Piece { at, flags, topic, payload, .. } = piece;
        self.at = self.at.max(at);
        if flags == FrameFlags::FILTERED {
            return;
        }
        if flags.has(FrameFlags::FIRST) {
            self.partial = Some(Partial { from: offset, topic, payload });
        } else if let Some(partial) = &mut self.partial {
            partial.payload.extend_from_slice(&payload);
        } else {
            // Its beginning lies before the capture, or is missing.
            return self.name(OffsetRange::run(Offset(offset), 1));
        }
        let is_too_long = |partial: &mut Partial| partial.payload.len() > LONGEST_MESSAGE;
        if let Some(partial) = self.partial.take_if(is_too_long) {
            return self.name(OffsetRange::new(Offset(partial.from), Offset(self.next)));
        }
        if flags.has(FrameFlags::LAST)
            && let Some(Partial { topic, payload, .. }) = self.partial.take()
        {
            self.messages += 1;
            ready.push_back(Recorded { at: self.at, topic, payload });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nakcast::wire::Head;
    use nakcast::wire::put_frame;
    use nakcast::wire::seal_batch;

    const SECOND: u64 = 1_000_000_000;

    fn data(base: u64, flags: FrameFlags, payloads: &[&str]) -> Vec<u8> {
        let (mut out, mut at) = (vec![0; 1_000], HEADER_BYTES);
        for payload in payloads {
            at += put_frame(&mut out[at..], flags, b"", payload.as_bytes()).unwrap();
        }
        out.truncate(at);
        let head = Head { stream: StreamId(1), session: SessionId(5), base: Offset(base), ..Head::default() };
        seal_batch(&mut out, &head, payloads.len() as u16);
        out
    }

    fn whole(base: u64, payloads: &[&str]) -> Vec<u8> {
        data(base, FrameFlags::WHOLE, payloads)
    }

    fn popped(assembly: &mut Assembly) -> String {
        let mut text = String::new();
        while let Some(Recorded { at, payload, .. }) = assembly.pop() {
            text += &format!("{at}:{} ", String::from_utf8(payload).unwrap());
        }
        text
    }

    #[test]
    fn each_message_comes_once_and_in_order() {
        let mut assembly = Assembly::new(None);
        assembly.take(1, &whole(0, &["a", "b"]));
        assembly.take(2, &whole(3, &["d"]));
        assembly.take(3, &whole(3, &["d"]));
        assert_eq!(popped(&mut assembly), "1:a 1:b ");
        assembly.take(9, &whole(2, &["c"]));
        // What waited for the repair is as late as that.
        assert_eq!(popped(&mut assembly), "9:c 9:d ");
        assembly.end();
        let source = &assembly.sources()[0];
        assert_eq!((source.messages, source.duplicates, source.missing), (4, 1, 0));
    }

    #[test]
    fn what_is_missing_is_named_and_holds_nobody_up() {
        let mut assembly = Assembly::new(None);
        assembly.take(1, &whole(0, &["a"]));
        assembly.take(2, &whole(4, &["e"]));
        assert_eq!(popped(&mut assembly), "1:a ");
        assembly.take(2 + PATIENCE, &whole(5, &["f"]));
        assert_eq!(popped(&mut assembly), format!("2:e {}:f ", 2 + PATIENCE));
        assembly.take(7 * SECOND, &whole(7, &["h"]));
        assembly.end();
        assert_eq!(popped(&mut assembly), format!("{}:h ", 7 * SECOND));
        let source = &assembly.sources()[0];
        let named: Vec<_> = source.named.iter().map(ToString::to_string).collect();
        assert_eq!((source.missing, named.join(" ")), (4, "1..4 6..7".to_owned()));
    }

    #[test]
    fn a_message_that_lacks_a_fragment_is_missing_whole() {
        let mut assembly = Assembly::new(None);
        assembly.take(1, &data(0, FrameFlags::LAST, &["its beginning was before"]));
        assembly.take(1, &data(1, FrameFlags::FIRST, &["a"]));
        assembly.take(2, &data(2, FrameFlags::default(), &["b"]));
        assembly.take(3, &data(3, FrameFlags::LAST, &["c"]));
        assembly.take(4, &data(4, FrameFlags::FIRST, &["d"]));
        assembly.take(5, &data(6, FrameFlags::LAST, &["f"]));
        assembly.take(5, &whole(7, &["g"]));
        assembly.take(6, &data(8, FrameFlags::FIRST, &["h"]));
        assembly.end();
        assert_eq!(popped(&mut assembly), "3:abc 5:g ");
        let source = &assembly.sources()[0];
        let named: Vec<_> = source.named.iter().map(ToString::to_string).collect();
        assert_eq!((source.missing, named.join(" ")), (5, "0..1 4..7 8..9".to_owned()));
    }

    #[test]
    fn several_in_one_payload_are_taken_apart_and_strangers_counted() {
        let mut assembly = Assembly::new(None);
        assembly.take(1, &[whole(0, &["a"]), vec![0; 5], whole(1, &["b"]), vec![0; 3]].concat());
        assert_eq!(popped(&mut assembly), "1:a 1:b ");
        assembly.take(2, b"something else");
        assembly.take(2, &[whole(2, &["c"]), b"rest".to_vec()].concat());
        assert_eq!((popped(&mut assembly).as_str(), assembly.strange), ("2:c ", 2));
        let mut other = Assembly::new(Some(StreamId(2)));
        other.take(1, &whole(0, &["a"]));
        assert_eq!((other.of_others, popped(&mut other).as_str()), (1, ""));
    }
}
