//! Receivers behind connections, alone and beside those that hear datagrams.

use super::*;
use crate::protocol::StreamReceiver;

pub(super) const W: u64 = WINDOW as u64;

pub(super) fn stream(id: u64) -> StreamReceiver {
    StreamReceiver { receiver: ReceiverId(id), address: home(id) }
}

/// The same receiver on another connection.
fn again(id: u64) -> StreamReceiver {
    StreamReceiver { address: home(1_000 + id), ..stream(id) }
}

impl Rig {
    pub(super) fn attach(&mut self, id: u64, next: u64) {
        assert!(self.sender.attach(self.now, stream(id), Offset(next), &self.ring));
    }

    /// So many batches in all were handed to the connection.
    pub(super) fn progress(&mut self, id: u64, batches: u64) {
        self.sender.progress(self.now, stream(id), batches * CHARGE, &self.ring);
    }

    pub(super) fn report(&mut self, who: StreamReceiver, says: Says) {
        let bytes = self.encode_status(who.receiver.0, Token(0), says);
        let datagram = Datagram::decode(&bytes).expect("sound");
        let Body::Status(status) = datagram.body else { unreachable!("a STATUS") };
        self.sender.report_stream(self.now, who, (datagram.header.base(), status), &self.ring);
    }

    pub(super) fn detach(&mut self, id: u64, leaving: bool) {
        self.sender.detach(self.now, stream(id), leaving);
    }

    /// How far a connection lets go that was handed so many batches.
    pub(super) fn grant(&self, batches: u64) -> Option<u64> {
        Some(batches * CHARGE + self.ring.window())
    }
}

#[test]
fn block_waits_for_the_slowest_connection() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(100);
    rig.attach(1, 0);
    rig.attach(2, 10);
    rig.attach(3, 100);
    assert_eq!(rig.sender.limit(), rig.grant(0));
    rig.progress(1, 50);
    assert_eq!(rig.sender.limit(), rig.grant(10));
    rig.progress(2, 60);
    assert_eq!(rig.sender.limit(), rig.grant(50));
    rig.progress(1, 5_000);
    assert_eq!(rig.sender.limit(), rig.grant(60), "nobody was handed more than was sent");
}

/// A connection that is cut holds the publisher for as long as one that falls silent, and not a moment more.
#[test]
fn block_waits_for_one_that_may_come_back() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(100);
    rig.attach(1, 0);
    rig.skip(60 * SECOND);
    assert_eq!((rig.sender.live(), rig.sender.limit()), (1, rig.grant(0)), "it never falls silent");
    rig.detach(1, false);
    rig.skip(5 * SECOND - Duration::from_nanos(1));
    assert_eq!((rig.sender.live(), rig.sender.limit()), (1, rig.grant(0)));
    assert_eq!(rig.events(), ["up r1"]);
    rig.skip(Duration::from_nanos(1));
    assert_eq!((rig.sender.live(), rig.sender.limit()), (0, None));
    assert_eq!(rig.events(), ["silent r1"]);
}

#[test]
fn one_that_comes_back_in_time_goes_on() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(100);
    rig.attach(1, 0);
    rig.progress(1, 40);
    rig.report(stream(1), at(30));
    rig.detach(1, false);
    rig.skip(4 * SECOND);
    assert!(rig.sender.attach(rig.now, again(1), Offset(30), &rig.ring));
    assert_eq!(rig.sender.limit(), rig.grant(30), "what was on the way was lost with the connection");
    rig.skip(60 * SECOND);
    assert_eq!((rig.sender.live(), rig.events()), (1, vec!["up r1".to_owned()]));
}

#[test]
fn leaving_frees_at_once() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(100);
    rig.attach(1, 0);
    rig.attach(2, 100);
    rig.events();
    rig.report(stream(1), Says { flags: Status::LEAVING, ..at(7) });
    assert_eq!((rig.events(), rig.sender.limit()), (vec!["left r1".to_owned()], rig.grant(100)));
    assert!(!rig.sender.is_attached(stream(1)));
    rig.detach(1, false);
    rig.detach(2, true);
    assert_eq!((rig.events(), rig.sender.limit()), (vec!["left r2".to_owned()], None));
}

/// The connection before it was not noticed to be dead: what is said of it means nothing any more.
#[test]
fn a_connection_that_was_followed_by_another_counts_for_nothing() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(100);
    rig.attach(1, 0);
    assert!(rig.sender.attach(rig.now, again(1), Offset(20), &rig.ring));
    assert_eq!((rig.sender.is_attached(stream(1)), rig.sender.is_attached(again(1))), (false, true));
    rig.progress(1, 90);
    rig.report(stream(1), at(90));
    rig.detach(1, true);
    rig.detach(1, false);
    assert_eq!((rig.sender.limit(), rig.sender.stats().statuses_refused), (rig.grant(20), 1));
    assert_eq!(
        rig.sender.row(ReceiverId(1)).map(|row| (row.next, row.address)),
        Some((Offset(20), again(1).address))
    );
    rig.skip(60 * SECOND);
    assert_eq!((rig.events(), rig.sender.live()), (vec!["up r1".to_owned()], 1));
}

