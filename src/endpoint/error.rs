//! What can be wrong with the text of an endpoint.

use core::net::IpAddr;
use core::net::SocketAddr;

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No scheme, or one that is not known.
    #[error(
        "{uri:?} does not begin with udp:// or tcp://: write udp://239.192.0.1:4000?interface=lo or tcp://127.0.0.1:7001, for example"
    )]
    Scheme {
        /// The whole text.
        uri: String,
    },
    /// The scheme of another carrier.
    #[error("{uri} stands where {wanted}:// is wanted: give it to the setting of its own scheme")]
    OtherScheme {
        /// The whole text.
        uri: String,
        /// The scheme that belongs here.
        wanted: &'static str,
    },
    /// The address is not an address and a port.
    #[error(
        "{address:?} is not an IP address and a port: write 239.192.0.1:4000 or [ff15::1]:4000 (names are not looked up for udp://)"
    )]
    Address {
        /// What stands between `udp://` and `?`.
        address: String,
    },
    /// What should be a host and a port is none.
    #[error(
        "{address:?} is not a host and a port: write feed.example.com:7001, 192.0.2.1:7001 or [2001:db8::1]:7001"
    )]
    Host {
        /// What stands between `tcp://` and `?`.
        address: String,
    },
    /// A group cannot be connected to.
    #[error(
        "{host} is a multicast group, and a connection has one publisher: write udp://, or the publisher's address"
    )]
    Group {
        /// The group.
        host: IpAddr,
    },
    /// One of several addresses does not fit, or the only one does not fit its parameters.
    #[error("{address} does not fit: {wanted}")]
    Addresses {
        /// The address.
        address: SocketAddr,
        /// What fits.
        wanted: &'static str,
    },
    /// Port 0 can neither be sent nor connected to.
    #[error(
        "port 0 cannot be reached: choose a port from 1 to 65535 (only a publisher may bind tcp:// to port 0, for any that is free)"
    )]
    Port,
    /// A parameter that does not exist.
    #[error("there is no parameter {name:?}: {exist} exist")]
    Parameter {
        /// Its name.
        name: String,
        /// Those that do.
        exist: &'static str,
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
