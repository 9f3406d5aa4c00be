//! The mesh of `examples/mesh.rs`, on the loopback interface: everybody gets every message of everybody else, once.

#[path = "../examples/mesh.rs"]
#[expect(dead_code, reason = "the example's own `main` and what only it needs")]
mod mesh;

use std::thread;

use mesh::Node;
use mesh::run_all;
use nakcast::Endpoint;
use nakcast::TcpEndpoint;

fn node(group: &str, peers: Vec<Endpoint>) -> Node {
    let listen = TcpEndpoint::new("127.0.0.1", 0);
    Node { name: "node".to_owned(), nodes: 4, messages: 1_000, listen, group: group.to_owned(), peers }
}

#[test]
fn four_nodes_find_one_another_and_each_gets_all_of_the_others() {
    let got = run_all(&node("udp://239.192.44.1:44001?interface=lo", Vec::new())).unwrap();
    assert_eq!(got, [3_000; 4]);
}

#[test]
fn four_nodes_given_by_hand_do_without_multicast() {
    // Below the range from which systems take ports for connections.
    let first = 10_000 + (std::process::id() % 5_000) as u16 * 4;
    let ports: Vec<_> = (first..first + 4).collect();
    let at = |port: &u16| TcpEndpoint::new("127.0.0.1", *port);
    let nodes = ports.iter().map(|own| {
        let peers = ports.iter().filter(|port| *port != own).map(|port| Endpoint::Tcp(at(port))).collect();
        Node { name: format!("node {own}"), listen: at(own), ..node("", peers) }
    });
    let threads: Vec<_> = nodes.map(|node| thread::spawn(move || node.run().unwrap())).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 3_000);
    }
}
