//! One connection of a publisher.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::io::IoSlice;

use crate::history::Lent;
use crate::history::Read;
use crate::history::Ring;
use crate::history::SEND_BYTES;
use crate::io::Peer;
use crate::offset::Offset;
use crate::protocol::Feed;
use crate::protocol::FeedWrite;
use crate::protocol::HELLO_WITHIN;
use crate::protocol::Heard;
use crate::protocol::Inbox;
use crate::protocol::Sender;
use crate::protocol::StreamReceiver;
use crate::publisher::streams::By;
use crate::publisher::streams::sieving;
use crate::publisher::streams::tail::Mark;
use crate::publisher::streams::tail::Run;
use crate::publisher::streams::tail::Tail;
use crate::stats::StreamStats;
use crate::time::Time;
use crate::wire::CloseReason;
use crate::wire::Datagram;

/// How long a peer has to take its CLOSE.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// How long a peer that has been told everything has to close its end.
const PART_WITHIN: Duration = Duration::from_secs(1);
/// A subscriber that is no further behind has come to the present, in charge.
const NEAR: u64 = 1 << 20;
/// The most batches in one write.
const BATCHES: usize = 256;

/// What connections are written from.
pub(super) struct Source<'a> {
    pub(super) now: Time,
    pub(super) by: By,
    pub(super) ring: &'a Ring,
    pub(super) tail: &'a mut Tail,
    pub(super) subscribers: usize,
    /// The most bytes for each connection.
    pub(super) budget: usize,
    pub(super) stats: &'a mut StreamStats,
}

/// How a turn of writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// There is nothing more, or the connection takes no more.
    All,
    /// There is more, for the next turn.
    Part,
    /// The publisher is at work on what is to be written next.
    Busy,
}

/// What has become of a line in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It goes on.
    None,
    /// It begins to be closed: its peer is told why.
    Closes(CloseReason),
    /// It was cut: nobody had said that it was to end.
    Cut,
    /// It is over.
    Over,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    peer: Peer,
    address: SocketAddr,
    /// When it was taken.
    pub(super) begun: Time,
    pub(super) feed: Feed,
    inbox: Inbox,
    /// As whom the sender knows it.
    who: Option<StreamReceiver>,
    /// It takes no bytes until the poll says so.
    is_blocked: bool,
    /// There may be something to read.
    pub(super) is_readable: bool,
    is_dead: bool,
    /// It began in the past, and has not come to the present yet.
    is_late: bool,
    /// The position that the sender was told last.
    told: Option<Offset>,
    /// Since when it is being closed.
    closing: Option<Time>,
    /// Since when nothing more is written.
    shut: Option<Time>,
}

impl Line {
    pub(super) fn new((peer, address): (Peer, SocketAddr), feed: Feed, now: Time) -> Self {
        Self {
            peer,
            address,
            begun: now,
            feed,
            inbox: Inbox::new(),
            who: None,
            is_blocked: false,
            is_readable: true,
            is_dead: false,
            is_late: true,
            told: None,
            closing: None,
            shut: None,
        }
    }

    /// The poll has something to tell.
    pub(super) const fn on_call(&mut self, readable: bool, writable: bool) {
        self.is_readable |= readable;
        self.is_blocked &= !writable;
    }

    /// Whether it has a place among those that are served: it has said HELLO, and was not turned away since.
    pub(super) const fn is_served(&self) -> bool {
        self.feed.is_greeted() && self.feed.closed().is_none()
    }

    /// Whether nobody counts on it: it has not said HELLO, or was turned away.
    pub(super) const fn is_stranger(&self) -> bool {
        !self.is_served() && self.who.is_none()
    }

    /// Whether it may still be owed something before the publisher ends.
    pub(super) const fn is_settled(&self) -> bool {
        let told = self.shut.is_some() && (self.feed.is_confirmed() || self.feed.counted().is_none());
        self.is_dead || told || !self.feed.is_greeted() || self.feed.closed().is_some()
    }

    /// The publisher ends: what was written still arrives, if nothing that came is left unread.
    pub(super) fn part(mut self, room: &mut [u8]) {
        self.peer.shut();
        // What it says any more is of no interest, nor whether it says anything.
        let _ = self.peer.read(room);
    }

    /// Whether nothing more will come of it.
    pub(super) const fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Whether it takes bytes, as far as is known.
    pub(super) const fn has_room(&self) -> bool {
        !self.is_blocked && !self.is_dead
    }

    /// Whether what it is to be written lies in the past, where it began.
    pub(super) fn is_late(&mut self, ring: &Ring) -> bool {
        if self.is_late && self.feed.is_greeted() {
            self.is_late = self.feed.lag(ring) > NEAR;
        }
        self.is_late && self.feed.is_greeted()
    }

