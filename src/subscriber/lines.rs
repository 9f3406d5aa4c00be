//! Several lines of one session: the sockets of each, and at most one connection beside them.

use core::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

#[cfg(unix)]
use crate::config::LINES;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::io::Clock;
use crate::io::WatchAll;
use crate::protocol::LineId;
use crate::protocol::LineNews;
use crate::protocol::Origin;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::SubscriptionStats;
use crate::stats::LineSnapshot;
use crate::stats::SubscriberStats;
use crate::subscriber::datagrams::Datagrams;
use crate::subscriber::stream::Stream;
use crate::time::Time;

/// Two sockets for each, the connection, and one that brings history.
#[cfg(unix)]
const DESCRIPTORS: usize = 2 * LINES + 2;

/// One line of datagrams, or more, and perhaps a connection: the last line, then. The first line's history is everybody's.
pub(super) struct Lines {
    names: Vec<Endpoint>,
    groups: Vec<Datagrams>,
    stream: Option<Box<Stream>>,
    /// The line whose datagram was taken last.
    at: usize,
    watch: WatchAll,
}

impl Lines {
    pub(super) fn new(
        names: Vec<Endpoint>,
        groups: Vec<Datagrams>,
        stream: Option<Box<Stream>>,
    ) -> Result<Self, Error> {
        let watch = WatchAll::new().map_err(Error::system("opening a poll"))?;
        Ok(Self { names, groups, stream, at: 0, watch })
    }

    #[inline]
    pub(super) fn current(&self) -> &[u8] {
        match (self.groups.get(self.at), &self.stream) {
            (Some(group), _) => group.current(),
            (None, Some(stream)) => stream.current(),
            (None, None) => &[],
        }
    }

    /// The next of those that were read, line by line.
    #[inline]
    pub(super) fn next_datagram(&mut self) -> Option<(Origin, &[u8])> {
        let address = self.advance()?;
        let line = LineId(u8::try_from(self.at).unwrap_or(u8::MAX));
        Some((Origin { address, line }, self.current()))
    }

    fn advance(&mut self) -> Option<SocketAddr> {
        while let Some(group) = self.groups.get_mut(self.at) {
            if let Some(from) = group.next_sender() {
                return Some(from);
            }
            self.at += 1;
        }
        let next = self.stream.as_mut().and_then(|stream| stream.next_message().map(|(from, _)| from));
        if next.is_none() {
            // History is shown by the first line.
            self.at = 0;
        }
        next
    }

    /// As [`Stream::judge`], for what came over the connection alone.
    pub(super) fn judge(&mut self, stats: &SubscriptionStats) {
        match &mut self.stream {
            Some(stream) if self.at >= self.groups.len() => stream.judge(stats),
            Some(stream) => stream.overlook(stats),
            None => {}
        }
    }

    /// One read of every line, so that none gets ahead of another by more than a read.
    pub(super) fn fill(&mut self, now: Time, is_recovering: bool) -> Result<bool, Error> {
        self.at = 0;
        let mut filled = false;
        for group in &mut self.groups {
            group.look_again();
            filled |= group.fill(is_recovering)?;
        }
        Ok(self.fill_connections(now) || filled)
    }

    /// The same for someone who will look again at once.
    pub(super) fn glance(&mut self, now: Time, is_recovering: bool) -> Result<bool, Error> {
        self.at = 0;
        let mut filled = false;
        for group in &mut self.groups {
            filled |= group.glance(is_recovering)?;
        }
        self.forget_connections();
        Ok(self.fill_connections(now) || filled)
    }

    /// A connection that fails ends nothing while there are other lines: it is made again.
    fn fill_connections(&mut self, now: Time) -> bool {
        let mut filled = self.history().is_some_and(|first| first.history.fill(now));
        if let Some(stream) = &mut self.stream {
            filled |= stream.fill(now).unwrap_or_else(|error| {
                tracing::warn!(%error, "a line fails, which is a connection; it is made again");
                true
            });
        }
        filled
    }

    fn history(&mut self) -> Option<&mut Datagrams> {
        self.groups.first_mut()
    }

    /// As [`Datagrams::attend`] and [`Stream::greet`]: a connection goes on where the source is that was heard on it.
    pub(super) fn attend(&mut self, now: Time, receiver: &mut Receiver) -> Result<(), Error> {
        if let Some(stream) = &mut self.stream {
            let line = LineId(u8::try_from(self.groups.len()).unwrap_or(u8::MAX));
            if let Some(source) = receiver.heard_on(line) {
                stream.follow(source);
            }
            stream.greet(receiver);
        }
        self.history().map_or(Ok(()), |first| first.attend(now, receiver))
    }

    pub(super) fn next_history(&mut self) -> Option<(SourceKey, &[u8])> {
        self.history()?.history.next_message()
    }

    pub(super) fn distrust_history(&mut self) {
        if let Some(first) = self.history() {
            first.history.distrust();
        }
    }

    pub(super) fn set_topics(&mut self, topics: Vec<Vec<u8>>) -> Result<(), Error> {
        self.stream.as_mut().map_or(Ok(()), |stream| stream.set_topics(topics))
    }

    pub(super) fn forget(&mut self) {
        self.groups.iter_mut().for_each(Datagrams::forget);
        self.forget_connections();
    }

    fn forget_connections(&mut self) {
        if let Some(first) = self.history() {
            first.history.forget();
        }
        if let Some(stream) = &mut self.stream {
            stream.forget();
        }
    }

