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

#[test]
fn what_waits_to_be_sent_again_is_told() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    rig.publish(10);
    rig.ask(1, &[(2, 4), (6, 7)]);
    assert_eq!(rig.sender.repairs_waiting(), 2);
    rig.drain();
    assert_eq!(rig.sender.repairs_waiting(), 0);
}

/// The queue is full of welcomes that nobody sends; then r1 is refused one thing and put off with another.
#[test]
fn a_refusal_that_finds_no_room_is_counted() {
    let mut rig = Rig::new(SenderSettings { repair_floor: 0, ..settings(drop_policy()) });
    rig.join(1, at(0));
    rig.publish(10_000);
    rig.skip(SECOND);
    rig.publish(100);
    rig.sender.handle_timeout(rig.now, &rig.ring);
    for id in 2..514 {
        let bytes = rig.encode_status(id, Token(0), at(0));
        rig.take_in(home(id), &bytes);
    }
    assert_eq!(rig.sender.stats().answers_dropped, 0);
    rig.ask(1, &[(0, 1)]);
    assert_eq!(rig.sender.stats().answers_dropped, 1);
    rig.ask(1, &[(10_000, 10_100)]);
    assert_eq!((rig.sender.stats().answers_dropped, rig.sender.stats().ranges_shed), (2, 1));
}

/// 4,200 batches, asked for nearly at one time, first every other and then those between: all are sent, and 4,095 remembered.
#[test]
fn repairs_beyond_those_remembered_are_counted() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(1, at(0));
    let mut open = rig.writer.open();
    for _ in 0..4_200 {
        if !open.has_room() {
            open.next_train();
        }
        open.append(FrameFlags::WHOLE, b"", b"").expect("room for a message");
        open.seal(Stamp::default(), false);
        open.advance(1);
    }
    drop(open);
    rig.now = rig.now + SECOND;
    for nak in 0..42 {
        let first = 200 * (nak % 21) + nak / 21;
        let ranges: Vec<_> = (0..100).map(|n| (first + 2 * n, first + 2 * n + 1)).collect();
        rig.nak(1, &ranges);
        rig.now = rig.now + Duration::from_nanos(1);
    }
    let stats = rig.sender.stats();
    assert_eq!((stats.repaired_offsets, stats.repairs_unremembered), (4_200, 4_200 - 4_095));
}
