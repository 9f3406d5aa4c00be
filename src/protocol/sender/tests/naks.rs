//! What a NAK brings about.

use super::*;

#[test]
fn every_gap_is_repaired_at_once_oldest_first() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(20);
    rig.join(1, at(0));
    assert_eq!(
        rig.nak(1, &[(2, 3), (5, 7), (7, 9), (12, 13)]),
        ["repair 2..3", "repair 5..9", "repair 12..13"]
    );
    let stats = rig.sender.stats();
    assert_eq!((stats.naks, stats.ranges, stats.repairs_multicast, stats.repairs_unicast), (1, 4, 3, 0));
    assert_eq!((stats.repaired_offsets, stats.repaired_bytes), (6, 6 * BATCH));
}

#[test]
fn a_nak_of_somebody_unproved_is_answered_to_the_group_alone() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(1_000);
    let oldest = rig.ring.oldest().0;
    for n in 0..10 {
        rig.skip(10 * MS);
        let range = (oldest + n, oldest + n + 1);
        let lines = rig.nak_from(home(1), 1, Token(n), &[(0, 1), range]);
        assert_eq!(lines, ["gone 0..1 Overrun".to_owned(), format!("repair {}..{}", range.0, range.1)]);
    }
    assert_eq!(rig.sender.stats().naks_unproved, 10);
}

#[test]
fn the_fifth_repair_that_nobody_else_wants_goes_to_its_asker_alone() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(20);
    rig.join(1, at(0));
    for n in 0..4 {
        assert_eq!(rig.nak(1, &[(n, n + 1)]), [format!("repair {n}..{}", n + 1)]);
        rig.skip(8 * MS);
    }
    assert_eq!(rig.nak(1, &[(4, 5), (6, 7)]), ["repair 4..5 to r1", "repair 6..7 to r1"]);
    assert_eq!(rig.sender.stats().repairs_unicast, 2);
}

#[test]
fn four_repairs_count_only_once_nobody_else_can_be_about_to_ask() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(20);
    rig.join(1, at(0));
    assert_eq!(rig.nak(1, &[(0, 1), (2, 3), (4, 5), (6, 7)]).len(), 4);
    assert_eq!(rig.nak(1, &[(8, 9)]), ["repair 8..9"]);
    rig.skip(7 * MS);
    assert_eq!(rig.nak(1, &[(10, 11)]), ["repair 10..11"]);
    rig.skip(MS);
    assert_eq!(rig.nak(1, &[(12, 13)]), ["repair 12..13 to r1"]);
}

#[test]
fn a_second_asker_makes_it_go_again_to_the_group() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(30);
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.nak(1, &[(0, 1), (2, 3), (4, 5), (6, 7)]);
    rig.skip(8 * MS);
    assert_eq!(rig.nak(1, &[(10, 12)]), ["repair 10..12 to r1"]);
    assert_eq!(rig.nak(1, &[(10, 12)]), [""; 0], "its own is on its way");
    assert_eq!(rig.nak(2, &[(11, 13)]), ["repair 11..13"]);
    assert_eq!(rig.nak(2, &[(11, 13)]), [""; 0]);
    rig.skip(8 * MS);
    assert_eq!(rig.nak(1, &[(20, 21)]), ["repair 20..21"], "the first asker starts afresh");
}

#[test]
fn a_second_asker_of_a_multicast_repair_is_ignored_and_keeps_it_multicast() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(30);
    rig.join(1, at(0));
    rig.join(2, at(0));
    for n in 0..4 {
        assert_eq!(rig.nak(1, &[(n, n + 1)]).len(), 1);
        assert_eq!(rig.nak(2, &[(n, n + 1)]), [""; 0]);
        rig.skip(8 * MS);
    }
    assert_eq!(rig.sender.stats().naks_ignored, 4);
    assert_eq!(rig.nak(1, &[(5, 6)]), ["repair 5..6"]);
}

#[test]
fn a_repair_that_another_wanted_too_does_not_count_as_its_askers_own() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(30);
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.nak(1, &[(0, 1)]);
    rig.nak(2, &[(0, 1)]);
    for n in 1..5 {
        rig.skip(8 * MS);
        assert_eq!(rig.nak(1, &[(n, n + 1)]), [format!("repair {n}..{}", n + 1)]);
    }
    rig.skip(8 * MS);
    assert_eq!(rig.nak(1, &[(5, 6)]), ["repair 5..6 to r1"]);
}

/// Both want messages of one batch, which goes to each of them, since it goes to one of them alone.
#[test]
fn what_goes_to_one_alone_does_not_serve_another() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(10);
    rig.publish_small(1);
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.nak(1, &[(0, 1), (2, 3), (4, 5), (6, 7)]);
    rig.skip(8 * MS);
    rig.ask(1, &[(11, 12), (20, 21)]);
    rig.ask(2, &[(15, 16)]);
    assert_eq!(rig.drain(), ["repair 10..310 to r1", "repair 10..310"]);
}

#[test]
fn a_unicast_destination_has_no_other() {
    let mut rig = Rig::new(SenderSettings { unicast: true, ..settings(drop_policy()) });
    rig.publish(20);
    rig.join(1, at(0));
    for n in 0..9 {
        assert_eq!(rig.nak(1, &[(n, n + 1)]), [format!("repair {n}..{}", n + 1)]);
        rig.skip(8 * MS);
    }
}

#[test]
fn what_was_just_repaired_is_ignored_for_one_round_trip() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(20);
    rig.join(1, at(0));
    assert_eq!(rig.nak(1, &[(3, 6)]), ["repair 3..6"]);
    assert_eq!(rig.nak(1, &[(2, 8)]), ["repair 2..3", "repair 6..8"]);
    rig.skip(MS - Duration::from_nanos(1));
    assert_eq!(rig.nak(1, &[(3, 6)]), [""; 0]);
    rig.skip(Duration::from_nanos(1));
    assert_eq!(rig.nak(1, &[(3, 6)]), ["repair 3..6"]);
    assert_eq!(rig.sender.stats().naks_ignored, 2);
}

