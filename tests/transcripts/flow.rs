//! Publishers that wait, subscribers that are stopped, and what the ring no longer has.

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::protocol::FlowPolicy;
use nakcast::wire::Kind;

use super::rig::AT_ONCE;
use super::rig::BLOCK;
use super::rig::DROP;
use super::rig::FREE;
use super::rig::Fate;
use super::rig::MS;
use super::rig::SECOND;
use super::rig::US;
use super::rig::Way;
use super::rig::World;
use super::rig::line;
use super::rig::publishes;
use super::rig::subscribes;

const SESSION: SessionId = SessionId(77);

fn range(from: u64, to: u64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(to))
}

/// How far apart messages of 1,000 bytes are published: 2,500 in two seconds.
const APART: Duration = Duration::from_micros(800);

/// Stops subscriber `index` while publisher 0 publishes `count` messages.
fn stop_while_publishing(world: &mut World, index: usize, count: u64) {
    world.subscribers[index].is_stopped = true;
    world.send_large(0, count, (1_000, APART));
    world.resume(index);
}

/// The window is 140 datagrams of this size, and a report is due with each quarter of it.
#[test]
fn the_last_reports_before_the_window_closes_are_lost_and_a_poll_mends_it() {
    let mut world = World::new(BLOCK, 1);
    world.fates(|hop| if hop.kind == Kind::Status && hop.nth <= 3 { Fate::Drop } else { Fate::Pass });
    world.publish(0, 1_000, AT_ONCE);
    assert!(world.publishers[0].held_back() > 800);
    world.pass(1_099 * US);
    assert!(world.publishers[0].held_back() > 800, "the poll is on its way");
    world.pass(5 * MS);
    assert_eq!(world.publishers[0].held_back(), 0);
    assert_eq!(world.publishers[0].sender.stats().polls, 1);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// Then every receiver reports each quarter of its window, however many they are.
#[test]
fn a_publisher_that_waits_for_its_slowest_says_so() {
    for (policy, expected) in [(BLOCK, "heartbeat 0 block"), (DROP, "heartbeat 0")] {
        let mut world = World::new(policy, 1);
        let heartbeats = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&heartbeats);
        world.network.record(move |bytes| heard.borrow_mut().push(line(bytes)));
        world.pass(300 * MS);
        let heartbeats = heartbeats.take();
        assert_eq!(heartbeats.iter().filter(|one| *one == expected).count(), 3, "{heartbeats:?}");
    }
}

#[test]
fn a_publisher_that_waits_for_its_slowest_loses_nothing() {
    let mut world = World::new(BLOCK, 2);
    stop_while_publishing(&mut world, 1, 375);
    assert_eq!(world.subscribers[1].overflowed, 0);
    world.pass(50 * MS);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(world.publishers[0].events(), ["up r1", "up r2"]);
}

/// Waits 100 ms for a pace that nobody sets, then runs; what the socket did not hold is asked for at once.
#[test]
fn a_publisher_paced_by_its_fastest_runs_free_after_100_ms() {
    let mut world = World::new(DROP, 1);
    world.subscribers[0].is_stopped = true;
    world.publish(0, 1_000, AT_ONCE);
    world.pass(99 * MS);
    assert!(world.publishers[0].held_back() > 800);
    world.pass(2 * MS);
    assert_eq!((world.publishers[0].held_back(), world.publishers[0].sender.stats().free_runs), (0, 1));
    let lost = world.subscribers[0].overflowed;
    assert!(lost > 800, "{lost}");
    world.resume(0);
    let held = world.subscribers[0].delivered(SESSION)[0].to;
    world.pass(200 * MS);
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 1_000 - held.0));
}

