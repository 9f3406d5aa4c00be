//! Waiting: one poll over the sockets, a deadline, and a way for another thread to interrupt it.

use std::io;
use std::io::ErrorKind;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::event::Source;
#[cfg(unix)]
use mio::unix::SourceFd;

use super::backend::Alarm;
use super::clock::Clock;
use crate::time::Time;

/// The tokens of sockets lie below this, one bit each in [`Ready`].
const MOST_SOURCES: usize = 64;
const ALARM: Token = Token(MOST_SOURCES);
const WAKER: Token = Token(MOST_SOURCES + 1);

/// Waits for sockets, a deadline or another thread.
///
/// Readiness is edge-triggered: a socket reported readable must be read until it gives nothing, or it is not
/// reported again. On Linux the deadline is exact to microseconds and part of the poll's descriptor, so a user's own
/// event loop may wait on that one descriptor instead; elsewhere it is rounded up to a millisecond.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    waker: Waker,
}

impl Poller {
    /// Creates a poll that waits for nothing yet.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
        Ok(Self { poll, events: Events::with_capacity(MOST_SOURCES), alarm, waker })
    }

    /// Adds a source of which `token`, from 0 to 63, tells when it is readable.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a larger token; else what the system said.
    pub(crate) fn add(&mut self, source: &mut impl Source, token: usize) -> io::Result<()> {
        if token >= MOST_SOURCES {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.poll.registry().register(source, Token(token), Interest::READABLE)
    }

    /// Adds a connection that is being made: `token` tells when it is, and then when it is readable.
    ///
    /// # Errors
    ///
    /// As [`Poller::add`].
    pub(super) fn add_stream(&self, source: &mut impl Source, token: usize) -> io::Result<()> {
        if token >= MOST_SOURCES {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.poll.registry().register(source, Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    /// From now on `token` tells when the connection is readable, and when there is room for `writing`.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(super) fn watch_stream(
        &self,
        source: &mut impl Source,
        token: usize,
        writing: bool,
    ) -> io::Result<()> {
        let room = writing.then_some(Interest::WRITABLE);
        let interest = room.map_or(Interest::READABLE, |room| Interest::READABLE | room);
        self.poll.registry().reregister(source, Token(token), interest)
    }

    /// Adds a socket that its owner keeps; otherwise as [`Poller::add`].
    ///
    /// # Errors
    ///
    /// What the system said.
    #[cfg(unix)]
    pub(crate) fn add_shared(&self, socket: &BorrowedFd<'_>, token: usize) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(token), Interest::READABLE)
    }

    /// Adds a poll of other sockets: `token` tells when one of those has something to tell.
    ///
    /// # Errors
    ///
    /// What the system said; `Unsupported` where a poll cannot be polled.
    pub(crate) fn add_board(&self, board: &super::listener::Switchboard, token: usize) -> io::Result<()> {
        #[cfg(unix)]
        return self.add_shared(&board.as_fd(), token);
        #[cfg(not(unix))]
        {
            let _ = (board, token);
            Err(ErrorKind::Unsupported.into())
        }
    }

    /// A handle that ends a wait from any thread.
    #[must_use]
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until something is readable, the deadline has come, or a [`Waker`] was used. A deadline in the past
    /// only looks what is ready; without one it waits for ever. Signals do not end it.
    ///
    /// # Errors
    ///
    /// What the system said to the poll or the timer.
    pub(crate) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<Ready> {
        let mut now = clock.now();
        loop {
            let due = deadline.is_some_and(|at| at <= now);
            let timeout = if due {
                Some(Duration::ZERO)
            } else {
                self.alarm.arm(deadline, now)?;
                self.alarm.timeout(now)
            };
            let ready = self.collect(timeout)?;
            now = clock.now();
            let ready = Ready { timer: deadline.is_some_and(|at| at <= now), ..ready };
            if ready != Ready::default() {
                return Ok(ready);
            }
        }
    }

    /// Sets the deadline for someone who waits on the descriptor himself: it becomes readable then at the latest
    /// (on Linux; it may, seldom, be readable too early). It stays readable until [`Poller::check`] or a later call
    /// of this.
    ///
    /// # Errors
    ///
    /// What the system said to the timer.
    pub(crate) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<()> {
        let now = clock.now();
        // A timer for the past would have to fire in the future all the same: set, it fires after one nanosecond.
        self.alarm.arm(deadline, now)
    }

    /// What is ready, without waiting; the descriptor is not readable after this until something else happens.
    ///
    /// # Errors
    ///
    /// What the system said to the poll.
    pub(crate) fn check(&mut self) -> io::Result<Ready> {
        self.collect(Some(Duration::ZERO))
    }

    fn collect(&mut self, timeout: Option<Duration>) -> io::Result<Ready> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => Ok(self.events.iter().fold(Ready::default(), |ready, event| ready.with(event.token()))),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Ready::default()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
impl AsFd for Poller {
    /// The descriptor of the poll, readable while something is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// One bit for each token.
    readable: u64,
    /// Whether the deadline has come.
    pub(crate) timer: bool,
    /// Whether another thread used a [`Waker`].
    pub(crate) woken: bool,
}

impl Ready {
    /// Whether the source of `token` has something to read, or an error to tell.
    pub(crate) const fn is_readable(self, token: usize) -> bool {
        token < MOST_SOURCES && self.readable & (1 << token) != 0
    }

    /// Whether any source has.
    #[cfg(test)]
    pub(crate) const fn any_readable(self) -> bool {
        self.readable != 0
    }

    fn with(self, token: Token) -> Self {
        match token {
            // The clock decides whether the deadline has come, since the timer may be early.
            ALARM => self,
            WAKER => Self { woken: true, ..self },
            Token(socket) => Self { readable: self.readable | 1 << socket, ..self },
        }
    }
}

/// Ends a [`Poller::wait`] from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Makes the wait return, or the next one if there is none.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_deadline_in_the_past_or_near_ends_the_wait() {
        let (mut poller, clock) = (Poller::new().unwrap(), Clock::start());
        let due = Ready { timer: true, ..Ready::default() };
        assert_eq!(poller.wait(Some(Time::ZERO), &clock).unwrap(), due);
        for micros in [1, 50, 2_000, 300] {
            let deadline = clock.now() + Duration::from_micros(micros);
            assert_eq!(poller.wait(Some(deadline), &clock).unwrap(), due);
            assert!(clock.now() >= deadline);
        }
    }

    #[test]
    fn a_deadline_that_moves_is_met_in_either_direction() {
        let (mut poller, clock) = (Poller::new().unwrap(), Clock::start());
        poller.arm(Some(clock.now() + LONG), &clock).unwrap();
        assert!(poller.wait(Some(clock.now() + Duration::from_millis(1)), &clock).unwrap().timer);
        // The time set first comes early, and must not end the wait.
        poller.arm(Some(clock.now() + Duration::from_millis(6)), &clock).unwrap();
        let deadline = clock.now() + Duration::from_millis(10);
        assert!(poller.wait(Some(deadline), &clock).unwrap().timer);
        assert!(clock.now() >= deadline);
    }

    #[test]
    fn a_waker_ends_the_wait_from_another_thread_and_beforehand() {
        let (mut poller, clock) = (Poller::new().unwrap(), Clock::start());
        let waker = poller.waker();
        let woken = Ready { woken: true, ..Ready::default() };
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake().unwrap());
            assert_eq!(poller.wait(None, &clock).unwrap(), woken);
        });
        waker.wake().unwrap();
        assert_eq!(poller.wait(None, &clock).unwrap(), woken);
        assert_eq!(poller.check().unwrap(), Ready::default());
    }

    #[test]
    fn a_token_without_a_bit_is_refused() {
        let mut poller = Poller::new().unwrap();
        let mut socket = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(poller.add(&mut socket, 64).unwrap_err().kind(), ErrorKind::InvalidInput);
        poller.add(&mut socket, 63).unwrap();
    }

    /// A user's own loop sees the deadline on the one descriptor, and no longer once it was looked at or put off.
    #[cfg(unix)]
    #[test]
    fn the_descriptor_becomes_readable_at_the_deadline() {
        use std::os::fd::AsRawFd;

        use mio::unix::SourceFd;

        if !Alarm::MAKES_READABLE {
            return;
        }
        let (mut poller, clock) = (Poller::new().unwrap(), Clock::start());
        let readable = |poller: &Poller, timeout| {
            // A new poll each time, so that an edge seen before does not count.
            let (mut outer, mut events) = (Poll::new().unwrap(), Events::with_capacity(1));
            let fd = poller.as_fd().as_raw_fd();
            outer.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
            outer.poll(&mut events, Some(timeout)).unwrap();
            !events.is_empty()
        };
        poller.arm(Some(clock.now() + LONG), &clock).unwrap();
        assert!(!readable(&poller, Duration::ZERO));
        poller.arm(Some(clock.now() + Duration::from_micros(300)), &clock).unwrap();
        assert!(readable(&poller, LONG));
        poller.check().unwrap();
        assert!(!readable(&poller, Duration::ZERO));
        poller.arm(Some(Time::ZERO), &clock).unwrap();
        assert!(readable(&poller, LONG));
        poller.arm(Some(clock.now() + LONG), &clock).unwrap();
        assert!(!readable(&poller, Duration::ZERO));
    }
}
