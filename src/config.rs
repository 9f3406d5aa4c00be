//! Every setting with its default, unit, reason and cost, in one place.

mod lines;
mod policy;
mod stream;
mod tuning;

use core::time::Duration;

use crate::endpoint::Endpoint;
use crate::endpoint::EndpointError;
use crate::endpoint::TcpEndpoint;
use crate::endpoint::UdpEndpoint;
use crate::error::Error;
use crate::protocol::Order;
use crate::sim::Faults;

pub use lines::JOINED;
pub(crate) use lines::LINES;
pub use policy::Policy;
pub(crate) use stream::Carriers;
pub(crate) use stream::Followed;
pub(crate) use stream::Reconnect;
pub use stream::STREAMS;
pub use stream::Start;
pub use stream::TOPICS;
pub(crate) use tuning::Tuning;
pub use tuning::Wait;

/// UDP payload of a datagram, in bytes: fits an Ethernet frame with room for a tunnel's headers.
pub const DATAGRAM: usize = 1_400;
/// Bytes of a batch of a publisher that has connections alone: no network's limit counts there, and one header and one
/// checksum serve 112 messages of 32 bytes, instead of 38 in a [`DATAGRAM`].
pub const STREAM_BATCH: usize = 4_096;
/// Retransmit ring, in bytes: a second of history at 32 MB/s.
pub const RING: usize = 32 << 20;
/// The longest message, in bytes, if a quarter of the ring is not less.
pub const LONGEST_MESSAGE: usize = 16 << 20;
/// How long a message waits for others while messages flow.
pub const LINGER: Duration = Duration::from_micros(50);
/// `SO_RCVBUF` a subscriber asks for; the kernel grants at most `net.core.rmem_max`.
pub const RECEIVE_BUFFER: usize = 8 << 20;
/// `SO_SNDBUF` a publisher asks for; the kernel grants at most `net.core.wmem_max`.
pub const SEND_BUFFER: usize = 1 << 20;
/// Early batches a subscriber keeps of each source, in bytes.
pub const REORDER_WINDOW: usize = 4 << 20;
/// How long dropping a publisher waits for its subscribers.
pub const FINISH_ON_DROP: Duration = Duration::from_secs(1);

/// Settings of a [`Publisher`](crate::Publisher); see [`Publisher::builder`](crate::Publisher::builder).
#[derive(Debug, Clone)]
#[must_use = "nothing is opened before `open`"]
pub struct PublisherBuilder {
    pub(crate) udp: Vec<Result<UdpEndpoint, EndpointError>>,
    pub(crate) tcp: Option<Result<TcpEndpoint, EndpointError>>,
    pub(crate) joined: usize,
    pub(crate) datagram: Option<usize>,
    pub(crate) fragment: bool,
    pub(crate) ring: usize,
    pub(crate) policy: Policy,
    pub(crate) linger: Duration,
    pub(crate) timestamps: bool,
    pub(crate) driven: bool,
    pub(crate) send_buffer: usize,
    pub(crate) receive_buffer: usize,
    pub(crate) tuning: Tuning,
    pub(crate) background_core: Option<usize>,
    pub(crate) streams: usize,
}

impl Default for PublisherBuilder {
    fn default() -> Self {
        Self {
            udp: Vec::new(),
            tcp: None,
            joined: JOINED,
            datagram: None,
            fragment: false,
            ring: RING,
            policy: Policy::DROP,
            linger: LINGER,
            timestamps: false,
            driven: false,
            send_buffer: SEND_BUFFER,
            receive_buffer: RECEIVE_BUFFER,
            tuning: Tuning::default(),
            background_core: None,
            streams: STREAMS,
        }
    }
}

