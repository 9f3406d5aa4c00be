//! A subscriber: its machine, a socket that can overflow, and its books.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;

use nakcast::LostReason;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::history::charge;
use nakcast::protocol::Found;
use nakcast::protocol::Order;
use nakcast::protocol::SourceKey;
use nakcast::protocol::SourceRow;
use nakcast::protocol::Step;
use nakcast::protocol::Subscription;
use nakcast::protocol::SubscriptionSettings;
use nakcast::time::Time;

use super::Truth;

/// What the kernel grants anybody, as charge.
const SOCKET: u64 = 212_992;

/// What one source's messages became, as the user saw it.
#[derive(Debug, Default)]
struct Seen {
    /// Runs told as delivered, and as lost: each disjoint, joined with its neighbours.
    delivered: Vec<OffsetRange>,
    lost: Vec<OffsetRange>,
    /// The end of what was told last, when messages come in order.
    end: Offset,
    is_up: bool,
}

/// A subscriber, driven as its contract says.
pub(crate) struct Subscriber {
    pub(crate) address: SocketAddr,
    pub(crate) machine: Subscription,
    /// The process is stopped: datagrams wait in the socket, as many as fit.
    pub(crate) is_stopped: bool,
    /// What the user was told but for messages: "up", "lost", "down", "rejoin".
    pub(crate) lines: Vec<String>,
    /// The payloads of messages, if they are short.
    pub(crate) messages: Vec<String>,
    /// Datagrams that found no room in the socket.
    pub(crate) overflowed: u64,
    socket: VecDeque<(SocketAddr, Rc<[u8]>)>,
    room: u64,
    order: Order,
    /// Not every offset is told: some are filtered or conflated.
    is_picky: bool,
    seen: BTreeMap<SessionId, Seen>,
}

