//! Who publishes: side by side, one after the other, gone; and where a subscriber begins.

use core::cell::RefCell;
use core::net::SocketAddr;
use std::rc::Rc;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::history::RingSettings;
use nakcast::wire::Kind;

use super::rig::FREE;
use super::rig::Fate;
use super::rig::Hop;
use super::rig::MS;
use super::rig::SECOND;
use super::rig::US;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

/// A subscriber that was there first, and a publisher.
fn world() -> World {
    let mut world = World::empty();
    world.subscribe(subscribes(1));
    world.open(publishes(77, FREE));
    world
}

#[test]
fn a_session_is_joined_from_its_first_message_while_it_opens() {
    let mut world = World::empty();
    world.open(publishes(77, FREE));
    world.publish(0, 100, 10 * US);
    world.subscribe(subscribes(1));
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    assert_eq!(world.subscribers[0].lines, ["up 0"]);
    assert_eq!(world.network.log[0], "nak 0..100 by r1");
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 100));
}

#[test]
fn a_session_is_joined_at_the_first_message_heard_later_on() {
    let mut world = World::empty();
    world.open(publishes(77, FREE));
    world.pass(SECOND);
    world.publish(0, 100, 10 * US);
    world.subscribe(subscribes(1));
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    assert_eq!(world.subscribers[0].lines, ["up 100"]);
    world.finish_whole(100);
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn two_publishers_side_by_side_have_nothing_to_do_with_each_other() {
    let mut world = World::new(FREE, 1);
    world.open(publishes(5, FREE));
    world.pass(200 * MS);
    assert_eq!(world.subscribers[0].lines, ["up 0"]);
    world.fates(|hop| if hop.is_data(4) { Fate::Drop } else { Fate::Pass });
    for _ in 0..50 {
        world.publish(0, 1, 5 * US);
        world.publish(1, 1, 5 * US);
    }
    world.pass(50 * MS);
    world.finish(1);
    world.publish(0, 10, 10 * US);
    world.finish(0);
    assert_eq!(world.counts(), (2, 2), "one loss of each");
    assert_eq!(world.subscribers[0].lines, ["up 0", "down ended 50", "down ended 60"]);
    assert_eq!(world.subscribers[0].delivered(SessionId(77)), [range(0, 60)]);
    assert_eq!(world.subscribers[0].delivered(SessionId(5)), [range(0, 50)]);
}

/// The first process dies with a message lost; what it leaves is told before the new one comes up.
#[test]
fn a_publisher_that_restarts_at_its_address_replaces_the_old_session() {
    let mut world = world();
    world.fates(|hop| if hop.is_data(8) { Fate::Drop } else { Fate::Pass });
    world.publish(0, 10, 10 * US);
    world.pass(20 * US);
    let index = world.restart(0, publishes(5, FREE));
    world.fates(|_| Fate::Pass);
    world.publish(index, 10, 10 * US);
    world.pass(600 * MS);
    let lines = ["up 0", "lost 8..9 source down", "down replaced 10", "up 0 for 77"];
    assert_eq!(world.subscribers[0].lines, lines);
    let from = world.publishers[0].address;
    replay(&mut world, from);
    world.pass(3 * SECOND);
    assert_eq!(world.subscribers[0].lines, lines, "it never comes back");
    world.finish(index);
    assert_eq!(
        world.counts(),
        (12 + 1, 10),
        "twelve in vain, and one for what was sent before it was believed"
    );
    assert_eq!(world.subscribers[0].delivered(SessionId(5)), [range(0, 10)]);
    assert_eq!(world.subscribers[0].delivered(SessionId(77)), [range(0, 8), range(9, 10)]);
    assert!(world.subscribers[0].machine.receiver_ref().stats().replaced_session >= 20);
}

/// Sends again what the first publisher sent, and more that it might have sent.
fn replay(world: &mut World, from: SocketAddr) {
    let mut again = World::empty();
    again.open(publishes(77, FREE));
    let recorded = Rc::new(RefCell::new(Vec::new()));
    let recorder = Rc::clone(&recorded);
    again.subscribe(subscribes(9));
    again.network.record(move |bytes| recorder.borrow_mut().push(bytes.to_vec()));
    again.publish(0, 20, 10 * US);
    let recorded = recorded.take();
    assert!(recorded.len() >= 20);
    for bytes in &recorded {
        world.forge(from, 0, bytes);
    }
}

/// Sessions are never ordered, and no time on the wire matters: a clock set back is nothing to see.
#[test]
fn a_restart_with_the_clock_set_back_is_a_restart() {
    let with_times = |session| {
        let (ring, sender) = publishes(session, FREE);
        (RingSettings { timestamps: true, ..ring }, sender)
    };
    let mut world = World::empty();
    world.subscribe(subscribes(1));
    world.open(with_times(u64::MAX));
    world.publishers[0].timestamp = Some(2_000_000_000_000_000_000);
    world.publish(0, 10, 10 * US);
    world.pass(20 * MS);
    let index = world.restart(0, with_times(1));
    world.publishers[index].timestamp = Some(1_000_000_000_000_000_000);
    world.fates(|hop| if hop.is_data(5) { Fate::Drop } else { Fate::Pass });
    world.publish(index, 5, 10 * US);
    world.publishers[index].timestamp = Some(1);
    world.publish(index, 15, 10 * US);
    world.pass(600 * MS);
    let lines = ["up 0", "down replaced 10", &format!("up 0 for {}", u64::MAX)];
    assert_eq!(world.subscribers[0].lines, lines);
    world.finish(index);
    assert_eq!(world.subscribers[0].delivered(SessionId(1)), [range(0, 20)]);
    assert_eq!(world.counts(), (1, 20));
}

#[test]
fn a_publisher_that_dies_is_silent_after_three_seconds() {
    let mut world = world();
    world.fates(|hop| if hop.is_data(8) { Fate::Drop } else { Fate::Pass });
    world.publish(0, 10, 10 * US);
    world.publishers[0].is_alive = false;
    world.pass(2 * SECOND + 999 * MS);
    assert_eq!(world.subscribers[0].lines, ["up 0", "lost 8..9 timeout"]);
    world.pass(2 * MS);
    let lines = ["up 0", "lost 8..9 timeout", "rejoin", "down silent 10"];
    assert_eq!(world.subscribers[0].lines, lines);
    assert_eq!(world.subscribers[0].last_row().book.pending(), 0);
    let counts = world.counts();
    assert_eq!(counts, (17, 0));
    world.pass(60 * SECOND);
    assert_eq!(world.counts(), counts, "nobody is asked any more");
    assert_eq!(world.subscribers[0].machine.receiver_ref().next_timeout(), None);
}

/// What the network did not carry for a while is asked for when it does again.
#[test]
fn a_source_that_was_only_silent_comes_back_where_it_was() {
    let mut world = world();
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    world.fates(|_| Fate::Drop);
    world.publish(0, 20, 10 * US);
    world.pass(4 * SECOND);
    assert_eq!(world.subscribers[0].lines.len(), 3, "{:?}", world.subscribers[0].lines);
    world.forget();
    world.fates(|_| Fate::Pass);
    world.pass(SECOND);
    assert_eq!(world.subscribers[0].lines, ["up 10"]);
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 20));
}

