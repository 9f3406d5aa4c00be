//! What buys latency with processor time, and how datagrams cross the boundary to the kernel; the same on both sides.

use core::time::Duration;

use crate::config::PublisherBuilder;
use crate::config::SubscriberBuilder;
use crate::config::within_time;
use crate::error::Error;

/// What a call does while there is nothing for it to do yet.
///
/// | | wakes up after | costs |
/// | --- | --- | --- |
/// | `Block` | some 30 to 60 µs, of which the scheduler takes most | nothing while it waits |
/// | `Spin` | less than 1 µs | a processor, all of it, all of the time |
/// | `SpinThenBlock(time)` | as `Spin` within the time, else as `Block` | at most `time` of a processor for each wait |
///
/// A thread that spins needs a processor to itself: where the other side, or the kernel's own work, has to share it,
/// spinning is slower than sleeping.
///
/// ```
/// use core::time::Duration;
/// use nakcast::Subscriber;
/// use nakcast::Wait;
///
/// let subscriber = Subscriber::builder()
///     .udp("udp://239.192.7.6:4106?interface=lo")
///     .wait(Wait::SpinThenBlock(Duration::from_micros(50)))
///     .open()?;
/// # Ok::<(), nakcast::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Wait {
    /// Sleeps until the kernel has something.
    #[default]
    Block,
    /// Looks again and again, and never sleeps.
    Spin,
    /// Looks again and again for so long, then sleeps.
    SpinThenBlock(Duration),
}

impl Wait {
    /// How long to spin before the first sleep; `by_itself` is what the library chooses where the user did not.
    pub(crate) const fn spin(self, by_itself: Duration) -> Duration {
        match self {
            Self::Block => by_itself,
            Self::Spin => Duration::MAX,
            Self::SpinThenBlock(time) => time,
        }
    }
}

/// The settings that both sides have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) wait: Wait,
    /// Zero is off.
    pub(crate) busy_poll: Duration,
    pub(crate) segmentation: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { wait: Wait::Block, busy_poll: Duration::ZERO, segmentation: true }
    }
}

impl Tuning {
    pub(crate) fn check(&self) -> Result<(), Error> {
        within_time("busy_poll", self.busy_poll, (Duration::ZERO, Duration::from_secs(1)))
    }
}

impl PublisherBuilder {
    /// What `publish` does while the subscribers' window is closed or the socket full, and what
    /// [`wait_for`](crate::Publisher::wait_for) and [`finish`](crate::Publisher::finish) do; default [`Wait::Block`].
    ///
    /// A closed window is looked at for 200 µs even so before the first sleep, since a report is usually that close;
    /// `SpinThenBlock` says how long instead. While it spins a publisher answers its subscribers itself, and its
    /// background thread stays away.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.tuning.wait = wait;
        self
    }

    /// Has the kernel poll the network card whenever the socket is found empty (`SO_BUSY_POLL`, Linux); default zero,
    /// which is off. Here it hastens NAK and STATUS, not the messages; otherwise as
    /// [`SubscriberBuilder::busy_poll`].
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.tuning.busy_poll = time;
        self
    }

    /// Whether datagrams of equal size go to the kernel as one that it, or the network card, cuts apart (GSO); default
    /// yes. Where the kernel cannot, they go one by one all the same, up to 64 in one system call, and
    /// [`PublisherStats::segmentation`](crate::PublisherStats::segmentation) says so.
    ///
    /// Switch it off to see what it brings (four to ten times the rate for small messages), or for a network card
    /// that cuts badly.
    pub fn segmentation(mut self, yes: bool) -> Self {
        self.tuning.segmentation = yes;
        self
    }

    /// Pins the background thread, which answers subscribers and sends heartbeats, to the processor of this number
    /// (Linux, from 0, as `taskset` counts); default: wherever the system puts it.
    ///
    /// Best away from the one that publishes: each time it wakes up there costs some 65 µs.
    pub fn background_core(mut self, core: usize) -> Self {
        self.background_core = Some(core);
        self
    }
}

impl SubscriberBuilder {
    /// What [`recv`](crate::Subscriber::recv), [`recv_timeout`](crate::Subscriber::recv_timeout) and
    /// [`poll_timeout`](crate::Subscriber::poll_timeout) do when nothing is
    /// here; default [`Wait::Block`].
    ///
    /// One look of `Spin` is one system call on the data socket; the other socket, to which repairs for this
    /// subscriber alone come, is looked at every 64th time, and every other time while something is missing.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.tuning.wait = wait;
        self
    }

    /// Has the kernel poll the network card whenever the data socket is found empty (`SO_BUSY_POLL`, Linux), instead of
    /// waiting for the card's interrupt; default zero, which is off; 1 s at most.
    ///
    /// It is for [`Wait::Spin`]: each look that finds nothing polls the card once, whatever the time. Sleeping polls only
    /// where `net.core.busy_poll` is set as well. Over a connection it does nothing. It takes a card whose driver takes part (most do; loopback and veth do
    /// not), and the processor time of the polling. Older kernels want `CAP_NET_ADMIN` for more than
    /// `net.core.busy_read`, and `open` says so.
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.tuning.busy_poll = time;
        self
    }

    /// Whether the kernel may hand over datagrams of equal size joined, as they left or as they came in a row (GRO);
    /// default yes. [`SubscriberStats::coalescing`](crate::SubscriberStats::coalescing) tells whether it does.
    ///
    /// Without, each takes a receive buffer of its own, and there are 64 of them instead of 8: 4.2 MB instead
    /// of 0.5.
    pub fn segmentation(mut self, yes: bool) -> Self {
        self.tuning.segmentation = yes;
        self
    }
}
