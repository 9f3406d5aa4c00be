//! What a publisher's owner and its background thread share.

use core::net::SocketAddr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::history::Open;
use crate::history::Read;
use crate::history::Repair;
use crate::history::Ring;
use crate::history::Stamp;
use crate::history::charge;
use crate::io::Clock;
use crate::io::Pool;
use crate::io::UdpSocket;
use crate::io::Waker;
use crate::offset::Offset;
use crate::protocol::Destination;
use crate::protocol::OPENING_BATCHES;
use crate::protocol::RepairSent;
use crate::protocol::Sender;
use crate::protocol::Transmit;
use crate::stats::PublisherStats;
use crate::time::Time;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::ReceiverId;

/// Times the socket is emptied into the pool in one turn: 64 datagrams each, or trains of them.
const REFILLS: u32 = 8;
/// Trains of repairs sent in one turn, so that whoever waits for the machine waits for milliseconds at most.
const REPAIRS: u32 = 8;
/// When to try again what the socket or a lock refused just now.
const SOON: Duration = Duration::from_micros(100);

/// How long to wait at a time for room in a full send buffer.
const FULL: Duration = Duration::from_millis(1);

/// One publisher: its ring and socket, and the machine that answers its subscribers.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) ring: Arc<Ring>,
    pub(super) socket: UdpSocket,
    pub(super) group: SocketAddr,
    pub(super) clock: Clock,
    /// Ends the background thread's wait.
    pub(super) waker: Waker,
    /// The background thread looks after the tail of a burst; otherwise it may sleep until a heartbeat is due.
    pub(super) alert: AtomicBool,
    pub(super) stop: AtomicBool,
    timestamps: bool,
    /// The session is in its opening; a thousand batches end it sooner.
    opening: AtomicBool,
    /// The window counts no more: the publisher ends.
    unbound: AtomicBool,
    /// The charge up to which datagrams may be handed to the socket.
    limit: AtomicU64,
    engine: Mutex<Engine>,
    /// The machine was served: limit, receivers or progress may have changed.
    served: Condvar,
}

/// The machine, and the buffers that serve it. Belongs to the background thread, and to whoever waits for it.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) sender: Sender,
    pool: Pool,
    repair: Repair,
    undecodable: u64,
}

impl Engine {
    pub(super) fn new(sender: Sender) -> Self {
        Self { sender, pool: Pool::new(8, 65_536), repair: Repair::new(), undecodable: 0 }
    }

    /// Takes in what came, so much of it at a time that heartbeats keep their time; whether there may be more.
    fn receive(&mut self, core: &Core, now: Time) -> bool {
        for _ in 0..REFILLS {
            match core.socket.receive(&mut self.pool) {
                Ok(0) => return false,
                Ok(_) => self.hand_in(core, now),
                Err(error) => {
                    tracing::warn!(%error, "receiving from subscribers");
                    return true;
                }
            }
        }
        true
    }

    fn hand_in(&mut self, core: &Core, now: Time) {
        while let Some(span) = self.pool.next_datagram() {
            match Datagram::decode(self.pool.bytes(span)) {
                Ok(datagram) => {
                    self.sender.handle_datagram(now, self.pool.from(span), &datagram, &core.ring);
                }
                Err(_) => self.undecodable += 1,
            }
        }
    }

    /// Sends what the machine wants sent, so many repairs at a time.
    fn transmit(&mut self, core: &Core) -> Transmitted {
        let mut repairs = 0;
        loop {
            let now = core.clock.now();
            let Some(transmit) = self.sender.peek_transmit(now, &core.ring) else { return Transmitted::All };
            let repair = match transmit {
                Transmit::Datagram { to, bytes } => {
                    if core.socket.send(core.address(to), bytes).is_err() {
                        return Transmitted::Refused;
                    }
                    None
                }
                Transmit::Repair { .. } if repairs == REPAIRS => return Transmitted::Part,
                Transmit::Repair { to, range } => match core.ring.read(range, &mut self.repair) {
                    Read::Copied => match self.send_repair(core, to) {
                        Some(sent) => Some(sent),
                        None => return Transmitted::Refused,
                    },
                    Read::Gone { oldest } => {
                        self.sender.refused(oldest);
                        continue;
                    }
                    Read::Busy | Read::Unsent => return Transmitted::Refused,
                },
            };
            repairs += u32::from(repair.is_some());
            self.sender.sent(now, repair);
        }
    }

    /// Sends the batches that were read, as far as the socket takes them.
    fn send_repair(&self, core: &Core, to: Destination) -> Option<RepairSent> {
        let (bytes, sizes) = (self.repair.bytes(), self.repair.sizes());
        let sent = core.socket.send_batches(core.address(to), bytes, sizes).ok()?;
        let length = sizes.get(..sent)?.iter().map(|size| usize::from(*size)).sum();
        Some(RepairSent { covers: self.repair.covers_first(sent), bytes: length })
    }
}

/// How far the machine's wishes were fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transmitted {
    All,
    /// Enough for one turn; more wants to be sent at once.
    Part,
    /// The socket, or a lock, refused for now.
    Refused,
}

impl Core {
    pub(super) fn new(parts: Parts, engine: Engine) -> Self {
        Self {
            ring: parts.ring,
            socket: parts.socket,
            group: parts.group,
            clock: parts.clock,
            waker: parts.waker,
            alert: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            timestamps: parts.timestamps,
            opening: AtomicBool::new(true),
            unbound: AtomicBool::new(false),
            limit: AtomicU64::new(u64::MAX),
            engine: Mutex::new(engine),
            served: Condvar::new(),
        }
    }

