//! What leaves: heartbeats, answers, repairs, in this order.

use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::history::Ring;
use crate::offset::Offset;
use crate::protocol::sender::Destination;
use crate::protocol::sender::FlowPolicy;
use crate::protocol::sender::Receiver;
use crate::protocol::sender::RepairSent;
use crate::protocol::sender::Sender;
use crate::protocol::sender::Transmit;
use crate::protocol::sender::group;
use crate::protocol::sender::heartbeat::Tone;
use crate::protocol::sender::repair::REMEMBERED_FOR;
use crate::protocol::sender::repair::Sent;
use crate::time::Time;
use crate::wire;
use crate::wire::Flags;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;
use crate::wire::Head;
use crate::wire::Heartbeat;
use crate::wire::Kind;

/// What was shown to the caller last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peeked {
    Heartbeat,
    Answer,
    Repair,
}

impl Sender {
    /// The next thing to send: control datagrams first, then repairs, oldest first. The same again until
    /// [`sent`](Self::sent), or [`refused`](Self::refused), is called.
    pub fn peek_transmit(&mut self, now: Time, ring: &Ring) -> Option<Transmit<'_>> {
        self.peeked = None;
        if self.is_over() {
            return None;
        }
        if self.schedule.is_due() {
            self.peeked = Some(Peeked::Heartbeat);
            self.encode_heartbeat(now, ring);
            return Some(Transmit::Datagram { to: Destination::Everywhere, bytes: &self.heartbeat });
        }
        if let Some((to, bytes)) = self.outbox.first() {
            self.peeked = Some(Peeked::Answer);
            return Some(Transmit::Datagram { to, bytes });
        }
        let (range, wanted) = self.repairs.first(now, ring.sent())?;
        self.peeked = Some(Peeked::Repair);
        planted!(WrongRepair => if range.len() > 1 { return Some(Transmit::Repair { to: wanted.to, range: range.split(range.from.plus(1)).1 }) });
        Some(Transmit::Repair { to: wanted.to, range })
    }

    /// What was peeked went out; `repair` says how much of it, for a [`Transmit::Repair`], and is `None` for a
    /// datagram. Nothing else is handed in between the two.
    pub fn sent(&mut self, now: Time, repair: Option<RepairSent>) {
        match (self.peeked.take(), repair) {
            (Some(Peeked::Heartbeat), None) => self.on_heartbeat_sent(now),
            (Some(Peeked::Answer), None) => self.on_answer_sent(),
            (Some(Peeked::Repair), Some(repair)) => self.on_repair_sent(now, repair),
            _ => debug_assert!(false, "what was sent is not what was peeked"),
        }
    }

    /// The ring no longer holds the start of the repair that was peeked, but only what is from `oldest` on: the part
    /// before it is refused with GONE.
    pub fn refused(&mut self, oldest: Offset) {
        self.peeked = None;
        let Some((lost, wanted)) = self.repairs.refused(oldest) else { return };
        if lost.is_empty() {
            self.stats.repairs_dropped += 1;
            return;
        }
        let asker = wanted.asker.and_then(|asker| self.receivers.get(asker));
        let evicted = asker.is_some_and(|entry| entry.row.evicted);
        let asker_at = asker.map(Receiver::origin);
        let reason = if evicted { GoneReason::Evicted } else { GoneReason::Overrun };
        self.gone.clear();
        self.gone.push(GoneEntry::new(lost, reason));
        let to = match wanted.to {
            Destination::Peer(to) => Some(to),
            Destination::Group | Destination::Everywhere => asker_at,
        };
        self.send_gone(to);
    }

    fn encode_heartbeat(&mut self, now: Time, ring: &Ring) {
        let (head, heartbeat) = self.position(now, ring);
        match self.schedule.tone() {
            Tone::Notice | Tone::Poll => wire::encode_heartbeat(&mut self.heartbeat, &head, &heartbeat),
            Tone::End | Tone::Farewell => wire::encode_end(&mut self.heartbeat, &head, &heartbeat),
        }
    }

    /// Where the stream is, and what its receivers are to know.
    pub(super) fn position(&self, now: Time, ring: &Ring) -> (Head, Heartbeat) {
        let group = self.group_size();
        let tone = self.schedule.tone();
        let asks = matches!(tone, Tone::Poll | Tone::End);
        let waits = matches!(self.settings.policy, FlowPolicy::Block { .. });
        let heartbeat = Heartbeat {
            oldest: U64::new(ring.oldest().0),
            receivers: U32::new(u32::try_from(group).unwrap_or(u32::MAX)),
            grtt_us: U32::new(u32::try_from(self.grtt.at(now).as_micros()).unwrap_or(u32::MAX)),
            status_ms: U16::new(group::status_ms(group)),
            tcp_port: U16::new(self.settings.tcp_port),
            flags: U16::new(
                if asks { Heartbeat::POLL } else { 0 } | if waits { Heartbeat::BLOCK } else { 0 },
            ),
            zero: U16::ZERO,
        };
        let flags = Flags::default().with(Flags::OPENING, self.opening(now, ring));
        let head = Head { base: ring.sent(), flags, ..self.head() };
        (head, heartbeat)
    }

    fn on_heartbeat_sent(&mut self, now: Time) {
        match self.schedule.tone() {
            Tone::Notice => self.stats.heartbeats += 1,
            Tone::Poll => {
                (self.stats.heartbeats, self.stats.polls) = (self.stats.heartbeats + 1, self.stats.polls + 1)
            }
            Tone::End | Tone::Farewell => self.stats.ends += 1,
        }
        self.schedule.sent(now);
    }

    fn on_answer_sent(&mut self) {
        match self.outbox.pop() {
            Some(Kind::Welcome) => self.stats.welcomes += 1,
            Some(Kind::Gone) => self.stats.gones += 1,
            Some(Kind::Shed) => self.stats.sheds += 1,
            Some(Kind::Heartbeat) => self.stats.heartbeats += 1,
            Some(Kind::End) => self.stats.ends += 1,
            _ => debug_assert!(false, "no other kind of answer exists"),
        }
    }

    fn on_repair_sent(&mut self, now: Time, repair: RepairSent) {
        self.repairs.forget(now, self.grtt.at(now) * REMEMBERED_FOR, &mut self.receivers);
        let Some(Sent { wanted, done, remembered }) = self.repairs.sent(now, repair.covers, repair.bytes)
        else {
            return;
        };
        let bytes = repair.bytes as u64;
        match wanted.to {
            Destination::Group | Destination::Everywhere => self.stats.repairs_multicast += 1,
            Destination::Peer(_) => self.stats.repairs_unicast += 1,
        }
        self.stats.repaired_offsets += repair.covers.len();
        self.stats.repaired_bytes += bytes;
        self.stats.repairs_unremembered += u64::from(!remembered);
        if done.is_empty() {
            self.stats.repairs_dropped += 1;
            return;
        }
        let estimate = self.price.estimate(done);
        self.budget.settle(estimate, bytes, self.is_free(now));
    }
}
