//! The ring of trains, and what other threads may ask of it.

use core::fmt;
use std::sync::Arc;

use crate::history::lent::Lent;
use crate::history::lock::Guard;
use crate::history::lock::Lock;
use crate::history::marks::Marks;
use crate::history::marks::charge;
use crate::history::open::Open;
use crate::history::open::Writer;
use crate::history::repair::Read;
use crate::history::repair::Repair;
use crate::history::sync::AtomicU64;
use crate::history::sync::AtomicUsize;
use crate::history::sync::FEWEST_TRAINS;
use crate::history::sync::Ordering;
use crate::history::train::SEND_BYTES;
use crate::history::train::Shape;
use crate::history::train::TRAIN_BYTES;
use crate::history::train::Train;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire::Head;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// The smallest datagram that a ring makes: a header, a time and room for some bytes.
const SMALLEST_DATAGRAM: usize = 64;
/// How often a reader looks again when the train it wants has come round under its hands.
const LOOKS: usize = 4;

/// What a ring is made of.
#[derive(Debug, Clone, Copy)]
pub struct RingSettings {
    /// Bytes of history; whole trains of [`TRAIN_BYTES`] are made of it, 8 at least. Each costs 4 KiB more for its
    /// index, and the ring 128 KiB for its marks.
    pub bytes: usize,
    /// The most bytes of a batch on the wire, within 64 to [`SEND_BYTES`].
    pub datagram: usize,
    /// The stream, for the headers.
    pub stream: StreamId,
    /// The session, for the headers.
    pub session: SessionId,
    /// Whether each batch carries the time of its sending, for 8 bytes more.
    pub timestamps: bool,
}

/// The history in memory: trains in a ring, of which the last one is being filled.
///
/// Trains are numbered from 0; number n lies in slot n mod `trains.len()`.
pub struct Ring {
    trains: Box<[Lock<Train>]>,
    /// The base of the train in each slot, so that a search needs no lock.
    bases: Box<[AtomicU64]>,
    /// The number of the current train, and its slot (which spares `open` a division).
    tail: AtomicU64,
    pub(super) current: AtomicUsize,
    oldest: AtomicU64,
    sent: AtomicU64,
    pub(super) next: AtomicU64,
    bytes_sent: AtomicU64,
    charge_sent: AtomicU64,
    batches_sent: AtomicU64,
    pub(super) marks: Marks,
    pub(super) head: Head,
    shape: Shape,
}

/// What was handed to the socket since the session began.
#[derive(Clone, Copy)]
pub(super) struct Totals {
    pub(super) batches: u64,
    pub(super) bytes: u64,
    pub(super) charge: u64,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (oldest, sent) = (self.oldest(), self.sent());
        f.debug_struct("Ring").field("oldest", &oldest).field("sent", &sent).finish_non_exhaustive()
    }
}

impl Ring {
    /// Makes a ring, empty, and its writer.
    ///
    /// Allocates and touches all of its memory, so that no page fault hits the first lap: some 10 ms for 32 MiB.
    #[must_use]
    pub fn new(settings: RingSettings) -> (Writer, Arc<Self>) {
        let datagram = settings.datagram.clamp(SMALLEST_DATAGRAM, SEND_BYTES);
        let shape = Shape { datagram, timestamps: settings.timestamps };
        let trains = FEWEST_TRAINS.max(settings.bytes / TRAIN_BYTES);
        let zero = || AtomicU64::new(0);
        let ring = Arc::new(Self {
            trains: (0..trains).map(|_| Lock::new(Train::new(shape))).collect(),
            bases: (0..trains).map(|_| zero()).collect(),
            tail: zero(),
            current: AtomicUsize::new(0),
            oldest: zero(),
            sent: zero(),
            next: zero(),
            bytes_sent: zero(),
            charge_sent: zero(),
            batches_sent: zero(),
            marks: Marks::new(),
            head: Head { stream: settings.stream, session: settings.session, ..Head::default() },
            shape,
        });
        (Writer::new(Arc::clone(&ring)), ring)
    }

