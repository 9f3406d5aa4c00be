//! Where a stream is: `udp://239.192.0.1:4000?interface=lo`, or `tcp://feed.example.com:7001`.

mod error;
mod tcp;
mod udp;

use core::fmt;
use core::str::FromStr;

use crate::wire::StreamId;

pub use error::EndpointError;
pub use tcp::TcpEndpoint;
pub use udp::UdpEndpoint;

/// An address of streams, as a URI; its scheme says what carries them.
///
/// ```
/// use nakcast::Endpoint;
/// let endpoint: Endpoint = "tcp://feed.example.com:7001?topic=AAPL".parse()?;
/// assert!(matches!(endpoint, Endpoint::Tcp(_)));
/// # Ok::<(), nakcast::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `udp://`: datagrams, to a group or to one subscriber.
    Udp(UdpEndpoint),
    /// `tcp://`: a connection for each subscriber.
    Tcp(TcpEndpoint),
}

impl Endpoint {
    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        match self {
            Self::Udp(udp) => udp.stream,
            Self::Tcp(tcp) => tcp.stream,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(uri: &str) -> Result<Self, EndpointError> {
        match uri.split_once("://").map(|(scheme, _)| scheme) {
            Some("udp") => uri.parse().map(Self::Udp),
            Some("tcp") => uri.parse().map(Self::Tcp),
            _ => Err(EndpointError::Scheme { uri: uri.to_owned() }),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(udp) => udp.fmt(f),
            Self::Tcp(tcp) => tcp.fmt(f),
        }
    }
}

impl From<UdpEndpoint> for Endpoint {
    fn from(endpoint: UdpEndpoint) -> Self {
        Self::Udp(endpoint)
    }
}

impl From<TcpEndpoint> for Endpoint {
    fn from(endpoint: TcpEndpoint) -> Self {
        Self::Tcp(endpoint)
    }
}

/// What follows `scheme://`: the address, and the parameters behind `?`.
fn split<'a>(
    uri: &'a str,
    scheme: &'static str,
) -> Result<(&'a str, impl Iterator<Item = (&'a str, &'a str)>), EndpointError> {
    let Some((found, rest)) = uri.split_once("://") else {
        return Err(EndpointError::Scheme { uri: uri.to_owned() });
    };
    match found {
        found if found == scheme => {}
        "udp" | "tcp" => return Err(EndpointError::OtherScheme { uri: uri.to_owned(), wanted: scheme }),
        _ => return Err(EndpointError::Scheme { uri: uri.to_owned() }),
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    Ok((address, parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))))
}

fn stream(value: &str) -> Result<StreamId, EndpointError> {
    let wanted = "a number from 0 to 4294967295";
    let misfit = |_| EndpointError::Value { name: "stream", value: value.to_owned(), wanted };
    value.parse().map(StreamId).map_err(misfit)
}

fn yes(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Writes `?` and the parameters, if there are any.
fn write_query(f: &mut fmt::Formatter<'_>, parameters: impl IntoIterator<Item = String>) -> fmt::Result {
    for (parameter, at) in parameters.into_iter().zip(0_usize..) {
        write!(f, "{}{parameter}", if at == 0 { '?' } else { '&' })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(uri: &str) -> String {
        uri.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[test]
    fn the_scheme_chooses_the_carrier() {
        assert!(matches!("udp://239.192.0.1:4000".parse(), Ok(Endpoint::Udp(_))));
        assert!(matches!("tcp://127.0.0.1:4000".parse(), Ok(Endpoint::Tcp(_))));
        for uri in ["udp://239.192.0.1:4000?stream=3", "tcp://a.example:1?stream=3"] {
            let endpoint: Endpoint = uri.parse().unwrap();
            assert_eq!((endpoint.stream(), endpoint.to_string()), (StreamId(3), uri.to_owned()));
        }
    }

    #[test]
    fn a_scheme_that_is_none_or_the_other_is_named_with_its_remedy() {
        assert!(error("239.192.0.1:4000").contains("write udp://"));
        assert!(error("http://127.0.0.1:1").contains("begin with udp:// or tcp://"));
        let other = "udp://127.0.0.1:1".parse::<TcpEndpoint>().unwrap_err().to_string();
        assert!(other.contains("where tcp:// is wanted"), "{other}");
        let other = "tcp://127.0.0.1:1".parse::<UdpEndpoint>().unwrap_err().to_string();
        assert!(other.contains("where udp:// is wanted"), "{other}");
    }
}
