//! A subscriber that comes late, for tests: what it hears live and over a connection, and what it tells.

use super::*;
use crate::protocol::Beginning;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;
use crate::wire::Heartbeat;

pub(super) const PORT: u16 = 7_001;

pub(super) fn home() -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 1], 4_000))
}

pub(super) const PAYLOAD: &[u8] = &[b'x'; 100];
/// Bytes of a batch of one message.
pub(super) const BATCH: usize = 32 + 4 + 100;
pub(super) const SESSION: u64 = 5;

/// A subscriber that wants the past, and what it told its user.
pub(super) struct Late {
    pub(super) subscription: Subscription,
    now: Time,
    pub(super) session: u64,
    /// Who is heard.
    pub(super) home: SocketAddr,
    /// Whether the publisher answers STATUS.
    pub(super) answers: bool,
    told: Vec<String>,
}

impl Late {
    pub(super) fn new(beginning: Beginning, change: impl FnOnce(&mut ReceiverSettings)) -> Self {
        let receiver = ReceiverSettings::new(STREAM, ReceiverId(1), 1);
        let mut receiver = ReceiverSettings { beginning, fetches: true, ..receiver };
        change(&mut receiver);
        let subscription = Subscription::new(SubscriptionSettings::new(receiver));
        Self {
            subscription,
            now: Time::from_millis(1),
            session: SESSION,
            home: home(),
            answers: true,
            told: Vec::new(),
        }
    }

    /// One that is told by its first heartbeat of `[oldest, base)`.
    pub(super) fn joined(beginning: Beginning, (oldest, base): (u64, u64)) -> Self {
        let mut late = Self::new(beginning, |_| ());
        late.heartbeat(oldest, base, PORT);
        late
    }

    pub(super) fn head(&self, base: u64) -> Head {
        let session = SessionId(self.session);
        Head { stream: STREAM, session, base: Offset(base), flags: Flags::default() }
    }

    pub(super) fn batch(&self, from: u64, to: u64) -> Vec<u8> {
        let mut bytes = vec![0; 60_000];
        let mut end = 32;
        for _ in from..to {
            end += wire::put_frame(&mut bytes[end..], FrameFlags::WHOLE, b"", PAYLOAD).expect("room");
        }
        bytes.truncate(end);
        wire::seal_batch(&mut bytes, &self.head(from), u16::try_from(to - from).expect("few"));
        bytes
    }

    pub(super) fn live(&mut self, from: u64, to: u64) {
        let bytes = self.batch(from, to);
        self.subscription.handle_datagram(self.now, self.home, &bytes);
        self.steps(&bytes);
    }

    pub(super) fn history(&mut self, from: u64, to: u64) {
        let bytes = self.batch(from, to);
        self.fetch(&bytes);
    }

    pub(super) fn fetch(&mut self, bytes: &[u8]) {
        self.fetch_of(0, bytes);
    }

    pub(super) fn fetch_of(&mut self, source: u16, bytes: &[u8]) {
        assert!(self.subscription.handle_history(self.now, SourceKey(source), bytes));
        self.steps(bytes);
    }

    pub(super) fn gone(&mut self, from: u64, to: u64) {
        let entry = GoneEntry::new(OffsetRange::new(Offset(from), Offset(to)), GoneReason::Overrun);
        let mut bytes = Vec::new();
        wire::encode_gone(&mut bytes, &self.head(0), &[entry]);
        self.fetch(&bytes);
    }

    pub(super) fn heartbeat(&mut self, oldest: u64, base: u64, port: u16) {
        self.notice((oldest, base, port), false);
    }

    pub(super) fn notice(&mut self, (oldest, base, port): (u64, u64, u16), is_end: bool) {
        let zero = [0_u8; size_of::<Heartbeat>()];
        let heartbeat: Heartbeat = zerocopy::transmute!(zero);
        let heartbeat = Heartbeat { oldest: oldest.into(), tcp_port: port.into(), ..heartbeat };
        let mut bytes = Vec::new();
        let encode = if is_end { wire::encode_end } else { wire::encode_heartbeat };
        encode(&mut bytes, &self.head(base), &heartbeat);
        self.subscription.handle_datagram(self.now, self.home, &bytes);
        self.steps(&bytes);
        if self.answers {
            self.answer();
        }
    }

