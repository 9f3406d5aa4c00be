//! The ring, operation by operation, against a list of all that was done to it.
//!
//! Rings are kept from one input to the next, each at the start of a train; the list begins there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::history::Held;
use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::SEND_BYTES;
use nakcast::history::Stamp;
use nakcast::history::Writer;
use nakcast::history::charge;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::FRAME_BYTES;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::HEADER_BYTES;

use super::canary;
use super::forge::STREAM;
use super::script::Script;

const SESSION: SessionId = SessionId(0x5E55);
/// Trains of the smallest ring.
const TRAINS: usize = 8;
/// Batches that a train's index has room for.
const BATCHES: usize = 1_024;
/// The most batches of one input: fewer than there are marks.
const MOST: usize = 1_500;
/// Datagrams and timestamps of the rings.
const SHAPES: [(usize, bool); 4] = [(64, false), (100, true), (1_400, false), (6_000, true)];
const TIME: u64 = 0x1122_3344;

/// A ring between two inputs: nothing waits in it, and its current train is empty.
struct Rest {
    writer: Writer,
    ring: Arc<Ring>,
    repair: Repair,
    /// The bases of the trains it holds, the current one last.
    bases: VecDeque<Offset>,
}

thread_local! {
    static RINGS: RefCell<[Option<Rest>; SHAPES.len()]> = const { RefCell::new([None, None, None, None]) };
}

#[derive(Debug, Clone, Copy)]
struct Message {
    flags: FrameFlags,
    topic: usize,
    payload: usize,
    fill: u8,
}

impl Message {
    const fn size(&self) -> usize {
        FRAME_BYTES + self.topic + self.payload
    }
}

#[derive(Debug)]
struct Batch {
    range: OffsetRange,
    len: usize,
    size: usize,
    flags: Flags,
    /// Its messages in the list of all.
    messages: (usize, usize),
}

struct Model {
    rest: Rest,
    datagram: usize,
    timestamps: bool,
    /// Where the list begins, and what was sent until then.
    base: Offset,
    charge: u64,
    messages: Vec<Message>,
    /// The first message of the open batch.
    open: usize,
    limit: usize,
    batches: Vec<Batch>,
    sent: usize,
    /// Bytes and batches in the current train, and its number.
    used: (usize, usize),
    train: u64,
    /// What the canary looks for.
    padded: u32,
    claimed: u32,
    trains: u32,
}

/// The ring does what the list says.
pub fn target(data: &[u8]) {
    let mut script = Script::new(data);
    let shape = usize::from(script.byte()) % SHAPES.len();
    let rest = RINGS.with_borrow_mut(|rings| rings[shape].take()).unwrap_or_else(|| Rest::new(SHAPES[shape]));
    let mut model = Model::new(rest, SHAPES[shape]);
    while !script.is_done() && model.batches.len() < MOST {
        model.apply(&mut script);
        model.check();
    }
    let rest = model.finish();
    RINGS.with_borrow_mut(|rings| rings[shape] = Some(rest));
}

impl Rest {
    fn new((datagram, timestamps): (usize, bool)) -> Self {
        let (writer, ring) =
            Ring::new(RingSettings { bytes: 1, datagram, stream: STREAM, session: SESSION, timestamps });
        Self { writer, ring, repair: Repair::new(), bases: VecDeque::from([Offset::ZERO]) }
    }
}

impl Model {
    fn new(mut rest: Rest, (datagram, timestamps): (usize, bool)) -> Self {
        let (base, charge) = (rest.ring.sent(), rest.ring.charge_sent());
        let held = rest.writer.open().held();
        assert_eq!((held.messages, held.end, rest.ring.next()), (0, base, base));
        Self {
            rest,
            datagram,
            timestamps,
            base,
            charge,
            messages: Vec::new(),
            open: 0,
            limit: datagram,
            batches: Vec::new(),
            sent: 0,
            used: (0, 0),
            train: held.train,
            padded: 0,
            claimed: 0,
            trains: 0,
        }
    }