    /// Writes what there is to write.
    pub(super) fn write(&mut self, source: &mut Source<'_>) -> Written {
        let mut left = source.budget;
        while left > 0 {
            if self.is_blocked || self.is_dead {
                return Written::All;
            }
            match self.feed.peek(source.ring, source.subscribers) {
                FeedWrite::Nothing => return Written::All,
                FeedWrite::Control(bytes) => {
                    let wrote = self.peer.write(bytes);
                    if let Some(bytes) = self.account(wrote, source.stats) {
                        self.feed.wrote_control(source.now, bytes);
                        left = left.saturating_sub(bytes);
                    }
                }
                FeedWrite::Batches { from } => match self.write_batches(source, (from, left)) {
                    Ok(bytes) => left = left.saturating_sub(bytes),
                    Err(Read::Busy) => return Written::Busy,
                    Err(Read::Unsent) => return Written::All,
                    // The ring came round just now: the feed says so next.
                    Err(_) => {}
                },
                FeedWrite::Sift { from } => match sieving::sift(&mut self.feed, source, (from, left)) {
                    Ok(bytes) => left = left.saturating_sub(bytes),
                    Err(Read::Busy) => return Written::Busy,
                    Err(Read::Unsent) => return Written::All,
                    Err(_) => {}
                },
            }
        }
        Written::Part
    }

    /// Writes batches from `from` on, at most so many bytes: from the copy of the current train, or from an older one.
    fn write_batches(
        &mut self,
        source: &mut Source<'_>,
        (from, most): (Offset, usize),
    ) -> Result<usize, Read> {
        if let Some((bytes, run)) = source.tail.from(from) {
            let wrote = self.peer.write(bytes);
            let Some(wrote) = self.account(wrote, source.stats) else { return Ok(0) };
            self.advance(source.now, wrote, (run, bytes));
            return Ok(wrote);
        }
        let Source { now, by, ring, tail, stats, .. } = source;
        ring.lend(from, most.clamp(1, SEND_BYTES), |lent| {
            if lent.is_current() && *by == By::Background {
                tail.fill(lent);
                return 0;
            }
            self.write_lent(*now, lent, stats)
        })
    }

    /// Writes batches from where they lie.
    fn write_lent(&mut self, now: Time, lent: Lent<'_>, stats: &mut StreamStats) -> usize {
        let (mut slices, mut marks) = ([IoSlice::new(&[]); BATCHES], [Mark::default(); BATCHES]);
        let (mut count, mut at) = (0, 0);
        for ((batch, slice), mark) in lent.zip(&mut slices).zip(&mut marks) {
            at += batch.bytes.len();
            *slice = IoSlice::new(batch.bytes);
            *mark = Mark { at, end: batch.offsets.to, charge: batch.charge };
            count += 1;
        }
        let (slices, marks) = (&slices[..count], &marks[..count]);
        let wrote = self.peer.write_vectored(slices);
        let Some(bytes) = self.account(wrote, stats) else { return 0 };
        let Some((index, mark, left)) = (Run { start: 0, marks }).reach(bytes) else { return 0 };
        let cut = slices.get(index).map_or(&[][..], |slice| slice);
        self.feed.wrote_batches(
            now,
            (mark.end, mark.charge),
            cut.get(cut.len() - left..).unwrap_or_default(),
        );
        bytes
    }