    /// Answers each STATUS that is due with WELCOME.
    fn answer(&mut self) {
        let (mut bytes, head) = (Vec::new(), self.head(0));
        while let Some((to, status)) = self.subscription.receiver().peek_transmit(self.now) {
            let datagram = Datagram::decode(status).expect("ours");
            let wire::Body::Status(status) = datagram.body else {
                self.subscription.receiver().sent();
                continue;
            };
            let head = Head { session: datagram.header.session(), ..head };
            let welcome = wire::Welcome { receiver: status.receiver, token: 9.into(), echo: status.time };
            wire::encode_welcome(&mut bytes, &head, &welcome);
            self.subscription.receiver().sent();
            self.subscription.handle_datagram(self.now, to, &bytes);
        }
    }

    /// Makes the connection that is wanted; gives where it begins.
    pub(super) fn connect(&mut self) -> Option<u64> {
        let wanted = self.subscription.receiver().wanted(self.now)?;
        assert_eq!((wanted.address.ip(), wanted.address.port()), (self.home.ip(), PORT));
        assert_eq!(wanted.session, SessionId(self.session));
        self.subscription.receiver().begin_history(wanted.source).map(|from| from.0)
    }

    /// Whose history is wanted now.
    pub(super) fn whose(&mut self) -> Option<u64> {
        self.subscription.receiver().wanted(self.now).map(|wanted| wanted.session.0)
    }

    pub(super) fn is_wanted(&mut self) -> bool {
        self.subscription.receiver().wanted(self.now).is_some()
    }

    /// Takes all steps; runs of messages are told as one.
    pub(super) fn steps(&mut self, bytes: &[u8]) {
        let mut run: Option<OffsetRange> = None;
        loop {
            let step = self.subscription.step(self.now, bytes);
            if let Step::Message(found) = step {
                assert_eq!(self.subscription.message(&found, bytes).1, PAYLOAD);
                match &mut run {
                    Some(run) if run.to == found.range.from => run.to = found.range.to,
                    _ => {
                        self.told.extend(run.replace(found.range).map(|run| run.to_string()));
                    }
                }
                continue;
            }
            self.told.extend(run.take().map(|run| run.to_string()));
            self.told.push(match step {
                Step::Lost { range, reason, .. } => format!("lost {range} {reason}"),
                Step::Up(up) => format!("up {} from {}", up.session.0, up.from),
                Step::Down { reason, heard, .. } => format!("down {reason} at {heard}"),
                _ => break,
            });
        }
        let rows: Vec<_> = self.subscription.receiver_ref().rows().map(|row| row.book).collect();
        for book in rows {
            assert!(book.heard >= book.start, "{book:?}");
            assert!(book.heard.since(book.start) >= book.decided(), "{book:?}");
        }
    }

    /// Lets time pass, and counts the NAKs.
    pub(super) fn pass(&mut self, millis: u64) -> u64 {
        self.now = Time(self.now.0 + 1_000_000 * millis);
        let receiver = self.subscription.receiver();
        receiver.handle_timeout(self.now);
        while receiver.peek_transmit(self.now).is_some() {
            receiver.sent();
        }
        let naks = receiver.rows().map(|row| row.stats.naks).sum();
        self.steps(&[]);
        naks
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        core::mem::take(&mut self.told)
    }

    pub(super) fn is_settled(&mut self) -> bool {
        let pending: u64 = self.subscription.receiver_ref().rows().map(|row| row.book.pending()).sum();
        !self.is_wanted() && pending == 0 && !self.subscription.receiver_ref().is_recovering()
    }
}

pub(super) fn at(offset: u64) -> Beginning {
    Beginning::At { session: SessionId(0), offset: Offset(offset) }
}
