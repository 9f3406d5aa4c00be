//! Transcripts in virtual time: what comes in, and every datagram and event that goes out.

mod bounds;
mod carriers;
mod crying;
mod end;
mod flow;
mod lines;
mod model;
mod naks;
mod receivers;
mod shed;
mod streams;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Destination;
use super::FlowPolicy;
use super::LineId;
use super::LineKind;
use super::Origin;
use super::RepairSent;
use super::Sender;
use super::SenderEvent;
use super::SenderSettings;
use super::Transmit;
use crate::history::Read;
use crate::history::Repair;
use crate::history::Ring;
use crate::history::RingSettings;
use crate::history::Stamp;
use crate::history::Writer;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::time::Time;
use crate::wire;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::FrameFlags;
use crate::wire::Head;
use crate::wire::Heartbeat;
use crate::wire::RangeEntry;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::Status;
use crate::wire::StreamId;
use crate::wire::Token;

const STREAM: StreamId = StreamId(7);
const SESSION: SessionId = SessionId(77);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Payload of each message, one message a batch, and what such a batch comes to on the wire and in charge.
const PAYLOAD: usize = 964;
const BATCH: u64 = 1_000;
const CHARGE: u64 = 1_024 + 2 * BATCH;
/// The window that test receivers report: ten batches.
const WINDOW: u32 = 10 * CHARGE as u32;

/// A publisher's machine with its ring, and receivers that are said to be `r1`, `r2` … at 10.0.0.1, 10.0.0.2 …
struct Rig {
    sender: Sender,
    writer: Writer,
    ring: Arc<Ring>,
    now: Time,
    tokens: BTreeMap<(u64, SocketAddr), Token>,
    repair: Repair,
}

/// A STATUS before it is encoded.
#[derive(Clone, Copy)]
struct Says {
    next: u64,
    window: u32,
    flags: u16,
    time: u64,
    rtt_us: u32,
}

fn at(next: u64) -> Says {
    Says { next, window: WINDOW, flags: 0, time: 0, rtt_us: 0 }
}

fn home(id: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, (id >> 8) as u8, id as u8], 9_000))
}

fn drop_policy() -> FlowPolicy {
    FlowPolicy::Drop { pace: 100 * MS, free_running: false }
}

fn block_policy() -> FlowPolicy {
    FlowPolicy::Block { patience: 5 * SECOND }
}

fn settings(policy: FlowPolicy) -> SenderSettings {
    SenderSettings { policy, ..SenderSettings::new(STREAM, SESSION, [1, 2]) }
}

impl Rig {
    /// A rig whose first heartbeat has gone.
    fn new(settings: SenderSettings) -> Self {
        let ring =
            RingSettings { bytes: 0, datagram: 1_400, stream: STREAM, session: SESSION, timestamps: false };
        let (writer, ring) = Ring::new(ring);
        let sender = Sender::new(settings, Time::ZERO);
        let mut rig =
            Self { sender, writer, ring, now: Time::ZERO, tokens: BTreeMap::new(), repair: Repair::new() };
        assert_eq!(rig.drain(), ["heartbeat 0"]);
        rig
    }

    /// Sends `batches` of one message each, unseen by the machine.
    fn publish(&mut self, batches: u64) {
        for _ in 0..batches {
            self.seal();
            self.writer.open().advance(1);
        }
    }

    /// Seals a batch of one message, without sending it.
    fn seal(&mut self) {
        let mut open = self.writer.open();
        if !open.has_room() {
            open.next_train();
        }
        open.append(FrameFlags::WHOLE, b"", &[0; PAYLOAD]).expect("room for a message");
        open.seal(Stamp::default(), false);
    }

    /// Sends batches of 300 empty messages each.
    fn publish_small(&mut self, batches: u64) {
        let mut open = self.writer.open();
        for _ in 0..batches {
            for _ in 0..300 {
                open.append(FrameFlags::WHOLE, b"", b"").expect("room for a message");
            }
            open.seal(Stamp::default(), false);
            open.advance(1);
        }
    }

