//! The last events of a run, kept as they pass.

use std::collections::VecDeque;
use std::net::SocketAddr;

use nakcast::sim::Node;
use nakcast::sim::Packet;
use nakcast::sim::Record;
use nakcast::sim::What;
use nakcast::time::Time;

use crate::units;

const KEPT: usize = 200;

/// An event with bytes of its own.
#[derive(Debug)]
struct Kept {
    at: Time,
    node: Node,
    what: What,
    number: u64,
    packet: Option<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Kept {
    fn of(record: &Record<'_>) -> Self {
        let Record { at, node, what, number, packet } = *record;
        Self { at, node, what, number, packet: packet.map(|one| (one.from, one.to, one.bytes.to_vec())) }
    }

    fn record(&self) -> Record<'_> {
        let Self { at, node, what, number, packet } = self;
        let packet = packet.as_ref().map(|(from, to, bytes)| Packet { from: *from, to: *to, bytes });
        Record { at: *at, node: *node, what: *what, number: *number, packet }
    }
}

/// The last 200 events.
#[derive(Debug, Default)]
pub(crate) struct LastEvents {
    events: VecDeque<Kept>,
    count: u64,
}

impl LastEvents {
    pub(crate) fn add(&mut self, record: &Record<'_>) {
        self.count += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Kept::of(record));
    }

    /// The events as lines, those of `node` marked.
    pub(crate) fn marked(&self, node: &str) -> String {
        let (kept, count) = (self.events.len(), units::counted(self.count, "event"));
        let mut text = format!("last {kept} of {count}, those of {node} marked:");
        for event in &self.events {
            let mark = if event.node.to_string() == node { '>' } else { ' ' };
            text.push_str(&format!("\n{mark} {}", event.record()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay_and_the_node_is_marked() {
        let mut last = LastEvents::default();
        for number in 0..250 {
            let node = Node::Receiver(number % 2);
            let record = Record { at: Time(number as u64), node, what: What::Timer, number: 0, packet: None };
            last.add(&record);
        }
        let lines = last.marked("sub1");
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), 201);
        assert_eq!(lines[0], "last 200 of 250 events, those of sub1 marked:");
        assert_eq!(lines[1], "  0.000000050 sub0 timer 0");
        assert_eq!(lines[200], "> 0.000000249 sub1 timer 0");
    }
}
