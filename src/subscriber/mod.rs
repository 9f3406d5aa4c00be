//! Subscribing: datagrams in, messages out, and every gap asked for.

mod open;
mod socket;

use core::fmt;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::AsRawFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
#[cfg(unix)]
use std::os::fd::RawFd;

use crate::config::SubscriberBuilder;
use crate::error::Error;
use crate::event::Event;
use crate::event::Message;
use crate::io::Clock;
use crate::protocol::SourceKey;
use crate::protocol::Step;
use crate::protocol::Subscription;
use crate::stats::SourceSnapshot;
use crate::stats::SubscriberStats;
use crate::subscriber::socket::Inlet;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::SessionId;

/// Receives the messages of one stream, from any number of publishers, each one's in order.
///
/// It runs on the caller's thread: nothing is received, asked for or reported but in `recv`, `recv_timeout`,
/// `try_recv` or `poll`. Messages are lent from the receive buffer until the next call.
///
/// ```
/// use std::time::Duration;
/// use nakcast::Event;
/// use nakcast::Publisher;
/// use nakcast::Subscriber;
///
/// let uri = "udp://239.192.7.2:4102?interface=lo";
/// let mut subscriber = Subscriber::open(uri)?;
/// let mut publisher = Publisher::open(uri)?;
/// publisher.publish(b"greeting", b"hello")?;
/// loop {
///     match subscriber.recv()? {
///         Event::Message(message) => {
///             assert_eq!((message.topic, message.payload), (&b"greeting"[..], &b"hello"[..]));
///             break;
///         }
///         Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
///         _ => {}
///     }
/// }
/// # publisher.abort();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscriber {
    subscription: Subscription,
    inlet: Inlet,
    clock: Clock,
    /// The time of the last look at the sockets: a clock is read once for many datagrams.
    now: Time,
    receiver: ReceiverId,
}

/// How often a call goes back to the sockets before it returns or looks at its timers.
const REFILLS: u32 = 32;

/// What came of one call for more.
enum Turn {
    /// Something for the user.
    Step(Step),
    /// Nothing so far, but the sockets may have more.
    Busy,
    /// Nothing, and the sockets are empty.
    Dry,
}

impl Subscriber {
    /// Opens a subscriber with the defaults of [`SubscriberBuilder`].
    ///
    /// # Errors
    ///
    /// As [`SubscriberBuilder::open`].
    pub fn open(uri: &str) -> Result<Self, Error> {
        Self::builder().udp(uri).open()
    }

    /// A subscriber with settings of its own; finish with [`SubscriberBuilder::open`].
    pub fn builder() -> SubscriberBuilder {
        SubscriberBuilder::default()
    }

