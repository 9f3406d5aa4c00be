//! What only connections have: where to begin, how many, and how often to try again.

use core::time::Duration;

use crate::config::PublisherBuilder;
use crate::config::SubscriberBuilder;
use crate::config::lines;
use crate::config::lines::subscribable;
use crate::config::within_count;
use crate::config::within_time;
use crate::endpoint::Endpoint;
use crate::endpoint::EndpointError;
use crate::endpoint::TcpEndpoint;
use crate::endpoint::UdpEndpoint;
use crate::error::Error;
use crate::offset::Offset;
use crate::wire::HELLO_TOPICS;
use crate::wire::SessionId;
use crate::wire::StreamId;
use crate::wire::TOPIC_BYTES;

/// Connections of subscribers that a publisher keeps at the same time.
pub const STREAMS: usize = 4_096;
/// Prefixes of topics that one subscriber may name over TCP.
pub const TOPICS: usize = HELLO_TOPICS;

/// Where a subscriber begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Start {
    /// With what is published from now on.
    #[default]
    Live,
    /// With the oldest message that the publisher still holds.
    Earliest,
    /// With this offset, which a message's `offset + offsets` gave. What of it the publisher holds no more is told as lost.
    At(Offset),
    /// Where it was in a session that it followed before: at this offset of it. Of any other session everything is new: it
    /// begins with the oldest message held, and over a connection what came before that is told as lost.
    Resume {
        /// The session that the offset belongs to, as `SourceUp { session, .. }` gave it.
        session: SessionId,
        /// The next offset wanted.
        offset: Offset,
    },
}

/// When a connection that failed is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reconnect {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    /// Rounds of all addresses in a row that may fail.
    pub(crate) limit: Option<u32>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { min: Duration::from_millis(10), max: Duration::from_secs(2), limit: None }
    }
}

impl Reconnect {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (millisecond, day) = (Duration::from_millis(1), Duration::from_secs(86_400));
        within_time("reconnect's min", self.min, (millisecond, day))?;
        within_time("reconnect's max", self.max, (self.min, day))?;
        within_count("reconnect_limit", self.limit.map_or(1, |limit| limit as usize), 1, u32::MAX as usize)
    }
}

/// What a publisher sends by: one of them at least.
#[derive(Debug, Clone)]
pub(crate) struct Carriers {
    pub(crate) udp: Vec<UdpEndpoint>,
    pub(crate) tcp: Option<TcpEndpoint>,
    pub(crate) stream: StreamId,
}

/// What a subscriber listens to: one line at least.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) udp: Vec<UdpEndpoint>,
    pub(crate) tcp: Option<TcpEndpoint>,
}

impl PublisherBuilder {
    /// Where to listen for subscribers that connect, such as `tcp://0.0.0.0:7001`; port 0 takes any that is free. It may
    /// stand beside [`udp`](Self::udp): offsets are the same, and subscribers of either kind may come and go. An error in the
    /// URI is told by `open`.
    pub fn tcp(mut self, uri: &str) -> Self {
        self.tcp = Some(uri.parse());
        self
    }

    /// How many subscribers may be connected at the same time; default 4,096. Each takes a descriptor and some KiB.
    /// Whoever comes then is told that there is no room, and tries again. Peers that have not said what they want count
    /// apart: beyond 1,024 of them, the oldest has to go.
    pub fn streams(mut self, most: usize) -> Self {
        self.streams = most;
        self
    }

    /// Where to publish, by the scheme of the URI.
    pub(crate) fn uri(self, uri: &str) -> Self {
        match uri.parse::<Endpoint>() {
            Ok(endpoint) => self.endpoint(endpoint),
            Err(error) => self.udp_or(Err(error)),
        }
    }