    /// The machine, once nobody else has it. A thread that panicked with it leaves it usable: it moves by whole steps.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what came, does what is due, sends what is to be sent; gives when to do so again.
    pub(super) fn serve(&self, engine: &mut Engine, now: Time) -> Option<Time> {
        let has_more = engine.receive(self, now);
        engine.sender.handle_timeout(now, &self.ring);
        self.limit.store(engine.sender.limit().unwrap_or(u64::MAX), Ordering::Relaxed);
        let transmitted = engine.transmit(self);
        self.opening.store(engine.sender.opening(now, &self.ring), Ordering::Relaxed);
        self.served.notify_all();
        let again = match transmitted {
            Transmitted::Part => Some(now),
            Transmitted::Refused => Some(now + SOON),
            Transmitted::All => has_more.then_some(now),
        };
        engine.sender.next_timeout().into_iter().chain(again).min()
    }

    /// Waits until the machine was served, by whichever thread, or until `deadline`.
    pub(super) fn wait_served<'a>(
        &self,
        engine: MutexGuard<'a, Engine>,
        deadline: Time,
        now: Time,
    ) -> MutexGuard<'a, Engine> {
        let waited = self.served.wait_timeout(engine, deadline.since(now));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// What a batch that is sealed now bears.
    pub(super) fn stamp(&self) -> Stamp {
        let opening = self.opening.load(Ordering::Relaxed) && self.ring.batches_sent() < OPENING_BATCHES;
        Stamp {
            flags: Flags::default().with(Flags::OPENING, opening),
            timestamp: self.timestamps.then(Clock::epoch_nanos),
        }
    }

    /// Hands sealed batches to the socket, as far as the subscribers' window and the socket's own buffer go.
    pub(super) fn send_unsent(&self, open: &mut Open<'_>) -> Sending {
        loop {
            let run = open.unsent();
            let (count, bytes) = self.within_window(run.sizes);
            let (Some(bytes), Some(sizes)) = (run.bytes.get(..bytes), run.sizes.get(..count)) else {
                return Sending::Done;
            };
            if sizes.is_empty() {
                return if run.sizes.is_empty() { Sending::Done } else { Sending::WindowClosed };
            }
            match self.socket.send_batches(self.group, bytes, sizes) {
                Ok(sent) => open.advance(sent),
                Err(_) => return Sending::SocketFull,
            }
        }
    }

    /// From now on everything leaves, whatever the subscribers have room for.
    pub(super) fn lift_limit(&self) {
        self.unbound.store(true, Ordering::Relaxed);
    }

    /// Waits a little for room in the socket's own buffer.
    pub(super) fn wait_for_socket(&self) {
        if let Err(error) = self.socket.wait_for_room(FULL) {
            tracing::warn!(%error, "waiting for room in the socket's send buffer");
        }
    }

    /// How many of these datagrams the window admits, and their bytes.
    fn within_window(&self, sizes: &[u16]) -> (usize, usize) {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == u64::MAX || self.unbound.load(Ordering::Relaxed) {
            return (sizes.len(), sizes.iter().map(|size| usize::from(*size)).sum());
        }
        let mut charged = self.ring.charge_sent();
        let (mut count, mut bytes) = (0, 0);
        for size in sizes.iter().map(|size| usize::from(*size)) {
            charged += charge(size);
            if charged > limit {
                break;
            }
            (count, bytes) = (count + 1, bytes + size);
        }
        (count, bytes)
    }

    /// Whether the window admits so many datagrams of `bytes` at once.
    pub(super) fn is_open_for_all(&self, datagrams: usize, bytes: usize) -> bool {
        let wanted = charge(bytes).saturating_mul(datagrams as u64);
        self.ring.charge_sent().saturating_add(wanted) <= self.limit.load(Ordering::Relaxed)
    }

    /// Lets the background thread look after what was just published.
    pub(super) fn raise_alert(&self) {
        if !self.alert.load(Ordering::Relaxed) && !self.alert.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::warn!(%error, "waking the publisher's background thread");
        }
    }

    /// Who has not, and what each still wants.
    pub(super) fn laggards(&self) -> Vec<(ReceiverId, Offset)> {
        self.engine().sender.laggards(&self.ring).map(|row| (row.receiver, row.next)).collect()
    }

    pub(super) fn stats(&self) -> PublisherStats {
        let engine = self.engine();
        PublisherStats {
            published: self.ring.sent().0,
            batches: self.ring.batches_sent(),
            bytes: self.ring.bytes_sent(),
            oldest: self.ring.oldest(),
            receivers: engine.sender.live(),
            round_trip: engine.sender.grtt(self.clock.now()),
            sender: *engine.sender.stats(),
            undecodable: engine.undecodable,
            send_errors: self.socket.send_errors().total(),
            kernel_drops: self.socket.kernel_drops(),
        }
    }

    const fn address(&self, to: Destination) -> SocketAddr {
        match to {
            Destination::Group => self.group,
            Destination::Peer(address) => address,
        }
    }
}

/// How far sealed batches got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// All are sent.
    Done,
    /// The subscribers have no room for the next.
    WindowClosed,
    /// The socket's own buffer is full.
    SocketFull,
}

/// What a core is made of.
pub(super) struct Parts {
    pub(super) ring: Arc<Ring>,
    pub(super) socket: UdpSocket,
    pub(super) group: SocketAddr,
    pub(super) clock: Clock,
    pub(super) waker: Waker,
    pub(super) timestamps: bool,
}