    /// The next event, waiting for it as long as it takes.
    ///
    /// # Errors
    ///
    /// [`Error::System`] when the system refuses to wait or receive.
    pub fn recv(&mut self) -> Result<Event<'_>, Error> {
        let step = loop {
            match self.turn(&mut 0)? {
                Turn::Step(step) => break step,
                Turn::Busy => {}
                Turn::Dry => self.wait(None)?,
            }
        };
        Ok(self.view(step))
    }

    /// The next event, or `None` when there was none for `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        let deadline = self.clock.now() + timeout;
        let step = loop {
            match self.turn(&mut 0)? {
                Turn::Step(step) => break step,
                _ if self.now >= deadline => return Ok(None),
                Turn::Busy => {}
                Turn::Dry => self.wait(Some(deadline))?,
            }
        };
        Ok(Some(self.view(step)))
    }

    /// The next event, if there is one now.
    ///
    /// For event loops: call it until `None`, then wait for the descriptor ([`AsFd`]) to be readable, which it also is
    /// when a timer of the protocol is due.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Event<'_>>, Error> {
        match self.turn(&mut 0)? {
            Turn::Step(step) => return Ok(Some(self.view(step))),
            turn => self.arm(turn)?,
        }
        Ok(None)
    }

    /// Hands on everything there is now, or as much as a few dozen system calls bring; gives how many events that were.
    ///
    /// For event loops as [`try_recv`](Self::try_recv) is: wait for the descriptor afterwards.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll(&mut self, mut each: impl FnMut(Event<'_>)) -> Result<usize, Error> {
        let (mut count, mut refills) = (0, 0);
        loop {
            match self.turn(&mut refills)? {
                Turn::Step(step) => each(self.view(step)),
                turn => {
                    self.arm(turn)?;
                    return Ok(count);
                }
            }
            count += 1;
        }
    }

    /// How long until the protocol wants to be called although nothing came; `None` while it knows no source.
    ///
    /// Only for loops that cannot wait on the descriptor.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let next = self.subscription.receiver_ref().next_timeout()?;
        Some(next.since(self.clock.now()))
    }

    /// A snapshot of the counters that belong to no source.
    #[must_use]
    pub fn stats(&self) -> SubscriberStats {
        let subscription = self.subscription.stats();
        SubscriberStats {
            receiver: *self.subscription.receiver_ref().stats(),
            undecodable: subscription.undecodable,
            ..self.inlet.stats()
        }
    }

    /// A snapshot of each source, in the order they came up.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceSnapshot> {
        let rows = self.subscription.receiver_ref().rows();
        rows.map(|row| SourceSnapshot {
            session: row.session,
            address: row.address,
            down: row.down,
            next: row.next,
            book: row.book,
            round_trip: row.round_trip,
            stats: row.stats.clone(),
        })
        .collect()
    }

    /// `SO_RCVBUF` in bytes: what was asked for, and what the kernel granted (Linux counts twice the bytes asked for,
    /// for its own overhead, up to twice `net.core.rmem_max`).
    #[must_use]
    pub const fn receive_buffer(&self) -> (usize, usize) {
        self.inlet.receive_buffer()
    }

    /// The name by which publishers know this subscriber.
    #[must_use]
    pub const fn receiver(&self) -> ReceiverId {
        self.receiver
    }

    /// The receive path: a step from what is here, else datagrams one by one, else more from the sockets.
    ///
    /// A publisher that is faster than this subscriber must not keep a call from returning, nor timers from firing, so
    /// the sockets are gone back to only so often.
    fn turn(&mut self, refills: &mut u32) -> Result<Turn, Error> {
        loop {
            match self.subscription.step(self.now, self.inlet.current()) {
                Step::Need => {}
                step => return Ok(Turn::Step(self.told(step))),
            }
            if let Some((from, datagram)) = self.inlet.next_datagram() {
                self.subscription.handle_datagram(self.now, from, datagram);
                continue;
            }
            let is_dry = !self.refill()?;
            *refills += 1;
            if !is_dry && *refills < REFILLS {
                continue;
            }
            if !is_dry {
                self.do_what_is_due();
            }
            return Ok(match self.subscription.step(self.now, &[]) {
                Step::Need => match self.subscription.step_conflated() {
                    Some(step) => Turn::Step(step),
                    None if is_dry => Turn::Dry,
                    None => Turn::Busy,
                },
                step => Turn::Step(self.told(step)),
            });
        }
    }

    /// Takes what the sockets have, and does what is due; whether datagrams came.
    fn refill(&mut self) -> Result<bool, Error> {
        self.now = self.clock.now();
        let is_recovering = self.subscription.receiver_ref().is_recovering();
        let filled = self.inlet.fill(is_recovering)?;
        // What waits in the sockets comes first: a timer that it would stop must not fire before it.
        if !filled {
            self.do_what_is_due();
        } else if is_recovering {
            self.subscription.receiver().handle_recovery(self.now);
        }
        if let Some(drops) = self.inlet.kernel_drops(self.now) {
            self.subscription.receiver().set_kernel_drops(drops);
        }
        self.transmit();
        Ok(filled)
    }

    fn do_what_is_due(&mut self) {
        let receiver = self.subscription.receiver();
        receiver.handle_timeout(self.now);
        if receiver.poll_rejoin() {
            self.inlet.rejoin();
        }
    }

    fn transmit(&mut self) {
        let receiver = self.subscription.receiver();
        while let Some((to, datagram)) = receiver.peek_transmit(self.now) {
            self.inlet.send(to, datagram);
            receiver.sent();
        }
    }

    /// A user who is told that a source is down may never call again: the publisher, which may wait for the last
    /// report, gets it first.
    fn told(&mut self, step: Step) -> Step {
        if matches!(step, Step::Down { .. }) {
            self.transmit();
        }
        step
    }

    /// Makes the descriptor readable when there is something to do again: now, if the sockets were not emptied.
    fn arm(&mut self, turn: Turn) -> Result<(), Error> {
        let next = self.subscription.receiver_ref().next_timeout();
        let at = if matches!(turn, Turn::Busy) { Some(self.now) } else { next };
        self.inlet.arm(at, &self.clock)
    }

    fn wait(&mut self, deadline: Option<Time>) -> Result<(), Error> {
        let next = self.subscription.receiver_ref().next_timeout();
        self.inlet.wait(next.into_iter().chain(deadline).min(), &self.clock)
    }

    /// What a step is to the user: borrowed once, at the end.
    fn view(&self, step: Step) -> Event<'_> {
        match step {
            Step::Message(found) => {
                let (topic, payload) = self.subscription.message(&found, self.inlet.current());
                Event::Message(Message {
                    session: self.session(found.source),
                    offset: found.range.from,
                    offsets: found.range.len(),
                    topic,
                    payload,
                    timestamp: found.timestamp,
                })
            }
            Step::Lost { source, range, reason } => {
                Event::Lost { session: self.session(source), range, reason }
            }
            Step::Up(up) => Event::SourceUp {
                session: up.session,
                address: up.address,
                from: up.from,
                replaces: up.replaces,
            },
            Step::Down { source, reason, heard } => {
                Event::SourceDown { session: self.session(source), reason, heard }
            }
            Step::Need => unreachable!("a turn never gives Need"),
        }
    }

    fn session(&self, source: SourceKey) -> SessionId {
        self.subscription.receiver_ref().session(source).unwrap_or_default()
    }
}

#[cfg(unix)]
impl AsRawFd for Subscriber {
    /// As [`AsFd`], for loops that ask for it.
    fn as_raw_fd(&self) -> RawFd {
        self.inlet.as_fd().as_raw_fd()
    }
}

#[cfg(unix)]
impl AsFd for Subscriber {
    /// Readable when something came or a timer is due, once [`try_recv`](Subscriber::try_recv) gave `None`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inlet.as_fd()
    }
}

impl Drop for Subscriber {
    /// Tells the publishers, so that none waits for this subscriber.
    fn drop(&mut self) {
        self.subscription.receiver().leave(self.now);
        self.transmit();
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}
