//! A run: first everything may happen, then all is well and everything must come right.

use core::time::Duration;

use crate::protocol::DownReason;
use crate::sim::account::Account;
use crate::sim::events::Event;
use crate::sim::liveness::Stuck;
use crate::sim::network::Way;
use crate::sim::options::Options;
use crate::sim::options::Pacing;
use crate::sim::plan;
use crate::sim::report::Report;
use crate::sim::subscriber::Subscriber;
use crate::sim::totals::Totals;
use crate::sim::trace::Node;
use crate::sim::trace::Record;
use crate::sim::trace::Trace;
use crate::sim::trace::What;
use crate::sim::world::World;
use crate::time::Time;
use crate::wire::SessionId;

/// The longest first phase.
const LONGEST: Duration = Duration::from_secs(60);
/// How often is looked whether all is quiet.
const LOOK: Duration = Duration::from_millis(20);
/// How long no NAK must come once all is quiet.
const QUIET: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);
/// How soon whoever is silent is down, at most.
const SILENT: Duration = Duration::from_millis(4_001);

/// Runs the world that `options` describe to its end, or until a promise is broken.
///
/// Nothing but `options` decides what happens: the same ones give the same [`Report::trace_hash`]. A panic of a machine
/// is not caught.
#[must_use]
pub fn run(options: &Options) -> Report {
    play(options, None)
}

