//! Where a stream is: `udp://239.192.0.1:4000?interface=lo`.

use core::fmt;
use core::net::IpAddr;
use core::net::SocketAddr;
use core::str::FromStr;

use crate::wire::StreamId;

/// An address of streams, as a URI.
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
/// use nakcast::Endpoint;
/// let endpoint: Endpoint = "udp://239.192.0.1:4000?interface=lo&stream=7".parse()?;
/// assert!(endpoint.is_multicast());
/// assert_eq!(endpoint.to_string(), "udp://239.192.0.1:4000?interface=lo&stream=7");
/// # Ok::<(), nakcast::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
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

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No scheme, or one that is not known.
    #[error("{uri:?} does not begin with udp://: write udp://239.192.0.1:4000?interface=lo, for example")]
    Scheme {
        /// The whole text.
        uri: String,
    },
    /// The address is not an address and a port.
    #[error(
        "{address:?} is not an IP address and a port: write 239.192.0.1:4000 or [ff15::1]:4000 (names are not looked up)"
    )]
    Address {
        /// What stands between `udp://` and `?`.
        address: String,
    },
    /// Port 0 cannot be sent to.
    #[error("port 0 cannot be sent to: choose a port from 1 to 65535")]
    Port,
    /// A parameter that does not exist.
    #[error("there is no parameter {name:?}: interface, source, stream and ttl exist")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A parameter whose value does not fit.
    #[error("{name}={value} does not fit: {wanted}")]
    Value {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What fits.
        wanted: &'static str,
    },
    /// A source without a group.
    #[error("source={source_address} needs a multicast group, and {address} is none")]
    SourceWithoutGroup {
        /// The source.
        source_address: IpAddr,
        /// The address.
        address: IpAddr,
    },
}

impl Endpoint {
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
            "stream" => {
                let stream = value.parse().map_err(|_| misfit("stream", "a number from 0 to 4294967295"))?;
                self.stream = StreamId(stream);
            }
            "ttl" => self.ttl = value.parse().map_err(|_| misfit("ttl", "a number from 0 to 255"))?,
            _ => return Err(EndpointError::Parameter { name: name.to_owned() }),
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

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(uri: &str) -> Result<Self, EndpointError> {
        let rest = uri.strip_prefix("udp://").ok_or_else(|| EndpointError::Scheme { uri: uri.to_owned() })?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parsed = address.parse().map_err(|_| EndpointError::Address { address: address.to_owned() })?;
        let mut endpoint = Self::new(parsed);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            endpoint.set(name, value)?;
        }
        endpoint.check()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp://{}", self.address)?;
        let interface = self.interface.as_ref().map(|name| format!("interface={name}"));
        let source = self.source.map(|source| format!("source={source}"));
        let stream = (self.stream != StreamId(1)).then(|| format!("stream={}", self.stream));
        let ttl = (self.ttl != 1).then(|| format!("ttl={}", self.ttl));
        let parameters: Vec<_> = [interface, source, stream, ttl].into_iter().flatten().collect();
        if parameters.is_empty() { Ok(()) } else { write!(f, "?{}", parameters.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(uri: &str) -> String {
        uri.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for uri in [
            "udp://239.192.0.1:4000",
            "udp://[ff15::1]:4000?interface=veth0&stream=9&ttl=4",
            "udp://239.1.1.1:4000?source=10.0.0.5",
            "udp://127.0.0.1:9000?interface=lo",
        ] {
            assert_eq!(uri.parse::<Endpoint>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_remedy() {
        assert!(error("239.192.0.1:4000").contains("begin with udp://"));
        assert!(error("tcp://127.0.0.1:1").contains("begin with udp://"));
        assert!(error("udp://localhost:4000").contains("names are not looked up"));
        assert!(error("udp://239.192.0.1").contains("address and a port"));
        assert!(error("udp://239.192.0.1:0").contains("choose a port"));
        assert!(error("udp://239.192.0.1:70000").contains("address and a port"));
        assert!(error("udp://239.192.0.1:4000?iface=lo").contains("interface, source, stream and ttl"));
        assert!(error("udp://239.192.0.1:4000?interface=").contains("such as lo"));
        assert!(error("udp://239.192.0.1:4000?ttl=300").contains("from 0 to 255"));
        assert!(error("udp://127.0.0.1:4000?source=10.0.0.5").contains("needs a multicast group"));
        assert!(error("udp://239.1.1.1:4000?source=::1").contains("same family"));
    }
}
