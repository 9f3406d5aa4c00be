//! Ways to name a stream: both families, one source only, one subscriber only, two groups on one port.

use crate::network::case::Case;
use crate::network::case::V4;
use crate::network::case::V6;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;

#[test]
fn multicast_over_ipv6() {
    let Some(net) = Net::new("v6") else { return };
    Case::default().at(V6, V6).run(&net).is_complete();
}

#[test]
fn from_one_source_only() {
    let Some(net) = Net::new("ssm") else { return };
    let (v4, v6) = ("udp://232.1.1.1:4000?interface=eth0", "udp://[ff35::4242]:4000?interface=eth0");
    let from = |uri, source| format!("{uri}&source={source}");
    Case::default().at(v4, &from(v4, PUBLISHER.v4())).run(&net).is_complete();
    Case::default().at(v6, &from(v6, PUBLISHER.v6())).run(&net).is_complete();
}

#[test]
fn from_another_source_nothing_is_heard() {
    let Some(net) = Net::new("deaf") else { return };
    let uri = "udp://232.1.1.2:4000?interface=eth0";
    let deaf = Case::default().at(uri, &format!("{uri}&source={}", S2.v4())).subscribe("--timeout 1");
    let deaf = deaf.subscriber(&net, S1);
    Case::default().at(uri, uri).to(&[S2]).messages(10, 1_200).run(&net).is_complete();
    let deaf = deaf.end();
    assert!(deaf.stdout.is_empty() && deaf.stderr.contains("no publisher was heard"), "{}", deaf.stderr);
}

#[test]
fn to_one_subscriber_only() {
    let Some(net) = Net::new("unicast") else { return };
    let v4 = format!("udp://{}:4000?interface=eth0", S1.v4());
    let v6 = format!("udp://[{}]:4000?interface=eth0", S1.v6());
    net.on_arrival(S1, "numgen random mod 100 < 5 drop");
    Case::default().at(&v4, &v4).to(&[S1]).run(&net).is_complete();
    Case::default().at(&v6, &v6).to(&[S1]).run(&net).is_complete();
}

#[test]
fn two_groups_on_one_port_do_not_mix() {
    let Some(net) = Net::new("groups") else { return };
    net.on_arrival(S1, "numgen random mod 100 < 5 drop");
    let other = "udp://239.192.1.2:4000?interface=eth0";
    // Both groups are joined on the same host.
    let one = Case::default().to(&[S1, S2]);
    let two = Case::default().at(other, other).to(&[S1, S2]).messages(900, 700);
    let (mut one, mut two, input) = (one.start(&net), two.start(&net), (one.input(), two.input()));
    one.publisher.feed(&input.0);
    two.publisher.feed(&input.1);
    one.end().is_complete();
    two.end().is_complete();
}

#[test]
fn two_streams_on_one_group_do_not_mix() {
    let Some(net) = Net::new("streams") else { return };
    let other = format!("{V4}&stream=2");
    let (one, two) = (Case::default(), Case::default().at(&other, &other).messages(900, 700));
    let (mut one, mut two, input) = (one.start(&net), two.start(&net), (one.input(), two.input()));
    one.publisher.feed(&input.0);
    two.publisher.feed(&input.1);
    one.end().is_complete();
    two.end().is_complete();
}
