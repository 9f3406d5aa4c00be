//! A receiver and its bytes: datagrams in, steps out.

mod assembler;
mod conflation;
mod cursor;
mod run;
mod steps;
mod store;

#[cfg(test)]
mod tests;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::DownReason;
use crate::protocol::LostReason;
use crate::protocol::Origin;
use crate::protocol::Prefixes;
use crate::protocol::Ready;
use crate::protocol::Receiver;
use crate::protocol::ReceiverSettings;
use crate::protocol::SourceKey;
use crate::protocol::Up;
use crate::protocol::Verdict;
use crate::protocol::subscription::assembler::Assembler;
use crate::protocol::subscription::conflation::Conflation;
use crate::protocol::subscription::cursor::Cursor;
use crate::protocol::subscription::store::Store;
use crate::time::Time;
use crate::wire::Datagram;
use crate::wire::DecodeError;
use crate::wire::HEADER_BYTES;

pub use cursor::Whole;
pub use run::Run;

/// Settings of a [`Subscription`].
#[derive(Debug, Clone)]
pub struct SubscriptionSettings {
    /// Those of its receiver.
    pub receiver: ReceiverSettings,
    /// Only topics that begin with one of these; all, when there is none.
    pub topics: Vec<Vec<u8>>,
    /// Keep only the newest message of each topic, for at most so many topics.
    pub conflate: Option<usize>,
    /// The most bytes of fragments kept for each source. 16 MiB and a little, the longest message.
    pub fragments: usize,
}

impl SubscriptionSettings {
    /// Every topic, every message.
    #[must_use]
    pub const fn new(receiver: ReceiverSettings) -> Self {
        Self { receiver, topics: Vec::new(), conflate: None, fragments: (16 << 20) + 512 }
    }
}

/// Where the bytes of a message lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the datagram handed in last.
    Datagram,
    /// In a held batch.
    Held(u32),
    /// Put together from fragments of this source.
    Assembled,
    /// Among the newest of each topic.
    Conflated,
}

/// A message, as numbers: where it lies, and whose it is. [`Subscription::message`] lends its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its source.
    pub source: SourceKey,
    /// Its offsets: one, or one for each fragment.
    pub range: OffsetRange,
    /// When its batch was sent, in nanoseconds since the Unix epoch, if the publisher says so.
    pub timestamp: Option<u64>,
    place: Place,
    topic: (usize, usize),
    payload: (usize, usize),
}

/// Offsets lost with a part of their message, not told yet.
#[derive(Debug, Clone, Copy)]
struct Incomplete {
    source: SourceKey,
    range: OffsetRange,
    is_ended: bool,
}

/// What a subscription has for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A message.
    Message(Found),
    /// Offsets that will not come.
    Lost {
        /// Whose.
        source: SourceKey,
        /// Which.
        range: OffsetRange,
        /// Why.
        reason: LostReason,
    },
    /// A source came up.
    Up(Up),
    /// A source is down.
    Down {
        /// Which.
        source: SourceKey,
        /// Why.
        reason: DownReason,
        /// The end of what it was heard to have sent.
        heard: Offset,
    },
    /// Nothing until another datagram is handed in, or time passes.
    Need,
}

/// Counters of what never reached the receiver machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionStats {
    /// Datagrams that are not ours, or damaged.
    pub undecodable: u64,
    /// Of these, datagrams of a version not spoken here.
    pub other_version: u64,
}

/// One subscriber without its sockets.
///
/// The loop: hand in a datagram, take steps until [`Step::Need`], hand in the next. The bytes of the datagram handed
/// in last must be shown again at each step, since messages are lent from them.
#[derive(Debug)]
pub struct Subscription {
    receiver: Receiver,
    topics: Prefixes,
    fragments: usize,
    store: Store,
    assemblers: Vec<Assembler>,
    conflation: Option<Conflation>,
    /// The batch that is being walked.
    cursor: Option<Cursor>,
    /// The datagram handed in last, when something has to be told before it.
    fresh: Option<Cursor>,
    incomplete: Option<Incomplete>,
    /// What the receiver had ready, but something else has to be told before it.
    put_off: Option<(SourceKey, Ready)>,
    stats: SubscriptionStats,
}

impl Subscription {
    /// A subscription that has heard nobody yet.
    #[must_use]
    pub fn new(settings: SubscriptionSettings) -> Self {
        Self {
            receiver: Receiver::new(settings.receiver),
            topics: Prefixes::new(settings.topics),
            fragments: settings.fragments,
            store: Store::default(),
            assemblers: Vec::new(),
            conflation: settings.conflate.map(Conflation::new),
            cursor: None,
            fresh: None,
            incomplete: None,
            put_off: None,
            stats: SubscriptionStats::default(),
        }
    }