/// r1 takes nothing any more, r2 everything; an evicted one is told on the connection that it was evicted on.
#[test]
fn patience_evicts_a_connection_that_does_not_move() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.attach(1, 0);
    rig.attach(2, 0);
    rig.publish(200);
    rig.progress(1, 3);
    rig.progress(2, 200);
    rig.sender.set_held(rig.now, true);
    for _ in 0..49 {
        rig.skip(100 * MS);
        rig.report(stream(1), at(1));
        rig.report(stream(2), at(200));
    }
    rig.events();
    rig.skip(100 * MS - Duration::from_nanos(1));
    assert!(rig.events().is_empty() && !rig.sender.is_evicted(stream(1)));
    rig.skip(Duration::from_nanos(1));
    assert_eq!((rig.events(), rig.sender.limit()), (vec!["evicted r1 at 1".to_owned()], rig.grant(200)));
    assert_eq!([1, 2].map(|id| rig.sender.is_evicted(stream(id))), [true, false]);
    rig.detach(1, false);
    rig.publish(200);
    assert!(rig.sender.attach(rig.now, again(1), Offset(1), &rig.ring));
    assert!(!rig.sender.is_evicted(again(1)), "not on this one");
    assert!(rig.sender.row(ReceiverId(1)).is_some_and(|row| row.evicted));
    assert_eq!(rig.sender.limit(), rig.grant(200), "it is more than half a window behind");
    rig.sender.progress(rig.now, again(1), 280 * CHARGE, &rig.ring);
    assert!(rig.sender.row(ReceiverId(1)).is_some_and(|row| !row.evicted), "it counts again");
    rig.progress(2, 400);
    assert_eq!(rig.sender.limit(), rig.grant(280));
}

#[test]
fn slow_but_moving_is_not_evicted() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.attach(1, 0);
    rig.publish(100);
    rig.sender.set_held(rig.now, true);
    for batches in 1..5 {
        rig.skip(4_900 * MS);
        rig.progress(1, batches);
    }
    assert_eq!(rig.events(), ["up r1"]);
}

/// r1 has had all there was while r2 held the publisher.
#[test]
fn one_that_has_everything_is_not_stuck() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.join(2, at(0));
    rig.attach(1, 0);
    rig.publish(10);
    rig.progress(1, 10);
    rig.sender.set_held(rig.now, true);
    for _ in 0..50 {
        rig.skip(100 * MS);
        rig.report(stream(1), at(10));
        rig.status(2, at(0));
    }
    assert_eq!(rig.events(), ["up r1", "evicted r2 at 0"]);
    rig.publish(300);
    rig.sender.handle_timeout(rig.now, &rig.ring);
    rig.skip(4 * SECOND);
    assert!(rig.events().is_empty());
    rig.skip(SECOND);
    assert_eq!(rig.events(), ["evicted r1 at 10", "silent r2"]);
}

#[test]
fn the_group_is_who_hears_datagrams() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.join(100, Says { rtt_us: 250, ..at(0) });
    for id in 1..=60 {
        rig.attach(id, 0);
        rig.report(stream(id), Says { rtt_us: 900_000, ..at(0) });
    }
    assert_eq!((rig.sender.live(), rig.sender.group_size()), (61, 1));
    assert_eq!(rig.sender.grtt(rig.now), Duration::from_micros(250), "not theirs");
    rig.publish(1);
    rig.now = rig.now + MS;
    rig.sender.handle_timeout(rig.now, &rig.ring);
    let Some(Transmit::Datagram { bytes, .. }) = rig.sender.peek_transmit(rig.now, &rig.ring) else {
        unreachable!("one is due");
    };
    let Body::Heartbeat(heartbeat) = Datagram::decode(bytes).expect("sound").body else {
        unreachable!("a heartbeat")
    };
    assert_eq!((heartbeat.receivers.get(), heartbeat.status_ms.get()), (1, 200));
}

/// What was handed to a connection may still be on the way.
#[test]
fn the_end_waits_for_what_is_confirmed() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(10);
    rig.attach(1, 0);
    rig.progress(1, 10);
    rig.sender.finish(rig.now);
    let laggards = |rig: &Rig| rig.sender.laggards(&rig.ring).map(|row| row.next.0).collect::<Vec<_>>();
    assert_eq!(laggards(&rig), [0]);
    rig.report(stream(1), at(9));
    assert_eq!(laggards(&rig), [9]);
    rig.report(stream(1), at(11));
    assert_eq!((laggards(&rig), rig.sender.stats().statuses_refused), (vec![9], 1), "beyond what was sent");
    rig.report(stream(1), at(8));
    assert_eq!((laggards(&rig), rig.sender.stats().statuses_stale), (vec![9], 1));
    rig.report(StreamReceiver { receiver: ReceiverId(2), ..stream(1) }, at(10));
    rig.report(stream(2), at(10));
    assert_eq!((laggards(&rig), rig.sender.stats().statuses_refused), (vec![9], 3), "of nobody");
    rig.report(stream(1), Says { flags: Status::OBSERVER, ..at(10) });
    assert_eq!((laggards(&rig), rig.sender.stats().observers), (vec![9], 1));
    rig.report(stream(1), at(10));
    assert!(rig.sender.is_complete(&rig.ring));
    rig.detach(1, false);
    assert!(rig.sender.is_complete(&rig.ring));
}

