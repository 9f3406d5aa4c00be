//! Several lines, or several places on one: the same batches to all of them.

mod pass;

use core::net::SocketAddr;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use std::io;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::Mutex;

use crate::io::Clock;
use crate::io::UdpSocket;
use crate::protocol::Destination;
use crate::protocol::LineKind;
use crate::protocol::Sender;
use crate::publisher::fan::pass::Pass;
use crate::publisher::lock::lock;
use crate::stats::LineStats;
use crate::time::Time;

/// How long a line that has no room may keep those waiting that have.
const PATIENCE: Duration = Duration::from_millis(20);

/// A place that everything goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) line: u8,
    pub(super) to: SocketAddr,
}

/// One socket beside what it counts.
#[derive(Debug)]
struct Line {
    kind: LineKind,
    /// Datagrams that it did not take.
    skipped: AtomicU64,
    /// Since when it has had no room for an answer, in nanoseconds of the clock; 0 while it has.
    full_since: AtomicU64,
}

/// All lines but for the first one's socket, which its owner keeps.
#[derive(Debug)]
pub(super) struct Fan {
    lines: Box<[Line]>,
    beyond: Box<[UdpSocket]>,
    clock: Clock,
    /// Where everything goes whoever joins.
    fixed: Box<[Way]>,
    /// Everywhere it goes; whoever sends takes its own handle to it.
    ways: Mutex<Arc<[Way]>>,
    /// As of when they are, in the machine's count.
    version: AtomicU64,
    /// How far the run that is being sent got at each. Used with the open batch only.
    pass: Mutex<Pass>,
    /// The line that had no room last.
    full: AtomicU8,
}

impl Fan {
    /// Lines of these kinds, which go to `fixed`; all sockets but the first are in `beyond`.
    pub(super) fn new(kinds: &[LineKind], beyond: Vec<UdpSocket>, fixed: Vec<Way>, clock: Clock) -> Self {
        let line = |&kind| Line { kind, skipped: AtomicU64::new(0), full_since: AtomicU64::new(0) };
        let ways: Arc<[Way]> = fixed.as_slice().into();
        Self {
            lines: kinds.iter().map(line).collect(),
            beyond: beyond.into(),
            clock,
            fixed: fixed.into(),
            pass: Mutex::new(Pass::new(Arc::clone(&ways), kinds.len())),
            ways: Mutex::new(ways),
            version: AtomicU64::new(0),
            full: AtomicU8::new(0),
        }
    }

    pub(super) fn lines(&self) -> u8 {
        self.lines.len() as u8
    }

    pub(super) fn socket<'a>(&'a self, first: Option<&'a UdpSocket>, line: u8) -> Option<&'a UdpSocket> {
        match usize::from(line).checked_sub(1) {
            None => first,
            Some(at) => self.beyond.get(at),
        }
    }

    /// All sockets but the first.
    pub(super) fn beyond(&self) -> impl Iterator<Item = &UdpSocket> {
        self.beyond.iter()
    }

    /// The socket to wait for.
    pub(super) fn full_socket<'a>(&'a self, first: Option<&'a UdpSocket>) -> Option<&'a UdpSocket> {
        self.socket(first, self.full.load(Relaxed))
    }

    /// As [`Outlet::follow`](super::outlet::Outlet::follow). Only for who has the machine.
    pub(super) fn follow(&self, sender: &Sender) {
        if self.version.load(Relaxed) == sender.joined_version() {
            return;
        }
        let joined = sender.joined().map(|origin| Way { line: origin.line.0, to: origin.address });
        let ways = self.fixed.iter().copied().chain(joined).collect();
        *lock(&self.ways) = ways;
        self.version.store(sender.joined_version(), Relaxed);
    }

