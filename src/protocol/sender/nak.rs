//! What a NAK does: queue repairs, refuse what is gone, put off what the budget does not bear.

use core::time::Duration;

use crate::history::Ring;
use crate::offset::OffsetRange;
use crate::protocol::sender::Destination;
use crate::protocol::sender::FlowPolicy;
use crate::protocol::sender::LineKind;
use crate::protocol::sender::Origin;
use crate::protocol::sender::Sender;
use crate::protocol::sender::SenderEvent;
use crate::protocol::sender::budget::Price;
use crate::protocol::sender::budget::SPAN;
use crate::protocol::sender::joined::OUT;
use crate::protocol::sender::known_end;
use crate::protocol::sender::repair::Piece;
use crate::protocol::sender::repair::REMEMBERED_FOR;
use crate::protocol::sender::repair::Wanted;
use crate::protocol::sender::token::token;
use crate::time::Time;
use crate::wire;
use crate::wire::GONE_ENTRIES;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;
use crate::wire::HEADER_BYTES;
use crate::wire::Kind;
use crate::wire::Nak;
use crate::wire::RANGES;
use crate::wire::RangeEntry;
use crate::wire::ReceiverId;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    receiver: ReceiverId,
    /// The one address that answers may go to; `None` when it is not proved.
    proved: Option<Origin>,
    /// The receiver, if it is in the table, too.
    known: Option<ReceiverId>,
    /// The receiver, if it hears a copy of its own: nobody else has any use for what it asks for.
    apart: Option<ReceiverId>,
    /// Where its repairs go, as long as nobody else asks for the same.
    to: Destination,
    reason: GoneReason,
    /// All it asks for is refused.
    is_cut_off: bool,
}

impl Sender {
    /// A NAK came.
    pub(super) fn on_nak(
        &mut self,
        now: Time,
        from: Origin,
        (nak, ranges): (&Nak, &[RangeEntry]),
        ring: &Ring,
    ) {
        self.stats.naks += 1;
        self.stats.ranges += ranges.len() as u64;
        self.repairs.forget(now, self.grtt.at(now) * REMEMBERED_FOR, &mut self.receivers);
        let asker = self.asker(now, from, nak);
        let is_apart = self.settings.kind(from.line) != LineKind::Shared;
        if is_apart && asker.proved.is_none() {
            // Along such a line there is nobody whom an answer could be sent to unasked.
            self.stats.ranges_shed_silently += ranges.len() as u64;
            return;
        }
        let held = OffsetRange::new(ring.oldest(), known_end(ring));
        let trip = self.round_trip(now, &asker);
        self.pieces.clear();
        self.gone.clear();
        let served_from = if asker.is_cut_off { held.to } else { held.from };
        for range in ranges.iter().map(RangeEntry::range) {
            let (lost, rest) = range.split(served_from);
            if !lost.is_empty() {
                self.gone.push(GoneEntry::new(lost, asker.reason));
            }
            self.screen(rest, held, (&asker, now, trip));
        }
        if asker.proved.is_some() || self.gone.is_empty() || self.may_refuse_anybody(now) {
            self.send_gone(asker.proved);
        }
        self.admit(now, &asker, ring);
    }

    /// Whether the budget bears that the group is told what is gone: forged NAKs must not make us shout.
    fn may_refuse_anybody(&mut self, now: Time) -> bool {
        let datagrams = self.gone.len().div_ceil(GONE_ENTRIES);
        let bytes = datagrams * HEADER_BYTES + self.gone.len() * size_of::<GoneEntry>();
        let bears = self.budget.room(now, None, false, 0) >= bytes as u64;
        if bears {
            self.budget.book(None, bytes as u64, false);
        } else {
            self.stats.refusals_withheld += self.gone.len() as u64;
        }
        bears
    }

    fn asker(&mut self, now: Time, from: Origin, nak: &Nak) -> Asker {
        let receiver = nak.receiver();
        let proved = nak.token() == token(self.settings.secret, from.address, receiver);
        let proved = planted!(TokenUnchecked, true, proved);
        let mut asker = Asker {
            receiver,
            proved: None,
            known: None,
            apart: None,
            to: Destination::Group,
            reason: GoneReason::Overrun,
            is_cut_off: false,
        };
        if !proved {
            self.stats.naks_unproved += 1;
            return asker;
        }
        asker.proved = Some(from);
        if self.settings.kind(from.line) != LineKind::Shared {
            (asker.apart, asker.to) = (Some(receiver), Destination::Peer(from));
            self.joined.hear(now, receiver, from);
        }
        let Some(entry) = self.receivers.get_mut(receiver) else { return asker };
        if entry.row.live && entry.row.address == from.address {
            entry.heard = now;
        }
        asker.known = Some(receiver);
        if entry.row.evicted {
            asker.reason = GoneReason::Evicted;
        }
        asker.is_cut_off = entry.cut_off;
        if entry.is_alone() && !self.settings.unicast {
            asker.to = Destination::Peer(from);
        }
        asker
    }

    /// How long a repair takes to reach the asker, and its NAK to come here: its own round trip; before it is known,
    /// the group's.
    fn round_trip(&self, now: Time, asker: &Asker) -> Duration {
        let own = asker.known.and_then(|known| self.receivers.get(known)?.row.rtt);
        own.map_or(self.grtt.at(now), |own| own.min(self.grtt.at(now)))
    }

