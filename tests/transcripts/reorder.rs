//! Datagrams that arrive late, or twice.

use super::rig::FREE;
use super::rig::Fate;
use super::rig::Hop;
use super::rig::MS;
use super::rig::US;
use super::rig::World;

/// A world of one subscriber in which `fates` decide, after `count` messages 10 µs apart.
fn world(count: u64, fates: impl FnMut(&Hop) -> Fate + 'static) -> World {
    let mut world = World::new(FREE, 1);
    world.fates(fates);
    world.publish(0, count, 10 * US);
    world.pass(50 * MS);
    world
}

/// What happens to a batch that arrives behind `later` others.
fn behind(later: u32) -> Fate {
    Fate::Late(later * 10 * US + 5 * US)
}

#[test]
fn a_duplicate_is_dropped() {
    let mut world = world(20, |hop| if hop.is_data(4) { Fate::Twice } else { Fate::Pass });
    assert_eq!(world.subscribers[0].last_row().stats.duplicates, 1);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn everything_twice_is_delivered_once() {
    let mut world = world(200, |_| Fate::Twice);
    assert_eq!(world.subscribers[0].last_row().stats.duplicates, 200);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn reordering_by_one_or_two_is_not_asked_for() {
    for later in [1, 2] {
        let mut world = world(20, move |hop| if hop.is_data(4) { behind(later) } else { Fate::Pass });
        assert_eq!(world.subscribers[0].last_row().stats.reordered, 1);
        world.finish_whole(0);
        assert_eq!(world.counts(), (0, 0), "behind {later}");
    }
}

#[test]
fn reordering_by_three_to_six_costs_one_nak() {
    for later in 3..=6 {
        let mut world = world(20, move |hop| if hop.is_data(4) { behind(later) } else { Fate::Pass });
        let stats = world.subscribers[0].last_row().stats;
        assert_eq!((stats.naks_needless, stats.repairs_useless), (1, 1));
        world.finish_whole(0);
        assert_eq!(world.counts(), (1, 1), "behind {later}");
    }
}

/// The first original that arrives after its NAK doubles the guard, and that is wide enough for the others.
#[test]
fn a_network_that_reorders_by_four_again_and_again_costs_one_nak() {
    let late = |hop: &Hop| hop.is_data_in(0..1_000) && hop.base % 20 == 4;
    let mut world = world(1_000, move |hop| if late(hop) { behind(4) } else { Fate::Pass });
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
}

/// Every batch but one in three is late by two: nothing is lost, and nothing is asked for.
#[test]
fn shuffled_neighbours_cost_nothing() {
    let late = |hop: &Hop| hop.is_data_in(0..1_000) && !hop.base.is_multiple_of(3);
    let mut world = world(1_000, move |hop| if late(hop) { behind(1) } else { Fate::Pass });
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// The repair overtakes the original, which was only slow.
#[test]
fn an_original_after_its_repair_is_a_duplicate() {
    let mut world = world(20, |hop| if hop.is_data(4) { Fate::Late(5 * MS) } else { Fate::Pass });
    assert_eq!(world.subscribers[0].last_row().stats.duplicates, 1);
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
}