    /// Lets `span` pass, waking the machine whenever it asks for it and sending what it has; gives what was sent,
    /// each line behind the time in µs.
    fn pass(&mut self, span: Duration) -> Vec<String> {
        let (end, mut lines) = (self.now + span, Vec::new());
        while let Some(next) = self.sender.next_timeout().filter(|next| *next <= end) {
            assert!(next >= self.now, "a timeout in the past: the caller would spin");
            self.now = next;
            self.sender.handle_timeout(self.now, &self.ring);
            let micros = self.now.0 / 1_000;
            lines.extend(self.drain().into_iter().map(|line| format!("{micros} {line}")));
        }
        self.now = end;
        lines
    }

    /// As [`Rig::pass`], without saying what was sent, or waking it at the end.
    fn skip(&mut self, span: Duration) {
        self.pass(span);
    }

    fn status_from(&mut self, from: SocketAddr, id: u64, token: Token, says: Says) -> Vec<String> {
        let bytes = self.encode_status(id, token, says);
        self.hand_in(from, &bytes)
    }

    fn encode_status(&self, id: u64, token: Token, says: Says) -> Vec<u8> {
        let status = Status {
            receiver: id.into(),
            token: token.0.into(),
            time: says.time.into(),
            window: says.window.into(),
            rtt_us: says.rtt_us.into(),
            delivered: says.next.into(),
            lost: 0.into(),
            naks: 0.into(),
            kernel_drops: 0.into(),
            lag_us: 0.into(),
            flags: says.flags.into(),
            zero: 0.into(),
        };
        let mut bytes = Vec::new();
        wire::encode_status(&mut bytes, &self.head(says.next), &status);
        bytes
    }

    /// A STATUS of a receiver that has its token, if it was given one.
    fn status(&mut self, id: u64, says: Says) -> Vec<String> {
        let token = self.token(id);
        self.status_from(home(id), id, token, says)
    }

    /// A receiver comes and proves its address.
    fn join(&mut self, id: u64, says: Says) {
        let lines = self.status(id, says);
        assert_eq!(lines, [format!("welcome r{id} to r{id}")]);
        assert_eq!(self.status(id, says), [""; 0]);
        assert_eq!(self.events(), [format!("up r{id}")]);
    }

    fn nak(&mut self, id: u64, ranges: &[(u64, u64)]) -> Vec<String> {
        let token = self.token(id);
        self.nak_from(home(id), id, token, ranges)
    }

    /// A NAK that is not answered yet.
    fn ask(&mut self, id: u64, ranges: &[(u64, u64)]) {
        let bytes = self.encode_nak(id, self.token(id), ranges);
        self.take_in(home(id), &bytes);
    }

    fn nak_from(&mut self, from: SocketAddr, id: u64, token: Token, ranges: &[(u64, u64)]) -> Vec<String> {
        let bytes = self.encode_nak(id, token, ranges);
        self.hand_in(from, &bytes)
    }

    fn encode_nak(&self, id: u64, token: Token, ranges: &[(u64, u64)]) -> Vec<u8> {
        let range = |(from, to): &(u64, u64)| RangeEntry::new(OffsetRange::new(Offset(*from), Offset(*to)));
        let ranges: Vec<_> = ranges.iter().map(range).collect();
        let mut bytes = Vec::new();
        wire::encode_nak(&mut bytes, &self.head(0), (ReceiverId(id), token), &ranges);
        bytes
    }

    fn head(&self, base: u64) -> Head {
        Head { stream: STREAM, session: SESSION, base: Offset(base), ..Head::default() }
    }

    fn token(&self, id: u64) -> Token {
        self.tokens.get(&(id, home(id))).copied().unwrap_or_default()
    }

    /// Hands in a datagram and sends what follows from it.
    fn hand_in(&mut self, from: impl Into<Origin>, bytes: &[u8]) -> Vec<String> {
        self.take_in(from, bytes);
        self.drain()
    }

    fn take_in(&mut self, from: impl Into<Origin>, bytes: &[u8]) {
        let datagram = Datagram::decode(bytes).expect("a datagram of ours");
        self.sender.handle_datagram(self.now, from, &datagram, &self.ring);
    }

