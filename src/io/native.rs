//! The sockets and timer of Linux, over [`sys`]; `portable.rs` is the same surface for other systems.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use super::interface::Interface;
use super::interface::Link;
use super::parts::Part;
use super::pool::ReceiveSlots;
use super::sys;
use crate::time::Time;

/// What a backend keeps for each socket: nothing here.
#[derive(Debug)]
pub(super) struct Kernel;

impl Kernel {
    /// Whether a socket can tell how many datagrams its full buffer dropped.
    #[cfg(test)]
    pub(super) const COUNTS_DROPS: bool = true;

    /// Whether a datagram above the MTU leaves in fragments.
    #[cfg(test)]
    pub(super) const ALLOWS_FRAGMENTS: bool = true;

    /// Whether a read that leaves a buffer empty has emptied the socket.
    pub(super) const READS_ALL: bool = true;

    /// Prepares a bound socket.
    pub(super) fn new(_socket: &Socket) -> io::Result<Self> {
        Ok(Self)
    }

    /// Whether the kernel cuts trains (GSO), which it does from 4.18 on.
    pub(super) fn segments(&self, socket: &UdpSocket) -> bool {
        sys::set_integer(socket.as_fd(), (libc::SOL_UDP, libc::UDP_SEGMENT), 0).is_ok()
    }

    /// Whether trains may arrive: as was asked and answered.
    pub(super) const fn coalesces(&self, granted: bool) -> bool {
        granted
    }

    /// Sends the parts, at most 64, and says how many of them were taken; an error is the first part's.
    /// Without an address, to where the socket is connected.
    pub(super) fn send_many(
        &self,
        socket: &UdpSocket,
        to: Option<SocketAddr>,
        parts: &[Part<'_>],
    ) -> io::Result<usize> {
        sys::send_many(socket.as_fd(), to, parts)
    }

    /// Fills buffers with what has arrived, and says how many; `waits` for one, once reads may sleep.
    pub(super) fn recv_many(
        &self,
        socket: &UdpSocket,
        slots: &mut ReceiveSlots,
        waits: bool,
    ) -> io::Result<usize> {
        sys::recv_many(socket.as_fd(), slots, waits)
    }

    /// Lets a read that waits sleep, for so long; whether it can. All other reads still return at once.
    pub(super) fn let_reads_sleep(&self, socket: &UdpSocket, at_most: Duration) -> io::Result<bool> {
        let socket = SockRef::from(socket);
        socket.set_read_timeout(Some(at_most))?;
        socket.set_nonblocking(false)?;
        Ok(true)
    }

    /// How many datagrams the full receive buffer has dropped, modulo 2³²; `None` where the system cannot say.
    pub(super) fn drops(&self, socket: &UdpSocket) -> Option<u32> {
        sys::kernel_drops(socket.as_fd()).ok()
    }

    /// Empties the socket's queue of error reports.
    pub(super) fn drain_errors(&self, socket: &UdpSocket) {
        sys::drain_errors(socket.as_fd());
    }
}

/// Whether an error of a send means that the system or the network card cannot cut trains (GSO).
pub(super) fn refuses_trains(error: &io::Error) -> bool {
    // EMSGSIZE: a datagram above the MTU can leave in fragments, but not out of a train.
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE))
}

/// Whether an error is what an ICMP message said about some earlier datagram, and so says nothing of this call.
pub(super) fn is_hearsay(error: &io::Error) -> bool {
    const FROM_ICMP: [i32; 9] = [
        libc::ECONNREFUSED,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::EMSGSIZE,
        libc::ENETUNREACH,
        libc::ENONET,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
        libc::EPROTO,
    ];
    error.raw_os_error().is_some_and(|errno| FROM_ICMP.contains(&errno))
}

/// Whether an error means that the interface is down or gone.
pub(super) fn is_interface_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::ENETDOWN))
}

