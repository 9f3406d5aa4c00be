//! Who gets a place in the table, and who loses it.

use super::*;

#[test]
fn a_receiver_proves_its_address_before_it_counts() {
    let mut rig = Rig::new(settings(drop_policy()));
    assert_eq!(rig.status(1, at(0)), ["welcome r1 to r1"]);
    assert_eq!((rig.sender.live(), rig.events()), (0, vec![]));
    assert_eq!(rig.status(1, at(0)), [""; 0], "a proof needs no answer");
    assert_eq!((rig.sender.live(), rig.events()), (1, vec!["up r1".to_owned()]));
    assert_eq!(rig.status(1, Says { time: 5, ..at(0) }), ["welcome r1 to r1"], "a time is echoed");
    assert_eq!((rig.sender.stats().statuses, rig.sender.stats().welcomes), (3, 2));
}

#[test]
fn a_token_is_good_for_one_address_and_receiver() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    let token = rig.token(1);
    assert_eq!(rig.status_from(home(2), 1, token, at(0)), ["welcome r1 to r2"], "stolen");
    assert_eq!(rig.status_from(home(1), 2, token, at(0)), ["welcome r2 to r1"], "of another receiver");
    assert_eq!(rig.status_from(home(3), 3, Token(1), at(0)), ["welcome r3 to r3"], "guessed");
    assert_eq!((rig.sender.live(), rig.sender.stats().statuses_unproved), (1, 4));
}

#[test]
fn a_welcome_is_smaller_than_what_it_answers() {
    let mut rig = Rig::new(settings(drop_policy()));
    let status = size_of::<Status>();
    assert_eq!(rig.status(1, at(0)).len(), 1);
    assert!(size_of::<wire::Welcome>() < status);
}

#[test]
fn a_receiver_that_moves_proves_its_new_address() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    assert_eq!(rig.status_from(home(2), 1, Token(0), at(0)), ["welcome r1 to r2"]);
    assert_eq!(rig.sender.receivers().next().map(|row| row.address), Some(home(1)));
    let token = rig.tokens[&(1, home(2))];
    assert_eq!(rig.status_from(home(2), 1, token, at(0)), [""; 0]);
    assert_eq!(rig.sender.receivers().map(|row| row.address).collect::<Vec<_>>(), [home(2)]);
    assert!(rig.events().is_empty());
}

#[test]
fn a_receiver_leaves_only_from_where_it_is() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    let leaves = Says { flags: Status::LEAVING, ..at(0) };
    rig.status_from(home(1), 1, Token(9), leaves);
    rig.status_from(home(2), 1, Token(0), at(0));
    let elsewhere = rig.tokens[&(1, home(2))];
    rig.status_from(home(2), 1, elsewhere, leaves);
    assert_eq!((rig.sender.live(), rig.sender.stats().statuses_refused), (1, 1));
    rig.status(1, leaves);
    assert_eq!((rig.sender.live(), rig.events()), (0, vec!["left r1".to_owned()]));
    assert_eq!(rig.sender.limit(), None);
}

#[test]
fn an_observer_is_welcome_and_never_counts() {
    let mut rig = Rig::new(settings(block_policy()));
    let looks_on = Says { flags: Status::OBSERVER, ..at(0) };
    assert_eq!(rig.status(1, looks_on), ["welcome r1 to r1"]);
    assert_eq!(rig.status(1, looks_on), [""; 0]);
    assert_eq!((rig.sender.live(), rig.sender.limit(), rig.sender.stats().observers), (0, None, 1));
}

#[test]
fn a_position_beyond_what_was_sent_is_refused() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(5);
    rig.join(1, at(5));
    rig.status(1, at(6));
    rig.status(1, at(u64::MAX));
    assert_eq!(rig.sender.receivers().next().map(|row| row.next), Some(Offset(5)));
    assert_eq!(rig.sender.stats().statuses_refused, 2);
}

#[test]
fn a_status_that_was_overtaken_moves_nothing_back() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(5);
    rig.join(1, at(5));
    rig.status(1, Says { window: 0, ..at(3) });
    assert_eq!(rig.sender.limit(), Some(5 * CHARGE + u64::from(WINDOW)));
    assert_eq!(rig.sender.stats().statuses_stale, 1);
}

