//! Whether what is sent to a group is heard on the same machine.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use crate::clock::Clock;
use crate::doctor::finding::Finding;
use crate::doctor::place::Place;
use crate::doctor::sockets;

/// The group that is tried when no URI names one.
pub(crate) const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 192, 255, 254));
const NAME: &str = "loopback";
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends one datagram to the group, on a port that nobody else has and with a TTL of 0, and listens for it.
pub(crate) fn arrives(place: &Place, group: IpAddr) -> Finding {
    let name = &place.name;
    match attempt(place, group) {
        Ok(true) => {
            Finding::fine(NAME, format!("what is sent to {group} on {name} is heard on this machine"))
        }
        Ok(false) => {
            let what = format!("what is sent to {group} on {name} is not heard on this machine");
            let remedy = "let the firewall pass multicast and IGMP; other machines may hear it all the same";
            Finding::error(NAME, what, remedy)
                .command(format!("nft list ruleset   # look for rules that drop {group}"))
        }
        Err(error) => unusable(place, group, &error),
    }
}

fn unusable(place: &Place, group: IpAddr, error: &io::Error) -> Finding {
    let name = &place.name;
    let what = format!("{group} cannot be used on {name}: {error}");
    if error.kind() != ErrorKind::NetworkUnreachable {
        let finding = Finding::error(NAME, what, "see that the interface is up and carries multicast");
        return finding.command(format!("ip -details link show dev {name}"));
    }
    let finding = Finding::error(NAME, what, "add a route for multicast on this interface");
    finding.command(match group {
        IpAddr::V4(_) => format!("ip route add 224.0.0.0/4 dev {name}"),
        // Each interface has one, but for the loopback.
        IpAddr::V6(_) => format!("ip -6 route add multicast ff00::/8 dev {name} table local"),
    })
}

fn attempt(place: &Place, group: IpAddr) -> io::Result<bool> {
    // A port that is free on an address of this machine is most likely used by no group either; the nonce settles it.
    let port = UdpSocket::bind(SocketAddr::new(place.address, 0))?.local_addr()?.port();
    let nonce = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let probe = [b"nakcast doctor ".as_slice(), &nonce.to_le_bytes()].concat();
    let group = SocketAddr::new(group, port);
    let socket = sockets::listening(group, None, place)?;
    sockets::send_within(group, place, &probe)?;
    let (clock, mut bytes) = (Clock::start(), [0; 64]);
    while clock.now() < PATIENCE {
        match socket.recv(&mut bytes) {
            Ok(length) if bytes.get(..length) == Some(&probe) => return Ok(true),
            Ok(_) => {}
            Err(error) if sockets::is_quiet(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