/// Two NAKs come before anything is sent.
#[test]
fn a_range_that_waits_is_not_queued_again_but_goes_to_all_who_want_it() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(30);
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.nak(1, &[(0, 1), (2, 3), (4, 5), (6, 7)]);
    rig.skip(8 * MS);
    rig.ask(1, &[(10, 20)]);
    rig.ask(1, &[(12, 14)]);
    rig.ask(2, &[(15, 22)]);
    assert_eq!(rig.drain(), ["repair 10..15 to r1", "repair 15..20", "repair 20..22"]);
    assert_eq!(rig.sender.stats().ranges_joined, 2);
}

#[test]
fn one_batch_answers_all_that_is_asked_of_it() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish_small(2);
    rig.join(1, at(0));
    let every_other: Vec<_> = (0..20).map(|n| (2 * n, 2 * n + 1)).collect();
    assert_eq!(rig.nak(1, &every_other), ["repair 0..300"]);
}

#[test]
fn a_long_range_goes_train_by_train() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(300);
    rig.join(1, at(0));
    rig.skip(SECOND);
    rig.ask(1, &[(0, 260)]);
    for range in ["0..65", "65..130", "130..195", "195..260"] {
        let mut lines = rig.drain_most(1);
        assert_eq!(lines.pop(), Some(format!("repair {range}")));
        rig.now = rig.now + Duration::from_micros(10);
    }
    assert_eq!(rig.drain(), [""; 0]);
    rig.skip(8 * MS);
    assert_eq!(rig.nak(1, &[(3, 4)]), ["repair 3..4"], "that was one repair, not four");
}

#[test]
fn what_is_gone_is_refused_with_its_reason() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(1_000);
    let oldest = rig.ring.oldest().0;
    rig.join(1, at(0));
    rig.skip(SECOND);
    let ranges = [(3, 5), (9, oldest + 2)];
    let expected =
        [format!("gone 3..5 Overrun, 9..{oldest} Overrun to r1"), format!("repair {oldest}..{}", oldest + 2)];
    assert_eq!(rig.nak(1, &ranges), expected);
    assert_eq!((rig.sender.stats().gone_overrun, rig.sender.stats().gones), (2, 1));
}

#[test]
fn a_hundred_refusals_take_two_datagrams() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(1_000);
    assert!(rig.ring.oldest().0 > 200);
    let ranges: Vec<_> = (0..100).map(|n| (2 * n, 2 * n + 1)).collect();
    assert_eq!(rig.nak(1, &ranges).len(), 2);
}

/// The ring comes round between the NAK and the repair.
#[test]
fn what_goes_while_it_waits_is_refused_too() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(10);
    rig.join(1, at(0));
    rig.skip(SECOND);
    rig.ask(1, &[(2, 8)]);
    rig.publish(1_000);
    assert_eq!(rig.drain(), ["gone 2..8 Overrun to r1"]);
}

#[test]
fn a_repair_that_nothing_can_be_said_of_does_not_stay() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(10);
    rig.join(1, at(0));
    rig.ask(1, &[(2, 4), (6, 8)]);
    assert!(rig.sender.peek_transmit(rig.now, &rig.ring).is_some());
    rig.sender.refused(Offset(0));
    assert!(rig.sender.peek_transmit(rig.now, &rig.ring).is_some());
    let covers = OffsetRange::new(Offset(0), Offset(1));
    rig.sender.sent(rig.now, Some(RepairSent { covers, bytes: 1_000 }));
    assert_eq!((rig.drain(), rig.sender.stats().repairs_dropped), (vec![], 2));
}

#[test]
fn absurd_ranges_cost_nothing() {
    let mut rig = Rig::new(settings(drop_policy()));
    let none: [(u64, u64); 2] = [(0, 1 << 31), (1 << 40, (1 << 40) + u64::from(u32::MAX))];
    assert_eq!(rig.nak(1, &none), [""; 0], "nothing was sent yet");
    rig.publish(10);
    rig.skip(SECOND);
    assert_eq!(rig.nak(1, &none), ["repair 0..10"]);
    let last = [(u64::MAX - 7, u64::MAX - 5), (u64::MAX - 1, u64::MAX)];
    assert_eq!(rig.nak(1, &last), [""; 0]);
    let many: Vec<_> = (0..100).map(|n| (n << 33, (n << 33) + u64::from(u32::MAX))).collect();
    rig.skip(SECOND);
    assert_eq!(rig.nak(2, &many), ["repair 0..10"]);
    assert_eq!(rig.sender.stats().ranges_beyond, 2 + 2 + 2 + 100);
}

/// The receiver has the head of a train whose tail is being handed to the socket.
#[test]
fn what_is_being_sent_may_be_asked_for_and_goes_when_it_was_sent() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    rig.publish(3);
    rig.seal();
    rig.seal();
    assert_eq!(rig.status(1, at(4)), [""; 0]);
    assert_eq!(rig.nak(1, &[(1, 2), (3, 9)]), ["repair 1..2"]);
    assert_eq!(rig.sender.stats().statuses_refused, 0);
    assert_eq!(rig.sender.next_timeout(), Some(Time::from_micros(100)));
    rig.writer.open().advance(1);
    assert_eq!(rig.pass(Duration::from_micros(300)), ["100 repair 3..4"]);
    rig.writer.open().advance(1);
    assert_eq!(rig.pass(Duration::from_micros(300)), ["400 repair 4..5"]);
}
