//! One train: contiguous bytes, filled with sealed batches and at most one open one.

use crate::history::repair::Repair;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire;
use crate::wire::FRAME_BYTES;
use crate::wire::Flags;
use crate::wire::FrameFlags;
use crate::wire::HEADER_BYTES;
use crate::wire::Head;
use crate::wire::TIMESTAMP_BYTES;

/// Contiguous bytes of one train.
pub const TRAIN_BYTES: usize = 65_536;
/// The most bytes one UDP send carries, in segments or not (IPv4: 65,535 less the headers of IP and UDP); a train
/// holds at most this many bytes of batches.
pub const SEND_BYTES: usize = 65_507;
/// The most batches in one train; only batches under 64 bytes could be more. Their index costs 4 KiB a train.
pub(super) const BATCHES: usize = 1_024;

/// What the sealing of a batch writes into its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// [`Flags::OPENING`] or nothing.
    pub flags: Flags,
    /// When the batch leaves, in nanoseconds since the Unix epoch. Written when the ring was opened with timestamps
    /// (`None`: as 0, for no time known), ignored otherwise.
    pub timestamp: Option<u64>,
}

/// Consecutive sealed datagrams, back to back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The datagrams, padding included.
    pub bytes: &'a [u8],
    /// The wire size of each, in bytes; they add up to the length of `bytes`.
    pub sizes: &'a [u16],
}

/// What all batches of a ring share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The most bytes of a batch on the wire.
    pub(super) datagram: usize,
    /// Whether batches carry a time.
    pub(super) timestamps: bool,
}

impl Shape {
    /// Bytes of a batch before its first frame.
    pub(super) const fn head(self) -> usize {
        HEADER_BYTES + if self.timestamps { TIMESTAMP_BYTES } else { 0 }
    }

    /// Bytes of frames that an empty batch takes.
    pub(super) const fn room(self) -> usize {
        self.datagram - self.head()
    }
}

/// A batch that was handed to the socket.
pub(super) struct Passed {
    pub(super) size: usize,
    pub(super) end: Offset,
}

/// Positions are bytes from the start of the train. Sent batches lie in `[0, sent_at)`, sealed ones that wait in
/// `[sent_at, start)`, and the open one from `start` on: its header's room, then its frames up to `cursor`. Offsets
/// follow suit: `base <= sent <= open_base <= next`.
pub(super) struct Train {
    pub(super) number: u64,
    shape: Shape,
    bytes: Box<[u8]>,
    /// Per sealed batch: bytes on the wire, and offsets.
    sizes: Vec<u16>,
    counts: Vec<u16>,
    sent_batches: usize,
    sent_at: usize,
    start: usize,
    cursor: usize,
    /// What an append compares: at most `hard`.
    limit: usize,
    /// Where the open batch must end; 0 when the train has no room for one.
    hard: usize,
    /// The frame lent by `claim`: where it starts and ends. It counts for nothing once `cursor` has moved.
    claim: (usize, usize),
    /// Where the payload of the claimed frame starts.
    claim_payload: usize,
    base: Offset,
    sent: Offset,
    open_base: Offset,
    next: Offset,
    /// The charge of all that was sent before its first batch.
    pub(super) charge: u64,
}

impl Train {
    /// An empty train at offset 0.
    pub(super) fn new(shape: Shape) -> Self {
        let mut train = Self {
            number: 0,
            shape,
            // Ones, because zeroed memory comes untouched from the kernel: the first lap of a ring that was not
            // touched at the open doubled the p99 of a round trip.
            bytes: vec![1; TRAIN_BYTES].into_boxed_slice(),
            sizes: vec![1; BATCHES],
            counts: vec![1; BATCHES],
            sent_batches: 0,
            sent_at: 0,
            start: 0,
            cursor: 0,
            limit: 0,
            hard: 0,
            claim: (0, 0),
            claim_payload: 0,
            base: Offset::ZERO,
            sent: Offset::ZERO,
            open_base: Offset::ZERO,
            next: Offset::ZERO,
            charge: 0,
        };
        train.restart(0, Offset::ZERO, 0);
        train
    }

