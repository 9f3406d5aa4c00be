//! Publishing: messages in, datagrams out, and everything sent kept for whoever missed it.

mod attention;
mod background;
mod claim;
mod core;
mod engine;
mod fan;
mod lines;
mod lock;
mod open;
mod outlet;
mod parcel;
mod path;
mod shared;
mod streams;

use ::core::fmt;
use ::core::net::SocketAddr;
use ::core::sync::atomic::Ordering;
use ::core::time::Duration;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::config::FINISH_ON_DROP;
use crate::config::PublisherBuilder;
use crate::error::Error;
use crate::error::FinishError;
use crate::error::PublishError;
use crate::error::WaitError;
use crate::event::PublisherEvent;
use crate::history::Ring;
use crate::offset::Offset;
use crate::publisher::core::Core;
use crate::publisher::engine::Engine;
use crate::publisher::path::Path;
use crate::publisher::path::Wait;
use crate::publisher::streams::By;
use crate::publisher::streams::Carrier;
use crate::stats::LineStats;
use crate::stats::PublisherStats;
use crate::stats::ReceiverRow;
use crate::time::Time;
use crate::wire::FRAME_BYTES;
use crate::wire::SessionId;

pub use claim::Claim;
pub(crate) use open::random;
pub use shared::SharedPublisher;

/// Publishes numbered messages on one stream.
///
/// A message leaves at once; in a burst, messages are gathered by themselves into full datagrams and leave at the
/// latest after the linger (50 µs) while they keep coming, or at [`flush`](Self::flush). What was sent stays in the
/// ring and is sent again to whoever missed it, by one background thread.
///
/// Dropping it is [`finish`](Self::finish) with a second's patience.
///
/// ```
/// use nakcast::Publisher;
/// let mut publisher = Publisher::open("udp://239.192.7.1:4101?interface=lo")?;
/// let first = publisher.publish(b"greeting", b"hello")?;
/// assert_eq!(first.0, 0);
/// # publisher.abort();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher {
    core: Arc<Core>,
    path: Path,
    thread: Option<JoinHandle<()>>,
    session: SessionId,
    /// How it ended, once it has.
    ended: Option<Result<(), FinishError>>,
}

/// How long the end of a stream that nobody has proved to hear waits for somebody.
const NEWCOMERS: Duration = Duration::from_millis(100);

impl Publisher {
    /// Opens a publisher with the defaults of [`PublisherBuilder`], over whatever the scheme of the URI names.
    ///
    /// # Errors
    ///
    /// As [`PublisherBuilder::open`].
    pub fn open(uri: &str) -> Result<Self, Error> {
        Self::builder().uri(uri).open()
    }

    /// Opens a publisher that subscribers connect to, at `tcp://ADDRESS:PORT`, with the defaults of [`PublisherBuilder`].
    ///
    /// # Errors
    ///
    /// As [`PublisherBuilder::open`].
    pub fn bind(uri: &str) -> Result<Self, Error> {
        Self::builder().tcp(uri).open()
    }

    /// A publisher with settings of its own; finish with [`PublisherBuilder::open`].
    pub fn builder() -> PublisherBuilder {
        PublisherBuilder::default()
    }

    /// Publishes a message and gives its offset. `topic` may be empty, and is at most 255 bytes.
    ///
    /// Waits while the subscribers' window is closed, as the [policy](crate::Policy) says. A message longer than a
    /// datagram takes several offsets, and the first is given. In a burst it costs a lock, a compare and a copy; alone, one
    /// system call.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; nothing was published.
    #[inline]
    pub fn publish(&mut self, topic: &[u8], payload: &[u8]) -> Result<Offset, PublishError> {
        match self.path.append(topic, payload) {
            Some(offset) => Ok(offset),
            None => self.path.publish(&self.core, (topic, payload), Wait::Forever),
        }
    }

