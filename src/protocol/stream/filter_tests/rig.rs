//! A publisher with connections, and the twin of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::LentBatch;
use crate::history::Read;
use crate::history::RingSettings;
use crate::history::SEND_BYTES;
use crate::history::Stamp;
use crate::history::Writer;
use crate::protocol::Prefixes;
use crate::protocol::stream::*;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Frame;
use crate::wire::FrameFlags;
use crate::wire::Hello;
use crate::wire::HelloStart;
use crate::wire::SessionId;
use crate::wire::StreamId;

pub(super) const STREAM: StreamId = StreamId(7);
pub(super) const SESSION: SessionId = SessionId(70);
pub(super) const TOPICS: [&str; 8] = ["", "a", "ab", "abc", "b", "ba", "c", "abcd"];
pub(super) const WISHES: [&[&str]; 7] =
    [&[], &["a"], &["ab", "c"], &["b"], &["abc", "ba"], &["nothing"], &["a", "b", "c"]];

/// A fragment that was published, and where its message begins.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) topic: usize,
    pub(super) flags: FrameFlags,
    pub(super) len: usize,
}

/// What a connection is to get, told by a look at each message.
#[derive(Debug)]
pub(super) struct Twin {
    pub(super) next: u64,
    /// Where it last went on without knowing what came before.
    pub(super) began: u64,
    /// What it wants of the messages that begin at an offset or later.
    pub(super) wishes: BTreeMap<u64, Prefixes>,
    /// What was delivered, left out and lost.
    pub(super) book: [u64; 3],
    pub(super) start: u64,
}

pub(super) struct Line {
    pub(super) feed: Feed,
    pub(super) twin: Twin,
    pub(super) wire: Vec<u8>,
}

pub(super) struct Rig {
    pub(super) writer: Writer,
    pub(super) ring: Arc<Ring>,
    pub(super) sieve: Sieve,
    pub(super) lines: Vec<Line>,
    pub(super) parts: Vec<Part>,
    pub(super) sifted: u64,
    pub(super) now: Time,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// So many messages, of this topic, in so many parts, each of so many bytes; sealed and sent behind each part or at the
    /// end.
    Publish { messages: usize, topic: usize, parts: usize, len: usize, alone: bool },
    /// The rest of a message is published only after what comes next.
    Begin { topic: usize },
    /// A connection wants something else.
    Choose { line: usize, wish: usize },
    /// A connection takes so many bytes; nobody takes any when there is no such one.
    Pump { line: usize, room: usize, walk: usize },
    /// Another connection, from some part of what is held.
    Join { part: u64, wish: usize },
    /// Time passes.
    Wait,
}

impl Rig {
    pub(super) fn new(timestamps: bool) -> Self {
        let of_ring =
            RingSettings { bytes: 0, datagram: 1_400, stream: STREAM, session: SESSION, timestamps };
        let (writer, ring) = Ring::new(of_ring);
        let (sieve, lines, parts) = (Sieve::new(), Vec::new(), Vec::new());
        Self { writer, ring, sieve, lines, parts, sifted: 0, now: Time::ZERO }
    }

    pub(super) fn put(&mut self, part: Part, send: bool) {
        let topic = if part.flags.has(FrameFlags::FIRST) { TOPICS[part.topic] } else { "" };
        let payload = vec![self.parts.len() as u8; part.len];
        let mut open = self.writer.open();
        if open.append(part.flags, topic.as_bytes(), &payload).is_none() {
            let stamp = Stamp { timestamp: Some(self.parts.len() as u64), ..Stamp::default() };
            open.seal(stamp, false);
            let sealed = open.unsent().sizes.len();
            open.advance(sealed);
            if !open.has_room() {
                open.next_train();
            }
            open.append(part.flags, topic.as_bytes(), &payload).unwrap();
        }
        self.parts.push(part);
        drop(open);
        if send {
            self.send();
        }
    }

    pub(super) fn send(&mut self) {
        let mut open = self.writer.open();
        if open.held().end.0 > self.ring.sent().0 {
            let stamp = Stamp { timestamp: Some(self.parts.len() as u64), ..Stamp::default() };
            open.seal(stamp, false);
            let sealed = open.unsent().sizes.len();
            open.advance(sealed);
        }
        if !open.has_room() {
            open.next_train();
        }
    }

