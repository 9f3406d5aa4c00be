//! A receiver that always asks for more than its share, and refusals that nobody proved should hear.

use super::*;

/// Ten seconds in which r1 asks for all of the last 100 batches every 100 ms and never moves on; r2 keeps up and asks
/// for one. What happened, and what the last NAK of each was answered with.
fn cry(policy: FlowPolicy) -> (Rig, Vec<String>) {
    let mut rig = Rig::new(SenderSettings { repair_floor: 0, ..settings(policy) });
    (1..=2).for_each(|id| rig.join(id, at(0)));
    let mut told = Vec::new();
    for _ in 0..70 {
        let base = rig.ring.sent().0;
        rig.publish(100);
        rig.skip(100 * MS);
        rig.status(1, at(0));
        rig.status(2, at(base + 100));
        let own = rig.nak(2, &[(base, base + 1)]).concat();
        assert!(own.starts_with(&format!("repair {base}..{}", base + 1)), "{own}");
        rig.nak(1, &[(base + 1, base + 100)]);
        told.extend(rig.events());
    }
    (rig, told)
}

#[test]
fn a_crying_receiver_is_cut_off_and_named_and_the_others_are_served() {
    let (mut rig, told) = cry(drop_policy());
    assert_eq!(told, ["slow r1 by 100", "cut off r1 at 0"]);
    let stats = rig.sender.stats();
    assert_eq!((stats.slow, stats.cut_off, stats.evicted), (1, 1, 0));
    assert_eq!(
        rig.nak(1, &[(6_950, 6_960), (6_990, 7_005)]),
        ["gone 6950..6960 Evicted, 6990..7000 Evicted to r1"]
    );
    // Near the head again it is one like the others.
    rig.skip(SECOND);
    rig.status(1, at(6_999));
    assert_eq!(rig.nak(1, &[(6_999, 7_000)]), ["repair 6999..7000 to r1"]);
}

#[test]
fn a_publisher_that_waits_cuts_nobody_off() {
    let (rig, told) = cry(block_policy());
    assert_eq!(told, ["slow r1 by 100"]);
    assert_eq!(rig.sender.stats().cut_off, 0);
}

/// Put off again and again, but with a pause: it asks for what it needs.
#[test]
fn one_that_is_content_in_between_is_not_crying() {
    let mut rig = Rig::new(SenderSettings { repair_floor: 0, ..settings(drop_policy()) });
    rig.join(1, at(0));
    for round in 0..100 {
        let base = rig.ring.sent().0;
        rig.publish(100);
        rig.skip(100 * MS);
        rig.status(1, at(0));
        rig.nak(1, &[(base, base + if round % 40 == 39 { 1 } else { 100 })]);
    }
    assert_eq!(rig.sender.stats().cut_off, 0);
}

/// What the ring has overwritten is refused to the group when an unproved NAK asks for it: how many GONE go, and their
/// bytes, when a hundred such NAKs come at once and repairs have `repair_floor` bytes a second.
fn refusals(repair_floor: u64) -> (usize, u64) {
    let mut rig = Rig::new(SenderSettings { repair_floor, ..settings(drop_policy()) });
    rig.publish(10_000);
    rig.now = rig.now + SECOND;
    let oldest = rig.ring.oldest().0;
    assert!(oldest > 1_000);
    let ranges: Vec<_> = (0..100).map(|n| (5 * n, 5 * n + 1)).collect();
    let mut refusals = 0;
    for _ in 0..100 {
        let lines = rig.nak_from(home(9), 9, Token(9), &ranges);
        refusals += lines.iter().filter(|line| line.starts_with("gone")).count();
    }
    let stats = rig.sender.stats();
    assert_eq!(stats.gone_overrun + stats.refusals_withheld, 10_000);
    (refusals, 24 * stats.gone_overrun + 32 * stats.gones)
}

#[test]
fn forged_naks_do_not_make_the_publisher_shout() {
    assert_eq!(refusals(100_000), (8, 4 * 2_464));
    assert_eq!(refusals(40 * 2_464), (8, 4 * 2_464), "to the byte");
    assert_eq!(refusals(40 * 2_464 - 10), (6, 3 * 2_464));
}
