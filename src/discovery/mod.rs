//! Nodes that find one another: each says by multicast, again and again, who it is and where it publishes.
//!
//! There is no server and no configuration but the group. A beacon is one datagram; it comes every second, a quarter more or
//! less by chance, at once when there is something new to say, and within an eighth of a second when somebody new is
//! heard. A node whose beacons stay away for 3.75 seconds (three are missed) is down, and so is one that takes its leave.
//!
//! Nothing proves that a beacon is genuine: whoever can send to the group can announce anything. It is for networks that
//! one trusts. What hostile datagrams cannot do: make it panic, fill memory (1,024 nodes of 1,200 bytes at most), make it
//! louder than eight beacons a second, or take the place of a node that is heard from another address.
//!
//! # A beacon, byte for byte
//!
//! All numbers are little-endian; 1,200 bytes at most in all.
//!
//! | at | field | type | meaning |
//! | --- | --- | --- | --- |
//! | 0 | magic | u16 | `0x424E`, "NB" |
//! | 2 | version | u8 | 1; another is refused |
//! | 3 | flags | u8 | LEAVING 1: nothing comes after it; any other is refused |
//! | 4 | checksum | u32 | CRC-32 (IEEE) of the whole datagram, with this field taken as 0 |
//! | 8 | node | u64 | the node: random, drawn at each start |
//! | 16 | session | u64 | the session that it publishes |
//! | 24 | stream | u32 | the stream of all its endpoints |
//! | 28 | serial | u32 | grows with each announcement of the node; a smaller one than before is ignored |
//! | 32 | interval_ms | u16 | how often it comes, 50 to 60,000 |
//! | 34 | length | u16 | bytes that follow at 40: exactly those there are |
//! | 36 | name | u8 | bytes of the name, 1 to 64 |
//! | 37 | endpoints | u8 | endpoints, 8 at most |
//! | 38 | zero | u16 | 0 |
//! | 40 | | | the name, UTF-8 without control characters |
//! | | | | `endpoints` × (`len u8, len bytes`): URIs as in [`Endpoint`](crate::Endpoint) |

mod announcement;
mod beacon;
mod error;
mod peers;
mod rhythm;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use crate::discovery::beacon::BEACON_BYTES;
use crate::discovery::beacon::Beacon;
use crate::discovery::peers::Peers;
use crate::discovery::rhythm::Rhythm;
use crate::endpoint::UdpEndpoint;
use crate::io::Clock;
use crate::io::Interface;
use crate::io::Poller;
use crate::io::Pool;
use crate::io::PublisherSocket;
use crate::io::SocketOptions;
use crate::io::SubscriberSocket;
use crate::io::UdpSocket;
use crate::publisher::random;
use crate::time::Time;

pub use announcement::Announcement;
pub use announcement::NodeId;
pub use error::DiscoveryError;
pub use peers::DiscoveryEvent;
pub use peers::DiscoveryStats;
pub use peers::Peer;

/// How often a node sends its beacon.
const INTERVAL: Duration = Duration::from_secs(1);
/// For beacons that come while nobody looks: a thousand of them.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Datagrams read at once, and reads in one call before the caller has its turn.
const DATAGRAMS: usize = 16;
const READS: usize = 64;
const HEARD: usize = 0;

/// Finds the other nodes of a group, and tells them of this one.
///
/// It runs on the caller's thread: nothing is sent or heard but in [`poll`](Self::poll) and
/// [`recv_timeout`](Self::recv_timeout), one of which wants to be called every second at least. Dropping it takes leave.
///
/// ```
/// use std::time::Duration;
/// use nakcast::Announcement;
/// use nakcast::Discovery;
/// use nakcast::DiscoveryEvent;
/// use nakcast::SessionId;
/// use nakcast::TcpEndpoint;
///
/// let group = "udp://239.192.7.6:4106?interface=lo";
/// let (mut one, mut other) = (Discovery::open(group)?, Discovery::open(group)?);
/// one.announce(Announcement::new("one", SessionId(1)).endpoint(TcpEndpoint::new("0.0.0.0", 7001)))?;
/// one.poll()?;
/// if let Some(DiscoveryEvent::PeerUp(peer)) = other.recv_timeout(Duration::from_secs(5))? {
///     assert_eq!(peer.announcement.name, "one");
///     println!("{} is at {}", peer.announcement.name, peer.announcement.endpoints[0]);
/// }
/// # Ok::<(), nakcast::DiscoveryError>(())
/// ```
pub struct Discovery {
    node: NodeId,
    group: SocketAddr,
    clock: Clock,
    poller: Poller,
    mouth: UdpSocket,
    ear: UdpSocket,
    pool: Pool,
    /// The socket was not read to its end.
    has_more: bool,
    peers: Peers,
    rhythm: Rhythm,
    serial: u32,
    announcement: Option<Announcement>,
    beacon: Vec<u8>,
}

