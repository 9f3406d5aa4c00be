//! What a node says of itself.

use core::fmt;

use crate::discovery::DiscoveryError;
use crate::discovery::beacon::BEACON_BYTES;
use crate::discovery::beacon::ENDPOINTS;
use crate::discovery::beacon::is_name;
use crate::endpoint::Endpoint;
use crate::wire::SessionId;
use crate::wire::StreamId;

/// Bytes of a name, at most.
pub(super) const NAME_BYTES: usize = 64;
/// What a beacon takes beside the name and the endpoints.
const AROUND: usize = 40;

/// Names a node: random, drawn anew each time one is opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:016x})", self.0)
    }
}

/// What a node tells the others: its name, the session it publishes, and where that can be subscribed to.
///
/// A `tcp://` endpoint at 0.0.0.0 or `[::]` stands for the address that the beacons come from, so a publisher that
/// listens everywhere is announced as it is.
///
/// ```
/// use nakcast::Announcement;
/// use nakcast::Publisher;
/// use nakcast::TcpEndpoint;
///
/// let publisher = Publisher::bind("tcp://0.0.0.0:0")?;
/// let port = publisher.stream_address().map_or(0, |address| address.port());
/// let announcement =
///     Announcement::new("press 4", publisher.session()).endpoint(TcpEndpoint::new("0.0.0.0", port));
/// # publisher.abort();
/// # Ok::<(), nakcast::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// For people: 64 bytes at most, without control characters. Nobody makes sure that it is the only one.
    pub name: String,
    /// The session of its publisher.
    pub session: SessionId,
    /// Where that publisher is to be had: 8 at most, all of one stream.
    pub endpoints: Vec<Endpoint>,
}

impl Announcement {
    /// A node of this name, whose publisher has this session.
    #[must_use]
    pub fn new(name: impl Into<String>, session: SessionId) -> Self {
        Self { name: name.into(), session, endpoints: Vec::new() }
    }

    /// With one endpoint more.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// The stream of its endpoints; the default one, if it has none.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.endpoints.first().map_or(StreamId(1), Endpoint::stream)
    }

    /// Whether a beacon can say it.
    pub(super) fn check(&self) -> Result<(), DiscoveryError> {
        let unfit = |wanted| Err(DiscoveryError::Announcement { wanted });
        if !is_name(&self.name) {
            return unfit("choose a name of 1 to 64 bytes, without control characters");
        }
        if self.endpoints.len() > ENDPOINTS {
            return unfit("name 8 endpoints at most");
        }
        if self.endpoints.iter().any(|endpoint| endpoint.stream() != self.stream()) {
            return unfit("name endpoints of one stream only");
        }
        if self.endpoints.iter().any(is_nowhere) {
            return unfit(
                "name the port that the publisher listens at (`Publisher::stream_address`) instead of 0",
            );
        }
        let texts = self.endpoints.iter().map(|endpoint| endpoint.to_string().len());
        let bytes = texts.clone().map(|bytes| 1 + bytes).sum::<usize>() + AROUND + self.name.len();
        if bytes > BEACON_BYTES || texts.clone().any(|bytes| bytes > 255) {
            return unfit("shorten the endpoints: 255 bytes each and 1,200 bytes in all fit a beacon");
        }
        Ok(())
    }
}

fn is_nowhere(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(tcp) if tcp.port == 0)
}
