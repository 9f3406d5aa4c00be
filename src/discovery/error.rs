//! What can be in the way of finding others.

use core::time::Duration;
use std::io;

use crate::endpoint::EndpointError;
use crate::error::Error;
use crate::error::InterfaceError;
use crate::error::SocketError;

/// Why nodes do not find one another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The URI is not one of datagrams.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The network interface is not to be had.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The socket did not open, or the address is no group.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The announcement does not fit a beacon.
    #[error("the announcement does not fit: {wanted}")]
    Announcement {
        /// What fits.
        wanted: &'static str,
    },
    /// Beacons come too often, or too seldom.
    #[error("beacons every {0:?}: choose 50 ms to 60 s")]
    Interval(Duration),
    /// The system gave no random number.
    #[error(transparent)]
    Random(#[from] Error),
    /// The system refused something that it should not.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
}

impl DiscoveryError {
    pub(super) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { doing, error }
    }
}
