//! Who is sent a copy because it asked to be: proved, heard lately, and no more of them than was allowed.
//!
//! Whoever wants to join a line does not know the session: it says 0. A STATUS of session 0 holds no position. It is
//! answered with a WELCOME, as any; the same again with the token that came in it takes its address in.

use core::time::Duration;

use crate::history::Ring;
use crate::offset::Offset;
use crate::protocol::sender::Destination;
use crate::protocol::sender::LineKind;
use crate::protocol::sender::Origin;
use crate::protocol::sender::Sender;
use crate::protocol::sender::token::token;
use crate::time::Time;
use crate::wire;
use crate::wire::Kind;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::Status;

/// How long one that was evicted is sent nothing, so that it has ceased to be in the way when it comes back.
pub(super) const OUT: Duration = Duration::from_secs(1);

/// The session of those that do not know it.
const UNKNOWN: SessionId = SessionId(0);

#[derive(Debug)]
struct Member {
    receiver: ReceiverId,
    origin: Origin,
    heard: Time,
}

/// Those who joined, by id, and at most one at a place: who says there that it is another is not sent another copy.
#[derive(Debug)]
pub(super) struct Joined {
    members: Vec<Member>,
    most: usize,
    version: u64,
    /// Nobody falls silent before this.
    check_at: Time,
}

impl Joined {
    pub(super) const fn new(most: usize) -> Self {
        Self { members: Vec::new(), most, version: 0, check_at: Time(u64::MAX) }
    }

    pub(super) const fn len(&self) -> usize {
        self.members.len()
    }

    fn has_room_for(&self, receiver: ReceiverId, origin: Origin) -> bool {
        self.members.len() < self.most || self.find(receiver).is_ok() || self.is_taken(origin)
    }

    fn is_taken(&self, origin: Origin) -> bool {
        self.members.iter().any(|member| member.origin == origin)
    }

    /// Takes a receiver in, at the place that it was heard from, or notes that it is there still.
    fn keep(&mut self, now: Time, (receiver, origin): (ReceiverId, Origin), live_for: Duration) {
        if !self.is_at(receiver, origin) {
            self.put(receiver, origin);
            self.check_at = self.check_at.min(now + live_for);
        }
        self.hear(now, receiver, origin);
    }

    /// Puts a receiver at a place, instead of whoever was there.
    fn put(&mut self, receiver: ReceiverId, origin: Origin) {
        let was = self.members.len();
        let is_taken = self.is_taken(origin);
        self.members.retain(|member| member.receiver != receiver && member.origin != origin);
        let is_moved = self.members.len() + usize::from(is_taken) < was;
        self.version += u64::from(is_moved || !is_taken);
        if let Err(at) = self.find(receiver) {
            self.members.insert(at, Member { receiver, origin, heard: Time::ZERO });
        }
    }

    /// It was heard at `origin`, where it is.
    pub(super) fn hear(&mut self, now: Time, receiver: ReceiverId, origin: Origin) {
        let at = self.find(receiver).ok();
        if let Some(member) = at.and_then(|at| self.members.get_mut(at)).filter(|one| one.origin == origin) {
            member.heard = now;
        }
    }

    /// Takes a receiver out.
    pub(super) fn remove(&mut self, receiver: ReceiverId) {
        if let Ok(at) = self.find(receiver) {
            self.members.remove(at);
            self.version += 1;
        }
    }

    /// Takes out who was not heard for `live_for`.
    pub(super) fn expire(&mut self, now: Time, live_for: Duration) {
        if now < self.check_at {
            return;
        }
        let before = self.members.len();
        self.members.retain(|member| member.heard + live_for > now);
        self.version += u64::from(self.members.len() < before);
        let next = self.members.iter().map(|member| member.heard + live_for).min();
        self.check_at = next.unwrap_or(Time(u64::MAX));
    }

    /// When to call [`Joined::expire`].
    pub(super) fn timeout(&self) -> Option<Time> {
        (!self.members.is_empty()).then_some(self.check_at)
    }

    fn is_at(&self, receiver: ReceiverId, origin: Origin) -> bool {
        let member = self.find(receiver).ok().and_then(|at| self.members.get(at));
        member.is_some_and(|member| member.origin == origin)
    }

    fn find(&self, receiver: ReceiverId) -> Result<usize, usize> {
        self.members.binary_search_by_key(&receiver, |member| member.receiver)
    }
}

impl Sender {
    /// Where everything is to be sent beside where it always goes: each place once.
    pub fn joined(&self) -> impl Iterator<Item = Origin> {
        self.joined.members.iter().map(|member| member.origin)
    }

    /// Changes whenever [`joined`](Self::joined) does.
    #[must_use]
    pub const fn joined_version(&self) -> u64 {
        self.joined.version
    }

    /// Whether a STATUS says that its receiver wants to join.
    pub(super) fn is_greeting(&self, session: SessionId, from: Origin) -> bool {
        session == UNKNOWN && self.settings.kind(from.line) == LineKind::Joined
    }

    /// Somebody wants to join.
    pub(super) fn on_greeting(&mut self, now: Time, from: Origin, status: &Status, ring: &Ring) {
        self.stats.statuses += 1;
        let (receiver, token) =
            (status.receiver(), token(self.settings.secret, from.address, status.receiver()));
        let proved = status.token() == token;
        if !proved || status.time.get() != 0 {
            self.welcome(from, status, token);
        }
        if !proved {
            self.stats.statuses_unproved += 1;
            return;
        }
        // It says nothing of its position, so what is known of it stands.
        let known = self.receivers.get(receiver).map(|entry| entry.row.next);
        let start = if self.opening(now, ring) { Offset::ZERO } else { ring.sent() };
        self.on_proved(now, from, (known.unwrap_or(start), status), ring);
        if self.joined.is_at(receiver, from) {
            self.say_where(now, from, ring);
        }
    }

    /// Where the stream is, at once: the newcomer waits for it. Smaller than the STATUS, and one for one.
    fn say_where(&mut self, now: Time, to: Origin, ring: &Ring) {
        let (head, heartbeat) = self.position(now, ring);
        let is_ending = self.schedule.is_ending();
        let encode = |out: &mut Vec<u8>| {
            if is_ending {
                wire::encode_end(out, &head, &heartbeat);
            } else {
                wire::encode_heartbeat(out, &head, &heartbeat);
            }
        };
        let kind = if is_ending { Kind::End } else { Kind::Heartbeat };
        if !self.outbox.push(Destination::Peer(to), kind, encode) {
            self.stats.answers_dropped += 1;
        }
    }

    /// A proved receiver of a line that is joined is sent everything from now on, and as long as it is heard.
    pub(super) fn keep_joined(&mut self, now: Time, from: Origin, receiver: ReceiverId) {
        if self.settings.kind(from.line) != LineKind::Joined {
            return;
        }
        if self.receivers.get(receiver).is_some_and(|entry| now < entry.out_until) {
            return;
        }
        let live_for = self.live_for();
        self.joined.keep(now, (receiver, from), live_for);
    }

    /// Whether there is room for it, if it has to join.
    pub(super) fn may_join(&self, from: Origin, receiver: ReceiverId) -> bool {
        self.settings.kind(from.line) != LineKind::Joined || self.joined.has_room_for(receiver, from)
    }

    /// It takes its leave from where it is.
    pub(super) fn let_go(&mut self, from: Origin, receiver: ReceiverId) {
        if self.joined.is_at(receiver, from) {
            self.joined.remove(receiver);
        }
    }
}
