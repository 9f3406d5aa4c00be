//! Who becomes a source: first contact, replacement, a session that moves.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::offset::Offset;
use crate::protocol::DownReason;
use crate::protocol::LineId;
use crate::protocol::Origin;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::Up;
use crate::protocol::receiver::claims::Claim;
use crate::protocol::receiver::claims::Claims;
use crate::protocol::receiver::source::FirstHeard;
use crate::protocol::receiver::source::Source;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::SessionId;

/// Replaced sessions remembered: a replay of one cannot revive it. As many silent ones that had to make room.
const REPLACED: usize = 64;
/// How long a session must have been quiet before another from its very address and port may take its place: three
/// heartbeats, so a forged session, or a late datagram of an old one, never replaces one that lives.
const QUIET: Duration = Duration::from_millis(350);
/// One that lives tells its position at least every 100 ms; who tells it less often than this is only late copies of
/// what a dead publisher sent.
const PULSE: Duration = Duration::from_millis(200);

/// Sessions that never come back, and those that seem to have moved or to follow another.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    replaced: VecDeque<SessionId>,
    /// Silent ones that had to make room, and what was wanted next of each.
    forgotten: VecDeque<(SessionId, Offset)>,
    claims: Claims,
}

impl Sessions {
    fn retire(&mut self, session: SessionId) {
        if self.replaced.len() >= REPLACED {
            self.replaced.pop_front();
        }
        self.replaced.push_back(session);
    }

    fn forget(&mut self, session: SessionId, next: Offset) {
        if self.forgotten.len() >= REPLACED {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back((session, next));
    }

    /// Where a session that is heard again goes on.
    fn recall(&mut self, session: SessionId) -> Option<Offset> {
        let known = self.forgotten.iter().position(|(forgotten, _)| *forgotten == session)?;
        self.forgotten.remove(known).map(|(_, next)| next)
    }
}

impl Receiver {
    /// The source that a datagram belongs to, which it may bring up; `None` when it is refused, and counted.
    pub(super) fn source_of(
        &mut self,
        now: Time,
        origin: &Origin,
        datagram: &Datagram<'_>,
    ) -> Option<SourceKey> {
        let session = datagram.header.session();
        let is_latest = self.sources.get(self.latest).is_some_and(|source| source.session == session);
        let index = if is_latest {
            self.latest
        } else if let Some(index) = self.sources.iter().position(|source| source.session == session) {
            index
        } else {
            self.admit(now, *origin, datagram)?
        };
        if self.settings.connected {
            self.readmit(index, now, origin.address, datagram);
        }
        let source = self.sources.get_mut(index)?;
        if planted!(OldSessionRevived, false, source.is_replaced()) {
            self.stats.replaced_session += 1;
            return None;
        }
        if !source.is_from(origin) && !self.follow(index, now, *origin, datagram) {
            self.stats.strange_address += u64::from(!self.is_join_answer(now, origin, datagram));
            return None;
        }
        self.latest = index;
        let key = SourceKey(u16::try_from(index).ok()?);
        self.hear((key, origin.line), now, datagram);
        Some(key)
    }

    /// Only what everybody hears is a sign of life: answers to one receiver go on when the network has forgotten its
    /// membership of the group.
    fn hear(&mut self, (key, line): (SourceKey, LineId), now: Time, datagram: &Datagram<'_>) {
        let news = planted!(UnicastIsLife, news(datagram).or(Some(Offset::ZERO)), news(datagram));
        let Some(news) = news else { return };
        if self.settings.lines > 1 {
            self.hear_by(key, line, now);
        }
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        source.last_heard = source.last_heard.max(now);
        source.pulse += u64::from(news >= source.book.heard);
        if source.revive(news) {
            source.report.bring_forward(now);
            let (session, address, from) = (source.session, source.address, source.next);
            self.ups.push(Up { source: key, session, address, from, replaces: None });
        }
    }

    #[cold]
    fn hear_by(&mut self, key: SourceKey, line: LineId, now: Time) {
        self.quiet.hear(line, now, self.settings.silence);
        if let Some(source) = self.sources.get_mut(usize::from(key.0)) {
            source.lines.hear(line, now);
        }
    }