    /// As [`publish`](Self::publish), but does not wait.
    ///
    /// # Errors
    ///
    /// [`PublishError::WouldBlock`] where `publish` would wait; a message of several fragments needs a window that
    /// admits all of it.
    #[inline]
    pub fn try_publish(&mut self, topic: &[u8], payload: &[u8]) -> Result<Offset, PublishError> {
        match self.path.append(topic, payload) {
            Some(offset) => Ok(offset),
            None => self.path.publish(&self.core, (topic, payload), Wait::Never),
        }
    }

    /// Room for a message of exactly `len` bytes, to be encoded in place; waits as [`publish`](Self::publish) does.
    ///
    /// # Errors
    ///
    /// [`PublishError::DoesNotFitDatagram`] for more than a datagram takes, and those of `publish`.
    pub fn claim(&mut self, topic: &[u8], len: usize) -> Result<Claim<'_>, PublishError> {
        self.path.check(topic, len)?;
        self.path.attend(&self.core);
        let most = self.path.room_beside(topic);
        if len > most {
            return Err(PublishError::DoesNotFitDatagram { bytes: len, most });
        }
        let leave = self.path.make_room(&self.core, FRAME_BYTES + topic.len() + len, Wait::Forever)?;
        let (mut open, departure) = self.path.split();
        if open.claim(topic, len).is_none() {
            // The background thread has sent the tail since room was made, so the message is the first again.
            if !open.has_room() && open.unsent().sizes.is_empty() {
                open.next_train();
            }
            open.set_limit(usize::MAX);
            if open.claim(topic, len).is_none() {
                return Err(PublishError::WouldBlock);
            }
        }
        Ok(Claim { core: &self.core, open, departure, leave, is_committed: false })
    }

    /// Sends everything published so far; returns when it has left.
    ///
    /// # Errors
    ///
    /// [`PublishError::Finished`].
    pub fn flush(&mut self) -> Result<(), PublishError> {
        if self.path.finished {
            return Err(PublishError::Finished);
        }
        let flushed = self.path.flush(&self.core, Wait::Forever);
        self.core.carry(By::Publisher);
        flushed
    }

    /// Waits until `count` subscribers are there, so that the first message finds them.
    ///
    /// # Errors
    ///
    /// [`WaitError`] when `timeout` has passed before.
    pub fn wait_for(&mut self, count: usize, timeout: Duration) -> Result<(), WaitError> {
        let deadline = self.core.clock.now() + timeout;
        let live = self.wait_until(deadline, |engine, _| engine.sender.live() >= count);
        if live {
            return Ok(());
        }
        let came = self.core.engine().sender.live();
        Err(WaitError { wanted: count, came, waited: timeout })
    }

    /// Ends the stream: sends what is left, tells the end, and serves repairs until every live subscriber has
    /// everything or `timeout` has passed. Nothing can be published after.
    ///
    /// Where no subscriber was ever there it waits 100 ms for one to come. What a closed window still holds back when the
    /// time is up is sent all the same, so that it can be repaired, or named as lost; subscribers then have 100 ms more to
    /// confirm it.
    ///
    /// # Errors
    ///
    /// [`FinishError`] names who has not confirmed everything.
    pub fn finish(&mut self, timeout: Duration) -> Result<(), FinishError> {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let started = self.core.clock.now();
        let deadline = self.path.flush_at_last(&self.core, started + timeout);
        self.path.finished = true;
        self.core.engine().sender.finish(self.core.clock.now());
        if let Some(carrier) = &self.core.carrier {
            carrier.finish();
        }
        self.core.wake();
        // Somebody who has only just heard of the stream is not live yet.
        let came = started + NEWCOMERS.min(timeout);
        let core = Arc::clone(&self.core);
        self.wait_until(deadline, |engine, ring| {
            let is_met = engine.sender.stats().receivers_up > 0 || core.clock.now() >= came;
            is_met && engine.sender.is_complete(ring) && core.is_settled()
        });
        let laggards = self.core.laggards();
        self.core.engine().sender.conclude(self.core.clock.now());
        self.core.wake();
        let farewell = self.core.clock.now() + Duration::from_millis(20);
        self.wait_until(farewell, |engine, _| engine.sender.is_over());
        self.stop();
        if let Some(carrier) = &self.core.carrier {
            carrier.close();
        }
        let ended = if laggards.is_empty() { Ok(()) } else { Err(FinishError { waited: timeout, laggards }) };
        self.ended = Some(ended.clone());
        ended
    }

    /// Ends without telling anybody: subscribers find the publisher silent. What waits to be sent is dropped.
    pub fn abort(mut self) {
        self.ended = Some(Ok(()));
        self.path.finished = true;
        self.stop();
    }

    /// What happened to subscribers since the last call, oldest first.
    pub fn events(&mut self) -> impl Iterator<Item = PublisherEvent> {
        let core = Arc::clone(&self.core);
        ::core::iter::from_fn(move || core.engine().sender.poll_event())
    }

    /// The single-threaded form's turn: takes in what came, does what is due. Gives when to call it again, at the
    /// latest.
    ///
    /// With a background thread there is nothing to do, and `None`.
    pub fn poll(&mut self) -> Option<Duration> {
        let next = self.path.driven.as_mut()?.turn(&self.core);
        Some(next.since(self.core.clock.now()))
    }

    /// A snapshot of the counters.
    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        self.core.stats()
    }

    /// A row for each subscriber that proved its address, as it last said of itself.
    #[must_use]
    pub fn receivers(&self) -> Vec<ReceiverRow> {
        self.core.engine().sender.receivers().collect()
    }

    /// The session: this life of the stream's numbering.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What each line has counted, in the order in which they were named; nothing for a publisher over TCP alone.
    #[must_use]
    pub fn lines(&self) -> Vec<LineStats> {
        self.core.socket.stats()
    }

    /// The address that datagrams leave from, and NAKs come to; of several lines, that of the [first](Self::lines); of a
    /// publisher over TCP alone, the address it listens at.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.core.socket.local_addr().unwrap_or(self.core.socket.to())
    }

    /// The address that subscribers connect to, of a publisher over TCP. Its port is what the system chose, if the URI
    /// said 0.
    #[must_use]
    pub fn stream_address(&self) -> Option<SocketAddr> {
        self.core.carrier.as_ref().map(Carrier::address)
    }

    /// Makes it one that several threads can publish through.
    #[must_use]
    pub fn share(self) -> SharedPublisher {
        SharedPublisher::new(self)
    }

    /// Waits until `done`, looking whenever the machine was served; whether it came true before `deadline`.
    fn wait_until(&mut self, deadline: Time, done: impl Fn(&Engine, &Ring) -> bool) -> bool {
        let spin_until = self.core.clock.now() + self.path.waiting.spin(Duration::ZERO);
        loop {
            let engine = self.core.engine();
            if done(&engine, &self.core.ring) {
                return true;
            }
            let now = self.core.clock.now();
            if now >= deadline {
                return false;
            }
            let spins = now < spin_until;
            match &mut self.path.driven {
                None if spins => {
                    self.core.stay_attended(now);
                    drop(self.core.serve(engine, now));
                }
                None => {
                    self.core.hand_over();
                    drop(self.core.wait_served(engine, deadline, now));
                }
                Some(driven) => {
                    drop(engine);
                    let next = driven.turn(&self.core).min(deadline);
                    if !spins {
                        driven.wait(next, &self.core);
                    }
                }
            }
        }
    }

    fn stop(&mut self) {
        self.core.stop.store(true, Ordering::Release);
        self.core.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the publisher's background thread panicked");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Err(error) = self.finish(FINISH_ON_DROP) {
            tracing::warn!(%error, "dropped a publisher");
        }
        self.stop();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = &self.session;
        f.debug_struct("Publisher")
            .field("session", session)
            .field("to", &self.core.socket.to())
            .finish_non_exhaustive()
    }
}
