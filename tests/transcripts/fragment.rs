//! Messages of many datagrams: whole, or lost whole.

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::history::RingSettings;
use nakcast::protocol::Order;
use nakcast::wire::Kind;

use super::rig::BLOCK;
use super::rig::DROP;
use super::rig::FREE;
use super::rig::Fate;
use super::rig::MS;
use super::rig::SECOND;
use super::rig::US;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

const SESSION: SessionId = SessionId(77);
/// Payload that fills a datagram of 1,400 bytes.
const ROOM: usize = 1_400 - 32 - 4;
/// The longest message, and its fragments.
const LONGEST: usize = 16 << 20;
const FRAGMENTS: u64 = LONGEST.div_ceil(ROOM) as u64;

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

fn drop_if(lost: bool) -> Fate {
    if lost { Fate::Drop } else { Fate::Pass }
}

/// A world with a ring that holds the longest message, whose subscriber `repairs` or not.
fn large(repairs: bool) -> World {
    let mut world = World::empty();
    let mut settings = subscribes(1);
    settings.receiver.repair = repairs;
    world.subscribe(settings);
    let (ring, sender) = publishes(77, DROP);
    world.open((RingSettings { bytes: 64 << 20, ..ring }, sender));
    world.pass(500 * MS);
    world.forget();
    world
}

#[test]
fn the_longest_message_arrives_whole() {
    let mut world = large(true);
    world.fates(|hop| drop_if(hop.is_data(5_000)));
    world.send_large(0, 1, (100, US));
    world.send_large(0, 1, (LONGEST, SECOND));
    world.send_large(0, 1, (100, US));
    world.pass(50 * MS);
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.subscribers[0].last_row().book.delivered, FRAGMENTS + 2);
}

/// The part up to the loss is told with it; the rest as incomplete.
#[test]
fn the_longest_message_without_one_fragment_is_lost_whole() {
    let mut world = large(false);
    world.fates(|hop| drop_if(hop.is_data(5_000)));
    world.send_large(0, 1, (100, US));
    world.send_large(0, 1, (LONGEST, SECOND));
    world.send_large(0, 1, (100, US));
    world.pass(50 * MS);
    world.finish(0);
    let (subscriber, end) = (&world.subscribers[0], FRAGMENTS + 1);
    let lines = ["lost 1..5001 unrepaired".to_owned(), format!("lost 5001..{end} incomplete")];
    assert_eq!(subscriber.lines[..2], lines);
    assert_eq!(subscriber.delivered(SESSION), [range(0, 1), range(end, end + 1)]);
    assert_eq!(world.counts(), (0, 0));
}

/// A message of ten fragments between two short ones.
fn ten_fragments(order: Order, lost: &'static [u64]) -> World {
    let mut world = World::empty();
    let mut settings = subscribes(1);
    (settings.receiver.repair, settings.receiver.order) = (false, order);
    world.subscribe(settings);
    world.open(publishes(77, FREE));
    world.pass(500 * MS);
    world.forget();
    world.fates(move |hop| drop_if(hop.is_original() && lost.contains(&hop.base)));
    world.send_large(0, 1, (100, 10 * US));
    world.send_large(0, 1, (10 * ROOM, 10 * US));
    world.send_large(0, 3, (100, 10 * US));
    world.pass(50 * MS);
    world.finish(0);
    let subscriber = &world.subscribers[0];
    assert_eq!(subscriber.delivered(SESSION), [range(0, 1), range(11, 14)], "{lost:?}");
    assert_eq!(subscriber.lost(SESSION), [range(1, 11)], "{lost:?}");
    assert_eq!(world.counts(), (0, 0));
    world
}

#[test]
fn whichever_fragment_is_lost_the_neighbours_are_not() {
    for order in [Order::Ordered, Order::AsArrived] {
        for lost in [&[1][..], &[2], &[5], &[9], &[10], &[1, 10], &[2, 3, 7], &[1, 3, 5, 7, 9], &[1, 2, 3]] {
            ten_fragments(order, lost);
        }
    }
}