    /// The oldest offset that can still be read; equals [`sent`](Self::sent) while there is none.
    #[must_use]
    pub fn oldest(&self) -> Offset {
        Offset(self.oldest.load(Ordering::Acquire))
    }

    /// The end of the last batch handed to the socket. Whoever has read it finds the totals and the marks at least
    /// as far on.
    #[must_use]
    pub fn sent(&self) -> Offset {
        Offset(self.sent.load(Ordering::Acquire))
    }

    /// The next offset to be assigned, as of the last [`seal`](Open::seal) or [`held`](Open::held): messages
    /// appended to the open batch since then do not show, since publishing them touches no atomic.
    #[must_use]
    pub fn next(&self) -> Offset {
        Offset(self.next.load(Ordering::Acquire))
    }

    /// Wire bytes of all batches handed to the socket, padding included, repairs not.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Acquire)
    }

    /// The [`charge`](crate::history::charge) of all batches handed to the socket, repairs not.
    #[must_use]
    pub fn charge_sent(&self) -> u64 {
        self.charge_sent.load(Ordering::Acquire)
    }

    /// How many batches were handed to the socket, repairs not.
    #[must_use]
    pub fn batches_sent(&self) -> u64 {
        self.batches_sent.load(Ordering::Acquire)
    }

    /// Bytes of all trains.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.trains.len() * TRAIN_BYTES
    }

    /// The most bytes of a batch on the wire.
    #[must_use]
    pub fn datagram(&self) -> usize {
        self.shape.datagram
    }

    /// Bytes of frames (4 + topic + payload) that an empty batch takes: a message beyond it must be fragmented.
    #[must_use]
    pub fn batch_room(&self) -> usize {
        self.shape.room()
    }

    /// The charge of all sent batches that end at or before `offset`: what a receiver that wants `offset` next has
    /// taken from its socket (the batch in which `offset` lies counts as not taken). `None` when that was more than
    /// 8,190 batches ago. Lock-free; a search of 13 steps.
    #[must_use]
    pub fn charge_at(&self, offset: Offset) -> Option<u64> {
        self.marks.charge_at(offset)
    }

    /// Copies sent batches over `out`, from the one that holds the first offset wanted to the one that holds the
    /// last, or to the end of that train: ask again for what [`Repair::covers`] leaves out.
    ///
    /// Locks one train for the copy, never the current one unless its lock is free. An empty `want` is copied in
    /// full, as nothing.
    pub fn read(&self, want: OffsetRange, out: &mut Repair) -> Read {
        out.clear();
        if want.is_empty() {
            return Read::Copied;
        }
        match self.look_up(want.from, |train, _| train.copy(want, out)) {
            Ok(()) => Read::Copied,
            Err(absent) => absent,
        }
    }

    /// Lends sent batches to `read` where they lie, from the one that holds `from` to the end of its train: whole ones,
    /// of `most` bytes together, or one that is longer. Otherwise says why not, and never [`Read::Copied`].
    ///
    /// Holds the lock of one train while `read` is at work: that of the current one only if it was free, and then
    /// [`Lent::is_current`] asks for haste.
    ///
    /// # Errors
    ///
    /// [`Read::Gone`], [`Read::Busy`], [`Read::Unsent`].
    pub fn lend<R>(&self, from: Offset, most: usize, read: impl FnOnce(Lent<'_>) -> R) -> Result<R, Read> {
        self.look_up(from, |train, is_current| read(Lent::new(train, is_current, (from, most))))
    }

    /// As [`charge_at`](Self::charge_at), for every offset that is still held: what the marks have forgotten is found
    /// in its train. `None` when that is gone, or the publisher is at work on it.
    #[must_use]
    pub fn charge_held(&self, offset: Offset) -> Option<u64> {
        let in_train = || self.look_up(offset, |train, _| Lent::new(train, false, (offset, 0)).charge()).ok();
        self.marks.charge_at(offset).or_else(in_train)
    }

    /// How much may be sent beyond a batch before that one is evicted, in charge, however full the trains are left: a
    /// train is left when a whole datagram does not fit any more. But at least one datagram.
    #[must_use]
    pub fn window(&self) -> u64 {
        let least_train = charge(SEND_BYTES - self.datagram());
        let others = self.trains.len() as u64 - 2;
        (others * least_train).max(charge(self.datagram()))
    }

    /// Finds the train that holds `from`, which is sent, locks it and shows it to `read`, with whether it is the current
    /// one.
    fn look_up<R>(&self, from: Offset, read: impl FnOnce(&Train, bool) -> R) -> Result<R, Read> {
        for _ in 0..LOOKS {
            let oldest = self.oldest();
            if from < oldest {
                return Err(Read::Gone { oldest });
            }
            if from >= self.sent() {
                return Err(Read::Unsent);
            }
            let slot = self.slot(self.find(from));
            let Some(train) = self.lock_to_read(slot) else { return Err(Read::Busy) };
            // It may have come round between the search and the lock.
            if train.held().contains(from) {
                return Ok(read(&train, slot == self.current.load(Ordering::Acquire)));
            }
        }
        Err(Read::Busy)
    }

    /// The current train, if its lock is free: for the thread that sends the tail of a burst.
    #[must_use]
    pub fn try_tail(&self) -> Option<Open<'_>> {
        let slot = self.current.load(Ordering::Relaxed);
        let train = self.try_lock(slot)?;
        (slot == self.current.load(Ordering::Relaxed)).then(|| Open::new(train, self))
    }

    /// The number of the last train whose base is not after `offset`.
    fn find(&self, offset: Offset) -> u64 {
        let tail = self.tail.load(Ordering::Acquire);
        let mut low = tail.saturating_sub(self.trains.len() as u64 - 1);
        let mut high = tail;
        while low < high {
            let middle = high - (high - low) / 2;
            if self.base(middle) <= offset {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    fn base(&self, number: u64) -> Offset {
        Offset(self.bases[self.slot(number)].load(Ordering::Acquire))
    }

    fn slot(&self, number: u64) -> usize {
        (number % self.trains.len() as u64) as usize
    }

    /// Locks the train in `slot`; `None` when it is the current one and at work. (A reader waits for the
    /// current train only if the ring has come right round since it looked, which is as good as never.)
    fn lock_to_read(&self, slot: usize) -> Option<Guard<'_, Train>> {
        if slot == self.current.load(Ordering::Acquire) { self.try_lock(slot) } else { Some(self.lock(slot)) }
    }

    /// A train stays sound when a thread panics that has it locked, since its state moves after the act: so the
    /// lock does not know of it.
    #[inline]
    pub(super) fn lock(&self, slot: usize) -> Guard<'_, Train> {
        self.trains[slot].lock()
    }

    fn try_lock(&self, slot: usize) -> Option<Guard<'_, Train>> {
        self.trains[slot].try_lock()
    }

    /// Makes train `number` the current one, and gives it locked. The caller holds the lock of the one before.
    pub(super) fn start_train(&self, number: u64, base: Offset) -> Guard<'_, Train> {
        let slot = self.slot(number);
        if let Some(evicted) = number.checked_sub(self.trains.len() as u64) {
            self.oldest.store(self.base(evicted + 1).0, Ordering::Release);
        }
        let mut train = self.lock(slot);
        train.restart(number, base, self.charge_sent());
        self.bases[slot].store(base.0, Ordering::Release);
        self.tail.store(number, Ordering::Release);
        self.current.store(slot, Ordering::Release);
        train
    }

    /// What was handed to the socket so far; exact for whoever holds the current train.
    pub(super) fn totals(&self) -> Totals {
        Totals { batches: self.batches_sent(), bytes: self.bytes_sent(), charge: self.charge_sent() }
    }

    /// Shows what was handed to the socket, `sent` last.
    pub(super) fn publish(&self, totals: Totals, sent: Offset) {
        self.batches_sent.store(totals.batches, Ordering::Release);
        self.bytes_sent.store(totals.bytes, Ordering::Release);
        self.charge_sent.store(totals.charge, Ordering::Release);
        self.sent.store(sent.0, Ordering::Release);
    }
}
