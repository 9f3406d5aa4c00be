//! The sockets of a subscriber, and the datagrams taken from them.

use core::net::SocketAddr;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use crate::error::Error;
use crate::io::Clock;
use crate::io::Offload;
use crate::io::Pool;
use crate::io::Span;
use crate::io::UdpSocket;
use crate::io::Watch;
use crate::protocol::Receiver;
use crate::sim::FaultInjector;
use crate::stats::SubscriberStats;
use crate::subscriber::history::History;
use crate::time::Time;

/// Turns of the data socket for each look at the control socket while something comes all the time, and while
/// something is being repaired.
const TURNS: u32 = 8;
const TURNS_RECOVERING: u32 = 2;
/// The same while nothing comes and the subscriber spins: a look costs half a microsecond, in which the datagram that
/// is waited for may arrive.
const TURNS_SPINNING: u32 = 64;
/// Receive buffers where each may hold a train, and where each holds one datagram.
const TRAINS: usize = 8;
const DATAGRAMS: usize = 64;
/// A buffer takes any datagram, whatever its publisher chose, and any train.
const TRAIN_BYTES: usize = 65_536;
/// Buffers that each hold some 1,400 bytes begin this much more than 64 KiB apart: at equal distance from a power of
/// two their first bytes would all want the same few places in the processor's caches.
const APART: usize = 1_472;
/// How long a read sleeps before the subscriber sleeps by a call of its own, which ends exactly when it should.
const NAP: Duration = Duration::from_millis(20);
/// What an answer to a NAK or STATUS takes at most, usually: until then the subscriber sleeps on both sockets.
const ANSWER: Duration = Duration::from_millis(1);
/// How often the kernel is asked what it dropped: a system call of half a microsecond.
const DROPS_EVERY: Duration = Duration::from_millis(100);

/// Data comes in through one socket; NAK and STATUS leave through the other, and their answers come back to it.
pub(super) struct Datagrams {
    data: UdpSocket,
    control: UdpSocket,
    watch: Watch,
    pool: Pool,
    current: Option<Span>,
    turn: u32,
    seen: Seen,
    naps: Naps,
    /// Everything comes to the socket that asks for it.
    is_joined: bool,
    faults: Option<FaultInjector>,
    drops_at: Time,
    /// A connection that brings what came too early, while there is one.
    pub(super) history: History,
}

impl Datagrams {
    pub(super) fn new(
        (mut data, mut control): (UdpSocket, UdpSocket),
        sleeps: bool,
        (faults, history): (Option<FaultInjector>, History),
    ) -> Result<Self, Error> {
        let can = sleeps && data.let_reads_sleep(NAP).map_err(Error::system("letting reads sleep"))?;
        let naps = Naps { can, idle: false, alone_from: Time::ZERO };
        let watch = Watch::new([&mut data, &mut control]).map_err(Error::system("opening a poll"))?;
        let pool = match data.coalescing() {
            Offload::On => Pool::new(TRAINS, TRAIN_BYTES),
            _ => Pool::new(DATAGRAMS, TRAIN_BYTES + APART),
        };
        let (seen, drops_at) = (Seen::default(), Time::ZERO);
        let is_joined = false;
        Ok(Self {
            data,
            control,
            watch,
            pool,
            current: None,
            turn: 0,
            seen,
            naps,
            is_joined,
            faults,
            drops_at,
            history,
        })
    }

    /// From now on NAK and STATUS leave from the socket that data come to: a publisher sends a copy to who asks.
    pub(super) const fn joining(mut self) -> Self {
        self.is_joined = true;
        self
    }

    /// The bytes of the datagram taken last, or else of the message of history.
    #[inline]
    pub(super) fn current(&self) -> &[u8] {
        match self.current {
            Some(span) => self.pool.bytes(span),
            None => self.history.current(),
        }
    }

    /// The next datagram of those taken from the sockets, but for those lost on purpose.
    #[inline]
    pub(super) fn next_datagram(&mut self) -> Option<(SocketAddr, &[u8])> {
        let span = self.advance()?;
        Some((self.pool.from(span), self.pool.bytes(span)))
    }

    /// The same, without its bytes: they are the [current](Self::current) ones.
    pub(super) fn next_sender(&mut self) -> Option<SocketAddr> {
        self.advance().map(|span| self.pool.from(span))
    }

