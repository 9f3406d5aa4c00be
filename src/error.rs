//! What can go wrong, one type for each boundary.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use crate::endpoint::EndpointError;
pub use crate::io::InterfaceError;
use crate::io::LinkFault;
pub use crate::io::SocketError;
use crate::offset::Offset;
use crate::wire::ReceiverId;
use crate::wire::StreamId;

/// Why a publisher or a subscriber did not open, or broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No endpoint was given.
    #[error(
        "no endpoint: name one with `.udp(\"udp://239.192.0.1:4000?interface=lo\")` or `.tcp(\"tcp://127.0.0.1:7001\")`"
    )]
    NoEndpoint,
    /// A publisher carries one stream, whatever carries it.
    #[error("udp:// names stream {udp} and tcp:// stream {tcp}: write the same stream= in both")]
    StreamsDiffer {
        /// Over UDP.
        udp: StreamId,
        /// Over TCP.
        tcp: StreamId,
    },
    /// All lines carry one stream.
    #[error("{one} and {other} name different streams: write the same stream= in both")]
    LinesDiffer {
        /// The first line.
        one: String,
        /// The one that differs.
        other: String,
    },
    /// A subscriber would hear the same twice from one publisher.
    #[error("{address} is named twice, by {one} and {other}: leave one out, or name two interfaces")]
    LineTwice {
        /// The address.
        address: SocketAddr,
        /// The first line.
        one: String,
        /// The one that repeats it.
        other: String,
    },
    /// A copy for each of several subscribers is what a publisher sends.
    #[error("{uri} is for a publisher: a subscriber names the one address at which it listens")]
    SeveralAddresses {
        /// The endpoint.
        uri: String,
    },
    /// A publisher has no use for topics in its URI.
    #[error("topic= is for subscribers: leave it out of the publisher's URI")]
    TopicsAtPublisher,
    /// A connection loses nothing, on purpose or otherwise.
    #[error(
        "faults lose datagrams, which a tcp:// endpoint has none of: leave `.faults(..)` out, or use udp://"
    )]
    FaultsNeedUdp,
    /// The URI is not an endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The network interface is not to be had.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The socket did not open.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Connections cannot be taken there.
    #[error("cannot listen at {address}: {error}{}", listen_hint(.error))]
    Listen {
        /// The endpoint.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// A setting does not fit.
    #[error("{setting} is {value}: {wanted}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it was set to.
        value: u64,
        /// What fits.
        wanted: String,
    },
    /// The publisher's name is not known.
    #[error("{host} cannot be looked up ({error}): check how it is written, or write its address")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the system's resolver said.
        error: io::Error,
    },
    /// The publisher will never have anything for this subscriber. A later call asks it again.
    #[error("the publisher at {address} refuses this subscriber: {reason}")]
    Refused {
        /// The publisher.
        address: SocketAddr,
        /// Why.
        reason: Refusal,
    },
    /// The publisher was tried as often as the user allows. A later call tries as often again.
    #[error(
        "no connection to {host} after {tries} tries (last: {error}): start the publisher, check host and port, or allow more with `.reconnect_limit(..)`"
    )]
    Unreachable {
        /// Its name and port.
        host: String,
        /// How often each of its addresses was tried.
        tries: u32,
        /// What happened last.
        error: io::Error,
    },
    /// The system refused something that it should not.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
}

/// Why a publisher refuses a subscriber for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not publish that stream.
    #[error("it publishes no such stream; write the stream= that it does")]
    Stream,
    /// It cannot serve the request.
    #[error(
        "it cannot serve this request; begin no later than with what it published (`Start::At`), and use the same version on both sides"
    )]
    Broken,
}

impl From<LinkFault> for Error {
    fn from(fault: LinkFault) -> Self {
        match fault {
            LinkFault::Unknown { host, error } => Self::UnknownHost { host, error },
            LinkFault::NoStream { address } => Self::Refused { address, reason: Refusal::Stream },
            LinkFault::Broken { address } => Self::Refused { address, reason: Refusal::Broken },
            LinkFault::Unreachable { host, rounds: tries, error } => Self::Unreachable { host, tries, error },
            LinkFault::System { doing, error } => Self::System { doing, error },
        }
    }
}

/// What to do about an address that connections cannot be taken at.
fn listen_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process holds the port: stop it, or choose another (0 takes any that is free)"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; that is no address of this machine: `ip address` lists those, and 0.0.0.0 or [::] stands for all"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE: choose one above",
        _ => "; is the name known, and one of this machine?",
    }
}

impl Error {
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { doing, error }
    }
}

/// Why a message was not published: nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The message is longer than the ring can serve repairs for.
    #[error(
        "a message of {bytes} bytes is more than {most}, a quarter of the ring at most: split it, or enlarge the ring"
    )]
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// A claimed message must fit one datagram.
    #[error(
        "{bytes} bytes do not fit one datagram, which has room for {most}: publish them instead of claiming"
    )]
    DoesNotFitDatagram {
        /// Its bytes.
        bytes: usize,
        /// The most, with this topic.
        most: usize,
    },
    /// The topic is longer than its length field can say.
    #[error("a topic of {bytes} bytes is more than 255: shorten it")]
    TopicTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// `publish` would wait now, for the subscribers' window or the socket. A message longer than that window is never
    /// taken by `try_publish`.
    #[error(
        "the subscribers' window is closed or the socket full: try again later, or use publish, which waits"
    )]
    WouldBlock,
    /// The publisher has finished.
    #[error("the publisher has finished")]
    Finished,
}

/// Not every subscriber has everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {waited:?}, {} of the subscribers have not confirmed everything", .laggards.len())]
pub struct FinishError {
    /// How long was waited.
    pub waited: Duration,
    /// Who has not, and the next offset each still wants.
    pub laggards: Vec<(ReceiverId, Offset)>,
}

/// Fewer subscribers came than were waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{came} of {wanted} subscribers came within {waited:?}: start them, and check that they name the same group, port, interface and stream"
)]
pub struct WaitError {
    /// How many were waited for.
    pub wanted: usize,
    /// How many came.
    pub came: usize,
    /// How long was waited.
    pub waited: Duration,
}
