//! How far the publisher may go.

use super::*;

const W: u64 = WINDOW as u64;

#[test]
fn drop_is_paced_by_the_fastest() {
    let mut rig = Rig::new(settings(drop_policy()));
    assert_eq!(rig.sender.limit(), None);
    rig.publish(8);
    rig.join(1, at(2));
    assert_eq!(rig.sender.limit(), Some(2 * CHARGE + W));
    rig.join(2, at(5));
    assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
    rig.status(1, at(4));
    assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
    rig.status(2, Says { flags: Status::LEAVING, ..at(5) });
    assert_eq!(rig.sender.limit(), Some(4 * CHARGE + W));
}

#[test]
fn drop_waits_no_longer_than_its_pace_without_progress() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    rig.publish(10);
    rig.sender.set_held(rig.now, true);
    rig.skip(60 * MS);
    rig.status(1, at(1));
    rig.skip(99 * MS);
    assert_eq!(rig.sender.limit(), Some(CHARGE + W), "progress starts the wait afresh");
    rig.skip(MS);
    assert_eq!((rig.sender.limit(), rig.sender.stats().free_runs), (None, 1));
    rig.sender.set_held(rig.now, false);
    rig.publish(50);
    rig.status(1, at(1));
    assert_eq!(rig.sender.limit(), None, "the same again is no progress");
    rig.status(1, at(20));
    assert_eq!(rig.sender.limit(), Some(20 * CHARGE + W));
}

#[test]
fn a_publisher_that_is_not_held_gives_nothing_up() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    rig.skip(4 * SECOND);
    assert_eq!((rig.sender.limit(), rig.sender.stats().free_runs), (Some(W), 0));
}

#[test]
fn free_running_never_waits() {
    let mut rig = Rig::new(settings(FlowPolicy::Drop { pace: 100 * MS, free_running: true }));
    rig.join(1, at(0));
    assert_eq!(rig.sender.limit(), None);
}

#[test]
fn nobody_is_promised_more_than_the_ring_keeps() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, Says { window: u32::MAX, ..at(0) });
    assert_eq!(rig.sender.limit(), Some(rig.ring.capacity() as u64));
}

/// What one lacks that fetches it lies in the ring, and nowhere else.
#[test]
fn who_fetches_is_waited_for_by_the_ring_alone() {
    let fetches = |next| Says { flags: Status::FETCHING, ..at(next) };
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(20);
    rig.join(1, at(20));
    rig.join(2, fetches(2));
    assert!(rig.ring.window() > W);
    assert_eq!(rig.sender.limit(), Some(20 * CHARGE + W));
    rig.status(1, Says { flags: Status::LEAVING, ..at(20) });
    assert_eq!(rig.sender.limit(), Some(2 * CHARGE + rig.ring.window()));
    rig.status(2, at(20));
    assert_eq!(rig.sender.limit(), Some(20 * CHARGE + W));
}

#[test]
fn who_fetches_sets_no_pace_for_those_who_hear() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(20);
    rig.join(1, at(20));
    rig.join(2, Says { flags: Status::FETCHING, ..at(10) });
    assert_eq!(rig.sender.limit(), Some(20 * CHARGE + W));
}

#[test]
fn a_window_that_is_not_closed_takes_a_datagram() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(1, Says { window: 1, ..at(0) });
    assert_eq!(rig.sender.limit(), Some(crate::history::charge(1_400)));
    rig.status(1, Says { window: 0, ..at(0) });
    assert_eq!(rig.sender.limit(), Some(0));
}

#[test]
fn block_waits_for_the_slowest() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(8);
    rig.join(1, at(2));
    rig.join(2, at(5));
    assert_eq!(rig.sender.limit(), Some(2 * CHARGE + W));
    rig.status(1, at(7));
    assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
    rig.status(2, Says { window: 0, ..at(5) });
    assert_eq!(rig.sender.limit(), Some(5 * CHARGE), "a window may shrink");
}

#[test]
fn a_held_publisher_polls_and_the_limit_frees_it() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(10);
    rig.join(1, at(0));
    rig.skip(500 * MS);
    rig.sender.set_held(rig.now, true);
    let polls = ["501000", "503000", "507000", "515000", "531000", "563000", "627000", "727000"];
    assert_eq!(rig.pass(230 * MS), polls.map(|micros| format!("{micros} heartbeat 10 poll")));
    rig.sender.set_held(rig.now, false);
    assert_eq!(rig.pass(MS), ["731000 heartbeat 10"]);
    assert_eq!(rig.sender.stats().polls, 8);
}