    pub(super) fn publish(&mut self, topic: usize, (parts, len): (usize, usize), alone: bool) {
        let first = self.parts.len() as u64;
        for part in 0..parts {
            let is = |at, flag: FrameFlags| if part == at { flag.0 } else { 0 };
            let flags = FrameFlags(is(0, FrameFlags::FIRST) | is(parts - 1, FrameFlags::LAST));
            self.put(Part { first, topic, flags, len }, alone);
        }
    }

    pub(super) fn hello(&mut self, line: usize, from: u64, wish: usize) {
        let head = Head { stream: STREAM, session: SESSION, base: Offset(from), flags: Flags(0) };
        let (mut bytes, hello) = (Vec::new(), Hello::new(ReceiverId(9), HelloStart::At));
        assert!(wire::encode_hello(&mut bytes, &head, &hello, WISHES[wish]));
        let Line { feed, twin, .. } = &mut self.lines[line];
        feed.handle(self.now, &Datagram::decode(&bytes).unwrap(), &self.ring);
        twin.wishes.insert(feed.cursor().0, Prefixes::new(WISHES[wish]));
        if feed.take_rechosen() {
            if self.sieve.is_idle() {
                let sent = self.ring.sent();
                self.sieve.jump((sent, self.ring.charge_held(sent).unwrap()));
            }
            self.sieve.choose(line as u32, feed.chosen(), feed.goes_along());
        }
        self.lead(line);
    }

    pub(super) fn join(&mut self, part: u64, wish: usize) {
        let (oldest, sent) = (self.ring.oldest().0, self.ring.sent().0);
        let from = oldest + (sent - oldest) * part / 8;
        let twin = Twin { next: from, began: from, wishes: BTreeMap::new(), book: [0; 3], start: from };
        let settings =
            FeedSettings { stream: STREAM, session: SESSION, cut_off: false, waits: false, port: 1 };
        self.lines.push(Line { feed: Feed::new(settings, self.now), twin, wire: Vec::new() });
        self.hello(self.lines.len() - 1, from, wish);
    }

    pub(super) fn lead(&mut self, line: usize) {
        if self.lines[line].feed.follow(self.sieve.walked()) {
            self.sieve.join(line as u32);
        }
    }

