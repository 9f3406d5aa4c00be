//! Who becomes a source: first contact, replacement, a session that moves.

use core::net::SocketAddr;
use std::collections::VecDeque;

use crate::offset::Offset;
use crate::protocol::DownReason;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::Up;
use crate::protocol::receiver::source::FirstHeard;
use crate::protocol::receiver::source::Source;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::SessionId;

/// Replaced sessions remembered: a replay of one cannot revive it.
const REPLACED: usize = 64;

/// Sessions that never come back, and one that seems to have moved.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    replaced: VecDeque<SessionId>,
    moving: Option<(SessionId, SocketAddr, Offset)>,
}

impl Sessions {
    fn retire(&mut self, session: SessionId) {
        if self.replaced.len() >= REPLACED {
            self.replaced.pop_front();
        }
        self.replaced.push_back(session);
    }
}

impl Receiver {
    /// The source that a datagram belongs to, which it may bring up; `None` when it is refused, and counted.
    pub(super) fn source_of(
        &mut self,
        now: Time,
        from: SocketAddr,
        datagram: &Datagram<'_>,
    ) -> Option<SourceKey> {
        let session = datagram.header.session();
        let is_latest = self.sources.get(self.latest).is_some_and(|source| source.session == session);
        let index = if is_latest {
            self.latest
        } else if let Some(index) = self.sources.iter().position(|source| source.session == session) {
            index
        } else {
            self.admit(now, from, datagram)?
        };
        let source = self.sources.get_mut(index)?;
        if source.is_replaced() {
            self.stats.replaced_session += 1;
            return None;
        }
        if source.address != from && !self.follow(index, from, datagram) {
            self.stats.strange_address += 1;
            return None;
        }
        self.latest = index;
        let key = SourceKey(u16::try_from(index).ok()?);
        self.hear(key, now, datagram);
        Some(key)
    }

    fn hear(&mut self, key: SourceKey, now: Time, datagram: &Datagram<'_>) {
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        source.last_heard = source.last_heard.max(now);
        if source.revive(news(datagram)) {
            source.report.bring_forward(now);
            let (session, address, from) = (source.session, source.address, source.next);
            self.ups.push(Up { source: key, session, address, from, replaces: None });
        }
    }

    /// A session that is silent where it was may go on at another address, once two datagrams agree.
    fn follow(&mut self, index: usize, from: SocketAddr, datagram: &Datagram<'_>) -> bool {
        let Some(source) = self.sources.get_mut(index) else { return false };
        let base = datagram.header.base();
        let is_silent = source.down == Some(DownReason::Silent);
        if !is_silent || !matches!(datagram.body, Body::Data(_) | Body::Heartbeat(_)) {
            return false;
        }
        let agrees = |&(session, address, at): &(SessionId, SocketAddr, Offset)| {
            session == source.session && address == from && base >= at && base.since(at) <= source.span()
        };
        if !self.sessions.moving.as_ref().is_some_and(agrees) {
            self.sessions.moving = Some((source.session, from, base));
            return false;
        }
        source.address = from;
        self.sessions.moving = None;
        true
    }

    fn admit(&mut self, now: Time, from: SocketAddr, datagram: &Datagram<'_>) -> Option<usize> {
        let session = datagram.header.session();
        if self.sessions.replaced.contains(&session) {
            self.stats.replaced_session += 1;
            return None;
        }
        let Some(start) = first_offset(datagram) else {
            self.stats.unknown_session += 1;
            return None;
        };
        let index = self.place()?;
        let replaces = self.replace(from, now);
        let source = Source::new(self.settings, FirstHeard { session, address: from, start }, now);
        match self.sources.get_mut(index) {
            Some(vacant) => *vacant = source,
            None => self.sources.push(source),
        }
        let source = SourceKey(u16::try_from(index).ok()?);
        self.ups.push(Up { source, session, address: from, from: start, replaces });
        Some(index)
    }

    /// The source that a new one from `from` takes the place of: the last one from the same address and port, or one
    /// from the same address that ended or fell silent.
    fn replace(&mut self, from: SocketAddr, now: Time) -> Option<SessionId> {
        let same = |source: &Source| source.address == from;
        let gone = |source: &Source| source.address.ip() == from.ip() && source.down.is_some();
        let fresh = |source: &Source| source.down != Some(DownReason::Replaced);
        let candidates =
            self.sources.iter_mut().filter(|source| fresh(source) && (same(source) || gone(source)));
        let old = candidates.max_by_key(|source| (source.address == from, source.last_heard))?;
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

    /// Where the next source goes: a new row, or that of the one down for longest.
    fn place(&mut self) -> Option<usize> {
        if self.sources.len() < self.settings.sources {
            return Some(self.sources.len());
        }
        let down = self.sources.iter().enumerate().filter(|(_, source)| source.down.is_some());
        let oldest = down.min_by_key(|(_, source)| source.last_heard).map(|(index, _)| index);
        match oldest.and_then(|index| Some((index, self.sources.get(index)?.session))) {
            Some((index, session)) => {
                self.sessions.retire(session);
                self.outgoing.forget(index);
                Some(index)
            }
            None => {
                self.stats.refused_sources += 1;
                None
            }
        }
    }
}

/// How far a datagram says that its source has gone on; nothing new is told by a repair, or by an END.
fn news(datagram: &Datagram<'_>) -> Offset {
    match datagram.body {
        Body::Data(_) if !datagram.header.flags().has(Flags::REPAIR) => datagram.header.range().to,
        Body::Heartbeat(_) => datagram.header.base(),
        _ => Offset::ZERO,
    }
}

/// Where the messages of a source begin for somebody who hears `datagram` first; `None` when that is no beginning.
///
/// In its opening a session is joined from offset 0. Later, only an original batch or a heartbeat tells the present:
/// a repair is about the past, and an END says that there is nothing to come.
fn first_offset(datagram: &Datagram<'_>) -> Option<Offset> {
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
