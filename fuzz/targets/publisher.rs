//! A publisher's machine, driven by NAK and STATUS that anybody could send, at any times.
//!
//! One receiver has proved its address before the first of them. Whatever the others say, its NAK is answered, and only
//! somebody proved can hold the publisher, for as long as its patience.

use core::net::SocketAddr;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::ReceiverId;
use nakcast::protocol::Destination;
use nakcast::protocol::FlowPolicy;
use nakcast::protocol::Origin;
use nakcast::protocol::Sender;
use nakcast::protocol::SenderSettings;
use nakcast::time::Time;
use nakcast::wire;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::Head;
use nakcast::wire::Kind;
use nakcast::wire::RangeEntry;
use nakcast::wire::Status;
use nakcast::wire::Token;

use super::canary;
use super::forge;
use super::forge::Claims;
use super::forge::STREAM;
use super::press;
use super::press::DATAGRAM;
use super::press::Publisher;
use super::script::Script;

/// The receiver that is there before all others.
const GOOD: ReceiverId = ReceiverId(1);
/// Places in the table of receivers.
const RECEIVERS: usize = 4;
/// Ranges that wait to be sent again.
const QUEUE: usize = 1_024;
/// The most things to take in, so that an input is soon over.
const TURNS: u32 = 48;
/// More than one turn may send: the queue of answers, and repairs.
const TRANSMITS: u64 = 4_096;
const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_millis(300);
/// A heartbeat leaves at least this often while the publisher is awake.
const HEARTBEAT: Duration = Duration::from_millis(101);
/// The most offsets that a test NAK asks for.
const ASKED: u64 = 3;

const KINDS: [Kind; 16] = [
    Kind::Nak,
    Kind::Nak,
    Kind::Nak,
    Kind::Nak,
    Kind::Nak,
    Kind::Nak,
    Kind::Status,
    Kind::Status,
    Kind::Status,
    Kind::Status,
    Kind::Status,
    Kind::Data,
    Kind::Heartbeat,
    Kind::Welcome,
    Kind::Gone,
    Kind::Shed,
];

/// Where receivers are: 0 is the good one's place.
fn place(pick: u8) -> SocketAddr {
    match pick % 6 {
        0 => SocketAddr::from(([10, 0, 2, 1], 9_000)),
        1 => SocketAddr::from(([10, 0, 2, 1], 9_001)),
        2 => SocketAddr::from(([0xFD00, 0, 0, 0, 0, 0, 0, 1], 9_000)),
        host => SocketAddr::from(([10, 0, 2, host], 9_000)),
    }
}

/// What was sent to one address, and what it has done for it.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    is_proved: bool,
    statuses: u64,
    welcomes: u64,
}

struct World {
    now: Time,
    publisher: Publisher,
    accounts: [Account; 6],
    /// Somebody other than the good one has shown a token that fits.
    is_proved: bool,
    /// Somebody said with the good one's own token what it would not.
    is_impersonated: bool,
    ends: bool,
    /// Ranges just sent again, to the group or to the good one.
    repaired: Vec<OffsetRange>,
    repaired_bytes: u64,
    began: Time,
    out: Vec<u8>,
}

thread_local! {
    static TOKENS: RefCell<BTreeMap<(u8, u64), Token>> = const { RefCell::new(BTreeMap::new()) };
}

/// Nothing goes to an address that has not proved itself but a WELCOME, tables keep their bounds, and the good receiver
/// is served.
pub fn target(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    for _ in 0..TURNS {
        if script.is_done() {
            break;
        }
        world.turn(&mut script);
        world.check();
    }
    world.survive();
}

fn settings(script: &mut Script<'_>) -> SenderSettings {
    let how = script.byte();
    let policy = match how % 4 {
        0 => FlowPolicy::Drop { pace: 100 * MS, free_running: true },
        1 => FlowPolicy::Drop { pace: 100 * MS, free_running: false },
        _ => FlowPolicy::Block { patience: PATIENCE },
    };
    SenderSettings { unicast: how & 0x30 == 0x30, ..Publisher::settings(policy) }
}

/// The token of a receiver at a place, which anybody there can have by asking.
fn token(pick: u8, receiver: ReceiverId) -> Token {
    let known = TOKENS.with_borrow(|tokens| tokens.get(&(pick % 6, receiver.0)).copied());
    known.unwrap_or_else(|| {
        let settings = Publisher::settings(FlowPolicy::Block { patience: PATIENCE });
        let mut publisher = Publisher::new(settings, Time::ZERO);
        let mut bytes = Vec::new();
        wire::encode_status(&mut bytes, &head(0), &status((receiver, Token(0)), 1));
        publisher.receive(Time::ZERO, place(pick), &bytes);
        let mut token = Token(0);
        publisher.serve(Time::ZERO, |_, bytes| {
            let datagram = Datagram::decode(bytes).expect("what is sent is sound");
            if let Body::Welcome(welcome) = datagram.body {
                token = Token(welcome.token.get());
            }
        });
        TOKENS.with_borrow_mut(|tokens| tokens.insert((pick % 6, receiver.0), token));
        token
    })
}

