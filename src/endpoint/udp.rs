//! Endpoints of datagrams.

use core::fmt;
use core::net::IpAddr;
use core::net::SocketAddr;
use core::str::FromStr;

use crate::endpoint;
use crate::endpoint::EndpointError;
use crate::wire::StreamId;

/// An address of streams that datagrams carry, as a URI.
///
/// | part | meaning | default |
/// | --- | --- | --- |
/// | `udp://ADDRESS:PORT` | a multicast group, or one subscriber's own address; IPv6 in brackets | |
/// | `interface=` | the network interface, by name or address | that of the route, else loopback |
/// | `source=` | hear only this sender (source-specific multicast) | any |
/// | `stream=` | the stream on this address | 1 |
/// | `ttl=` | routers a multicast datagram may pass, plus one | 1 |
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
    /// The group, or the one subscriber.
    pub address: SocketAddr,
    /// The interface, by name or address.
    pub interface: Option<String>,
    /// The only sender to hear.
    pub source: Option<IpAddr>,
    /// The stream.
    pub stream: StreamId,
    /// The TTL of multicast datagrams.
    pub ttl: u8,
}

impl UdpEndpoint {
    /// The endpoint at `address`, with defaults for all else.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, interface: None, source: None, stream: StreamId(1), ttl: 1 }
    }

    /// Whether the address is a group.
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        self.address.ip().is_multicast()
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
            _ => {
                let exist = "interface, source, stream and ttl";
                return Err(EndpointError::Parameter { name: name.to_owned(), exist });
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Self, EndpointError> {
        if self.address.port() == 0 {
            return Err(EndpointError::Port);
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

impl FromStr for UdpEndpoint {
    type Err = EndpointError;

    fn from_str(uri: &str) -> Result<Self, EndpointError> {
        let (address, parameters) = endpoint::split(uri, "udp")?;
        let parsed = address.parse().map_err(|_| EndpointError::Address { address: address.to_owned() })?;
        let mut endpoint = Self::new(parsed);
        for (name, value) in parameters {
            endpoint.set(name, value)?;
        }
        endpoint.check()
    }
}

impl fmt::Display for UdpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp://{}", self.address)?;
        let interface = self.interface.as_ref().map(|name| format!("interface={name}"));
        let source = self.source.map(|source| format!("source={source}"));
        let stream = (self.stream != StreamId(1)).then(|| format!("stream={}", self.stream));
        let ttl = (self.ttl != 1).then(|| format!("ttl={}", self.ttl));
        endpoint::write_query(f, [interface, source, stream, ttl].into_iter().flatten())
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
        assert!(error("udp://239.192.0.1:4000?iface=lo").contains("interface, source, stream and ttl"));
        assert!(error("udp://239.192.0.1:4000?interface=").contains("such as lo"));
        assert!(error("udp://239.192.0.1:4000?ttl=300").contains("from 0 to 255"));
        assert!(error("udp://239.192.0.1:4000?stream=-1").contains("from 0 to 4294967295"));
        assert!(error("udp://127.0.0.1:4000?source=10.0.0.5").contains("needs a multicast group"));
        assert!(error("udp://239.1.1.1:4000?source=::1").contains("same family"));
    }
}
