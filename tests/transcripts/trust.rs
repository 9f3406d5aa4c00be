//! What is forged, what leaps, what does not fit, and what nobody repairs.

use core::cell::RefCell;
use std::rc::Rc;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::protocol::SubscriptionSettings;
use nakcast::wire;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::Head;
use nakcast::wire::Kind;
use nakcast::wire::RangeEntry;
use nakcast::wire::ReceiverId;
use nakcast::wire::Token;

use super::forged::SESSION;
use super::forged::data;
use super::forged::gone;
use super::forged::head;
use super::forged::heartbeat;
use super::forged::shed;
use super::forged::stranger;
use super::forged::welcome;
use super::rig::AT_ONCE;
use super::rig::FREE;
use super::rig::Fate;
use super::rig::MS;
use super::rig::SECOND;
use super::rig::US;
use super::rig::Way;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

fn drop_if(lost: bool) -> Fate {
    if lost { Fate::Drop } else { Fate::Pass }
}

/// One subscriber with settings of its own, and a publisher.
fn world(change: impl FnOnce(&mut SubscriptionSettings)) -> World {
    let mut world = World::empty();
    let mut settings = subscribes(1);
    change(&mut settings);
    world.subscribe(settings);
    world.open(publishes(77, FREE));
    world.pass(500 * MS);
    world.forget();
    world
}

/// Nothing was asked for: none of it is believed, wherever it comes from.
#[test]
fn answers_to_nothing_asked_are_ignored() {
    let mut world = world(|_| ());
    world.publish(0, 10, 10 * US);
    let home = world.publishers[0].address;
    for from in [home, stranger()] {
        for bytes in [
            gone(&[(0, 1_000)]),
            gone(&[(10, 11), (12, u64::MAX)]),
            shed(1, SECOND, (0, 1_000)),
            welcome(1, 0),
            welcome(1, 1),
            welcome(1, u64::MAX),
            welcome(2, 1),
        ] {
            world.forge(from, 0, &bytes);
        }
    }
    assert_eq!(world.subscribers[0].machine.receiver_ref().stats().strange_address, 7);
    world.fates(|hop| drop_if(hop.is_data(14)));
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    let stats = world.publishers[0].sender.stats();
    assert_eq!((stats.naks_unproved, stats.statuses_unproved), (0, 1), "its token is what it was");
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
}

/// A gap that was not asked for yet, and one that was, but by somebody who does not publish.
#[test]
fn gone_is_believed_of_the_publisher_and_of_what_was_asked_for() {
    let mut world = world(|_| ());
    world.fates(|hop| drop_if(hop.is_data(4) || hop.is_repair || hop.is_nak()));
    world.publish(0, 5, 10 * US);
    world.publish(0, 1, AT_ONCE);
    world.pass(55 * US);
    let home = world.publishers[0].address;
    assert_eq!(world.counts().0, 0, "it may be reordering yet");
    world.fly((home, world.subscribers[0].address), world.now, &gone(&[(4, 5)]));
    world.pass(10 * US);
    world.pass(10 * MS);
    assert!(world.counts().0 > 1, "it was asked for all the same");
    world.forge(stranger(), 0, &gone(&[(4, 5)]));
    assert_eq!(world.subscribers[0].lines.len(), 0);
    world.forge(home, 0, &gone(&[(0, 4), (4, 5), (5, 6)]));
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 overrun"]);
    world.finish(0);
    assert_eq!(world.counts(), (6, 0));
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 4), range(5, 6)]);
}

#[test]
fn a_forged_heartbeat_far_ahead_is_ignored() {
    let mut world = world(|_| ());
    world.publish(0, 10, 10 * US);
    world.pass(10 * MS);
    let home = world.publishers[0].address;
    for base in [1 << 40, u64::MAX, 1 << 50, 1 << 30] {
        world.forge(home, 0, &heartbeat(base, 1, 100));
        world.pass(20 * MS);
    }
    let row = world.subscribers[0].last_row();
    assert_eq!((row.stats.leaps, row.book.heard, row.book.pending()), (4, Offset(10), 0));
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    assert!(world.subscribers[0].lines.is_empty());
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// It is not believed when the window is nearly full, either, although nothing is asked for at the tail then.
#[test]
fn a_forged_heartbeat_is_ignored_while_the_window_is_crowded() {
    let mut world = world(|settings| settings.receiver.reorder_window = 4_096);
    let opens = world.now + 20 * MS;
    world.fates(move |hop| drop_if(hop.is_data(0) || (hop.is_nak() && hop.now < opens)));
    world.publish(0, 50, 10 * US);
    let home = world.publishers[0].address;
    world.forge(home, 0, &heartbeat(1 << 40, 1, 100));
    let row = world.subscribers[0].last_row();
    assert_eq!((row.book.heard, row.stats.leaps), (Offset(50), 1));
    world.pass(50 * MS);
    world.finish_whole(0);
    assert_eq!(world.counts(), (9, 34));
}

/// A group of four billion, a round trip of an hour: asked in time all the same.
#[test]
fn a_forged_group_does_not_stop_the_asking() {
    let mut world = world(|_| ());
    world.fates(|hop| drop_if(hop.is_data(4)));
    world.publish(0, 4, 10 * US);
    let home = world.publishers[0].address;
    world.forge(home, 0, &heartbeat(4, u32::MAX, u32::MAX));
    world.publish(0, 6, 10 * US);
    world.pass(400 * MS);
    world.pass(200 * MS);
    assert!(world.subscribers[0].lines.is_empty());
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1));
}