fn head(base: u64) -> Head {
    Head { stream: STREAM, session: press::SESSION, base: Offset(base), flags: Flags(0) }
}

fn status((receiver, token): (ReceiverId, Token), time: u64) -> Status {
    Status {
        receiver: receiver.0.into(),
        token: token.0.into(),
        time: time.into(),
        window: (64 << 10).into(),
        rtt_us: 100.into(),
        delivered: 0.into(),
        lost: 0.into(),
        naks: 0.into(),
        kernel_drops: 0.into(),
        lag_us: 0.into(),
        flags: 0.into(),
        zero: 0.into(),
    }
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let settings = settings(script);
        let good = token(0, GOOD);
        let now = Time::from_millis(1_000);
        let publisher = Publisher::new(settings, now);
        let mut world = Self {
            now,
            publisher,
            accounts: [Account::default(); 6],
            is_proved: false,
            is_impersonated: false,
            ends: false,
            repaired: Vec::new(),
            repaired_bytes: 0,
            began: now,
            out: Vec::new(),
        };
        world.report();
        assert_eq!(world.publisher.sender.live(), 1, "the good receiver is up with token {good:?}");
        world
    }

    fn turn(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        match what % 16 {
            0..=6 => self.forge(script, what),
            7 => {
                let mut out = core::mem::take(&mut self.out);
                forge::raw(script, Some(press::SESSION).filter(|_| what & 0x10 == 0), &mut out);
                self.hand_in(what >> 5, &out);
                self.out = out;
            }
            8 => self.serve(),
            9 => self.pass(Duration::from_micros(1 << (what >> 4))),
            10 => self.pass(u32::from(script.byte()) * MS),
            11 => self.now = self.now + Duration::from_micros(u64::from(script.byte())),
            12 if !self.ends => {
                (0..=what >> 4).for_each(|_| self.publisher.publish());
                self.serve();
            }
            13 if !self.ends && self.publisher.waiting() == 0 => self.publisher.seal(script.byte()),
            14 if what & 0xE0 == 0xE0 => {
                self.publisher.sender.finish(self.now);
                self.ends = true;
            }
            _ => self.report(),
        }
    }

    fn forge(&mut self, script: &mut Script<'_>, what: u8) {
        let kind = KINDS[usize::from(what >> 4)];
        let (who, how) = (script.byte(), script.byte());
        let receiver = ReceiverId(u64::from(who >> 3 & 7));
        let token = match how % 4 {
            0 => Token(0),
            1 => token(who % 6 + 1, receiver),
            2 => Token(u64::from(how)),
            _ => token(who, receiver),
        };
        let ring = self.publisher.ring();
        let around = match how >> 2 & 3 {
            0 => ring.oldest().0,
            1 => self.publisher.start,
            2 => ring.next().0,
            _ => ring.sent().0,
        };
        let base = if how & 0x80 == 0 { around } else { script.offset(around) };
        let head = Head { flags: Flags(how >> 4 & 7), ..head(base) };
        let mut out = core::mem::take(&mut self.out);
        forge::forge(script, &Claims { kind, head, receiver, token, around }, &mut out);
        self.hand_in(who, &out);
        self.out = out;
    }

    /// Hands in what somebody at a place sends, and notes what it proves.
    fn hand_in(&mut self, who: u8, bytes: &[u8]) {
        let Ok(datagram) = Datagram::decode(bytes) else { return };
        let header = datagram.header;
        if header.session() == press::SESSION && header.stream() == STREAM {
            let account = &mut self.accounts[usize::from(who % 6)];
            let (name, is_status) = match datagram.body {
                Body::Status(status) => ((status.receiver(), status.token()), true),
                Body::Nak(nak, _) => ((nak.receiver(), nak.token()), false),
                _ => ((GOOD, Token(0)), false),
            };
            let fits = name.1 == token(who, name.0) && name.1 != Token(0);
            account.statuses += u64::from(is_status);
            account.is_proved |= fits;
            let is_good = name.0 == GOOD && who.is_multiple_of(6);
            self.is_proved |= fits && !is_good;
            self.is_impersonated |= fits && name.0 == GOOD;
        }
        self.publisher.receive(self.now, place(who), bytes);
        if who & 0xC0 != 0xC0 {
            self.serve();
        }
    }

    /// The good receiver says that it has everything.
    fn report(&mut self) {
        let ring = self.publisher.ring();
        let base = ring.sent().0;
        for time in [1, 0] {
            let name = if time == 1 && self.accounts[0].statuses == 0 { Token(0) } else { token(0, GOOD) };
            let mut bytes = Vec::new();
            wire::encode_status(&mut bytes, &head(base), &status((GOOD, name), time));
            self.accounts[0].statuses += 1;
            self.accounts[0].is_proved |= name != Token(0);
            self.publisher.receive(self.now, place(0), &bytes);
            self.serve();
        }
    }

    /// Sends what there is, and looks at where it goes.
    fn serve(&mut self) {
        let (mut sent, accounts) = (0, &mut self.accounts);
        let (repaired, bytes_again) = (&mut self.repaired, &mut self.repaired_bytes);
        self.publisher.serve(self.now, |to, bytes| {
            sent += 1;
            assert!(sent <= TRANSMITS, "more is sent than one turn may bring");
            let datagram = Datagram::decode(bytes).expect("what is sent is sound");
            let header = datagram.header;
            if header.flags().has(Flags::REPAIR) {
                *bytes_again += bytes.len() as u64;
                if to == Destination::Group || to == Destination::Peer(place(0).into()) {
                    repaired.push(header.range());
                }
            }
            let Destination::Peer(Origin { address, .. }) = to else { return };
            let at = (0..6).find(|at| place(*at) == address).expect("somebody who spoke");
            let account = &mut accounts[usize::from(at)];
            if let Body::Welcome(_) = datagram.body {
                account.welcomes += 1;
                assert!(bytes.len() <= 104, "a WELCOME is larger than the STATUS");
                assert!(account.welcomes <= account.statuses, "a WELCOME that answers nothing");
            } else {
                assert!(account.is_proved, "{:?} goes to {address}, unproved", header.kind());
            }
        });
        while self.publisher.sender.poll_event().is_some() {}
    }

    /// Lets `span` pass with the publisher awake all the time.
    fn pass(&mut self, span: Duration) {
        self.publisher.handle_timeout(self.now);
        self.serve();
        let end = self.now + span;
        for _ in 0..TRANSMITS {
            let Some(at) = self.publisher.sender.next_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.publisher.handle_timeout(self.now);
            self.serve();
            let since = self.now.since(self.publisher.heartbeat);
            assert!(since <= HEARTBEAT, "no heartbeat for {since:?}");
        }
        unreachable!("something is due all the time");
    }

    fn check(&self) {
        let sender: &Sender = &self.publisher.sender;
        let rows = sender.receivers().count();
        assert!(rows <= RECEIVERS, "{rows} receivers");
        assert!(sender.live() <= rows && sender.repairs_waiting() <= QUEUE);
        let stats = sender.stats();
        assert!(stats.repairs_multicast + stats.repairs_unicast >= stats.repairs_dropped);
        if !self.is_proved && !self.is_impersonated {
            self.check_unproved();
        }
        canary(stats.ranges_shed_silently > 0 && stats.ranges_beyond > 0 && stats.statuses_stale > 0);
    }

    /// What nobody proved can do: have repairs within the budget sent to the group, and hold nobody.
    fn check_unproved(&self) {
        let ring = self.publisher.ring();
        let data = (ring.sent().0 - self.publisher.start) * DATAGRAM as u64;
        let rate = (64_u128 << 10).max(u128::from(data) * 5);
        let span = (self.now.since(self.began) + 200 * MS).as_nanos();
        let most = rate * span / 1_000_000_000 + 16 * DATAGRAM as u128;
        assert!(u128::from(self.repaired_bytes) <= most, "{} repaired, {most} allowed", self.repaired_bytes);
        assert!(self.publisher.sender.receivers().all(|row| row.receiver == GOOD));
    }

    /// The forgers are gone: the good receiver is heard, the publisher goes on, and its NAK is answered.
    fn survive(&mut self) {
        let most = if self.is_proved || self.is_impersonated { 32 } else { 2 };
        let mut goes_on = self.ends;
        for _ in 0..most {
            if goes_on {
                break;
            }
            let before = self.publisher.ring().sent();
            if self.publisher.waiting() == 0 {
                self.publisher.publish();
            }
            self.report();
            goes_on = self.publisher.ring().sent() > before;
            self.pass(20 * MS);
        }
        assert!(goes_on, "the publisher is held");
        self.check();
        self.is_answered();
    }

    fn is_answered(&mut self) {
        let ring = self.publisher.ring();
        let (oldest, sent) = (ring.oldest(), ring.sent());
        let want = OffsetRange::new(Offset(sent.0.saturating_sub(ASKED)), sent);
        assert!(want.from > oldest && !want.is_empty());
        self.repaired.clear();
        for _ in 0..40 {
            let mut bytes = Vec::new();
            wire::encode_nak(&mut bytes, &head(0), (GOOD, token(0, GOOD)), &[RangeEntry::new(want)]);
            self.accounts[0].is_proved = true;
            self.publisher.receive(self.now, place(0), &bytes);
            self.serve();
            let covers = |offset| self.repaired.iter().any(|range| range.contains(Offset(offset)));
            if (want.from.0..want.to.0).all(covers) {
                return;
            }
            self.pass(50 * MS);
        }
        unreachable!("the good receiver's NAK for {want} is not answered");
    }
}
