//! The bounded table of receivers that have proved their address.

use core::net::SocketAddr;
use core::time::Duration;

use crate::history::Ring;
use crate::history::charge;
use crate::offset::Offset;
use crate::protocol::sender::LineId;
use crate::protocol::sender::Origin;
use crate::protocol::sender::ReceiverRow;
use crate::protocol::sender::SenderEvent;
use crate::protocol::sender::StreamReceiver;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::Status;

/// How many repairs in a row nobody else must have asked for before the next one goes to the asker alone.
const ALONE: u8 = 4;
/// How long an evicted receiver that has fallen silent is remembered, so that it is told EVICTED when it comes back.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long every NAK of a receiver that is behind may have to be put off before it is cut off.
const CRYING: Duration = Duration::from_secs(5);
/// How long it must not have asked to be taken for content.
const CONTENT: Duration = Duration::from_secs(1);

/// How far the publisher may go for the sake of one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    /// It hears datagrams: nothing but the publisher's pace keeps it from losing some.
    pub(super) hears_datagrams: bool,
    /// In charge since the session began.
    pub(super) charge: u64,
}

/// One receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) row: ReceiverRow,
    pub(super) heard: Time,
    /// How far the publisher may go for its sake, in charge since the session began.
    grant: u64,
    /// How much was sent beyond its position when it last reported, in charge.
    behind: u64,
    /// For how long the publisher had been held in all when this receiver last moved.
    pub(super) held_mark: Duration,
    /// It has been within its window since it came, or came back; before that it is late, not slow.
    caught_up: bool,
    /// Its last repairs in a row that nobody else asked for.
    alone: u8,
    /// Since when every NAK of it was put off, and when the last was.
    crying: Option<(Time, Time)>,
    /// It has cried for too long: what it asks for is refused until it is near the head again.
    pub(super) cut_off: bool,
    /// What it lacks comes to it over a connection.
    fetches: bool,
    /// It has a connection now.
    attached: bool,
    /// What was handed to its connection, in charge since the session began.
    taken: u64,
    /// It was evicted on this connection.
    pub(super) cast_off: bool,
    /// Evicted, it is not sent a copy of its own before this.
    pub(super) out_until: Time,
    /// The line that it was heard on.
    pub(super) line: LineId,
}

impl Receiver {
    pub(super) const fn new(receiver: ReceiverId, address: SocketAddr, now: Time) -> Self {
        let row = ReceiverRow {
            receiver,
            address,
            next: Offset::ZERO,
            window: 0,
            rtt: None,
            lag: Duration::ZERO,
            delivered: 0,
            lost: 0,
            naks: 0,
            kernel_drops: 0,
            live: true,
            evicted: false,
            slow: false,
            stream: false,
        };
        Self {
            row,
            heard: now,
            grant: 0,
            behind: 0,
            held_mark: Duration::ZERO,
            caught_up: false,
            alone: 0,
            crying: None,
            cut_off: false,
            fetches: false,
            attached: false,
            taken: 0,
            cast_off: false,
            out_until: Time::ZERO,
            line: LineId(0),
        }
    }

    /// What the receiver grants, as long as it is counted.
    pub(super) fn counted_grant(&self) -> Option<Grant> {
        let grant = Grant { hears_datagrams: !self.row.stream && !self.fetches, charge: self.grant };
        (self.row.live && !self.row.evicted).then_some(grant)
    }

    /// Whether it is one of those that hold a publisher which goes no further than `holding`, if it is held.
    pub(super) fn holds(&self, holding: Option<u64>) -> bool {
        holding.is_some() && self.counted_grant().map(|grant| grant.charge) == holding
    }

    /// The receiver was heard at `address`.
    pub(super) fn hear(&mut self, now: Time, address: SocketAddr) {
        self.caught_up &= self.row.live;
        (self.row.address, self.heard, self.row.live) = (address, now, true);
    }

    /// Where it was heard.
    pub(super) const fn origin(&self) -> Origin {
        Origin { address: self.row.address, line: self.line }
    }

    /// It has a connection, which begins with `next`.
    pub(super) const fn attach(&mut self, next: Offset) {
        (self.attached, self.cast_off) = (true, false);
        (self.row.stream, self.row.next) = (true, next);
    }

    pub(super) const fn is_attached(&self) -> bool {
        self.attached
    }

    pub(super) fn is_attached_at(&self, address: SocketAddr) -> bool {
        self.attached && self.row.address == address
    }