#[test]
fn a_lost_message_is_told_in_two_parts_at_most() {
    let lines = |lost| ten_fragments(Order::Ordered, lost).subscribers[0].lines.clone();
    let end = "down ended 14";
    assert_eq!(lines(&[10]), ["lost 1..11 unrepaired", end]);
    assert_eq!(lines(&[5]), ["lost 1..6 unrepaired", "lost 6..11 incomplete", end]);
    assert_eq!(lines(&[1]), ["lost 1..2 unrepaired", "lost 2..11 incomplete", end]);
}

#[test]
fn lost_fragments_are_repaired_like_messages() {
    for order in [Order::Ordered, Order::AsArrived] {
        let mut world = World::empty();
        let mut settings = subscribes(1);
        settings.receiver.order = order;
        world.subscribe(settings);
        world.open(publishes(77, FREE));
        world.pass(500 * MS);
        world.forget();
        world.fates(|hop| drop_if(hop.is_original() && hop.base % 5 == 3));
        for _ in 0..10 {
            world.send_large(0, 1, (10 * ROOM, 5 * MS));
        }
        world.pass(50 * MS);
        world.finish_whole(0);
        assert_eq!(world.counts(), (20, 20), "{order:?}");
    }
}

/// The subscriber hears the session first in the middle of a message: it is entitled to the next one.
#[test]
fn whoever_joins_in_the_middle_of_a_message_begins_with_the_next() {
    for order in [Order::Ordered, Order::AsArrived] {
        let mut world = World::empty();
        world.open(publishes(77, BLOCK));
        world.pass(SECOND);
        world.fates(|hop| drop_if(hop.base < 4 || hop.kind != Kind::Data));
        let mut settings = subscribes(1);
        settings.receiver.order = order;
        world.subscribe(settings);
        world.send_large(0, 3, (10 * ROOM, 10 * US));
        world.fates(|_| Fate::Pass);
        world.pass(50 * MS);
        assert_eq!(world.subscribers[0].lines, ["up 4"]);
        assert_eq!(world.subscribers[0].last_row().book.start, Offset(10));
        world.finish_whole(10);
        assert_eq!(world.counts(), (0, 0));
    }
}

/// Two fragments of the message it has no part in change places.
#[test]
fn foreign_fragments_out_of_order_are_still_foreign() {
    let mut world = World::empty();
    world.open(publishes(77, FREE));
    world.pass(SECOND);
    world.fates(|hop| match hop.base {
        base if base < 4 || hop.kind != Kind::Data => Fate::Drop,
        5 => Fate::Late(US),
        _ => Fate::Pass,
    });
    let mut settings = subscribes(1);
    settings.receiver.order = Order::AsArrived;
    world.subscribe(settings);
    world.send_large(0, 3, (10 * ROOM, 10 * US));
    world.fates(|_| Fate::Pass);
    world.pass(50 * MS);
    assert_eq!(world.subscribers[0].last_row().book.start, Offset(10));
    world.finish_whole(10);
    assert_eq!(world.counts(), (1, 1), "more than three came before it");
}

/// The publisher dies in the middle of a message, and it was only the network after all: what comes of that message
/// later is lost as well.
#[test]
fn a_message_cut_by_silence_stays_lost() {
    let mut world = World::new(FREE, 1);
    world.fates(|hop| drop_if(hop.base > 5 || hop.kind == Kind::Heartbeat));
    world.send_large(0, 2, (10 * ROOM, 10 * US));
    world.pass(4 * SECOND);
    assert_eq!(world.subscribers[0].lines, ["rejoin", "lost 0..6 source down", "down silent 6"]);
    world.forget();
    world.fates(|_| Fate::Pass);
    world.pass(SECOND);
    world.finish(0);
    assert_eq!(world.subscribers[0].lines, ["up 6", "lost 6..10 incomplete", "down ended 20"]);
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(10, 20)]);
    assert_eq!(world.counts(), (1, 14));
}
