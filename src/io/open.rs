//! Opens the four kinds of UDP socket, each with the options that its work needs.
//!
//! | socket | bound to | also |
//! | --- | --- | --- |
//! | publisher | the interface's address, a free port | outgoing interface, TTL, loop; errors reported; for a group, a second one at the same address that is connected to it |
//! | multicast data | group:port, shared | joined; only that group |
//! | unicast data | address:port, alone | |
//! | control | the interface's address, a free port | errors reported |
//!
//! All are non-blocking, take trains (GRO) and drop counts, and send without DF.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use super::backend;
use super::interface::Interface;
use super::membership::Membership;
use super::udp::UdpSocket;

/// What a socket asks of the kernel, whatever its work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOptions {
    /// `SO_RCVBUF` to ask for, in bytes.
    pub(crate) receive_buffer: usize,
    /// How long the kernel polls the network card itself (`SO_BUSY_POLL`); zero leaves it to the system.
    pub(crate) busy_poll: Duration,
    /// Whether datagrams may leave and come in trains (GSO, GRO).
    pub(crate) segmentation: bool,
}

/// What the socket of a publisher needs to know.
#[derive(Debug, Clone)]
pub(crate) struct PublisherSocket {
    /// The group, or the one subscriber, that it sends to.
    pub(crate) destination: SocketAddr,
    /// The port that it is bound to; 0 for any that is free.
    pub(crate) port: u16,
    /// Where datagrams leave, and whose address they bear.
    pub(crate) interface: Interface,
    /// How many routers a multicast datagram may pass, plus one.
    pub(crate) ttl: u8,
    /// Whether subscribers on this machine hear a multicast publisher.
    pub(crate) multicast_loop: bool,
    /// `SO_SNDBUF` to ask for, in bytes.
    pub(crate) send_buffer: usize,
    /// The receive buffer holds NAK and STATUS.
    pub(crate) options: SocketOptions,
}

/// What the data socket of a multicast subscriber needs to know.
#[derive(Debug, Clone)]
pub(crate) struct SubscriberSocket {
    /// The group and the port.
    pub(crate) group: SocketAddr,
    /// The only sender to hear (SSM); any when `None`.
    pub(crate) source: Option<IpAddr>,
    /// Where the group is joined.
    pub(crate) interface: Interface,
    pub(crate) options: SocketOptions,
}

