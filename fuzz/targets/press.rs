//! A well-behaved publisher: a real ring and a real sender.
//!
//! A ring is 0.7 MiB of touched memory, far dearer than what a target does with it, so each thread has one that serves
//! every input. It has gone round before the first, and positions are said relative to where an input finds it.

use core::net::SocketAddr;
use core::time::Duration;
use std::cell::RefCell;
use std::sync::Arc;

use nakcast::SessionId;
use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::Stamp;
use nakcast::history::Writer;
use nakcast::history::charge;
use nakcast::protocol::Destination;
use nakcast::protocol::FlowPolicy;
use nakcast::protocol::RepairSent;
use nakcast::protocol::Sender;
use nakcast::protocol::SenderSettings;
use nakcast::protocol::Transmit;
use nakcast::time::Time;
use nakcast::wire::Datagram;
use nakcast::wire::FrameFlags;

use super::forge::STREAM;

/// The session of the well-behaved publisher.
pub const SESSION: SessionId = SessionId(0x600D);
/// Bytes of its datagrams.
pub const DATAGRAM: usize = 512;
/// More than the opening has, and more than the ring holds.
const PAST: u64 = 1_100;
const PADDING: usize = 440;

/// The ring, its writer, and a buffer for repairs.
struct Press {
    writer: Writer,
    ring: Arc<Ring>,
    repair: Repair,
}

thread_local! {
    static PRESS: RefCell<Option<Press>> = const { RefCell::new(None) };
}

impl Press {
    fn new() -> Self {
        let settings = RingSettings {
            bytes: 0,
            datagram: DATAGRAM,
            stream: STREAM,
            session: SESSION,
            timestamps: false,
        };
        let (writer, ring) = Ring::new(settings);
        let mut press = Self { writer, ring, repair: Repair::new() };
        for _ in 0..PAST {
            press.seal(PADDING);
            press.writer.open().advance(1);
        }
        press
    }

    /// Seals a batch of one message that names its offset.
    fn seal(&mut self, padding: usize) {
        let mut open = self.writer.open();
        if !open.has_room() {
            let waiting = open.unsent().sizes.len();
            open.advance(waiting);
            open.next_train();
        }
        let mut payload = [0x50; 8 + PADDING];
        payload[..8].copy_from_slice(&open.held().end.0.to_le_bytes());
        open.append(FrameFlags::WHOLE, b"s", &payload[..8 + padding]).expect("room for a message");
        open.seal(Stamp::default(), false);
    }
}

/// A publisher for one input.
pub struct Publisher {
    press: Option<Press>,
    /// Its machine.
    pub sender: Sender,
    /// Where in the session the input found it.
    pub start: u64,
    /// When a heartbeat was last seen to leave.
    pub heartbeat: Time,
    /// Messages that wait for the limit.
    waiting: u32,
}

impl Drop for Publisher {
    /// Gives the ring back with nothing unsent, for the next input.
    fn drop(&mut self) {
        if let Some(mut press) = self.press.take() {
            press.writer.open().advance(usize::MAX);
            PRESS.with_borrow_mut(|place| *place = Some(press));
        }
    }
}

impl Publisher {
    /// A publisher that has told nobody of itself.
    pub fn new(settings: SenderSettings, now: Time) -> Self {
        let press = PRESS.with_borrow_mut(Option::take).unwrap_or_else(Press::new);
        let start = press.ring.sent().0;
        Self { press: Some(press), sender: Sender::new(settings, now), start, heartbeat: now, waiting: 0 }
    }

    /// Settings with short times.
    pub fn settings(policy: FlowPolicy) -> SenderSettings {
        SenderSettings {
            policy,
            receivers: 4,
            live_for: Duration::from_millis(600),
            repair_floor: 64 << 10,
            ..SenderSettings::new(STREAM, SESSION, [1, 2])
        }
    }

    /// The ring.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.press.as_ref().expect("it is there until the end").ring
    }

    /// Publishes a message, at once or when there is room.
    pub fn publish(&mut self) {
        self.waiting += 1;
    }

    /// How many messages wait for room.
    pub fn waiting(&self) -> u32 {
        let unsent = self.press.as_ref().map_or(0, |press| press.ring.next().since(press.ring.sent()));
        self.waiting + unsent as u32
    }

    /// Seals a batch, so many bytes short, and does not send it yet.
    pub fn seal(&mut self, short: u8) {
        if let Some(press) = &mut self.press {
            press.seal(PADDING - usize::from(short));
        }
    }

    /// Takes in a datagram if it is one.
    pub fn receive(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        let Ok(datagram) = Datagram::decode(bytes) else { return };
        let ring = Arc::clone(self.ring());
        self.sender.handle_datagram(now, from, &datagram, &ring);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        let ring = Arc::clone(self.ring());
        self.sender.handle_timeout(now, &ring);
    }

    /// Sends all there is; `each` sees it.
    pub fn serve(&mut self, now: Time, mut each: impl FnMut(Destination, &[u8])) {
        self.advance(now, &mut each);
        let Some(press) = &mut self.press else { return };
        while let Some(transmit) = self.sender.peek_transmit(now, &press.ring) {
            let sent = match transmit {
                Transmit::Datagram { to, bytes } => {
                    each(to, bytes);
                    let is_heartbeat = bytes[2] == 0x12 || bytes[2] == 0x13;
                    self.heartbeat = if is_heartbeat { now } else { self.heartbeat };
                    None
                }
                Transmit::Repair { to, range } => match press.ring.read(range, &mut press.repair) {
                    Read::Copied => {
                        press.repair.datagrams().for_each(|bytes| each(to, bytes));
                        Some(RepairSent { covers: press.repair.covers(), bytes: press.repair.bytes().len() })
                    }
                    Read::Gone { oldest } => {
                        self.sender.refused(oldest);
                        continue;
                    }
                    Read::Busy | Read::Unsent => unreachable!("nobody else is at work"),
                },
            };
            self.sender.sent(now, sent);
        }
    }

    /// Publishes what waits as far as the limit goes, and tells the machine whether it holds.
    fn advance(&mut self, now: Time, each: &mut impl FnMut(Destination, &[u8])) {
        let Some(press) = &mut self.press else { return };
        loop {
            let mut open = press.writer.open();
            let run = open.unsent();
            let size = run.sizes.first().map(|size| usize::from(*size));
            let Some(size) = size else {
                drop(open);
                if self.waiting == 0 {
                    self.sender.set_held(now, false);
                    break;
                }
                self.waiting -= 1;
                press.seal(PADDING);
                continue;
            };
            if self.sender.limit().is_some_and(|limit| press.ring.charge_sent() + charge(size) > limit) {
                self.sender.set_held(now, true);
                break;
            }
            each(Destination::Group, &run.bytes[..size]);
            open.advance(1);
        }
        self.sender.handle_timeout(now, &press.ring);
    }
}
