//! A healed world is tried out: what is lost for all is noticed in time, and asked for by few.

use core::time::Duration;

use crate::sim::network::Way;
use crate::sim::options::Options;
use crate::sim::stage::Stage;
use crate::sim::trace::Node;
use crate::sim::world::World;

/// Two heartbeats and some, within which the loss of the last message is noticed.
const NOTICED: Duration = Duration::from_millis(220);
/// The fewest receivers that are a group.
const LEAST_GROUP: u64 = 20;
/// Losses that a group shares.
const STORMS: u64 = 8;
/// The longest round trip with which a group waits as long as it should.
const ROUND_TRIP: Duration = Duration::from_millis(30);

impl World<'_> {
    /// Every publisher publishes so many messages that reach nobody.
    pub(super) fn publish_unheard(&mut self, count: u64) {
        self.network.probes = true;
        for index in 0..self.publishers.len() {
            (0..count).for_each(|_| self.publish_one(index));
        }
        self.network.probes = false;
    }

    /// S9: the last message is lost for everybody, and everybody notices.
    pub(super) fn probe(&mut self) {
        self.publish_unheard(1);
        let live = |stage: &Stage| stage.publisher.as_ref().map(|one| (one.session, one.ring.sent()));
        let sent: Vec<_> = self.publishers.iter().filter_map(live).collect();
        self.run_until(self.now + NOTICED + self.network.trip(Way::Down));
        for index in 0..self.receivers.len() {
            self.verdict.enter(self.now, Node::Receiver(index));
            for (session, sent) in &sent {
                let Some(seat) = self.receivers.get(index).filter(|_| !self.is_apart(index)) else {
                    continue;
                };
                let row = seat.subscriber.as_ref().and_then(|subscriber| subscriber.row(*session));
                let Some(row) = row else { continue };
                let heard = row.book.heard;
                self.verdict.check(heard >= *sent, "S9", || format!("heard of {heard}, sent were {sent}"));
            }
        }
    }

    /// S7: of a loss that a large group shares, fewer than half ask. (How many exactly, on average, is what
    /// `tests/sim/storm.rs` counts.)
    pub(super) fn storms(&mut self) {
        let asks = |index: &usize| {
            let seat = self.receivers.get(*index).and_then(|seat| seat.subscriber.as_ref());
            seat.is_some_and(|subscriber| subscriber.settings.receiver.repair) && !self.is_apart(*index)
        };
        let group = (0..self.receivers.len()).filter(asks).count() as u64;
        let round_trip = self.network.trip(Way::Down) + self.network.trip(Way::Up);
        // What is put off is told to the asker alone, so the others ask as well.
        let is_rich = self.options.repair_floor >= Options::default().repair_floor;
        let is_group = group >= LEAST_GROUP && self.options.observers <= 0.0 && round_trip <= ROUND_TRIP;
        if !is_rich || !is_group || self.verdict.is_broken() {
            return;
        }
        let before = self.naks();
        for _ in 0..STORMS {
            self.publish_unheard(1);
            self.run_until(self.now + 8 * round_trip + Duration::from_millis(20));
        }
        let asked = (self.naks() - before) / self.publishers.len() as u64;
        self.verdict.enter(self.now, Node::World);
        self.verdict.check(asked <= STORMS * group / 2, "S7", || {
            format!("{asked} NAKs for {STORMS} losses that {group} receivers share")
        });
    }

    /// NAKs sent by those who are here.
    fn naks(&self) -> u64 {
        self.receivers
            .iter()
            .filter_map(|seat| seat.subscriber.as_ref())
            .map(|subscriber| subscriber.naks.0)
            .sum()
    }
}
