//! The connection of a subscriber, and what it says on it.

use core::mem::replace;
use core::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use crate::config::Start;
use crate::error::Error;
use crate::io::Clock;
use crate::io::Link;
use crate::offset::Offset;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::SubscriptionStats;
use crate::stats::SubscriberStats;
use crate::subscriber::topics;
use crate::time::Time;
use crate::wire::Head;
use crate::wire::Hello;
use crate::wire::HelloStart;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::StreamId;
use crate::wire::encode_hello;

/// What a subscriber asks for each time it is connected.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) stream: StreamId,
    pub(super) receiver: ReceiverId,
    pub(super) start: Start,
    pub(super) observer: bool,
    pub(super) topics: Vec<Vec<u8>>,
}

impl Wish {
    /// Writes the HELLO: from the start that the user chose, or from where it was in a session it followed. False when there
    /// are more topics than it can say.
    pub(super) fn write(&self, out: &mut Vec<u8>, followed: Option<(SessionId, Offset)>) -> bool {
        let (start, (session, base)) = match (followed, self.start) {
            (Some(place), _) => (HelloStart::At, place),
            (None, Start::Resume { session, offset }) => (HelloStart::At, (session, offset)),
            (None, Start::At(offset)) => (HelloStart::At, (SessionId::default(), offset)),
            (None, Start::Earliest) => (HelloStart::Earliest, Default::default()),
            (None, Start::Live) => (HelloStart::Live, Default::default()),
        };
        let head = Head { stream: self.stream, session, base, ..Head::default() };
        let hello = Hello::new(self.receiver, start).observing(self.observer);
        encode_hello(out, &head, &hello, &self.topics)
    }
}

/// Messages come in and reports leave over one connection, which is made again for as long as it takes.
pub(super) struct Stream {
    link: Link,
    wish: Wish,
    /// The source that came up last: a new connection goes on where it is.
    followed: Option<SourceKey>,
    /// Messages that could not be decoded so far.
    undecodable: u64,
    hello: Vec<u8>,
    /// It wants something else than the publisher was told last.
    is_rechosen: bool,
}

impl Stream {
    pub(super) const fn new(link: Link, wish: Wish) -> Self {
        Self { link, wish, followed: None, undecodable: 0, hello: Vec::new(), is_rechosen: false }
    }

    #[inline]
    pub(super) fn current(&self) -> &[u8] {
        self.link.current()
    }

    pub(super) fn next_message(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.link.next_message()
    }

    pub(super) fn judge(&mut self, stats: &SubscriptionStats) {
        if stats.undecodable != self.undecodable {
            self.undecodable = stats.undecodable;
            self.link.distrust();
        }
    }

    /// What was undecodable came by another line.
    pub(super) const fn overlook(&mut self, stats: &SubscriptionStats) {
        self.undecodable = stats.undecodable;
    }

    pub(super) fn fill(&mut self, now: Time) -> Result<bool, Error> {
        Ok(self.link.fill(now)?)
    }

    pub(super) fn glance(&mut self, now: Time) -> Result<bool, Error> {
        self.link.forget();
        self.fill(now)
    }

    pub(super) fn greet(&mut self, receiver: &Receiver) {
        if !self.link.is_mute() && !self.is_rechosen {
            return;
        }
        let place = |source| Some((receiver.session(source)?, receiver.next_wanted(source)?));
        if self.wish.write(&mut self.hello, self.followed.and_then(place)) {
            self.is_rechosen = !self.link.greet(&self.hello);
        }
    }

    /// Another HELLO follows; until it was heard, what was asked for before still comes.
    pub(super) fn set_topics(&mut self, topics: Vec<Vec<u8>>) -> Result<(), Error> {
        topics::check(&topics)?;
        let before = replace(&mut self.wish.topics, topics);
        if !self.wish.write(&mut self.hello, None) {
            let refused = replace(&mut self.wish.topics, before);
            return Err(topics::too_long(&refused));
        }
        self.is_rechosen = true;
        Ok(())
    }

    pub(super) const fn follow(&mut self, source: SourceKey) {
        self.followed = Some(source);
    }

    pub(super) const fn forget(&mut self) {
        self.link.forget();
    }

    pub(super) const fn is_surely_empty(&self) -> bool {
        self.link.is_surely_empty()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.link.next_timeout()
    }

    pub(super) fn send(&mut self, to: SocketAddr, message: &[u8]) {
        self.link.send(to, message);
    }

    pub(super) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        self.link.wait(deadline, clock).map_err(Error::system("waiting for messages"))
    }

    pub(super) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        self.link.arm(deadline, clock).map_err(Error::system("setting a timer"))
    }

    pub(super) fn stats(&self) -> SubscriberStats {
        let connection = self.link.stats();
        SubscriberStats { send_errors: connection.reports_left_out, connection, ..SubscriberStats::default() }
    }

    pub(super) fn receive_buffer(&self) -> (usize, usize) {
        self.link.receive_buffer()
    }
}

#[cfg(unix)]
impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