    /// Sends a run to every place; how many of its batches are done with: taken everywhere, but for lines that had no room
    /// for too long.
    pub(super) fn send_run(
        &self,
        first: Option<&UdpSocket>,
        bytes: &[u8],
        sizes: &[u16],
    ) -> io::Result<usize> {
        let mut pass = lock(&self.pass);
        pass.follow(&self.ways());
        if let Some(line) = pass.run(sizes, |way, at, rest| self.hand_over(first, way, &bytes[at..], rest)) {
            self.full.store(line, Relaxed);
            pass.mind_laggards(self.clock.now(), PATIENCE);
        }
        let done = pass.settle(sizes.len(), |way, skipped| self.count_skipped(way.line, skipped));
        if done == 0 && !sizes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(done) }
    }

    /// Sends one datagram. A place that has no room for a heartbeat hears the next, and soon.
    pub(super) fn send(&self, first: Option<&UdpSocket>, to: Destination, bytes: &[u8]) -> io::Result<()> {
        let sizes = [u16::try_from(bytes.len()).map_err(|_| ErrorKind::InvalidInput)?];
        if to != Destination::Everywhere {
            return self.post(first, to, bytes, &sizes).map(|_| ());
        }
        let ways = self.ways();
        let sent: usize = ways.iter().map(|way| self.hand_over(first, way, bytes, &sizes)).sum();
        if sent == 0 && !ways.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// Sends answers back to where somebody asked, or along all lines that are shared: whoever hears one of them alone has the
    /// repair, too, and does not ask for it. The first of those decides; what another has no room for is lost there.
    pub(super) fn post(
        &self,
        first: Option<&UdpSocket>,
        to: Destination,
        bytes: &[u8],
        sizes: &[u16],
    ) -> io::Result<usize> {
        if let Destination::Peer(to) = to {
            return self.answer(first, Way { line: to.line.0, to: to.address }, bytes, sizes);
        }
        let ways = self.ways();
        let mut shared = ways.iter().filter(|way| self.is_shared(way.line));
        let Some(lead) = shared.next() else { return Ok(sizes.len()) };
        let done = self.answer(first, *lead, bytes, sizes)?;
        let part: usize = sizes[..done].iter().map(|size| usize::from(*size)).sum();
        for way in shared {
            let taken = self.hand_over(first, way, &bytes[..part], &sizes[..done]);
            self.count_skipped(way.line, done - taken);
        }
        Ok(done)
    }

    /// Sends to one place. Where there has been no room for too long it is lost: others wait for their answers.
    fn answer(&self, first: Option<&UdpSocket>, way: Way, bytes: &[u8], sizes: &[u16]) -> io::Result<usize> {
        let Some(line) = self.lines.get(usize::from(way.line)) else { return Ok(sizes.len()) };
        let taken = self.hand_over(first, &way, bytes, sizes);
        if taken > 0 || sizes.is_empty() {
            line.full_since.store(0, Relaxed);
            return Ok(taken);
        }
        let (now, since) = (self.clock.now(), line.full_since.load(Relaxed));
        if since == 0 {
            line.full_since.store(now.0, Relaxed);
        } else if now.since(Time(since)) >= PATIENCE {
            self.count_skipped(way.line, sizes.len());
            return Ok(sizes.len());
        }
        Err(ErrorKind::WouldBlock.into())
    }

    /// How many datagrams the line takes.
    fn hand_over(&self, first: Option<&UdpSocket>, way: &Way, bytes: &[u8], sizes: &[u16]) -> usize {
        let Some(socket) = self.socket(first, way.line) else { return sizes.len() };
        socket.send_batches(way.to, bytes, sizes).unwrap_or(0)
    }

    fn ways(&self) -> Arc<[Way]> {
        Arc::clone(&lock(&self.ways))
    }

    fn is_shared(&self, line: u8) -> bool {
        self.lines.get(usize::from(line)).is_some_and(|line| line.kind == LineKind::Shared)
    }

    fn count_skipped(&self, line: u8, datagrams: usize) {
        if let Some(line) = self.lines.get(usize::from(line)).filter(|_| datagrams > 0) {
            line.skipped.fetch_add(datagrams as u64, Relaxed);
        }
    }

    pub(super) fn stats(&self, first: Option<&UdpSocket>) -> Vec<LineStats> {
        let ways = self.ways();
        let line = |(number, line): (u8, &Line)| {
            let socket = self.socket(first, number)?;
            Some(LineStats {
                local_address: socket.local_addr(),
                destinations: ways.iter().filter(|way| way.line == number).count(),
                skipped: line.skipped.load(Relaxed),
                send_errors: socket.send_errors().total(),
                kernel_drops: socket.kernel_drops(),
            })
        };
        (0..).zip(&self.lines).filter_map(line).collect()
    }
}