/// Whether a join failed because the socket or the machine has joined as much as it may.
pub(super) fn is_out_of_memberships(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Asks for trains of equal datagrams in one buffer (GRO); whether the kernel does so, which it does from 5.0 on.
pub(super) fn set_gro(socket: &Socket) -> io::Result<bool> {
    is_supported(sys::set_integer(socket.as_fd(), (libc::SOL_UDP, libc::UDP_GRO), 1))
}

/// Asks for the drop count with each datagram that is queued after a drop.
pub(super) fn set_receive_overflow(socket: &Socket) -> io::Result<()> {
    is_supported(sys::set_integer(socket.as_fd(), (libc::SOL_SOCKET, libc::SO_RXQ_OVFL), 1)).map(|_| ())
}

/// Has the kernel poll the network card itself for so many microseconds when the socket is found empty.
pub(super) fn set_busy_poll(socket: &Socket, micros: u32) -> io::Result<()> {
    socket.set_busy_poll(micros)
}

/// Sends without DF, and believes the interface's MTU rather than what an ICMP message claims.
pub(super) fn allow_fragments(socket: &Socket, family_of: IpAddr) -> io::Result<()> {
    let v4 = (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
    let option = sys::by_family(family_of, v4, (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER));
    let value = sys::by_family(family_of, libc::IP_PMTUDISC_OMIT, libc::IPV6_PMTUDISC_OMIT);
    sys::set_integer(socket.as_fd(), option, value)
}

/// Refuses datagrams of groups that only other sockets have joined (IPv6: Linux 4.20).
pub(super) fn set_multicast_all_off(socket: &Socket, family_of: IpAddr) -> io::Result<()> {
    if family_of.is_ipv4() {
        socket.set_multicast_all_v4(false)
    } else {
        is_supported(socket.set_multicast_all_v6(false)).map(|_| ())
    }
}

/// Asks to be told of datagrams that could not leave or arrive.
pub(super) fn set_receive_errors(socket: &Socket, family_of: IpAddr) -> io::Result<()> {
    let v4 = (libc::IPPROTO_IP, libc::IP_RECVERR);
    let option = sys::by_family(family_of, v4, (libc::IPPROTO_IPV6, libc::IPV6_RECVERR));
    sys::set_integer(socket.as_fd(), option, 1)
}

/// Joins `group` on an interface for what `source` alone sends to it.
pub(super) fn join_source(
    socket: &Socket,
    group: IpAddr,
    source: IpAddr,
    interface: &Interface,
) -> io::Result<()> {
    sys::join_source(socket.as_fd(), group, source, interface.index)
}

/// Undoes [`join_source`].
pub(super) fn leave_source(
    socket: &Socket,
    group: IpAddr,
    source: IpAddr,
    interface: &Interface,
) -> io::Result<()> {
    sys::leave_source(socket.as_fd(), group, source, interface.index)
}

/// Whether the kernel knows an option without which the library works as well; any other failure stays one.
fn is_supported(set: io::Result<()>) -> io::Result<bool> {
    match set {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets the calling thread run on processor number `core` only.
pub(super) fn run_on(core: usize) -> io::Result<()> {
    sys::run_on(core)
}

/// The state of a network interface; `None` when there is none of that name.
pub(super) fn link(name: &str) -> Option<Link> {
    let any = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    let (flags, mtu) = sys::link(any.as_fd(), name).ok()?;
    Some(Link { up: flags & libc::IFF_UP != 0, loopback: flags & libc::IFF_LOOPBACK != 0, mtu })
}

/// The names of all network interfaces of this namespace, also of those without an address.
pub(super) fn link_names() -> Vec<String> {
    // Not /sys/class/net, which shows the namespace that mounted it.
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// Whether a connected socket can send without being told where.
pub(super) const SENDS_CONNECTED: bool = true;

/// Whether [`wait_readable`] is there.
pub(super) const SLEEPS_BY_NAME: bool = true;

/// Sleeps until one of the sockets is readable or has an error to tell, or for so long; tells which are. It may end too
/// early with none.
pub(super) fn wait_readable<S: AsFd, const N: usize>(
    sockets: [&S; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    sys::wait_readable(sockets.map(AsFd::as_fd), timeout)
}

/// The same for any number of descriptors, of which the first 64 have a bit each in what is told.
pub(super) fn wait_any_readable(
    fds: &[std::os::fd::BorrowedFd<'_>],
    timeout: Option<Duration>,
) -> io::Result<u64> {
    sys::wait_any_readable(fds, timeout)
}

/// A deadline that makes a poll readable, exact to microseconds (a poll's own timeout counts milliseconds).
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    /// When the timer will fire or has fired; `None` when it is not set.
    armed: Option<Time>,
}

impl Alarm {
    /// Whether the poll's descriptor becomes readable at the deadline.
    #[cfg(test)]
    pub(super) const MAKES_READABLE: bool = true;

    /// Creates the timer and has `registry` report it as `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = sys::timer()?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, armed: None })
    }

    /// Sets the deadline, and spares the system call (some 0.4 µs) while the time set before serves as well.
    pub(super) fn arm(&mut self, deadline: Option<Time>, now: Time) -> io::Result<()> {
        if self.serves(deadline, now) {
            return Ok(());
        }
        sys::set_timer(self.timer.as_fd(), deadline.map(|at| at.since(now)))?;
        self.armed = deadline;
        Ok(())
    }

    /// The timeout to give to the poll: none, since the timer is one of its sources.
    pub(super) const fn timeout(&self, _now: Time) -> Option<Duration> {
        None
    }

    /// Whether the time set will do for `deadline`: it is neither past nor later, and not so early that the idle
    /// wake-up would cost more than setting it anew. A deadline that moves ahead with each datagram thus costs one
    /// call per half of its length, and an idle wait at most one wake-up too many.
    fn serves(&self, deadline: Option<Time>, now: Time) -> bool {
        match (self.armed, deadline) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(armed), None) => armed > now,
            (Some(armed), Some(at)) => armed > now && armed <= at && armed.since(now) >= at.since(now) / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(at: Option<u64>) -> Alarm {
        Alarm { timer: sys::timer().unwrap(), armed: at.map(Time) }
    }

    #[test]
    fn the_timer_is_written_only_when_the_time_set_does_not_serve() {
        let serves = |armed_at: Option<u64>, deadline: Option<u64>| {
            armed(armed_at).serves(deadline.map(Time), Time(1_000))
        };
        assert!(serves(Some(2_000), Some(2_000)), "unchanged");
        assert!(serves(Some(2_000), Some(2_900)), "moved ahead a little");
        assert!(!serves(Some(2_000), Some(9_000)), "moved ahead a lot");
        assert!(!serves(Some(2_000), Some(1_900)), "sooner");
        assert!(!serves(Some(900), Some(2_000)), "fired");
        assert!(!serves(Some(900), None), "fired, and still readable");
        assert!(serves(Some(2_000), None) && serves(None, None) && !serves(None, Some(2_000)));
    }
}