    /// `taken` was handed to its connection: what it grants is all that the ring keeps beyond that. Whether it has
    /// moved.
    pub(super) fn take_cursor(&mut self, taken: u64, ring: &Ring) -> bool {
        let taken = taken.min(ring.charge_sent());
        let moved = taken > self.taken;
        self.taken = taken;
        self.set_window((taken, ring.window()), ring);
        moved
    }

    /// How far what was handed to its connection is behind now.
    pub(super) fn look_behind(&mut self, ring: &Ring) {
        self.behind = ring.charge_sent().saturating_sub(self.taken);
    }

    /// Whether everything that was sent was handed to its connection.
    pub(super) fn has_all(&self, ring: &Ring) -> bool {
        self.taken >= ring.charge_sent()
    }

    /// Takes over what the receiver says of itself, but for its position.
    pub(super) fn take_over(&mut self, status: &Status) {
        let micros = |us: u32| Duration::from_micros(u64::from(us));
        let row = &mut self.row;
        row.rtt = Some(micros(status.rtt_us.get())).filter(|rtt| !rtt.is_zero()).or(row.rtt);
        row.lag = micros(status.lag_us.get());
        row.delivered = status.delivered.get();
        row.lost = status.lost.get();
        row.naks = status.naks.get();
        row.kernel_drops = status.kernel_drops.get();
    }

    /// Takes over the receiver's window and what follows from it: what it grants, and whether it counts again.
    ///
    /// The window is clipped to the ring's size, so that nobody is promised more than the ring keeps: charge is more
    /// than twice the bytes. And one that is not closed takes a datagram, however small it says it is.
    pub(super) fn take_window(&mut self, window: u64, ring: &Ring) {
        let taken = ring.charge_at(self.row.next).unwrap_or(0);
        let least = if window > 0 { charge(ring.datagram()) } else { 0 };
        self.fetches = false;
        self.set_window((taken, window.min(ring.capacity() as u64).max(least)), ring);
    }

    /// The same for one that fetches what it lacks over a connection: only the ring holds others back for it, as for one
    /// that is behind a connection altogether.
    pub(super) fn take_ring(&mut self, ring: &Ring) {
        let taken = ring.charge_held(self.row.next.max(ring.oldest()));
        self.fetches = true;
        self.set_window((taken.unwrap_or_else(|| ring.charge_sent()), ring.window()), ring);
    }

    fn set_window(&mut self, (taken, window): (u64, u64), ring: &Ring) {
        self.row.window = window;
        self.grant = taken.saturating_add(window);
        self.behind = ring.charge_sent().saturating_sub(taken);
        if window > 0 && self.behind <= self.row.window / 2 {
            (self.row.evicted, self.cut_off) = (false, false);
        }
    }

    /// A NAK of it was put off, or was not; whether it has cried for too long now: always more than its share, and
    /// behind by more than its window all the same.
    pub(super) fn cries(&mut self, now: Time, put_off: bool) -> bool {
        let goes_on = |&(_, last): &(Time, Time)| now.since(last) < CONTENT;
        let since = self.crying.filter(goes_on).map_or(now, |(since, _)| since);
        let cries = put_off && now.since(since) >= CRYING && self.behind > self.row.window;
        self.crying = (put_off && !cries).then_some((since, now));
        cries
    }

    /// Whether the receiver has just fallen more than its window behind. Having done so, it does again only after it
    /// was within half of it; and one that comes late is not slow before it has caught up.
    pub(super) fn turns_slow(&mut self) -> bool {
        let was = self.row.slow;
        self.caught_up |= self.behind <= self.row.window;
        if self.behind <= self.row.window / 2 {
            self.row.slow = false;
        } else if self.caught_up && self.behind > self.row.window {
            self.row.slow = true;
        }
        self.row.slow && !was
    }

    /// Whether its next repair may go to it alone.
    pub(super) const fn is_alone(&self) -> bool {
        self.alone >= ALONE
    }
}

/// The table, sorted by id, so that the same input always gives the same output.
#[derive(Debug)]
pub(super) struct Receivers {
    rows: Vec<Receiver>,
    most: usize,
    /// No receiver falls silent before this.
    check_at: Time,
}

