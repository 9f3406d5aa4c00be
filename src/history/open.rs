//! The appending side: the one writer, and the current train while its lock is held.

use core::fmt;
use std::sync::Arc;

use crate::history::lock::Guard;
use crate::history::marks::charge;
use crate::history::ring::Ring;
use crate::history::sync::Ordering;
use crate::history::train::Run;
use crate::history::train::Stamp;
use crate::history::train::Train;
use crate::offset::Offset;
use crate::wire::FRAME_BYTES;
use crate::wire::FrameFlags;
use crate::wire::TOPIC_BYTES;

/// The one appender of a ring.
pub struct Writer {
    ring: Arc<Ring>,
}

impl Writer {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        Self { ring }
    }

    /// Locks the current train, until the [`Open`] is dropped: one lock, which nobody waits for but to read a batch
    /// that was just sent, and no other cost.
    #[inline]
    pub fn open(&mut self) -> Open<'_> {
        loop {
            let slot = self.ring.current.load(Ordering::Relaxed);
            let train = self.ring.lock(slot);
            // The background thread may have gone on to the next train before it gave this lock back.
            if slot == self.ring.current.load(Ordering::Relaxed) {
                return Open { train, ring: &self.ring };
            }
        }
    }

    /// The ring that is written.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("ring", &self.ring).finish()
    }
}

impl fmt::Debug for Open<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("held", &self.held()).finish_non_exhaustive()
    }
}

/// What waits in the current train. Two equal ones are the same hold: nothing was published or sent in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which train, counted from 0.
    pub train: u64,
    /// Messages (or fragments) that wait, sealed or not.
    pub messages: u64,
    /// Their bytes on the wire; an open batch counts with its header and without padding.
    pub bytes: usize,
    /// The next offset to be assigned.
    pub end: Offset,
}

/// The current train, locked. Dropping it unlocks, and leaves the open batch open.
///
/// There always is one open batch, with or without messages in it, unless the train is full: then
/// [`has_room`](Self::has_room) is false and every append is refused until [`next_train`](Self::next_train).
pub struct Open<'a> {
    train: Guard<'a, Train>,
    ring: &'a Ring,
}

impl<'a> Open<'a> {
    pub(super) fn new(train: Guard<'a, Train>, ring: &'a Ring) -> Self {
        Self { train, ring }
    }

    /// Adds a message (or fragment) to the open batch and gives its offset: one compare, one copy.
    ///
    /// `None`, and nothing has changed, when the batch's [limit](Self::limit) is reached. Then
    /// [`is_full_for`](Self::is_full_for) tells whether the datagram is full (seal it) or only the soft limit was met
    /// (look at the time, then raise it). A message longer than [`Ring::batch_room`] or with a topic of more than
    /// [`TOPIC_BYTES`] never fits: that is the caller's mistake, and panics in debug builds.
    #[inline]
    pub fn append(&mut self, flags: FrameFlags, topic: &[u8], payload: &[u8]) -> Option<Offset> {
        let appended = self.train.append(flags, topic, payload);
        debug_assert!(appended.is_some() || self.could_fit(topic, payload.len()));
        appended
    }

    /// Writes the head and topic of a message in one piece, and lends the room for its payload of exactly `len`
    /// bytes, which still holds whatever was there before. The message counts once [committed](Self::commit); until
    /// then, an append, a claim or a seal that succeeds forgets it. `None` as in [`append`](Self::append).
    #[inline]
    pub fn claim(&mut self, topic: &[u8], len: usize) -> Option<&mut [u8]> {
        debug_assert!(self.could_fit(topic, len));
        self.train.claim(topic, len)
    }

    /// The room claimed last and not committed; empty when there is none.
    #[must_use]
    pub fn claimed(&self) -> &[u8] {
        self.train.claimed()
    }

    /// The room claimed last and not committed, to write; empty when there is none.
    pub fn claimed_mut(&mut self) -> &mut [u8] {
        self.train.claimed_mut()
    }