    /// The walk for all, over so many batches at most.
    pub(super) fn walk(&mut self, most: usize) {
        let Self { ring, sieve, lines, .. } = self;
        let mut left = most;
        while !sieve.is_idle() && left > 0 && sieve.walked().offset < ring.sent() {
            let from = sieve.walked().offset;
            let each = |batch: LentBatch<'_>| {
                let frames = BatchFrames::new(batch.bytes);
                for (offset, frame) in frames.skip_while(|(offset, _)| *offset < from) {
                    for &number in sieve.wanted_by(&frame) {
                        lines[number as usize].feed.take((offset, &frame), frames.timestamp());
                    }
                }
                sieve.passed((batch.offsets.to, batch.charge));
            };
            match ring.lend(from, SEND_BYTES, |lent| lent.take(left).map(each).count()) {
                Ok(batches) => left -= batches,
                Err(Read::Gone { oldest }) => {
                    sieve.jump((oldest, ring.charge_held(oldest).unwrap()));
                    return;
                }
                Err(read) => panic!("{read:?}"),
            }
        }
    }

    pub(super) fn pump(&mut self, taker: usize, room: usize, walk: usize) {
        self.walk(walk);
        for line in 0..self.lines.len() {
            self.lead(line);
            if line == taker {
                self.write(line, room);
            }
            self.lead(line);
            self.lines[line].feed.handle_timeout(self.now, &self.ring, 1);
            assert!(self.lines[line].feed.memory() < 4 * 65_536);
        }
    }

    /// A connection takes so many bytes, or all there is.
    pub(super) fn write(&mut self, line: usize, mut room: usize) {
        let Self { ring, sifted, now, .. } = self;
        let Line { feed, wire, .. } = &mut self.lines[line];
        while room > 0 {
            let from = match feed.peek(ring, 1) {
                FeedWrite::Nothing => break,
                FeedWrite::Control(bytes) => {
                    let taken = bytes.len().min(room);
                    wire.extend_from_slice(&bytes[..taken]);
                    feed.wrote_control(*now, taken);
                    room -= taken;
                    continue;
                }
                FeedWrite::Sift { from } => {
                    let each = |batch: LentBatch<'_>| {
                        *sifted += 1;
                        feed.sift(&batch).then_some(())
                    };
                    ring.lend(from, SEND_BYTES, |lent| lent.map_while(each).count()).unwrap();
                    continue;
                }
                FeedWrite::Batches { from } => from,
            };
            room -= ring
                .lend(from, 1, |mut lent| {
                    let batch = lent.next().unwrap();
                    let taken = batch.bytes.len().min(room);
                    wire.extend_from_slice(&batch.bytes[..taken]);
                    feed.wrote_batches(*now, (batch.offsets.to, batch.charge), &batch.bytes[taken..]);
                    taken
                })
                .unwrap();
        }
        self.check(line);
    }

    /// Compares what is whole on the connection with what the twin says.
    pub(super) fn check(&mut self, line: usize) {
        let Line { twin, wire, .. } = &mut self.lines[line];
        let mut rest = &wire[..];
        while let Ok(len) = wire::datagram_len(rest) {
            let Some((bytes, after)) = rest.split_at_checked(len) else { break };
            let datagram = Datagram::decode(bytes).unwrap();
            let base = datagram.header.base().0;
            match datagram.body {
                Body::Data(frames) => {
                    let mut at = base;
                    assert!(at <= twin.next, "{at} after {}", twin.next);
                    for frame in frames {
                        let of = at..at + u64::from(frame.offsets);
                        at = of.end;
                        of.for_each(|offset| twin.meets(offset, &frame, &self.parts));
                    }
                }
                Body::Gone(gone) => {
                    let range = gone[0].range();
                    assert_eq!(range.from.0, twin.next);
                    twin.book[2] += range.len();
                    (twin.next, twin.began) = (range.to.0, range.to.0);
                }
                Body::Heartbeat(_) | Body::End(_) => assert_eq!(base, twin.next),
                other => panic!("{other:?}"),
            }
            rest = after;
        }
        let read = wire.len() - rest.len();
        wire.drain(..read);
    }

    pub(super) fn run(&mut self, op: &Op) {
        match *op {
            Op::Publish { messages, topic, parts, len, alone } => {
                (0..messages).for_each(|_| self.publish(topic, (parts, len), alone));
                self.send();
            }
            Op::Begin { topic } => {
                let first = self.parts.len() as u64;
                self.put(Part { first, topic, flags: FrameFlags::FIRST, len: 9 }, true);
                self.pump(usize::MAX, 0, usize::MAX);
                self.put(Part { first, topic, flags: FrameFlags(0), len: 9 }, true);
            }
            Op::Choose { line, wish } if !self.lines.is_empty() => {
                self.hello(line % self.lines.len(), 0, wish);
            }
            Op::Pump { line, room, walk } => self.pump(line, room, walk),
            Op::Join { part, wish } => self.join(part, wish),
            Op::Wait => self.now = self.now + SILENCE,
            Op::Choose { .. } => {}
        }
    }

    /// Ends the stream: everything is written, and every book is closed.
    pub(super) fn finish(&mut self) {
        self.lines.iter_mut().for_each(|line| line.feed.finish());
        for line in 0..self.lines.len() {
            self.pump(line, usize::MAX, usize::MAX);
            self.pump(line, usize::MAX, usize::MAX);
            let Line { feed, twin, wire } = &self.lines[line];
            assert!(feed.is_over() && wire.is_empty());
            let published = self.parts.len() as u64 - twin.start;
            assert_eq!((twin.next, twin.book.iter().sum()), (self.parts.len() as u64, published));
        }
    }
}

impl Twin {
    /// A frame says something of `offset`.
    pub(super) fn meets(&mut self, offset: u64, frame: &Frame<'_>, parts: &[Part]) {
        if offset < self.next {
            // It was in the batch that holds what is next.
            return;
        }
        assert_eq!(offset, self.next);
        self.next += 1;
        let part = &parts[offset as usize];
        let topic = TOPICS[part.topic].as_bytes();
        let (_, wish) = self.wishes.range(..=part.first.max(self.start)).next_back().unwrap();
        let is_wanted = part.first < self.began || wish.admits(topic);
        assert_eq!(frame.flags != FrameFlags::FILTERED, is_wanted, "{offset}: {part:?}, {wish:?}");
        self.book[usize::from(!is_wanted)] += 1;
        if is_wanted {
            let is_first = part.flags.has(FrameFlags::FIRST);
            assert_eq!((frame.flags, frame.topic), (part.flags, if is_first { topic } else { b"" }));
            assert_eq!(frame.payload, vec![offset as u8; part.len]);
        }
    }
}