/// Cut off for more than the reorder window: the second datagram that agrees makes it one loss, up to half a window
/// behind; the rest is repaired.
#[test]
fn a_confirmed_leap_is_one_loss_and_on() {
    let mut world = world(|settings| settings.receiver.reorder_window = 16_384);
    world.publish(0, 100, 10 * US);
    world.fates(|hop| drop_if(hop.way == Way::Down));
    world.publish(0, 2_000, 10 * US);
    world.fates(|_| Fate::Pass);
    world.publish(0, 10, 10 * US);
    world.pass(50 * MS);
    let lost = world.subscribers[0].lost(SESSION);
    assert_eq!(world.subscribers[0].lines, [format!("lost {} overrun", lost[0])]);
    assert_eq!((lost.len(), lost[0].from), (1, Offset(100)));
    assert!((1_900..2_000).contains(&lost[0].to.0), "{lost:?}");
    world.finish(0);
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 100), range(lost[0].to.0, 2_110)]);
    let row = world.subscribers[0].last_row();
    assert_eq!((row.stats.leaps, world.counts()), (1, (1, 2_101 - lost[0].to.0)));
}

/// An idle publisher has a heartbeat every 100 ms: enough to be believed.
#[test]
fn a_leap_is_confirmed_by_heartbeats_alone() {
    let mut world = world(|settings| settings.receiver.reorder_window = 16_384);
    world.publish(0, 100, 10 * US);
    world.fates(|hop| drop_if(hop.way == Way::Down));
    world.publish(0, 2_000, 10 * US);
    world.pass(SECOND);
    // The network is not punctual: each is a little later than the one before.
    world.fates(|hop| if hop.kind == Kind::Heartbeat { Fate::Late(hop.nth * MS) } else { Fate::Pass });
    world.pass(SECOND);
    let lost = world.subscribers[0].lost(SESSION);
    assert_eq!(world.subscribers[0].lines, [format!("lost {} overrun", lost[0])]);
    assert_eq!(world.subscribers[0].last_row().book.pending(), 0);
    assert_eq!(world.counts(), (1, 2_100 - lost[0].to.0));
}

/// What would be one gap too many is dropped, counted, and asked for later.
#[test]
fn a_full_gap_table_costs_time_and_no_message() {
    let mut world = world(|settings| settings.receiver.gaps = 4);
    world.fates(|hop| drop_if(hop.is_original() && hop.base < 100 && hop.base.is_multiple_of(2)));
    world.publish(0, 110, AT_ONCE);
    world.pass(50 * MS);
    let row = world.subscribers[0].last_row();
    assert!(row.stats.refused_gaps > 10, "{}", row.stats.refused_gaps);
    assert_eq!((row.book.delivered, row.book.pending()), (110, 0));
    world.finish_whole(0);
    assert_eq!(world.counts(), (2, 4 + 102));
}

/// The window holds what it holds; the rest is dropped, counted, and asked for later.
#[test]
fn a_full_reorder_window_costs_time_and_no_message() {
    let mut world = world(|settings| settings.receiver.reorder_window = 2_048);
    let opens = world.now + 10 * MS;
    world.fates(move |hop| drop_if(hop.is_data(0) || (hop.is_nak() && hop.now < opens)));
    world.publish(0, 50, 10 * US);
    world.pass(50 * MS);
    let row = world.subscribers[0].last_row();
    assert!(row.stats.refused_window > 5, "{}", row.stats.refused_window);
    assert_eq!((row.book.delivered, row.book.pending()), (50, 0));
    world.finish_whole(0);
    assert_eq!(world.counts(), (7, 42));
}

#[test]
fn what_nobody_repairs_is_lost_once_after_the_repair_timeout() {
    let mut world = world(|_| ());
    world.fates(|hop| drop_if(hop.base == 4));
    world.publish(0, 10, 10 * US);
    world.pass(990 * MS);
    assert!(world.subscribers[0].lines.is_empty());
    world.pass(20 * MS);
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 timeout"]);
    let counts = world.counts();
    assert_eq!(counts, (18, 18));
    world.pass(3 * SECOND);
    world.finish(0);
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 timeout", "down ended 10"]);
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 4), range(5, 10)]);
    assert_eq!(world.counts(), counts);
}

