//! Sockets that only this command needs: one that hears a group, one that sends what stays on this machine.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;
use std::net::UdpSocket;
use std::time::Duration;

use socket2::Domain;
use socket2::InterfaceIndexOrAddress;
use socket2::Protocol;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use crate::doctor::place::Place;

/// How long a read sleeps before it is looked whether it is enough.
const NAP: Duration = Duration::from_millis(50);

fn udp(of: IpAddr) -> io::Result<Socket> {
    let domain = if of.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
}

/// `group`, reached by the interface of `place`.
fn scoped(group: SocketAddr, place: &Place) -> SocketAddr {
    match group {
        SocketAddr::V6(group) => SocketAddr::V6(SocketAddrV6::new(*group.ip(), group.port(), 0, place.index)),
        SocketAddr::V4(_) => group,
    }
}

/// A socket that hears what is sent to `group`, from `source` only if there is one, and sends nothing.
pub(crate) fn listening(group: SocketAddr, source: Option<IpAddr>, place: &Place) -> io::Result<UdpSocket> {
    let socket = udp(group.ip())?;
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    if group.is_ipv4() {
        socket.set_multicast_all_v4(false)?;
    }
    socket.bind(&SockAddr::from(scoped(group, place)))?;
    match (group.ip(), source, place.address) {
        (IpAddr::V4(group), Some(IpAddr::V4(source)), IpAddr::V4(own)) => {
            socket.join_ssm_v4(&source, &group, &own)?;
        }
        (IpAddr::V4(group), ..) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(place.index))?;
        }
        (IpAddr::V6(group), ..) => socket.join_multicast_v6(&group, place.index)?,
    }
    socket.set_read_timeout(Some(NAP))?;
    Ok(socket.into())
}

/// A socket at an address of this machine, which hears what is sent there and sends nothing.
pub(crate) fn waiting(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(NAP))?;
    Ok(socket)
}

/// Sends `bytes` to `group` by `place`, with a TTL of 0: they are heard on this machine and nowhere else.
pub(crate) fn send_within(group: SocketAddr, place: &Place, bytes: &[u8]) -> io::Result<()> {
    let socket = udp(group.ip())?;
    match place.address {
        IpAddr::V4(own) => {
            socket.set_multicast_if_v4(&own)?;
            socket.set_multicast_ttl_v4(0)?;
            socket.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_if_v6(place.index)?;
            socket.set_multicast_hops_v6(0)?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    socket.bind(&SockAddr::from(SocketAddr::new(place.address, 0)))?;
    socket.send_to(bytes, &SockAddr::from(scoped(group, place))).map(drop)
}

/// Whether a read only found nothing in time.
pub(crate) fn is_quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
