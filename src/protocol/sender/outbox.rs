//! Answers that wait to be sent: encoded once, oldest first, bounded, their buffers used again.

use std::collections::VecDeque;

use crate::protocol::sender::Destination;
use crate::wire::Kind;

/// The most answers that wait. The largest is 1.3 KB, so this is at most 660 KB; a socket that takes none for so long
/// is worse off than a receiver that asks again.
const MOST: usize = 512;

/// Encoded datagrams, ready to leave.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(Destination, Kind, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Outbox {
    /// Adds what `encode` writes; false, and nothing is added, when too many wait.
    pub(super) fn push(&mut self, to: Destination, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.waiting.len() >= MOST {
            return false;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        encode(&mut bytes);
        self.waiting.push_back((to, kind, bytes));
        true
    }

    pub(super) fn first(&self) -> Option<(Destination, &[u8])> {
        self.waiting.front().map(|(to, _, bytes)| (*to, bytes.as_slice()))
    }

    /// Forgets the first one, which was sent, and says what it was.
    pub(super) fn pop(&mut self) -> Option<Kind> {
        let (_, kind, bytes) = self.waiting.pop_front()?;
        self.spare.push(bytes);
        Some(kind)
    }
}
