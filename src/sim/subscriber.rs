//! A receiver: its machine, a socket that can overflow, and its books.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::history::charge;
use crate::offset::Offset;
use crate::protocol::Found;
use crate::protocol::Order;
use crate::protocol::SourceRow;
use crate::protocol::Step;
use crate::protocol::Subscription;
use crate::protocol::SubscriptionSettings;
use crate::sim::cast::STREAM;
use crate::sim::ledger::Ledger;
use crate::sim::memory::memory_bound;
use crate::sim::naks::Excuse;
use crate::sim::totals::Latencies;
use crate::sim::trace::Node;
use crate::sim::trace::Record;
use crate::sim::trace::Trace;
use crate::sim::trace::What;
use crate::sim::truth::Truth;
use crate::sim::verdict::Verdict;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::Header;
use crate::wire::Kind;
use crate::wire::SessionId;

/// How often the memory is measured, in turns.
const MEASURED_EVERY: u64 = 64;

/// What a receiver's turn needs from the world.
pub(super) struct Scene<'a, 'w> {
    pub(super) now: Time,
    pub(super) node: Node,
    pub(super) truth: &'a Truth,
    pub(super) verdict: &'a mut Verdict,
    pub(super) trace: &'a mut Trace<'w>,
    pub(super) latencies: &'a mut Latencies,
    /// How late timers may fire.
    pub(super) late: Duration,
}

/// A receiver, driven as its contract says.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) address: SocketAddr,
    pub(super) machine: Subscription,
    pub(super) settings: SubscriptionSettings,
    pub(super) ledger: Ledger,
    /// Since when the process is stopped: datagrams wait in the socket, as many as fit.
    pub(super) stopped: Option<Time>,
    /// How long it takes for each datagram.
    pub(super) service: Duration,
    /// It takes the next datagram then; it is busy until.
    pub(super) busy: Option<Time>,
    /// It has left, or is dead: it says no more.
    pub(super) is_gone: bool,
    socket: VecDeque<(SocketAddr, Rc<[u8]>)>,
    room: u64,
    overflowed: u64,
    /// Datagrams taken in, and of those WELCOME, GONE and SHED.
    taken: (u64, u64),
    turns: u64,
    bound: usize,
    /// NAKs sent, and when the last one was.
    pub(super) naks: (u64, Time),
}

