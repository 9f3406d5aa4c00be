//! What comes over a connection beside the datagrams, and how the two meet.

use super::late::BATCH;
use super::late::Late;
use super::late::PORT;
use super::late::SESSION;
use super::late::at;
use super::*;
use crate::protocol::Beginning;

#[test]
fn history_first_then_what_is_live() {
    let mut late = Late::joined(Beginning::Earliest, (10, 40));
    assert_eq!(late.told(), ["up 5 from 10"]);
    assert_eq!(late.connect(), Some(10));
    late.history(8, 20);
    late.history(20, 40);
    assert_eq!(late.told(), ["10..20", "20..40"]);
    assert!(late.is_settled());
    late.live(40, 45);
    assert_eq!(late.told(), ["40..45"]);
    assert_eq!(late.pass(50), 0);
}

#[test]
fn live_first_waits_for_history() {
    let mut late = Late::joined(at(12), (10, 40));
    late.live(40, 45);
    late.live(45, 50);
    assert_eq!(late.told(), ["up 5 from 12"]);
    assert_eq!(late.pass(50), 0, "nothing is asked for by NAK");
    assert_eq!(late.connect(), Some(12));
    late.history(10, 30);
    late.history(30, 42);
    assert_eq!(late.told(), ["12..30", "30..50"]);
    assert!(late.is_settled());
}

#[test]
fn a_loss_in_what_is_held_is_brought_as_well() {
    let mut late = Late::joined(Beginning::Earliest, (0, 40_000));
    late.live(40_000, 40_010);
    late.live(40_012, 40_020);
    assert_eq!(late.connect(), Some(0));
    for from in (0..40_000).step_by(400) {
        late.history(from, from + 400);
        assert_eq!(late.pass(1), 0);
    }
    assert!(late.is_wanted(), "two are missing behind it");
    late.history(40_000, 40_015);
    assert!(late.is_settled());
    assert_eq!(late.subscription.receiver_ref().rows().map(|row| row.book.delivered).sum::<u64>(), 40_020);
}

#[test]
fn what_finds_no_room_to_wait_is_fetched_too() {
    let mut late = Late::new(Beginning::Earliest, |settings| settings.reorder_window = 20 * (BATCH + 192));
    late.heartbeat(0, 100, PORT);
    assert_eq!(late.connect(), Some(0));
    (100..300).for_each(|offset| late.live(offset, offset + 1));
    late.history(0, 100);
    let told = late.told();
    assert_eq!(told.first().map(String::as_str), Some("up 5 from 0"));
    assert!(late.is_wanted(), "{told:?}");
    late.live(300, 301);
    late.history(100, 250);
    assert!(late.is_wanted());
    late.live(301, 302);
    late.history(250, 305);
    assert!(late.is_settled(), "{:?}", late.told());
    let row = late.subscription.receiver_ref().rows().next().expect("one");
    assert_eq!((row.book.delivered, row.book.lost, row.stats.naks, row.stats.refused_window), (305, 0, 0, 0));
}

#[test]
fn a_connection_that_is_cut_goes_on_with_what_is_missing() {
    let mut late = Late::joined(Beginning::Earliest, (0, 40));
    assert_eq!(late.connect(), Some(0));
    late.history(0, 17);
    late.live(40, 41);
    assert_eq!(late.connect(), Some(17));
    late.history(10, 40);
    assert_eq!(late.told(), ["up 5 from 0", "0..17", "17..41"]);
    assert!(late.is_settled());
}

#[test]
fn what_is_gone_is_one_loss_and_the_rest_comes() {
    let mut late = Late::joined(at(0), (10, 40));
    late.live(40, 41);
    assert_eq!(late.connect(), Some(0));
    late.gone(0, 15);
    late.gone(15, 22);
    late.history(22, 40);
    assert_eq!(late.told(), ["up 5 from 0", "lost 0..15 overrun", "lost 15..22 overrun", "22..41"]);
    assert!(late.is_settled());
}

#[test]
fn the_ring_may_have_gone_on_beyond_what_is_held() {
    let mut late = Late::joined(at(0), (10, 40));
    late.live(40, 41);
    assert_eq!(late.connect(), Some(0));
    late.gone(0, 60);
    late.history(60, 61);
    assert_eq!(late.told(), ["up 5 from 0", "lost 0..40 overrun", "40..41", "lost 41..60 overrun", "60..61"]);
    assert!(late.is_settled());
}