/// Messages of a batch that is sealed are not sent yet, so no connection can have brought them.
#[test]
fn what_is_not_sent_is_not_confirmed() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.attach(1, 0);
    rig.seal();
    rig.report(stream(1), at(1));
    rig.report(stream(1), Says { flags: Status::LEAVING, ..at(1) });
    assert_eq!((rig.sender.stats().statuses_refused, rig.sender.live()), (2, 1));
    rig.progress(1, 1);
    assert_eq!(rig.sender.limit(), rig.grant(0));
}

/// A datagram with a proved token may name any receiver.
#[test]
fn no_datagram_speaks_for_a_connection() {
    let mut rig = Rig::new(settings(block_policy()));
    rig.publish(10);
    rig.attach(1, 0);
    assert_eq!(rig.status(1, at(10)), ["welcome r1 to r1"]);
    assert_eq!(rig.status(1, at(10)), [""; 0]);
    rig.status(1, Says { flags: Status::LEAVING, ..at(10) });
    assert_eq!((rig.sender.stats().statuses_refused, rig.sender.limit()), (2, rig.grant(0)));
    rig.detach(1, false);
    rig.status(1, at(10));
    assert_eq!(
        (rig.sender.group_size(), rig.sender.limit()),
        (1, Some(10 * CHARGE + W)),
        "it hears datagrams now"
    );
    assert_eq!(rig.events(), ["up r1"]);
}

#[test]
fn who_is_overrun_is_cut_off_where_that_is_the_policy() {
    let policy = FlowPolicy::Disconnect { pace: 100 * MS, free_running: false };
    for (policy, cut_off) in [(policy, true), (drop_policy(), false), (block_policy(), false)] {
        let mut rig = Rig::new(settings(policy));
        rig.attach(1, 0);
        rig.attach(2, 0);
        rig.publish(1_000);
        rig.progress(2, 1_000);
        rig.events();
        assert_eq!(rig.sender.handle_overrun(rig.now, stream(1)), cut_off);
        assert_eq!(rig.events(), if cut_off { vec!["evicted r1 at 0"] } else { vec![] });
        assert_eq!(
            (rig.sender.is_attached(stream(1)), rig.sender.live()),
            (!cut_off, 2 - usize::from(cut_off))
        );
        assert_eq!(rig.sender.handle_overrun(rig.now, stream(1)), cut_off, "one that is not counted, too");
        assert!(rig.events().is_empty());
        rig.attach(1, 1_000);
        assert_eq!(rig.events(), if cut_off { vec!["up r1"] } else { vec![] });
    }
}

#[test]
fn disconnect_paces_as_drop_does() {
    let mut rig = Rig::new(settings(FlowPolicy::Disconnect { pace: 100 * MS, free_running: false }));
    rig.publish(10);
    rig.attach(1, 0);
    assert_eq!(rig.sender.limit(), rig.grant(0));
    rig.sender.set_held(rig.now, true);
    rig.skip(100 * MS);
    assert_eq!((rig.sender.limit(), rig.sender.stats().free_runs), (None, 1));
    rig.progress(1, 5);
    assert_eq!(rig.sender.limit(), rig.grant(5));
    let free = FlowPolicy::Disconnect { pace: 100 * MS, free_running: true };
    let mut rig = Rig::new(settings(free));
    rig.attach(1, 0);
    assert_eq!(rig.sender.limit(), None);
}

#[test]
fn a_connection_that_falls_behind_is_named_once() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.attach(1, 0);
    rig.publish(250);
    rig.progress(1, 1);
    assert_eq!(rig.events(), ["up r1"]);
    rig.publish(250);
    rig.report(stream(1), at(1));
    rig.report(stream(1), at(1));
    assert_eq!(rig.events(), ["slow r1 by 499"]);
}

#[test]
fn the_table_is_bounded_for_connections_too() {
    let mut rig = Rig::new(SenderSettings { receivers: 2, ..settings(drop_policy()) });
    rig.attach(1, 0);
    rig.attach(2, 0);
    assert!(!rig.sender.attach(rig.now, stream(3), Offset(0), &rig.ring));
    assert_eq!((rig.sender.stats().receivers_refused, rig.sender.live()), (1, 2));
    rig.attach(2, 0);
    rig.detach(1, true);
    rig.attach(3, 0);
    assert_eq!(rig.sender.live(), 2);
}
