//! The interface that a stream uses.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;

use nakcast::UdpEndpoint;

use crate::doctor::finding::Finding;
use crate::doctor::host::Host;
use crate::doctor::parse::LinkFlags;

const NAME: &str = "interface";

/// An interface and its address of the family in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
}

impl Place {
    pub(crate) const fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }

    /// Every interface that has an IPv4 address, once.
    pub(crate) fn all() -> Vec<Self> {
        let mut places: Vec<_> = listed().into_iter().filter(|place| place.address.is_ipv4()).collect();
        places.sort_by(|a, b| a.name.cmp(&b.name));
        places.dedup_by(|a, b| a.name == b.name);
        places
    }

    /// The one that `endpoint` uses, as the library chooses it: named, or that of the route, or the loopback.
    pub(crate) fn of(host: &Host, endpoint: &UdpEndpoint) -> Result<Self, Box<Finding>> {
        let (all, to) = (listed(), endpoint.address.ip());
        let is_fitting = |place: &&Self| place.address.is_ipv4() == to.is_ipv4();
        let Some(named) = &endpoint.interface else {
            let by_route = routed(to).and_then(|address| all.iter().find(|place| place.address == address));
            let place = by_route.or_else(|| all.iter().filter(is_fitting).find(|place| place.is_loopback()));
            return place.cloned().ok_or_else(|| Box::new(nothing(to)));
        };
        if let Ok(address) = named.parse::<IpAddr>() {
            let listed = all.iter().find(|place| place.address == address);
            let lo = all.iter().find(|place| place.is_loopback() && place.address.is_ipv4());
            let found = listed.or(lo.filter(|_| address.is_loopback()));
            return found.cloned().ok_or_else(|| Box::new(unknown(named, &all)));
        }
        let found = all.iter().filter(|place| place.name == *named).find(is_fitting);
        found.cloned().ok_or_else(|| Box::new(missing(host, named, to, &all)))
    }

    /// Its MTU.
    pub(crate) fn mtu(&self, host: &Host) -> Option<u64> {
        host.number(&format!("sys/class/net/{}/mtu", self.name))
    }

    pub(crate) fn flags(&self, host: &Host) -> Option<LinkFlags> {
        flags(host, &self.name)
    }
}

fn flags(host: &Host, name: &str) -> Option<LinkFlags> {
    // A name with a slash is none, and must not lead out of the folder.
    let name = Some(name).filter(|name| !name.contains('/'))?;
    LinkFlags::parse(&host.read(&format!("sys/class/net/{name}/flags"))?)
}

fn listed() -> Vec<Place> {
    let entries = if_addrs::get_if_addrs().unwrap_or_default();
    let place = |entry: if_addrs::Interface| Place {
        index: entry.index.unwrap_or(0),
        address: entry.ip(),
        name: entry.name,
    };
    entries.into_iter().map(place).collect()
}

/// The address that the route to `to` begins at. Connecting sends nothing; port 9 is the discard service.
fn routed(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn nothing(to: IpAddr) -> Finding {
    let what = format!("no interface has an {} address, and there is not even a loopback", family(to));
    Finding::error(NAME, what, "switch one on").command("ip link set lo up")
}

fn unknown(named: &str, all: &[Place]) -> Finding {
    let exist: Vec<_> = all.iter().map(|place| format!("{} ({})", place.name, place.address)).collect();
    let what = format!("there is no interface {named}; there are: {}", exist.join(", "));
    Finding::error(NAME, what, "write one of these as interface= in the URI")
}

/// No address of the family: because there is no such interface, it is down, or it has none.
fn missing(host: &Host, named: &str, to: IpAddr, all: &[Place]) -> Finding {
    match flags(host, named) {
        Some(flags) if !flags.is_up() => {
            Finding::error(NAME, format!("{named} is down"), "switch it on").command(up(named))
        }
        Some(_) => {
            let what =
                format!("{named} has no {} address, from which to send and to be answered", family(to));
            let finding = Finding::error(NAME, what, "give it an address");
            finding.command(format!("ip address add ADDRESS/LENGTH dev {named}"))
        }
        None => unknown(named, all),
    }
}

pub(crate) fn up(name: &str) -> String {
    format!("ip link set {name} up")
}

const fn family(of: IpAddr) -> &'static str {
    if of.is_ipv4() { "IPv4" } else { "IPv6" }
}
