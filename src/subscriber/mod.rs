//! Subscribing: datagrams or a connection in, messages out, and every gap asked for or told.

mod datagrams;
mod history;
mod inlet;
mod lines;
mod open;
mod path;
mod stream;
mod topics;
mod waiting;

use core::fmt;
use core::time::Duration;

use crate::config::SubscriberBuilder;
use crate::config::Wait;
use crate::error::Error;
use crate::event::Event;
use crate::event::Message;
use crate::io::Clock;
use crate::protocol::Found;
use crate::protocol::SourceKey;
use crate::protocol::Step;
use crate::protocol::Subscription;
use crate::protocol::Whole;
use crate::stats::LineSnapshot;
use crate::stats::SourceSnapshot;
use crate::stats::SubscriberStats;
use crate::subscriber::inlet::Inlet;
use crate::subscriber::path::Turn;
use crate::subscriber::waiting::Patience;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::SessionId;

/// Receives the messages of one stream, from any number of publishers, each one's in order.
///
/// Over TCP it is one publisher at a time. A connection that is cut is made again, for as long as it takes, and goes on
/// with the next offset wanted: no message comes twice, and none is missing without being told as lost. A name is looked up in
/// the call that connects, which may take as long as the system's resolver does.
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
    wait: Wait,
    /// It looks again at once when there is nothing, so a look may leave something aside.
    glances: bool,
    /// Refills since the timers were looked after, and when that was.
    refills: u32,
    served_at: Time,
    /// The sockets were really asked at the time of the last look: before that, nobody is silent.
    has_read: bool,
}

impl Subscriber {
    /// Opens a subscriber with the defaults of [`SubscriberBuilder`], to `udp://` or `tcp://`.
    ///
    /// # Errors
    ///
    /// As [`SubscriberBuilder::open`].
    pub fn open(uri: &str) -> Result<Self, Error> {
        Self::builder().uri(uri).open()
    }

    /// Opens a subscriber to the publisher at a `tcp://` URI, with the defaults of [`SubscriberBuilder`]. The publisher need
    /// not be there yet.
    ///
    /// # Errors
    ///
    /// As [`SubscriberBuilder::open`].
    pub fn connect(uri: &str) -> Result<Self, Error> {
        Self::builder().tcp(uri).open()
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
    #[inline]
    pub fn recv(&mut self) -> Result<Event<'_>, Error> {
        match self.subscription.step_whole(self.inlet.current()) {
            Some(found) => Ok(Event::Message(self.message(&found))),
            None => self.recv_slowly(),
        }
    }

