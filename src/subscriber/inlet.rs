//! Where messages come from: datagrams from anybody, a connection to one publisher, or several of these.

use core::net::SocketAddr;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use crate::error::Error;
use crate::io::Clock;
use crate::io::pause;
use crate::protocol::LineId;
use crate::protocol::LineNews;
use crate::protocol::Origin;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::Step;
use crate::protocol::SubscriptionStats;
use crate::stats::LineSnapshot;
use crate::stats::SubscriberStats;
use crate::subscriber::datagrams::Datagrams;
use crate::subscriber::lines::Lines;
use crate::subscriber::stream::Stream;
use crate::time::Time;

/// How often a subscriber that catches up looks for more: it is in no hurry, and whoever shares its processor feels each
/// time that it wakes.
const UNHURRIED: Duration = Duration::from_micros(500);

/// One of the three; which one never changes, so a processor guesses it right.
#[expect(clippy::large_enum_variant, reason = "a subscriber has one, and datagrams go without a detour")]
pub(super) enum Inlet {
    Datagrams(Datagrams),
    Stream(Box<Stream>),
    Lines(Box<Lines>),
}

impl Inlet {
    /// The bytes of the datagram, or the message of a connection, taken last.
    #[inline]
    pub(super) fn current(&self) -> &[u8] {
        match self {
            Self::Datagrams(datagrams) => datagrams.current(),
            Self::Stream(stream) => stream.current(),
            Self::Lines(lines) => lines.current(),
        }
    }

    /// The next of those that were read.
    #[inline]
    pub(super) fn next_datagram(&mut self) -> Option<(Origin, &[u8])> {
        let (from, bytes) = match self {
            Self::Datagrams(datagrams) => datagrams.next_datagram(),
            Self::Stream(stream) => stream.next_message(),
            Self::Lines(lines) => return lines.next_datagram(),
        }?;
        Some((from.into(), bytes))
    }

    /// How the one taken last was received. Datagrams are judged one by one; on a connection, nothing that follows a
    /// damaged message can be believed.
    #[inline]
    pub(super) fn judge(&mut self, stats: &SubscriptionStats) {
        match self {
            Self::Datagrams(_) => {}
            Self::Stream(stream) => stream.judge(stats),
            Self::Lines(lines) => lines.judge(stats),
        }
    }

    /// Reads more; whether there was any, or other news.
    pub(super) fn fill(&mut self, now: Time, is_recovering: bool) -> Result<bool, Error> {
        match self {
            Self::Datagrams(datagrams) => datagrams.fill_all(now, is_recovering),
            Self::Stream(stream) => stream.fill(now),
            Self::Lines(lines) => lines.fill(now, is_recovering),
        }
    }

    /// As [`fill`](Self::fill), for someone who will look again at once.
    pub(super) fn glance(&mut self, now: Time, is_recovering: bool) -> Result<bool, Error> {
        match self {
            Self::Datagrams(datagrams) => datagrams.glance_all(now, is_recovering),
            Self::Stream(stream) => stream.glance(now),
            Self::Lines(lines) => lines.glance(now, is_recovering),
        }
    }

    /// Says who this is, and what it wants, on a connection that was just made, or when it wants something else; beside
    /// datagrams, makes one while history is wanted.
    pub(super) fn attend(&mut self, now: Time, receiver: &mut Receiver) -> Result<(), Error> {
        match self {
            Self::Datagrams(datagrams) => datagrams.attend(now, receiver),
            Self::Stream(stream) => {
                stream.greet(receiver);
                Ok(())
            }
            Self::Lines(lines) => lines.attend(now, receiver),
        }
    }

    /// The next message of those that a connection beside the datagrams has brought.
    #[inline]
    pub(super) fn next_history(&mut self) -> Option<(SourceKey, &[u8])> {
        match self {
            Self::Datagrams(datagrams) => datagrams.history.next_message(),
            Self::Stream(_) => None,
            Self::Lines(lines) => lines.next_history(),
        }
    }

    /// What that connection brought last was no message.
    pub(super) fn distrust_history(&mut self) {
        match self {
            Self::Datagrams(datagrams) => datagrams.history.distrust(),
            Self::Stream(_) => {}
            Self::Lines(lines) => lines.distrust_history(),
        }
    }

    /// What is to be asked for from now on, where there is somebody to ask.
    pub(super) fn set_topics(&mut self, topics: Vec<Vec<u8>>) -> Result<(), Error> {
        match self {
            Self::Datagrams(_) => Ok(()),
            Self::Stream(stream) => stream.set_topics(topics),
            Self::Lines(lines) => lines.set_topics(topics),
        }
    }

    /// Looks at what the user is told.
    pub(super) fn notice(&mut self, step: &Step) {
        if let (Self::Stream(stream), Step::Up(up)) = (self, step) {
            stream.follow(up.source);
        }
    }

