//! Asking a publisher at its own address to be sent a copy: the format's page *Joining*, from the other side.
//!
//! While no source is heard from there, a STATUS of session 0 asks who is there, and, once its WELCOME has brought the token,
//! proves this address. Then the source's own reports keep the place; where those go by another line, one is sent here
//! every second.

use core::net::SocketAddr;
use core::time::Duration;

use zerocopy::FromZeros;

use crate::offset::Offset;
use crate::protocol::Origin;
use crate::protocol::Receiver;
use crate::protocol::receiver::outgoing;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Head;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::Status;
use crate::wire::Token;
use crate::wire::Welcome;

/// How long the first question waits for an answer; each one after it twice as long, and the longest.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);
/// How often a place is kept that reports by another line do not keep. A publisher forgets it after 5 s.
const KEEP: Duration = Duration::from_secs(1);

/// A publisher that is asked.
#[derive(Debug)]
pub(super) struct Join {
    at: Origin,
    due: Time,
    wait: Duration,
    /// The time of the STATUS that waits for its WELCOME.
    asked: Option<u64>,
    token: Token,
}

/// What a publisher is told: session 0 while it is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Unheard,
    /// By the source's own reports.
    Kept,
    Elsewhere(SessionId, Offset),
}

impl Receiver {
    /// Asks the publisher at `at`, an address of its own, to be sent a copy by that line: now, and whenever it is not heard.
    pub fn join(&mut self, now: Time, at: Origin) {
        self.joins.push(Join { at, due: now, wait: FIRST, asked: None, token: Token(0) });
    }

    /// When the next publisher is to be asked.
    pub(super) fn join_due(&self) -> Option<Time> {
        self.joins.iter().map(|join| join.due).min()
    }

    /// The last word to all of them.
    pub(super) fn leave_joined(&mut self, now: Time) {
        self.joins.iter_mut().for_each(|join| join.due = now);
    }

    fn place_at(&self, at: &Origin) -> Place {
        let mut up = self.sources.iter().filter(|source| source.down.is_none());
        match up.find(|source| source.is_from(at)) {
            None => Place::Unheard,
            Some(source) if source.lines.is_main(at.line) => Place::Kept,
            Some(source) => Place::Elsewhere(source.session, source.next),
        }
    }

    /// Makes the next STATUS of those that are due.
    pub(super) fn next_join(&mut self, now: Time) -> Option<SocketAddr> {
        for index in 0..self.joins.len() {
            let Some(at) = self.joins.get(index).filter(|join| join.due <= now).map(|join| join.at) else {
                continue;
            };
            let place = self.place_at(&at);
            let is_leaving = self.leaving;
            let Some(join) = self.joins.get_mut(index) else { continue };
            let (session, base) = match place {
                Place::Unheard => {
                    (join.due, join.wait) = (now + join.wait, (join.wait * 2).min(LONGEST));
                    (SessionId(0), Offset::ZERO)
                }
                Place::Kept => {
                    (join.due, join.wait) = (now + KEEP, FIRST);
                    continue;
                }
                Place::Elsewhere(session, next) => {
                    (join.due, join.wait) = (now + KEEP, FIRST);
                    (session, next)
                }
            };
            if is_leaving {
                join.due = Time(u64::MAX);
                if place == Place::Unheard {
                    continue;
                }
            }
            // One more than it is: 0 means none.
            let time = now.0.saturating_add(1);
            join.asked = Some(time);
            self.show_join(&at, (session, base), time, index);
            return Some(at.address);
        }
        None
    }

    fn show_join(&mut self, at: &Origin, (session, base): (SessionId, Offset), time: u64, index: usize) {
        let token = self.joins.get(index).map_or(Token(0), |join| join.token);
        let window = u32::try_from(self.window()).unwrap_or(u32::MAX);
        let status = Status {
            receiver: self.settings.receiver.0.into(),
            token: token.0.into(),
            time: time.into(),
            window: window.into(),
            flags: self.status_flags().into(),
            ..Status::new_zeroed()
        };
        let head = Head { stream: self.settings.stream, session, base, ..Head::default() };
        self.outgoing.line = at.line;
        outgoing::show_status(&mut self.outgoing, &head, &status);
        self.stats.statuses += 1;
    }

    /// The same of any datagram that belongs to no source yet, or not to one that is heard there.
    #[cold]
    pub(super) fn is_join_answer(&mut self, now: Time, origin: &Origin, datagram: &Datagram<'_>) -> bool {
        matches!(datagram.body, Body::Welcome(welcome) if self.on_join_welcome(now, origin, welcome))
    }

    /// Whether a WELCOME answers the question that waits for one: then the next one proves this address, at once.
    pub(super) fn on_join_welcome(&mut self, now: Time, origin: &Origin, welcome: &Welcome) -> bool {
        let is_ours = ReceiverId(welcome.receiver.get()) == self.settings.receiver;
        let answers = |join: &&mut Join| join.at == *origin && join.asked == Some(welcome.echo.get());
        let Some(join) = self.joins.iter_mut().find(answers).filter(|_| is_ours) else { return false };
        let is_new = join.token.0 != welcome.token.get();
        (join.asked, join.token) = (None, Token(welcome.token.get()));
        if is_new {
            join.due = now;
        }
        true
    }
}
