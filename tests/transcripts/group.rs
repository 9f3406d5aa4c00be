//! Many subscribers with the same loss: few of them ask.

use super::rig::FREE;
use super::rig::Fate;
use super::rig::MS;
use super::rig::US;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

fn drop_if(lost: bool) -> Fate {
    if lost { Fate::Drop } else { Fate::Pass }
}

/// Whoever asks first is answered to the group; the other one has nothing left to ask for, or is ignored.
#[test]
fn two_receivers_with_the_same_loss_get_one_repair() {
    let mut naks = 0;
    for seed in 0..20 {
        let mut world = World::empty();
        (1..=2).for_each(|id| world.subscribe(subscribes(id + 100 * seed)));
        world.open(publishes(77, FREE));
        world.pass(500 * MS);
        world.forget();
        world.fates(|hop| drop_if(hop.is_data(4)));
        world.publish(0, 20, 10 * US);
        world.pass(50 * MS);
        world.finish_whole(0);
        assert_eq!((world.counts().1, world.network.unicast), (1, 0));
        naks += world.counts().0;
    }
    assert_eq!(naks, 20 + 19, "two hardly wait for one another; the second NAK is ignored");
}

/// Four repairs that nobody else asks for go to all; after that they go to the one that loses.
#[test]
fn one_lossy_receiver_of_eight_is_repaired_alone_after_four_repairs() {
    let mut world = World::new(FREE, 8);
    world.fates(|hop| drop_if(hop.subscriber == 2 && hop.is_original() && hop.base % 10 == 4));
    for _ in 0..10 {
        world.publish(0, 10, 10 * US);
        world.pass(20 * MS);
    }
    let alone = |line: &String| line.starts_with("repair") && line.ends_with(" to r3");
    let repairs: Vec<_> =
        world.network.log.iter().filter(|line| line.starts_with("repair")).map(alone).collect();
    let expected: Vec<_> = (0..10).map(|n| n >= 4).collect();
    assert_eq!(repairs, expected);
    world.finish_whole(0);
    assert_eq!((world.counts(), world.network.unicast), ((10, 10), 6));
}

/// As soon as another one asks for the same, all get it. (Nobody waits for the others here, so both ask at one time.)
#[test]
fn a_second_asker_makes_repairs_multicast_again() {
    let mut world = World::empty();
    for id in 1..=8 {
        let mut settings = subscribes(id);
        settings.receiver.unicast = true;
        world.subscribe(settings);
    }
    world.open(publishes(77, FREE));
    world.pass(500 * MS);
    world.forget();
    world.fates(|hop| {
        let first = hop.is_original() && hop.base % 10 == 4;
        drop_if(first && (hop.subscriber == 2 || (hop.subscriber == 5 && hop.base == 64)))
    });
    for _ in 0..10 {
        world.publish(0, 10, 10 * US);
        world.pass(20 * MS);
    }
    world.finish_whole(0);
    let log = &world.network.log;
    let told = |line: &&String| line.starts_with("repair 6") || line.starts_with("repair 7");
    let told: Vec<_> = log.iter().filter(told).collect();
    assert_eq!(told, ["repair 64..65 to r3", "repair 64..65", "repair 74..75"]);
    assert_eq!((world.counts(), world.network.unicast), ((11, 11), 3), "{log:?}");
}
