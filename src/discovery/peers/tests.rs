use super::*;

use core::time::Duration;

use crate::wire::SessionId;

const OWN: NodeId = NodeId(1);

fn address(last: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], last))
}

fn beacon(node: u64, serial: u32) -> Beacon {
    let tcp: Endpoint = "tcp://0.0.0.0:7001".parse().unwrap();
    let announcement = Announcement::new(format!("node {node}"), SessionId(node)).endpoint(tcp);
    Beacon { node: NodeId(node), serial, leaving: false, interval: Duration::from_secs(1), announcement }
}

fn hear(peers: &mut Peers, millis: u64, from: u16, beacon: &Beacon) -> Option<DiscoveryEvent> {
    let mut bytes = Vec::new();
    beacon.encode(&mut bytes);
    peers.handle_datagram(Time::from_millis(millis), address(from), &bytes)
}

#[test]
fn a_node_comes_changes_and_leaves() {
    let mut peers = Peers::new(OWN);
    let Some(DiscoveryEvent::PeerUp(peer)) = hear(&mut peers, 0, 5, &beacon(2, 1)) else { panic!() };
    assert_eq!((peer.node, peer.address), (NodeId(2), address(5)));
    assert_eq!(peer.announcement.endpoints[0].to_string(), "tcp://127.0.0.1:7001");
    assert_eq!(hear(&mut peers, 900, 5, &beacon(2, 1)), None);
    let mut changed = beacon(2, 2);
    changed.announcement.session = SessionId(77);
    let Some(DiscoveryEvent::PeerChanged(peer)) = hear(&mut peers, 950, 5, &changed) else { panic!() };
    assert_eq!(peer.announcement.session, SessionId(77));
    // An older one that comes late takes nothing back.
    assert_eq!((hear(&mut peers, 960, 5, &beacon(2, 1)), peers.stats.late), (None, 1));
    let leaving = Beacon { leaving: true, ..changed };
    let down = hear(&mut peers, 1_000, 5, &leaving);
    assert!(matches!(down, Some(DiscoveryEvent::PeerDown { leaving: true, .. })), "{down:?}");
    assert_eq!((hear(&mut peers, 1_001, 5, &leaving), peers.iter().count()), (None, 0));
}

#[test]
fn three_beacons_may_be_missed_and_no_more() {
    let mut peers = Peers::new(OWN);
    assert!(hear(&mut peers, 0, 5, &beacon(2, 1)).is_some());
    assert!(hear(&mut peers, 100, 6, &beacon(3, 1)).is_some());
    assert_eq!(peers.poll_expired(Time::from_millis(3_749)), None);
    assert_eq!(peers.next_timeout(), Some(Time::from_millis(3_750)));
    assert_eq!(hear(&mut peers, 3_749, 6, &beacon(3, 1)), None);
    let down = peers.poll_expired(Time::from_millis(3_750));
    let Some(DiscoveryEvent::PeerDown { peer, leaving: false }) = down else { panic!("{down:?}") };
    assert_eq!((peer.node, peers.poll_expired(Time::from_millis(3_800))), (NodeId(2), None));
    assert_eq!(peers.next_timeout(), Some(Time::from_millis(7_499)));
}

#[test]
fn a_node_does_not_hear_itself_nor_whoever_claims_to_be_another() {
    let mut peers = Peers::new(OWN);
    assert_eq!(hear(&mut peers, 0, 5, &beacon(OWN.0, 1)), None);
    assert!(hear(&mut peers, 0, 5, &beacon(2, 1)).is_some());
    let forged = Beacon { leaving: true, ..beacon(2, u32::MAX) };
    assert_eq!((hear(&mut peers, 1, 6, &forged), peers.stats.impostors), (None, 1));
    assert_eq!(peers.iter().count(), 1);
    assert_eq!(peers.handle_datagram(Time::ZERO, address(6), b"nonsense"), None);
    assert_eq!(peers.stats.undecodable, 1);
}

#[test]
fn the_table_is_bounded_and_who_finds_no_room_comes_in_when_there_is_some() {
    let mut peers = Peers::new(OWN);
    let up = (0..5_000).filter(|node| hear(&mut peers, 0, 5, &beacon(10 + node, 1)).is_some()).count();
    assert_eq!((up, peers.iter().count(), peers.stats.refused), (PEERS, PEERS, 5_000 - PEERS as u64));
    let late = Time::from_millis(4_000);
    assert_eq!(std::iter::from_fn(|| peers.poll_expired(late)).count(), PEERS);
    assert!(hear(&mut peers, 4_001, 5, &beacon(9, 1)).is_some());
}
