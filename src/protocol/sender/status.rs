//! What a STATUS does: welcome the receiver, give it a place, move its position and the limit.

use crate::history::Ring;
use crate::offset::Offset;
use crate::protocol::sender::Destination;
use crate::protocol::sender::Origin;
use crate::protocol::sender::Receiver;
use crate::protocol::sender::Sender;
use crate::protocol::sender::SenderEvent;
use crate::protocol::sender::known_end;
use crate::protocol::sender::token::token;
use crate::time::Time;
use crate::wire;
use crate::wire::Kind;
use crate::wire::ReceiverId;
use crate::wire::Status;
use crate::wire::Token;
use crate::wire::Welcome;

impl Sender {
    /// A STATUS came, with the position that its header holds.
    pub(super) fn on_status(
        &mut self,
        now: Time,
        from: Origin,
        (next, status): (Offset, &Status),
        ring: &Ring,
    ) {
        self.stats.statuses += 1;
        let token = token(self.settings.secret, from.address, status.receiver());
        let proved = planted!(UnprovedCounted, true, status.token() == token);
        if !proved || status.time.get() != 0 {
            self.welcome(from, status, token);
        }
        if !proved {
            self.stats.statuses_unproved += 1;
        } else {
            self.on_proved(now, from, (next, status), ring);
        }
    }

    /// A STATUS came from an address that is proved.
    pub(super) fn on_proved(
        &mut self,
        now: Time,
        from: Origin,
        (next, status): (Offset, &Status),
        ring: &Ring,
    ) {
        let receiver = status.receiver();
        if status.has(Status::LEAVING) {
            self.let_go(from, receiver);
        } else if !self.may_join(from, receiver) {
            // Who hears nothing is not to be waited for.
            self.stats.joins_refused += 1;
            return;
        }
        if status.has(Status::OBSERVER) {
            self.stats.observers += 1;
            if !status.has(Status::LEAVING) {
                self.keep_joined(now, from, receiver);
            }
        } else if status.has(Status::LEAVING) {
            self.on_leaving(now, from, (next.min(known_end(ring)), status));
        } else if next > known_end(ring) {
            self.stats.statuses_refused += 1;
        } else if self.on_report(now, from, (next, status), ring) || self.is_connected(receiver) {
            // Who has a connection as well reports along that, and hears both.
            self.keep_joined(now, from, receiver);
        }
    }

    /// Answers a STATUS with the token for the address it came from: smaller than the STATUS, and one for one.
    pub(super) fn welcome(&mut self, from: Origin, status: &Status, token: Token) {
        let head = self.head();
        let welcome = Welcome { receiver: status.receiver, token: token.0.into(), echo: status.time };
        let encode = |out: &mut Vec<u8>| wire::encode_welcome(out, &head, &welcome);
        if !self.outbox.push(Destination::Peer(from), Kind::Welcome, encode) {
            self.stats.answers_dropped += 1;
        }
    }

    /// A receiver takes its leave, which only counts from where it was last heard.
    fn on_leaving(&mut self, now: Time, from: Origin, (next, status): (Offset, &Status)) {
        let (receiver, from) = (status.receiver(), from.address);
        if self.receivers.get(receiver).is_none_or(|entry| entry.row.address != from || entry.is_attached()) {
            self.stats.statuses_refused += 1;
            return;
        }
        let Some(mut gone) = self.receivers.remove(receiver) else { return };
        self.flow.on_grant(now, gone.counted_grant(), None, &self.receivers);
        if !gone.row.live {
            return;
        }
        if next >= gone.row.next {
            gone.take_over(status);
            gone.row.next = next;
        }
        self.tell(SenderEvent::ReceiverDown { receiver, address: from, leaving: true, last: gone.row });
    }

    /// A receiver whose address is proved says where it is; whether there is a place for it.
    fn on_report(
        &mut self,
        now: Time,
        Origin { address: from, line }: Origin,
        (next, status): (Offset, &Status),
        ring: &Ring,
    ) -> bool {
        let receiver = status.receiver();
        if self.is_connected(receiver) {
            self.stats.statuses_refused += 1;
            return false;
        }
        let is_new = self.receivers.get(receiver).is_none();
        if is_new && !self.receivers.enter(Receiver::new(receiver, from, now), self.live_for()) {
            self.stats.receivers_refused += 1;
            return false;
        }
        let (held_for, holding) = (self.flow.held_for(now), self.flow.holding());
        let Some(entry) = self.receivers.get_mut(receiver) else { return false };
        let was = entry.counted_grant().filter(|_| !is_new);
        let (is_up, held_it) = (is_new || !entry.row.live, entry.holds(holding));
        entry.hear(now, from);
        (entry.row.stream, entry.line) = (false, line);
        if next < entry.row.next {
            self.stats.statuses_stale += 1;
        } else {
            entry.take_over(status);
            // One that has everything cannot move; it is not stuck, unless its window is what holds the publisher.
            let idles = next >= ring.sent() && !held_it;
            if is_new || next > entry.row.next || idles || entry.row.evicted {
                entry.held_mark = held_for;
            }
            entry.row.next = next;
            if status.has(Status::FETCHING) {
                entry.take_ring(ring);
            } else {
                entry.take_window(u64::from(status.window.get()), ring);
            }
        }
        let (is, rtt, slow) = (entry.counted_grant(), entry.row.rtt, entry.turns_slow());
        self.flow.on_grant(now, was, is, &self.receivers);
        if let Some(rtt) = rtt {
            self.grtt.sample(now, rtt);
        }
        if is_up {
            self.tell(SenderEvent::ReceiverUp { receiver, address: from });
        }
        if slow {
            let behind = ring.sent().since(next);
            self.tell(SenderEvent::ReceiverSlow { receiver, address: from, behind });
        }
        true
    }

    fn is_connected(&self, receiver: ReceiverId) -> bool {
        self.receivers.get(receiver).is_some_and(Receiver::is_attached)
    }
}
