//! The queue of events, earliest first.

use core::cmp::Ordering;
use core::net::SocketAddr;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::sim::plan::Act;
use crate::sim::trace::Node;
use crate::time::Time;

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A datagram arrives.
    Arrive { to: Node, from: SocketAddr, bytes: Rc<[u8]> },
    /// A timer, unless it was set anew since.
    Timer { node: Node, number: u64 },
    /// A publisher publishes the next burst.
    Publish(usize),
    /// A slow receiver takes the next datagram out of its socket.
    Take(usize),
    /// The plan has something for a node.
    Act(Act),
    /// The adversary forges a datagram.
    Forge,
    /// The adversary goes on pretending to be what follows a source.
    Pretend,
}

/// An event, its time, and which one it is of those at that time.
#[derive(Debug)]
struct Entry(Time, u64, Event);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, since that is what a heap gives first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

/// What will happen, by time; what was put in first, first.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Entry>,
    serial: u64,
}

impl Events {
    pub(super) fn put(&mut self, at: Time, event: Event) {
        self.serial += 1;
        self.heap.push(Entry(at, self.serial, event));
    }

    /// Takes out the next event, if it comes by `end`.
    pub(super) fn take(&mut self, end: Time) -> Option<(Time, Event)> {
        self.heap.peek().filter(|Entry(at, ..)| *at <= end)?;
        self.heap.pop().map(|Entry(at, _, event)| (at, event))
    }

    /// When the last event of a kind is due.
    pub(super) fn last(&self, is_it: impl Fn(&Event) -> bool) -> Option<Time> {
        self.heap.iter().filter(|Entry(.., event)| is_it(event)).map(|Entry(at, ..)| *at).max()
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&Event) -> bool) {
        self.heap.retain(|Entry(_, _, event)| keeps(event));
    }
}
