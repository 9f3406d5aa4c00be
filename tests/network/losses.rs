//! Datagrams lost, damaged and repeated: at random, in bursts, by name, for one and for all.

use crate::network::case::Case;
use crate::network::case::V6;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::net::S3;
use crate::network::net::SUBSCRIBERS;
use crate::network::net::SWITCH;

/// What of a datagram a rule may look at.
const DATA: &str = "@th,80,8 0x11";
const HEARTBEAT: &str = "@th,80,8 0x12";
const NAK: &str = "@th,80,8 0x14";
const STATUS: &str = "@th,80,8 0x15";
const FIRST_SENDING: &str = "@th,88,8 & 1 == 0";

/// A rule for the batch at an offset.
fn offset(offset: u64) -> String {
    format!("{DATA} @th,256,64 {:#x}", offset.swap_bytes())
}

#[test]
fn nothing_is_lost_and_nothing_is_asked_for() {
    let Some(net) = Net::new("none") else { return };
    let outcome = Case::default().run(&net);
    outcome.is_complete();
    outcome.everybody_has(|account| account.repaired == 0);
}

#[test]
fn one_subscriber_loses_at_random() {
    let Some(net) = Net::new("random-one") else { return };
    net.on_arrival(S1, "numgen random mod 100 < 5 drop");
    let outcome = Case::default().run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0 && account.naks > 0);
    outcome.has(S2, |account| account.naks == 0).has(S3, |account| account.naks == 0);
}

#[test]
fn everybody_loses_at_random() {
    let Some(net) = Net::new("random-all") else { return };
    SUBSCRIBERS.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 10 drop"));
    let outcome = Case::default().run(&net);
    outcome.is_complete();
    outcome.everybody_has(|account| account.repaired > 0);
}

#[test]
fn one_in_three_is_lost() {
    let Some(net) = Net::new("third") else { return };
    SUBSCRIBERS.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 33 drop"));
    Case::default().messages(800, 1_200).run(&net).is_complete();
}

#[test]
fn bursts_are_lost() {
    let Some(net) = Net::new("bursts") else { return };
    // First sendings alone: once the data is through, a hundred of everything are ten seconds of heartbeats.
    net.on_arrival(S1, &format!("{DATA} {FIRST_SENDING} numgen inc mod 1000 >= 900 drop"));
    net.on_arrival(S2, "numgen inc mod 100 >= 90 drop");
    let outcome = Case::default().messages(3_000, 1_200).run(&net);
    outcome
        .is_complete()
        .has(S1, |account| account.repaired == 300)
        .has(S2, |account| account.repaired > 100);
}

#[test]
fn one_offset_is_lost_and_sent_again_once() {
    let Some(net) = Net::new("offset") else { return };
    net.on_arrival(S1, &format!("{} {FIRST_SENDING} drop", offset(42)));
    let outcome = Case::default().run(&net);
    outcome.is_complete().has(S1, |account| account.repaired == 1 && account.naks > 0);
    outcome.has(S2, |account| account.naks == 0).has(S3, |account| account.naks == 0);
}

#[test]
fn one_offset_never_comes_and_is_told_by_name() {
    let Some(net) = Net::new("never") else { return };
    // On every port: in the end the repairs come to the subscriber's own.
    net.rule(S1, "eth0", &format!("{} drop", offset(42)));
    let outcome = Case::default().publish("--policy drop").run(&net);
    outcome.is_exact_at(S1).has(S1, |account| account.lost == 1).says(S1, "lost 42..43");
    outcome.is_complete_at(&[S2, S3]);
}

#[test]
fn the_tail_is_lost() {
    let Some(net) = Net::new("tail") else { return };
    net.on_arrival(S1, &format!("{DATA} {FIRST_SENDING} @th,256,8 >= 195 drop"));
    let outcome = Case::default().messages(200, 1_200).run(&net);
    outcome.is_complete().has(S1, |account| account.repaired == 5);
}

#[test]
fn the_head_is_lost() {
    let Some(net) = Net::new("head") else { return };
    net.on_arrival(S1, &format!("{DATA} {FIRST_SENDING} @th,256,8 < 5 drop"));
    let outcome = Case::default().messages(200, 1_200).run(&net);
    outcome.is_complete().has(S1, |account| account.start == 0 && account.repaired == 5);
}

