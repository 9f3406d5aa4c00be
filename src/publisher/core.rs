//! What a publisher's owner and its background thread share.

mod attendance;

use core::sync::atomic::AtomicBool;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::thread::Thread;

use crate::history::Open;
use crate::history::Ring;
use crate::history::Stamp;
use crate::history::charge;
use crate::io::Clock;
use crate::io::Waker;
use crate::offset::Offset;
use crate::protocol::OPENING_BATCHES;
use crate::publisher::engine::Engine;
use crate::publisher::engine::Transmitted;
use crate::publisher::lock::lock;
use crate::publisher::lock::try_lock;
use crate::publisher::outlet::Outlet;
use crate::publisher::parcel::Parcel;
use crate::publisher::streams::By;
use crate::publisher::streams::Carrier;
use crate::stats::LineStats;
use crate::stats::PublisherStats;
use crate::time::Time;
use crate::wire::Flags;
use crate::wire::ReceiverId;

/// Sends of repairs in one turn, so that whoever waits for the machine waits for milliseconds at most.
const REPAIRS: u32 = 8;
/// When to try again what the socket or a lock refused just now.
const SOON: Duration = Duration::from_micros(100);

/// How long to wait at a time for room in a full send buffer.
const FULL: Duration = Duration::from_millis(1);

/// One publisher: its ring and socket, and the machine that answers its subscribers.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) ring: Arc<Ring>,
    pub(super) socket: Outlet,
    /// The connections, of a publisher that takes any.
    pub(super) carrier: Option<Carrier>,
    pub(super) clock: Clock,
    /// Ends the background thread's wait.
    pub(super) waker: Waker,
    /// The background thread looks after the tail of a burst; otherwise it may sleep until a heartbeat is due.
    pub(super) alert: AtomicBool,
    pub(super) stop: AtomicBool,
    /// The background thread, to end its nap.
    pub(super) background: OnceLock<Thread>,
    /// When a publisher that publishes served its own socket last, in nanoseconds of `clock`.
    attended: AtomicU64,
    /// Subscribers lost something lately.
    lossy: AtomicBool,
    timestamps: bool,
    /// The session is in its opening; a thousand batches end it sooner.
    opening: AtomicBool,
    /// The window counts no more: the publisher ends.
    unbound: AtomicBool,
    /// The charge up to which datagrams may be handed to the socket.
    limit: AtomicU64,
    engine: Mutex<Engine>,
    /// Repairs on their way to the socket. Only tried, by whoever has the machine; kept while the machine is free.
    parcel: Mutex<Parcel>,
    /// The machine was served: limit, receivers or progress may have changed.
    served: Condvar,
}

impl Core {
    pub(super) fn new(parts: Parts, engine: Engine) -> Self {
        Self {
            ring: parts.ring,
            socket: parts.socket,
            carrier: parts.carrier,
            clock: parts.clock,
            waker: parts.waker,
            alert: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            background: OnceLock::new(),
            attended: AtomicU64::new(0),
            lossy: AtomicBool::new(false),
            timestamps: parts.timestamps,
            opening: AtomicBool::new(true),
            unbound: AtomicBool::new(false),
            limit: AtomicU64::new(u64::MAX),
            engine: Mutex::new(engine),
            parcel: Mutex::new(Parcel::new()),
            served: Condvar::new(),
        }
    }