    fn apply(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        match what % 16 {
            0..=3 => {
                let message = self.message(FrameFlags(what >> 4 & 3), script);
                self.append(message);
            }
            4 | 5 => self.claim(script, what & 0x10 == 0),
            6 => {
                let bytes = usize::from(script.short());
                self.rest.writer.open().set_limit(bytes);
                self.limit = bytes.min(self.hard());
            }
            7 | 8 => self.seal(Flags(what >> 4 & 2), what & 0x10 == 0),
            9 => self.advance(usize::from(what >> 4)),
            10 => self.advance(usize::MAX),
            11 => self.next_train(),
            12 => self.burst(script),
            13 => {
                let (from, len) = (self.offset(script), u64::from(script.byte()));
                self.read(OffsetRange::run(Offset(from), len));
            }
            14 => {
                let (from, to) = (self.offset(script), self.offset(script));
                self.read(OffsetRange::new(Offset(from), Offset(to)));
            }
            _ => {
                let offset = Offset(self.offset(script));
                self.charge_at(offset);
            }
        }
    }

    /// From before the oldest offset to beyond the next.
    fn offset(&self, script: &mut Script<'_>) -> u64 {
        let around = match script.byte() % 4 {
            0 => self.oldest().0,
            1 => self.base.0,
            2 => self.sent().0,
            _ => self.next().0,
        };
        script.offset(around)
    }

    fn message(&self, flags: FrameFlags, script: &mut Script<'_>) -> Message {
        let room = self.datagram - self.head() - FRAME_BYTES;
        let topic = if flags.has(FrameFlags::FIRST) { usize::from(script.byte() % 8) } else { 0 };
        let size = script.byte();
        let payload = if size >= 0xF0 { room - usize::from(size & 0xF) } else { usize::from(size) };
        let topic = topic.min(room);
        Message { flags, topic, payload: payload.min(room - topic), fill: self.next().0 as u8 }
    }

    fn append(&mut self, message: Message) -> bool {
        let (topic, payload) = (vec![!message.fill; message.topic], vec![message.fill; message.payload]);
        let appended = self.rest.writer.open().append(message.flags, &topic, &payload);
        let fits = self.open_bytes() + message.size() <= self.limit;
        assert_eq!(appended, fits.then_some(self.next()));
        if fits {
            self.messages.push(message);
        }
        fits
    }

    fn claim(&mut self, script: &mut Script<'_>, commits: bool) {
        let message = self.message(FrameFlags::WHOLE, script);
        let topic = vec![!message.fill; message.topic];
        let (next, fits) = (self.next(), self.open_bytes() + message.size() <= self.limit);
        let mut open = self.rest.writer.open();
        let lent = open.claim(&topic, message.payload);
        assert_eq!(lent.as_ref().map(|room| room.len()), fits.then_some(message.payload));
        let Some(room) = lent else { return };
        room.fill(message.fill);
        if !commits {
            return;
        }
        assert_eq!((open.claimed().len(), open.claimed_mut().len()), (message.payload, message.payload));
        assert_eq!(open.commit(), next);
        drop(open);
        self.messages.push(message);
        self.claimed += 1;
    }

    fn seal(&mut self, flags: Flags, full: bool) {
        let timestamp = self.timestamps.then_some(TIME);
        self.rest.writer.open().seal(Stamp { flags, timestamp }, full);
        if self.open == self.messages.len() {
            return;
        }
        let len = self.open_bytes();
        let size = self.padded(len, full);
        let range = OffsetRange::new(self.sealed(), self.next());
        self.padded += u32::from(size > len);
        self.batches.push(Batch { range, len, size, flags, messages: (self.open, self.messages.len()) });
        self.used = (self.used.0 + size, self.used.1 + 1);
        self.open = self.messages.len();
        self.limit = self.hard();
        let open = self.rest.ring.try_tail().expect("nobody else is here");
        let (bytes, batch) = (open.unsent().bytes, &self.batches[self.batches.len() - 1]);
        self.check_datagram(&bytes[bytes.len() - size..], batch, Flags(0));
    }

    /// A full batch grows to the one waiting before it, or to the datagram, by less than a sixteenth.
    fn padded(&self, len: usize, full: bool) -> usize {
        let Some(last) = self.batches[self.sent..].last().filter(|_| full) else { return len };
        let target = if len <= last.size { last.size } else { self.datagram };
        if (target - len) * 16 < target { target } else { len }
    }

