//! The messages of a batch that need no decision each: the short way from the receive buffer to the user.

use crate::protocol::Book;
use crate::protocol::Subscription;
use crate::protocol::subscription::Found;
use crate::protocol::subscription::Place;
use crate::protocol::subscription::cursor::Cursor;
use crate::protocol::subscription::cursor::Whole;
use crate::wire::SessionId;

/// Messages in one piece that lie one behind the other in the batch being walked. Each counts as delivered when it is
/// taken, so a walk may be left anywhere.
#[derive(Debug)]
pub struct Run<'a> {
    session: SessionId,
    cursor: &'a mut Cursor,
    book: &'a mut Book,
    bytes: &'a [u8],
}

impl<'a> Run<'a> {
    /// The session of them all.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// When they were sent, if the publisher says so.
    #[must_use]
    pub const fn timestamp(&self) -> Option<u64> {
        self.cursor.timestamp()
    }

    #[inline]
    fn next_found(&mut self) -> Option<Found> {
        let whole = self.next()?;
        Some(self.cursor.found_whole(&whole))
    }
}

impl<'a> Iterator for Run<'a> {
    type Item = Whole<'a>;

    #[inline]
    fn next(&mut self) -> Option<Whole<'a>> {
        let whole = self.cursor.next_whole(self.bytes)?;
        self.book.delivered += 1;
        Some(whole)
    }
}

impl Subscription {
    /// The messages that may go straight to the user: none while anything else has to be looked at first, be it a
    /// topic, a newest message of each, or half a message before them. `bytes` are those of the datagram handed in
    /// last. What is left when the run ends, [`step`](Self::step) goes on with.
    #[inline]
    pub fn run<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Run<'a>> {
        let cursor = self.cursor.as_mut()?;
        if !self.topics.is_everything() || self.conflation.is_some() || self.incomplete.is_some() {
            return None;
        }
        let bytes = match cursor.place {
            Place::Held(slot) => self.store.bytes(slot),
            _ => bytes,
        };
        let session = self.receiver.session(cursor.source)?;
        let book = self.receiver.book_mut(cursor.source)?;
        Some(Run { session, cursor, book, bytes })
    }

    /// The next of [`run`](Self::run) alone, as numbers.
    #[inline]
    pub fn step_whole(&mut self, bytes: &[u8]) -> Option<Found> {
        self.run(bytes)?.next_found()
    }
}
