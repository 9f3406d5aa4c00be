//! The lines of a publisher: each a socket that carries everything.

use core::net::SocketAddr;

use crate::config::PublisherBuilder;
use crate::config::within_count;
use crate::endpoint::EndpointError;
use crate::endpoint::UdpEndpoint;
use crate::error::Error;

/// Subscribers that may have joined a publisher at the same time (`join=yes`), each of which is sent a copy.
pub const JOINED: usize = 256;
/// The most lines of one publisher, or subscriber.
pub(crate) const LINES: usize = 16;

impl PublisherBuilder {
    /// Where to publish: a group, or one subscriber's address. An error in the URI is told by `open`.
    ///
    /// Called again, it adds a *line*: a socket of its own, that carries the same session, so that each message goes to
    /// an A and a B group, perhaps on two networks. A line may also go to several subscribers, each of which is sent a copy
    /// (`udp://10.0.0.5:4000,10.0.0.6:4000`), or to those that ask for it (`udp://10.0.0.1:4000?join=yes`, the publisher's
    /// own address): for networks without multicast. 16 lines at most.
    ///
    /// Each batch is handed to every line's socket in turn, and to every place on it. While a socket is full the publisher
    /// waits, as it does with one line: the slowest sets the pace. But one that takes nothing at all for 20 ms, while another
    /// line has taken everything, is not waited for any longer: what it has no room for is lost on that line alone, and counted
    /// ([`LineStats::skipped`](crate::LineStats::skipped)), until it takes something again.
    ///
    /// ```
    /// use nakcast::Publisher;
    /// let publisher = Publisher::builder()
    ///     .udp("udp://239.192.7.8:4108?interface=lo")
    ///     .udp("udp://239.192.7.9:4109?interface=lo")
    ///     .udp("udp://127.0.0.1:4110,127.0.0.1:4111?interface=lo")
    ///     .open()?;
    /// let places: Vec<_> = publisher.lines().iter().map(|line| line.destinations).collect();
    /// assert_eq!(places, [1, 1, 2]);
    /// # publisher.abort();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn udp(self, uri: &str) -> Self {
        self.udp_or(uri.parse())
    }

    /// How many subscribers may have joined at the same time (`join=yes`); default 256. Each is sent a copy of
    /// everything, so it is the network that bounds them. Whoever comes then is sent nothing, and may ask again.
    pub fn joined(mut self, most: usize) -> Self {
        self.joined = most;
        self
    }

    pub(super) fn udp_or(mut self, line: Result<UdpEndpoint, EndpointError>) -> Self {
        self.udp.push(line);
        self
    }

    /// The lines, which are of one stream and go to different places.
    pub(super) fn lines(&self) -> Result<Vec<UdpEndpoint>, Error> {
        let lines = self.udp.iter().cloned().collect::<Result<Vec<_>, _>>()?;
        within_count("joined", self.joined, 1, 4_096)?;
        check(&lines)?;
        Ok(lines)
    }
}

/// Whether these can be lines of one stream.
pub(super) fn check(lines: &[UdpEndpoint]) -> Result<(), Error> {
    within_count("the number of lines", lines.len(), 0, LINES)?;
    for (at, other) in lines.iter().enumerate() {
        for one in lines.iter().take(at) {
            check_pair(one, other)?;
        }
    }
    Ok(())
}

fn check_pair(one: &UdpEndpoint, other: &UdpEndpoint) -> Result<(), Error> {
    if one.stream != other.stream {
        return Err(Error::LinesDiffer { one: one.to_string(), other: other.to_string() });
    }
    let is_there_too = |address: &SocketAddr| other.addresses().any(|same| same == *address);
    match one.addresses().find(is_there_too).filter(|_| one.interface == other.interface) {
        Some(address) => Err(Error::LineTwice { address, one: one.to_string(), other: other.to_string() }),
        None => Ok(()),
    }
}

/// The endpoint, if a subscriber can listen to it.
pub(super) fn subscribable(uri: UdpEndpoint) -> Result<UdpEndpoint, Error> {
    if !uri.others.is_empty() {
        return Err(Error::SeveralAddresses { uri: uri.to_string() });
    }
    Ok(uri)
}
