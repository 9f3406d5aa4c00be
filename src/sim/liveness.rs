//! Whether anything still waits for anything.

use crate::sim::publisher::Publisher;
use crate::sim::subscriber::Subscriber;
use crate::sim::trace::Node;
use crate::sim::world::World;

/// Who waits, and for what.
pub(super) struct Stuck {
    pub(super) node: Node,
    pub(super) what: String,
}

impl World<'_> {
    /// Somebody who is not done, if there is one: a publisher with something to send, or a receiver that does not have
    /// everything nor was told that it is lost.
    pub(super) fn stuck(&self) -> Option<Stuck> {
        let publishers = self.publishers.iter().enumerate();
        let live = publishers.filter_map(|(index, stage)| Some((index, stage.publisher.as_ref()?)));
        for (index, publisher) in live.clone() {
            let waiting = (publisher.backlog(), publisher.sender.repairs_waiting());
            if waiting != (0, 0) {
                let node = Node::Publisher(index);
                return Some(Stuck { node, what: format!("(messages, repairs) {waiting:?} wait") });
            }
        }
        for (index, seat) in self.receivers.iter().enumerate() {
            let Some(subscriber) = seat.subscriber.as_ref().filter(|_| !self.is_apart(index)) else {
                continue;
            };
            let what = live.clone().find_map(|(_, publisher)| behind(subscriber, publisher));
            let gaps = subscriber.machine.receiver_ref().gap_count();
            let held = subscriber.machine.receiver_ref().held_bytes();
            let what = what.or_else(|| {
                (gaps + held > 0 || subscriber.waits()).then(|| format!("{gaps} gaps, {held} bytes held"))
            });
            if let Some(what) = what {
                return Some(Stuck { node: Node::Receiver(index), what });
            }
        }
        None
    }

    /// Whether a receiver hears nothing for good, so that nothing can be asked of it.
    pub(super) fn is_apart(&self, index: usize) -> bool {
        self.network.deaf.is_some_and(|(deaf, _)| deaf == index)
    }
}

/// What keeps a receiver from being done with what a publisher sent.
fn behind(subscriber: &Subscriber, publisher: &Publisher) -> Option<String> {
    let (session, sent) = (publisher.session, publisher.ring.sent());
    let Some(row) = subscriber.row(session) else { return Some(format!("{session} is not known")) };
    let is_done = row.down.is_none() && row.next == sent && row.book.heard == sent;
    let pending = row.book.pending();
    (!is_done || pending > 0)
        .then(|| format!("{session}: next {} of {sent}, {pending} pending, down {:?}", row.next, row.down))
}
