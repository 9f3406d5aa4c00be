//! The newest message of each topic, for a subscriber that wants the present and not every step to it.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::protocol::SourceKey;
use crate::protocol::subscription::Found;
use crate::protocol::subscription::Place;

/// A message kept until the user takes it.
#[derive(Debug)]
struct Kept {
    found: Found,
    payload: Vec<u8>,
}

/// The source, in its first bytes, and the topic.
type Name = Box<[u8]>;

/// Bytes of the source in a name.
const SOURCE_BYTES: usize = size_of::<SourceKey>();

/// A bounded map, oldest topic first. A message that replaces another allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Conflation {
    most: usize,
    kept: HashMap<Name, Kept>,
    order: VecDeque<Name>,
    /// The name looked up last.
    name: Vec<u8>,
    /// Name and payload of the message lent last.
    lent: (Name, Vec<u8>),
}

impl Conflation {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), ..Self::default() }
    }

    /// Whether a message of `topic` finds no place before another topic is taken.
    pub(super) fn must_make_room(&mut self, source: SourceKey, topic: &[u8]) -> bool {
        self.set_name(source, topic);
        self.kept.len() >= self.most && !self.kept.contains_key(self.name.as_slice())
    }

    /// Keeps a message as the newest of its topic; gives the one it replaces, or itself when it is the older one.
    pub(super) fn put(&mut self, found: Found, topic: &[u8], payload: &[u8]) -> Option<Found> {
        self.set_name(found.source, topic);
        if let Some(old) = self.kept.get_mut(self.name.as_slice()) {
            if old.found.range.from > found.range.from {
                return Some(found);
            }
            old.payload.clear();
            old.payload.extend_from_slice(payload);
            return Some(core::mem::replace(&mut old.found, found));
        }
        let name: Name = self.name.as_slice().into();
        self.order.push_back(name.clone());
        self.kept.insert(name, Kept { found, payload: payload.to_vec() });
        None
    }

    /// Takes the message whose topic has waited longest; [`Conflation::message`] lends it.
    pub(super) fn pop(&mut self) -> Option<Found> {
        let name = self.order.pop_front()?;
        let kept = self.kept.remove(&name)?;
        self.lent = (name, kept.payload);
        Some(Found { place: Place::Conflated, ..kept.found })
    }

    /// Topic and payload of the message taken last.
    pub(super) fn message(&self) -> (&[u8], &[u8]) {
        (self.lent.0.get(SOURCE_BYTES..).unwrap_or_default(), &self.lent.1)
    }

    /// Bytes of the messages that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.iter().map(|(name, kept)| name.len() + kept.payload.len()).sum()
    }

    fn set_name(&mut self, source: SourceKey, topic: &[u8]) {
        self.name.clear();
        self.name.extend_from_slice(&source.0.to_le_bytes());
        self.name.extend_from_slice(topic);
    }
}