    /// Sends all there is, as a driver does, and says what it was.
    fn drain(&mut self) -> Vec<String> {
        self.drain_most(usize::MAX)
    }

    /// As [`Rig::drain`], but no more than `most` of it.
    fn drain_most(&mut self, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < most
            && let Some(transmit) = self.sender.peek_transmit(self.now, &self.ring)
        {
            match transmit {
                Transmit::Datagram { to, bytes } => {
                    if let Body::Welcome(welcome) = Datagram::decode(bytes).expect("sound").body {
                        let Destination::Peer(to) = to else { unreachable!("to a receiver") };
                        self.tokens.insert((welcome.receiver.get(), to.address), Token(welcome.token.get()));
                    }
                    lines.push(line(to, bytes));
                    self.sender.sent(self.now, None);
                }
                Transmit::Repair { to, range } => match self.ring.read(range, &mut self.repair) {
                    Read::Copied => {
                        let covers = self.repair.covers();
                        lines.push(format!("repair {covers}{}", target(to)));
                        self.sender
                            .sent(self.now, Some(RepairSent { covers, bytes: self.repair.bytes().len() }));
                    }
                    Read::Gone { oldest } => self.sender.refused(oldest),
                    Read::Busy | Read::Unsent => unreachable!("nobody else is at work"),
                },
            }
        }
        lines
    }

    fn events(&mut self) -> Vec<String> {
        core::iter::from_fn(|| self.sender.poll_event()).map(event).collect()
    }
}

fn target(to: Destination) -> String {
    match to {
        Destination::Group | Destination::Everywhere => String::new(),
        Destination::Peer(Origin { address: SocketAddr::V4(to), line }) => {
            let [.., high, low] = to.ip().octets();
            let along = if line == LineId(0) { String::new() } else { format!(" on {}", line.0) };
            format!(" to r{}{along}", u16::from_be_bytes([high, low]))
        }
        Destination::Peer(to) => format!(" to {}", to.address),
    }
}

fn line(to: Destination, bytes: &[u8]) -> String {
    let datagram = Datagram::decode(bytes).expect("what is sent is sound");
    let (base, to) = (datagram.header.base(), target(to));
    let poll = |flags: u16| if flags & Heartbeat::POLL == 0 { "" } else { " poll" };
    match datagram.body {
        Body::Heartbeat(heartbeat) => format!("heartbeat {base}{}{to}", poll(heartbeat.flags.get())),
        Body::End(heartbeat) => format!("end {base}{}{to}", poll(heartbeat.flags.get())),
        Body::Welcome(welcome) => format!("welcome r{}{to}", welcome.receiver.get()),
        Body::Gone(gone) => {
            let entries =
                gone.iter().map(|one| format!("{} {:?}", one.range(), one.reason().expect("a reason")));
            format!("gone {}{to}", entries.collect::<Vec<_>>().join(", "))
        }
        Body::Shed(shed, ranges) => {
            let ranges: Vec<_> = ranges.iter().map(|one| one.range().to_string()).collect();
            format!("shed {} for {} us{to}", ranges.join(", "), shed.retry_after_us())
        }
        Body::Data(_)
        | Body::Nak(..)
        | Body::Status(_)
        | Body::Hello(..)
        | Body::Close(_)
        | Body::Rows(..) => {
            unreachable!("a machine sends none")
        }
    }
}

fn event(event: SenderEvent) -> String {
    match event {
        SenderEvent::ReceiverUp { receiver, .. } => format!("up r{}", receiver.0),
        SenderEvent::ReceiverDown { receiver, leaving: true, .. } => format!("left r{}", receiver.0),
        SenderEvent::ReceiverDown { receiver, leaving: false, .. } => format!("silent r{}", receiver.0),
        SenderEvent::ReceiverSlow { receiver, behind, .. } => format!("slow r{} by {behind}", receiver.0),
        SenderEvent::ReceiverCutOff { receiver, next, .. } => format!("cut off r{} at {next}", receiver.0),
        SenderEvent::ReceiverEvicted { receiver, next, .. } => format!("evicted r{} at {next}", receiver.0),
    }
}
