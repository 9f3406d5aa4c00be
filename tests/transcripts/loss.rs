//! Datagrams that never arrive, one receiver: how many NAKs and repairs that costs.

use nakcast::time::Jitter;

use super::rig::AT_ONCE;
use super::rig::FREE;
use super::rig::Fate;
use super::rig::Hop;
use super::rig::MS;
use super::rig::US;
use super::rig::World;

/// A world of one subscriber in which `fates` decide, after `count` messages 10 µs apart, and everything after them.
fn world(count: u64, fates: impl FnMut(&Hop) -> Fate + 'static) -> World {
    let mut world = World::new(FREE, 1);
    world.fates(fates);
    world.publish(0, count, 10 * US);
    world.pass(50 * MS);
    world
}

fn drop_if(lost: bool) -> Fate {
    if lost { Fate::Drop } else { Fate::Pass }
}

#[test]
fn nothing_lost_costs_nothing() {
    let mut world = world(1_000, |_| Fate::Pass);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn one_loss_is_one_nak_and_one_repair() {
    let mut world = world(20, |hop| drop_if(hop.is_data(4)));
    assert_eq!(world.network.log, ["nak 4..5 by r1", "repair 4..5"]);
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn a_burst_of_100_is_one_nak_of_one_range() {
    let mut world = world(200, |hop| drop_if(hop.is_data_in(10..110)));
    assert_eq!(world.network.log[0], "nak 10..110 by r1");
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 100));
}

/// All arrive at one time, so all gaps are known when the first is asked for.
#[test]
fn every_second_batch_of_a_burst_is_one_nak_of_50_ranges() {
    let mut world = World::new(FREE, 1);
    world.fates(|hop| drop_if(hop.is_data_in(10..110) && hop.base.is_multiple_of(2)));
    world.publish(0, 10, 10 * US);
    world.publish(0, 110, AT_ONCE);
    world.pass(50 * MS);
    let ranges: Vec<_> = (10..110).step_by(2).map(|base| format!("{base}..{}", base + 1)).collect();
    assert_eq!(world.network.log[0], format!("nak {} by r1", ranges.join(" ")));
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 50));
}

/// They arrive 10 µs apart: each gap is asked for when its third later batch has come.
#[test]
fn every_second_batch_of_a_feed_is_a_nak_each() {
    let mut world = world(120, |hop| drop_if(hop.is_data_in(10..110) && hop.base.is_multiple_of(2)));
    assert_eq!(world.network.log[..3], ["nak 10..11 by r1", "nak 12..13 by r1", "nak 14..15 by r1"]);
    world.finish_whole(0);
    assert_eq!(world.counts(), (50, 50));
}

#[test]
fn the_first_message_is_missed_when_the_next_ones_come() {
    let mut world = world(5, |hop| drop_if(hop.is_data(0)));
    assert_eq!(world.network.log, ["nak 0..1 by r1", "repair 0..1"]);
    world.finish_whole(0);
}

#[test]
fn a_heartbeat_reveals_that_the_last_message_is_lost() {
    let mut world = world(10, |hop| drop_if(hop.is_data(9)));
    assert_eq!(world.network.log, ["nak 9..10 by r1", "repair 9..10"]);
    world.finish_whole(0);
}

#[test]
fn a_lost_repair_is_two_naks() {
    let mut world = world(20, |hop| drop_if(hop.is_data(4) || (hop.is_repair && hop.nth == 1)));
    assert_eq!(world.network.log, ["nak 4..5 by r1", "repair 4..5", "nak 4..5 by r1", "repair 4..5"]);
    world.finish_whole(0);
}

#[test]
fn a_lost_nak_is_two_naks_and_one_repair() {
    let mut world = world(20, |hop| drop_if(hop.is_data(4) || (hop.is_nak() && hop.nth == 1)));
    assert_eq!(world.network.log, ["nak 4..5 by r1", "nak 4..5 by r1", "repair 4..5"]);
    world.finish_whole(0);
}

/// What was asked for at one time is asked for again at one time, also where each gap waits for the others first.
#[test]
fn a_lost_nak_of_50_ranges_is_asked_again_in_one() {
    for subscribers in [1, 8] {
        let mut world = World::new(FREE, subscribers);
        world.fates(|hop| {
            let lost = hop.subscriber == 0 && hop.is_data_in(10..110) && hop.base.is_multiple_of(2);
            drop_if(lost || (hop.is_nak() && hop.nth <= 3))
        });
        world.publish(0, 10, 10 * US);
        world.publish(0, 110, AT_ONCE);
        world.pass(50 * MS);
        world.finish_whole(0);
        assert_eq!(world.counts(), (4, 50), "{subscribers} subscribers");
    }
}

/// One in ten of everything, both ways: no more NAKs than gaps, and those that were lost or whose repair was.
#[test]
fn one_in_ten_of_everything_lost_is_mended() {
    let mut chance = Jitter::new(1);
    let mut world = World::new(FREE, 1);
    world.fates(move |_| drop_if(chance.happens(0.1)));
    world.publish(0, 2_000, 10 * US);
    world.pass(200 * MS);
    let lost = world.subscribers[0].last_row().stats.repaired;
    let (naks, repairs) = world.counts();
    assert!(lost > 170 && naks < lost * 5 / 4 && repairs < lost * 5 / 4, "{lost} {naks} {repairs}");
    world.finish_whole(0);
}
