//! The fixed receive buffers, out of which datagrams are lent without a copy.
//!
//! One read fills several buffers. A buffer holds one datagram, or a train of equal ones that the kernel joined
//! (GRO) and that is cut apart again here:
//!
//! ```text
//! buffer 0  [ datagram | datagram | datagram | dat ]     segment 1,400; the last may be shorter
//! buffer 1  [ datagram ]
//! buffer 2  (not filled by this read)
//! ```
//!
//! A read offers the kernel about twice as many buffers as the last one filled, since each costs some 15 ns to offer:
//! 64 of them double the price of a look that finds nothing.

use std::io;
use std::iter::Take;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::slice::ChunksExactMut;

/// Where a datagram lies in its [`Pool`]: a plain value, so a loop can decide first and borrow the bytes last.
///
/// It means something until the pool is filled again; after that it names other bytes, never memory out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The number of the buffer.
    pub(crate) buffer: u16,
    /// The first byte in it.
    pub(crate) start: u32,
    /// The byte after the last.
    pub(crate) end: u32,
}

/// Receive buffers of a fixed number and size, allocated once.
///
/// A datagram handed out stays readable until the next read, which [`UdpSocket::receive`] refuses to do before
/// every datagram of the last one was taken.
///
/// [`UdpSocket::receive`]: super::UdpSocket::receive
#[derive(Debug)]
pub(crate) struct Pool {
    slots: ReceiveSlots,
    /// How many buffers the last read filled.
    filled: usize,
    /// The buffer of the next datagram, and where that begins in it.
    buffer: usize,
    start: usize,
    /// Whether the last read could have filled more buffers.
    had_room: bool,
}

/// How many buffers a read offers that follows one which found nothing: a lone datagram leaves one of them empty, which
/// tells that no other waits behind it.
const FEWEST_OFFERED: usize = 2;

impl Pool {
    /// Allocates `buffers` (1 to 64) of `bytes_each`; 65,536 holds any datagram or train, and what is longer than
    /// a buffer is cut off. The memory is touched here, so that no page fault falls into the first reads.
    #[must_use]
    pub(crate) fn new(buffers: usize, bytes_each: usize) -> Self {
        let buffers = buffers.clamp(1, ReceiveSlots::MOST);
        Self {
            slots: ReceiveSlots::new(buffers, bytes_each.max(1)),
            filled: 0,
            buffer: 0,
            start: 0,
            had_room: true,
        }
    }

    /// How many buffers the last read filled.
    #[must_use]
    pub(crate) const fn filled(&self) -> usize {
        self.filled
    }

    /// Offers the next read one buffer if the last found nothing: to see that a lone datagram is alone costs the kernel
    /// another look, which is for those who sleep after it.
    pub(crate) const fn expect_one(&mut self) {
        if self.filled == 0 {
            self.slots.offered = 1;
        }
    }

    /// Whether the last read left a buffer empty that it might have filled.
    #[must_use]
    pub(super) const fn had_room(&self) -> bool {
        self.had_room
    }

    /// Whether the last read brought a single datagram.
    #[must_use]
    pub(crate) fn holds_one(&self) -> bool {
        self.filled == 1 && self.slots.filled[0].segment == 0
    }

    /// Whether every datagram of the last read was taken.
    #[must_use]
    pub(crate) const fn is_drained(&self) -> bool {
        self.buffer >= self.filled
    }

    /// Takes the next datagram in the order of arrival. An empty datagram gives an empty span.
    pub(crate) fn next_datagram(&mut self) -> Option<Span> {
        if self.is_drained() {
            return None;
        }
        let Filled { length, segment, .. } = self.slots.filled[self.buffer];
        let step = if segment == 0 { length } else { segment };
        let end = length.min(self.start + step);
        let span = Span { buffer: self.buffer as u16, start: self.start as u32, end: end as u32 };
        if end == length {
            self.buffer += 1;
            self.start = 0;
        } else {
            self.start = end;
        }
        Some(span)
    }

    /// The bytes of a datagram; nothing for a span that lies in no buffer of this pool.
    #[must_use]
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        let buffer = usize::from(span.buffer) * self.slots.bytes_each;
        self.slots.bytes.get(buffer + span.start as usize..buffer + span.end as usize).unwrap_or_default()
    }

    /// Who sent a datagram.
    #[must_use]
    pub(crate) fn from(&self, span: Span) -> SocketAddr {
        self.slots.filled.get(usize::from(span.buffer)).map_or(Filled::NOTHING.from, |filled| filled.from)
    }

    /// Forgets the last read, and lets `read` fill the buffers anew and say how many it filled.
    pub(super) fn refill(
        &mut self,
        read: impl FnOnce(&mut ReceiveSlots) -> io::Result<usize>,
    ) -> io::Result<usize> {
        (self.filled, self.buffer, self.start) = (0, 0, 0);
        let read = read(&mut self.slots);
        let most = self.slots.filled.len();
        self.filled = *read.as_ref().unwrap_or(&0).min(&most);
        self.had_room = self.filled < self.slots.offered;
        self.slots.offered = (2 * self.filled + FEWEST_OFFERED).min(most);
        read.map(|_| self.filled)
    }

    /// Takes the kernel's count of dropped datagrams, if the last read carried one.
    pub(super) const fn take_overflow(&mut self) -> Option<u32> {
        self.slots.overflow.take()
    }
}

/// The part of a pool that a backend writes: the buffers, and what it put into each.
#[derive(Debug)]
pub(super) struct ReceiveSlots {
    /// All buffers in one piece, `bytes_each` apart.
    bytes: Box<[u8]>,
    bytes_each: usize,
    filled: Box<[Filled]>,
    /// How many of the buffers a read may fill.
    offered: usize,
    /// How many datagrams the socket's full buffer has dropped, where the kernel said so with a datagram.
    pub(super) overflow: Option<u32>,
}

