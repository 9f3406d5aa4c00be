//! Heartbeats from open to end.

use super::*;

#[test]
fn heartbeats_follow_the_last_data() {
    let mut rig = Rig::new(settings(drop_policy()));
    assert_eq!(rig.pass(10 * MS), ["1000 heartbeat 0", "3000 heartbeat 0", "7000 heartbeat 0"]);
    rig.publish(3);
    rig.sender.handle_timeout(rig.now, &rig.ring);
    let after = ["11000", "13000", "17000", "25000", "41000", "73000", "137000", "237000", "337000"];
    assert_eq!(rig.pass(400 * MS), after.map(|micros| format!("{micros} heartbeat 3")));
    assert_eq!(rig.sender.stats().heartbeats, 13);
}

#[test]
fn a_heartbeat_says_what_it_should() {
    let mut rig = Rig::new(SenderSettings { tcp_port: 4_040, ..settings(drop_policy()) });
    for id in 1..=100 {
        rig.join(id, Says { rtt_us: 250, ..at(0) });
    }
    rig.publish(1_000);
    rig.now = rig.now + 999 * MS;
    rig.sender.handle_timeout(rig.now, &rig.ring);
    let Some(Transmit::Datagram { bytes, .. }) = rig.sender.peek_transmit(rig.now, &rig.ring) else {
        unreachable!("one is due");
    };
    let datagram = Datagram::decode(bytes).expect("sound");
    let Body::Heartbeat(heartbeat) = datagram.body else { unreachable!("a heartbeat") };
    assert_eq!(datagram.header.base(), Offset(1_000));
    assert_eq!(heartbeat.oldest.get(), rig.ring.oldest().0);
    assert_eq!((heartbeat.receivers.get(), heartbeat.grtt_us.get()), (100, 250));
    assert_eq!((heartbeat.status_ms.get(), heartbeat.tcp_port.get(), heartbeat.flags.get()), (400, 4_040, 0));
    assert!(!datagram.header.flags().has(wire::Flags::OPENING), "1,000 batches were sent");
}

#[test]
fn a_session_is_opening_for_a_second_or_a_thousand_batches() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(999);
    assert!(rig.sender.opening(Time::from_millis(999), &rig.ring));
    assert!(!rig.sender.opening(Time::from_millis(1_000), &rig.ring));
    rig.publish(1);
    assert!(!rig.sender.opening(Time::from_millis(0), &rig.ring));
}

#[test]
fn the_end_waits_for_everybody_and_serves_repairs() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(10);
    rig.join(1, at(10));
    rig.join(2, at(8));
    rig.skip(200 * MS);
    rig.sender.finish(rig.now);
    assert!(!rig.sender.is_complete(&rig.ring));
    assert_eq!(rig.sender.laggards(&rig.ring).map(|row| row.receiver).collect::<Vec<_>>(), [ReceiverId(2)]);
    assert_eq!(rig.drain(), ["end 10 poll"]);
    assert_eq!(
        rig.pass(7 * MS),
        ["201000", "203000", "207000"].map(|micros| format!("{micros} end 10 poll"))
    );
    assert_eq!(rig.nak(2, &[(8, 10)]), ["repair 8..10"]);
    rig.status(2, at(10));
    assert!(rig.sender.is_complete(&rig.ring) && !rig.sender.is_over());
    rig.sender.conclude(rig.now);
    assert_eq!(rig.drain(), ["end 10"]);
    assert_eq!(rig.pass(SECOND), ["208000 end 10", "209000 end 10"]);
    assert!(rig.sender.is_over());
    assert_eq!((rig.sender.next_timeout(), rig.sender.stats().ends), (None, 7));
    assert_eq!(rig.nak(2, &[(8, 10)]), [""; 0]);
}

#[test]
fn an_end_without_anybody_is_complete() {
    let mut rig = Rig::new(settings(drop_policy()));
    rig.publish(10);
    assert!(rig.sender.is_complete(&rig.ring));
    rig.sender.conclude(rig.now);
    assert_eq!(rig.drain(), ["end 10"]);
    assert_eq!(rig.pass(SECOND), ["1000 end 10", "2000 end 10"]);
    assert!(rig.sender.is_over());
}

#[test]
fn an_evicted_receiver_is_no_laggard() {
    let mut rig = Rig::new(settings(FlowPolicy::Block { patience: SECOND }));
    rig.join(1, at(0));
    rig.publish(10);
    rig.sender.set_held(rig.now, true);
    rig.skip(2 * SECOND);
    assert_eq!(rig.events(), ["evicted r1 at 0"]);
    assert!(rig.sender.is_complete(&rig.ring));
}