    pub(super) fn is_surely_empty(&self) -> bool {
        self.groups.iter().all(Datagrams::is_surely_empty)
            && self.stream.as_ref().is_none_or(|stream| stream.is_surely_empty())
    }

    pub(super) fn is_fetching(&self) -> bool {
        self.groups.first().is_some_and(|first| first.history.link().is_some())
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let history = self.groups.first().and_then(|first| first.history.next_timeout());
        let stream = self.stream.as_ref().and_then(|stream| stream.next_timeout());
        history.into_iter().chain(stream).min()
    }

    pub(super) fn send(&mut self, now: Time, (line, to): (LineId, SocketAddr), datagram: &[u8]) {
        match (self.groups.get_mut(usize::from(line.0)), &mut self.stream) {
            (Some(group), _) => group.send(now, to, datagram),
            (None, Some(stream)) => stream.send(to, datagram),
            (None, None) => {}
        }
    }

    #[cfg(unix)]
    pub(super) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        let deadline = deadline.into_iter().chain(self.next_timeout()).min();
        let Some(first) = self.groups.first() else { return Ok(()) };
        let beside = first.history.link().map(AsFd::as_fd);
        let beside = beside.into_iter().chain(self.stream.as_ref().map(|stream| stream.as_fd()));
        let all = self.groups.iter().flat_map(Datagrams::sockets).chain(beside);
        let (mut room, mut count) = ([first.sockets()[0]; DESCRIPTORS], 0);
        for (place, socket) in room.iter_mut().zip(all) {
            *place = socket;
            count += 1;
        }
        let sockets = room.get(..count).unwrap_or_default();
        let ready = self.watch.wait(sockets, deadline, clock);
        self.woke(ready.map_err(Error::system("waiting for datagrams"))?);
        Ok(())
    }

    #[cfg(not(unix))]
    pub(super) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        let deadline = deadline.into_iter().chain(self.next_timeout()).min();
        let ready = self.watch.wait_blindly(deadline, clock);
        self.woke(ready.map_err(Error::system("waiting for datagrams"))?);
        Ok(())
    }

    /// A bit for each socket that may hold something, two for each line.
    fn woke(&mut self, ready: u64) {
        for (group, at) in self.groups.iter_mut().zip((0_u32..).step_by(2)) {
            group.woke([at, at + 1].map(|bit| ready & 1 << bit != 0));
        }
        self.forget_connections();
    }

    pub(super) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> Result<(), Error> {
        let deadline = deadline.into_iter().chain(self.next_timeout()).min();
        self.watch.arm(deadline, clock).map_err(Error::system("setting a timer"))
    }

    /// Leaves every group and joins it again.
    pub(super) fn rejoin(&self) {
        self.groups.iter().for_each(Datagrams::rejoin);
    }

    /// Says what became of a line; one that is silent is left and joined again. A connection is made again by itself.
    pub(super) fn on_news(&self, news: LineNews) {
        let name =
            |line: LineId| self.names.get(usize::from(line.0)).map(ToString::to_string).unwrap_or_default();
        match news {
            LineNews::Silent { line, again } => {
                if !again {
                    tracing::warn!(
                        line = name(line),
                        "nothing comes by a line any more, while another is heard"
                    );
                }
                if let Some(group) = self.groups.get(usize::from(line.0)) {
                    group.rejoin();
                }
            }
            LineNews::Heard(line) => tracing::info!(line = name(line), "a line is heard again"),
        }
    }

    pub(super) fn snapshots(&self) -> Vec<LineSnapshot> {
        let of = |(name, at): (&Endpoint, usize)| {
            let stats = self.groups.get(at).map(Datagrams::stats).unwrap_or_default();
            LineSnapshot {
                endpoint: name.clone(),
                is_silent: false,
                kernel_drops: stats.kernel_drops,
                faults: stats.faults,
            }
        };
        self.names.iter().zip(0..).map(of).collect()
    }

    pub(super) fn kernel_drops(&mut self, now: Time) -> Option<u64> {
        let (first, others) = self.groups.split_first_mut()?;
        let drops = first.kernel_drops(now)?;
        Some(others.iter().map(|other| other.stats().kernel_drops).sum::<u64>() + drops)
    }

    /// Sums; of connections, the line's own, where there is one.
    pub(super) fn stats(&self) -> SubscriberStats {
        let stream = self.stream.as_ref().map(|stream| stream.stats());
        let all = self.groups.iter().map(Datagrams::stats);
        let sum = all.reduce(|sum, one| SubscriberStats {
            kernel_drops: sum.kernel_drops + one.kernel_drops,
            faults: sum.faults + one.faults,
            send_errors: sum.send_errors + one.send_errors,
            receive_errors: sum.receive_errors + one.receive_errors,
            ..sum
        });
        let sum = sum.unwrap_or_default();
        let connection = stream.map_or(sum.connection, |stream| stream.connection);
        SubscriberStats { connection, ..sum }
    }

    /// The smallest of all.
    pub(super) fn receive_buffer(&self) -> (usize, usize) {
        let all = self.groups.iter().map(Datagrams::receive_buffer);
        all.min_by_key(|(_, granted)| *granted).unwrap_or_default()
    }
}

#[cfg(unix)]
impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let stream = self.stream.as_ref().map(|stream| stream.as_fd());
        self.watch.descriptor(self.groups.iter().map(AsFd::as_fd).chain(stream))
    }
}