/// Why a socket did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The port is taken.
    #[error("another process holds udp port {} on {}: stop it or choose another port", .address.port(), .address.ip())]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address is not one of this machine.
    #[error("this machine has no address {}: use one that `ip address` lists", .address.ip())]
    AddressNotAvailable {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system forbids it.
    #[error("not permitted to use udp port {} on {}: ports below 1024 need CAP_NET_BIND_SERVICE", .address.port(), .address.ip())]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be bound for another reason.
    #[error("cannot bind udp {address}: {error}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The interface went away or is switched off.
    #[error("network interface {interface} is down or gone: `ip link set {interface} up`")]
    InterfaceDown {
        /// The interface.
        interface: String,
    },
    /// A group was asked for by an address that is none.
    #[error(
        "{address} is not a multicast address: use one in 224.0.0.0/4 or ff00::/8, or subscribe by unicast"
    )]
    NotMulticast {
        /// The address.
        address: IpAddr,
    },
    /// IPv4 and IPv6 mixed.
    #[error("{address} cannot be reached from {of}, the address of {interface}: use IPv4 for both, or IPv6")]
    WrongFamily {
        /// The address asked for.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// Its address.
        of: IpAddr,
    },
    /// The group was not joined.
    #[error("cannot join group {group} on {interface}: {error}{}", join_hint(.error))]
    Join {
        /// The group.
        group: IpAddr,
        /// The interface.
        interface: String,
        /// What the system said.
        error: io::Error,
    },
    /// The kernel does not poll for this process.
    #[error("busy_poll of {micros} µs (SO_BUSY_POLL) is refused: {error}{}", busy_poll_hint(.error, *.micros))]
    BusyPoll {
        /// Microseconds asked for.
        micros: u32,
        /// What the system said.
        error: io::Error,
    },
    /// The system has no socket left, or refuses one of its options.
    #[error("cannot set up a udp socket ({what}): {error}")]
    Setup {
        /// The call or option.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl UdpSocket {
    /// Opens the socket from which a publisher sends, and on which NAK and STATUS reach it.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says what is in the way and what to do about it.
    pub(crate) fn publisher(settings: &PublisherSocket) -> Result<Self, SocketError> {
        let PublisherSocket { destination, interface, .. } = settings;
        check_family(destination.ip(), interface)?;
        let opening = Opening::new(interface.scoped(interface.address, settings.port), &settings.options)?;
        set("SO_SNDBUF", opening.socket.set_send_buffer_size(settings.send_buffer))?;
        set("IP_RECVERR", backend::set_receive_errors(&opening.socket, destination.ip()))?;
        if destination.ip().is_multicast() {
            opening.send_to_groups(settings)?;
        }
        let mut socket = opening.bind(interface)?;
        if backend::SENDS_CONNECTED && destination.ip().is_multicast() {
            match Self::lane(&socket, settings) {
                Ok(lane) => socket.set_lane(lane, *destination),
                Err(error) => tracing::debug!(%error, "sending to the group without a socket of its own"),
            }
        }
        Ok(socket)
    }

    /// A second socket at the address of `socket`, connected to the group, so that no datagram needs an address:
    /// 6 to 9 % of the rate where they leave one by one (measured over veth). What comes back still comes to `socket`, since it does not come from the group.
    fn lane(socket: &Self, settings: &PublisherSocket) -> Result<Self, SocketError> {
        let PublisherSocket { destination, interface, .. } = settings;
        let options = SocketOptions { receive_buffer: 0, busy_poll: Duration::ZERO, ..settings.options };
        let opening = Opening::new(socket.local_addr(), &options)?;
        set("SO_SNDBUF", opening.socket.set_send_buffer_size(settings.send_buffer))?;
        set("IP_RECVERR", backend::set_receive_errors(&opening.socket, destination.ip()))?;
        opening.send_to_groups(settings)?;
        // Two sockets share an address if both agree; only until both are bound, so that nobody else joins them.
        set("SO_REUSEADDR", socket.set_reuse_address(true))?;
        set("SO_REUSEADDR", opening.socket.set_reuse_address(true))?;
        let lane = opening.bind(interface);
        set("SO_REUSEADDR", socket.set_reuse_address(false))?;
        let lane = lane?;
        set("SO_REUSEADDR", lane.set_reuse_address(false))?;
        set("connect", lane.connect(*destination))?;
        Ok(lane)
    }

    /// Opens the socket on which a subscriber hears a group; several may, also of other users.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says what is in the way and what to do about it.
    pub(crate) fn multicast_data(settings: &SubscriberSocket) -> Result<Self, SocketError> {
        let SubscriberSocket { group, source, interface, .. } = settings;
        check_group(group.ip(), interface)?;
        let local = if cfg!(windows) { unspecified(group.ip()) } else { group.ip() };
        let opening = Opening::new(interface.scoped(local, group.port()), &settings.options)?;
        // SO_REUSEADDR alone: SO_REUSEPORT would refuse sockets of other users.
        set("SO_REUSEADDR", opening.socket.set_reuse_address(true))?;
        set("IP_MULTICAST_ALL", backend::set_multicast_all_off(&opening.socket, group.ip()))?;
        let mut socket = opening.bind(interface)?;
        socket
            .join(Membership { group: group.ip(), source: *source, interface: interface.clone() })
            .map_err(|error| join_error(error, group.ip(), interface))?;
        Ok(socket)
    }

    /// Opens the socket on which a subscriber is sent its own copy; a port that is taken is an error.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says what is in the way and what to do about it.
    pub(crate) fn unicast_data(
        address: SocketAddr,
        interface: &Interface,
        options: &SocketOptions,
    ) -> Result<Self, SocketError> {
        check_family(address.ip(), interface)?;
        Opening::new(interface.scoped(address.ip(), address.port()), options)?.bind(interface)
    }

    /// Opens the socket from which NAK and STATUS leave, and to which unicast replies return.
    ///
    /// # Errors
    ///
    /// [`SocketError`] says what is in the way and what to do about it.
    pub(crate) fn control(interface: &Interface, options: &SocketOptions) -> Result<Self, SocketError> {
        let opening = Opening::new(interface.scoped(interface.address, 0), options)?;
        set("IP_RECVERR", backend::set_receive_errors(&opening.socket, interface.address))?;
        opening.bind(interface)
    }
}

/// A socket that is not bound yet.
struct Opening {
    socket: Socket,
    local: SocketAddr,
    options: SocketOptions,
    /// Whether the kernel hands over trains.
    joined: bool,
}

