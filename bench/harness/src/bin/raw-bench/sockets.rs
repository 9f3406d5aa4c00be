//! The sockets, on the named interface only.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::UdpSocket;
use std::time::Duration;

use harness::Options;
use harness::system;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// Bytes that a receiver asks of the kernel.
const RECEIVE_BUFFER: i32 = 32 << 20;

/// Bytes that a sender asks of the kernel.
const SEND_BUFFER: usize = 1 << 20;

/// The longest wait of one call.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Sends to the group.
pub(crate) fn sender(options: &Options) -> io::Result<UdpSocket> {
    let socket = udp()?;
    socket.bind(&address(options.local, 0).into())?;
    socket.set_multicast_if_v4(&options.local)?;
    socket.set_multicast_loop_v4(options.interface == "lo")?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.connect(&address(options.group, options.port).into())?;
    Ok(socket.into())
}

/// Receives what is sent to the group.
pub(crate) fn receiver(options: &Options) -> io::Result<UdpSocket> {
    let socket = udp()?;
    socket.set_reuse_address(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.bind(&address(options.group, options.port).into())?;
    socket.join_multicast_v4(&options.group, &options.local)?;
    socket.set_read_timeout(Some(LONGEST_WAIT))?;
    let socket = socket.into();
    system::set_receive_buffer(&socket, RECEIVE_BUFFER)?;
    Ok(socket)
}

/// Where a sender hears how far its receivers are.
pub(crate) fn status_receiver(options: &Options) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address(options.local, options.port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Tells the sender how far this receiver is.
pub(crate) fn status_sender(options: &Options) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address(options.local, 0))?;
    socket.connect(address(options.remote, options.port))?;
    Ok(socket)
}

fn udp() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
}

fn address(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddrV4::new(ip, port).into()
}