impl Subscriber {
    pub(super) fn new(settings: SubscriptionSettings, address: SocketAddr, room: u64) -> Self {
        Self {
            address,
            ledger: Ledger::new(&settings),
            bound: memory_bound(&settings),
            machine: Subscription::new(settings.clone()),
            settings,
            stopped: None,
            service: Duration::ZERO,
            busy: None,
            is_gone: false,
            socket: VecDeque::new(),
            room,
            overflowed: 0,
            taken: (0, 0),
            turns: 0,
            naks: (0, Time::ZERO),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.machine.receiver_ref().next_timeout().filter(|_| self.stopped.is_none() && !self.is_gone)
    }

    pub(super) fn handle_timeout(&mut self, scene: &mut Scene<'_, '_>) {
        let waits = !self.socket.is_empty();
        let receiver = self.machine.receiver();
        if waits {
            receiver.handle_recovery(scene.now);
        } else {
            receiver.handle_timeout(scene.now);
            receiver.poll_rejoin();
        }
        self.steps(&[], scene);
        if !waits {
            let rows = self.machine.receiver_ref().rows();
            self.ledger.check_silence(scene.now, rows, scene.late, scene.verdict);
        }
    }

    /// A datagram arrives; whether there is room for it.
    pub(super) fn receive(&mut self, from: SocketAddr, bytes: &Rc<[u8]>, scene: &mut Scene<'_, '_>) -> bool {
        if self.stopped.is_none() && self.service.is_zero() && self.socket.is_empty() {
            self.take(from, bytes, scene);
            return true;
        }
        let charge = charge(bytes.len());
        if charge > self.room {
            self.overflowed += 1;
            self.machine.receiver().set_kernel_drops(self.overflowed);
            return false;
        }
        self.room -= charge;
        self.socket.push_back((from, Rc::clone(bytes)));
        true
    }

    /// Whether datagrams wait in the socket.
    pub(super) fn waits(&self) -> bool {
        !self.socket.is_empty()
    }

    /// Takes one datagram out of the socket.
    pub(super) fn take_waiting(&mut self, scene: &mut Scene<'_, '_>) {
        let Some((from, bytes)) = self.socket.pop_front() else { return };
        self.room += charge(bytes.len());
        self.take(from, &bytes, scene);
    }

    fn take(&mut self, from: SocketAddr, bytes: &[u8], scene: &mut Scene<'_, '_>) {
        self.taken.0 += 1;
        let sound = Datagram::decode(bytes).ok().filter(|datagram| datagram.header.stream() == STREAM);
        let Some(datagram) = sound else {
            self.machine.handle_datagram(scene.now, from, bytes);
            return self.steps(bytes, scene);
        };
        let is_answer = matches!(datagram.body, Body::Welcome(_) | Body::Gone(_) | Body::Shed(..));
        self.taken.1 += u64::from(is_answer);
        let session = datagram.header.session();
        let before = self.taken_in(session);
        self.machine.handle_datagram(scene.now, from, bytes);
        if let Some(reach) = told(&datagram)
            && let Some(row) = self.row(session).filter(|row| row.address == from)
        {
            let is_present = reach >= row.book.heard;
            self.ledger.hear(session, scene.now, is_present);
        }
        if let (Some(was), Some(is)) = (before, self.taken_in(session)) {
            self.on_taken_in(&datagram, (was, is));
        }
        self.steps(bytes, scene);
    }

    /// How many offsets of a session were repaired so far, and how many of its SHEDs put anything off.
    fn taken_in(&self, session: SessionId) -> Option<(u64, u64)> {
        self.row(session).map(|row| (row.stats.repaired, row.stats.shed))
    }

    /// Repairs and SHEDs that the machine took in, as what it counts tells.
    fn on_taken_in(&mut self, datagram: &Datagram<'_>, (was, is): ((u64, u64), (u64, u64))) {
        let session = datagram.header.session();
        let is_ordered = self.settings.receiver.order == Order::Ordered;
        let account = self.ledger.account(session);
        match datagram.body {
            Body::Data(_) if is.0 > was.0 => {
                let range = datagram.header.range();
                // Piece by piece, when they need not be in order.
                account.asked.on_excuse(Excuse::Repair(range, if is_ordered { 1 } else { range.len() }));
                self.ledger.on_repaired(session, range);
            }
            Body::Shed(_, ranges) if is.1 > was.1 => {
                ranges.iter().for_each(|entry| account.asked.on_excuse(Excuse::Shed(entry.range())));
            }
            _ => {}
        }
    }

    fn steps(&mut self, bytes: &[u8], scene: &mut Scene<'_, '_>) {
        loop {
            match self.machine.step(scene.now, bytes) {
                Step::Need => break,
                step => self.on_step(step, bytes, scene),
            }
        }
        while self.socket.is_empty()
            && let Some(step) = self.machine.step_conflated()
        {
            self.on_step(step, &[], scene);
        }
        self.check(scene);
    }

    fn check(&mut self, scene: &mut Scene<'_, '_>) {
        self.turns += 1;
        let rows = self.machine.receiver_ref().rows();
        self.ledger.check(rows, scene.truth, scene.verdict);
        if self.turns.is_multiple_of(MEASURED_EVERY) {
            self.check_memory(scene.verdict);
        }
    }

    /// S6: what it keeps stays within the formula.
    pub(super) fn check_memory(&self, verdict: &mut Verdict) {
        let (is, most) = (self.machine.memory(), self.bound);
        verdict.check(is <= most, "S6", || format!("{is} bytes, at most {most}"));
        let (held, gaps) =
            (self.machine.receiver_ref().held_bytes(), self.machine.receiver_ref().gap_count());
        let rows = self.machine.receiver_ref().rows().count();
        let settings = &self.settings.receiver;
        let fits = rows <= settings.sources
            && held <= rows * settings.reorder_window
            && gaps <= rows * (settings.gaps + 2);
        verdict.check(fits, "S6", || format!("{rows} sources, {gaps} gaps, {held} bytes held"));
    }

    /// S11: every datagram taken in is counted once.
    pub(super) fn check_counters(&self, verdict: &mut Verdict) {
        let receiver = self.machine.receiver_ref();
        let stats = receiver.stats();
        let refused = [
            stats.other_stream,
            stats.misdirected,
            stats.replaced_session,
            stats.session_conflicts,
            stats.strange_address,
            stats.refused_sources,
            stats.unknown_session,
            self.machine.stats().undecodable,
        ];
        let counted = refused.iter().sum::<u64>() + self.ledger.counted();
        let (taken, answers) = self.taken;
        verdict.check(counted <= taken && taken <= counted + answers, "S11", || {
            format!("{taken} datagrams, {answers} of them answers, but {counted} counted")
        });
    }

    fn on_step(&mut self, step: Step, bytes: &[u8], scene: &mut Scene<'_, '_>) {
        let told = |what, number, scene: &mut Scene<'_, '_>| {
            scene.trace.put(&Record { at: scene.now, node: scene.node, what, number, packet: None });
        };
        match step {
            Step::Message(found) => {
                told(What::Message, found.range.from.0, scene);
                self.on_message(&found, bytes, scene);
            }
            Step::Lost { source, range, reason } => {
                told(What::Lost, range.from.0, scene);
                let Some(session) = self.machine.receiver_ref().session(source) else { return };
                let row = self.machine.receiver_ref().rows().find(|row| row.session == session);
                let at = (scene.now, scene.truth);
                self.ledger.on_lost((session, range), reason, at, (row, scene.verdict));
            }
            Step::Up(up) => {
                told(What::Up, up.session.0, scene);
                let row = self.machine.receiver_ref().rows().find(|row| row.session == up.session);
                let Some(row) = row else { return };
                self.ledger.on_up((&up, &row), scene.now, scene.truth, scene.verdict);
            }
            Step::Down { source, reason, heard } => {
                let Some(session) = self.machine.receiver_ref().session(source) else { return };
                told(What::Down, session.0, scene);
                let row = self.machine.receiver_ref().rows().find(|row| row.session == session);
                let Some(row) = row else { return };
                self.ledger.on_down(&row, (reason, heard), scene.verdict);
            }
            Step::Need => {}
        }
    }

    fn on_message(&mut self, found: &Found, bytes: &[u8], scene: &mut Scene<'_, '_>) {
        let Some(session) = self.machine.receiver_ref().session(found.source) else { return };
        let published = scene.truth.of(session);
        if let Some(message) = published.and_then(|published| published.message(found.range.from)) {
            scene.latencies.add(scene.now - message.at, self.ledger.is_repaired(session, message.range));
        }
        let message = self.machine.message(found, bytes);
        self.ledger.on_message((session, found.range), message, published, scene.verdict);
    }

    /// Everything that leaves now.
    pub(super) fn drain(&mut self, now: Time, verdict: &mut Verdict, out: &mut Vec<(SocketAddr, Rc<[u8]>)>) {
        if self.stopped.is_some() || self.is_gone {
            return;
        }
        self.ledger.on_turn();
        while let Some((to, bytes)) = self.machine.receiver().peek_transmit(now) {
            let bytes: Rc<[u8]> = bytes.into();
            self.machine.receiver().sent();
            self.on_sent(&bytes, now, verdict);
            out.push((to, bytes));
        }
    }

    fn on_sent(&mut self, bytes: &[u8], now: Time, verdict: &mut Verdict) {
        if Header::peek(bytes).is_none_or(|(kind, _)| kind != Kind::Nak) {
            return;
        }
        let Ok(Datagram { header, body: Body::Nak(_, ranges), .. }) = Datagram::decode(bytes) else { return };
        self.naks = (self.naks.0 + 1, now);
        let account = self.ledger.account(header.session());
        account.asked.on_nak(verdict);
        for range in ranges.iter().map(|entry| entry.range()) {
            let is_told = account.delivered.overlaps(range) || account.lost.overlaps(range);
            verdict.check(!is_told, "S7", || format!("{range} is asked for, and was told"));
            account.asked.on_range(range, now, verdict);
        }
    }

    /// The row of a session.
    pub(super) fn row(&self, session: SessionId) -> Option<SourceRow<'_>> {
        self.machine.receiver_ref().rows().find(|row| row.session == session)
    }
}

/// The position that a datagram to everybody tells; an END none but the first. Only such tell that a source is there
/// for this receiver.
fn told(datagram: &Datagram<'_>) -> Option<Offset> {
    match datagram.body {
        Body::Data(_) if !datagram.header.flags().has(Flags::REPAIR) => Some(datagram.header.range().to),
        Body::Heartbeat(_) => Some(datagram.header.base()),
        Body::End(_) => Some(Offset::ZERO),
        _ => None,
    }
}