/// [`run`], which shows every event to `watch`.
#[must_use]
pub fn run_watched(options: &Options, watch: &mut dyn FnMut(&Record<'_>)) -> Report {
    play(options, Some(watch))
}

fn play(options: &Options, watch: Option<&mut dyn FnMut(&Record<'_>)>) -> Report {
    let mut world = World::new(options, Trace::new(watch));
    let feed = world.phases();
    world.report(feed)
}

impl World<'_> {
    /// Lets everything happen; what the feed came to.
    fn phases(&mut self) -> Totals {
        let span = plan::span(&self.options) + self.options.tail;
        let well = self.network.well_again().max(self.adversary.pretends_until()).max(Time::ZERO + span);
        self.run_until(well.min(Time::ZERO + LONGEST));
        self.heal();
        self.settle("after the faults");
        let feed = self.end_feed();
        self.probe();
        self.settle("after the probe");
        self.storms();
        self.settle("after the storms");
        if self.options.vanish {
            self.vanish()
        } else {
            self.finish()
        }
        self.check_ends();
        feed
    }

    /// All faults end, everybody is up, and whatever was not published yet never is. Late copies that are on their way to
    /// receivers still come.
    fn heal(&mut self) {
        self.network.healed = true;
        self.drop_late();
        self.record(Node::World, What::Heals, 0);
        for stage in &mut self.publishers {
            stage.left = 0;
        }
        for index in 0..self.publishers.len() {
            self.restart(index);
        }
        let is_rich = self.options.repair_floor >= Options::default().repair_floor;
        for index in 0..self.receivers.len() {
            self.join(index);
            let is_rich = is_rich && !self.is_apart(index);
            self.with_receiver(index, |subscriber, scene| {
                subscriber.service = Duration::ZERO;
                // A full table of gaps cannot be cut by what is gone.
                let has_room = subscriber.settings.receiver.gaps >= 10;
                subscriber.ledger.healed = (is_rich && has_room).then_some(scene.now);
            });
            self.resume(index);
        }
    }

    /// How long it takes until all is quiet, at most: everything asked for is here or given up (with what a publisher
    /// that blocks, or puts repairs off, allows), twice the longest backoff and three heartbeats later; sources that an
    /// adversary invented are silent; receivers that are dead are not waited for any more.
    fn patience(&self) -> Duration {
        let timeout = SECOND;
        let blocks = self.options.pacing == Pacing::Block;
        let repair = timeout * if blocks { 10 } else { 1 } + 4 * timeout;
        let backoff = 2 * Duration::from_millis(125);
        let heartbeats = 3 * Duration::from_millis(100);
        let silence = 3 * SECOND;
        let live_for = 5 * SECOND;
        let held = if blocks { self.options.patience * 2 } else { Duration::ZERO };
        let round_trip = self.network.trip(Way::Up) + self.network.trip(Way::Down);
        repair + backoff + heartbeats + silence + live_for + held + 50 * round_trip
    }

    /// L1: within that time everybody has everything or was told that it is lost, nothing waits anywhere, and nobody
    /// asks for anything any more.
    fn settle(&mut self, when: &str) {
        let (deadline, mut quiet_since) = (self.now + self.patience(), None);
        while !self.verdict.is_broken() {
            let stuck = self.stuck();
            match stuck {
                None => {
                    let since = *quiet_since.get_or_insert(self.now);
                    if self.now - since >= QUIET {
                        break;
                    }
                }
                Some(_) => quiet_since = None,
            }
            if let Some(Stuck { node, what }) = stuck.filter(|_| self.now >= deadline) {
                self.verdict.enter(self.now, node);
                self.verdict.check(false, "L1", || format!("{when}: {what}"));
            }
            self.run_until(self.now + LOOK);
        }
        if self.verdict.is_broken() {
            return;
        }
        let since = quiet_since.unwrap_or(self.now);
        for index in 0..self.receivers.len() {
            self.verdict.enter(self.now, Node::Receiver(index));
            let Some(subscriber) = self.receivers.get(index).and_then(|seat| seat.subscriber.as_ref()) else {
                continue;
            };
            let asked = subscriber.naks.1;
            self.verdict.check(asked <= since || self.is_apart(index), "L1", || {
                format!("{when}: a NAK at {asked:?}, all quiet since {since:?}")
            });
        }
    }

    /// Publishers end in good order, just after something was lost: everybody gets it, is told so, and nothing is
    /// pending.
    fn finish(&mut self) {
        self.publish_unheard(2);
        for index in 0..self.publishers.len() {
            self.record(Node::Publisher(index), What::Ends, 0);
            let now = self.now;
            if let Some(publisher) = self.publishers.get_mut(index).and_then(|stage| stage.publisher.as_mut())
            {
                publisher.sender.finish(now);
            }
            self.serve(index);
        }
        let deadline = self.now + self.patience();
        while !self.verdict.is_broken() && self.now < deadline && !self.is_complete() {
            self.run_until(self.now + LOOK);
        }
        let is_complete = self.is_complete();
        self.verdict.enter(self.now, Node::World);
        self.verdict.check(is_complete, "L1", || "publishers do not become complete".to_owned());
        for index in 0..self.publishers.len() {
            self.conclude(index);
        }
        self.see_down(DownReason::Ended);
    }

    fn conclude(&mut self, index: usize) {
        let now = self.now;
        if let Some(publisher) = self.publishers.get_mut(index).and_then(|stage| stage.publisher.as_mut()) {
            publisher.sender.conclude(now);
            self.truth.close(publisher.session);
        }
        self.serve(index);
    }

    fn is_complete(&self) -> bool {
        let publishers = self.publishers.iter().filter_map(|stage| stage.publisher.as_ref());
        publishers
            .into_iter()
            .all(|publisher| publisher.backlog() == 0 && publisher.sender.is_complete(&publisher.ring))
    }

    /// Publishers are gone without a word: everybody is told in time.
    fn vanish(&mut self) {
        for index in 0..self.publishers.len() {
            self.crash(index);
        }
        self.see_down(DownReason::Silent);
    }

    /// S3, S10: every source is down, for a reason that fits, and nothing of it is pending, once nothing is on its way
    /// any more: a late copy may be all that is heard of a session that is gone.
    fn see_down(&mut self, reason: DownReason) {
        let is_late = |event: &Event| matches!(event, Event::Arrive { to: Node::Receiver(_), .. });
        let last = self.last_event(is_late).max(self.now);
        self.run_until(last + SILENT);
        // Whom nobody waits for may still ask, in vain.
        let vainly = if reason == DownReason::Silent { SILENT } else { self.patience() };
        let deadline = last + vainly;
        while self.not_down(reason).is_some() && self.now < deadline && !self.verdict.is_broken() {
            self.run_until(self.now + LOOK);
        }
        let invariant = if reason == DownReason::Silent { "S10" } else { "S3" };
        if let Some(Stuck { node, what }) = self.not_down(reason) {
            self.verdict.enter(self.now, node);
            self.verdict.check(false, invariant, || what);
        }
    }

    /// A receiver with a source that is not down, or not for `reason` where it was the last one at its address, or of
    /// which something is pending.
    fn not_down(&self, reason: DownReason) -> Option<Stuck> {
        let last: Vec<_> = self.publishers.iter().filter_map(|stage| stage.last).collect();
        for (index, seat) in self.receivers.iter().enumerate() {
            let Some(subscriber) = seat.subscriber.as_ref().filter(|_| !self.is_apart(index)) else {
                continue;
            };
            let unknown = last.iter().find(|session| subscriber.ledger.of(**session).is_none());
            let what = unknown.map(|session| format!("{session} never came up")).or_else(|| {
                let mut accounts = subscriber.ledger.accounts().iter();
                accounts.find_map(|account| self.is_open(subscriber, account, (reason, &last)))
            });
            if let Some(what) = what {
                return Some(Stuck { node: Node::Receiver(index), what });
            }
        }
        None
    }

    /// Why a source of a receiver is not down as it should be in the end.
    fn is_open(
        &self,
        subscriber: &Subscriber,
        account: &Account,
        (reason, last): (DownReason, &[SessionId]),
    ) -> Option<String> {
        let session = account.session;
        let pending = subscriber.row(session).map_or(0, |row| row.book.pending());
        let settings = &subscriber.settings.receiver;
        let is_evicted = self.truth.of(session).is_some_and(|one| one.evicted.contains(&settings.receiver));
        let fits = match account.down {
            None => false,
            Some(is) if !last.contains(&session) => is != DownReason::Ended,
            // One that only looks on, or is evicted, is not waited for.
            Some(DownReason::Silent) => reason == DownReason::Silent || settings.observer || is_evicted,
            Some(is) => is == reason,
        };
        let is_settled = fits && !account.is_up && pending == 0;
        (!is_settled).then(|| {
            format!("{session} is {:?} in the end, up: {}, {pending} pending", account.down, account.is_up)
        })
    }

    /// What can only be said in the end.
    fn check_ends(&mut self) {
        if self.verdict.is_broken() {
            return;
        }
        for (index, stage) in self.publishers.iter().enumerate() {
            self.verdict.enter(self.now, Node::Publisher(index));
            stage.publisher.iter().for_each(|publisher| publisher.check_counters(&mut self.verdict));
        }
        for (index, seat) in self.receivers.iter_mut().enumerate() {
            let Some(subscriber) = seat.subscriber.as_mut() else { continue };
            self.verdict.enter(self.now, Node::Receiver(index));
            subscriber.check_memory(&mut self.verdict);
            subscriber.check_counters(&mut self.verdict);
            for published in self.truth.all() {
                let topics = &subscriber.settings.topics;
                let row =
                    subscriber.machine.receiver_ref().rows().find(|row| row.session == published.session);
                let Some(row) = row.filter(|row| row.down.is_some()) else { continue };
                subscriber.ledger.check_whole(&row, published, topics, &mut self.verdict);
            }
        }
    }
}
