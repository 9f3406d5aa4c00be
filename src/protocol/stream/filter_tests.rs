//! Connections with topics against a twin that looks at each message for each of them.

mod rig;

use proptest::collection::vec;
use proptest::prelude::*;

use super::SILENCE;
use crate::offset::Offset;
use crate::protocol::stream::filter_tests::rig::Op;
use crate::protocol::stream::filter_tests::rig::Rig;

fn op() -> impl Strategy<Value = Op> {
    let (room, topic, wish) =
        (prop_oneof![1..200_usize, Just(70_000), Just(usize::MAX)], 0..8_usize, 0..7_usize);
    let walk = prop_oneof![3 => Just(usize::MAX), 1 => 0..5_usize];
    let publish = |messages, parts, len| {
        let topic = 0..8_usize;
        (messages, topic, parts, len, any::<bool>()).prop_map(|(messages, topic, parts, len, alone)| {
            Op::Publish { messages, topic, parts, len, alone }
        })
    };
    prop_oneof![
        6 => publish(1..20_usize, 1..4_usize, 0..300_usize),
        1 => publish(200..900_usize, 1..3_usize, 900..1_200_usize),
        2 => topic.prop_map(|topic| Op::Begin { topic }),
        3 => (0..6_usize, wish.clone()).prop_map(|(line, wish)| Op::Choose { line, wish }),
        8 => (0..6_usize, room, walk).prop_map(|(line, room, walk)| Op::Pump { line, room, walk }),
        2 => (0..9_u64, wish).prop_map(|(part, wish)| Op::Join { part, wish }),
        1 => Just(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn each_connection_gets_what_a_look_at_each_message_says(
        ops in vec(op(), 1..60),
        timestamps in any::<bool>(),
    ) {
        let mut rig = Rig::new(timestamps);
        (0..3).for_each(|wish| rig.join(8, wish * 2));
        ops.iter().for_each(|op| rig.run(op));
        rig.finish();
    }
}

/// A thousand connections, and messages that none of them wants: each message costs one look, and the connections nothing but
/// what they are told in silence.
#[test]
fn a_message_that_nobody_wants_is_looked_at_once() {
    let mut rig = Rig::new(false);
    for line in 0..1_000 {
        rig.join(8, if line % 2 == 0 { 1 } else { 4 });
    }
    (0..1_000).for_each(|line| rig.write(line, usize::MAX));
    for _ in 0..50 {
        rig.publish(6, (1, 20), true);
        rig.pump(7, usize::MAX, usize::MAX);
    }
    assert_eq!((rig.sieve.looks(), rig.sifted), (50, 0));
    assert!(rig.lines.iter().all(|line| line.feed.cursor() == Offset(0)));
    rig.now = rig.now + SILENCE;
    rig.pump(usize::MAX, 0, usize::MAX);
    assert_eq!((rig.sieve.looks(), rig.sifted), (50, 0));
    (0..1_000).for_each(|line| rig.write(line, usize::MAX));
    assert!(rig.lines.iter().all(|line| line.twin.book == [0, 50, 0]));
    assert!(rig.lines.iter().all(|line| line.feed.memory() < 4_096));
}

/// One that is never done with what waits for it takes no more memory for that.
#[test]
fn a_queue_that_is_never_empty_does_not_grow() {
    let mut rig = Rig::new(false);
    rig.join(8, 1);
    for _ in 0..20_000 {
        rig.publish(1, (1, 1_000), true);
        rig.pump(0, 1_030, usize::MAX);
        let feed = &rig.lines[0].feed;
        assert!(feed.memory() < 140_000, "{}", feed.memory());
    }
    rig.finish();
    assert!(rig.lines[0].feed.memory() < 8_192);
}

/// One that takes nothing falls out, and is looked after on its own until it is where the others are.
#[test]
fn one_that_is_behind_catches_up_and_joins_again() {
    let mut rig = Rig::new(false);
    (0..2).for_each(|_| rig.join(8, 1));
    for _ in 0..200 {
        rig.publish(1, (1, 1_000), true);
        rig.pump(1, usize::MAX, usize::MAX);
    }
    assert_eq!((rig.sieve.looks(), rig.sifted), (200, 0));
    assert_eq!((rig.lines[0].twin.next, rig.lines[1].twin.next), (0, 200));
    rig.pump(0, usize::MAX, usize::MAX);
    let sifted = rig.sifted;
    assert!((100..200).contains(&sifted), "{sifted}");
    rig.publish(1, (1, 1_000), true);
    rig.pump(0, usize::MAX, usize::MAX);
    assert_eq!((rig.lines[0].twin.next, rig.sieve.looks(), rig.sifted), (201, 201, sifted));
}