    #[inline]
    fn advance(&mut self) -> Option<Span> {
        loop {
            self.current = self.pool.next_datagram();
            let span = self.current?;
            let lost = self.faults.as_mut().is_some_and(|faults| faults.loses(self.pool.bytes(span)));
            if !lost {
                return Some(span);
            }
        }
    }

    /// Takes datagrams from the sockets; whether there were any. Repairs to this subscriber alone come to the control
    /// socket, so it is looked at every other time while something is missing; never every time, or a flood of it would
    /// starve the data.
    pub(super) fn fill(&mut self, is_recovering: bool) -> Result<bool, Error> {
        self.turn = self.turn.wrapping_add(1);
        let every = if is_recovering { TURNS_RECOVERING } else { TURNS };
        if self.turn.is_multiple_of(every) {
            return Ok(self.look_at_control()? || self.look_at_data()?);
        }
        Ok(self.look_at_data()? || (self.seen.control.may_hold() && self.look_at_control()?))
    }

    /// As [`fill`](Self::fill), for someone who will look again at once: one system call, and seldom a second.
    pub(super) fn glance(&mut self, is_recovering: bool) -> Result<bool, Error> {
        self.turn = self.turn.wrapping_add(1);
        let every = if is_recovering { TURNS_RECOVERING } else { TURNS_SPINNING };
        self.seen.data = Holds::Unknown;
        self.pool.expect_one();
        let control = self.turn.is_multiple_of(every) && self.look_at_control()?;
        Ok(control || self.look_at_data()?)
    }

    /// Both, the sockets and the connection.
    pub(super) fn fill_all(&mut self, now: Time, is_recovering: bool) -> Result<bool, Error> {
        let filled = self.fill(is_recovering)?;
        Ok(self.history.fill(now) || filled)
    }

    /// Both, for someone who will look again at once.
    pub(super) fn glance_all(&mut self, now: Time, is_recovering: bool) -> Result<bool, Error> {
        let filled = self.glance(is_recovering)?;
        self.history.forget();
        Ok(self.history.fill(now) || filled)
    }

    /// Makes the connection that history is wanted from, and lets go of one that has brought everything.
    pub(super) fn attend(&mut self, now: Time, receiver: &mut Receiver) -> Result<(), Error> {
        if self.history.attend(now, receiver)
            && let Some(link) = self.history.link()
        {
            self.watch.add_beside(link).map_err(Error::system("watching a connection"))?;
        }
        Ok(())
    }

    fn look_at_data(&mut self) -> Result<bool, Error> {
        if !self.seen.data.may_hold() {
            return Ok(false);
        }
        let taken = self.data.receive(&mut self.pool).map_err(Error::system("receiving"))?;
        self.seen.data = match taken {
            0 => Holds::Nothing,
            // More may have come since, and would wait for a poll: worth another look unless messages come one by one.
            1 if self.pool.holds_one() && UdpSocket::is_emptied(&self.pool) => Holds::NoMore,
            _ => Holds::Unknown,
        };
        Ok(taken > 0)
    }

    fn look_at_control(&mut self) -> Result<bool, Error> {
        let taken = self.control.receive(&mut self.pool).map_err(Error::system("receiving"))?;
        let is_emptied = taken == 0 || UdpSocket::is_emptied(&self.pool);
        self.seen.control = if is_emptied { Holds::Nothing } else { Holds::Unknown };
        Ok(taken > 0)
    }

    /// Forgets that nothing has come: another line keeps the subscriber from waiting, which would tell.
    pub(super) const fn look_again(&mut self) {
        self.seen.data = Holds::Unknown;
    }

    /// A wait on its sockets has told which may hold something.
    pub(super) const fn woke(&mut self, [data, control]: [bool; 2]) {
        // Both are looked at next, so what comes then is counted from here.
        self.turn = 0;
        self.naps.idle = false;
        let data = if data { Holds::Unknown } else { Holds::Nothing };
        let control = if control { Holds::Unknown } else { Holds::Nothing };
        self.seen = Seen { data, control };
    }