impl Opening {
    /// Creates the socket with the options that all kinds share. They come before the bind, after which datagrams
    /// may arrive.
    fn new(local: SocketAddr, options: &SocketOptions) -> Result<Self, SocketError> {
        let domain = Domain::for_address(local);
        let socket = set("socket", Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)))?;
        set("non-blocking", socket.set_nonblocking(true))?;
        if local.is_ipv6() {
            set("IPV6_V6ONLY", socket.set_only_v6(true))?;
        }
        set("SO_RCVBUF", socket.set_recv_buffer_size(options.receive_buffer))?;
        set("SO_RXQ_OVFL", backend::set_receive_overflow(&socket))?;
        let joined = options.segmentation && set("UDP_GRO", backend::set_gro(&socket))?;
        set("IP_MTU_DISCOVER", backend::allow_fragments(&socket, local.ip()))?;
        let opening = Self { socket, local, options: *options, joined };
        opening.poll_busily()?;
        Ok(opening)
    }

    fn poll_busily(&self) -> Result<(), SocketError> {
        // A time below a microsecond is no wish to switch it off.
        let micros = u32::try_from(self.options.busy_poll.as_nanos().div_ceil(1_000)).unwrap_or(u32::MAX);
        if micros == 0 {
            return Ok(());
        }
        let set = backend::set_busy_poll(&self.socket, micros);
        set.map_err(|error| SocketError::BusyPoll { micros, error })
    }

    /// Names the interface, reach and loop of multicast datagrams.
    fn send_to_groups(&self, settings: &PublisherSocket) -> Result<(), SocketError> {
        let PublisherSocket { interface, ttl, multicast_loop, .. } = settings;
        let hops = u32::from(*ttl);
        if let IpAddr::V4(address) = interface.address {
            set("IP_MULTICAST_IF", self.socket.set_multicast_if_v4(&address))?;
            set("IP_MULTICAST_TTL", self.socket.set_multicast_ttl_v4(hops))?;
            set("IP_MULTICAST_LOOP", self.socket.set_multicast_loop_v4(*multicast_loop))
        } else {
            set("IPV6_MULTICAST_IF", self.socket.set_multicast_if_v6(interface.index))?;
            set("IPV6_MULTICAST_HOPS", self.socket.set_multicast_hops_v6(hops))?;
            set("IPV6_MULTICAST_LOOP", self.socket.set_multicast_loop_v6(*multicast_loop))
        }
    }

    fn bind(self, interface: &Interface) -> Result<UdpSocket, SocketError> {
        let bound = self.socket.bind(&self.local.into());
        bound.map_err(|error| bind_error(error, self.local, interface))?;
        let SocketOptions { receive_buffer, segmentation, .. } = self.options;
        set("set-up", UdpSocket::new(self.socket, receive_buffer, (segmentation, self.joined)))
    }
}

/// Names the call or option that failed.
fn set<T>(what: &'static str, result: io::Result<T>) -> Result<T, SocketError> {
    result.map_err(|error| SocketError::Setup { what, error })
}

fn check_group(group: IpAddr, interface: &Interface) -> Result<(), SocketError> {
    if !group.is_multicast() {
        return Err(SocketError::NotMulticast { address: group });
    }
    check_family(group, interface)
}

fn check_family(address: IpAddr, interface: &Interface) -> Result<(), SocketError> {
    let Interface { name, address: of, .. } = interface;
    if address.is_ipv4() == of.is_ipv4() {
        return Ok(());
    }
    Err(SocketError::WrongFamily { address, interface: name.clone(), of: *of })
}

fn unspecified(family_of: IpAddr) -> IpAddr {
    if family_of.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn bind_error(error: io::Error, address: SocketAddr, interface: &Interface) -> SocketError {
    match error.kind() {
        ErrorKind::AddrInUse => SocketError::AddressInUse { address },
        ErrorKind::AddrNotAvailable => SocketError::AddressNotAvailable { address },
        ErrorKind::PermissionDenied => SocketError::NotPermitted { address },
        _ if backend::is_interface_down(&error) => {
            SocketError::InterfaceDown { interface: interface.name.clone() }
        }
        _ => SocketError::Bind { address, error },
    }
}

fn join_error(error: io::Error, group: IpAddr, interface: &Interface) -> SocketError {
    let interface = interface.name.clone();
    if backend::is_interface_down(&error) {
        return SocketError::InterfaceDown { interface };
    }
    SocketError::Join { group, interface, error }
}

/// What to do about a refused busy poll.
fn busy_poll_hint(error: &io::Error, micros: u32) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            ": raise `sysctl net.core.busy_read` to {micros}, or give the process CAP_NET_ADMIN, or leave it out"
        ),
        _ => ": only Linux with CONFIG_NET_RX_BUSY_POLL offers it; leave it out".to_owned(),
    }
}

/// What to do about a failed join, where there is something to do.
fn join_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NetworkUnreachable => ": add a route for the group on this interface",
        ErrorKind::Unsupported => ": this system cannot join a group for one source",
        _ if backend::is_out_of_memberships(error) => {
            ": raise `sysctl net.ipv4.igmp_max_memberships`, or `igmp_max_msf` for sources"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which kernels refuse, and to whom, differs.
    #[test]
    fn a_refused_busy_poll_names_the_option_and_the_remedy() {
        let told = |kind: ErrorKind| SocketError::BusyPoll { micros: 50, error: kind.into() }.to_string();
        let privilege = told(ErrorKind::PermissionDenied);
        assert!(privilege.starts_with("busy_poll of 50 µs (SO_BUSY_POLL) is refused: "), "{privilege}");
        assert!(privilege.contains("`sysctl net.core.busy_read` to 50, or give the process CAP_NET_ADMIN"));
        assert!(told(ErrorKind::Unsupported).contains("only Linux"));
    }
}
