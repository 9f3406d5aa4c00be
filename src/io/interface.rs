//! Which network interface an endpoint uses, and by which address.
//!
//! It is always named to the system, by index *and* by address: with the index alone, datagrams leave with the
//! source 0.0.0.0 and no NAK can come back; with neither, the route decides, and a missing route is an error.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;

use super::backend;

/// The MTU where the system does not tell it: Ethernet's.
const USUAL_MTU: usize = 1_500;

/// A network interface and one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name, such as `eth0`.
    pub(crate) name: String,
    /// Its number in the system; 0 where there is none.
    pub(crate) index: u32,
    /// Its address of the family asked for.
    pub(crate) address: IpAddr,
    /// The largest IP packet it carries whole, in bytes; 1,500 where the system does not tell.
    pub(crate) mtu: usize,
    /// Whether it leads back to this machine.
    pub(crate) loopback: bool,
}

/// What the system says of an interface apart from its addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Whether it is switched on.
    pub(super) up: bool,
    /// Whether it leads back to this machine.
    pub(super) loopback: bool,
    /// The largest IP packet it carries whole.
    pub(super) mtu: usize,
}

/// Why there is no interface to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// No interface has this name.
    #[error("there is no network interface {name}; there are: {}", .exist.join(", "))]
    UnknownName {
        /// The name asked for.
        name: String,
        /// The names there are.
        exist: Vec<String>,
    },
    /// No interface has this address.
    #[error("no network interface has the address {address}; there are: {}", .exist.join(", "))]
    UnknownAddress {
        /// The address asked for.
        address: IpAddr,
        /// The interfaces there are, with their addresses.
        exist: Vec<String>,
    },
    /// The interface cannot speak the family.
    #[error("network interface {name} has no {} address: add one, or name another interface", family(*.family_of))]
    NoAddress {
        /// The interface.
        name: String,
        /// An address of the family asked for.
        family_of: IpAddr,
    },
    /// The address asked for is of the wrong family.
    #[error("{address} is no {} address, but {family_of} is: name the interface by an address of that family", family(*.family_of))]
    WrongFamily {
        /// The address asked for.
        address: IpAddr,
        /// The address that sets the family.
        family_of: IpAddr,
    },
    /// The interface is switched off.
    #[error("network interface {name} is down: `ip link set {name} up`")]
    Down {
        /// The interface.
        name: String,
    },
    /// The system cannot say where the route leads.
    #[error("cannot tell which network interface leads to {to}, so name one: {error}")]
    NoRoute {
        /// The address looked for.
        to: IpAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system does not list its interfaces.
    #[error("cannot list the network interfaces: {0}")]
    Unlisted(io::Error),
}

impl Interface {
    /// Finds the interface that `spec` names (`eth0`, or one of its addresses), with an address of the family of
    /// `family_of`; without `spec` the one that the route to `family_of` leads through, else the loopback.
    ///
    /// # Errors
    ///
    /// When there is no such interface, it has no address of the family, or it is down.
    pub(crate) fn find(spec: Option<&str>, family_of: IpAddr) -> Result<Self, InterfaceError> {
        let listed = Listed::now()?;
        let found = match (spec, spec.map(str::parse)) {
            (_, Some(Ok(address))) => listed.by_address(address, family_of)?,
            (Some(name), _) => listed.by_name(name, family_of)?,
            (None, _) => listed.by_route(family_of)?,
        };
        match backend::link(&found.name) {
            Some(Link { up: false, .. }) => Err(InterfaceError::Down { name: found.name }),
            Some(Link { loopback, mtu, .. }) => Ok(Self { mtu, loopback, ..found }),
            None => Ok(found),
        }
    }

    /// `ip` and `port` as an address, which for a link-local IPv6 one includes this interface.
    #[must_use]
    pub(crate) fn scoped(&self, ip: IpAddr, port: u16) -> SocketAddr {
        let mut address = SocketAddr::new(ip, port);
        if let SocketAddr::V6(v6) = &mut address
            && is_link_scope(*v6.ip())
        {
            v6.set_scope_id(self.index);
        }
        address
    }
}

/// The interfaces that have an address, one entry for each address.
struct Listed(Vec<if_addrs::Interface>);

impl Listed {
    fn now() -> Result<Self, InterfaceError> {
        if_addrs::get_if_addrs().map(Self).map_err(InterfaceError::Unlisted)
    }

    fn by_address(&self, address: IpAddr, family_of: IpAddr) -> Result<Interface, InterfaceError> {
        if address.is_ipv4() != family_of.is_ipv4() {
            return Err(InterfaceError::WrongFamily { address, family_of });
        }
        let entry = self.0.iter().find(|entry| entry.ip() == address);
        // All of 127.0.0.0/8 is this machine, though only 127.0.0.1 is listed.
        let entry = entry.or_else(|| self.loopback(address).filter(|_| address.is_loopback()));
        let exist = || self.0.iter().map(|entry| format!("{} ({})", entry.name, entry.ip())).collect();
        let unknown = || InterfaceError::UnknownAddress { address, exist: exist() };
        entry.map(|entry| Interface { address, ..interface(entry) }).ok_or_else(unknown)
    }