impl Discovery {
    /// Joins the group of a URI such as `udp://239.192.0.9:4900?interface=lo`, and listens. Other nodes hear nothing of this
    /// one before [`announce`](Self::announce).
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`] names what is in the way, and what to do about it.
    pub fn open(uri: &str) -> Result<Self, DiscoveryError> {
        let endpoint: UdpEndpoint = uri.parse()?;
        let interface = Interface::find(endpoint.interface.as_deref(), endpoint.address.ip())?;
        let group = interface.scoped(endpoint.address.ip(), endpoint.address.port());
        let options =
            SocketOptions { receive_buffer: RECEIVE_BUFFER, busy_poll: Duration::ZERO, segmentation: false };
        let source = endpoint.source;
        let hearing = SubscriberSocket { group, source, interface: interface.clone(), options };
        let mut ear = UdpSocket::multicast_data(&hearing)?;
        let mouth = UdpSocket::publisher(&PublisherSocket {
            port: 0,
            destination: group,
            interface,
            ttl: endpoint.ttl,
            multicast_loop: true,
            send_buffer: 0,
            options: SocketOptions { receive_buffer: 0, ..options },
        })?;
        let mut poller = Poller::new().map_err(DiscoveryError::system("opening a poll"))?;
        poller.add(&mut ear, HEARD).map_err(DiscoveryError::system("polling the socket"))?;
        let [node, seed] = [random()?, random()?];
        Ok(Self {
            node: NodeId(node),
            group,
            clock: Clock::start(),
            poller,
            mouth,
            ear,
            pool: Pool::new(DATAGRAMS, BEACON_BYTES + 1),
            has_more: false,
            peers: Peers::new(NodeId(node)),
            rhythm: Rhythm::new(INTERVAL, seed),
            serial: 0,
            announcement: None,
            beacon: Vec::new(),
        })
    }

    /// Sends beacons so often, from 50 ms to 60 s, give or take a quarter; default 1 s. The others learn it from the beacons.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::Interval`].
    pub fn every(mut self, interval: Duration) -> Result<Self, DiscoveryError> {
        if !(beacon::SHORTEST..=beacon::LONGEST).contains(&interval) {
            return Err(DiscoveryError::Interval(interval));
        }
        self.rhythm = Rhythm::new(interval, random()?);
        Ok(self)
    }

    /// From now on the others are told this, in place of what they were told before. The first beacon leaves with the next
    /// call of [`poll`](Self::poll).
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::Announcement`] for what does not fit a beacon.
    pub fn announce(&mut self, announcement: Announcement) -> Result<(), DiscoveryError> {
        announcement.check()?;
        self.serial = self.serial.saturating_add(1);
        self.announcement = Some(announcement);
        self.rhythm.hurry();
        Ok(())
    }

    /// This node, as the others know it.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The other nodes that are there.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    /// What was counted.
    #[must_use]
    pub const fn stats(&self) -> DiscoveryStats {
        self.peers.stats
    }

    /// The next event, if there is one now; sends the beacon when it is due.
    ///
    /// For event loops: call it until `None`, then wait for the descriptor ([`AsFd`]) to be readable, which it
    /// also is when a beacon is due.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError::System`] when the system refuses to receive.
    pub fn poll(&mut self) -> Result<Option<DiscoveryEvent>, DiscoveryError> {
        // What the poll has told is told again only of what comes from here on, and what came before is read below.
        self.poller.check().map_err(DiscoveryError::system("looking for beacons"))?;
        let event = self.turn()?;
        if event.is_none() {
            let deadline = self.deadline();
            self.poller.arm(deadline, &self.clock).map_err(DiscoveryError::system("setting a timer"))?;
        }
        Ok(event)
    }

    /// The next event, or `None` when there was none for `timeout`. Beacons are sent meanwhile.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<DiscoveryEvent>, DiscoveryError> {
        let until = self.clock.now() + timeout;
        loop {
            let event = self.turn()?;
            if event.is_some() || self.clock.now() >= until {
                return Ok(event);
            }
            let deadline = self.deadline().into_iter().chain([until]).min();
            self.poller.wait(deadline, &self.clock).map_err(DiscoveryError::system("waiting for beacons"))?;
        }
    }

    fn turn(&mut self) -> Result<Option<DiscoveryEvent>, DiscoveryError> {
        let now = self.clock.now();
        self.speak(now);
        self.has_more = true;
        for _ in 0..READS {
            while let Some(span) = self.pool.next_datagram() {
                let (from, bytes) = (self.pool.from(span), self.pool.bytes(span));
                let event = self.peers.handle_datagram(now, from, bytes);
                if let Some(DiscoveryEvent::PeerUp(_)) = event {
                    self.rhythm.greet(now);
                }
                if event.is_some() {
                    return Ok(event);
                }
            }
            let read = self.ear.receive(&mut self.pool);
            if read.map_err(DiscoveryError::system("receiving beacons"))? == 0 {
                self.has_more = false;
                break;
            }
        }
        Ok(self.peers.poll_expired(now))
    }

    /// Sends the beacon, if there is one and it is due. What the system does not send is as good as lost on the way.
    fn speak(&mut self, now: Time) {
        if self.rhythm.is_due(now) && self.announcement.is_some() {
            self.rhythm.sent(now);
            self.send(false);
        }
    }

    fn send(&mut self, leaving: bool) {
        let Some(announcement) = self.announcement.clone() else { return };
        let (node, serial, interval) = (self.node, self.serial, self.rhythm.interval());
        Beacon { node, serial, leaving, interval, announcement }.encode(&mut self.beacon);
        match self.mouth.send(self.group, &self.beacon) {
            Ok(()) => self.peers.stats.sent += 1,
            Err(error) => tracing::debug!(%error, to = %self.group, "a beacon finds no room in the socket"),
        }
    }

    fn deadline(&self) -> Option<Time> {
        if self.has_more {
            return Some(Time::ZERO);
        }
        let speaking = self.announcement.as_ref().map(|_| self.rhythm.next());
        speaking.into_iter().chain(self.peers.next_timeout()).min()
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.send(true);
    }
}

#[cfg(unix)]
impl AsFd for Discovery {
    /// Readable when a beacon has come, or is due.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Discovery");
        shown.field("node", &self.node).field("group", &self.group).finish_non_exhaustive()
    }
}
