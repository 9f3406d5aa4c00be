//! The connections of a publisher: each a cursor in the ring, all on one poll.

mod carrier;
mod history;
mod line;
mod sieving;
mod tail;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use crate::history::Ring;
use crate::io::Call;
use crate::io::Listener;
use crate::io::Peer;
use crate::io::Switchboard;
use crate::offset::Offset;
use crate::protocol::Feed;
use crate::protocol::FeedSettings;
use crate::protocol::Sender;
use crate::publisher::streams::history::History;
use crate::publisher::streams::history::PIECE;
use crate::publisher::streams::line::Ending;
use crate::publisher::streams::line::Line;
use crate::publisher::streams::line::Source;
use crate::publisher::streams::sieving::Sieving;
use crate::publisher::streams::tail::Tail;
use crate::stats::StreamStats;
use crate::time::Time;
use crate::wire::CloseReason;

pub(super) use carrier::Carrier;

/// Connections taken in one turn.
const ACCEPTS: usize = 64;
/// Rounds of events taken in one turn.
const ROUNDS: usize = 4;
/// The most connections beside those that are served: of peers that have not said HELLO yet, or were turned away and have not
/// gone yet. One more takes the place of the oldest, so that they keep nobody out; a subscriber to which that happens
/// comes again.
const STRANGERS: usize = 1_024;
/// Bytes read from one connection at a time.
const READ_BYTES: usize = 65_536;
/// Times one connection is read in a turn: once for what is there, once to see that there is no more.
const READS: usize = 2;
/// How often timers are looked at, all in one go.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// When to try again what a lock refused just now.
const SOON: Duration = Duration::from_micros(100);
/// When to take connections again for which the system had no descriptor left.
const LATER: Duration = Duration::from_millis(100);

/// Who writes to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The publisher, which may write from the train that it fills itself.
    Publisher,
    /// A thread for which the publisher must not have to wait: it copies what it writes from that train.
    Background,
}

/// The listener and its connections.
#[derive(Debug)]
pub(super) struct Streams {
    board: Switchboard,
    listener: Option<Listener>,
    feed: FeedSettings,
    most: usize,
    lines: Vec<Option<Line>>,
    free: Vec<usize>,
    calls: Vec<Call>,
    room: Box<[u8]>,
    tail: Tail,
    sieving: Sieving,
    /// When to take connections.
    knock: Option<Time>,
    /// Everything was published.
    is_finishing: bool,
    /// How many connections were served in the last turn.
    subscribers: usize,
    /// Everything before it was written to every connection that takes it.
    pumped: Offset,
    history: History,
    /// When some connection may take more, whatever was published meanwhile.
    write_at: Option<Time>,
    look_at: Time,
    /// How many receivers the sender had evicted when it was looked at last.
    evicted: u64,
    /// Overruns of connections that are gone are in it already.
    stats: StreamStats,
}

impl Streams {
    pub(super) fn new(mut listener: Listener, feed: FeedSettings, most: usize) -> io::Result<Self> {
        Ok(Self {
            board: Switchboard::new(&mut listener)?,
            listener: Some(listener),
            feed,
            most,
            lines: Vec::new(),
            free: Vec::new(),
            calls: Vec::new(),
            room: vec![0; READ_BYTES].into_boxed_slice(),
            tail: Tail::new(),
            sieving: Sieving::default(),
            knock: None,
            is_finishing: false,
            subscribers: 0,
            pumped: Offset::ZERO,
            history: History::default(),
            write_at: None,
            look_at: Time::ZERO,
            evicted: 0,
            stats: StreamStats::default(),
        })
    }

    /// The poll of all sockets, for another one to wait on.
    pub(super) const fn board(&self) -> &Switchboard {
        &self.board
    }

    /// How many connections there are.
    pub(super) const fn live(&self) -> usize {
        self.lines.len() - self.free.len()
    }

    /// How many of those were served at the last turn: the others have not said HELLO, or are on their way out.
    pub(super) const fn subscribers(&self) -> usize {
        self.subscribers
    }

    fn served(&self) -> usize {
        self.lines.iter().flatten().filter(|line| line.is_served()).count()
    }