impl PublisherBuilder {
    /// Where to publish, already parsed: as [`udp`](Self::udp) or [`tcp`](Self::tcp).
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        match endpoint.into() {
            Endpoint::Udp(udp) => self.udp.push(Ok(udp)),
            Endpoint::Tcp(tcp) => self.tcp = Some(Ok(tcp)),
        }
        self
    }

    /// Bytes of UDP payload in a datagram, 512 to 65,000; default 1,400. Larger ones than the interface's MTU carries
    /// are refused at open, unless [`fragment`](Self::fragment) is set. It is the size of a batch over connections, too;
    /// with these alone, where no network's limit counts, the default is [`STREAM_BATCH`].
    pub fn datagram(mut self, bytes: usize) -> Self {
        self.datagram = Some(bytes);
        self
    }

    /// Lets the network layer cut datagrams that are larger than the MTU; default no, since losing one part loses all.
    pub fn fragment(mut self, yes: bool) -> Self {
        self.fragment = yes;
        self
    }

    /// Bytes of retransmit ring; default 32 MiB, at least 512 KiB, touched at open: what it still holds can be repaired.
    /// Beside it a publisher takes 4 KiB for each 64 KiB of it, 0.8 MiB of its own, some 200 bytes for each subscriber,
    /// and what the kernel grants its socket. Rule of thumb: the rate in bytes a second times the longest
    /// stall that a subscriber should survive.
    pub fn ring(mut self, bytes: usize) -> Self {
        self.ring = bytes;
        self
    }

    /// What to do for slow subscribers; default [`Policy::DROP`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a message waits for others in a burst, 1 s at most; default 50 µs. The tail of a burst that nobody
    /// flushes leaves after two naps of the background thread, of a millisecond at most. Zero sends every message at once and alone. A
    /// message that does not follow another within microseconds never waits.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Puts the time of sending (wall clock, ns) in each datagram, 8 bytes; default no.
    pub fn timestamps(mut self, yes: bool) -> Self {
        self.timestamps = yes;
        self
    }

    /// No background thread: the caller drives repairs and heartbeats with [`Publisher::poll`](crate::Publisher::poll),
    /// at least every 100 ms and better every millisecond. For those who pin cores.
    pub fn driven(mut self, yes: bool) -> Self {
        self.driven = yes;
        self
    }

    /// `SO_SNDBUF` of each line to ask for, in bytes of kernel memory; default 1 MiB.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// `SO_RCVBUF` of each line to ask for, in bytes of kernel memory, for NAK and STATUS; default 8 MiB.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes;
        self
    }

    /// Bytes of a batch, as chosen or by default.
    pub(crate) fn batch(&self) -> usize {
        self.datagram.unwrap_or(if self.udp.is_empty() { STREAM_BATCH } else { DATAGRAM })
    }

    pub(crate) fn check(&self) -> Result<Carriers, Error> {
        let carriers = self.carriers()?;
        within("datagram", self.batch(), 512, 65_000)?;
        within("ring", self.ring, 8 * 65_536, 1 << 40)?;
        within_time("linger", self.linger, (Duration::ZERO, Duration::from_secs(1)))?;
        self.tuning.check()?;
        Ok(carriers)
    }
}

pub(crate) fn within_count(
    setting: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let wanted = format!("choose {least} to {most}");
    Err(Error::Setting { setting, value: value as u64, wanted })
}

fn within(setting: &'static str, value: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let wanted = format!("choose {least} to {most} bytes");
    Err(Error::Setting { setting, value: value as u64, wanted })
}

fn within_time(
    setting: &'static str,
    value: Duration,
    (least, most): (Duration, Duration),
) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let wanted = format!("nanoseconds do not fit: choose {least:?} to {most:?}");
    let value = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
    Err(Error::Setting { setting, value, wanted })
}

/// Settings of a [`Subscriber`](crate::Subscriber); see [`Subscriber::builder`](crate::Subscriber::builder).
#[derive(Debug, Clone)]
#[must_use = "nothing is opened before `open`"]
pub struct SubscriberBuilder {
    pub(crate) udp: Vec<Result<UdpEndpoint, EndpointError>>,
    pub(crate) tcp: Option<Result<TcpEndpoint, EndpointError>>,
    pub(crate) topics: Vec<Vec<u8>>,
    pub(crate) order: Order,
    pub(crate) repair: bool,
    pub(crate) conflate: Option<usize>,
    pub(crate) observer: bool,
    pub(crate) receive_buffer: Option<usize>,
    pub(crate) reorder_window: usize,
    pub(crate) guard_time: Option<Duration>,
    pub(crate) repair_timeout: Duration,
    pub(crate) silence: Duration,
    pub(crate) sources: usize,
    pub(crate) faults: Faults,
    pub(crate) tuning: Tuning,
    pub(crate) start: Start,
    pub(crate) reconnect: Reconnect,
}

impl Default for SubscriberBuilder {
    fn default() -> Self {
        Self {
            udp: Vec::new(),
            tcp: None,
            topics: Vec::new(),
            order: Order::Ordered,
            repair: true,
            conflate: None,
            observer: false,
            receive_buffer: None,
            reorder_window: REORDER_WINDOW,
            guard_time: None,
            repair_timeout: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            sources: 64,
            faults: Faults::default(),
            tuning: Tuning::default(),
            start: Start::Live,
            reconnect: Reconnect::default(),
        }
    }
}

