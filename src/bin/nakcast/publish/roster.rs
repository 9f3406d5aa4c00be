//! The subscribers a publisher has had, as each last said of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use nakcast::Publisher;
use nakcast::PublisherEvent;
use nakcast::ReceiverId;
use nakcast::ReceiverRow;

use crate::clock::Clock;
use crate::clock::TICK;
use crate::progress::Progress;

/// Rows kept of subscribers that have gone.
const MOST: usize = 10_000;

/// What became of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Here,
    Left,
    CutOff,
    Silent,
    Evicted,
}

/// Everybody who was there.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    clock: Clock,
    look_at: Duration,
    rows: BTreeMap<ReceiverId, (ReceiverRow, Fate)>,
    live: usize,
    evictions: usize,
}

impl Roster {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, look_at: clock.now(), rows: BTreeMap::new(), live: 0, evictions: 0 }
    }

    /// Takes down what is new, and says who was evicted; whether it was time to look.
    pub(crate) fn look(&mut self, publisher: &mut Publisher, progress: &Progress) -> bool {
        let now = self.clock.now();
        if now < self.look_at {
            return false;
        }
        self.look_at = now + TICK;
        self.take(publisher, |line| progress.say(format_args!("nakcast: {line}")));
        true
    }

    /// Takes down what is new.
    pub(crate) fn take(&mut self, publisher: &mut Publisher, mut say: impl FnMut(String)) {
        let rows = publisher.receivers();
        self.live = rows.iter().filter(|row| row.live).count();
        rows.into_iter().for_each(|row| self.enter(row));
        for event in publisher.events() {
            self.on_event(event, &mut say);
        }
    }

    fn enter(&mut self, row: ReceiverRow) {
        let fate = self.rows.get(&row.receiver).map_or(Fate::Here, |known| known.1);
        if self.rows.len() < MOST || self.rows.contains_key(&row.receiver) {
            self.rows.insert(row.receiver, (row, fate));
        }
    }

    fn on_event(&mut self, event: PublisherEvent, say: &mut impl FnMut(String)) {
        match event {
            PublisherEvent::ReceiverUp { receiver, address } => {
                tracing::info!(%receiver, %address, "a subscriber came");
            }
            PublisherEvent::ReceiverDown { receiver, address, leaving, last } => {
                tracing::info!(%receiver, %address, leaving, "a subscriber is gone");
                self.enter(last);
                self.mark(receiver, if leaving { Fate::Left } else { Fate::Silent });
            }
            PublisherEvent::ReceiverSlow { receiver, address, behind } => {
                tracing::info!(%receiver, %address, behind, "a subscriber is slow");
            }
            PublisherEvent::ReceiverCutOff { receiver, address, next } => {
                self.mark(receiver, Fate::CutOff);
                say(format!(
                    "cut off subscriber {receiver} at {address}: at offset {next} it has asked for more repairs than \
                     its share for too long"
                ));
            }
            PublisherEvent::ReceiverEvicted { receiver, address, next } => {
                self.evictions += 1;
                self.mark(receiver, Fate::Evicted);
                say(format!(
                    "evicted subscriber {receiver} at {address}: it did not move on from offset {next}"
                ));
            }
        }
    }

    /// An eviction is never forgiven: what it cost is lost.
    fn mark(&mut self, receiver: ReceiverId, fate: Fate) {
        if let Some((_, known)) = self.rows.get_mut(&receiver) {
            *known = fate.max(*known);
        }
    }

    pub(crate) const fn live(&self) -> usize {
        self.live
    }

    pub(crate) const fn evictions(&self) -> usize {
        self.evictions
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &(ReceiverRow, Fate)> {
        self.rows.values()
    }
}
