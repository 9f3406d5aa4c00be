//! Who sets the pace when some hear datagrams and others are behind a connection.

use super::streams::W;
use super::*;

/// The window of a connection is nearly the whole ring: if it counted, no UDP subscriber would pace anybody.
#[test]
fn drop_is_paced_by_the_fastest_that_hears_datagrams_if_there_is_one() {
    for policy in [drop_policy(), FlowPolicy::Disconnect { pace: 100 * MS, free_running: false }] {
        let mut rig = Rig::new(settings(policy));
        rig.publish(400);
        rig.attach(2, 0);
        rig.attach(3, 0);
        rig.progress(2, 390);
        assert_eq!(
            rig.sender.limit(),
            rig.grant(390),
            "the fastest connection, as long as there are only those"
        );
        rig.events();
        rig.join(1, at(5));
        assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
        rig.progress(2, 400);
        assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
        rig.join(4, at(3));
        assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
        rig.status(4, at(9));
        assert_eq!(rig.sender.limit(), Some(9 * CHARGE + W));
        rig.status(4, Says { flags: Status::LEAVING, ..at(9) });
        assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
        rig.detach(2, true);
        assert_eq!(rig.sender.limit(), Some(5 * CHARGE + W));
        rig.status(1, Says { flags: Status::LEAVING, ..at(5) });
        assert_eq!(rig.sender.limit(), rig.grant(0), "r3 is left");
    }
}

/// r1 hears datagrams and says nothing any more: the pace is given up, then set by r2 once r1 counts no more.
#[test]
fn who_sets_the_pace_next_ends_a_free_run() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(40);
    rig.join(1, at(30));
    rig.attach(2, 0);
    rig.sender.set_held(rig.now, true);
    rig.skip(100 * MS);
    assert_eq!((rig.sender.limit(), rig.sender.stats().free_runs), (None, 1));
    rig.progress(2, 39);
    assert_eq!(rig.sender.limit(), None, "it does not set the pace");
    rig.sender.set_held(rig.now, false);
    rig.skip(5 * SECOND);
    assert_eq!(rig.sender.limit(), rig.grant(39));
    rig.sender.set_held(rig.now, true);
    rig.skip(99 * MS);
    assert_eq!(rig.sender.limit(), rig.grant(39));
    rig.events();
    rig.join(3, at(7));
    rig.skip(99 * MS);
    assert_eq!((rig.sender.limit(), rig.sender.stats().free_runs), (Some(7 * CHARGE + W), 1));
    rig.skip(MS);
    assert_eq!((rig.sender.limit(), rig.sender.stats().free_runs), (None, 2));
}

#[test]
fn block_waits_for_the_slowest_whatever_it_hears() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(300);
    rig.join(1, at(299));
    rig.attach(2, 290);
    assert_eq!(rig.sender.limit(), Some(299 * CHARGE + W));
    rig.status(1, at(300));
    rig.attach(3, 100);
    assert_eq!(rig.sender.limit(), rig.grant(100).min(Some(300 * CHARGE + W)));
}