    fn by_name(&self, name: &str, family_of: IpAddr) -> Result<Interface, InterfaceError> {
        let named = self.0.iter().filter(|entry| entry.name == name);
        let fitting = named.clone().filter(|entry| entry.ip().is_ipv4() == family_of.is_ipv4());
        // An interface has several IPv6 addresses; the one whose reach is that of the traffic fits best.
        let best = fitting.min_by_key(|entry| reach(entry.ip()) != reach(family_of));
        let name = name.to_owned();
        match (best, named.count(), backend::link(&name)) {
            (Some(entry), ..) => Ok(interface(entry)),
            (None, _, Some(Link { up: false, .. })) => Err(InterfaceError::Down { name }),
            (None, 0, None) => Err(InterfaceError::UnknownName { name, exist: self.names() }),
            (None, ..) => Err(InterfaceError::NoAddress { name, family_of }),
        }
    }

    fn by_route(&self, family_of: IpAddr) -> Result<Interface, InterfaceError> {
        let any = if family_of.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        // Connecting sends nothing; port 9 is the discard service.
        let local = UdpSocket::bind((any, 0))
            .and_then(|socket| socket.connect((family_of, 9)).and_then(|()| socket.local_addr()));
        match local {
            Ok(local) => self.by_address(local.ip(), family_of),
            Err(error) if is_unreachable(&error) => {
                self.loopback(family_of).map(interface).ok_or_else(|| self.no_loopback(family_of, error))
            }
            Err(error) => Err(InterfaceError::NoRoute { to: family_of, error }),
        }
    }

    fn no_loopback(&self, to: IpAddr, error: io::Error) -> InterfaceError {
        match backend::link("lo") {
            Some(Link { up: false, .. }) => InterfaceError::Down { name: "lo".to_owned() },
            _ => InterfaceError::NoRoute { to, error },
        }
    }

    fn loopback(&self, family_of: IpAddr) -> Option<&if_addrs::Interface> {
        self.0.iter().find(|entry| entry.is_loopback() && entry.ip().is_ipv4() == family_of.is_ipv4())
    }

    fn names(&self) -> Vec<String> {
        let mut names = backend::link_names();
        names.extend(self.0.iter().map(|entry| entry.name.clone()));
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn interface(entry: &if_addrs::Interface) -> Interface {
    Interface {
        name: entry.name.clone(),
        index: entry.index.unwrap_or(0),
        address: entry.ip(),
        mtu: USUAL_MTU,
        loopback: entry.is_loopback(),
    }
}

/// Whether an address means nothing beyond its link, so that the interface is part of it.
fn reach(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if is_link_scope(v6))
}

/// Whether an IPv6 address, unicast or multicast, has interface or link scope (RFC 4291 §2.5.6, §2.7).
fn is_link_scope(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    first & 0xffc0 == 0xfe80 || matches!(first & 0xff0f, 0xff01 | 0xff02)
}

fn is_unreachable(error: &io::Error) -> bool {
    use ErrorKind::AddrNotAvailable;
    use ErrorKind::HostUnreachable;
    use ErrorKind::NetworkUnreachable;
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable)
}

fn family(of: IpAddr) -> &'static str {
    if of.is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn the_loopback_is_found_by_name_by_address_and_by_route() {
        let by_name = Interface::find(Some("lo"), V4).unwrap();
        assert_eq!((by_name.address, by_name.loopback), (V4, true));
        assert!(by_name.index > 0 && by_name.mtu >= 1_500);
        assert_eq!(Interface::find(Some("127.0.0.1"), V4).unwrap(), by_name);
        assert_eq!(Interface::find(None, V4).unwrap(), by_name);
        assert_eq!(Interface::find(Some("lo"), V6).unwrap().address, V6);
    }

    #[test]
    fn any_address_of_the_loopback_network_will_do() {
        let address = IpAddr::from([127, 3, 2, 1]);
        assert_eq!(Interface::find(Some("127.3.2.1"), V4).unwrap().address, address);
    }

    #[test]
    fn an_unknown_interface_is_answered_with_those_there_are() {
        let text = Interface::find(Some("nosuch0"), V4).unwrap_err().to_string();
        assert!(text.starts_with("there is no network interface nosuch0; there are: "), "{text}");
        assert!(text.split([' ', ',']).any(|word| word == "lo"), "{text}");
        let text = Interface::find(Some("192.0.2.77"), V4).unwrap_err().to_string();
        assert!(text.starts_with("no network interface has the address 192.0.2.77; there are: "), "{text}");
        assert!(text.contains("lo (127.0.0.1)"), "{text}");
    }

    #[test]
    fn an_address_of_the_other_family_is_refused() {
        let text = Interface::find(Some("127.0.0.1"), V6).unwrap_err().to_string();
        let wanted =
            "127.0.0.1 is no IPv6 address, but ::1 is: name the interface by an address of that family";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_link_local_address_includes_its_interface() {
        let lo = Interface::find(Some("lo"), V6).unwrap();
        let scope = |address: &str| match lo.scoped(address.parse().unwrap(), 7) {
            SocketAddr::V6(address) => (address.scope_id(), address.port()),
            SocketAddr::V4(_) => panic!("IPv4"),
        };
        assert_eq!(scope("fe80::1"), (lo.index, 7));
        assert_eq!(scope("ff02::4242"), (lo.index, 7));
        assert_eq!(scope("ff12::4242"), (lo.index, 7));
        assert_eq!(scope("ff15::4242"), (0, 7));
        assert_eq!(scope("::1"), (0, 7));
    }
}