    fn recv_slowly(&mut self) -> Result<Event<'_>, Error> {
        let mut patience = Patience::default();
        let step = loop {
            match self.turn(&mut 0)? {
                Turn::Step(step) => break step,
                Turn::Busy => {}
                Turn::Dry => self.wait(&mut patience, None)?,
            }
        };
        Ok(self.view(step))
    }

    /// The next event, or `None` when there was none for `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        match self.subscription.step_whole(self.inlet.current()) {
            Some(found) => Ok(Some(Event::Message(self.message(&found)))),
            None => self.recv_slowly_for(timeout),
        }
    }

    fn recv_slowly_for(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        let (mut patience, deadline) = (Patience::default(), self.clock.now() + timeout);
        let step = loop {
            match self.turn(&mut 0)? {
                Turn::Step(step) => break step,
                Turn::Busy if self.now < deadline => {}
                Turn::Dry if self.now < deadline || !self.has_looked(&patience) => {
                    self.wait(&mut patience, Some(deadline))?;
                }
                _ => return Ok(None),
            }
        };
        Ok(Some(self.view(step)))
    }

    /// The next event, if there is one now.
    ///
    /// For event loops: call it until `None`, then wait for the descriptor ([`AsFd`](std::os::fd::AsFd)) to be readable, which it also is
    /// when a timer of the protocol is due.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.look_anew();
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
        self.look_anew();
        let (mut count, mut refills) = (0, 0);
        loop {
            count += self.hand_on(&mut each);
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

    /// Waits until there is something, for `timeout` at most, and hands on all of it, or as much as a few dozen system
    /// calls bring; gives how many events that were. The cheapest way to receive for who may sleep.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_timeout(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(Event<'_>),
    ) -> Result<usize, Error> {
        let (mut count, mut refills) = (self.hand_on(&mut each), 0);
        let (mut patience, mut deadline) = (Patience::default(), None);
        loop {
            let turn = self.turn(&mut refills)?;
            if let Turn::Step(step) = turn {
                each(self.view(step));
                count += 1 + self.hand_on(&mut each);
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| self.now + timeout);
            match turn {
                _ if count > 0 => return Ok(count),
                Turn::Dry if self.now < deadline || !self.has_looked(&patience) => {
                    self.wait(&mut patience, Some(deadline))?;
                }
                Turn::Busy if self.now < deadline => {}
                _ => return Ok(0),
            }
            refills = 0;
        }
    }

    /// The short way of a batch whose messages need no decision each.
    #[inline]
    fn hand_on(&mut self, each: &mut impl FnMut(Event<'_>)) -> usize {
        let Some(run) = self.subscription.run(self.inlet.current()) else { return 0 };
        let (session, timestamp) = (run.session(), run.timestamp());
        let mut count = 0;
        for Whole { offset, topic, payload } in run {
            each(Event::Message(Message { session, offset, offsets: 1, topic, payload, timestamp }));
            count += 1;
        }
        count
    }

    /// How long until the protocol wants to be called although nothing came; `None` over UDP while it knows no
    /// source.
    ///
    /// Only for loops that cannot wait on the descriptor.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let next = self.subscription.receiver_ref().next_timeout();
        let next = next.into_iter().chain(self.inlet.next_timeout()).min()?;
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
        let now = self.clock.now();
        let rows = self.subscription.receiver_ref().rows();
        rows.map(|row| SourceSnapshot {
            session: row.session,
            address: row.address,
            down: row.down,
            next: row.next,
            book: row.book,
            round_trip: row.round_trip,
            lines: row.lines().collect(),
            group_round_trip: row.group_round_trip,
            receivers: row.receivers,
            silent_for: now.since(row.last_heard),
            oldest: row.oldest,
            tcp_port: Some(row.tcp_port).filter(|port| *port != 0),
            stats: row.stats.clone(),
        })
        .collect()
    }

    /// A snapshot of each line, in the order in which they were named, the connection last; none where there is one line.
    /// What each has brought of a source is in [`SourceSnapshot::lines`].
    #[must_use]
    pub fn lines(&self) -> Vec<LineSnapshot> {
        let mut lines = self.inlet.lines();
        for silent in self.subscription.receiver_ref().silent_lines() {
            if let Some(line) = lines.get_mut(usize::from(silent.0)) {
                line.is_silent = true;
            }
        }
        lines
    }

    /// `SO_RCVBUF` in bytes: what was asked for, and what the kernel granted (Linux counts twice the bytes asked for,
    /// for its own overhead, up to twice `net.core.rmem_max`). Over TCP 0 stands for the kernel's own choice, and for no
    /// connection.
    #[must_use]
    pub fn receive_buffer(&self) -> (usize, usize) {
        self.inlet.receive_buffer()
    }

    /// The name by which publishers know this subscriber.
    #[must_use]
    pub const fn receiver(&self) -> ReceiverId {
        self.receiver
    }

    /// What a step is to the user: borrowed once, at the end.
    fn view(&self, step: Step) -> Event<'_> {
        match step {
            Step::Message(found) => Event::Message(self.message(&found)),
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

    #[inline]
    fn message(&self, found: &Found) -> Message<'_> {
        let (topic, payload) = self.subscription.message(found, self.inlet.current());
        Message {
            session: self.session(found.source),
            offset: found.range.from,
            offsets: found.range.len(),
            topic,
            payload,
            timestamp: found.timestamp,
        }
    }

    fn session(&self, source: SourceKey) -> SessionId {
        self.subscription.receiver_ref().session(source).unwrap_or_default()
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
