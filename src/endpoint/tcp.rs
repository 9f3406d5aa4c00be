//! Endpoints of connections.

use core::fmt;
use core::fmt::Write;
use core::net::IpAddr;
use core::net::Ipv6Addr;
use core::str::FromStr;

use crate::endpoint;
use crate::endpoint::EndpointError;
use crate::wire::StreamId;
use crate::wire::TOPIC_BYTES;

const TOPIC_WANTED: &str = "255 bytes at most, and % only before two hexadecimal digits (%25 for itself)";

/// An address of streams that connections carry, as a URI.
///
/// | part | meaning | default |
/// | --- | --- | --- |
/// | `tcp://HOST:PORT` | a publisher's name or address, IPv6 in brackets; the publisher itself names what it listens at, port 0 for any that is free | |
/// | `stream=` | the stream at this address | 1 |
/// | `topic=` | for subscribers: only topics that begin so, in percent-encoding; several times for more | all |
///
/// A name that stands for several addresses is tried at each.
///
/// ```
/// use nakcast::TcpEndpoint;
/// let endpoint: TcpEndpoint = "tcp://feed.example.com:7001?topic=AAPL&topic=100%25".parse()?;
/// assert_eq!((endpoint.host.as_str(), endpoint.port), ("feed.example.com", 7001));
/// assert_eq!(endpoint.topics, [b"AAPL", b"100%"]);
/// # Ok::<(), nakcast::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpEndpoint {
    /// The name or address, an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The stream.
    pub stream: StreamId,
    /// Prefixes of topics that a subscriber wants; all, when there is none.
    pub topics: Vec<Vec<u8>>,
}

impl TcpEndpoint {
    /// The endpoint at `host` and `port`, with defaults for all else.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, stream: StreamId(1), topics: Vec::new() }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), EndpointError> {
        match name {
            "stream" => self.stream = endpoint::stream(value)?,
            "topic" => self.topics.push(topic(value)?),
            _ => {
                return Err(EndpointError::Parameter { name: name.to_owned(), exist: "stream and topic" });
            }
        }
        Ok(())
    }
}

/// The host without brackets, and the port.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    // `parse` alone would take a sign.
    let port = port.bytes().all(|digit| digit.is_ascii_digit()).then(|| port.parse().ok())??;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(host) = bracketed {
        let (ip, zone) = host.split_once('%').unwrap_or((host, "1"));
        let fits = ip.parse::<Ipv6Addr>().is_ok() && is_name(zone);
        return fits.then_some((host, port));
    }
    is_name(host).then_some((host, port))
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

fn topic(text: &str) -> Result<Vec<u8>, EndpointError> {
    let misfit = || EndpointError::Value { name: "topic", value: text.to_owned(), wanted: TOPIC_WANTED };
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(misfit);
    let (mut decoded, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            byte => byte,
        });
    }
    if decoded.len() > TOPIC_BYTES { Err(misfit()) } else { Ok(decoded) }
}

fn encoded(topic: &[u8]) -> Result<String, fmt::Error> {
    let mut text = String::from("topic=");
    for byte in topic {
        let stays = byte.is_ascii_alphanumeric() || b"-._~/:@!$'()*,;".contains(byte);
        if stays { text.write_char(char::from(*byte))? } else { write!(text, "%{byte:02X}")? }
    }
    Ok(text)
}

impl FromStr for TcpEndpoint {
    type Err = EndpointError;

    fn from_str(uri: &str) -> Result<Self, EndpointError> {
        let (address, parameters) = endpoint::split(uri, "tcp")?;
        let Some((host, port)) = host_and_port(address) else {
            return Err(EndpointError::Host { address: address.to_owned() });
        };
        if let Some(host) = host.parse::<IpAddr>().ok().filter(IpAddr::is_multicast) {
            return Err(EndpointError::Group { host });
        }
        let mut endpoint = Self::new(host, port);
        for (name, value) in parameters {
            endpoint.set(name, value)?;
        }
        Ok(endpoint)
    }
}

impl fmt::Display for TcpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "tcp://[{host}]:{port}")?
        } else {
            write!(f, "tcp://{host}:{port}")?
        }
        let stream = (self.stream != StreamId(1)).then(|| format!("stream={}", self.stream));
        let topics = self.topics.iter().map(|topic| encoded(topic)).collect::<Result<Vec<_>, _>>()?;
        endpoint::write_query(f, stream.into_iter().chain(topics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(uri: &str) -> String {
        uri.parse::<TcpEndpoint>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for uri in [
            "tcp://127.0.0.1:7001",
            "tcp://feed-1.example.com:7001?stream=9",
            "tcp://[2001:db8::1]:7001?topic=AAPL",
            "tcp://[fe80::1%eth0]:7001?stream=2&topic=a/b&topic=%00%26%25%3D%20",
            "tcp://0.0.0.0:0?topic=",
        ] {
            assert_eq!(uri.parse::<TcpEndpoint>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn topics_are_decoded_bytes() {
        let endpoint: TcpEndpoint = "tcp://[::1]:1?topic=%e2%82%AC%26&topic=x".parse().unwrap();
        assert_eq!(endpoint.topics, [&b"\xE2\x82\xAC&"[..], b"x"]);
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 1));
    }

    #[test]
    fn every_mistake_is_named_with_its_remedy() {
        for address in
            ["", "example.com", ":7001", "::1:7001", "[::1]", "[1.2.3.4]:7001", "a b:1", "h:70000", "h:+1"]
        {
            assert!(error(&format!("tcp://{address}")).contains("or [2001:db8::1]:7001"), "{address}");
        }
        assert!(error("tcp://239.192.0.1:1").contains("a multicast group"));
        assert!(error("tcp://[ff15::1]:1").contains("write udp://"));
        assert!(error("tcp://h:1/path").contains("not a host and a port"));
        assert!(error("tcp://h:1?interface=lo").contains("stream and topic exist"));
        assert!(error("tcp://h:1?stream=x").contains("from 0 to 4294967295"));
        for topic in ["%", "%2", "%zz", &"a".repeat(256)] {
            assert!(error(&format!("tcp://h:1?topic={topic}")).contains("%25 for itself"), "{topic}");
        }
    }
}
