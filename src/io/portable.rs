//! The sockets of systems other than Linux, over `quinn-udp` and `socket2`; the same surface as `native.rs`.
//!
//! On Linux, where the feature `portable` chooses this file for testing, it does less: one system call per part,
//! no drop counts, DF stays on, and the poll's own timeout, which counts milliseconds.

use std::io;
use std::io::ErrorKind;
use std::io::IoSliceMut;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use mio::Registry;
use mio::Token;
use mio::net::UdpSocket;
use quinn_udp::RecvMeta;
use quinn_udp::Transmit;
use quinn_udp::UdpSockRef;
use quinn_udp::UdpSocketState;
use socket2::Socket;

use super::interface::Interface;
use super::interface::Link;
use super::parts::Part;
use super::pool::Filled;
use super::pool::ReceiveSlots;
use crate::time::Time;

/// How many buffers one read fills at most.
const MOST_BUFFERS: usize = 16;

/// What `quinn-udp` keeps for each socket.
#[derive(Debug)]
pub(super) struct Kernel(UdpSocketState);

impl Kernel {
    /// Whether a socket can tell how many datagrams its full buffer dropped.
    #[cfg(test)]
    pub(super) const COUNTS_DROPS: bool = false;

    /// Whether a datagram above the MTU leaves in fragments.
    #[cfg(test)]
    pub(super) const ALLOWS_FRAGMENTS: bool = false;

    /// Whether a read that leaves a buffer empty has emptied the socket.
    pub(super) const READS_ALL: bool = cfg!(target_os = "linux");

    /// Prepares a bound socket; this also asks for trains (GRO) where there are any.
    pub(super) fn new(socket: &Socket) -> io::Result<Self> {
        UdpSocketState::new(UdpSockRef::from(socket)).map(Self)
    }

    /// Whether the system cuts trains (GSO).
    pub(super) fn segments(&self, _socket: &UdpSocket) -> bool {
        self.0.max_gso_segments() > 1
    }

    /// Whether trains may arrive: they were asked for wherever there are any.
    pub(super) fn coalesces(&self, _granted: bool) -> bool {
        self.0.gro_segments() > 1
    }