    /// The receiver: its timers, what it wants to send, its numbers.
    pub fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// The receiver, to look at.
    #[must_use]
    pub const fn receiver_ref(&self) -> &Receiver {
        &self.receiver
    }

    /// Only topics that begin with one of `prefixes` are handed on from now on.
    pub fn set_topics(&mut self, prefixes: Prefixes) {
        self.topics = prefixes;
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &SubscriptionStats {
        &self.stats
    }

    /// Bytes kept now, beside what does not change: buffers of early batches, fragments, the newest of each topic.
    #[must_use]
    pub fn memory(&self) -> usize {
        let fragments: usize = self.assemblers.iter().map(Assembler::kept_bytes).sum();
        let newest = self.conflation.as_ref().map_or(0, Conflation::kept_bytes);
        self.store.kept_bytes() + fragments + newest
    }

    /// Takes in a datagram that came from `origin`: an address alone stands for the only line. Only when the last step was
    /// [`Step::Need`].
    #[inline]
    pub fn handle_datagram(&mut self, now: Time, origin: impl Into<Origin>, bytes: &[u8]) {
        self.on_datagram(now, &origin.into(), bytes);
    }

    fn on_datagram(&mut self, now: Time, origin: &Origin, bytes: &[u8]) {
        let is_done = self.cursor.is_none() && self.fresh.is_none();
        debug_assert!(is_done, "a datagram came before the one before it was handed on");
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(error) => return self.on_undecodable(error),
        };
        let end = HEADER_BYTES + datagram.header.length();
        let verdict = self.receiver.on_datagram(now, origin, &datagram, end);
        self.take(now, verdict, (&datagram, bytes));
    }

    /// Takes in what came over the connection that brings the history of `source`; whether it was a message at all. Only
    /// when the last step was [`Step::Need`].
    pub fn handle_history(&mut self, now: Time, source: SourceKey, bytes: &[u8]) -> bool {
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(error) => {
                self.on_undecodable(error);
                return false;
            }
        };
        let end = HEADER_BYTES + datagram.header.length();
        let verdict = self.receiver.handle_history(now, source, &datagram, end);
        self.take(now, verdict, (&datagram, bytes));
        true
    }

    fn take(&mut self, now: Time, verdict: Verdict, (datagram, bytes): (&Datagram<'_>, &[u8])) {
        let header = datagram.header;
        let end = HEADER_BYTES + header.length();
        match verdict {
            Verdict::Deliver { source, take } => {
                self.fresh = Some(Cursor::new(source, Place::Datagram, datagram, take));
            }
            Verdict::Hold { source } => {
                let cursor = Cursor::new(source, Place::Datagram, datagram, header.range());
                let slot = self.store.keep(bytes.get(..end).unwrap_or(bytes), cursor);
                self.receiver.hold(now, source, header, (slot, end));
            }
            Verdict::Duplicate | Verdict::Refused | Verdict::Done => {}
        }
    }

    const fn on_undecodable(&mut self, error: DecodeError) {
        self.stats.undecodable += 1;
        if matches!(error, DecodeError::Version(_)) {
            self.stats.other_version += 1;
        }
    }

    /// The next thing for the user; `bytes` are those of the datagram handed in last.
    pub fn step(&mut self, now: Time, bytes: &[u8]) -> Step {
        loop {
            if let Some(found) = self.step_whole(bytes) {
                return Step::Message(found);
            }
            let step = match self.cursor {
                Some(cursor) => self.walk(cursor, now, bytes),
                None => self.go_on(),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// The newest of each topic that were kept back, oldest topic first, once no datagram waits any more.
    pub fn step_conflated(&mut self) -> Option<Step> {
        let found = self.conflation.as_mut()?.pop()?;
        Some(self.deliver(found))
    }

    /// Topic and payload of a message; `bytes` are those of the datagram handed in last.
    #[must_use]
    pub fn message<'a>(&'a self, found: &Found, bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let from = match found.place {
            Place::Datagram => bytes,
            Place::Held(slot) => self.store.bytes(slot),
            Place::Assembled => {
                let assembler = self.assemblers.get(usize::from(found.source.0));
                return assembler.map_or((&[], &[]), Assembler::message);
            }
            Place::Conflated => return self.conflation.as_ref().map_or((&[], &[]), Conflation::message),
        };
        let part = |(start, end): (usize, usize)| from.get(start..end).unwrap_or_default();
        (part(found.topic), part(found.payload))
    }
}