impl Receivers {
    pub(super) const fn new(most: usize) -> Self {
        Self { rows: Vec::new(), most, check_at: Time(u64::MAX) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Receiver> {
        self.rows.iter()
    }

    /// How many were heard lately.
    pub(super) fn live(&self) -> usize {
        self.rows.iter().filter(|receiver| receiver.row.live).count()
    }

    /// How many of those hear datagrams.
    pub(super) fn group_size(&self) -> usize {
        self.rows.iter().filter(|receiver| receiver.row.live && !receiver.row.stream).count()
    }

    /// A receiver, if this is its connection.
    pub(super) fn attached_mut(&mut self, who: StreamReceiver) -> Option<&mut Receiver> {
        self.get_mut(who.receiver).filter(|receiver| receiver.is_attached_at(who.address))
    }

    /// The connection is gone: from now on it is silent.
    pub(super) fn detach(&mut self, now: Time, who: StreamReceiver, live_for: Duration) {
        let Some(receiver) = self.attached_mut(who) else { return };
        (receiver.attached, receiver.heard) = (false, now);
        self.check_at = self.check_at.min(now + live_for);
    }

    /// The receivers from `id` on.
    pub(super) fn from(&self, id: ReceiverId) -> &[Receiver] {
        let at = self.rows.partition_point(|receiver| receiver.row.receiver < id);
        self.rows.get(at..).unwrap_or_default()
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Receiver> {
        self.rows.get(self.find(id).ok()?)
    }

    pub(super) fn get_mut(&mut self, id: ReceiverId) -> Option<&mut Receiver> {
        let at = self.find(id).ok()?;
        self.rows.get_mut(at)
    }

    /// Gives `fresh` a place, if need be that of an evicted one that is silent; false when there is none.
    pub(super) fn enter(&mut self, fresh: Receiver, live_for: Duration) -> bool {
        if self.rows.len() >= self.most {
            let silent =
                self.rows.iter().filter(|receiver| !receiver.row.live).min_by_key(|receiver| receiver.heard);
            let Some(id) = silent.map(|receiver| receiver.row.receiver) else { return false };
            self.remove(id);
        }
        if let Err(at) = self.find(fresh.row.receiver) {
            self.check_at = self.check_at.min(fresh.heard + live_for);
            self.rows.insert(at, fresh);
        }
        true
    }

    pub(super) fn remove(&mut self, id: ReceiverId) -> Option<Receiver> {
        let removed = self.find(id).ok().map(|at| self.rows.remove(at));
        if self.rows.is_empty() {
            self.check_at = Time(u64::MAX);
        }
        removed
    }

    /// When the next receiver may fall silent.
    pub(super) fn timeout(&self) -> Option<Time> {
        (!self.rows.is_empty() && self.check_at < Time(u64::MAX)).then_some(self.check_at)
    }

    /// Takes out who has no connection and was not heard for `live_for`, with an event for each to `events`. One that grants just `holding`
    /// is what the publisher waits for: evicted by its silence.
    pub(super) fn expire(
        &mut self,
        now: Time,
        live_for: Duration,
        holding: Option<u64>,
        mut events: impl FnMut(SenderEvent),
    ) {
        if now < self.check_at {
            return;
        }
        let mut check_at = Time(u64::MAX);
        self.rows.retain_mut(|receiver| {
            if receiver.attached {
                return true;
            }
            let end = receiver.heard + if receiver.row.live { live_for } else { REMEMBERED.max(live_for) };
            if end > now {
                check_at = check_at.min(end);
                return true;
            }
            if receiver.row.live {
                let holds = receiver.holds(holding);
                receiver.row.evicted |= holds;
                receiver.row.live = false;
                events(silenced(&receiver.row, holds));
                check_at = check_at.min(receiver.heard + REMEMBERED.max(live_for));
                return receiver.row.evicted;
            }
            false
        });
        self.check_at = check_at;
    }

    /// `one` asked for what `other` has asked for, too; `None` is somebody unproved.
    pub(super) fn together(&mut self, one: Option<ReceiverId>, other: Option<ReceiverId>) {
        for id in [one, other].into_iter().flatten() {
            if let Some(receiver) = self.get_mut(id) {
                receiver.alone = 0;
            }
        }
    }

    /// Nobody else asked for a repair of `id`.
    pub(super) fn credit(&mut self, id: ReceiverId) {
        if let Some(receiver) = self.get_mut(id) {
            receiver.alone = receiver.alone.saturating_add(1).min(ALONE);
        }
    }

    fn find(&self, id: ReceiverId) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&id, |receiver| receiver.row.receiver)
    }
}

fn silenced(row: &ReceiverRow, evicted: bool) -> SenderEvent {
    let (receiver, address, next) = (row.receiver, row.address, row.next);
    if evicted {
        SenderEvent::ReceiverEvicted { receiver, address, next }
    } else {
        SenderEvent::ReceiverDown { receiver, address, leaving: false, last: *row }
    }
}