    fn advance(&mut self, most: usize) {
        self.rest.writer.open().advance(most);
        self.sent = self.sent.saturating_add(most).min(self.batches.len());
    }

    fn next_train(&mut self) {
        if self.sealed() != self.sent() || self.open != self.messages.len() {
            return;
        }
        self.rest.writer.open().next_train();
        if self.used.1 == 0 {
            return;
        }
        self.train += 1;
        self.trains += 1;
        self.rest.bases.push_back(self.sent());
        if self.rest.bases.len() > TRAINS {
            self.rest.bases.pop_front();
        }
        self.used = (0, 0);
        self.limit = self.hard();
    }

    /// What a publisher does, over and over: append, seal, send, next train.
    fn burst(&mut self, script: &mut Script<'_>) {
        let (size, count) = (script.byte(), usize::from(script.byte() % 32));
        let target = self.batches.len() + count;
        let room = self.datagram - self.head() - FRAME_BYTES;
        let payload = room / (1 + usize::from(size % 8));
        while self.batches.len() < target {
            let fill = self.next().0 as u8;
            if self.append(Message { flags: FrameFlags::WHOLE, topic: 0, payload, fill }) {
                continue;
            }
            self.seal(Flags(0), true);
            if self.hard() == 0 {
                self.advance(usize::MAX);
                self.next_train();
            }
            self.limit = self.hard();
            self.rest.writer.open().set_limit(usize::MAX);
        }
    }

    fn read(&mut self, want: OffsetRange) {
        let expected = match want {
            _ if want.is_empty() => Read::Copied,
            _ if want.from < self.oldest() => Read::Gone { oldest: self.oldest() },
            _ if want.from >= self.sent() => Read::Unsent,
            _ => Read::Copied,
        };
        let mut repair = core::mem::take(&mut self.rest.repair);
        assert_eq!(self.rest.ring.read(want, &mut repair), expected, "{want}");
        let covers = repair.covers();
        if want.is_empty() || expected != Read::Copied {
            assert!(covers.is_empty() && repair.bytes().is_empty() && repair.sizes().is_empty());
        } else {
            self.check_read(want, &repair);
        }
        assert_eq!(repair.covers_first(repair.sizes().len()), covers);
        self.rest.repair = repair;
    }

    /// Whole batches, from the one with the first offset wanted to the one with the last, or to the end of the train.
    fn check_read(&self, want: OffsetRange, repair: &Repair) {
        let covers = repair.covers();
        let train_end = self.rest.bases.iter().copied().find(|base| *base > want.from);
        let end = want.to.min(self.sent()).min(train_end.unwrap_or(self.sent()));
        assert!(covers.contains(want.from) && covers.to >= end, "{covers} for {want}");
        assert!(train_end.is_none_or(|end| covers.to <= end));
        let mut at = covers.from;
        for bytes in repair.datagrams() {
            let datagram = Datagram::decode(bytes).expect("a sealed batch decodes");
            let range = datagram.header.range();
            assert!(range.from == at && range.overlaps(want), "{range} for {want}");
            if range.from >= self.base {
                let found = self.batches.binary_search_by_key(&range.from, |batch| batch.range.from);
                self.check_datagram(bytes, &self.batches[found.expect("a batch of the list")], Flags::REPAIR);
            }
            at = range.to;
        }
        assert_eq!(at, covers.to);
    }

    fn check_datagram(&self, bytes: &[u8], batch: &Batch, extra: Flags) {
        let datagram = Datagram::decode(bytes).expect("a sealed batch decodes");
        let header = datagram.header;
        let flags = batch.flags.with(extra, true).with(Flags::TIMESTAMP, self.timestamps);
        assert_eq!((header.stream(), header.session(), bytes.len()), (STREAM, SESSION, batch.size));
        assert_eq!((header.range(), header.flags()), (batch.range, flags));
        assert_eq!(datagram.timestamp, self.timestamps.then_some(TIME));
        let Body::Data(mut frames) = datagram.body else { unreachable!("a batch") };
        for message in &self.messages[batch.messages.0..batch.messages.1] {
            let frame = frames.next().expect("a frame for each message");
            assert_eq!((frame.flags, frame.topic.len()), (message.flags, message.topic));
            assert_eq!(frame.payload.len(), message.payload);
            assert!(is_all(frame.topic, !message.fill) && is_all(frame.payload, message.fill));
        }
        assert!(frames.next().is_none());
        assert!(is_all(&bytes[batch.len..], 0), "padding is zero");
    }

