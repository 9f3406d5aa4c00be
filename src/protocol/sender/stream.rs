//! Receivers behind a connection: what they have taken is known, not told.

use core::net::SocketAddr;

use crate::history::Ring;
use crate::offset::Offset;
use crate::protocol::FlowPolicy;
use crate::protocol::ReceiverRow;
use crate::protocol::sender::Receiver;
use crate::protocol::sender::Sender;
use crate::protocol::sender::SenderEvent;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::Status;

/// A receiver on one connection. The address tells the connection it came back on from the one that it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamReceiver {
    /// Who.
    pub receiver: ReceiverId,
    /// The other end of its connection.
    pub address: SocketAddr,
}

impl Sender {
    /// A connection begins that will bring its receiver everything from `next` on, as far as the ring holds it. False
    /// when the table has no place.
    ///
    /// One that is in the table already goes on there, and whatever connection it had is no longer
    /// [attached](Self::is_attached). From now on it never falls silent, until it is [detached](Self::detach).
    pub fn attach(&mut self, now: Time, who: StreamReceiver, next: Offset, ring: &Ring) -> bool {
        let StreamReceiver { receiver, address } = who;
        let is_new = self.receivers.get(receiver).is_none();
        if is_new && !self.receivers.enter(Receiver::new(receiver, address, now), self.live_for()) {
            self.stats.receivers_refused += 1;
            return false;
        }
        let held_for = self.flow.held_for(now);
        let Some(entry) = self.receivers.get_mut(receiver) else { return false };
        let was = entry.counted_grant().filter(|_| !is_new);
        let is_up = is_new || !entry.row.live;
        entry.hear(now, address);
        entry.attach(next.min(ring.sent()));
        let held = next.max(ring.oldest());
        entry.take_cursor(ring.charge_held(held).unwrap_or_else(|| ring.charge_sent()), ring);
        entry.held_mark = held_for;
        let is = entry.counted_grant();
        self.flow.on_grant(now, was, is, &self.receivers);
        if is_up {
            self.tell(SenderEvent::ReceiverUp { receiver, address });
        }
        true
    }

    /// Everything up to where the session came to `taken` in [charge](crate::history::LentBatch::charge) was handed to
    /// the connection.
    pub fn progress(&mut self, now: Time, who: StreamReceiver, taken: u64, ring: &Ring) {
        let held_for = self.flow.held_for(now);
        let Some(entry) = self.receivers.attached_mut(who) else { return };
        let was = entry.counted_grant();
        if entry.take_cursor(taken, ring) {
            entry.held_mark = held_for;
        }
        let is = entry.counted_grant();
        self.flow.on_grant(now, was, is, &self.receivers);
        self.tell_if_slow(who, ring);
    }

    /// A STATUS came over the connection, with the position that its header holds: what the receiver has confirmed. The
    /// connection is the proof of its address.
    pub fn report_stream(
        &mut self,
        now: Time,
        who: StreamReceiver,
        (next, status): (Offset, &Status),
        ring: &Ring,
    ) {
        self.stats.statuses += 1;
        let (held_for, holding) = (self.flow.held_for(now), self.flow.holding());
        let entry = self.receivers.attached_mut(who).filter(|_| status.receiver() == who.receiver);
        let Some(entry) = entry.filter(|_| next <= ring.sent()) else {
            self.stats.statuses_refused += 1;
            return;
        };
        if status.has(Status::OBSERVER) {
            self.stats.observers += 1;
            return;
        }
        if next < entry.row.next {
            self.stats.statuses_stale += 1;
        } else {
            entry.take_over(status);
            entry.row.next = next;
        }
        entry.heard = now;
        // One that was handed everything cannot move; it is not stuck.
        if entry.has_all(ring) && !entry.holds(holding) {
            entry.held_mark = held_for;
        }
        if status.has(Status::LEAVING) {
            self.detach(now, who, true);
        } else {
            self.tell_if_slow(who, ring);
        }
    }

    /// The connection is gone. A receiver that has not said that it leaves keeps its place for as long as one that
    /// falls silent, so that it may come back and find that the publisher has waited.
    pub fn detach(&mut self, now: Time, who: StreamReceiver, leaving: bool) {
        let live_for = self.live_for();
        if !leaving {
            self.receivers.detach(now, who, live_for);
        } else if let Some(last) = self.take_out(now, who) {
            let StreamReceiver { receiver, address } = who;
            self.tell(SenderEvent::ReceiverDown { receiver, address, leaving, last });
        }
    }

    /// The ring has gone on without a connection that is slow: its cursor lies before what is held. True when that
    /// is the end of it ([`FlowPolicy::Disconnect`]): close it. Otherwise it goes on from the oldest offset held.
    pub fn handle_overrun(&mut self, now: Time, who: StreamReceiver) -> bool {
        if !matches!(self.settings.policy, FlowPolicy::Disconnect { .. }) {
            return false;
        }
        if let Some(last) = self.take_out(now, who) {
            let StreamReceiver { receiver, address } = who;
            self.tell(SenderEvent::ReceiverEvicted { receiver, address, next: last.next });
        }
        true
    }

    /// Whether this is the connection of its receiver: not of one that left or was cut off, or came back on another.
    #[must_use]
    pub fn is_attached(&self, who: StreamReceiver) -> bool {
        self.attached(who).is_some()
    }

    /// Whether the receiver has used up the publisher's patience on this connection: close it.
    #[must_use]
    pub fn is_evicted(&self, who: StreamReceiver) -> bool {
        self.attached(who).is_some_and(|entry| entry.cast_off)
    }

    /// What the receiver last said of itself.
    #[must_use]
    pub fn row(&self, receiver: ReceiverId) -> Option<&ReceiverRow> {
        self.receivers.get(receiver).map(|entry| &entry.row)
    }

    /// How many live receivers hear datagrams, and so are the group; [`Sender::live`] counts those behind a connection,
    /// too.
    #[must_use]
    pub fn group_size(&self) -> usize {
        self.receivers.group_size()
    }

    fn attached(&self, who: StreamReceiver) -> Option<&Receiver> {
        self.receivers.get(who.receiver).filter(|entry| entry.is_attached_at(who.address))
    }

    /// Takes an attached receiver out of the table, and out of the way.
    fn take_out(&mut self, now: Time, who: StreamReceiver) -> Option<ReceiverRow> {
        self.attached(who)?;
        let gone = self.receivers.remove(who.receiver)?;
        self.flow.on_grant(now, gone.counted_grant(), None, &self.receivers);
        Some(gone.row)
    }

    fn tell_if_slow(&mut self, who: StreamReceiver, ring: &Ring) {
        let StreamReceiver { receiver, address } = who;
        let Some(entry) = self.receivers.attached_mut(who) else { return };
        entry.look_behind(ring);
        if entry.turns_slow() {
            let behind = ring.sent().since(entry.row.next);
            self.tell(SenderEvent::ReceiverSlow { receiver, address, behind });
        }
    }
}
