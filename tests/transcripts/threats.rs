//! An attacker on the segment who can send anything to anybody, from any address, and holds no key: what it cannot do.

use core::net::SocketAddr;

use nakcast::SessionId;
use nakcast::wire::Kind;
use nakcast::wire::RangeEntry;

use super::forged::SESSION;
use super::forged::data;
use super::forged::head;
use super::forged::heartbeat;
use super::forged::session_heartbeat;
use super::forged::stranger;
use super::rig::FREE;
use super::rig::Fate;
use super::rig::MS;
use super::rig::SECOND;
use super::rig::US;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

/// A group of one, and its round trip in microseconds.
const ALONE: (u32, u32) = (1, 100);

/// One publisher, one subscriber, and ten messages that have come.
fn world() -> World {
    let mut world = World::new(FREE, 1);
    world.publish(0, 10, 10 * US);
    world
}

/// DATA of the real session from another address, and of the right address with a session that nobody opened.
#[test]
fn forged_data_is_not_delivered() {
    let mut world = world();
    for base in 10..60 {
        world.forge(stranger(), 0, &data(SESSION, base));
    }
    world.publish(0, 40, 10 * US);
    world.pass(10 * MS);
    assert_eq!(world.subscribers[0].machine.receiver_ref().stats().strange_address, 50);
    assert_eq!(world.subscribers[0].messages.len(), 50);
    assert!(world.subscribers[0].messages.iter().all(|message| message.starts_with("message ")));
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// However many datagrams claim for fourteen seconds that another session has taken its place: while a publisher is heard,
/// idle as it may be, none has.
#[test]
fn a_session_that_lives_is_not_replaced() {
    let mut world = world();
    let home = world.publishers[0].address;
    for n in 0..2_000 {
        world.forge(home, 0, &data(SessionId(666), n));
        world.pass(7 * MS);
    }
    let stats = *world.subscribers[0].machine.receiver_ref().stats();
    assert_eq!((stats.session_conflicts, stats.replaced_session), (2_000, 0));
    world.publish(0, 40, 10 * US);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// A publisher that is gone is followed by whoever has its address, once two datagrams agree.
#[test]
fn a_session_that_is_quiet_is_replaced_by_the_second_datagram() {
    let mut world = world();
    world.publishers[0].is_alive = false;
    let home = world.publishers[0].address;
    world.pass(400 * MS);
    world.forge(home, 0, &session_heartbeat(SessionId(5), 100, ALONE));
    assert!(world.subscribers[0].lines.is_empty());
    world.forge(home, 0, &session_heartbeat(SessionId(6), 100, ALONE));
    assert!(world.subscribers[0].lines.is_empty(), "it agrees with nobody");
    world.forge(home, 0, &session_heartbeat(SessionId(6), 101, ALONE));
    assert_eq!(world.subscribers[0].lines, ["down replaced 10", "up 100 for 77"]);
}

/// Two leaps that agree with each other, but not with the publisher, which goes on in between.
#[test]
fn a_leap_is_not_believed_of_a_stream_that_goes_on() {
    let mut world = world();
    let home = world.publishers[0].address;
    for n in 0..20 {
        world.forge(home, 0, &heartbeat((1 << 40) + n, 1, 100));
        world.publish(0, 1, 10 * US);
    }
    world.pass(10 * MS);
    let row = world.subscribers[0].last_row();
    assert_eq!((row.stats.leaps, row.book.heard.0, row.book.pending()), (20, 30, 0));
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// The network delivers a forged leap twice: one datagram is one datagram.
#[test]
fn a_copy_of_a_leap_does_not_confirm_it() {
    let mut world = world();
    let home = world.publishers[0].address;
    for _ in 0..5 {
        world.forge(home, 0, &heartbeat(1 << 40, 1, 100));
        world.forge(home, 0, &data(SESSION, 1 << 40));
    }
    let row = world.subscribers[0].last_row();
    assert_eq!((row.stats.leaps, row.book.heard.0), (10, 10));
    world.publish(0, 20, 10 * US);
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// A hundred thousand sources: as many as the table holds, and the one that was there is as well as ever.
#[test]
fn made_up_sources_fill_the_table_and_no_more() {
    let mut world = World::new(FREE, 1);
    world.fates(|hop| if hop.is_data(4) { Fate::Drop } else { Fate::Pass });
    let to = world.subscribers[0].address;
    for n in 0..100_000_u64 {
        let from = SocketAddr::from(([10, 9, (n >> 8) as u8, n as u8], 4_000));
        world.fly((from, to), world.now, &session_heartbeat(SessionId(1_000 + n), n, ALONE));
        if n % 5_000 == 0 {
            world.publish(0, 1, 10 * US);
        }
        world.pass(1 * US);
    }
    world.pass(10 * MS);
    let receiver = world.subscribers[0].machine.receiver_ref();
    let stats = receiver.stats();
    assert_eq!(receiver.rows().count(), 64);
    assert_eq!(stats.refused_sources + stats.session_conflicts, 100_000 - 63);
    let row = receiver.rows().next().expect("the first");
    assert_eq!((row.session, row.book.delivered, row.book.pending()), (SESSION, 20, 0));
}

/// Every datagram three times, the last of them late: each message once.
#[test]
fn what_is_sent_again_by_somebody_else_is_delivered_once() {
    let mut world = World::new(FREE, 1);
    let recorded = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let recorder = std::rc::Rc::clone(&recorded);
    world.network.record(move |bytes| recorder.borrow_mut().push(bytes.to_vec()));
    world.fates(|_| Fate::Twice);
    world.publish(0, 50, 10 * US);
    world.pass(100 * MS);
    let home = world.publishers[0].address;
    for bytes in recorded.take() {
        world.forge(home, 0, &bytes);
    }
    let row = world.subscribers[0].last_row();
    assert!(row.stats.duplicates >= 100, "{}", row.stats.duplicates);
    assert_eq!((row.book.delivered, row.book.lost), (50, 0));
    world.finish_whole(0);
    assert_eq!(world.counts(), (0, 0));
}

/// The network has forgotten that the subscriber is a member of the group, and still carries what is sent to it alone:
/// no gap shows, but silence does.
#[test]
fn a_lost_membership_is_noticed() {
    let mut world = world();
    let to_all = |kind| matches!(kind, Kind::Data | Kind::Heartbeat | Kind::End);
    world.fates(move |hop| if to_all(hop.kind) { Fate::Drop } else { Fate::Pass });
    world.publish(0, 20, 10 * US);
    world.pass(4 * SECOND);
    assert_eq!(world.subscribers[0].lines, ["rejoin", "down silent 10"]);
    world.fates(|_| Fate::Pass);
    world.pass(SECOND);
    assert_eq!(world.subscribers[0].lines.last().map(String::as_str), Some("up 10"));
    world.finish_whole(0);
    assert_eq!(world.counts(), (1, 20));
}

/// A NAK in a victim's name asks for everything there is: not one byte goes to the victim.
#[test]
fn repairs_cannot_be_aimed() {
    let mut world = World::new(FREE, 1);
    world.publish(0, 100, 10 * US);
    world.pass(10 * MS);
    world.forget();
    let victim = SocketAddr::from(([10, 0, 2, 1], 9_000));
    let mut nak = Vec::new();
    let ranges = [RangeEntry::new(nakcast::OffsetRange::new(nakcast::Offset(0), nakcast::Offset(100)))];
    let asker = (nakcast::wire::ReceiverId(99), nakcast::wire::Token(4_711));
    nakcast::wire::encode_nak(&mut nak, &head(0), asker, &ranges);
    let to = world.publishers[0].address;
    for _ in 0..10 {
        world.fly((victim, to), world.now, &nak);
        world.pass(SECOND);
    }
    assert_eq!((world.network.unicast, world.publishers[0].sender.stats().naks_unproved), (0, 10));
    assert!(world.network.log.iter().all(|line| !line.ends_with("to r1")), "{:?}", world.network.log);
}

/// Positions nobody has proved, of receivers that do not exist: a publisher that waits for its slowest waits for none.
#[test]
fn nobody_unproved_holds_a_publisher() {
    let mut world = World::empty();
    world.subscribe(subscribes(1));
    world.open(publishes(77, super::rig::BLOCK));
    world.pass(500 * MS);
    let to = world.publishers[0].address;
    for n in 0..1_000_u64 {
        let from = SocketAddr::from(([10, 9, (n / 250) as u8, 1 + (n % 250) as u8], 4_000));
        world.fly((from, to), world.now, &super::forged::status(n + 50));
    }
    world.pass(MS);
    world.publish(0, 1_000, 10 * US);
    world.pass(100 * MS);
    let stats = world.publishers[0].sender.stats();
    assert_eq!((world.publishers[0].sender.live(), stats.receivers_up), (1, 1));
    assert_eq!((stats.statuses_unproved, stats.evicted), (1_001, 0));
    assert_eq!(world.publishers[0].held_back(), 0);
    world.finish_whole(0);
}