#[test]
fn a_lost_end_is_said_again() {
    let mut world = World::new(FREE, 2);
    world.publish(0, 10, 10 * US);
    let lost = |hop: &Hop| hop.kind == Kind::End && hop.nth <= 2 && hop.subscriber == 0;
    world.fates(move |hop| if lost(hop) { Fate::Drop } else { Fate::Pass });
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn when_every_end_is_lost_the_source_falls_silent() {
    let mut world = World::new(FREE, 1);
    world.publish(0, 10, 10 * US);
    world.fates(|hop| if hop.kind == Kind::End { Fate::Drop } else { Fate::Pass });
    world.pass(50 * MS);
    world.finish(0);
    world.pass(3 * SECOND);
    assert_eq!(world.subscribers[0].lines, ["rejoin", "down silent 10"]);
    assert_eq!(world.counts(), (0, 0));
}

/// Nothing else comes through any more: whoever was called silent has ended.
#[test]
fn an_end_is_a_sign_of_life() {
    let mut world = world();
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    world.fates(|_| Fate::Drop);
    world.pass(4 * SECOND);
    assert_eq!(world.subscribers[0].lines, ["up 0", "rejoin", "down silent 10"]);
    world.forget();
    world.fates(|hop| if hop.kind == Kind::End { Fate::Pass } else { Fate::Drop });
    world.finish(0);
    assert_eq!(world.subscribers[0].lines, ["up 10", "down ended 10"]);
}

/// A publisher that lost its last message waits until that is repaired, and only then ends.
#[test]
fn an_end_waits_for_repairs() {
    let mut world = World::new(FREE, 2);
    let lost = |hop: &Hop| hop.base == 9 && hop.kind == Kind::Data && hop.nth == 1;
    world.fates(move |hop| if lost(hop) && hop.subscriber == 1 { Fate::Drop } else { Fate::Pass });
    world.publish(0, 10, 10 * US);
    world.finish_whole(0);
    assert_eq!(world.counts(), (2, 2), "the first repair was lost, too");
}
