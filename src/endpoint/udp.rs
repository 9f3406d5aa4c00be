//! Endpoints of datagrams.

use core::fmt;
use core::net::IpAddr;
use core::net::SocketAddr;
use core::str::FromStr;
use std::collections::HashSet;

use crate::endpoint;
use crate::endpoint::EndpointError;
use crate::wire::StreamId;

/// An address of streams that datagrams carry, as a URI.
///
/// | part | meaning | default |
/// | --- | --- | --- |
/// | `udp://ADDRESS:PORT` | a multicast group, or one subscriber's own address; IPv6 in brackets | |
/// | `udp://A:PORT,B:PORT` | for a publisher: several subscribers' own addresses, each of which is sent a copy | |
/// | `interface=` | the network interface, by name or address | that of the route, else loopback |
/// | `source=` | hear only this sender (source-specific multicast) | any |
/// | `stream=` | the stream on this address | 1 |
/// | `ttl=` | routers a multicast datagram may pass, plus one | 1 |
/// | `join=yes` | the address is the publisher's own, and whoever asks there is sent a copy | no |
///
/// ```
/// use nakcast::UdpEndpoint;
/// let endpoint: UdpEndpoint = "udp://239.192.0.1:4000?interface=lo&stream=7".parse()?;
/// assert!(endpoint.is_multicast());
/// assert_eq!(endpoint.to_string(), "udp://239.192.0.1:4000?interface=lo&stream=7");
/// # Ok::<(), nakcast::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UdpEndpoint {
    /// The group, or the one subscriber, or the first; with [`join`](Self::join), the publisher itself.
    pub address: SocketAddr,
    /// The other subscribers; none with a group.
    pub others: Vec<SocketAddr>,
    /// The interface, by name or address.
    pub interface: Option<String>,
    /// The only sender to hear.
    pub source: Option<IpAddr>,
    /// The stream.
    pub stream: StreamId,
    /// The TTL of multicast datagrams.
    pub ttl: u8,
    /// There is no group, and subscribers are not known beforehand: they ask the publisher at its own address.
    pub join: bool,
}

/// The most subscribers that one URI names.
const ADDRESSES: usize = 256;