#[test]
fn another_session_on_the_connection_leaves_the_rest_to_naks() {
    let mut late = Late::joined(Beginning::Earliest, (0, 40));
    late.connect();
    late.history(0, 10);
    late.session = SESSION + 1;
    late.history(0, 5);
    late.session = SESSION;
    assert!(!late.is_wanted());
    assert_eq!(late.pass(1), 1);
    late.live(10, 40);
    assert_eq!(late.told(), ["up 5 from 0", "0..10", "10..40"]);
    assert!(late.is_settled());
}

#[test]
fn a_session_that_replaces_one_in_the_middle_is_joined_at_its_first() {
    let mut late = Late::joined(at(0), (0, 40));
    late.connect();
    late.history(0, 10);
    late.notice((0, 40, PORT), true);
    assert_eq!(late.pass(3_000), 0);
    assert_eq!(late.told(), ["up 5 from 0", "0..10", "lost 10..40 source down", "down silent at 40"]);
    late.session += 1;
    late.heartbeat(3, 8, PORT);
    late.pass(100);
    late.heartbeat(3, 8, PORT);
    assert_eq!(late.told(), ["up 6 from 3"], "the offset was one of the session before");
    assert_eq!(late.connect(), Some(3));
}

#[test]
fn an_end_waits_for_history() {
    let mut late = Late::joined(Beginning::Earliest, (0, 40));
    late.connect();
    late.history(0, 10);
    late.live(40, 42);
    late.notice((0, 42, PORT), true);
    assert_eq!(late.pass(10), 0);
    late.history(10, 41);
    assert_eq!(late.told(), ["up 5 from 0", "0..10", "10..42", "down ended at 42"]);
}

#[test]
fn an_end_that_is_heard_first_is_joined() {
    let mut late = Late::new(Beginning::Earliest, |_| ());
    late.notice((4, 9, PORT), true);
    late.connect();
    late.history(4, 9);
    assert_eq!(late.told(), ["up 5 from 4", "4..9", "down ended at 9"]);
}

#[test]
fn a_connection_that_brings_nothing_is_given_up() {
    let mut late = Late::joined(Beginning::Earliest, (0, 1_000_000));
    late.live(1_000_000, 1_000_001);
    assert_eq!(late.connect(), Some(0));
    for _ in 0..31 {
        late.heartbeat(0, 1_000_001, PORT);
        late.pass(100);
    }
    assert!(!late.is_wanted());
    let told = late.told();
    let [up, lost] = &told[..] else { panic!("{told:?}") };
    assert_eq!(up, "up 5 from 0");
    assert!(lost.starts_with("lost 0..") && lost.ends_with(" timeout"), "{lost}");
    assert!(late.pass(1) > 0, "half a window is asked for");
}

#[test]
fn what_the_connection_leaves_out_is_asked_for() {
    let mut late = Late::joined(Beginning::Earliest, (0, 40));
    late.connect();
    late.history(0, 10);
    late.history(12, 40);
    assert!(!late.is_wanted());
    assert_eq!(late.pass(1), 1);
    late.live(10, 12);
    assert_eq!(late.told(), ["up 5 from 0", "0..10", "10..40"]);
    assert!(late.is_settled());
}

#[test]
fn a_leap_is_fetched_when_there_is_a_port() {
    for port in [PORT, 0] {
        let mut late = Late::new(Beginning::Live, |_| ());
        late.heartbeat(0, 5, port);
        late.live(5, 6);
        late.live(1_000_000, 1_000_001);
        late.live(1_000_001, 1_000_002);
        let told = late.told();
        if port == 0 {
            assert!(!late.is_wanted());
            assert!(told[2].starts_with("lost 6..") && told[2].ends_with(" overrun"), "{told:?}");
            continue;
        }
        assert_eq!(told, ["up 5 from 5", "5..6"]);
        assert_eq!(late.connect(), Some(6));
        for from in (6..1_000_001).step_by(400) {
            late.history(from, (from + 400).min(1_000_001));
        }
        assert!(late.is_settled());
        let row = late.subscription.receiver_ref().rows().next().expect("one");
        assert_eq!((row.book.delivered, row.book.lost, row.stats.naks), (999_997, 0, 0));
    }
}

#[test]
fn without_a_port_the_earliest_is_what_comes() {
    let mut late = Late::new(Beginning::Earliest, |_| ());
    late.live(30, 31);
    assert!(late.told().is_empty(), "a heartbeat is waited for");
    late.heartbeat(0, 40, 0);
    late.live(40, 41);
    assert_eq!(late.told(), ["up 5 from 40", "40..41"]);
    assert_eq!(late.subscription.receiver_ref().stats().pastless, 1);
    assert!(late.is_settled());
}