    /// Finds out what has happened to the sockets, without waiting; whether there may be more.
    pub(super) fn listen(&mut self, now: Time) -> bool {
        for _ in 0..ROUNDS {
            let has_more = match self.board.check(&mut self.calls) {
                Ok(has_more) => has_more,
                Err(error) => {
                    tracing::warn!(%error, "polling a publisher's connections");
                    return false;
                }
            };
            for call in self.calls.drain(..) {
                match call {
                    Call::Knock => self.knock = Some(now),
                    Call::Peer { number, readable, writable } => {
                        if let Some(Some(line)) = self.lines.get_mut(number) {
                            line.on_call(readable, writable);
                            self.write_at = Some(now);
                        }
                    }
                }
            }
            if !has_more {
                return false;
            }
        }
        true
    }

    /// Writes to every connection what it takes, at most `budget` bytes to each; when there is more to write. Those that are
    /// late take turns.
    pub(super) fn pump(&mut self, (now, by): (Time, By), ring: &Ring, budget: usize) -> Option<Time> {
        let sent = ring.sent();
        if sent == self.pumped && self.write_at.is_none_or(|at| now < at) {
            return self.write_at;
        }
        (self.pumped, self.write_at) = (sent, None);
        let subscribers = self.subscribers;
        let (tail, stats) = (&mut self.tail, &mut self.stats);
        let mut source = Source { now, by, ring, tail, subscribers, budget, stats };
        let mut again = self.sieving.walk(&mut source, &mut self.lines).again(now);
        self.history.begin();
        for (number, slot) in self.lines.iter_mut().enumerate() {
            let Some(line) = slot else { continue };
            if line.is_late(ring) {
                // Whoever has joined the walk must hear of each.
                self.sieving.lead(number, line);
                if line.has_room() {
                    self.history.count(number);
                }
                continue;
            }
            let written = self.sieving.write(number, line, &mut source);
            again = again.into_iter().chain(written.again(now)).min();
        }
        if let Some(number) = self.history.turn(now, ring.bytes_sent())
            && let Some(Some(line)) = self.lines.get_mut(number)
        {
            source.budget = PIECE.min(budget);
            self.sieving.write(number, line, &mut source);
        }
        self.write_at = again.into_iter().chain(self.history.next_turn()).min();
        self.write_at
    }

    /// Takes connections, reads what came, tells `sender` what it is to know, and does what is due. Gives when to do so
    /// again.
    pub(super) fn turn(&mut self, now: Time, ring: &Ring, sender: &mut Sender) -> Option<Time> {
        self.subscribers = self.served();
        self.accept(now);
        let evicted = sender.stats().evicted;
        let is_due = now >= self.look_at || evicted != self.evicted;
        if is_due {
            (self.evicted, self.look_at) = (evicted, now + LOOK_EVERY);
        }
        let mut is_readable = false;
        for (number, slot) in self.lines.iter_mut().enumerate() {
            let Some(line) = slot else { continue };
            for _ in 0..READS {
                if line.is_readable {
                    let (is_place, was_served) = (self.subscribers < self.most, line.is_served());
                    line.read(&mut self.room, (now, ring), sender, is_place);
                    self.subscribers += usize::from(line.is_served() && !was_served);
                    self.write_at = Some(now);
                }
            }
            is_readable |= line.is_readable;
            self.sieving.choose(number, line, ring);
            match line.settle((now, ring), sender, (self.subscribers, is_due)) {
                Ending::None => {}
                Ending::Closes(reason) => {
                    self.stats.count(reason);
                    self.write_at = Some(now);
                    self.sieving.forget(number);
                }
                Ending::Cut => self.stats.cut += 1,
                Ending::Over => {}
            }
            if line.is_dead() {
                self.stats.overruns += line.feed.overruns();
                *slot = None;
                self.free.push(number);
                self.sieving.forget(number);
            }
        }
        if is_due {
            // A heartbeat may be waiting on any of them.
            self.write_at = Some(now);
        }
        let reads = is_readable.then_some(now);
        let looks = (self.live() > 0).then_some(self.look_at);
        reads.into_iter().chain(looks).chain(self.write_at).chain(self.knock).min()
    }

