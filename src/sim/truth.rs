//! What was really published.

use std::rc::Rc;
use std::sync::Arc;

use crate::history::Ring;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::SessionId;

/// A message as it was published.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) range: OffsetRange,
    pub(super) topic: Rc<[u8]>,
    pub(super) payload: Rc<[u8]>,
    /// When it was published; it may have waited for its place in the ring.
    pub(super) at: Time,
}

/// Everything that one session published, and its ring.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) session: SessionId,
    pub(super) ring: Arc<Ring>,
    pub(super) messages: Vec<Message>,
    /// Its publisher is there, so that what the ring holds can be had.
    pub(super) is_alive: bool,
    /// Receivers that it has evicted or cut off.
    pub(super) evicted: Vec<ReceiverId>,
}

impl Published {
    /// The message that offset belongs to.
    pub(super) fn message(&self, offset: Offset) -> Option<&Message> {
        let index = self.messages.partition_point(|message| message.range.to <= offset);
        self.messages.get(index).filter(|message| message.range.contains(offset))
    }

    /// The messages that have anything in `range`.
    pub(super) fn within(&self, range: OffsetRange) -> impl Iterator<Item = &Message> {
        let first = self.messages.partition_point(|message| message.range.to <= range.from);
        self.messages.iter().skip(first).take_while(move |message| message.range.from < range.to)
    }

    /// The end of what was given an offset.
    pub(super) fn end(&self) -> Offset {
        self.messages.last().map_or(Offset::ZERO, |message| message.range.to)
    }
}

/// Everything that was published, session by session: a handful.
#[derive(Debug, Default)]
pub(super) struct Truth(Vec<Published>);

impl Truth {
    pub(super) fn open(&mut self, session: SessionId, ring: Arc<Ring>) {
        self.0.push(Published { session, ring, messages: Vec::new(), is_alive: true, evicted: Vec::new() });
    }

    pub(super) fn of(&self, session: SessionId) -> Option<&Published> {
        self.0.iter().rev().find(|published| published.session == session)
    }

    pub(super) fn add(&mut self, session: SessionId, message: Message) {
        if let Some(published) = self.0.iter_mut().rev().find(|published| published.session == session) {
            published.messages.push(message);
        }
    }

    /// The publisher of `session` waits for `receiver` no more, and repairs nothing for it.
    pub(super) fn evict(&mut self, session: SessionId, receiver: ReceiverId) {
        if let Some(published) = self.0.iter_mut().find(|published| published.session == session) {
            published.evicted.push(receiver);
        }
    }

    /// The publisher of `session` is gone.
    pub(super) fn close(&mut self, session: SessionId) {
        self.0
            .iter_mut()
            .filter(|published| published.session == session)
            .for_each(|one| one.is_alive = false);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Published> {
        self.0.iter()
    }
}