    /// Bytes that lie together were written.
    fn advance(&mut self, now: Time, wrote: usize, (run, bytes): (Run<'_>, &[u8])) {
        let Some((_, mark, left)) = run.reach(wrote) else { return };
        let rest = bytes.get(wrote..wrote + left).unwrap_or_default();
        self.feed.wrote_batches(now, (mark.end, mark.charge), rest);
    }

    /// What came of a write.
    fn account(&mut self, wrote: io::Result<Option<usize>>, stats: &mut StreamStats) -> Option<usize> {
        match wrote {
            Ok(Some(bytes)) if bytes > 0 => {
                stats.bytes += bytes as u64;
                return Some(bytes);
            }
            Ok(Some(_)) | Err(_) => self.is_dead = true,
            Ok(None) => self.is_blocked = true,
        }
        None
    }

    /// Reads what has come, into `room`, and tells `sender`. It stays readable until a read gives nothing: one that does not
    /// fill the room may have left the end of the connection behind it, of which the poll has told already. One that says
    /// HELLO is served if there `is_place`.
    pub(super) fn read(
        &mut self,
        room: &mut [u8],
        (now, ring): (Time, &Ring),
        sender: &mut Sender,
        is_place: bool,
    ) {
        let bytes = match self.peer.read(room) {
            Ok(None) => {
                self.is_readable = false;
                return;
            }
            Ok(Some(0)) | Err(_) => {
                (self.is_readable, self.is_dead) = (false, true);
                return;
            }
            Ok(Some(bytes)) => bytes,
        };
        let mut fresh = room.get(..bytes).unwrap_or_default();
        // What comes after the end is only taken so that closing does not cut off what is still on its way.
        while !self.is_dead && self.feed.closed().is_none() {
            let Ok(next) = self.inbox.next(now, &mut fresh) else { return self.feed.handle_broken() };
            let Some(bytes) = next else { return };
            let Ok(datagram) = Datagram::decode(bytes) else { return self.feed.handle_broken() };
            match self.feed.handle(now, &datagram, ring) {
                Heard::Hello { .. } if !is_place => self.feed.close(CloseReason::Full),
                Heard::Hello { receiver, is_observer: false } => {
                    let who = StreamReceiver { receiver, address: self.address };
                    self.who = Some(who);
                    if !sender.attach(now, who, self.feed.cursor(), ring) {
                        self.feed.close(CloseReason::Full);
                    }
                    self.recall(who, sender);
                }
                Heard::Status(next, status) => {
                    let Some(who) = self.who else { continue };
                    sender.report_stream(now, who, (next, status), ring);
                    if !sender.is_attached(who) {
                        // It took its leave.
                        (self.who, self.is_dead) = (None, true);
                    }
                }
                Heard::Rows(from) => {
                    let (rows, all) = sender.rows_from(now, from);
                    self.feed.tell_rows(ring.sent(), &rows, all);
                }
                _ => {}
            }
        }
    }

    /// Whether what it misses it misses because it was evicted, as `sender` knows it.
    fn recall(&mut self, who: StreamReceiver, sender: &Sender) {
        self.feed.set_evicted(sender.row(who.receiver).is_some_and(|row| row.evicted));
    }

    /// Tells `sender` how far the line has come, and does what is due.
    pub(super) fn settle(
        &mut self,
        (now, ring): (Time, &Ring),
        sender: &mut Sender,
        (subscribers, is_due): (usize, bool),
    ) -> Ending {
        let position = Some(self.feed.position());
        if position != self.told
            && let (Some(who), Some(taken)) = (self.who, self.feed.taken(ring))
        {
            sender.progress(now, who, taken, ring);
            self.told = position;
        }
        if is_due {
            self.look((now, ring), sender, subscribers);
        }
        if self.feed.is_over() && self.shut.is_none() && !self.is_dead {
            self.peer.shut();
            self.shut = Some(now);
        }
        let closes = self.feed.closed().filter(|_| self.closing.is_none());
        if closes.is_some() {
            self.closing = Some(now);
            self.leave(now, sender);
        }
        // One that was told everything may be gone before anybody has shut the way to it.
        let has_ended = self.shut.is_some() || self.feed.is_over();
        let is_cut = self.is_dead && self.leave(now, sender) && !has_ended;
        match closes {
            Some(reason) => Ending::Closes(reason),
            None if is_cut => Ending::Cut,
            None if self.is_dead => Ending::Over,
            None => Ending::None,
        }
    }

    /// What need not be looked at in every turn.
    fn look(&mut self, (now, ring): (Time, &Ring), sender: &mut Sender, subscribers: usize) {
        self.feed.handle_timeout(now, ring, subscribers);
        if let Some(who) = self.who {
            if sender.is_evicted(who) {
                self.feed.close(CloseReason::Evicted);
            } else if !sender.is_attached(who) && self.feed.closed().is_none() {
                self.is_dead = true;
            }
            self.recall(who, sender);
        }
        if self.inbox.waits_since().is_some_and(|since| now.since(since) >= HELLO_WITHIN) {
            self.feed.handle_broken();
        }
        let is_late = |since: Option<Time>, within| since.is_some_and(|at| now.since(at) >= within);
        let has_parted = self.feed.closed().is_some() && is_late(self.shut, PART_WITHIN);
        self.is_dead |= has_parted || is_late(self.closing, CLOSE_WITHIN);
    }

    /// The sender need not count on it any more; whether it did.
    fn leave(&mut self, now: Time, sender: &mut Sender) -> bool {
        let Some(who) = self.who.take() else { return false };
        if self.feed.closed() == Some(CloseReason::Slow) {
            sender.handle_overrun(now, who);
        } else {
            sender.detach(now, who, false);
        }
        true
    }
}