#[test]
fn as_they_arrive_live_ones_do_not_wait() {
    let mut late = Late::new(Beginning::Earliest, |settings| settings.order = Order::AsArrived);
    late.heartbeat(0, 40, PORT);
    late.live(40, 45);
    assert_eq!(late.connect(), Some(0));
    late.history(0, 30);
    late.live(45, 50);
    late.history(30, 50);
    assert_eq!(late.told(), ["up 5 from 0", "40..45", "0..30", "45..50", "30..40"]);
    assert!(late.is_settled());
}

#[test]
fn without_a_port_what_is_still_held_behind_an_offset_is_asked_for() {
    let mut late = Late::new(at(5), |_| ());
    late.heartbeat(30, 40, 0);
    assert_eq!(late.told(), ["up 5 from 5", "lost 5..30 overrun"]);
    assert!(!late.is_wanted());
    assert!(late.pass(1) > 0);
    late.live(30, 40);
    assert_eq!(late.told(), ["30..40"]);
    assert!(late.is_settled());
}

#[test]
fn an_offset_that_was_not_reached_is_of_another_session() {
    let mut late = Late::joined(at(50), (10, 40));
    assert_eq!((late.told(), late.connect()), (vec!["up 5 from 10".to_owned()], Some(10)));
    assert_eq!(late.subscription.receiver_ref().stats().pastless, 1);
}

/// The first is read only as fast as it publishes.
#[test]
fn history_without_end_keeps_no_other_source_from_its_own() {
    let mut late = Late::joined(Beginning::Earliest, (0, 1_000_000));
    let first = (SESSION, late.home);
    let second = (SESSION + 1, SocketAddr::from(([10, 0, 1, 2], 4_000)));
    (late.session, late.home) = second;
    late.heartbeat(0, 40, PORT);
    let (mut next, mut turns) = (0, Vec::new());
    for round in 0..30 {
        for (session, home) in [second, first] {
            (late.session, late.home) = (session, home);
            let base = if session == SESSION { 1_000_000 + 100 * round } else { 40 };
            late.heartbeat(0, base, PORT);
        }
        let whose = late.whose();
        turns.extend((turns.last() != Some(&whose)).then_some(whose));
        if whose == Some(SESSION) {
            late.connect();
            late.history(next, next + 100);
            next += 100;
        } else {
            (late.session, late.home) = second;
            assert_eq!(late.connect(), Some(0));
            let bytes = late.batch(0, 40);
            late.fetch_of(1, &bytes);
        }
        late.pass(100);
    }
    assert_eq!(turns, [Some(SESSION), Some(SESSION + 1), Some(SESSION)]);
    let rows = late.subscription.receiver_ref().rows();
    let books: Vec<_> = rows.map(|row| (row.book.delivered, row.book.lost)).collect();
    assert_eq!(books, [(next, 0), (40, 0)]);
    assert_eq!(next, 2_900);
}

/// A source that brings nothing costs the others as long as it is waited for alone, and no more.
#[test]
fn turns_do_not_keep_a_dead_connection_alive() {
    let mut late = Late::joined(Beginning::Earliest, (0, 1_000_000));
    let first = (SESSION, late.home);
    let second = (SESSION + 1, SocketAddr::from(([10, 0, 1, 2], 4_000)));
    let mut had = [0, 0];
    for _ in 0..100 {
        for (session, home) in [second, first] {
            (late.session, late.home) = (session, home);
            late.heartbeat(0, 1_000_000, PORT);
        }
        match late.whose() {
            Some(SESSION) => had[0] += 1,
            Some(_) => had[1] += 1,
            None => {}
        }
        late.pass(100);
    }
    assert!(had.iter().all(|tenths| (28..=33).contains(tenths)), "{had:?}");
    assert!(!late.is_wanted());
}

#[test]
fn nobody_is_dialled_who_has_not_answered() {
    let mut late = Late::new(Beginning::Earliest, |_| ());
    late.answers = false;
    for _ in 0..31 {
        late.heartbeat(0, 1_000_000, PORT);
        assert!(!late.is_wanted());
        late.pass(100);
    }
    let told = late.told();
    assert!(told[1].starts_with("lost 0..") && told[1].ends_with(" timeout"), "{told:?}");
    late.answers = true;
    late.heartbeat(0, 1_000_000, PORT);
    assert!(!late.is_wanted(), "given up");
}

#[test]
fn who_is_not_let_in_is_not_counted_as_without_its_past() {
    let mut late = Late::new(Beginning::Earliest, |settings| settings.sources = 1);
    late.heartbeat(0, 40, 0);
    late.session += 1;
    late.home = SocketAddr::from(([10, 0, 1, 2], 4_000));
    for _ in 0..5 {
        late.heartbeat(0, 40, 0);
    }
    let stats = late.subscription.receiver_ref().stats();
    assert_eq!((stats.pastless, stats.refused_sources), (1, 5));
}
