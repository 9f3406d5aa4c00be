//! A connection beside the datagrams, for as long as it brings what they do not.

use core::time::Duration;

use crate::config::Start;
use crate::io::ConnectionStats;
use crate::io::Link;
use crate::io::LinkSettings;
use crate::protocol::Beginning;
use crate::protocol::LostReason;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::Wanted;
use crate::time::Time;
use crate::wire::Head;
use crate::wire::Hello;
use crate::wire::HelloStart;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::StreamId;
use crate::wire::encode_hello;

/// A connection that was cut is made again after so long, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));

/// Where a subscriber of datagrams begins.
pub(super) fn beginning(start: Start) -> Beginning {
    match start {
        Start::Live => Beginning::Live,
        Start::Earliest => Beginning::Earliest,
        Start::At(offset) => Beginning::At { session: SessionId::default(), offset },
        Start::Resume { session, offset } => Beginning::At { session, offset },
    }
}

/// What a [`History`] is told once.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistorySettings {
    pub(super) stream: StreamId,
    /// Not the name that the datagrams bear: the publisher is not to count this subscriber twice.
    pub(super) receiver: ReceiverId,
    pub(super) silence: Duration,
    pub(super) seed: u64,
}

/// The connection to one source that the receiver wants history from, if any.
#[derive(Debug)]
pub(super) struct History {
    settings: HistorySettings,
    open: Option<Box<(Wanted, Link)>>,
    /// The source whose connection was refused.
    failed: Option<SourceKey>,
    hello: Vec<u8>,
    /// Of the connections before this one.
    stats: ConnectionStats,
    /// Sources joined without their past, as far as was told.
    pastless: u64,
}

impl History {
    pub(super) fn new(settings: HistorySettings) -> Self {
        let stats = ConnectionStats::default();
        Self { settings, open: None, failed: None, hello: Vec::new(), stats, pastless: 0 }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        self.open.as_ref().map(|open| &open.1)
    }

    #[inline]
    pub(super) fn current(&self) -> &[u8] {
        self.link().map_or(&[], Link::current)
    }

    /// The next message of what was read, and whose history it is.
    #[inline]
    pub(super) fn next_message(&mut self) -> Option<(SourceKey, &[u8])> {
        let (wanted, link) = &mut **self.open.as_mut()?;
        let (_, message) = link.next_message()?;
        Some((wanted.source, message))
    }

    pub(super) fn distrust(&mut self) {
        if let Some(open) = &mut self.open {
            open.1.distrust();
        }
    }

    /// Reads more, or works on the connection; whether there is news.
    pub(super) fn fill(&mut self, now: Time) -> bool {
        let Some(open) = &mut self.open else { return false };
        let (wanted, link) = &mut **open;
        match link.fill(now) {
            Ok(is_news) => is_news,
            Err(fault) => {
                tracing::warn!(?fault, publisher = %wanted.address, "history cannot be fetched");
                self.failed = Some(wanted.source);
                self.close();
                true
            }
        }
    }

    /// Connects to where history is wanted from now, asks for it, and closes what is not wanted any more; whether there
    /// is another connection to be watched.
    pub(super) fn attend(&mut self, now: Time, receiver: &mut Receiver) -> bool {
        self.warn(receiver);
        if let Some(source) = self.failed.take() {
            receiver.fail_history(now, source, LostReason::Overrun);
        }
        let wanted = receiver.wanted(now);
        if self.open.as_ref().is_some_and(|open| wanted != Some(open.0)) {
            self.close();
        }
        let Some(wanted) = wanted else { return false };
        let Some(open) = &mut self.open else { return self.connect(now, wanted, receiver) };
        if open.1.is_mute()
            && let Some(from) = receiver.begin_history(wanted.source)
        {
            let head =
                Head { stream: self.settings.stream, session: wanted.session, base: from, ..Head::default() };
            let hello = Hello::new(self.settings.receiver, HelloStart::At).observing(true);
            if encode_hello(&mut self.hello, &head, &hello, &[] as &[&[u8]]) {
                open.1.greet(&self.hello);
            }
        }
        false
    }

    fn warn(&mut self, receiver: &Receiver) {
        let pastless = receiver.stats().pastless;
        if pastless != self.pastless {
            self.pastless = pastless;
            tracing::warn!(
                "a publisher serves no history over TCP (it needs tcp:// beside udp://), or has not come as far as was asked"
            );
        }
    }

    fn connect(&mut self, now: Time, wanted: Wanted, receiver: &mut Receiver) -> bool {
        let settings = LinkSettings {
            host: host(&wanted),
            port: wanted.address.port(),
            receive_buffer: None,
            backoff: BACKOFF,
            limit: None,
            silence: self.settings.silence,
            seed: self.settings.seed,
        };
        match Link::open(settings, now) {
            Ok(link) => {
                tracing::info!(publisher = %wanted.address, session = %wanted.session, "fetching history");
                self.open = Some(Box::new((wanted, link)));
                true
            }
            Err(fault) => {
                tracing::warn!(?fault, publisher = %wanted.address, "history cannot be fetched");
                receiver.fail_history(now, wanted.source, LostReason::Timeout);
                false
            }
        }
    }

    fn close(&mut self) {
        self.stats = self.stats();
        self.stats.is_connected = false;
        self.open = None;
    }

    pub(super) fn forget(&mut self) {
        if let Some(open) = &mut self.open {
            open.1.forget();
        }
    }

    pub(super) fn is_surely_empty(&self) -> bool {
        self.link().is_none_or(Link::is_surely_empty)
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.link()?.next_timeout()
    }

    /// Of all connections so far.
    pub(super) fn stats(&self) -> ConnectionStats {
        self.link().map_or(self.stats, |link| self.stats.and(&link.stats()))
    }
}

/// The address, as a resolver reads it.
fn host(wanted: &Wanted) -> String {
    match wanted.address {
        core::net::SocketAddr::V6(address) if address.scope_id() != 0 => {
            format!("{}%{}", address.ip(), address.scope_id())
        }
        address => address.ip().to_string(),
    }
}
