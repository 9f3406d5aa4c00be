//! What a subscriber may want: some topics, no order, the newest only, no repair.

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::protocol::Order;
use nakcast::protocol::SubscriptionSettings;

use super::rig::FREE;
use super::rig::Fate;
use super::rig::Hop;
use super::rig::MS;
use super::rig::US;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

const SESSION: SessionId = SessionId(77);

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

/// A world of one subscriber with settings of its own.
fn world(change: impl FnOnce(&mut SubscriptionSettings), fates: impl FnMut(&Hop) -> Fate + 'static) -> World {
    let mut world = World::empty();
    let mut settings = subscribes(1);
    change(&mut settings);
    world.subscribe(settings);
    world.open(publishes(77, FREE));
    world.pass(500 * MS);
    world.forget();
    world.fates(fates);
    world
}

fn drop_if(lost: bool) -> Fate {
    if lost { Fate::Drop } else { Fate::Pass }
}

#[test]
fn only_topics_with_a_wanted_beginning_are_delivered() {
    let topics = vec![b"ab".to_vec(), b"x".to_vec()];
    let mut world = world(|settings| settings.topics = topics, |hop| drop_if(hop.is_data_in(2..4)));
    world.publishers[0].batch = 5;
    for topic in ["a", "ab", "abc", "b", "x", "", "xyz", "ab", "axb", "yx"] {
        world.send(0, topic, topic.as_bytes());
        world.pass(10 * US);
    }
    world.pass(50 * MS);
    world.finish(0);
    assert_eq!(world.subscribers[0].messages, ["ab", "abc", "x", "xyz", "ab"]);
    let book = world.subscribers[0].last_row().book;
    assert_eq!((book.delivered, book.filtered, book.lost, book.pending()), (5, 5, 0, 0));
    assert_eq!(world.counts(), (0, 0));
}

/// A topic stands only in the first fragment, and counts for all.
#[test]
fn a_large_message_is_filtered_whole() {
    let mut world = world(|settings| settings.topics = vec![b"ab".to_vec()], |_| Fate::Pass);
    for topic in ["ab", "b", "abc"] {
        world.send(0, topic, &[7; 5_000]);
        world.pass(10 * US);
    }
    world.pass(50 * MS);
    world.finish(0);
    assert_eq!(world.counts(), (0, 0));
    let book = world.subscribers[0].last_row().book;
    assert_eq!((book.delivered, book.filtered), (8, 4));
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 4), range(8, 12)]);
}

#[test]
fn as_they_arrive_messages_pass_a_gap_and_the_repair_comes_when_it_comes() {
    let mut world = world(
        |settings| settings.receiver.order = Order::AsArrived,
        |hop| if hop.is_data(4) || hop.is_data(7) { Fate::Drop } else { Fate::Pass },
    );
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    let number = |text: &String| text.split(' ').nth(1).map(str::to_owned).expect("a number");
    let order: Vec<_> = world.subscribers[0].messages.iter().map(number).collect();
    assert_eq!(order.join(" "), "0 1 2 3 5 6 8 9 4 7");
    world.finish_whole(0);
    assert_eq!(world.counts(), (2, 2));
}

/// One repair batch of ten messages brings what several gaps in it miss.
#[test]
fn as_they_arrive_what_has_come_of_a_batch_is_not_delivered_again() {
    let mut world =
        world(|settings| settings.receiver.order = Order::AsArrived, |hop| drop_if(hop.is_data(10)));
    world.publishers[0].batch = 10;
    world.publish(0, 60, 5 * US);
    world.pass(50 * MS);
    let bytes = &world.subscribers[0].messages;
    assert_eq!(bytes.len(), 60);
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
}

#[test]
fn as_they_arrive_a_loss_is_told_at_once() {
    let mut world = world(
        |settings| settings.receiver.order = Order::AsArrived,
        |hop| drop_if(hop.base == 4 || (hop.base == 7 && !hop.is_repair)),
    );
    world.publish(0, 10, 10 * US);
    world.pass(1_100 * MS);
    world.finish(0);
    assert_eq!(world.counts(), (19, 19));
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 timeout", "down ended 10"]);
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 4), range(5, 10)]);
}

/// Nobody takes anything for a while: then the newest of each topic, the topic that waited longest first.
#[test]
fn conflation_keeps_the_newest_of_each_topic() {
    let mut world = world(|settings| settings.conflate = Some(10), |_| Fate::Pass);
    world.subscribers[0].is_stopped = true;
    for (topic, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5"), ("a", "6")] {
        world.send(0, topic, text.as_bytes());
        world.pass(10 * US);
    }
    world.pass(MS);
    world.resume(0);
    assert_eq!(world.subscribers[0].messages, ["6", "5", "4"]);
    world.finish(0);
    let book = world.subscribers[0].last_row().book;
    assert_eq!((book.delivered, book.conflated, book.lost, book.pending()), (3, 3, 0, 0));
    assert_eq!(world.counts(), (0, 0));
}

#[test]
fn more_topics_than_conflation_keeps_push_out_the_oldest() {
    let mut world = world(|settings| settings.conflate = Some(2), |_| Fate::Pass);
    world.subscribers[0].is_stopped = true;
    for (topic, text) in [("a", "1"), ("b", "2"), ("c", "3"), ("b", "4"), ("a", "5")] {
        world.send(0, topic, text.as_bytes());
        world.pass(10 * US);
    }
    world.pass(MS);
    world.resume(0);
    assert_eq!(world.subscribers[0].messages, ["1", "4", "3", "5"]);
    world.finish(0);
    let book = world.subscribers[0].last_row().book;
    assert_eq!((book.delivered, book.conflated), (4, 1));
    assert_eq!(world.counts(), (0, 0));
}

/// Large messages and losses go together with conflation.
#[test]
fn conflation_keeps_large_messages_and_tells_losses() {
    let mut world = world(
        |settings| (settings.conflate, settings.receiver.repair) = (Some(10), false),
        |hop| drop_if(hop.is_data(5)),
    );
    world.subscribers[0].is_stopped = true;
    for topic in ["a", "b", "a"] {
        world.send(0, topic, &[7; 5_000]);
        world.pass(10 * US);
    }
    world.pass(MS);
    world.resume(0);
    world.pass(50 * MS);
    world.finish(0);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(world.subscribers[0].lines, ["lost 4..6 unrepaired", "lost 6..8 incomplete", "down ended 12"]);
    let book = world.subscribers[0].last_row().book;
    assert_eq!(
        (book.delivered, book.conflated, book.lost),
        (8, 0, 4),
        "the first was taken before the gap ended"
    );
}

#[test]
fn without_repair_a_gap_is_lost_after_the_guard() {
    let mut world =
        world(|settings| settings.receiver.repair = false, |hop| drop_if(hop.is_data(4) || hop.is_data(9)));
    world.publish(0, 10, 10 * US);
    world.pass(50 * US);
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 unrepaired"]);
    world.pass(50 * MS);
    world.finish(0);
    let lines = ["lost 4..5 unrepaired", "lost 9..10 unrepaired", "down ended 10"];
    assert_eq!(world.subscribers[0].lines, lines);
    assert_eq!(world.counts(), (0, 0));
}

/// Reordering within the guard is no loss.
#[test]
fn without_repair_reordering_is_not_lost() {
    let mut world = world(
        |settings| settings.receiver.repair = false,
        |hop| if hop.is_original() && hop.base % 7 == 3 { Fate::Late(25 * US) } else { Fate::Pass },
    );
    world.publish(0, 100, 10 * US);
    world.pass(50 * MS);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}