    /// Forgets everything and starts over as train `number`, whose first message will be `base`, once `charge` was
    /// sent.
    pub(super) fn restart(&mut self, number: u64, base: Offset, charge: u64) {
        self.number = number;
        self.charge = charge;
        self.sizes.clear();
        self.counts.clear();
        self.sent_batches = 0;
        self.sent_at = 0;
        self.base = base;
        self.sent = base;
        self.next = base;
        self.open_at(0);
    }

    /// Puts the open batch, still without a message, at `start`.
    fn open_at(&mut self, start: usize) {
        self.start = start;
        self.cursor = start + self.shape.head();
        self.open_base = self.next;
        self.claim = (0, 0);
        self.hard = if self.has_room() { start + self.shape.datagram } else { 0 };
        self.limit = self.hard;
    }

    /// Whether one more batch of a full datagram fits behind the open one; in its place while that is empty.
    pub(super) fn has_room(&self) -> bool {
        let (start, batches) = match self.open_messages() {
            0 => (self.start, self.sizes.len()),
            _ => (self.hard, self.sizes.len() + 1),
        };
        start + self.shape.datagram <= SEND_BYTES && batches < BATCHES
    }

    /// Adds a message in one compare and one copy.
    #[inline]
    pub(super) fn append(&mut self, flags: FrameFlags, topic: &[u8], payload: &[u8]) -> Option<Offset> {
        let end = self.cursor + FRAME_BYTES + topic.len() + payload.len();
        if end > self.limit {
            return None;
        }
        wire::put_frame(self.bytes.get_mut(self.cursor..end)?, flags, topic, payload)?;
        Some(self.count_to(end))
    }

    /// Writes the head of a whole message and lends the room of its payload.
    #[inline]
    pub(super) fn claim(&mut self, topic: &[u8], len: usize) -> Option<&mut [u8]> {
        let end = self.cursor.checked_add(FRAME_BYTES + topic.len())?.checked_add(len)?;
        if end > self.limit {
            return None;
        }
        let room = self.bytes.get_mut(self.cursor..end)?;
        let head = wire::put_frame(room, FrameFlags::WHOLE, topic, &[])?;
        let (field, payload) = (room.first_chunk_mut::<2>()?, u16::try_from(len).ok()?);
        *field = payload.to_le_bytes();
        self.claim = (self.cursor, end);
        self.claim_payload = self.cursor + head;
        self.bytes.get_mut(self.claim_payload..end)
    }

    /// The payload of the claimed message; empty when there is none.
    pub(super) fn claimed(&self) -> &[u8] {
        let (at, end) = self.claim;
        let is_current = at == self.cursor && end > at;
        let payload = if is_current { self.bytes.get(self.claim_payload..end) } else { None };
        payload.unwrap_or_default()
    }

    /// The payload of the claimed message, to write; empty when there is none.
    pub(super) fn claimed_mut(&mut self) -> &mut [u8] {
        let (at, end) = self.claim;
        let is_current = at == self.cursor && end > at;
        let payload = if is_current { self.bytes.get_mut(self.claim_payload..end) } else { None };
        payload.unwrap_or_default()
    }

    /// Makes the claimed message count; `None` when there is none.
    #[inline]
    pub(super) fn commit(&mut self) -> Option<Offset> {
        let (at, end) = self.claim;
        (at == self.cursor).then(|| self.count_to(end))
    }

    #[inline]
    fn count_to(&mut self, end: usize) -> Offset {
        let offset = self.next;
        self.cursor = end;
        self.next = offset.plus(1);
        offset
    }

    /// Closes the open batch, which has messages.
    pub(super) fn seal(&mut self, mut head: Head, stamp: Stamp, full: bool) {
        let count = self.open_messages();
        let (len, size) = (self.open_bytes(), self.padded(full));
        head.base = self.open_base;
        head.flags = stamp.flags.with(Flags::TIMESTAMP, self.shape.timestamps);
        let Some(datagram) = self.bytes.get_mut(self.start..self.start + size) else { return };
        let (datagram, padding) = datagram.split_at_mut(len);
        if self.shape.timestamps {
            let time = stamp.timestamp.unwrap_or(0).to_le_bytes();
            datagram[HEADER_BYTES..HEADER_BYTES + TIMESTAMP_BYTES].copy_from_slice(&time);
        }
        wire::seal_batch(datagram, &head, count as u16);
        padding.fill(0);
        self.sizes.push(size as u16);
        self.counts.push(count as u16);
        self.open_at(self.start + size);
    }