    /// Everything was published: END follows the last batch of each.
    pub(super) fn finish(&mut self) {
        self.is_finishing = true;
        self.lines.iter_mut().flatten().for_each(|line| line.feed.finish());
        self.write_at = Some(Time::ZERO);
    }

    /// How many connections are owed something before the publisher ends.
    pub(super) fn unsettled(&self) -> usize {
        if !self.is_finishing {
            return 0;
        }
        self.lines.iter().flatten().filter(|line| !line.is_settled()).count()
    }

    /// Ends all connections, and takes no more.
    pub(super) fn close(&mut self) {
        for line in &mut self.lines {
            if let Some(line) = line.take() {
                self.stats.overruns += line.feed.overruns();
                line.part(&mut self.room);
            }
        }
        self.lines.clear();
        self.free.clear();
        self.listener = None;
    }

    /// What was counted.
    pub(super) fn stats(&self) -> StreamStats {
        let overruns: u64 = self.lines.iter().flatten().map(|line| line.feed.overruns()).sum();
        StreamStats {
            connections: self.live(),
            overruns: self.stats.overruns + overruns,
            sieved: self.sieving.looks(),
            ..self.stats
        }
    }

    fn accept(&mut self, now: Time) {
        if self.knock.is_none_or(|at| now < at) {
            return;
        }
        let Some(listener) = self.listener.take() else { return };
        let (mut strangers, mut oldest) = (self.live() - self.subscribers, None);
        for _ in 0..ACCEPTS {
            match listener.accept() {
                Ok(Some(accepted)) => {
                    self.stats.accepted += 1;
                    while strangers >= STRANGERS && self.turn_away(&mut oldest) {
                        strangers -= 1;
                    }
                    strangers += usize::from(self.take_in(accepted, now));
                }
                Ok(None) => {
                    self.knock = None;
                    break;
                }
                // The system has no descriptor left: one that is of no use makes room.
                Err(_) if strangers > 0 && self.turn_away(&mut oldest) => strangers -= 1,
                Err(error) => {
                    tracing::warn!(%error, "taking a connection");
                    self.knock = Some(now + LATER);
                    break;
                }
            }
        }
        self.listener = Some(listener);
    }

    /// Takes a connection that has come; whether it could.
    fn take_in(&mut self, (mut peer, address): (Peer, SocketAddr), now: Time) -> bool {
        let number = self.free.last().copied().unwrap_or(self.lines.len());
        if self.board.add(&mut peer, number).is_err() {
            self.stats.refused += 1;
            return false;
        }
        let mut feed = Feed::new(self.feed, now);
        if self.subscribers >= self.most {
            feed.close(CloseReason::Full);
        }
        if self.is_finishing {
            feed.finish();
        }
        let line = Some(Line::new((peer, address), feed, now));
        match self.free.pop().and_then(|number| self.lines.get_mut(number)) {
            Some(slot) => *slot = line,
            None => self.lines.push(line),
        }
        true
    }

    /// Drops the oldest connection that is not served, if there is one. They are found once for all that a turn drops.
    fn turn_away(&mut self, oldest: &mut Option<Vec<usize>>) -> bool {
        let Some(number) = oldest.get_or_insert_with(|| self.strangers()).pop() else { return false };
        let Some(line) = self.lines.get_mut(number).and_then(Option::take) else { return false };
        self.stats.overruns += line.feed.overruns();
        // Whoever is on its way out already was counted when it was sent away.
        self.stats.refused += u64::from(line.feed.closed().is_none());
        self.free.push(number);
        self.sieving.forget(number);
        true
    }

    /// The connections that are not served, the oldest last.
    fn strangers(&self) -> Vec<usize> {
        let strangers = self.lines.iter().enumerate().filter_map(|(number, slot)| {
            slot.as_ref().filter(|line| line.is_stranger()).map(|line| (line.begun, number))
        });
        let mut strangers: Vec<_> = strangers.collect();
        strangers.sort_unstable_by(|one, other| other.cmp(one));
        strangers.into_iter().map(|(_, number)| number).collect()
    }
}