    /// A session that another one had replaced is connected once more: two publishers may serve one name in turn.
    fn readmit(&mut self, index: usize, now: Time, from: SocketAddr, datagram: &Datagram<'_>) {
        let was_replaced = |source: &Source| source.down == Some(DownReason::Replaced);
        if !self.sources.get(index).is_some_and(was_replaced) || news(datagram).is_none() {
            return;
        }
        let replaces = self.replace(from, now);
        let (Some(old), Ok(key)) = (self.sources.get_mut(index), u16::try_from(index)) else { return };
        old.readmit(from, now);
        let (session, next) = (old.session, old.next);
        self.ups.push(Up { source: SourceKey(key), session, address: from, from: next, replaces });
    }

    /// A session that is silent where it was may go on at another address, once two datagrams agree; one that is
    /// connected there, at once.
    ///
    /// By another line it is heard from another address: one for each line. The first is believed at once where the host
    /// is the same, else once two datagrams agree; and like the only one, it stays until it is silent.
    #[cold]
    fn follow(&mut self, index: usize, now: Time, origin: Origin, datagram: &Datagram<'_>) -> bool {
        let is_taken = self.is_taken(index, origin);
        let Some(source) = self.sources.get_mut(index) else { return false };
        if self.settings.connected || self.settings.connection == Some(origin.line) {
            source.bind(origin);
            return true;
        }
        let (base, from) = (datagram.header.base(), origin.address);
        let is_new = !source.lines.is_one() && source.lines.address(origin.line).is_none();
        let is_silent = source.down == Some(DownReason::Silent)
            || source.lines.quiet_for(origin.line, now) >= self.settings.silence;
        let may_move = (is_new || is_silent) && !is_taken;
        if !may_move || !matches!(datagram.body, Body::Data(_) | Body::Heartbeat(_)) {
            return false;
        }
        let is_near = base.since(source.seen) <= source.span();
        let is_at_home = is_new && is_near && source.lines.have_host(from);
        let claim = Claim { session: source.session, address: from, base, start: base, at: now, pulse: 0 };
        if !is_at_home && self.sessions.claims.confirmed(claim, source.span()).is_none() {
            return false;
        }
        source.bind(origin);
        self.stats.lines_joined += u64::from(is_new);
        self.sessions.claims.settle(from);
        true
    }

    /// Whether another source that lives sends from there by the same line.
    fn is_taken(&self, index: usize, origin: Origin) -> bool {
        let others =
            self.sources.iter().enumerate().filter(|(at, source)| *at != index && source.down.is_none());
        self.settings.lines > 1
            && others.into_iter().any(|(_, other)| other.lines.address(origin.line) == Some(origin.address))
    }

    fn admit(&mut self, now: Time, origin: Origin, datagram: &Datagram<'_>) -> Option<usize> {
        if self.is_join_answer(now, &origin, datagram) {
            return None;
        }
        let from = origin.address;
        let session = datagram.header.session();
        let is_old = !self.settings.connected && self.sessions.replaced.contains(&session);
        if planted!(OldSessionRevived, false, is_old) {
            self.stats.replaced_session += 1;
            return None;
        }
        let Some((start, is_pastless)) = self.beginning(datagram) else {
            self.stats.unknown_session += 1;
            return None;
        };
        let claim = Claim { session, address: from, base: datagram.header.base(), start, at: now, pulse: 0 };
        let is_dialled = self.settings.connection == Some(origin.line);
        let Some(start) = self.may_begin(claim, is_dialled) else {
            self.stats.session_conflicts += 1;
            return None;
        };
        let index = self.place()?;
        self.stats.pastless += u64::from(is_pastless);
        self.sessions.claims.settle(from);
        let start = self.sessions.recall(session).unwrap_or(start);
        let replaces = self.replace(from, now);
        if !self.is_anybody_up() {
            self.quiet.begin(now, self.settings.silence);
        }
        let mut source = Source::new(self.settings, FirstHeard { session, origin, start }, now);
        if let Some((base, heartbeat)) = self.past(datagram) {
            source.join(base, heartbeat, now);
        }
        match self.sources.get_mut(index) {
            Some(vacant) => *vacant = source,
            None => self.sources.push(source),
        }
        let source = SourceKey(u16::try_from(index).ok()?);
        self.ups.push(Up { source, session, address: from, from: start, replaces });
        Some(index)
    }

