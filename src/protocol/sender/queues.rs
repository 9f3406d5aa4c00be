//! The queues of repairs: one for all who share what is sent, and one for each receiver that hears a copy of its own.

use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::sender::receivers::Receivers;
use crate::protocol::sender::repair::Repairs;
use crate::protocol::sender::repair::Sent;
use crate::protocol::sender::repair::Wanted;
use crate::time::Time;
use crate::wire::ReceiverId;

/// The most receivers that have a queue of their own at the same time, up to 260 KiB each. Whoever asks beyond that is put
/// off until one of the others has what it asked for.
const OWN: usize = 64;
/// How many bytes go to one before the next has its turn: what one send carries.
const TURN: usize = 65_507;

/// All repairs that wait, and those just sent.
#[derive(Debug)]
pub(super) struct Queues {
    shared: Repairs,
    own: Vec<(ReceiverId, Repairs)>,
    /// Whose turn it is: 0 is the shared queue's, then come the others.
    turn: usize,
    /// Bytes sent in this turn.
    spent: usize,
}

impl Queues {
    pub(super) const fn new() -> Self {
        Self { shared: Repairs::new(), own: Vec::new(), turn: 0, spent: 0 }
    }

    /// The queue of `receiver`, or else the one for all; `None` when too many have one.
    pub(super) fn of(&mut self, receiver: Option<ReceiverId>) -> Option<&mut Repairs> {
        let Some(receiver) = receiver else { return Some(&mut self.shared) };
        if let Some(at) = self.own.iter().position(|(id, _)| *id == receiver) {
            return self.own.get_mut(at).map(|(_, repairs)| repairs);
        }
        if self.own.len() >= OWN {
            self.own.retain(|(_, repairs)| !repairs.is_idle());
            (self.turn, self.spent) = (0, 0);
        }
        if self.own.len() >= OWN {
            return None;
        }
        self.own.push((receiver, Repairs::new()));
        self.own.last_mut().map(|(_, repairs)| repairs)
    }

    /// How many ranges wait.
    pub(super) fn len(&self) -> usize {
        self.shared.len() + self.own.iter().map(|(_, repairs)| repairs.len()).sum::<usize>()
    }

    /// When to look again for what is wanted but was not sent yet.
    pub(super) fn timeout(&self) -> Option<Time> {
        let own = self.own.iter().filter_map(|(_, repairs)| repairs.timeout());
        self.shared.timeout().into_iter().chain(own).min()
    }

    /// As [`Repairs::forget`], in each queue.
    pub(super) fn forget(&mut self, now: Time, kept: Duration, receivers: &mut Receivers) {
        self.shared.forget(now, kept, receivers);
        for (_, repairs) in &mut self.own {
            repairs.forget(now, kept, receivers);
        }
    }

    /// The next range to send again, as far as it lies before `sent`: of the queue whose turn it is, or of the next
    /// that has any.
    pub(super) fn first(&mut self, now: Time, sent: Offset) -> Option<(OffsetRange, Wanted)> {
        for _ in 0..=self.own.len() {
            if let Some(first) = self.current().first(now, sent) {
                return Some(first);
            }
            self.pass_on();
        }
        None
    }

    /// As [`Repairs::sent`], of what was shown last.
    pub(super) fn sent(&mut self, now: Time, covers: OffsetRange, bytes: usize) -> Option<Sent> {
        let sent = self.current().sent(now, covers);
        self.spent += bytes;
        if self.spent >= TURN {
            self.pass_on();
        }
        sent
    }

    /// As [`Repairs::refused`], of what was shown last.
    pub(super) fn refused(&mut self, oldest: Offset) -> Option<(OffsetRange, Wanted)> {
        self.current().refused(oldest)
    }

    fn current(&mut self) -> &mut Repairs {
        match self.turn.checked_sub(1).and_then(|at| self.own.get_mut(at)) {
            Some((_, repairs)) => repairs,
            None => &mut self.shared,
        }
    }

    fn pass_on(&mut self) {
        self.turn = if self.turn < self.own.len() { self.turn + 1 } else { 0 };
        self.spent = 0;
    }
}