    fn charge_at(&self, offset: Offset) {
        let found = self.rest.ring.charge_at(offset);
        if offset < self.base {
            assert!(found.is_none_or(|charge| charge <= self.charge));
            return;
        }
        let sent = self.batches[..self.sent].iter().filter(|batch| batch.range.to <= offset);
        let expected = self.charge + sent.map(|batch| charge(batch.size)).sum::<u64>();
        assert_eq!(found, Some(expected), "{offset}");
    }

    /// Everything that can be asked at any time.
    fn check(&self) {
        let ring = &self.rest.ring;
        assert_eq!((ring.oldest(), ring.sent()), (self.oldest(), self.sent()));
        let open = ring.try_tail().expect("nobody else is here");
        assert_eq!((open.held(), ring.next()), (self.held(), self.next()));
        assert_eq!((open.has_room(), open.limit()), (self.has_room(), self.limit));
        assert_eq!(open.open_bytes(), self.open_bytes());
        assert_eq!(open.open_messages(), (self.messages.len() - self.open) as u64);
        assert_eq!(open.is_full_for(50), self.open_bytes() + 50 > self.hard());
        let run = open.unsent();
        let waiting = &self.batches[self.sent..];
        assert_eq!(run.sizes.len(), waiting.len());
        assert!(run.sizes.iter().zip(waiting).all(|(size, batch)| usize::from(*size) == batch.size));
        assert_eq!(run.bytes.len(), waiting.iter().map(|batch| batch.size).sum::<usize>());
        canary(self.padded > 0 && self.claimed > 0 && self.trains > 1 && self.timestamps);
    }

    /// Leaves the ring as the next input wants it.
    fn finish(mut self) -> Rest {
        self.rest.writer.open().set_limit(usize::MAX);
        self.limit = self.hard();
        self.seal(Flags(0), false);
        self.advance(usize::MAX);
        self.check();
        self.next_train();
        self.check();
        self.rest
    }

    const fn head(&self) -> usize {
        HEADER_BYTES + if self.timestamps { 8 } else { 0 }
    }

    fn open_bytes(&self) -> usize {
        let open = self.messages[self.open..].iter().map(Message::size).sum::<usize>();
        self.head() + open
    }

    const fn has_room_behind(&self, bytes: usize, batches: usize) -> bool {
        self.used.0 + bytes + self.datagram <= SEND_BYTES && self.used.1 + batches < BATCHES
    }

    const fn hard(&self) -> usize {
        if self.has_room_behind(0, 0) { self.datagram } else { 0 }
    }

    const fn has_room(&self) -> bool {
        if self.open == self.messages.len() {
            self.hard() > 0
        } else {
            self.has_room_behind(self.datagram, 1)
        }
    }

    fn held(&self) -> Held {
        let unsent: usize = self.batches[self.sent..].iter().map(|batch| batch.size).sum();
        let open = if self.open == self.messages.len() { 0 } else { self.open_bytes() };
        Held {
            train: self.train,
            messages: self.next().since(self.sent()),
            bytes: unsent + open,
            end: self.next(),
        }
    }

    fn oldest(&self) -> Offset {
        self.rest.bases.front().copied().unwrap_or_default()
    }

    fn sent(&self) -> Offset {
        self.batches[..self.sent].last().map_or(self.base, |batch| batch.range.to)
    }

    fn sealed(&self) -> Offset {
        self.batches.last().map_or(self.base, |batch| batch.range.to)
    }

    fn next(&self) -> Offset {
        self.base.plus(self.messages.len() as u64)
    }
}

/// Whether all of `bytes` are `byte`: the first is, and each is as the one before it.
fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.is_empty() || (bytes[0] == byte && bytes[1..] == bytes[..bytes.len() - 1])
}