    /// The descriptors of its sockets.
    #[cfg(unix)]
    pub(super) fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.data.as_fd(), self.control.as_fd()]
    }

    /// Forgets what is known of the sockets, since the system is not asked: each is looked at anew.
    pub(super) fn forget(&mut self) {
        self.seen = Seen::default();
        self.history.forget();
    }

    /// Whether the last look, or the last wait, has found nothing; otherwise a wait of no length settles it.
    pub(super) fn is_surely_empty(&self) -> bool {
        self.seen.data == Holds::Nothing && self.history.is_surely_empty()
    }

    /// Sends a NAK or STATUS. What the system refuses is counted, and as good as lost on the way.
    pub(super) fn send(&mut self, now: Time, to: SocketAddr, datagram: &[u8]) {
        self.naps.alone_from = now + ANSWER;
        if self.faults.as_mut().is_some_and(|faults| faults.loses(datagram)) {
            return;
        }
        let socket = if self.is_joined { &self.data } else { &self.control };
        if let Err(error) = socket.send(to, datagram) {
            tracing::debug!(%error, %to, "a NAK or STATUS finds no room in the socket");
        }
    }

    /// Sleeps until something comes, or `deadline`.
    pub(super) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        let sockets = [&self.data, &self.control];
        let ready = match self.history.link() {
            None => self.watch.wait(sockets, deadline, clock),
            Some(link) => {
                let deadline = deadline.into_iter().chain(link.next_timeout()).min();
                self.watch.wait_beside(sockets, link, deadline, clock)
            }
        };
        let ready = ready.map_err(Error::system("waiting for datagrams"))?;
        self.history.forget();
        self.woke(ready);
        Ok(())
    }

    /// Whether to sleep in a read of the data socket: while data come and nothing else is expected, nor due soon.
    pub(super) fn may_nap(&self, is_recovering: bool, now: Time, deadline: Option<Time>) -> bool {
        let is_far = deadline.is_none_or(|at| at.since(now) >= 2 * NAP);
        self.naps.can
            && !self.naps.idle
            && !is_recovering
            && self.history.link().is_none()
            && is_far
            && now >= self.naps.alone_from
    }

    /// Sleeps until data come, but not for long: one call in place of three, and the other socket is not heard.
    pub(super) fn nap(&mut self) -> Result<(), Error> {
        let taken = self.data.receive_asleep(&mut self.pool).map_err(Error::system("receiving"))?;
        self.naps.idle = taken == 0;
        // A process that was stopped meanwhile has slept through what came: only a look tells that there is nothing.
        let is_emptied = taken > 0 && UdpSocket::is_emptied(&self.pool);
        self.seen.data = if is_emptied { Holds::NoMore } else { Holds::Unknown };
        Ok(())
    }

    pub(super) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        let deadline = deadline.into_iter().chain(self.history.next_timeout()).min();
        self.watch.arm(deadline, clock).map_err(Error::system("setting a timer"))
    }

    /// Leaves the group and joins it again.
    pub(super) fn rejoin(&self) {
        if let Err(error) = self.data.rejoin() {
            tracing::warn!(%error, "joining the group again after silence");
        }
    }

    /// What the kernel dropped so far, if it is time to ask.
    pub(super) fn kernel_drops(&mut self, now: Time) -> Option<u64> {
        if now < self.drops_at {
            return None;
        }
        self.drops_at = now + DROPS_EVERY;
        Some(self.data.kernel_drops())
    }

    pub(super) fn stats(&self) -> SubscriberStats {
        SubscriberStats {
            kernel_drops: self.data.kernel_drops(),
            faults: self.faults.as_ref().map_or(0, FaultInjector::lost),
            send_errors: self.control.send_errors().total() + self.data.send_errors().total(),
            coalescing: self.data.coalescing(),
            connection: self.history.stats(),
            receive_errors: self.data.receive_errors().total() + self.control.receive_errors().total(),
            ..SubscriberStats::default()
        }
    }

    pub(super) const fn receive_buffer(&self) -> (usize, usize) {
        (self.data.asked_receive_buffer(), self.data.granted_receive_buffer())
    }
}

/// What a socket may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Holds {
    /// Perhaps something.
    #[default]
    Unknown,
    /// Nothing when it was last read, and the next wait tells of what came since.
    NoMore,
    /// Nothing, as a look or a wait has just told.
    Nothing,
}

impl Holds {
    fn may_hold(self) -> bool {
        self == Self::Unknown
    }
}

/// Sleeps in a read of the data socket.
#[derive(Debug, Clone, Copy)]
struct Naps {
    can: bool,
    /// Nothing came in the last one.
    idle: bool,
    /// No answer is expected from then on.
    alone_from: Time,
}

/// What is known of the two sockets.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    data: Holds,
    control: Holds,
}

#[cfg(unix)]
impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.descriptor([&self.data, &self.control])
    }
}
