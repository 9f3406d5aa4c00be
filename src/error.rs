//! What can go wrong, one type for each boundary.

use core::time::Duration;
use std::io;

use crate::endpoint::EndpointError;
pub use crate::io::InterfaceError;
pub use crate::io::SocketError;
use crate::offset::Offset;
use crate::wire::ReceiverId;

/// Why a publisher or a subscriber did not open, or broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No endpoint was given.
    #[error("no endpoint: name one with `.udp(\"udp://239.192.0.1:4000?interface=lo\")`")]
    NoEndpoint,
    /// The URI is not an endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The network interface is not to be had.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The socket did not open.
    #[error(transparent)]
    Socket(#[from] SocketError),
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
    /// The system refused something that it should not.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
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