/// A publisher that puts a repair off for 500 ms is not asked before, and the time is not the gap's.
#[test]
fn being_put_off_does_not_use_up_the_repair_timeout() {
    let mut world = world(|_| ());
    world.fates(|hop| drop_if(hop.base == 4 || hop.is_nak()));
    world.publish(0, 10, 10 * US);
    let home = world.publishers[0].address;
    world.forge(home, 0, &shed(1, 500 * MS, (0, 5)));
    let asked = world.counts().0;
    world.pass(370 * MS);
    assert_eq!(world.counts().0, asked, "not before three quarters of it");
    world.pass(1_120 * MS);
    assert!(world.subscribers[0].lines.is_empty());
    world.pass(20 * MS);
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 timeout"]);
    world.finish(0);
    assert_eq!(world.counts(), (19, 0));
}

/// Put off again and again: four times the repair timeout, and no more.
#[test]
fn nobody_can_put_a_repair_off_for_ever() {
    let mut world = world(|_| ());
    world.fates(|hop| drop_if(hop.base == 4 || hop.is_nak()));
    world.publish(0, 10, 10 * US);
    let home = world.publishers[0].address;
    for _ in 0..49 {
        world.forge(home, 0, &shed(1, 4_000 * SECOND, (0, 5)));
        world.pass(100 * MS);
    }
    assert!(world.subscribers[0].lines.is_empty(), "{:?}", world.subscribers[0].lines);
    world.pass(200 * MS);
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 timeout"]);
    world.finish(0);
    assert_eq!(world.counts(), (1, 0));
}

/// Repairs beyond the end, the end again, what was sent before: nothing follows from them.
#[test]
fn nothing_comes_after_the_end() {
    let mut world = world(|_| ());
    let (end, sent) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let (ends, all) = (Rc::clone(&end), Rc::clone(&sent));
    world.network.record(move |bytes| {
        let kind = wire::Header::peek(bytes).expect("a kind").0;
        if kind == Kind::End { &ends } else { &all }.borrow_mut().push((kind, bytes.to_vec()));
    });
    world.publish(0, 10, 10 * US);
    world.finish_whole(0);
    world.forget();
    let home = world.publishers[0].address;
    let mut beyond = data(SESSION, 10);
    wire::mark_repair(&mut beyond);
    let ours = |kind: &Kind| !matches!(kind, Kind::Nak | Kind::Status);
    let sent = sent.take().into_iter().chain(end.take()).filter(|(kind, _)| ours(kind));
    for bytes in sent.map(|(_, bytes)| bytes).chain([beyond]) {
        world.forge(home, 0, &bytes);
    }
    world.pass(4 * SECOND);
    assert!(world.subscribers[0].lines.is_empty(), "{:?}", world.subscribers[0].lines);
    let row = world.subscribers[0].last_row();
    assert_eq!((row.stats.after_end, row.stats.duplicates, world.counts()), (1, 10, (0, 0)));
}

/// A publisher that opens its journal again goes on where it ended, in the same session.
#[test]
fn what_ended_goes_on_when_there_is_something_new() {
    let mut world = world(|_| ());
    world.publish(0, 10, 10 * US);
    world.finish_whole(0);
    let home = world.publishers[0].address;
    world.forge(home, 0, &heartbeat(12, 1, 100));
    world.pass(4 * SECOND);
    let lines = ["down ended 10", "up 10", "lost 10..12 timeout", "rejoin", "down silent 12"];
    assert_eq!(world.subscribers[0].lines, lines);
    assert_eq!(world.counts(), (18, 0));
}

/// STATUS and NAK come to a subscriber, and datagrams of another stream: refused, and counted.
#[test]
fn what_is_not_for_a_subscriber_is_counted() {
    let mut world = world(|_| ());
    let home = world.publishers[0].address;
    let mut nak = Vec::new();
    let ranges = [RangeEntry::new(range(0, 5))];
    wire::encode_nak(&mut nak, &head(0), (ReceiverId(1), Token(1)), &ranges);
    world.forge(home, 0, &nak);
    let mut other = Vec::new();
    let head = Head { session: SessionId(3), ..head(0) };
    wire::encode_gone(&mut other, &head, &[GoneEntry::new(range(0, 5), GoneReason::Expired)]);
    world.forge(home, 0, &other);
    world.forge(home, 0, b"no datagram at all");
    let subscription = &world.subscribers[0].machine;
    let stats = subscription.receiver_ref().stats();
    assert_eq!((stats.misdirected, stats.unknown_session), (1, 1));
    assert_eq!(subscription.stats().undecodable, 1);
    assert!(world.subscribers[0].lines.is_empty());
    world.finish(0);
}
