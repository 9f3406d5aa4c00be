//! Tables and queues that are full.

use super::*;

#[test]
fn answers_that_nobody_sends_are_bounded() {
    let mut rig = Rig::new(settings(drop_policy()));
    for id in 1..=600 {
        let bytes = rig.encode_status(id, Token(0), at(0));
        rig.take_in(home(id), &bytes);
    }
    assert_eq!(rig.sender.stats().answers_dropped, 88);
    assert_eq!(rig.drain().len(), 512);
    assert_eq!(rig.sender.stats().welcomes, 512);
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let mut rig = Rig::new(SenderSettings { receivers: 8, ..settings(drop_policy()) });
    rig.status(1, at(0));
    for _ in 0..10 {
        rig.status(1, at(0));
        rig.status(1, Says { flags: Status::LEAVING, ..at(0) });
    }
    assert_eq!((rig.events().len(), rig.sender.stats().events_dropped), (16, 4));
}

/// r1 and r2 are evicted by their silence, r1 first.
fn silenced() -> Rig {
    let mut rig = Rig::new(SenderSettings { receivers: 3, ..settings(block_policy()) });
    rig.join(1, at(0));
    rig.skip(SECOND);
    rig.join(2, at(0));
    rig.publish(10);
    rig.skip(2 * SECOND);
    rig.sender.set_held(rig.now, true);
    rig.join(3, at(10));
    rig.skip(3 * SECOND);
    assert_eq!(rig.events(), ["evicted r1 at 0", "evicted r2 at 0"]);
    rig.status(3, at(10));
    rig
}

fn ids(rig: &Rig) -> Vec<u64> {
    rig.sender.receivers().map(|row| row.receiver.0).collect()
}

#[test]
fn the_place_of_one_evicted_and_silent_is_given_away_the_longest_silent_first() {
    let mut rig = silenced();
    assert_eq!((ids(&rig), rig.sender.live()), (vec![1, 2, 3], 1));
    rig.join(4, at(10));
    assert_eq!((ids(&rig), rig.sender.live()), (vec![2, 3, 4], 2));
    rig.join(5, at(10));
    rig.status(6, at(10));
    rig.status(6, at(10));
    assert_eq!((ids(&rig), rig.sender.stats().receivers_refused), (vec![3, 4, 5], 1));
}

#[test]
fn one_evicted_and_silent_is_remembered_for_a_minute() {
    let mut rig = silenced();
    rig.sender.set_held(rig.now, false);
    rig.skip(54 * SECOND - MS);
    assert_eq!(ids(&rig), [1, 2]);
    rig.skip(MS);
    assert_eq!(ids(&rig), [2]);
    assert_eq!(rig.events(), ["silent r3"]);
}