    pub(super) fn carriers(&self) -> Result<Carriers, Error> {
        let (udp, tcp) = (self.lines()?, self.tcp.clone().transpose()?);
        let stream = match (udp.first(), &tcp) {
            (Some(udp), Some(tcp)) if udp.stream != tcp.stream => {
                return Err(Error::StreamsDiffer { udp: udp.stream, tcp: tcp.stream });
            }
            (Some(udp), _) => udp.stream,
            (None, Some(tcp)) => tcp.stream,
            (None, None) => return Err(Error::NoEndpoint),
        };
        if tcp.as_ref().is_some_and(|tcp| !tcp.topics.is_empty()) {
            return Err(Error::TopicsAtPublisher);
        }
        within_count("streams", self.streams, 1, 1 << 20)?;
        Ok(Carriers { udp, tcp, stream })
    }
}

impl SubscriberBuilder {
    /// The publisher to connect to, such as `tcp://feed.example.com:7001?topic=AAPL`; a name that stands for several
    /// addresses is tried at each. It need not be there yet. An error in the URI, or a name that nobody knows, is told by `open`.
    ///
    /// Beside [`udp`](Self::udp) it is one line more. A cut ends nothing then: the connection is made again, as ever, and
    /// goes on where the subscriber is. What lies in the past comes as it does to a subscriber of datagrams.
    pub fn tcp(mut self, uri: &str) -> Self {
        self.tcp = Some(uri.parse());
        self
    }

    /// Where to begin; default [`Start::Live`]. After a cut, a subscriber always goes on where it was.
    ///
    /// What lies in the past comes over TCP, also to a subscriber of UDP: from a publisher that serves both
    /// ([`PublisherBuilder::tcp`]), whose heartbeats tell the port, at the address that they come from. Meanwhile what is
    /// published waits in the [reorder window](SubscriberBuilder::reorder_window) of each source, or is fetched as well. Several publishers are
    /// each joined at their oldest message; an offset stands for the first that is heard. Where there is no port, [`Start::Earliest`]
    /// begins with what comes; of what lies behind an offset, what is not repaired is told as lost.
    pub fn from(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How long to wait before a connection is tried again (TCP): `min` after the first failure, twice as long each time,
    /// `max` at last, each a quarter more or less by chance; default 10 ms and 2 s.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Self {
        (self.reconnect.min, self.reconnect.max) = (min, max);
        self
    }

    /// Gives up when the publisher was tried at all its addresses so often in a row without one message
    /// ([`Error::Unreachable`]); default: never.
    pub fn reconnect_limit(mut self, tries: u32) -> Self {
        self.reconnect.limit = Some(tries);
        self
    }

    /// What to listen to, by the scheme of the URI.
    pub(crate) fn uri(self, uri: &str) -> Self {
        match uri.parse::<Endpoint>() {
            Ok(endpoint) => self.endpoint(endpoint),
            Err(error) => Self { udp: vec![Err(error)], ..self },
        }
    }

    /// What to listen to. The topics of the URI are moved to those named one by one.
    pub(super) fn followed(&self) -> Result<Followed, Error> {
        let udp = self.udp.iter().cloned().map(|line| subscribable(line?)).collect::<Result<Vec<_>, _>>()?;
        let tcp = self.tcp.clone().transpose()?.map(|tcp| self.check_stream(tcp)).transpose()?;
        lines::check(&udp)?;
        match (udp.first(), &tcp) {
            (None, None) => Err(Error::NoEndpoint),
            (Some(udp), Some(tcp)) if udp.stream != tcp.stream => {
                Err(Error::StreamsDiffer { udp: udp.stream, tcp: tcp.stream })
            }
            (None, Some(_)) if !self.faults.is_none() => Err(Error::FaultsNeedUdp),
            _ => Ok(Followed { udp, tcp }),
        }
    }

    fn check_stream(&self, mut endpoint: TcpEndpoint) -> Result<TcpEndpoint, Error> {
        if endpoint.port == 0 {
            return Err(EndpointError::Port.into());
        }
        self.reconnect.check()?;
        endpoint.topics.extend(self.topics.iter().cloned());
        within_count("the number of topics", endpoint.topics.len(), 0, TOPICS)?;
        let longest = endpoint.topics.iter().map(Vec::len).max().unwrap_or(0);
        within_count("the length of a topic", longest, 0, TOPIC_BYTES)?;
        Ok(endpoint)
    }
}
