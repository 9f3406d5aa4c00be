//! An observer of a stream: it hears what everybody hears, asks for nothing over UDP, and is counted by nobody.

use std::collections::HashMap;
use std::time::Duration;

use nakcast::Endpoint;
use nakcast::SessionId;
use nakcast::SourceSnapshot;
use nakcast::Subscriber;

use crate::clock::Clock;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::stat::asker::Asker;
use crate::stat::asker::Question;
use crate::stat::asker::Rows;
use crate::stat::view::Rates;
use crate::stat::view::SourceView;
use crate::stat::view::View;

/// The longest wait for what comes, so that Ctrl-C and the time are looked at.
const TURN: Duration = Duration::from_millis(20);
/// The longest wait for rows: the asker gives up before.
const ROWS_WITHIN: Duration = Duration::from_secs(4);
const NO_PORT: &str = "it has no TCP port: publish to udp:// and tcp:// both to see its receivers";

/// What was counted of a source at the last look.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Duration,
    heard: u64,
    batches: u64,
    bytes: u64,
    /// Gaps that were there when it was heard first: what had been sent before.
    gaps_before: u64,
}

/// The observer.
#[derive(Debug)]
pub(crate) struct Watch {
    endpoint: Endpoint,
    subscriber: Subscriber,
    asker: Asker,
    clock: Clock,
    looked: Duration,
    marks: HashMap<SessionId, Mark>,
}

impl Watch {
    pub(crate) fn open(endpoint: &Endpoint) -> Result<Self, Failure> {
        let is_datagrams = matches!(endpoint, Endpoint::Udp(_));
        let builder = Subscriber::builder().endpoint(endpoint.clone()).observer(true).repair(!is_datagrams);
        let (subscriber, asker, clock) = (builder.open()?, Asker::start()?, Clock::start());
        let (endpoint, marks) = (endpoint.clone(), HashMap::new());
        Ok(Self { endpoint, subscriber, asker, clock, looked: Duration::ZERO, marks })
    }

    /// Listens for so long.
    pub(crate) fn listen(&mut self, time: Duration, interrupt: &Interrupt) -> Result<(), Failure> {
        let until = self.clock.now() + time;
        while !interrupt.is_asked() {
            let left = until.saturating_sub(self.clock.now());
            self.subscriber.poll_timeout(left.min(TURN), |_| {})?;
            self.mark_new();
            if left.is_zero() {
                break;
            }
        }
        Ok(())
    }

    /// Asks for the rows of all receivers, and gives everything there is to see.
    pub(crate) fn look(&mut self, interrupt: &Interrupt) -> Result<View, Failure> {
        let mut rows = self.ask(interrupt)?;
        let now = self.clock.now();
        let sources: Vec<_> = self.subscriber.sources();
        let sources = sources.into_iter().map(|seen| {
            let rates = self.rates(&seen, now);
            let rows = rows.remove(&seen.session).unwrap_or_else(|| Err(NO_PORT.to_owned()));
            SourceView { seen, rates, rows }
        });
        let sources = sources.collect();
        let stats = self.subscriber.stats();
        let over = now - std::mem::replace(&mut self.looked, now);
        Ok(View { over, sources, kernel_drops: stats.kernel_drops, undecodable: stats.undecodable })
    }

    fn ask(&mut self, interrupt: &Interrupt) -> Result<HashMap<SessionId, Result<Rows, String>>, Failure> {
        let mut rows = HashMap::new();
        let mut open = 0;
        for source in self.subscriber.sources().iter().filter(|source| source.down.is_none()) {
            if let Some(question) = self.question(source) {
                self.asker.ask(question)?;
                open += 1;
            }
        }
        let until = self.clock.now() + ROWS_WITHIN;
        while open > 0 && self.clock.now() < until && !interrupt.is_asked() {
            self.subscriber.poll_timeout(TURN / 10, |_| {})?;
            while let Some((session, answer)) = self.asker.answer()? {
                rows.insert(session, answer);
                open -= 1;
            }
        }
        Ok(rows)
    }

    fn question(&self, source: &SourceSnapshot) -> Option<Question> {
        let (host, port) = match &self.endpoint {
            Endpoint::Tcp(tcp) => (tcp.host.clone(), tcp.port),
            _ => (source.address.ip().to_string(), source.tcp_port?),
        };
        Some(Question { session: source.session, stream: self.endpoint.stream(), host, port })
    }

    /// From when on a new source is counted.
    fn mark_new(&mut self) {
        let sources = self.subscriber.sources();
        if sources.len() > self.marks.len() {
            let now = self.clock.now();
            for source in &sources {
                self.marks.entry(source.session).or_insert_with(|| Mark::of(source, now));
            }
        }
    }

    fn rates(&mut self, source: &SourceSnapshot, now: Duration) -> Rates {
        let mut mark = Mark::of(source, now);
        let Some(last) = self.marks.get(&source.session).copied() else { return Rates::default() };
        mark.gaps_before = last.gaps_before;
        self.marks.insert(source.session, mark);
        let seconds = (mark.at - last.at).as_secs_f64();
        let rate =
            |is: u64, was: u64| if seconds > 0.0 { is.saturating_sub(was) as f64 / seconds } else { 0.0 };
        Rates {
            gaps: source.stats.gaps.saturating_sub(mark.gaps_before),
            messages: rate(mark.heard, last.heard),
            batches: rate(mark.batches, last.batches),
            bytes: rate(mark.bytes, last.bytes),
        }
    }
}

impl Mark {
    const fn of(source: &SourceSnapshot, at: Duration) -> Self {
        let stats = &source.stats;
        let gaps_before = stats.gaps;
        Self { at, heard: source.book.heard.0, batches: stats.batches, bytes: stats.bytes, gaps_before }
    }
}
