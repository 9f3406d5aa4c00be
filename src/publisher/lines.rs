//! Opening the lines of a publisher: a socket each, and where they go.

use core::net::SocketAddr;

use crate::config::PublisherBuilder;
use crate::endpoint::UdpEndpoint;
use crate::error::Error;
use crate::io::Clock;
use crate::io::Interface;
use crate::io::Poller;
use crate::io::PublisherSocket;
use crate::io::SocketOptions;
use crate::io::UdpSocket;
use crate::protocol::LineKind;
use crate::publisher::fan::Fan;
use crate::publisher::fan::Way;
use crate::publisher::outlet::Outlet;

/// Bytes of IP and UDP headers in front of a datagram, by family.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

/// The tokens of the background thread's poll: the first line, connections, the other lines.
const SOCKET: usize = 0;
pub(super) const CONNECTIONS: usize = 1;

/// What lines there are.
pub(super) fn kinds(endpoints: &[UdpEndpoint]) -> Vec<LineKind> {
    let is_alone = is_alone(endpoints);
    let kind = |endpoint: &UdpEndpoint| match endpoint {
        endpoint if endpoint.join => LineKind::Joined,
        endpoint if endpoint.is_multicast() || is_alone => LineKind::Shared,
        _ => LineKind::Apart,
    };
    endpoints.iter().map(kind).collect()
}

/// How many places they go to that are no groups.
pub(super) fn places(endpoints: &[UdpEndpoint]) -> usize {
    let single = endpoints.iter().filter(|endpoint| !endpoint.join && !endpoint.is_multicast());
    single.map(|endpoint| endpoint.addresses().count()).sum()
}

/// Whether everything goes to one address that is no group.
pub(super) fn is_one_subscriber(endpoints: &[UdpEndpoint]) -> bool {
    is_alone(endpoints) && endpoints.iter().all(|endpoint| !endpoint.is_multicast())
}

/// Whether everything goes to one place, and always will.
fn is_alone(endpoints: &[UdpEndpoint]) -> bool {
    matches!(endpoints, [one] if one.others.is_empty() && !one.join)
}

impl PublisherBuilder {
    /// Opens the sockets of all lines; `None` where there are none.
    pub(super) fn outlet(
        &self,
        endpoints: &[UdpEndpoint],
        poller: &mut Poller,
        clock: Clock,
    ) -> Result<Option<Outlet>, Error> {
        let (mut sockets, mut ways) = (Vec::new(), Vec::new());
        for (number, endpoint) in (0..).zip(endpoints) {
            let interface = interface(endpoint)?;
            self.check_datagram(&interface)?;
            let scoped = |address: SocketAddr| interface.scoped(address.ip(), address.port());
            let (mut socket, to) = (self.socket(endpoint, &interface)?, scoped(endpoint.address));
            let token = if number == 0 { SOCKET } else { CONNECTIONS + usize::from(number) };
            poller.add(&mut socket, token).map_err(Error::system("polling the socket"))?;
            sockets.push((socket, to));
            if !endpoint.join {
                ways.extend(endpoint.addresses().map(|address| Way { line: number, to: scoped(address) }));
            }
        }
        let mut sockets = sockets.into_iter();
        let Some((first, to)) = sockets.next() else { return Ok(None) };
        let beyond = sockets.map(|(socket, _)| socket).collect();
        let fan = (!is_alone(endpoints)).then(|| Box::new(Fan::new(&kinds(endpoints), beyond, ways, clock)));
        Ok(Some(Outlet::new(Some(first), to, fan)))
    }

    /// The socket of one line.
    fn socket(&self, endpoint: &UdpEndpoint, interface: &Interface) -> Result<UdpSocket, Error> {
        let socket = UdpSocket::publisher(&PublisherSocket {
            destination: interface.scoped(endpoint.address.ip(), endpoint.address.port()),
            port: if endpoint.join { endpoint.address.port() } else { 0 },
            interface: interface.clone(),
            ttl: endpoint.ttl,
            multicast_loop: true,
            send_buffer: self.send_buffer,
            options: SocketOptions {
                receive_buffer: self.receive_buffer,
                busy_poll: self.tuning.busy_poll,
                segmentation: self.tuning.segmentation,
            },
        })?;
        Ok(socket)
    }

    fn check_datagram(&self, interface: &Interface) -> Result<(), Error> {
        let headers = if interface.address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        let most = interface.mtu.saturating_sub(headers);
        if self.fragment || self.batch() <= most {
            return Ok(());
        }
        let wanted = format!(
            "interface {} carries {most} bytes at most; choose no more, or allow the network to cut datagrams with `fragment(true)`",
            interface.name
        );
        Err(Error::Setting { setting: "datagram", value: self.batch() as u64, wanted })
    }
}

/// The interface of a line. Where subscribers join, the address is this machine's own, and says which.
fn interface(endpoint: &UdpEndpoint) -> Result<Interface, Error> {
    let address = endpoint.address.ip();
    if !endpoint.join {
        return Ok(Interface::find(endpoint.interface.as_deref(), address)?);
    }
    let own = address.to_string();
    let found = Interface::find(Some(endpoint.interface.as_deref().unwrap_or(&own)), address)?;
    Ok(Interface { address, ..found })
}