    /// Makes the claimed message count, and gives its offset. Without a claim, nothing changes and the offset is
    /// that of the next message; it is the caller's mistake, and panics in debug builds.
    #[inline]
    pub fn commit(&mut self) -> Offset {
        let committed = self.train.commit();
        debug_assert!(committed.is_some(), "nothing is claimed");
        committed.unwrap_or(self.train.waiting().to)
    }

    fn could_fit(&self, topic: &[u8], len: usize) -> bool {
        topic.len() <= TOPIC_BYTES && len.saturating_add(FRAME_BYTES + topic.len()) <= self.ring.batch_room()
    }

    /// The bytes that the open batch may reach, its header included, before an append is refused.
    ///
    /// This one compare doubles as the place where a publisher looks at its own linger: a *soft* limit below the
    /// hard one (the datagram) sends it to the slow path early. A new batch starts with the hard limit; 0 refuses
    /// every message.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.train.limit()
    }

    /// Moves the soft limit to `bytes` of the open batch, but not beyond the hard one.
    pub fn set_limit(&mut self, bytes: usize) {
        self.train.set_limit(bytes);
    }

    /// Whether the datagram (or the train), not the soft limit, is what refuses `need` bytes more: 4 + topic +
    /// payload.
    #[must_use]
    pub fn is_full_for(&self, need: usize) -> bool {
        self.train.is_full_for(need)
    }

    /// Bytes of the open batch, its header included.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.train.open_bytes()
    }

    /// Messages in the open batch.
    #[must_use]
    pub fn open_messages(&self) -> u64 {
        self.train.open_messages()
    }

    /// What waits; also brings [`Ring::next`] up to date.
    #[must_use]
    pub fn held(&self) -> Held {
        let waiting = self.train.waiting();
        self.ring.next.store(waiting.to.0, Ordering::Release);
        Held {
            train: self.train.number,
            messages: waiting.len(),
            bytes: self.train.waiting_bytes(),
            end: waiting.to,
        }
    }

    /// Closes the open batch, if it has messages, and opens the next one behind it while the train has room.
    ///
    /// Costs a CRC over the batch. `full` says that more messages follow at once: then the batch may be padded by
    /// less than a sixteenth, to the size of the one waiting before it or, when it is the longer of the two, to the
    /// whole datagram, so that they leave in one send. Otherwise its size is exactly its length.
    pub fn seal(&mut self, stamp: Stamp, full: bool) {
        if self.train.open_messages() == 0 {
            return;
        }
        self.train.seal(self.ring.head, stamp, full);
        self.ring.next.store(self.train.waiting().to.0, Ordering::Release);
    }

    /// The sealed batches that were not handed to the socket yet, oldest first.
    #[must_use]
    pub fn unsent(&self) -> Run<'_> {
        self.train.unsent()
    }

    /// The first `datagrams` of [`unsent`](Self::unsent) were handed to the socket: from now on they are readable
    /// and counted.
    pub fn advance(&mut self, datagrams: usize) {
        let ring = self.ring;
        let mut totals = ring.totals();
        for _ in 0..datagrams {
            let Some(passed) = self.train.pass() else { break };
            totals.batches += 1;
            totals.bytes += passed.size as u64;
            totals.charge += charge(passed.size);
            ring.marks.push(passed.end, totals.charge);
        }
        ring.publish(totals, self.train.held().to);
    }

    /// Whether the train takes another batch of a full datagram behind the open one (in its place, while that has no
    /// message).
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.train.has_room()
    }

    /// Goes on to the next train, which evicts the oldest: [`Ring::oldest`] moves, then the old messages go. May
    /// wait for a reader's copy of 64 KiB.
    ///
    /// Only when everything was sent; otherwise, or when the train has nothing in it at all, nothing happens (the
    /// former is the caller's mistake, and panics in debug builds).
    pub fn next_train(&mut self) {
        let (held, waiting) = (self.train.held(), self.train.waiting());
        debug_assert!(waiting.is_empty(), "{waiting} would be skipped");
        if waiting.is_empty() && !held.is_empty() {
            // The lock of the train left behind is given back last, so whoever waited for it finds out.
            self.train = self.ring.start_train(self.train.number + 1, held.to);
        }
    }
}