impl ReceiveSlots {
    /// The most buffers of a pool, which bounds what a backend keeps on the stack.
    pub(super) const MOST: usize = 64;

    fn new(buffers: usize, bytes_each: usize) -> Self {
        // Zeroed memory comes as pages that do not exist yet; another value makes them exist.
        let mut bytes = vec![1; buffers * bytes_each];
        bytes.fill(0);
        let filled = vec![Filled::NOTHING; buffers].into_boxed_slice();
        Self { bytes: bytes.into_boxed_slice(), bytes_each, filled, offered: buffers, overflow: None }
    }

    /// The buffers to be filled, in this order.
    pub(super) fn buffers(&mut self) -> Take<ChunksExactMut<'_, u8>> {
        self.bytes.chunks_exact_mut(self.bytes_each).take(self.offered)
    }

    /// Notes what buffer number `index` holds now.
    pub(super) fn fill(&mut self, index: usize, filled: Filled) {
        self.filled[index] = Filled { length: filled.length.min(self.bytes_each), ..filled };
    }
}

/// What one read put into one buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    /// Bytes received.
    pub(super) length: usize,
    /// The size of each datagram in a train, or 0 for a single datagram.
    pub(super) segment: usize,
    /// Who sent it.
    pub(super) from: SocketAddr,
}

impl Filled {
    /// A buffer that was never filled.
    const NOTHING: Self =
        Self { length: 0, segment: 0, from: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 9], 900))
    }

    /// Fills buffer i with `fills[i].0` bytes of value i, in segments of `fills[i].1`.
    fn fill(pool: &mut Pool, fills: &[(usize, usize)]) {
        let read = |slots: &mut ReceiveSlots| {
            for (index, buffer) in slots.buffers().enumerate() {
                buffer.fill(index as u8);
            }
            for (index, &(length, segment)) in fills.iter().enumerate() {
                slots.fill(index, Filled { length, segment, from: sender() });
            }
            Ok(fills.len())
        };
        assert_eq!(pool.refill(read).unwrap(), fills.len());
    }

    fn lengths(pool: &mut Pool) -> Vec<(u16, usize)> {
        std::iter::from_fn(|| pool.next_datagram())
            .map(|span| (span.buffer, (span.end - span.start) as usize))
            .collect()
    }

    #[test]
    fn trains_are_cut_and_single_datagrams_are_not() {
        let mut pool = Pool::new(4, 100);
        fill(&mut pool, &[(90, 40), (80, 40), (30, 0), (30, 50)]);
        assert_eq!(pool.filled(), 4);
        assert_eq!(lengths(&mut pool), [(0, 40), (0, 40), (0, 10), (1, 40), (1, 40), (2, 30), (3, 30)]);
        assert!(pool.is_drained() && pool.next_datagram().is_none());
    }

    #[test]
    fn an_empty_datagram_is_seen_once() {
        let mut pool = Pool::new(3, 100);
        fill(&mut pool, &[(0, 0), (0, 7), (1, 0)]);
        assert_eq!(lengths(&mut pool), [(0, 0), (1, 0), (2, 1)]);
    }

    #[test]
    fn what_was_lent_stays_until_the_next_read() {
        let mut pool = Pool::new(2, 100);
        fill(&mut pool, &[(60, 20), (10, 0)]);
        let spans: Vec<Span> = std::iter::from_fn(|| pool.next_datagram()).collect();
        assert_eq!(pool.bytes(spans[1]), [0; 20]);
        assert_eq!(pool.bytes(spans[3]), [1; 10]);
        assert_eq!(pool.from(spans[3]), sender());
    }

    #[test]
    fn a_length_beyond_the_buffer_is_clipped_and_a_foreign_span_is_empty() {
        let mut pool = Pool::new(1, 100);
        fill(&mut pool, &[(500, 0)]);
        assert_eq!(lengths(&mut pool), [(0, 100)]);
        assert!(pool.bytes(Span { buffer: 9, start: 0, end: 10 }).is_empty());
        assert!(pool.bytes(Span { buffer: 0, start: 9, end: 3 }).is_empty());
        assert_eq!(pool.from(Span { buffer: 9, start: 0, end: 0 }).port(), 0);
    }

    #[test]
    fn a_read_offers_twice_what_the_last_one_filled() {
        let mut pool = Pool::new(8, 10);
        let mut read = |filled: usize| {
            let mut offered = 0;
            pool.refill(|slots| {
                offered = slots.buffers().count();
                (0..filled).for_each(|at| slots.fill(at, Filled { length: 1, ..Filled::NOTHING }));
                if filled > 0 { Ok(filled) } else { Err(io::ErrorKind::WouldBlock.into()) }
            })
            .ok();
            (offered, pool.had_room(), pool.holds_one())
        };
        let reads = [0, 1, 2, 4, 6, 8, 8, 0, 2, 1].map(&mut read);
        let offered = reads.map(|(offered, ..)| offered);
        assert_eq!(offered, [8, 2, 4, 6, 8, 8, 8, 8, 2, 6]);
        let full = reads.map(|(_, had_room, _)| !had_room);
        assert_eq!(full, [false, false, false, false, false, true, true, false, true, false]);
        assert_eq!(reads.map(|(.., lone)| lone).iter().filter(|lone| **lone).count(), 2);
    }

    #[test]
    fn a_failed_read_leaves_nothing_to_take() {
        let mut pool = Pool::new(1, 100);
        fill(&mut pool, &[(10, 0)]);
        assert!(pool.refill(|_| Err(io::ErrorKind::WouldBlock.into())).is_err());
        assert!(pool.next_datagram().is_none());
    }
}
