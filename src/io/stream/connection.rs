//! One socket of a connection.

use std::io;
use std::io::ErrorKind;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;
use socket2::TcpKeepalive;

use crate::time::Time;

/// A publisher that is gone without a word is found out by silence, long before; this keeps routers on the way from
/// forgetting the connection while the subscriber does not call.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TRIES: u32 = 3;

/// A connection that was made.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) heard_at: Time,
    /// The greeting has not been sent yet.
    pub(super) is_mute: bool,
    /// Something came that was a message, and no refusal.
    pub(super) is_proved: bool,
    /// The publisher has said that it ends.
    pub(super) has_ended: bool,
    /// It may hold bytes to be read.
    pub(super) may_hold: bool,
    /// Whether the last look found nothing.
    pub(super) is_empty: bool,
    /// The poll tells of room for writing, too.
    pub(super) watches_room: bool,
}

/// Reports leave at once, and the kernel grants the buffer that was asked for.
pub(super) fn set_options(socket: &TcpStream, receive_buffer: Option<usize>) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    receive_buffer.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))
}

/// Whether the host has answered.
pub(super) fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    let peer = match socket.peer_addr() {
        Ok(peer) => peer,
        Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
        Err(error) => return Err(error),
    };
    if socket.local_addr()? == peer {
        // On one machine, a socket whose own port was chosen to be the one it asks for meets itself.
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(true)
}

pub(super) fn receive_buffer(socket: &TcpStream) -> usize {
    SockRef::from(socket).recv_buffer_size().unwrap_or(0)
}
