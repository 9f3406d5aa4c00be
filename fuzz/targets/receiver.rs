//! A subscriber's machine, driven by datagrams that anybody could send, at any times.
//!
//! A well-behaved publisher is up before the first of them, at an address of its own. Whatever comes from elsewhere,
//! with its session's number or another, everything it sends is delivered.

use core::net::SocketAddr;
use core::time::Duration;

use nakcast::LostReason;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::protocol::FlowPolicy;
use nakcast::protocol::Order;
use nakcast::protocol::ReceiverSettings;
use nakcast::protocol::SourceKey;
use nakcast::protocol::Step;
use nakcast::protocol::Subscription;
use nakcast::protocol::SubscriptionSettings;
use nakcast::sim::memory_bound;
use nakcast::time::Time;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::Head;
use nakcast::wire::Kind;
use nakcast::wire::Token;

use super::canary;
use super::forge;
use super::forge::Claims;
use super::forge::STREAM;
use super::press;
use super::press::Publisher;
use super::script::Script;

const ME: ReceiverId = ReceiverId(1);
const SOURCES: usize = 4;
const GAPS: usize = 8;
/// Bytes of early batches kept for each source.
const WINDOW: usize = 8 << 10;
/// The most things to take in, so that an input is soon over.
const TURNS: u32 = 48;
/// More than anything that one turn may bring: held batches, gaps and frames of four sources.
const STEPS: u32 = 4_096;
/// More than one turn may send: 4 NAKs and a STATUS to each source, and an answer or two.
const TRANSMITS: u32 = 64;
const MS: Duration = Duration::from_millis(1);

const KINDS: [Kind; 16] = [
    Kind::Data,
    Kind::Data,
    Kind::Data,
    Kind::Data,
    Kind::Data,
    Kind::Data,
    Kind::Heartbeat,
    Kind::Heartbeat,
    Kind::End,
    Kind::Welcome,
    Kind::Gone,
    Kind::Gone,
    Kind::Shed,
    Kind::Shed,
    Kind::Nak,
    Kind::Status,
];

/// Where the well-behaved publisher is.
fn home() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4_000))
}

/// Where others are: at its host, at one with two ports, at hosts of their own, on IPv6.
fn elsewhere(pick: u8) -> SocketAddr {
    match pick % 8 {
        0 => SocketAddr::from(([10, 0, 0, 1], 4_001)),
        1 => SocketAddr::from(([10, 0, 0, 2], 4_000)),
        2 => SocketAddr::from(([10, 0, 0, 2], 4_001)),
        3 => SocketAddr::from(([0xFD00, 0, 0, 0, 0, 0, 0, 1], 4_000)),
        host => SocketAddr::from(([10, 0, 0, host], 4_000)),
    }
}

/// What one source's messages became, as the user was told.
struct Seen {
    key: SourceKey,
    session: SessionId,
    is_up: bool,
    told: Vec<OffsetRange>,
    end: Offset,
    delivered: u64,
    lost: u64,
}

struct World {
    now: Time,
    subscription: Subscription,
    publisher: Publisher,
    order: Order,
    conflates: bool,
    is_late: bool,
    seen: Vec<Seen>,
    /// How far each forged session has gone.
    reached: [u64; 8],
    /// Frames handed in, and messages that came out.
    frames: u64,
    messages: u64,
    /// What the last STATUS to somebody else would have echoed.
    time: u64,
    /// The most bytes it may keep.
    memory: usize,
    out: Vec<u8>,
}