impl Subscriber {
    pub(super) fn new(settings: SubscriptionSettings, address: SocketAddr) -> Self {
        Self {
            address,
            is_stopped: false,
            lines: Vec::new(),
            messages: Vec::new(),
            overflowed: 0,
            socket: VecDeque::new(),
            room: SOCKET,
            order: settings.receiver.order,
            is_picky: !settings.topics.is_empty() || settings.conflate.is_some(),
            seen: BTreeMap::new(),
            machine: Subscription::new(settings),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.machine.receiver_ref().next_timeout().filter(|_| !self.is_stopped)
    }

    pub(super) fn handle_timeout(&mut self, now: Time, truth: &Truth) {
        self.machine.receiver().handle_timeout(now);
        if self.machine.receiver().poll_rejoin() {
            self.lines.push("rejoin".to_owned());
        }
        self.steps(now, &[], truth);
        self.conflated(truth);
    }

    pub(super) fn receive(&mut self, now: Time, from: SocketAddr, bytes: &Rc<[u8]>, truth: &Truth) {
        if !self.is_stopped {
            self.take(now, (from, bytes), truth);
            self.conflated(truth);
            return;
        }
        let charge = charge(bytes.len());
        if charge > self.room {
            self.overflowed += 1;
            return;
        }
        self.room -= charge;
        self.socket.push_back((from, Rc::clone(bytes)));
    }

    /// The process goes on, with what waits in its socket first.
    pub(super) fn resume(&mut self, now: Time, truth: &Truth) {
        self.is_stopped = false;
        self.room = SOCKET;
        while let Some((from, bytes)) = self.socket.pop_front() {
            self.take(now, (from, &bytes), truth);
        }
        self.conflated(truth);
    }

    fn take(&mut self, now: Time, (from, bytes): (SocketAddr, &[u8]), truth: &Truth) {
        self.machine.handle_datagram(now, from, bytes);
        self.steps(now, bytes, truth);
    }

    fn steps(&mut self, now: Time, bytes: &[u8], truth: &Truth) {
        loop {
            let step = self.machine.step(now, bytes);
            self.check();
            if step == Step::Need {
                return;
            }
            self.on_step(step, bytes, truth);
        }
    }

    fn conflated(&mut self, truth: &Truth) {
        while let Some(step) = self.machine.step_conflated() {
            self.on_step(step, &[], truth);
            self.check();
        }
    }

    fn on_step(&mut self, step: Step, bytes: &[u8], truth: &Truth) {
        match step {
            Step::Message(found) => self.on_message(&found, bytes, truth),
            Step::Lost { source, range, reason } => self.on_lost(source, range, reason),
            Step::Up(up) => {
                let replaces = up.replaces.map_or(String::new(), |old| format!(" for {}", old.0));
                self.lines.push(format!("up {}{replaces}", up.from));
                let seen = self.seen.entry(up.session).or_default();
                assert!(!seen.is_up, "up twice");
                (seen.is_up, seen.end) = (true, seen.end.max(up.from));
            }
            Step::Down { source, reason, heard } => {
                self.lines.push(format!("down {reason} {heard}"));
                let row = self.row(source);
                assert_eq!((row.book.pending(), row.book.heard), (0, heard), "{:?}", row.book);
                assert_eq!(row.down, Some(reason));
                let book = row.book;
                let seen = self.seen_of(source);
                seen.is_up = false;
                let sum = |runs: &[OffsetRange]| runs.iter().map(|run| run.len()).sum::<u64>();
                assert_eq!((sum(&seen.delivered), sum(&seen.lost)), (book.delivered, book.lost));
            }
            Step::Need => unreachable!("nothing to see"),
        }
    }

    fn on_message(&mut self, found: &Found, bytes: &[u8], truth: &Truth) {
        let session = self.session(found.source);
        let (topic, payload) = self.machine.message(found, bytes);
        let (count, true_topic, true_payload) =
            truth.get(&(session, found.range.from)).expect("a message begins there");
        assert_eq!((found.range.len(), topic), (*count, &true_topic[..]));
        assert!(payload == &true_payload[..], "{}: not what was published", found.range);
        if payload.len() < 100 {
            self.messages.push(String::from_utf8_lossy(payload).into_owned());
        }
        self.tell(found.source, found.range, |seen| &mut seen.delivered);
    }

    fn on_lost(&mut self, source: SourceKey, range: OffsetRange, reason: LostReason) {
        self.lines.push(format!("lost {range} {reason}"));
        self.tell(source, range, |seen| &mut seen.lost);
    }

    /// Each offset once, and in order where that was asked for.
    fn tell(
        &mut self,
        source: SourceKey,
        range: OffsetRange,
        kind: impl FnOnce(&mut Seen) -> &mut Vec<OffsetRange>,
    ) {
        let (order, is_picky) = (self.order, self.is_picky);
        let seen = self.seen_of(source);
        assert!(seen.is_up && !range.is_empty(), "{range} of a source that is not up");
        let told = |runs: &[OffsetRange]| runs.iter().rev().any(|run| run.overlaps(range));
        assert!(!told(&seen.delivered) && !told(&seen.lost), "{range} is told twice");
        if order == Order::Ordered {
            let is_next = range.from == seen.end || (is_picky && range.from > seen.end);
            // The fragments of a message that began before the start are nobody's.
            let is_first = seen.delivered.is_empty() && seen.lost.is_empty();
            assert!(is_next || is_first || is_picky, "{range} after {}", seen.end);
        }
        seen.end = seen.end.max(range.to);
        add(kind(seen), range);
    }

    /// The identity of every source, and that it agrees with what the user saw.
    fn check(&self) {
        for row in self.machine.receiver_ref().rows() {
            let book = row.book;
            assert!(book.heard >= book.start, "{book:?}");
            assert!(book.decided() <= book.heard.since(book.start), "{book:?}");
            assert_eq!(book.heard.since(book.start), book.decided() + book.pending());
        }
    }

    /// What was delivered of a session, as runs.
    pub(crate) fn delivered(&self, session: SessionId) -> Vec<OffsetRange> {
        self.seen.get(&session).map_or(Vec::new(), |seen| seen.delivered.clone())
    }

    /// What was lost of a session, as runs.
    pub(crate) fn lost(&self, session: SessionId) -> Vec<OffsetRange> {
        self.seen.get(&session).map_or(Vec::new(), |seen| seen.lost.clone())
    }

    /// The row of its only source, or of the one that came last.
    pub(crate) fn last_row(&self) -> SourceRow<'_> {
        self.machine.receiver_ref().rows().last().expect("a source")
    }

    pub(super) fn drain(&mut self, now: Time) -> Vec<(SocketAddr, Rc<[u8]>)> {
        let mut out = Vec::new();
        if self.is_stopped {
            return out;
        }
        let receiver = self.machine.receiver();
        while let Some((to, bytes)) = receiver.peek_transmit(now) {
            out.push((to, bytes.into()));
            receiver.sent();
        }
        out
    }

    fn session(&self, source: SourceKey) -> SessionId {
        self.machine.receiver_ref().session(source).expect("a source")
    }

    fn row(&self, source: SourceKey) -> SourceRow<'_> {
        let session = self.session(source);
        self.machine.receiver_ref().rows().find(|row| row.session == session).expect("a source")
    }

    fn seen_of(&mut self, source: SourceKey) -> &mut Seen {
        let session = self.session(source);
        self.seen.entry(session).or_default()
    }
}

/// Adds a run to runs that stay sorted and joined.
fn add(runs: &mut Vec<OffsetRange>, range: OffsetRange) {
    let at = runs.partition_point(|run| run.to < range.from);
    match runs.get_mut(at) {
        Some(run) if run.to == range.from => run.to = range.to,
        Some(run) if run.from == range.to => run.from = range.from,
        _ => runs.insert(at, range),
    }
    if let [left, right] = runs[at..(at + 2).min(runs.len())]
        && left.to == right.from
    {
        runs[at].to = right.to;
        runs.remove(at + 1);
    }
}