#[test]
fn a_full_table_refuses_and_counts() {
    let mut rig = Rig::new(SenderSettings { receivers: 2, ..settings(drop_policy()) });
    rig.join(1, at(0));
    rig.join(2, at(0));
    rig.status(3, at(0));
    rig.status(3, at(0));
    rig.status(1, at(0));
    assert_eq!((rig.sender.live(), rig.sender.stats().receivers_refused), (2, 1));
    rig.status(2, Says { flags: Status::LEAVING, ..at(0) });
    rig.status(3, at(0));
    assert_eq!(rig.events(), ["left r2", "up r3"]);
    assert_eq!((rig.sender.stats().receivers_up, rig.sender.stats().receivers_down), (3, 1));
}

#[test]
fn a_silent_receiver_goes_after_five_seconds() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    rig.skip(3 * SECOND);
    rig.join(2, at(0));
    rig.status(1, at(0));
    rig.skip(SECOND * 5 - MS);
    assert_eq!((rig.sender.live(), rig.events()), (2, vec![]));
    rig.skip(MS);
    assert_eq!(rig.events(), ["silent r1", "silent r2"]);
    assert_eq!((rig.sender.live(), rig.sender.receivers().count()), (0, 0));
}

#[test]
fn a_nak_shows_that_its_receiver_lives() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(1);
    rig.join(1, at(0));
    rig.skip(4 * SECOND);
    rig.nak(1, &[(0, 1)]);
    rig.skip(4 * SECOND);
    assert_eq!(rig.sender.live(), 1);
}

/// 4,000 receivers report every 16 s, so that 5 s of silence say nothing of them.
#[test]
fn a_large_group_is_heard_less_often() {
    let mut rig = Rig::new(settings(drop_policy()));
    for id in 1..=4_000 {
        rig.status(id, at(0));
        rig.status(id, at(0));
    }
    rig.skip(47 * SECOND);
    assert_eq!(rig.sender.live(), 4_000);
    rig.skip(SECOND);
    assert_eq!(rig.sender.live(), 0);
}

#[test]
fn what_is_not_for_this_publisher_is_counted() {
    let mut rig = Rig::new(settings(drop_policy()));
    let mut bytes = Vec::new();
    let own = Head { stream: STREAM, session: SESSION, ..Head::default() };
    let none = (ReceiverId(1), Token(0));
    let range = [RangeEntry::new(OffsetRange::new(Offset(0), Offset(1)))];
    wire::encode_nak(&mut bytes, &Head { stream: StreamId(8), ..own }, none, &range);
    rig.hand_in(home(1), &bytes);
    wire::encode_nak(&mut bytes, &Head { session: SessionId(8), ..own }, none, &range);
    rig.hand_in(home(1), &bytes);
    wire::encode_shed(&mut bytes, &own, ReceiverId(1), 5, &range);
    rig.hand_in(home(1), &bytes);
    assert_eq!((rig.sender.stats().strange, rig.sender.stats().naks), (3, 0));
}

#[test]
fn the_group_round_trip_is_the_largest_reported() {
    let mut rig = Rig::new(settings(drop_policy()));
    assert_eq!(rig.sender.grtt(rig.now), MS);
    rig.status_from(home(9), 9, Token(0), Says { rtt_us: 900_000, ..at(0) });
    assert_eq!(rig.sender.grtt(rig.now), MS, "an unproved receiver has no say");
    rig.join(1, Says { rtt_us: 300, ..at(0) });
    rig.join(2, Says { rtt_us: 100, ..at(0) });
    assert_eq!(rig.sender.grtt(rig.now), Duration::from_micros(300));
    assert_eq!(rig.sender.grtt(rig.now + SECOND), Duration::from_micros(270));
}

#[test]
fn slow_is_said_once_until_it_is_over() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    rig.publish(10);
    rig.status(1, at(0));
    assert!(rig.events().is_empty(), "just within its window");
    rig.publish(1);
    rig.status(1, at(0));
    rig.status(1, at(0));
    assert_eq!(rig.events(), ["slow r1 by 11"]);
    rig.status(1, at(5));
    rig.publish(5);
    rig.status(1, at(5));
    assert!(rig.events().is_empty(), "it was not within half of it");
    rig.status(1, at(16));
    rig.publish(11);
    rig.status(1, at(16));
    assert_eq!(rig.events(), ["slow r1 by 11"]);
}

#[test]
fn one_that_comes_late_is_not_slow() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(100);
    rig.join(1, at(0));
    rig.status(1, at(50));
    assert!(rig.events().is_empty());
}
