//! Why a connection does not come about, or came to an end.

use std::io;
use std::net::SocketAddr;

use crate::wire::CloseReason;
use crate::wire::DecodeError;

/// What the user has to know: waiting alone does not mend it.
#[derive(Debug)]
pub(crate) enum LinkFault {
    /// The name is not known.
    Unknown { host: String, error: io::Error },
    /// The publisher has no such stream.
    NoStream { address: SocketAddr },
    /// The publisher cannot serve what it was asked.
    Broken { address: SocketAddr },
    /// As many rounds failed as the user allowed.
    Unreachable { host: String, rounds: u32, error: io::Error },
    /// The system refused to wait.
    System { doing: &'static str, error: io::Error },
}

/// Why one connection, or the attempt at it, is over.
#[derive(Debug)]
pub(super) enum Cause {
    /// It did not come about.
    Failed(io::Error),
    /// It was, and is not any more.
    Cut(io::Error),
    /// Nothing came over it for the time of silence.
    Silent,
    /// What came was no message.
    Damaged(Option<DecodeError>),
    /// The publisher said that it closes.
    Closed(CloseReason),
}

impl Cause {
    /// As what the system might have said.
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::Failed(error) | Self::Cut(error) => error,
            Self::Silent => io::Error::new(io::ErrorKind::TimedOut, "nothing came over the connection"),
            Self::Damaged(None) => io::Error::new(io::ErrorKind::InvalidData, "what came is damaged"),
            Self::Damaged(Some(error)) => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
            Self::Closed(reason) => io::Error::new(
                io::ErrorKind::ConnectionAborted,
                format!("the publisher closes: {}", word(reason)),
            ),
        }
    }
}

const fn word(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Stream => "it carries no such stream",
        CloseReason::Full => "it has no room for another subscriber",
        CloseReason::Broken => "it did not understand the request",
        CloseReason::Slow => "this subscriber is too slow",
        CloseReason::Evicted => "this subscriber held it for too long",
    }
}