    /// Sends the parts and says how many of them were taken; an error is the first part's.
    pub(super) fn send_many(
        &self,
        socket: &UdpSocket,
        to: Option<SocketAddr>,
        parts: &[Part<'_>],
    ) -> io::Result<usize> {
        let to = to.ok_or(ErrorKind::NotConnected)?;
        for (index, part) in parts.iter().enumerate() {
            let segment_size = part.segment.map(usize::from);
            let transmit =
                Transmit { destination: to, ecn: None, contents: part.bytes, segment_size, src_ip: None };
            match self.0.try_send(UdpSockRef::from(socket), &transmit) {
                Ok(()) => {}
                Err(error) if index == 0 => return Err(error),
                Err(_) => return Ok(index), // met again when that part comes first
            }
        }
        Ok(parts.len())
    }

    /// Fills buffers with what has arrived, and says how many.
    pub(super) fn recv_many(
        &self,
        socket: &UdpSocket,
        slots: &mut ReceiveSlots,
        _waits: bool,
    ) -> io::Result<usize> {
        let mut meta = [RecvMeta::default(); MOST_BUFFERS];
        let mut buffers = slots.buffers();
        let room = buffers.len().min(MOST_BUFFERS);
        let mut slices: [_; MOST_BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let count = self.0.recv(UdpSockRef::from(socket), &mut slices[..room], &mut meta[..room])?;
        for (index, meta) in meta[..count].iter().enumerate() {
            let segment = if meta.stride < meta.len { meta.stride } else { 0 };
            slots.fill(index, Filled { length: meta.len, segment, from: meta.addr });
        }
        Ok(count)
    }

    /// Reads never sleep here.
    pub(super) fn let_reads_sleep(&self, _socket: &UdpSocket, _at_most: Duration) -> io::Result<bool> {
        Ok(false)
    }

    /// How many datagrams the full receive buffer has dropped; nobody says.
    pub(super) fn drops(&self, _socket: &UdpSocket) -> Option<u32> {
        None
    }

    /// Empties the socket's queue of error reports, which was not asked for.
    pub(super) fn drain_errors(&self, _socket: &UdpSocket) {}
}

/// Whether an error of a send means that trains cannot be cut (GSO).
pub(super) fn refuses_trains(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == ErrorKind::InvalidInput
        || error.raw_os_error() == Some(EIO)
        || quinn_udp::is_msg_size_err(error)
}

/// Whether an error is what an ICMP message said about some earlier datagram, and so says nothing of this call.
pub(super) fn is_hearsay(error: &io::Error) -> bool {
    use ErrorKind::ConnectionRefused;
    use ErrorKind::ConnectionReset;
    use ErrorKind::HostUnreachable;
    use ErrorKind::NetworkUnreachable;
    // Windows reports a refused datagram as a reset connection.
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

/// Whether an error means that the interface is down or gone.
pub(super) fn is_interface_down(error: &io::Error) -> bool {
    // ENXIO and ENODEV have these numbers on every Unix, and no kind.
    error.kind() == ErrorKind::NetworkDown || cfg!(unix) && matches!(error.raw_os_error(), Some(6 | 19))
}

/// Whether a join failed because the socket or the machine has joined as much as it may: not told apart.
pub(super) fn is_out_of_memberships(_error: &io::Error) -> bool {
    false
}

/// Done by [`Kernel::new`].
pub(super) fn set_gro(_socket: &Socket) -> io::Result<bool> {
    Ok(true)
}

/// Not offered.
pub(super) fn set_busy_poll(_socket: &Socket, _micros: u32) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Not offered.
pub(super) fn run_on(_core: usize) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Not offered.
pub(super) fn set_receive_overflow(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Not offered: what is above the MTU is counted as an error.
pub(super) fn allow_fragments(_socket: &Socket, _family_of: IpAddr) -> io::Result<()> {
    Ok(())
}

/// Not offered: a socket bound to a group gets nothing of another.
pub(super) fn set_multicast_all_off(_socket: &Socket, _family_of: IpAddr) -> io::Result<()> {
    Ok(())
}

/// Not offered.
pub(super) fn set_receive_errors(_socket: &Socket, _family_of: IpAddr) -> io::Result<()> {
    Ok(())
}

/// Joins `group` on an interface for what `source` alone sends to it; IPv4 only.
pub(super) fn join_source(
    socket: &Socket,
    group: IpAddr,
    source: IpAddr,
    interface: &Interface,
) -> io::Result<()> {
    match (group, source, interface.address) {
        (IpAddr::V4(group), IpAddr::V4(source), IpAddr::V4(on)) => socket.join_ssm_v4(&source, &group, &on),
        _ => Err(ErrorKind::Unsupported.into()),
    }
}

/// Undoes [`join_source`].
pub(super) fn leave_source(
    socket: &Socket,
    group: IpAddr,
    source: IpAddr,
    interface: &Interface,
) -> io::Result<()> {
    match (group, source, interface.address) {
        (IpAddr::V4(group), IpAddr::V4(source), IpAddr::V4(on)) => socket.leave_ssm_v4(&source, &group, &on),
        _ => Err(ErrorKind::Unsupported.into()),
    }
}

/// The state of a network interface: not told here.
pub(super) fn link(_name: &str) -> Option<Link> {
    None
}

/// The names of network interfaces without an address: not told here.
pub(super) fn link_names() -> Vec<String> {
    Vec::new()
}

/// Whether a connected socket can send without being told where.
pub(super) const SENDS_CONNECTED: bool = false;

/// Whether [`wait_readable`] is there; otherwise sockets are in a poll from the start.
pub(super) const SLEEPS_BY_NAME: bool = false;

/// Not here.
pub(super) fn wait_readable<S, const N: usize>(
    _sockets: [&S; N],
    _timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    Err(ErrorKind::Unsupported.into())
}

/// Not here.
#[cfg(unix)]
pub(super) fn wait_any_readable(
    _fds: &[std::os::fd::BorrowedFd<'_>],
    _timeout: Option<Duration>,
) -> io::Result<u64> {
    Err(ErrorKind::Unsupported.into())
}

/// A deadline that a poll's own timeout keeps, rounded up to a millisecond.
#[derive(Debug)]
pub(super) struct Alarm {
    deadline: Option<Time>,
}

impl Alarm {
    /// Whether the poll's descriptor becomes readable at the deadline.
    #[cfg(test)]
    pub(super) const MAKES_READABLE: bool = false;

    /// Nothing needs to be registered.
    pub(super) fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
        Ok(Self { deadline: None })
    }

    /// Sets the deadline.
    pub(super) fn arm(&mut self, deadline: Option<Time>, _now: Time) -> io::Result<()> {
        self.deadline = deadline;
        Ok(())
    }

    /// The timeout to give to the poll.
    pub(super) fn timeout(&self, now: Time) -> Option<Duration> {
        self.deadline.map(|at| at.since(now))
    }
}
