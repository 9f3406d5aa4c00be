//! Links that are narrow, refuse, go down, forget who listens, or deliver late and out of order.

use std::time::Duration;

use crate::network::case::Case;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::net::S3;
use crate::network::net::SUBSCRIBERS;
use crate::network::net::SWITCH;
use crate::network::part::Part;

#[test]
fn the_system_refuses_to_send() {
    let Some(net) = Net::new("eperm") else { return };
    net.run(PUBLISHER, "nft add table inet faults");
    net.run(PUBLISHER, "nft add chain inet faults out { type filter hook output priority 0 ; }");
    net.run(PUBLISHER, "nft add rule inet faults out udp dport 4000 numgen random mod 100 < 10 drop");
    let outcome = Case::default().run(&net);
    outcome.is_complete().everybody_has(|account| account.repaired > 0);
    assert!(outcome.refused() > 0, "{}", outcome.publisher.stderr);
}

#[test]
fn the_systems_queue_is_full() {
    let Some(net) = Net::new("enobufs") else { return };
    net.narrow(PUBLISHER, "eth0", "rate 40mbit burst 5kb limit 20kb");
    let outcome = Case::default().run(&net);
    outcome.is_complete();
    assert!(outcome.refused() > 0, "{}", outcome.publisher.stderr);
}

#[test]
fn a_narrow_link_for_all() {
    let Some(net) = Net::new("narrow") else { return };
    SUBSCRIBERS.iter().for_each(|host| net.narrow(SWITCH, &host.port(), "rate 20mbit burst 5kb limit 50kb"));
    let outcome = Case::default().messages(800, 1_200).run(&net);
    outcome.is_complete().everybody_has(|account| account.repaired > 0);
}

#[test]
fn a_narrow_link_for_one_harms_nobody_else() {
    let Some(net) = Net::new("narrow-one") else { return };
    net.narrow(SWITCH, &S1.port(), "rate 4mbit burst 5kb limit 20kb");
    let outcome = Case::default().messages(4_000, 1_200).publish("--policy drop --ring 512K").run(&net);
    outcome.is_exact_at(S1).has(S1, |account| account.lost > 0);
    outcome.is_complete_at(&[S2, S3]);
}

#[test]
fn a_path_that_swallows_large_datagrams_loses_by_name() {
    let Some(net) = Net::new("path-mtu") else { return };
    net.rule(S1, "eth0", "meta length > 1100 drop");
    let outcome = Case::default().messages(200, 1_200).publish("--policy drop --finish-timeout 3").run(&net);
    outcome.is_exact_at(S1).has(S1, |account| account.lost == 200);
    outcome.is_complete_at(&[S2, S3]);
}

#[test]
fn a_datagram_larger_than_the_mtu_is_refused_at_open() {
    let Some(net) = Net::new("mtu") else { return };
    net.batch(PUBLISHER, "link set eth0 mtu 1000");
    let refused = Case::default().publisher(&net, 0).end();
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("972 bytes") && refused.stderr.contains("fragment"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_datagram_larger_than_the_mtu_travels_in_fragments() {
    let Some(net) = Net::new("fragments") else { return };
    net.batch(PUBLISHER, "link set eth0 mtu 1000");
    net.rule(S1, "eth0", "ip frag-off & 0x1fff != 0 numgen random mod 100 < 5 drop");
    let case = Case::default();
    let subscribers = SUBSCRIBERS.map(|host| (host, case.subscriber(&net, host)));
    let publisher = Part::Fragmenting { messages: 1_700 }.start(&net, PUBLISHER);
    case.running(publisher, subscribers.into()).end().is_complete();
}

#[test]
fn the_publishers_interface_goes_down_and_up() {
    let Some(net) = Net::new("down-pub") else { return };
    let mut running = Case::default().start(&net);
    running.publish(0, 40);
    SUBSCRIBERS.iter().for_each(|host| running.wait_for(*host, 40));
    net.batch(PUBLISHER, "link set eth0 down");
    running.publish(40, 60);
    running.at(S1).wait_for_quiet(Duration::from_millis(300));
    net.batch(PUBLISHER, "link set eth0 up");
    running.publish(60, 100);
    let outcome = running.end();
    outcome.is_complete().everybody_has(|account| account.repaired > 0);
    assert!(outcome.refused() > 0, "{}", outcome.publisher.stderr);
}

#[test]
fn a_subscribers_interface_goes_down_and_up() {
    let Some(net) = Net::new("down-sub") else { return };
    let mut running = Case::default().start(&net);
    running.publish(0, 40);
    running.wait_for(S1, 40);
    net.batch(S1, "link set eth0 down");
    running.publish(40, 60);
    running.wait_for(S2, 60);
    net.batch(S1, "link set eth0 up");
    running.publish(60, 100);
    running
        .end()
        .is_complete()
        .has(S1, |account| account.repaired > 0)
        .has(S2, |account| account.repaired == 0);
}

/// A switch that forwards only to members, and takes a membership for ended when nothing is heard of it for 2.5 s.
const SNOOPING: &str = "link set br0 type bridge mcast_query_interval 100 mcast_query_response_interval 50 \
    mcast_membership_interval 250 mcast_startup_query_interval 20\n\
    link set br0 type bridge mcast_snooping 1 mcast_querier 1";

#[test]
fn the_switch_forgets_a_member_which_notices_the_silence_and_joins_again() {
    let Some(net) = Net::new("igmp") else { return };
    // Never asked by the switch, it has no reason to say that it is still there.
    net.rule(S1, "eth0", "ip protocol igmp drop");
    net.batch(SWITCH, SNOOPING);
    let mut running = Case::default().subscribe("--follow").start(&net);
    running.publish(0, 50);
    running.wait_for(S1, 50);
    running.at(S1).wait_for_word("fell silent");
    running.publish(50, 100);
    running.publisher.close_stdin();
    for host in SUBSCRIBERS {
        running.wait_for(host, 100);
        running.at(host).signal("INT");
    }
    let outcome = running.end();
    outcome.is_whole_at(&SUBSCRIBERS);
    assert!(!outcome.at(S2).stderr.contains("fell silent"), "{}", outcome.at(S2).stderr);
}

#[test]
fn delayed_reordered_repeated_and_lost_by_a_seed() {
    for seed in [7, 8] {
        let Some(net) = Net::parted(&format!("relay-{seed}")) else { return };
        let relay = Part::Relay { seed }.start(&net, SWITCH);
        relay.wait_for_word("relaying");
        let outcome = Case::default().run(&net);
        outcome.is_complete().everybody_has(|account| account.repaired > 0 && account.duplicates > 0);
    }
}