    /// The size at which the open batch leaves: a full batch behind a waiting one is padded to that one's size, so
    /// that both leave in one send. When it is the longer one, sizes vary: then to the most, which later ones will
    /// meet. Never by a sixteenth or more.
    fn padded(&self, full: bool) -> usize {
        let len = self.open_bytes();
        let waiting = self.sizes.get(self.sent_batches..).and_then(<[u16]>::last);
        let Some(last) = waiting.map(|&size| usize::from(size)).filter(|_| full) else { return len };
        let target = if len <= last { last } else { self.shape.datagram };
        if (target - len) * 16 < target { target } else { len }
    }

    /// The sealed batches that wait.
    pub(super) fn unsent(&self) -> Run<'_> {
        Run { bytes: &self.bytes[self.sent_at..self.start], sizes: &self.sizes[self.sent_batches..] }
    }

    /// Counts the first waiting batch as handed to the socket.
    pub(super) fn pass(&mut self) -> Option<Passed> {
        let (&size, &count) = self.sizes.get(self.sent_batches).zip(self.counts.get(self.sent_batches))?;
        let size = usize::from(size);
        self.sent_batches += 1;
        self.sent_at += size;
        self.sent = self.sent.plus(u64::from(count));
        Some(Passed { size, end: self.sent })
    }

    /// Copies the sent batches that overlap `want`, marked as repairs.
    pub(super) fn copy(&self, want: OffsetRange, out: &mut Repair) {
        let (mut at, mut base) = (0, self.base);
        let sent = self.sizes.iter().zip(&self.counts).take(self.sent_batches);
        for (&size, &count) in sent {
            let offsets = OffsetRange::run(base, u64::from(count));
            if offsets.from >= want.to {
                return;
            }
            let end = at + usize::from(size);
            if offsets.to > want.from {
                out.push(&self.bytes[at..end], size, offsets);
            }
            (at, base) = (end, offsets.to);
        }
    }

    /// The bytes on the wire and the offsets of a batch that was handed to the socket.
    pub(super) fn sent_batch(&self, index: usize) -> Option<(usize, u64)> {
        let sent = self.sizes.get(..self.sent_batches)?;
        Some((usize::from(*sent.get(index)?), u64::from(*self.counts.get(index)?)))
    }

    /// `len` bytes from `at` on.
    pub(super) fn bytes_at(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.bytes.get(at..at + len)
    }

    /// Offsets that were handed to the socket.
    pub(super) fn held(&self) -> OffsetRange {
        OffsetRange::new(self.base, self.sent)
    }

    /// Offsets that were not: sealed ones and the open batch's.
    pub(super) fn waiting(&self) -> OffsetRange {
        OffsetRange::new(self.sent, self.next)
    }

    /// Bytes that were not, the open batch's included when it has messages.
    pub(super) fn waiting_bytes(&self) -> usize {
        let open = if self.open_messages() == 0 { 0 } else { self.open_bytes() };
        self.start - self.sent_at + open
    }

    /// Messages in the open batch: at most 16,368, since each takes 4 bytes or more.
    pub(super) fn open_messages(&self) -> u64 {
        self.next.since(self.open_base)
    }

    /// Bytes of the open batch, its header included.
    pub(super) fn open_bytes(&self) -> usize {
        self.cursor - self.start
    }

    /// Whether `need` bytes more would overflow the datagram.
    pub(super) fn is_full_for(&self, need: usize) -> bool {
        self.cursor.saturating_add(need) > self.hard
    }

    /// The soft limit, in bytes of the open batch.
    pub(super) fn limit(&self) -> usize {
        self.limit.saturating_sub(self.start)
    }

    /// Moves the soft limit, within the hard one.
    pub(super) fn set_limit(&mut self, bytes: usize) {
        self.limit = self.start.saturating_add(bytes).min(self.hard);
    }
}