    /// The machine, once nobody else has it.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        lock(&self.engine)
    }

    /// Takes in what came, does what is due, sends what is to be sent; gives when to do so again. Repairs leave while
    /// the machine is free for others.
    pub(super) fn serve<'a>(
        &'a self,
        engine: MutexGuard<'a, Engine>,
        now: Time,
    ) -> (MutexGuard<'a, Engine>, Option<Time>) {
        let (engine, carry_at) = match &self.carrier {
            None => (engine, None),
            Some(carrier) => carrier.serve(self, engine, now),
        };
        let (engine, next) = self.serve_datagrams(engine, now);
        (engine, next.into_iter().chain(carry_at).min())
    }

    /// The same but for connections.
    fn serve_datagrams<'a>(
        &'a self,
        mut engine: MutexGuard<'a, Engine>,
        now: Time,
    ) -> (MutexGuard<'a, Engine>, Option<Time>) {
        let has_more = engine.receive(self, now);
        engine.sender.handle_timeout(now, &self.ring);
        self.socket.follow(&engine.sender);
        self.limit.store(engine.sender.limit().unwrap_or(u64::MAX), Ordering::Relaxed);
        let (engine, transmitted) = self.transmit(engine);
        self.opening.store(engine.sender.opening(now, &self.ring), Ordering::Relaxed);
        if engine.waiting > 0 {
            self.served.notify_all();
        }
        let again = match transmitted {
            Transmitted::Part => Some(now),
            Transmitted::Refused => Some(now + SOON),
            Transmitted::All => has_more.then_some(now),
        };
        let next = engine.sender.next_timeout().into_iter().chain(again).min();
        (engine, next)
    }

    /// Sends what the machine wants sent, so many repairs at a time.
    fn transmit<'a>(&'a self, mut engine: MutexGuard<'a, Engine>) -> (MutexGuard<'a, Engine>, Transmitted) {
        // While another thread is posting: what it leaves is looked at again soon.
        let Some(mut parcel) = try_lock(&self.parcel) else { return (engine, Transmitted::Refused) };
        let mut transmitted = Transmitted::Part;
        for _ in 0..REPAIRS {
            let gathered = engine.gather(self, &mut parcel);
            if parcel.is_empty() {
                transmitted = gathered;
                break;
            }
            drop(engine);
            let is_posted = parcel.post(self);
            engine = self.engine();
            // Whoever had the machine meanwhile may have left more to gather.
            if !is_posted || gathered == Transmitted::Refused {
                transmitted = Transmitted::Refused;
                break;
            }
        }
        (engine, transmitted)
    }

    pub(super) fn set_lossy(&self, lossy: bool) {
        self.lossy.store(lossy, Ordering::Relaxed);
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.lossy.load(Ordering::Relaxed)
    }

    /// The charge up to which datagrams may be handed to the socket.
    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
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
            match self.socket.send_run(bytes, sizes) {
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
        let limit = self.limit();
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
        self.ring.charge_sent().saturating_add(wanted) <= self.limit()
    }

    /// What was sent goes over the connections, too.
    pub(super) fn carry(&self, by: By) {
        if let Some(carrier) = &self.carrier {
            carrier.carry(self, by);
        }
    }

    /// When the publisher had written to connections what was sent last, once.
    pub(super) fn take_written(&self) -> Option<Time> {
        self.carrier.as_ref()?.take_written()
    }

    /// Whether everybody who is connected has been told the end, and has confirmed it.
    pub(super) fn is_settled(&self) -> bool {
        self.carrier.as_ref().is_none_or(Carrier::is_settled)
    }

    /// Who has not, and what each still wants.
    pub(super) fn laggards(&self) -> Vec<(ReceiverId, Offset)> {
        self.engine().sender.laggards(&self.ring).map(|row| (row.receiver, row.next)).collect()
    }

    pub(super) fn stats(&self) -> PublisherStats {
        let streams = self.carrier.as_ref().map(Carrier::stats).unwrap_or_default();
        let lines = self.socket.stats();
        let sum = |count: fn(&LineStats) -> u64| lines.iter().map(count).sum();
        let engine = self.engine();
        PublisherStats {
            streams,
            published: self.ring.sent().0,
            batches: self.ring.batches_sent(),
            bytes: self.ring.bytes_sent(),
            oldest: self.ring.oldest(),
            receivers: engine.sender.live(),
            round_trip: engine.sender.grtt(self.clock.now()),
            sender: *engine.sender.stats(),
            undecodable: engine.undecodable,
            skipped: sum(|line| line.skipped),
            send_errors: sum(|line| line.send_errors),
            kernel_drops: sum(|line| line.kernel_drops),
            segmentation: self.socket.segmentation(),
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
    pub(super) socket: Outlet,
    pub(super) carrier: Option<Carrier>,
    pub(super) clock: Clock,
    pub(super) waker: Waker,
    pub(super) timestamps: bool,
}