    /// Clips a range to what is held, and keeps the pieces of it that are new.
    fn screen(
        &mut self,
        range: OffsetRange,
        held: OffsetRange,
        (asker, now, trip): (&Asker, Time, Duration),
    ) {
        let want = range.clip(held);
        self.stats.ranges_beyond += u64::from(want.len() < range.len());
        if want.is_empty() {
            return;
        }
        let Some(repairs) = self.repairs.of(asker.apart) else {
            self.pieces.push(Piece { range: want, shared: false });
            return;
        };
        let asker = (asker.apart.or(asker.known), now, trip);
        let screened = repairs.screen(want, asker, &mut self.receivers, &mut self.pieces);
        self.stats.naks_ignored += u64::from(screened.ignored);
        self.stats.ranges_joined += u64::from(screened.joined);
    }

    /// Queues the pieces, oldest first, as far as budget, share and queue go, and puts off the rest.
    fn admit(&mut self, now: Time, asker: &Asker, ring: &Ring) {
        if self.pieces.is_empty() {
            return;
        }
        self.price = Price::of(ring, self.first);
        // Whoever has not proved its address gets no more than the budget, however idle the wire: a forged NAK must
        // not make us send the whole ring.
        let (price, free) = (self.price, self.is_free(now) && asker.proved.is_some());
        let mut room = self.budget.room(now, asker.known, free, price.batch);
        let mut booked = 0_u64;
        self.shed.clear();
        let mut repairs = self.repairs.of(asker.apart);
        for piece in &self.pieces {
            let queue = repairs.as_mut().filter(|repairs| repairs.has_room());
            let count = if queue.is_some() { price.affordable(piece.range, room) } else { 0 };
            let (part, later) = piece.range.split(piece.range.from.plus(count));
            if let Some(queue) = queue.filter(|_| !part.is_empty()) {
                let bytes = price.estimate(part).min(room);
                (room, booked) = (room - bytes, booked.saturating_add(bytes));
                let alone = Wanted { to: asker.to, asker: asker.known };
                let shared = Wanted { to: Destination::Group, asker: None };
                queue.push(part, if piece.shared { shared } else { alone });
            }
            if !later.is_empty() {
                self.shed.push(RangeEntry::new(later));
            }
        }
        self.budget.book(asker.known, booked, free);
        self.send_shed(now, asker);
        self.mind_crying(now, asker.known);
    }

    /// Cuts a receiver off that always asks for more than its share and falls behind all the same: under a policy that
    /// waits for nobody's sake, the repairs that it cannot use would only take the wire from the others.
    fn mind_crying(&mut self, now: Time, asker: Option<ReceiverId>) {
        let put_off = !self.shed.is_empty();
        let Some(entry) = asker.and_then(|asker| self.receivers.get_mut(asker)) else { return };
        if !entry.cries(now, put_off) || matches!(self.settings.policy, FlowPolicy::Block { .. }) {
            return;
        }
        let was = entry.counted_grant();
        (entry.row.evicted, entry.cut_off) = (true, true);
        entry.out_until = now + OUT;
        let (receiver, address, next) = (entry.row.receiver, entry.row.address, entry.row.next);
        self.flow.on_grant(now, was, None, &self.receivers);
        self.joined.remove(receiver);
        self.tell(SenderEvent::ReceiverCutOff { receiver, address, next });
    }

    /// Whether no data want the wire: the publisher is idle, held, or was held just now, so that its subscribers are
    /// what bounds it.
    pub(super) fn is_free(&self, now: Time) -> bool {
        self.flow.was_held_within(now, SPAN) || self.budget.is_idle(now)
    }

    /// Tells the asker what is gone; the group, when the asker's address is not proved.
    pub(super) fn send_gone(&mut self, proved: Option<Origin>) {
        let head = self.head();
        let to = proved.map_or(Destination::Group, Destination::Peer);
        for entries in self.gone.chunks(GONE_ENTRIES) {
            for entry in entries {
                match entry.reason() {
                    Some(GoneReason::Evicted) => self.stats.gone_evicted += 1,
                    _ => self.stats.gone_overrun += 1,
                }
            }
            let encode = |out: &mut Vec<u8>| wire::encode_gone(out, &head, entries);
            if !self.outbox.push(to, Kind::Gone, encode) {
                self.stats.answers_dropped += 1;
            }
        }
    }

    /// Tells the asker what is put off, and for how long; nobody, when its address is not proved.
    fn send_shed(&mut self, now: Time, asker: &Asker) {
        self.stats.ranges_shed += self.shed.len() as u64;
        let Some(proved) = asker.proved else {
            self.stats.ranges_shed_silently += self.shed.len() as u64;
            return;
        };
        if self.shed.is_empty() {
            return;
        }
        let wait = self.budget.refilled_in(now, asker.known, self.is_free(now)).max(self.grtt.at(now));
        let wait_us = u32::try_from(wait.as_micros()).unwrap_or(u32::MAX);
        let head = self.head();
        for ranges in self.shed.chunks(RANGES) {
            let encode = |out: &mut Vec<u8>| wire::encode_shed(out, &head, asker.receiver, wait_us, ranges);
            if !self.outbox.push(Destination::Peer(proved), Kind::Shed, encode) {
                self.stats.answers_dropped += 1;
            }
        }
    }
}