impl UdpEndpoint {
    /// The endpoint at `address`, with defaults for all else.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            others: Vec::new(),
            interface: None,
            source: None,
            stream: StreamId(1),
            ttl: 1,
            join: false,
        }
    }

    /// Whether the address is a group.
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.address.ip().is_multicast()
    }

    /// All addresses, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        core::iter::once(self.address).chain(self.others.iter().copied())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), EndpointError> {
        let misfit = |name, wanted| EndpointError::Value { name, value: value.to_owned(), wanted };
        match name {
            "interface" if value.is_empty() => {
                return Err(misfit("interface", "the name or an address of an interface, such as lo"));
            }
            "interface" => self.interface = Some(value.to_owned()),
            "source" => {
                let source: IpAddr = value.parse().map_err(|_| misfit("source", "an IP address"))?;
                self.source = Some(source);
            }
            "stream" => self.stream = endpoint::stream(value)?,
            "ttl" => self.ttl = value.parse().map_err(|_| misfit("ttl", "a number from 0 to 255"))?,
            "join" => self.join = endpoint::yes(value).ok_or_else(|| misfit("join", "yes or no"))?,
            _ => {
                let exist = "interface, source, stream, ttl and join";
                return Err(EndpointError::Parameter { name: name.to_owned(), exist });
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Self, EndpointError> {
        if self.addresses().any(|address| address.port() == 0) {
            return Err(EndpointError::Port);
        }
        self.check_others()?;
        if self.join && (self.is_multicast() || self.address.ip().is_unspecified()) {
            let wanted = "with join=, one address of the publisher's own, which subscribers can send to";
            return Err(EndpointError::Addresses { address: self.address, wanted });
        }
        let Some(source) = self.source else { return Ok(self) };
        let address = self.address.ip();
        if !address.is_multicast() {
            return Err(EndpointError::SourceWithoutGroup { source_address: source, address });
        }
        if source.is_ipv4() != address.is_ipv4() || source.is_multicast() {
            let wanted = "the address of one sender, of the same family as the group";
            return Err(EndpointError::Value { name: "source", value: source.to_string(), wanted });
        }
        Ok(self)
    }
}

impl UdpEndpoint {
    fn check_others(&self) -> Result<(), EndpointError> {
        let misfit = |address, wanted| Err(EndpointError::Addresses { address, wanted });
        let mut seen = HashSet::from([self.address]);
        for &other in &self.others {
            if self.is_multicast() || other.ip().is_multicast() {
                return misfit(
                    other,
                    "groups do not stand beside other addresses: give each a URI of its own",
                );
            }
            if other.is_ipv4() != self.address.is_ipv4() {
                return misfit(other, "IPv4 and IPv6 do not mix: give each a URI of its own");
            }
            if self.join {
                return misfit(
                    other,
                    "with join=, one address of the publisher's own, which subscribers can send to",
                );
            }
            if !seen.insert(other) {
                return misfit(other, "it stands there twice: leave one out");
            }
        }
        match self.others.get(ADDRESSES - 1) {
            Some(&one) => misfit(one, "more than 256 addresses: give the rest a URI of their own"),
            None => Ok(()),
        }
    }
}

impl FromStr for UdpEndpoint {
    type Err = EndpointError;

    fn from_str(uri: &str) -> Result<Self, EndpointError> {
        let (addresses, parameters) = endpoint::split(uri, "udp")?;
        let parse = |one: &str| one.parse().map_err(|_| EndpointError::Address { address: one.to_owned() });
        let (first, others) = addresses.split_once(',').unwrap_or((addresses, ""));
        let mut endpoint = Self::new(parse(first)?);
        if addresses.contains(',') {
            endpoint.others = others.split(',').map(parse).collect::<Result<_, _>>()?;
        }
        for (name, value) in parameters {
            endpoint.set(name, value)?;
        }
        endpoint.check()
    }
}

impl fmt::Display for UdpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp://{}", self.address)?;
        for other in &self.others {
            write!(f, ",{other}")?;
        }
        let interface = self.interface.as_ref().map(|name| format!("interface={name}"));
        let source = self.source.map(|source| format!("source={source}"));
        let stream = (self.stream != StreamId(1)).then(|| format!("stream={}", self.stream));
        let ttl = (self.ttl != 1).then(|| format!("ttl={}", self.ttl));
        let join = self.join.then(|| "join=yes".to_owned());
        endpoint::write_query(f, [interface, source, stream, ttl, join].into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(uri: &str) -> String {
        uri.parse::<UdpEndpoint>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for uri in [
            "udp://239.192.0.1:4000",
            "udp://[ff15::1]:4000?interface=veth0&stream=9&ttl=4",
            "udp://239.1.1.1:4000?source=10.0.0.5",
            "udp://127.0.0.1:9000?interface=lo",
            "udp://10.0.0.5:4000,10.0.0.6:4000,10.0.0.6:4001?interface=eth0",
            "udp://[fd00::5]:4000,[fd00::6]:4000",
            "udp://10.0.0.1:4000?join=yes",
        ] {
            assert_eq!(uri.parse::<UdpEndpoint>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_remedy() {
        assert!(error("udp://localhost:4000").contains("names are not looked up for udp://"));
        assert!(error("udp://239.192.0.1").contains("address and a port"));
        assert!(error("udp://239.192.0.1:0").contains("choose a port"));
        assert!(error("udp://239.192.0.1:70000").contains("address and a port"));
        assert!(error("udp://239.192.0.1:4000?iface=lo").contains("interface, source, stream, ttl and join"));
        assert!(error("udp://239.192.0.1:4000?interface=").contains("such as lo"));
        assert!(error("udp://239.192.0.1:4000?ttl=300").contains("from 0 to 255"));
        assert!(error("udp://239.192.0.1:4000?stream=-1").contains("from 0 to 4294967295"));
        assert!(error("udp://127.0.0.1:4000?source=10.0.0.5").contains("needs a multicast group"));
        assert!(error("udp://239.1.1.1:4000?source=::1").contains("same family"));
        assert!(error("udp://10.0.0.5:4000,[::1]:4000").contains("do not mix"));
        assert!(error("udp://239.1.1.1:4000,239.1.1.2:4000").contains("a URI of its own"));
        assert!(error("udp://10.0.0.5:4000,239.1.1.2:4000").contains("a URI of its own"));
        assert!(error("udp://10.0.0.5:4000,10.0.0.5:4000").contains("twice"));
        assert!(error("udp://10.0.0.5:4000,").contains("address and a port"));
        assert!(error("udp://10.0.0.5:4000,10.0.0.6:0").contains("choose a port"));
        assert!(error("udp://10.0.0.5:4000?join=maybe").contains("yes or no"));
        assert!(error("udp://239.1.1.1:4000?join=yes").contains("the publisher's own"));
        assert!(error("udp://0.0.0.0:4000?join=yes").contains("the publisher's own"));
        assert!(error("udp://10.0.0.5:4000,10.0.0.6:1?join=yes").contains("the publisher's own"));
        let many: Vec<_> = (1..=300).map(|port| format!("10.0.0.5:{port}")).collect();
        assert!(error(&format!("udp://{}", many.join(","))).contains("more than 256"));
    }
}