#[test]
fn all_lose_the_same() {
    let Some(net) = Net::new("same") else { return };
    net.on_departure("numgen random mod 100 < 10 drop");
    let outcome = Case::default().run(&net);
    outcome.is_complete();
    let (repaired, naks) =
        (SUBSCRIBERS.map(|host| outcome.account(host).repaired), outcome.publisher.stderr.clone());
    assert!(repaired.iter().all(|repaired| *repaired > 0), "{repaired:?}\n{naks}");
}

#[test]
fn only_naks_are_lost() {
    let Some(net) = Net::new("naks") else { return };
    net.rule(PUBLISHER, "eth0", &format!("udp dport != 4000 {NAK} numgen random mod 2 0 drop"));
    SUBSCRIBERS
        .iter()
        .for_each(|host| net.on_arrival(*host, &format!("{DATA} {FIRST_SENDING} numgen inc mod 50 7 drop")));
    let outcome = Case::default().run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0);
}

#[test]
fn only_reports_are_lost() {
    let Some(net) = Net::new("statuses") else { return };
    net.rule(PUBLISHER, "eth0", &format!("udp dport != 4000 {STATUS} numgen random mod 2 0 drop"));
    let outcome = Case::default().run(&net);
    outcome.is_complete();
    outcome.everybody_has(|account| account.naks == 0);
}

#[test]
fn only_heartbeats_are_lost() {
    let Some(net) = Net::new("heartbeats") else { return };
    SUBSCRIBERS
        .iter()
        .for_each(|host| net.on_arrival(*host, &format!("{HEARTBEAT} numgen random mod 4 != 0 drop")));
    Case::default().run(&net).is_complete();
}

#[test]
fn only_repairs_are_lost() {
    let Some(net) = Net::new("repairs") else { return };
    net.on_arrival(S1, &format!("{DATA} @th,88,8 & 1 == 1 numgen inc mod 2 0 drop"));
    net.on_arrival(S1, &format!("{DATA} {FIRST_SENDING} numgen inc mod 50 7 drop"));
    let outcome = Case::default().run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0);
}

#[test]
fn damage_that_the_udp_checksum_lets_through() {
    let Some(net) = Net::new("damage") else { return };
    // The interfaces leave the checksum to one another, so nobody would notice but us.
    SUBSCRIBERS.iter().for_each(|host| {
        net.on_arrival(*host, "numgen random mod 100 < 10 @th,544,32 set 0xdeadbeef");
    });
    net.on_arrival(S1, "numgen random mod 100 < 3 @th,256,32 set 0xdeadbeef");
    let outcome = Case::default().run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0).has(S2, |account| account.repaired > 0);
}

#[test]
fn everything_comes_twice_or_more() {
    let Some(net) = Net::new("twice") else { return };
    for host in SUBSCRIBERS {
        net.rule(
            SWITCH,
            "vpub",
            &format!("udp dport 4000 numgen random mod 100 < 50 dup to {}", host.port()),
        );
    }
    let outcome = Case::default().run(&net);
    outcome.is_complete();
    outcome.everybody_has(|account| account.duplicates > 0);
}

#[test]
fn whole_trains_are_lost() {
    let Some(net) = Net::new("trains") else { return };
    net.run(PUBLISHER, "ethtool -K eth0 tx-udp-segmentation on");
    SUBSCRIBERS.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 20 drop"));
    Case::default().messages(6_000, 1_200).run(&net).is_complete();
}

#[test]
fn loss_over_ipv6() {
    let Some(net) = Net::new("loss-v6") else { return };
    SUBSCRIBERS.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 10 drop"));
    let outcome = Case::default().at(V6, V6).run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0);
}

#[test]
fn small_messages_through_loss() {
    let Some(net) = Net::new("small") else { return };
    SUBSCRIBERS.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 5 drop"));
    let outcome = Case::default().messages(50_000, 32).run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0);
}

#[test]
fn messages_in_pieces_through_loss() {
    let Some(net) = Net::new("pieces") else { return };
    SUBSCRIBERS.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 5 drop"));
    let outcome = Case::default().messages(40, 60_000).run(&net);
    outcome.is_complete().has(S1, |account| account.repaired > 0);
}
