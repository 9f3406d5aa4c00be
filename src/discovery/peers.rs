//! Who is there: a bounded table of nodes, told the time and handed beacons.

use core::net::IpAddr;
use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::discovery::announcement::Announcement;
use crate::discovery::announcement::NodeId;
use crate::discovery::beacon::Beacon;
use crate::endpoint::Endpoint;
use crate::time::Time;

/// Nodes that are known at the same time: some 2 MiB at the very most.
pub(super) const PEERS: usize = 1_024;
/// A beacon may come a quarter of its interval late, and three may be lost on the way.
const MISSED: f64 = 3.75;

/// Another node, as its beacons describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The node. One that was started anew is another.
    pub node: NodeId,
    /// Where its beacons come from.
    pub address: SocketAddr,
    /// What it says, with its own address in the place of 0.0.0.0 or `[::]`.
    pub announcement: Announcement,
}

/// What happens among the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryEvent {
    /// A node is there.
    PeerUp(Peer),
    /// A node says something else than before, such as a new session.
    PeerChanged(Peer),
    /// A node is gone.
    PeerDown {
        /// As it was last known.
        peer: Peer,
        /// It has said so itself. Otherwise three of its beacons did not come.
        leaving: bool,
    },
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DiscoveryStats {
    /// Beacons sent.
    pub sent: u64,
    /// Beacons of other nodes that came, and were taken.
    pub received: u64,
    /// Datagrams that were no beacons, or damaged.
    pub undecodable: u64,
    /// Beacons of nodes that found no room in the table.
    pub refused: u64,
    /// Beacons that claimed to be of a node that is known at another address.
    pub impostors: u64,
    /// Beacons that came behind newer ones.
    pub late: u64,
}

#[derive(Debug)]
struct Known {
    peer: Peer,
    serial: u32,
    expires_at: Time,
}

/// The other nodes.
#[derive(Debug)]
pub(super) struct Peers {
    own: NodeId,
    known: BTreeMap<NodeId, Known>,
    pub(super) stats: DiscoveryStats,
}

impl Peers {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, known: BTreeMap::new(), stats: DiscoveryStats::default() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.known.values().map(|known| &known.peer)
    }

    /// Takes in a datagram; what it changes, if it does.
    pub(super) fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Option<DiscoveryEvent> {
        match Beacon::decode(bytes) {
            Ok(beacon) if beacon.node == self.own => None,
            Ok(beacon) => self.on_beacon(now, from, beacon),
            Err(error) => {
                tracing::debug!(%from, %error, "what came was no beacon");
                self.stats.undecodable += 1;
                None
            }
        }
    }

    fn on_beacon(&mut self, now: Time, from: SocketAddr, beacon: Beacon) -> Option<DiscoveryEvent> {
        let Beacon { node, serial, leaving, interval, announcement } = beacon;
        let expires_at = now + interval.mul_f64(MISSED);
        let has_room = self.known.len() < PEERS;
        let Some(known) = self.known.get_mut(&node) else {
            return match (leaving, has_room) {
                (true, _) => None,
                (false, false) => {
                    self.stats.refused += 1;
                    None
                }
                (false, true) => {
                    let peer = Peer { node, address: from, announcement: placed(announcement, from) };
                    self.known.insert(node, Known { peer: peer.clone(), serial, expires_at });
                    self.stats.received += 1;
                    Some(DiscoveryEvent::PeerUp(peer))
                }
            };
        };
        if known.peer.address != from {
            self.stats.impostors += 1;
            return None;
        }
        if serial < known.serial {
            self.stats.late += 1;
            return None;
        }
        self.stats.received += 1;
        if leaving {
            let known = self.known.remove(&node)?;
            return Some(DiscoveryEvent::PeerDown { peer: known.peer, leaving: true });
        }
        (known.serial, known.expires_at) = (serial, expires_at);
        let announcement = placed(announcement, from);
        if known.peer.announcement == announcement {
            return None;
        }
        known.peer.announcement = announcement;
        Some(DiscoveryEvent::PeerChanged(known.peer.clone()))
    }

    /// The next node that has not been heard for too long.
    pub(super) fn poll_expired(&mut self, now: Time) -> Option<DiscoveryEvent> {
        let node = self.known.values().find(|known| known.expires_at <= now)?.peer.node;
        let known = self.known.remove(&node)?;
        Some(DiscoveryEvent::PeerDown { peer: known.peer, leaving: false })
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.known.values().map(|known| known.expires_at).min()
    }
}

/// The announcement, with the address it came from where it names none.
fn placed(mut announcement: Announcement, from: SocketAddr) -> Announcement {
    for endpoint in &mut announcement.endpoints {
        if let Endpoint::Tcp(tcp) = endpoint
            && tcp.host.parse::<IpAddr>().is_ok_and(|host| host.is_unspecified())
        {
            tcp.host = host(from);
        }
    }
    announcement
}

/// The address as a host; one that means nothing beyond its link includes the interface.
fn host(from: SocketAddr) -> String {
    match from {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => from.ip().to_string(),
    }
}

#[cfg(test)]
mod tests;
