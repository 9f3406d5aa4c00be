//! A subscriber with several lines, for tests: what it hears by each, what it tells, and what it sends by which.

use super::*;
use crate::protocol::LineCounters;
use crate::protocol::LineId;
use crate::protocol::LineNews;
use crate::protocol::Origin;
use crate::protocol::ReceiverStats;
use crate::wire::Body;
use crate::wire::Heartbeat;
use crate::wire::Welcome;

pub(super) const A: u8 = 0;
pub(super) const B: u8 = 1;
pub(super) const C: u8 = 2;
const SESSION: u64 = 5;
pub(super) const MS: u64 = 1_000_000;

/// A subscriber with several lines, what it told its user, and what it sent by which line.
pub(super) struct Lined {
    pub(super) subscription: Subscription,
    pub(super) now: Time,
    pub(super) session: u64,
    pub(super) flags: Flags,
    pub(super) messages: Vec<u64>,
    pub(super) told: Vec<String>,
    pub(super) sent: Vec<String>,
}

pub(super) fn host(number: u8, line: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, number], 4_000 + u16::from(line)))
}

impl Lined {
    pub(super) fn new(lines: u8, change: impl FnOnce(&mut ReceiverSettings)) -> Self {
        let mut receiver = ReceiverSettings::new(STREAM, ReceiverId(1), 1);
        receiver.lines = lines;
        change(&mut receiver);
        let subscription = Subscription::new(SubscriptionSettings::new(receiver));
        let (messages, told, sent) = (Vec::new(), Vec::new(), Vec::new());
        Self { subscription, now: Time(MS), session: SESSION, flags: Flags::OPENING, messages, told, sent }
    }

    pub(super) fn head(&self, base: u64) -> Head {
        Head { stream: STREAM, session: SessionId(self.session), base: Offset(base), flags: self.flags }
    }

    pub(super) fn take(&mut self, line: u8, address: SocketAddr, bytes: &[u8]) {
        let origin = Origin { address, line: LineId(line) };
        self.subscription.handle_datagram(self.now, origin, bytes);
        self.steps(bytes);
    }

    /// Messages `[from, to)` in one batch by a line, from a host.
    pub(super) fn data_from(&mut self, number: u8, line: u8, (from, to): (u64, u64)) {
        let (mut bytes, mut end) = (vec![0; 4_096], 32);
        for offset in from..to {
            end += wire::put_frame(&mut bytes[end..], FrameFlags::WHOLE, b"", &offset.to_le_bytes())
                .expect("room");
        }
        bytes.truncate(end);
        wire::seal_batch(&mut bytes, &self.head(from), (to - from) as u16);
        self.take(line, host(number, line), &bytes);
    }

    pub(super) fn data(&mut self, line: u8, from: u64, to: u64) {
        self.data_from(1, line, (from, to));
    }

    pub(super) fn position(&mut self, line: u8, base: u64, is_end: bool) {
        let zero = [0_u8; size_of::<Heartbeat>()];
        let heartbeat: Heartbeat = zerocopy::transmute!(zero);
        let mut bytes = Vec::new();
        let encode = if is_end { wire::encode_end } else { wire::encode_heartbeat };
        encode(&mut bytes, &self.head(base), &heartbeat);
        self.take(line, host(1, line), &bytes);
    }

    /// Answers the STATUS sent last, which had the time that it was.
    pub(super) fn welcome(&mut self, line: u8, token: u64, echo: u64) {
        let welcome = Welcome { receiver: 1.into(), token: token.into(), echo: echo.into() };
        let mut bytes = Vec::new();
        wire::encode_welcome(&mut bytes, &self.head(0), &welcome);
        self.take(line, host(1, line), &bytes);
    }

    pub(super) fn steps(&mut self, bytes: &[u8]) {
        loop {
            match self.subscription.step(self.now, bytes) {
                Step::Message(found) => {
                    let (_, payload) = self.subscription.message(&found, bytes);
                    let offset = u64::from_le_bytes(payload.try_into().expect("eight bytes"));
                    assert_eq!(offset, found.range.from.0);
                    self.messages.push(offset);
                }
                Step::Lost { range, reason, .. } => self.told.push(format!("lost {range} {reason}")),
                Step::Up(up) => self.told.push(format!("up {} from {}", up.session.0, up.from)),
                Step::Down { reason, heard, .. } => self.told.push(format!("down {reason} at {heard}")),
                Step::Need => return,
            }
        }
    }

    /// Lets time pass, does what is due, and notes what is sent.
    pub(super) fn pass(&mut self, micros: u64) {
        self.now = Time(self.now.0 + 1_000 * micros);
        let receiver = self.subscription.receiver();
        receiver.handle_timeout(self.now);
        while let Some(((line, to), bytes)) = receiver.peek_transmit_by(self.now) {
            let text = match Datagram::decode(bytes).expect("ours").body {
                Body::Nak(_, ranges) => {
                    let ranges: Vec<_> = ranges.iter().map(|range| range.range().to_string()).collect();
                    format!("NAK {}", ranges.join(" "))
                }
                Body::Status(status) if receiver_is_unheard(bytes) => format!("JOIN {}", status.token.get()),
                Body::Status(_) => "STATUS".to_owned(),
                other => unreachable!("{other:?}"),
            };
            self.sent.push(format!("{}:{} {text}", line.0, to.port()));
            receiver.sent();
        }
        self.steps(&[]);
    }

    pub(super) fn naks(&mut self) -> Vec<String> {
        core::mem::take(&mut self.sent).into_iter().filter(|sent| sent.contains("NAK")).collect()
    }

    pub(super) fn line(&self, line: u8) -> LineCounters {
        let rows = self.subscription.receiver_ref().rows().next().expect("a source");
        rows.lines().nth(usize::from(line)).expect("a line").stats
    }

    pub(super) fn counts(&self, line: u8) -> (u64, u64, u64) {
        let stats = self.line(line);
        (stats.first, stats.duplicate, stats.missed)
    }

    pub(super) fn stats(&self) -> &ReceiverStats {
        self.subscription.receiver_ref().stats()
    }

    pub(super) fn news(&mut self) -> Vec<LineNews> {
        core::iter::from_fn(|| self.subscription.receiver().poll_line()).collect()
    }
}

/// Whether a STATUS is of session 0.
fn receiver_is_unheard(bytes: &[u8]) -> bool {
    Datagram::decode(bytes).is_ok_and(|datagram| datagram.header.session() == SessionId(0))
}
