//! `nakcast sub`: messages to standard output, and the account of every one of them.

mod args;
pub(crate) mod ledger;
mod line;
mod output;
mod state;

use std::io;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::time::Duration;

use nakcast::DownReason;
use nakcast::Error;
use nakcast::Event;
use nakcast::LostReason;
use nakcast::OffsetRange;
use nakcast::Refusal;
use nakcast::SessionId;
use nakcast::SourceSnapshot;
use nakcast::Subscriber;

use crate::clock::Clock;
use crate::clock::TICK;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::metrics::Exporter;
use crate::progress::Progress;
use crate::subscribe::ledger::Ledger;
use crate::subscribe::line::Line;
use crate::subscribe::output::Output;
use crate::subscribe::state::State;
use crate::units;

pub(crate) use args::Args;
pub(crate) use args::prefix;
pub(crate) use args::start;

/// Losses that are told one by one; the others are in the totals, and with --json or -v in full.
const LOSSES_TOLD: u64 = 10;

/// Events between two looks at the bar and the state while there is always another one.
const LOOK_EVERY: u64 = 16_384;

/// Receives until it is time to end; then accounts for everything.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    args.check_carrier()?;
    let exporter = args.metrics.open()?;
    let state = args.state.as_deref().map(State::open).transpose()?;
    let mut subscriber = args.open(state.as_ref().map_or(args.from, |state| state.start(args.from)))?;
    let coalescing = subscriber.stats().coalescing;
    tracing::info!(to = args.to(), receiver = %subscriber.receiver(), %coalescing, "subscribed");
    let mut work = Work {
        args,
        output: Output::new(args.format(), io::stdout().lock()),
        ledger: Ledger::default(),
        progress: Progress::new(quiet && !io::stdout().is_terminal(), None),
        clock: Clock::start(),
        moved: false,
        moved_at: Duration::ZERO,
        steps: 0,
        losses: 0,
        ended: 0,
        line: Line::default(),
        state,
        exporter,
        interrupt,
    };
    let received = work.receive(&mut subscriber);
    // After an error, a message that was handed out may not be written: the state stays behind it.
    let flushed = match received {
        Ok(_) => work.flush(&subscriber, true),
        Err(_) => work.output.flush().map_err(Failure::Write),
    };
    work.progress.clear();
    let balanced = work.ledger.report(&subscriber);
    let why = received.and_then(|why| flushed.map(|()| why));
    let why = match why {
        Err(Failure::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Why::NoReader,
        other => other?,
    };
    if !balanced {
        return Ok(Ending::Unbalanced);
    }
    if args.fail_on_loss && work.ledger.lost() > 0 {
        return Ok(Ending::Lost);
    }
    work.verdict(why)
}

/// Why the receiving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Counted,
    SourcesEnded,
    TimedOut,
    Interrupted,
    NoReader,
}

/// What an event leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    /// A source is down: its account is due, and perhaps it was the last.
    Close(SessionId),
    Stop(Why),
}

/// From the subscriber to standard output.
struct Work<'a> {
    args: &'a Args,
    output: Output<io::StdoutLock<'static>>,
    ledger: Ledger,
    progress: Progress,
    interrupt: Interrupt,
    clock: Clock,
    /// Something came since the sockets were last dry.
    moved: bool,
    /// When they were dry after something had come.
    moved_at: Duration,
    /// Events, and looks that found none.
    steps: u64,
    /// `Lost` events.
    losses: u64,
    /// Publishers that have ended.
    ended: u64,
    line: Line,
    state: Option<State>,
    exporter: Option<Exporter>,
}