    pub(super) fn forget(&mut self) {
        match self {
            Self::Datagrams(datagrams) => datagrams.forget(),
            Self::Stream(stream) => stream.forget(),
            Self::Lines(lines) => lines.forget(),
        }
    }

    /// Whether the last look, or the last wait, has found nothing; otherwise a wait of no length settles it.
    pub(super) fn is_surely_empty(&self) -> bool {
        match self {
            Self::Datagrams(datagrams) => datagrams.is_surely_empty(),
            Self::Stream(stream) => stream.is_surely_empty(),
            Self::Lines(lines) => lines.is_surely_empty(),
        }
    }

    /// When a connection wants to go on although nothing comes: to be made, or given up.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        match self {
            Self::Datagrams(datagrams) => datagrams.history.next_timeout(),
            Self::Stream(stream) => stream.next_timeout(),
            Self::Lines(lines) => lines.next_timeout(),
        }
    }

    /// Sends a NAK or STATUS. What finds no room is counted, and as good as lost on the way.
    pub(super) fn send(&mut self, now: Time, (line, to): (LineId, SocketAddr), datagram: &[u8]) {
        match self {
            Self::Datagrams(datagrams) => datagrams.send(now, to, datagram),
            Self::Stream(stream) => stream.send(to, datagram),
            Self::Lines(lines) => lines.send(now, (line, to), datagram),
        }
    }

    /// Whether to [`nap`](Self::nap) rather than to [`wait`](Self::wait).
    pub(super) fn may_nap(&self, is_recovering: bool, now: Time, deadline: Option<Time>) -> bool {
        match self {
            Self::Datagrams(datagrams) => datagrams.may_nap(is_recovering, now, deadline),
            Self::Stream(_) | Self::Lines(_) => false,
        }
    }

    pub(super) fn nap(&mut self) -> Result<(), Error> {
        match self {
            Self::Datagrams(datagrams) => datagrams.nap(),
            Self::Stream(_) | Self::Lines(_) => Ok(()),
        }
    }

    /// Whether history comes over a connection of its own.
    fn is_fetching(&self) -> bool {
        match self {
            Self::Datagrams(datagrams) => datagrams.history.link().is_some(),
            Self::Stream(_) => false,
            Self::Lines(lines) => lines.is_fetching(),
        }
    }

    pub(super) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        if self.is_fetching() {
            let time = deadline.map_or(UNHURRIED, |at| at.since(clock.now()).min(UNHURRIED));
            if pause(time).map_err(Error::system("waiting"))? {
                self.forget();
                return Ok(());
            }
        }
        match self {
            Self::Datagrams(datagrams) => datagrams.wait(deadline, clock),
            Self::Stream(stream) => stream.wait(deadline, clock),
            Self::Lines(lines) => lines.wait(deadline, clock),
        }
    }

    pub(super) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        match self {
            Self::Datagrams(datagrams) => datagrams.arm(deadline, clock),
            Self::Stream(stream) => stream.arm(deadline, clock),
            Self::Lines(lines) => lines.arm(deadline, clock),
        }
    }

    /// Leaves the group and joins it again; a connection that is silent is made again by itself.
    pub(super) fn rejoin(&self) {
        match self {
            Self::Datagrams(datagrams) => datagrams.rejoin(),
            Self::Stream(_) => {}
            Self::Lines(lines) => lines.rejoin(),
        }
    }

    /// Something has become of one of several lines.
    pub(super) fn on_line(&self, news: LineNews) {
        if let Self::Lines(lines) = self {
            lines.on_news(news);
        }
    }

    /// What is to be said of each of several lines.
    pub(super) fn lines(&self) -> Vec<LineSnapshot> {
        match self {
            Self::Datagrams(_) | Self::Stream(_) => Vec::new(),
            Self::Lines(lines) => lines.snapshots(),
        }
    }

    /// What the kernel dropped so far, if it is time to ask.
    pub(super) fn kernel_drops(&mut self, now: Time) -> Option<u64> {
        match self {
            Self::Datagrams(datagrams) => datagrams.kernel_drops(now),
            Self::Stream(_) => None,
            Self::Lines(lines) => lines.kernel_drops(now),
        }
    }

    pub(super) fn stats(&self) -> SubscriberStats {
        match self {
            Self::Datagrams(datagrams) => datagrams.stats(),
            Self::Stream(stream) => stream.stats(),
            Self::Lines(lines) => lines.stats(),
        }
    }

    pub(super) fn receive_buffer(&self) -> (usize, usize) {
        match self {
            Self::Datagrams(datagrams) => datagrams.receive_buffer(),
            Self::Stream(stream) => stream.receive_buffer(),
            Self::Lines(lines) => lines.receive_buffer(),
        }
    }
}

#[cfg(unix)]
impl AsFd for Inlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagrams(datagrams) => datagrams.as_fd(),
            Self::Stream(stream) => stream.as_fd(),
            Self::Lines(lines) => lines.as_fd(),
        }
    }
}