/// 2,500 messages of 1,000 bytes: the socket holds the first ones, the ring the last 500.
#[test]
fn a_subscriber_stopped_for_two_seconds_is_told_exactly_what_is_overrun() {
    let mut world = World::new(DROP, 2);
    stop_while_publishing(&mut world, 1, 2_500);
    let held = world.subscribers[1].delivered(SESSION)[0].to;
    world.send_large(0, 100, (1_000, APART));
    world.pass(50 * MS);
    let asked = format!("nak {held}..2500 by r2");
    let oldest = world.network.log[1].strip_prefix(&format!("gone {held}..")).expect("a GONE");
    let oldest: u64 = oldest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    assert_eq!(world.network.log[..2], [asked, format!("gone {held}..{oldest} Overrun to r2")]);
    assert_eq!(world.subscribers[1].lines, [format!("lost {held}..{oldest} overrun")]);
    assert!(held.0 > 50 && oldest > 1_900, "{held} {oldest}");
    world.finish(0);
    assert_eq!(world.counts(), (1, 2_500 - oldest));
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 2_600)]);
    assert_eq!(world.subscribers[1].delivered(SESSION), [range(0, held.0), range(oldest, 2_600)]);
}

/// It holds the publisher, is evicted after a second, and counts again once it is back.
#[test]
fn a_subscriber_stopped_for_two_seconds_is_evicted_and_comes_back() {
    let mut world = World::empty();
    (1..=2).for_each(|id| world.subscribe(subscribes(id)));
    world.open(publishes(77, FlowPolicy::Block { patience: SECOND }));
    world.pass(500 * MS);
    world.forget();
    stop_while_publishing(&mut world, 1, 2_500);
    let events = world.publishers[0].events();
    let position = events[2].strip_prefix("evicted r2 at ").expect("an eviction").to_owned();
    assert_eq!(events, ["up r1".to_owned(), "up r2".to_owned(), format!("evicted r2 at {position}")]);
    world.send_large(0, 100, (1_000, APART));
    world.pass(50 * MS);
    let lost = world.subscribers[1].lost(SESSION);
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(world.subscribers[1].lines.iter().all(|line| line.ends_with(" evicted")));
    assert!(world.publishers[0].sender.receivers().all(|row| row.live && !row.evicted));
    let naks = world.counts().0;
    assert_eq!(naks, 1, "no heartbeat of the hold fitted the socket; the next batch tells of all");
    world.subscribers[1].is_stopped = true;
    world.send_large(0, 300, (1_000, APART));
    assert!(world.publishers[0].held_back() > 200, "it is waited for again");
    world.resume(1);
    world.finish(0);
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 2_900)]);
    let rest = range(lost[0].to.0, 2_900);
    assert_eq!(world.subscribers[1].delivered(SESSION), [range(0, lost[0].from.0), rest]);
    assert_eq!(world.counts(), (naks, 2_500 - lost[0].to.0));
}

/// NAKs do not come through until the ring has gone on.
#[test]
fn what_the_ring_has_overwritten_is_lost_at_once_and_delivery_goes_on() {
    let mut world = World::new(FREE, 1);
    let opens = world.now + 50 * MS;
    world.fates(move |hop| {
        let lost = hop.is_data(4) || (hop.is_nak() && hop.now < opens);
        if lost { Fate::Drop } else { Fate::Pass }
    });
    world.send_large(0, 1_000, (1_000, 10 * US));
    world.pass(100 * MS);
    assert_eq!(world.network.log.last().map(String::as_str), Some("gone 4..5 Overrun to r1"));
    assert_eq!(world.subscribers[0].lines, ["lost 4..5 overrun"]);
    world.finish(0);
    assert_eq!(world.subscribers[0].delivered(SESSION), [range(0, 4), range(5, 1_000)]);
    assert_eq!(world.counts(), (9, 0));
}

/// The budget lets a part through at a time; being put off is not the repairs' time running out.
#[test]
fn repairs_that_are_put_off_come_later_and_nothing_times_out() {
    let mut world = World::empty();
    let mut settings = subscribes(1);
    settings.receiver.repair_timeout = 200 * MS;
    world.subscribe(settings);
    let (ring, mut sender) = publishes(77, FREE);
    sender.repair_floor = 1_000;
    world.open((ring, sender));
    world.pass(SECOND);
    world.publish(0, 200, MS);
    world.forget();
    let opens = world.now + 300 * MS;
    world.fates(move |hop| if hop.way == Way::Down && hop.now < opens { Fate::Drop } else { Fate::Pass });
    world.publish(0, 1_300, MS);
    let shed = world.publishers[0].sender.stats().sheds;
    assert!(shed >= 3, "{shed}");
    world.finish_whole(0);
    assert_eq!(world.counts(), (shed + 1, 300));
}