    /// Where a new session may begin. At once where it takes the place of nobody, or of one that said that it ends;
    /// where it would take the place of a silent one, by its second datagram that agrees; and of one that lives, at its
    /// very address and port, when that is quiet besides, or gives no sign of life for the time of silence. Over a
    /// connection always at once: there is nobody else.
    fn may_begin(&mut self, claim: Claim, is_dialled: bool) -> Option<Offset> {
        planted!(ReplacedAtOnce => return Some(claim.start));
        if self.settings.connected || is_dialled {
            return Some(claim.start);
        }
        let lives = |source: &&Source| source.has_address(claim.address) && source.down.is_none();
        let is_silent =
            |source: &&Source| source.has_host(claim.address) && source.down == Some(DownReason::Silent);
        let Some(other) = self.sources.iter().find(lives) else {
            let Some(silent) = self.sources.iter().find(is_silent) else { return Some(claim.start) };
            return self.sessions.claims.confirmed(claim, silent.span()).map(|first| first.start);
        };
        let claim = Claim { pulse: other.pulse, ..claim };
        let first = self.sessions.claims.confirmed(claim, other.span())?;
        let is_quiet = claim.at.since(other.last_heard) >= QUIET;
        let claimed_for = claim.at.since(first.at);
        // Fewer than there were: it is not the one that the claim was first made against.
        let beats = other.pulse.checked_sub(first.pulse).and_then(|beats| u32::try_from(beats).ok());
        let beats = beats.unwrap_or(u32::MAX);
        let is_dead = claimed_for >= self.settings.silence && PULSE.saturating_mul(beats) < claimed_for;
        (is_quiet || is_dead).then_some(first.start)
    }

    /// The source that a new one from `from` takes the place of: the last one from the same address and port, or one
    /// from the same address that ended or fell silent; over a connection, whoever was there.
    fn replace(&mut self, from: SocketAddr, now: Time) -> Option<SessionId> {
        let same = |source: &Source| source.has_address(from);
        let gone = |source: &Source| source.has_host(from) && source.down.is_some();
        let fresh = |source: &Source| source.down != Some(DownReason::Replaced);
        let connected = self.settings.connected;
        let fits = |source: &&mut Source| fresh(source) && (connected || same(source) || gone(source));
        let candidates = self.sources.iter_mut().filter(fits);
        let old = candidates.max_by_key(|source| (source.has_address(from), source.last_heard))?;
        let session = old.session;
        if old.down.is_some() {
            old.down = Some(DownReason::Replaced);
        }
        old.close(DownReason::Replaced);
        old.report.stop();
        old.last_heard = now;
        self.sessions.retire(session);
        Some(session)
    }

    /// Where the next source goes: a new row, or that of one that is down, for longest if there are several. What was
    /// replaced or has ended goes before what is only silent, and never comes back; a silent one that is heard again
    /// goes on where it was.
    fn place(&mut self) -> Option<usize> {
        if self.sources.len() < self.settings.sources {
            return Some(self.sources.len());
        }
        let down = self.sources.iter().enumerate().filter(|(_, source)| source.down.is_some());
        let is_silent = |source: &Source| source.down == Some(DownReason::Silent);
        let Some((index, old)) = down.min_by_key(|(_, source)| (is_silent(source), source.last_heard)) else {
            self.stats.refused_sources += 1;
            return None;
        };
        if is_silent(old) || self.settings.connected {
            self.sessions.forget(old.session, old.next);
        } else {
            self.sessions.retire(old.session);
        }
        self.outgoing.forget(index);
        Some(index)
    }
}

/// How far a datagram to everybody says that its source has gone on; an END tells nothing new. `None` of repairs and
/// answers, which may be for one receiver alone.
fn news(datagram: &Datagram<'_>) -> Option<Offset> {
    match datagram.body {
        Body::Data(_) if !datagram.header.flags().has(Flags::REPAIR) => Some(datagram.header.range().to),
        Body::Heartbeat(_) => Some(datagram.header.base()),
        Body::End(_) => Some(Offset::ZERO),
        _ => None,
    }
}

/// Where the messages of a source begin for somebody who hears `datagram` first; `None` when that is no beginning.
///
/// In its opening a session is joined from offset 0. Later, only an original batch or a heartbeat tells the present:
/// a repair is about the past, and an END says that there is nothing to come.
pub(super) fn first_offset(datagram: &Datagram<'_>) -> Option<Offset> {
    let flags = datagram.header.flags();
    match datagram.body {
        // A repair has OPENING for ever, since its bytes are those of the first sending.
        Body::Data(_) if flags.has(Flags::REPAIR) => None,
        Body::Data(_) | Body::Heartbeat(_) | Body::End(_) if flags.has(Flags::OPENING) => Some(Offset::ZERO),
        Body::Data(_) => Some(datagram.header.base()),
        Body::Heartbeat(_) => Some(datagram.header.base()),
        _ => None,
    }
}