impl SubscriberBuilder {
    /// What to listen to. An error in the URI is told by `open`.
    ///
    /// Called again it adds a line: the same sessions by another group, address or interface, up to 16 of them, and one
    /// [connection](Self::tcp) beside them. Each message is handed on once, when its first copy comes; one that is
    /// missing is asked for only when every line that lives has gone past it, or after a guard of 1 to 20 ms; and a line
    /// that is silent changes nothing but the counters ([`SourceSnapshot::lines`](crate::SourceSnapshot::lines)). Each line
    /// has sockets and receive buffers of its own.
    ///
    /// ```
    /// use nakcast::Subscriber;
    ///
    /// let subscriber = Subscriber::builder()
    ///     .udp("udp://239.192.7.21:4121?interface=lo")
    ///     .udp("udp://239.192.7.22:4122?interface=lo")
    ///     .open()?;
    /// assert_eq!(subscriber.lines().len(), 2);
    /// # Ok::<(), nakcast::Error>(())
    /// ```
    pub fn udp(mut self, uri: &str) -> Self {
        self.udp.push(uri.parse());
        self
    }

    /// What to listen to, already parsed; as [`udp`](Self::udp) or [`tcp`](Self::tcp).
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint>) -> Self {
        match endpoint.into() {
            Endpoint::Udp(udp) => self.udp.push(Ok(udp)),
            Endpoint::Tcp(tcp) => self.tcp = Some(Ok(tcp)),
        }
        self
    }

    /// Only messages whose topic begins with `prefix`; call it again for more. Default: all. Over UDP the others still
    /// cross the network, and over TCP the publisher is told (1,024 prefixes at most); either way they are counted as filtered.
    pub fn topic(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.topics.push(prefix.as_ref().to_vec());
        self
    }

    /// Messages as they arrive instead of by offset; default no. Each still comes at most once, and what is lost is
    /// still told.
    pub fn as_arrived(mut self) -> Self {
        self.order = Order::AsArrived;
        self
    }

    /// Whether to ask for what is missing; default yes. Without, it is lost as soon as it cannot be mere reordering.
    pub fn repair(mut self, yes: bool) -> Self {
        self.repair = yes;
        self
    }

    /// Only the newest message of each topic, for at most `topics` topics: `recv` first empties the socket. Costs
    /// memory for as many messages. Default: every message.
    pub fn conflate(mut self, topics: usize) -> Self {
        self.conflate = Some(topics);
        self
    }

    /// Only look on: the publisher neither counts this subscriber nor waits for it. Default no.
    pub fn observer(mut self, yes: bool) -> Self {
        self.observer = yes;
        self
    }

    /// `SO_RCVBUF` to ask for, in bytes of kernel memory; default 8 MiB over UDP, and over TCP whatever the kernel finds
    /// best. What it grants decides how much may be under way;
    /// [`Subscriber::receive_buffer`](crate::Subscriber::receive_buffer) tells.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Bytes of early batches kept of each source while a gap before them is mended; default 4 MiB, taken as needed.
    /// Beside it a subscriber takes 0.5 MiB of receive buffers (4.2 MB where the kernel joins no datagrams), some 25 KiB
    /// for each source, and what the kernel grants its sockets; nothing grows with time.
    pub fn reorder_window(mut self, bytes: usize) -> Self {
        self.reorder_window = bytes;
        self
    }

    /// How long a gap may be mere reordering; default a quarter of the round trip, 50 µs at least. Three later
    /// datagrams end it in any case.
    ///
    /// With several lines it is also how long a line that lives is waited for that has not gone past the gap; by default
    /// that is twice what the slowest has lately come after the fastest, 1 ms at least and 20 ms at most, and 250 ms where
    /// nothing is asked for ([`repair`](Self::repair)).
    pub fn guard(mut self, time: Duration) -> Self {
        self.guard_time = Some(time);
        self
    }

    /// How long a gap is asked for before it is told as lost; default 1 s. Messages behind it wait as long.
    pub fn repair_timeout(mut self, time: Duration) -> Self {
        self.repair_timeout = time;
        self
    }

    /// How long a source may be silent before it is called down; default 3 s. Publishers are heard at least every
    /// 100 ms.
    pub fn silence(mut self, time: Duration) -> Self {
        self.silence = time;
        self
    }

    /// How many sources may be up at the same time; default 64, some 25 KiB each.
    pub fn sources(mut self, most: usize) -> Self {
        self.sources = most;
        self
    }

    /// Loses datagrams on purpose, to see what comes of it (UDP); default none. Each of several lines loses others
    /// ([`Faults::for_line`]).
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    pub(crate) fn check(&self) -> Result<Followed, Error> {
        let followed = self.followed()?;
        within("reorder_window", self.reorder_window, 65_536, 1 << 40)?;
        within_count("sources", self.sources, 1, 4_096)?;
        self.tuning.check()?;
        let (millisecond, day) = (Duration::from_millis(1), Duration::from_secs(86_400));
        within_time("guard", self.guard_time.unwrap_or_default(), (Duration::ZERO, Duration::from_secs(10)))?;
        within_time("repair_timeout", self.repair_timeout, (millisecond, day))?;
        within_time("silence", self.silence, (millisecond * 250, day))?;
        Ok(followed)
    }
}
