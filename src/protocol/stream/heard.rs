//! What a subscriber says over its connection.

use crate::history::Ring;
use crate::offset::Offset;
use crate::protocol::Prefixes;
use crate::protocol::stream::Feed;
use crate::protocol::stream::Phase;
use crate::time::Time;
use crate::wire;
use crate::wire::Body;
use crate::wire::CloseReason;
use crate::wire::Datagram;
use crate::wire::Header;
use crate::wire::Hello;
use crate::wire::HelloStart;
use crate::wire::ReceiverId;
use crate::wire::RowEntry;
use crate::wire::SessionId;
use crate::wire::Status;
use crate::wire::Token;
use crate::wire::Welcome;

/// Answers to STATUS are dropped while so many bytes wait: a peer that does not read needs no round trip.
const MOST_ANSWERS: usize = 4_096;
/// Questions for rows are dropped while so many bytes wait.
const MOST_ROWS: usize = 16_384;
/// What a WELCOME bears: the connection proves the address, and only 0 would mean that nothing is proved.
const PROVED: Token = Token(1);

/// What a datagram that came was, for whoever keeps account of subscribers.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// A subscriber has come.
    Hello {
        /// Who.
        receiver: ReceiverId,
        /// It only looks on.
        is_observer: bool,
    },
    /// A report of the subscriber, with the next offset it wants.
    Status(Offset, &'a Status),
    /// Somebody asks for the rows of receivers, from this one on: answer with [`Feed::tell_rows`].
    Rows(ReceiverId),
    /// Nothing that anybody else has to know of: what was refused, too.
    Nothing,
}

impl Feed {
    /// Takes in a datagram that came over the connection. What a subscriber does not send ends the connection with
    /// CLOSE BROKEN.
    pub fn handle<'a>(&mut self, now: Time, datagram: &Datagram<'a>, ring: &Ring) -> Heard<'a> {
        match (self.phase, datagram.body) {
            (Phase::Waiting, Body::Hello(hello, _)) if hello.wants_rows() => {
                self.on_rows_wanted(now, datagram.header)
            }
            (_, Body::Hello(hello, _)) if hello.wants_rows() && self.receiver.is_some() => self.on_broken(),
            (Phase::Ending | Phase::Closing(_), Body::Hello(..)) => Heard::Nothing,
            (_, Body::Hello(hello, topics)) => {
                let is_first = self.receiver.is_none();
                let heard = self.on_hello(now, (datagram.header, hello), ring);
                self.choose(now, (Prefixes::new(topics), is_first), ring);
                heard
            }
            (Phase::Following | Phase::Ending, Body::Status(status)) => {
                self.on_status((datagram.header, status))
            }
            (Phase::Closing(_), _) => Heard::Nothing,
            _ => self.on_broken(),
        }
    }

    /// What came is no datagram, or none that a subscriber sends.
    pub fn handle_broken(&mut self) {
        self.on_broken();
    }

    fn on_hello<'a>(&mut self, now: Time, (header, hello): (&Header, &Hello), ring: &Ring) -> Heard<'a> {
        if header.stream() != self.settings.stream {
            self.close(CloseReason::Stream);
            return Heard::Nothing;
        }
        // Later ones only change topics.
        if let Some(receiver) = self.receiver {
            return if receiver == hello.receiver() { Heard::Nothing } else { self.on_broken() };
        }
        let session = header.session();
        let is_same = session == SessionId(0) || session == self.settings.session;
        let end = ring.sent().max(ring.next());
        let start = match hello.start() {
            _ if !is_same => Offset::ZERO,
            Some(HelloStart::Live) => ring.sent(),
            Some(HelloStart::Earliest) => ring.oldest(),
            Some(HelloStart::At) if header.base() <= end => header.base(),
            _ => return self.on_broken(),
        };
        (self.receiver, self.is_observer) = (Some(hello.receiver()), hello.is_observer());
        (self.phase, self.cursor, self.to) = (Phase::Following, start, hello.to());
        self.confirmed = start;
        // The greeting is no promise to have it: GONE follows for what the ring has lost already.
        self.active_at = now;
        self.say(ring, 1, false);
        Heard::Hello { receiver: hello.receiver(), is_observer: self.is_observer }
    }

    fn on_rows_wanted<'a>(&mut self, now: Time, header: &Header) -> Heard<'a> {
        if header.stream() != self.settings.stream {
            self.close(CloseReason::Stream);
            return Heard::Nothing;
        }
        if self.pending.len() >= MOST_ROWS {
            return Heard::Nothing;
        }
        self.active_at = now;
        Heard::Rows(ReceiverId(header.base().0))
    }

    /// Answers who asked for rows: with the first of `rows`, of which there are so many.
    pub fn tell_rows(&mut self, sent: Offset, rows: &[RowEntry], all: usize) {
        let left = u32::try_from(all.saturating_sub(rows.len())).unwrap_or(u32::MAX);
        let head = self.head(sent);
        wire::encode_rows(&mut self.encoded, &head, left, rows);
        self.push_encoded();
    }

    fn on_status<'a>(&mut self, (header, status): (&Header, &'a Status)) -> Heard<'a> {
        let ours = header.stream() == self.settings.stream && header.session() == self.settings.session;
        if !ours || Some(status.receiver()) != self.receiver {
            // It was under way when its sender learned of another session, or it is nobody's.
            return Heard::Nothing;
        }
        if status.time.get() != 0 && self.pending.len() < MOST_ANSWERS {
            let welcome = Welcome { receiver: status.receiver, token: PROVED.0.into(), echo: status.time };
            let head = self.head(Offset::ZERO);
            if self.phase == Phase::Following {
                wire::encode_welcome(&mut self.encoded, &head, &welcome);
                self.push_encoded();
            }
        }
        if header.base() <= self.cursor {
            self.confirmed = self.confirmed.max(header.base());
        }
        self.is_confirmed |= self.is_over() && header.base() >= self.cursor;
        Heard::Status(header.base(), status)
    }

    fn on_broken<'a>(&mut self) -> Heard<'a> {
        self.close(CloseReason::Broken);
        Heard::Nothing
    }
}