/// Two receivers answer every poll; r1 never moves, r2 has everything.
#[test]
fn patience_evicts_the_one_that_does_not_move() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.publish(10);
    rig.status(2, at(10));
    rig.sender.set_held(rig.now, true);
    for _ in 0..49 {
        rig.skip(100 * MS);
        rig.status(1, at(0));
        rig.status(2, at(10));
    }
    rig.skip(100 * MS - Duration::from_micros(1));
    assert!(rig.events().is_empty());
    rig.skip(Duration::from_micros(1));
    assert_eq!(rig.events(), ["evicted r1 at 0"]);
    assert_eq!((rig.sender.limit(), rig.sender.live()), (Some(10 * CHARGE + W), 2));
    assert_eq!(rig.sender.stats().evicted, 1);
    // It goes on, and is held by r2 now, which was not the one that kept it.
    rig.sender.set_held(rig.now, false);
    rig.publish(10);
    rig.sender.set_held(rig.now, true);
    rig.skip(50 * MS);
    rig.status(1, at(14));
    assert!(rig.events().is_empty());
    assert_eq!(rig.sender.limit(), Some(10 * CHARGE + W), "more than half a window behind");
    rig.status(1, at(15));
    rig.status(2, at(20));
    assert_eq!(rig.sender.limit(), Some(15 * CHARGE + W), "it counts again");
}

#[test]
fn two_that_are_stuck_alike_go_one_right_after_the_other() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.publish(10);
    rig.status(2, at(1));
    rig.sender.set_held(rig.now, true);
    for _ in 0..50 {
        rig.skip(100 * MS);
        rig.status(1, at(0));
        rig.status(2, at(1));
    }
    assert_eq!(rig.events(), ["evicted r1 at 0"]);
    rig.sender.handle_timeout(rig.now, &rig.ring);
    rig.skip(10 * MS - Duration::from_nanos(1));
    assert!(rig.events().is_empty(), "the publisher may be about to go on");
    rig.skip(Duration::from_nanos(1));
    assert_eq!((rig.events(), rig.sender.limit()), (vec!["evicted r2 at 1".to_owned()], None));
}

#[test]
fn slow_but_moving_is_not_evicted() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(1, at(0));
    rig.publish(10);
    rig.sender.set_held(rig.now, true);
    for next in 1..5 {
        rig.skip(4_900 * MS);
        rig.status(1, at(next));
    }
    assert!(rig.events().is_empty());
}

/// Time in which the publisher was not held does not use up anybody's patience.
#[test]
fn only_held_time_counts() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(1, at(0));
    rig.publish(5);
    for _ in 0..20 {
        rig.skip(SECOND);
        rig.status(1, at(0));
    }
    rig.sender.set_held(rig.now, true);
    rig.skip(4 * SECOND);
    assert!(rig.events().is_empty());
}

#[test]
fn silence_while_it_holds_is_an_eviction_that_is_remembered() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.publish(10);
    rig.skip(SECOND);
    rig.sender.set_held(rig.now, true);
    for _ in 0..8 {
        rig.skip(500 * MS);
        rig.status(2, at(10));
    }
    assert_eq!(rig.events(), ["evicted r1 at 0"]);
    assert_eq!((rig.sender.live(), rig.sender.limit()), (1, Some(10 * CHARGE + W)));
    rig.publish(1_000);
    let trains_gone = rig.ring.oldest().0;
    assert!(trains_gone > 0);
    assert_eq!(rig.nak(1, &[(0, 10)]), ["gone 0..10 Evicted to r1"]);
    rig.status(1, at(0));
    assert_eq!(rig.events(), ["up r1"]);
    assert_eq!(rig.sender.limit(), Some(10 * CHARGE + W), "it is not near the head");
    rig.status(1, at(1_010));
    rig.status(2, at(1_010));
    assert_eq!(rig.sender.limit(), Some(1_010 * CHARGE + W));
}

#[test]
fn nobody_unproved_holds_a_publisher() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(10);
    rig.status_from(home(1), 1, Token(0), Says { window: 0, ..at(0) });
    assert_eq!(rig.sender.limit(), None);
}
