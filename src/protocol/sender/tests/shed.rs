//! The budget for repairs.

use super::*;

/// A rig in which receivers 1 to `receivers` are up and new data are flowing: 100 batches just now.
fn busy(receivers: u64, repair_floor: u64) -> Rig {
    let mut rig = Rig::new(SenderSettings { repair_floor, ..settings(drop_policy()) });
    for id in 1..=receivers {
        rig.join(id, at(0));
    }
    rig.publish(100);
    rig.sender.handle_timeout(rig.now, &rig.ring);
    rig
}

/// 100 batches of 1,000 bytes in 100 ms: half of it is 50,000 bytes in 100 ms.
#[test]
fn over_budget_the_rest_is_put_off_until_it_has_refilled() {
    let mut rig = busy(1, 0);
    assert_eq!(rig.nak(1, &[(0, 30)]), ["repair 0..30"]);
    assert_eq!(
        rig.nak(1, &[(30, 60), (70, 71)]),
        ["shed 50..60, 70..71 for 100000 us to r1", "repair 30..50"]
    );
    let stats = rig.sender.stats();
    assert_eq!((stats.sheds, stats.ranges_shed, stats.repaired_bytes), (1, 2, 50_000));
    rig.now = rig.now + 40 * MS;
    assert_eq!(rig.nak(1, &[(50, 60), (70, 71)]), ["heartbeat 100", "repair 50..60", "repair 70..71"]);
}

#[test]
fn the_floor_holds_whatever_the_data() {
    let mut rig = busy(1, 8 << 20);
    assert_eq!(rig.nak(1, &[(0, 100)]).concat(), "repair 0..65repair 65..100");
    assert_eq!(rig.sender.stats().sheds, 0);
}

#[test]
fn each_asker_has_its_share() {
    let mut rig = busy(2, 0);
    assert_eq!(rig.nak(1, &[(0, 20)]), ["repair 0..20"]);
    assert_eq!(rig.nak(2, &[(20, 60)]), ["shed 45..60 for 100000 us to r2", "repair 20..45"]);
    // r1 has used 20 of its 25.
    assert_eq!(rig.nak(1, &[(60, 70)]), ["shed 65..70 for 100000 us to r1", "repair 60..65"]);
}

/// However many ids they make up, those without a place in the table have one share.
#[test]
fn strangers_have_one_share_together_and_are_put_off_without_a_word() {
    let mut rig = busy(1, 0);
    assert_eq!(rig.nak(1, &[(0, 1)]), ["repair 0..1"]);
    let mut sent = 0;
    for id in 100..199 {
        let from = id - 99;
        let lines = rig.nak_from(home(id), id, Token(id), &[(from, from + 1)]);
        assert!(lines.iter().all(|line| line.starts_with("repair") && !line.contains("to")), "{lines:?}");
        sent += lines.len();
    }
    assert_eq!((sent, rig.sender.stats().ranges_shed_silently), (25, 74));
    assert_eq!(rig.sender.stats().sheds, 0);
}

#[test]
fn an_idle_publisher_puts_nobody_off_who_asks_alone() {
    let mut rig = busy(2, 0);
    rig.now = rig.now + 100 * MS;
    assert_eq!(rig.nak(1, &[(0, 100)]), ["heartbeat 100", "repair 0..65", "repair 65..100"]);
    // With two, each has its share of the floor, which is nothing here: a batch, and no more.
    rig.skip(300 * MS);
    assert_eq!(rig.nak(1, &[(0, 1)]), ["repair 0..1"]);
    assert_eq!(rig.nak(2, &[(1, 2)]), ["repair 1..2"]);
    assert_eq!(rig.nak(2, &[(2, 3)]).len(), 1);
    assert_eq!(rig.sender.stats().sheds, 1);
}

#[test]
fn a_held_publisher_puts_nobody_off_who_asks_alone() {
    let mut rig = busy(1, 0);
    rig.sender.set_held(rig.now, true);
    assert_eq!(rig.nak(1, &[(0, 100)]).len(), 2);
    assert_eq!(rig.sender.stats().sheds, 0);
}

/// Every other of 2,400 offsets is asked for before anything is sent: 1,024 ranges wait, the others are put off.
#[test]
fn the_queue_is_bounded() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish_small(8);
    rig.join(1, at(0));
    rig.now = rig.now + SECOND;
    let mut bytes = Vec::new();
    for nak in 0..12 {
        let froms = (0..100).map(|n| Offset(2 * (nak * 100 + n)));
        let ranges: Vec<_> = froms.map(|from| RangeEntry::new(OffsetRange::run(from, 1))).collect();
        wire::encode_nak(&mut bytes, &rig.head(0), (ReceiverId(1), rig.token(1)), &ranges);
        rig.take_in(home(1), &bytes);
    }
    assert_eq!(rig.sender.stats().ranges_shed, 1_200 - 1_024);
    let lines = rig.drain();
    assert_eq!(lines.iter().filter(|line| line.starts_with("repair")).count(), 7, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("shed")).count(), 2);
}