impl Work<'_> {
    /// Events one by one, until it is time to end.
    fn receive(&mut self, subscriber: &mut Subscriber) -> Result<Why, Failure> {
        while !self.interrupt.is_asked() {
            match self.step(subscriber).map_err(|failure| self.explained(failure))? {
                Next::GoOn => {}
                Next::Close(session) => {
                    let sources = subscriber.sources();
                    self.ledger.close(session, &sources);
                    if self.is_over(&sources) {
                        // One turn more: it tells the publisher that everything is here.
                        subscriber.try_recv()?;
                        return Ok(Why::SourcesEnded);
                    }
                }
                Next::Stop(why) => return Ok(why),
            }
        }
        Ok(Why::Interrupted)
    }

    /// The next event; what was written is flushed when there is none left for now.
    fn step(&mut self, subscriber: &mut Subscriber) -> Result<Next, Failure> {
        self.steps += 1;
        if self.steps.is_multiple_of(LOOK_EVERY) {
            self.look(subscriber)?;
        }
        if let Some(event) = subscriber.try_recv()? {
            return self.on_event(event);
        }
        let wait = self.on_dry(subscriber)?;
        match subscriber.recv_timeout(wait)? {
            Some(event) => self.on_event(event),
            None => Ok(self.on_quiet()),
        }
    }

    /// A look around amid messages.
    fn look(&mut self, subscriber: &Subscriber) -> Result<(), Failure> {
        self.show();
        self.export(subscriber);
        let is_due = self.state.as_ref().is_some_and(|state| state.is_due(self.clock.now()));
        if is_due { self.flush(subscriber, false) } else { Ok(()) }
    }

    fn export(&mut self, subscriber: &Subscriber) {
        if let Some(exporter) = &mut self.exporter {
            exporter.subscriber(subscriber);
        }
    }

    /// What was received is written, and after that, never before, remembered: at the end, or when it is due.
    fn flush(&mut self, subscriber: &Subscriber, is_end: bool) -> Result<(), Failure> {
        self.output.flush().map_err(Failure::Write)?;
        let now = self.clock.now();
        match &mut self.state {
            Some(state) if is_end || state.is_due(now) => state.save(now, &subscriber.sources()),
            _ => Ok(()),
        }
    }

    /// What a refusal is about, if that is the state: the publisher has not come so far.
    fn explained(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Library(Error::Refused { reason: Refusal::Broken, .. }) => {
                self.state.as_ref().and_then(State::refused).unwrap_or(failure)
            }
            _ => failure,
        }
    }

    /// Everything that came is handled; gives how long to wait before Ctrl-C and the timeout are looked at again.
    fn on_dry(&mut self, subscriber: &Subscriber) -> Result<Duration, Failure> {
        self.flush(subscriber, false)?;
        let now = self.clock.now();
        if self.moved {
            (self.moved, self.moved_at) = (false, now);
        }
        if let Some(uri) = self.args.connection()
            && let Some(news) = self.line.look(now, subscriber.stats().connection)
        {
            self.progress.say(format_args!("nakcast: {uri}: {news}"));
        }
        self.show();
        self.export(subscriber);
        let left = self.args.timeout.map(|timeout| (self.moved_at + timeout).saturating_sub(now));
        Ok(left.map_or(TICK, |left| left.min(TICK)))
    }

    fn on_quiet(&self) -> Next {
        let quiet_for = self.clock.now().saturating_sub(self.moved_at);
        let is_over = self.args.timeout.is_some_and(|timeout| quiet_for >= timeout);
        if is_over { Next::Stop(Why::TimedOut) } else { Next::GoOn }
    }

    fn on_event(&mut self, event: Event<'_>) -> Result<Next, Failure> {
        self.moved = true;
        if let (Event::SourceUp { session, replaces, .. }, Some(state)) = (&event, &mut self.state)
            && let Some(news) = state.on_up(*session, *replaces)
        {
            self.progress.say(format_args!("nakcast: {news}"));
        }
        self.ledger.on_event(&event);
        self.output.write(&event)?;
        match event {
            Event::Message(_) if self.args.count.is_some_and(|count| self.ledger.messages() >= count) => {
                return Ok(Next::Stop(Why::Counted));
            }
            Event::Lost { session, range, reason } => self.tell_loss(session, range, reason),
            Event::SourceUp { session, address, from, .. } => {
                tracing::info!(%session, %address, %from, "a publisher is up");
            }
            Event::SourceDown { session, reason, heard } => {
                tracing::info!(%session, %reason, %heard, "a publisher is down");
                if reason == DownReason::Silent {
                    self.progress.say(format_args!(
                        "nakcast: publisher {session} fell silent at offset {heard}; what it sent unheard is not counted"
                    ));
                }
                self.ended += 1;
                return Ok(Next::Close(session));
            }
            _ => {}
        }
        Ok(Next::GoOn)
    }

    fn tell_loss(&mut self, session: SessionId, range: OffsetRange, reason: LostReason) {
        self.losses += 1;
        tracing::info!(%session, %range, %reason, "lost");
        if self.losses <= LOSSES_TOLD {
            let more = if self.losses == LOSSES_TOLD { "; further losses are only counted" } else { "" };
            self.progress.say(format_args!("nakcast: lost {range} of {session}: {reason}{more}"));
        }
    }

    fn is_over(&self, sources: &[SourceSnapshot]) -> bool {
        match self.args.exit_after {
            Some(sources) => self.ended >= sources,
            None => !self.args.follow && sources.iter().all(|source| source.down.is_some()),
        }
    }

    fn show(&self) {
        let ledger = &self.ledger;
        self.progress.show(self.output.bytes(), || {
            format!("{}, {} lost", units::counted(ledger.messages(), "message"), units::count(ledger.lost()))
        });
    }

    fn verdict(&self, why: Why) -> Result<Ending, Failure> {
        let (came, wanted) = (self.ledger.messages(), self.args.count);
        match (why, wanted, self.args.timeout) {
            (Why::Interrupted, ..) => Ok(Ending::Interrupted),
            (Why::NoReader | Why::Counted, ..) => Ok(Ending::Well),
            (Why::TimedOut, _, Some(timeout)) if self.ledger.is_empty() => {
                Err(match self.args.connection() {
                    Some(_) => Failure::NobodyAnswered(timeout),
                    None => Failure::NobodyHeard(timeout),
                })
            }
            (_, Some(wanted), _) => Err(Failure::TooFew { wanted, came }),
            _ => Ok(Ending::Well),
        }
    }
}