/// Books, bounds and order hold throughout, and the well-behaved publisher is heard to its end.
pub fn target(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    world.settle();
    assert_eq!(world.seen.len(), 1, "the publisher is up");
    for _ in 0..TURNS {
        if script.is_done() {
            break;
        }
        world.turn(&mut script);
        world.check();
    }
    world.survive();
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let how = script.byte();
        let more = script.byte();
        let order = if how & 1 == 0 { Order::Ordered } else { Order::AsArrived };
        let receiver = ReceiverSettings {
            order,
            repair: how & 2 == 0,
            unicast: how & 4 != 0,
            observer: how & 8 != 0,
            sources: SOURCES,
            gaps: GAPS,
            reorder_window: WINDOW,
            repair_timeout: Duration::from_millis(100),
            silence: Duration::from_millis(400),
            ..ReceiverSettings::new(STREAM, ME, u64::from(more))
        };
        let topics = match more & 3 {
            0 => vec![b"s".to_vec()],
            1 => vec![b"sx".to_vec(), b"y".to_vec()],
            _ => Vec::new(),
        };
        let conflate = (how & 0x30 == 0x30).then_some(2);
        let policy = if how & 0xC0 == 0 {
            FlowPolicy::Drop { pace: 100 * MS, free_running: true }
        } else {
            FlowPolicy::Block { patience: 5_000 * MS }
        };
        let now = Time::from_millis(1_000);
        let settings = SubscriptionSettings {
            topics,
            conflate,
            fragments: 4 << 10,
            ..SubscriptionSettings::new(receiver)
        };
        let mut publisher = Publisher::new(Publisher::settings(policy), now);
        publisher.publish();
        let memory = memory_bound(&settings);
        Self {
            now,
            memory,
            subscription: Subscription::new(settings),
            publisher,
            order,
            conflates: conflate.is_some(),
            is_late: false,
            seen: Vec::new(),
            reached: [0; 8],
            frames: 0,
            messages: 0,
            time: 0,
            out: Vec::new(),
        }
    }

    fn turn(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        match what % 16 {
            0..=7 => self.forge(script, what),
            8 => {
                let session = self.session(script.byte());
                let mut out = core::mem::take(&mut self.out);
                forge::raw(script, session, &mut out);
                self.out = out;
                self.frames += self.out.len() as u64;
                self.take(elsewhere(what >> 4));
            }
            9 => self.pass(Duration::from_micros(1 << (what >> 4))),
            10 => self.pass(u32::from(script.byte()) * MS),
            11 => self.now = self.now + Duration::from_micros(u64::from(script.byte())),
            12 => {
                self.publisher.publish();
                self.settle();
            }
            13 => {
                self.subscription.receiver().handle_recovery(self.now);
                self.steps(&[]);
            }
            14 => self.wake(),
            _ => {
                self.wake();
                self.settle();
            }
        }
    }

    /// A session that exists: the well-behaved publisher's, or one of seven.
    fn session(&self, pick: u8) -> Option<SessionId> {
        match pick % 16 {
            0 | 1 => Some(press::SESSION),
            15 => None,
            pick => Some(SessionId(100 + u64::from(pick % 7))),
        }
    }

    fn forge(&mut self, script: &mut Script<'_>, what: u8) {
        let kind = KINDS[usize::from(what >> 4)];
        let who = script.byte();
        let session = self.session(who).unwrap_or(SessionId(999));
        let mark = usize::from(who % 8);
        let own = session == press::SESSION;
        let around = if own { self.publisher.ring().sent().0 } else { self.reached[mark] };
        let how = script.byte();
        let stream = if how & 0xE0 == 0xE0 { StreamId(8) } else { STREAM };
        let base = script.offset(around);
        let receiver = if how & 0x18 == 0x18 { ReceiverId(2) } else { ME };
        let head = Head { stream, session, base: Offset(base), flags: Flags(how & 7) };
        let around = if kind == Kind::Welcome { self.time } else { around };
        let claims = Claims { kind, head, receiver, token: Token(u64::from(how)), around };
        let mut out = core::mem::take(&mut self.out);
        self.frames += forge::forge(script, &claims, &mut out);
        self.out = out;
        if base < 1 << 40 {
            self.reached[mark] = self.reached[mark].max(base);
        }
        self.take(elsewhere(who >> 4));
    }

    /// Hands in what was forged.
    fn take(&mut self, from: SocketAddr) {
        let out = core::mem::take(&mut self.out);
        self.subscription.handle_datagram(self.now, from, &out);
        self.steps(&out);
        self.out = out;
    }

    /// The subscriber's timers.
    fn wake(&mut self) {
        self.subscription.receiver().handle_timeout(self.now);
        self.subscription.receiver().poll_rejoin();
        self.steps(&[]);
        self.transmit();
        let next = self.subscription.receiver_ref().next_timeout();
        assert!(next.is_none_or(|next| next > self.now), "the caller would spin at {:?}", self.now);
    }

    /// Sends what the subscriber has; what goes to the publisher arrives at once.
    fn transmit(&mut self) {
        let mut sent = 0;
        while let Some((to, bytes)) = self.subscription.receiver().peek_transmit(self.now) {
            sent += 1;
            assert!(sent <= TRANSMITS, "more is sent than one turn may bring");
            let datagram = Datagram::decode(bytes).expect("what is sent is sound");
            if to == home() {
                let from = SocketAddr::from(([10, 0, 2, 1], 9_000));
                self.publisher.receive(self.now, from, bytes);
            } else if let Body::Status(status) = datagram.body {
                self.time = status.time.get();
            }
            self.subscription.receiver().sent();
        }
    }

    /// Publisher and subscriber talk until they have no more to say.
    fn settle(&mut self) {
        for _ in 0..8 {
            let mut heard = Vec::new();
            self.publisher.serve(self.now, |_, bytes| heard.push(bytes.to_vec()));
            for bytes in &heard {
                self.frames += 1;
                self.subscription.handle_datagram(self.now, home(), bytes);
                self.steps(bytes);
            }
            let next = self.subscription.receiver_ref().next_timeout();
            if heard.is_empty() && next.is_none_or(|next| next > self.now) {
                return;
            }
            self.wake();
        }
    }

    /// Lets `span` pass: the publisher is awake all the time, the subscriber when something comes or is due.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..STEPS {
            let next =
                [self.publisher.sender.next_timeout(), self.subscription.receiver_ref().next_timeout()];
            let Some(at) = next.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.publisher.handle_timeout(self.now);
            self.wake();
            self.settle();
        }
        unreachable!("something is due all the time");
    }

    fn steps(&mut self, bytes: &[u8]) {
        for _ in 0..STEPS {
            let step = self.subscription.step(self.now, bytes);
            if step == Step::Need {
                while let Some(step) = self.subscription.step_conflated() {
                    self.on_step(step, &[]);
                }
                return;
            }
            self.on_step(step, bytes);
        }
        unreachable!("one datagram brings more than can be");
    }

    fn on_step(&mut self, step: Step, bytes: &[u8]) {
        match step {
            Step::Message(found) => {
                let (topic, payload) = self.subscription.message(&found, bytes);
                assert!(topic.len() < 256 && payload.len() <= 64 << 10);
                self.messages += 1;
                assert!(self.messages <= self.frames, "more messages than frames");
                let is_own = self.subscription.receiver_ref().session(found.source) == Some(press::SESSION);
                if is_own {
                    let own = (found.range.from.0.to_le_bytes(), 1);
                    assert_eq!((&payload[..8], found.range.len()), (&own.0[..], own.1));
                }
                self.tell(found.source, found.range).delivered += found.range.len();
            }
            Step::Lost { source, range, reason } => {
                // A fragment before a FILTERED frame is told late, when its source is down.
                self.is_late = reason == LostReason::SourceDown;
                let seen = self.tell(source, range);
                seen.lost += range.len();
                assert!(seen.session != press::SESSION, "{range} of the publisher is lost: {reason}");
                canary(reason == LostReason::Damaged && range.len() == 1);
            }
            Step::Up(up) => {
                assert!(self.subscription.receiver_ref().session(up.source) == Some(up.session));
                self.seen.retain(|seen| seen.key != up.source || seen.session == up.session);
                match self.seen.iter_mut().find(|seen| seen.key == up.source) {
                    Some(seen) => {
                        assert!(!seen.is_up, "up twice");
                        seen.is_up = true;
                    }
                    None => self.seen.push(Seen {
                        key: up.source,
                        session: up.session,
                        is_up: true,
                        told: Vec::new(),
                        end: up.from,
                        delivered: 0,
                        lost: 0,
                    }),
                }
            }
            Step::Down { source, reason, heard } => {
                let session = self.subscription.receiver_ref().session(source);
                let rows = self.subscription.receiver_ref().rows();
                let row = rows.into_iter().find(|row| Some(row.session) == session).expect("a source");
                assert_eq!((row.book.pending(), row.book.heard, row.down), (0, heard, Some(reason)));
                let seen = self.seen.iter_mut().find(|seen| seen.key == source).expect("it was up");
                assert!(seen.is_up, "down twice");
                seen.is_up = false;
            }
            Step::Need => {}
        }
    }

    /// Each offset once, and in order where that was asked for.
    fn tell(&mut self, source: SourceKey, range: OffsetRange) -> &mut Seen {
        let is_ordered =
            self.order == Order::Ordered && !self.conflates && !core::mem::take(&mut self.is_late);
        let seen = self.seen.iter_mut().find(|seen| seen.key == source).expect("it is up");
        assert!(seen.is_up && !range.is_empty(), "{range} of a source that is not up");
        assert!(!is_ordered || range.from >= seen.end, "{range} after {}", seen.end);
        seen.end = seen.end.max(range.to);
        let at = seen.told.partition_point(|run| run.to < range.from);
        let next = seen.told.get(at..).unwrap_or_default();
        assert!(!next.iter().take(2).any(|run| run.overlaps(range)), "{range} is told twice");
        match seen.told.get_mut(at) {
            Some(run) if run.to == range.from => run.to = range.to,
            Some(run) if run.from == range.to => run.from = range.from,
            _ => seen.told.insert(at, range),
        }
        seen
    }

    /// The identity of every source, that it agrees with what the user was told, and the bounds.
    fn check(&self) {
        let mut rows = 0;
        for row in self.subscription.receiver_ref().rows() {
            rows += 1;
            let book = row.book;
            assert!(book.heard >= book.start && book.decided() <= book.heard.since(book.start), "{book:?}");
            assert!(row.down.is_none() || book.pending() == 0, "{book:?} of a source that is down");
            if let Some(seen) = self.seen.iter().find(|seen| seen.session == row.session) {
                assert_eq!((book.delivered, book.lost), (seen.delivered, seen.lost));
            }
        }
        assert!(rows <= SOURCES, "{rows} sources");
        let receiver = self.subscription.receiver_ref();
        let (held, gaps, memory) = (receiver.held_bytes(), receiver.gap_count(), self.subscription.memory());
        assert!(held <= SOURCES * WINDOW, "{held} bytes held");
        assert!(gaps <= SOURCES * GAPS, "{gaps} gaps");
        assert!(memory <= self.memory, "{memory} bytes, {} allowed", self.memory);
    }

    /// The forgers are gone; the publisher goes on to its end, and all of it is here.
    fn survive(&mut self) {
        for _ in 0..3 {
            self.publisher.publish();
        }
        self.settle();
        for _ in 0..20 {
            if self.publisher.waiting() == 0 {
                break;
            }
            self.pass(50 * MS);
        }
        assert_eq!(self.publisher.waiting(), 0, "the publisher is held");
        self.check();
        self.publisher.sender.conclude(self.now);
        self.settle();
        let (start, end) = (self.publisher.start, self.publisher.ring().sent());
        let mut rows = self.subscription.receiver_ref().rows();
        let row = rows.find(|row| row.session == press::SESSION).expect("it has been up");
        assert_eq!((row.book.heard, row.next, row.book.lost, row.book.pending()), (end, end, 0, 0));
        assert_eq!(row.down, Some(nakcast::DownReason::Ended));
        assert!(row.book.start.0 == start || row.book.start.0 == start + 1, "{:?} from {start}", row.book);
    }
}
