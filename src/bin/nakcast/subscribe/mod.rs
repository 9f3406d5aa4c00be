//! `nakcast sub`: messages to standard output, and the account of every one of them.

mod ledger;
mod line;
mod output;
mod state;

use std::io;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use nakcast::DownReason;
use nakcast::Endpoint;
use nakcast::Error;
use nakcast::Event;
use nakcast::Faults;
use nakcast::LostReason;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::Refusal;
use nakcast::SessionId;
use nakcast::SourceSnapshot;
use nakcast::Start;
use nakcast::Subscriber;
use nakcast::wire::TOPIC_BYTES;

use crate::COMMON_HELP;
use crate::clock::Clock;
use crate::clock::TICK;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::subscribe::ledger::Ledger;
use crate::subscribe::line::Line;
use crate::subscribe::output::Format;
use crate::subscribe::output::Output;
use crate::subscribe::state::State;
use crate::tuning::Tuning;
use crate::units;

/// Losses that are told one by one; the others are in the totals, and with --json or -v in full.
const LOSSES_TOLD: u64 = 10;

/// Events between two looks at the bar and the state while there is always another one.
const LOOK_EVERY: u64 = 16_384;

const EXAMPLES: &str = "\
It ends when every publisher that was heard has ended, unless --follow says otherwise.

Examples:
  Lines:
    nakcast sub 'udp://239.192.0.1:4000?interface=lo'
  A file, whole or exit code 3:
    nakcast sub 'udp://239.192.0.1:4000?interface=eth0' --raw --fail-on-loss > disk.img
  Only some topics, for another program:
    nakcast sub 'udp://239.192.0.1:4000?interface=lo' --topic trades. --topic quotes. --json --follow | jq .payload
  Everything that a publisher still holds, over TCP, then what comes:
    nakcast sub tcp://127.0.0.1:7001 --from earliest --follow
  The same, but each message once however often it is started, as long as the publisher holds what it missed:
    nakcast sub tcp://127.0.0.1:7001 --from earliest --state trades.state --count 1000 >> trades
  See repair at work, on a network that loses one datagram in five:
    nakcast sub 'udp://239.192.0.1:4000?interface=lo' --inject-loss 20% --seed 7 > /dev/null

Of datagrams only, and refused with tcp://: --inject-loss and its like, --seed, --no-repair, --busy-poll, --no-segmentation.

Exit code 1 also means: fewer messages than --count came, or no publisher was heard for --timeout.";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{COMMON_HELP}")
}

#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// What to listen to, such as 'udp://239.192.0.1:4000?interface=lo' or tcp://127.0.0.1:7001.
    uri: Endpoint,
    /// Write payloads as they are, with nothing between them, instead of a line each.
    #[arg(long, group = "format")]
    raw: bool,
    /// Write each payload behind its length, two bytes big-endian.
    #[arg(long, group = "format")]
    u16_prefixed: bool,
    /// Write every event as a JSON object, one a line: message, lost, up, down.
    #[arg(long, group = "format")]
    json: bool,
    /// Only messages whose topic begins so; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    topic: Vec<String>,
    /// Where to begin: live, earliest (the oldest message the publisher holds), or an offset. The past comes over tcp://
    /// only.
    #[arg(long, value_name = "START", value_parser = start, default_value = "live", hide_default_value = true)]
    from: Start,
    /// Remember in this file how far it has come, and go on there the next time; --from is for the first time. Saved at the
    /// end, and once a second: after a kill -9 the messages of that second come again. tcp:// only.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["conflate", "as_arrived"])]
    state: Option<PathBuf>,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End when nothing came for so long.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    timeout: Option<Duration>,
    /// End with exit code 3 if anything was lost.
    #[arg(long)]
    fail_on_loss: bool,
    /// End after so many publishers have ended, instead of when none is up any more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "follow")]
    exit_after: Option<u64>,
    /// Stay when the publishers have ended.
    #[arg(long)]
    follow: bool,
    /// Messages as they arrive, fresh rather than in order.
    #[arg(long)]
    as_arrived: bool,
    /// Do not ask for what is missing.
    #[arg(long)]
    no_repair: bool,
    /// Only the newest message of each topic, for at most so many topics.
    #[arg(long, value_name = "TOPICS", value_parser = topics)]
    conflate: Option<usize>,
    /// Lose so many of the datagrams with data and repairs on purpose: 5% or 0.05.
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    inject_loss: Option<f64>,
    /// The same, of first sendings only.
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    inject_loss_data: Option<f64>,
    /// The same, of repairs only.
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    inject_loss_repairs: Option<f64>,
    /// Lose so many of the NAKs on their way to the publisher.
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    inject_loss_naks: Option<f64>,
    /// Lose so many of the heartbeats.
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    inject_loss_heartbeats: Option<f64>,
    /// The same seed loses the same datagrams of the same traffic. Default: random.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    tuning: Tuning,
}

impl Args {
    fn format(&self) -> Format {
        match (self.raw, self.u16_prefixed, self.json) {
            (true, ..) => Format::Raw,
            (_, true, _) => Format::Prefixed,
            (.., true) => Format::Json,
            _ => Format::Lines,
        }
    }

    fn faults(&self) -> Result<Faults, Failure> {
        let seed = self.seed.map_or_else(|| getrandom::u64().map_err(Failure::Random), Ok)?;
        let most = self.inject_loss.unwrap_or(0.0);
        Ok(Faults {
            data: self.inject_loss_data.unwrap_or(most),
            repairs: self.inject_loss_repairs.unwrap_or(most),
            naks: self.inject_loss_naks.unwrap_or(0.0),
            heartbeats: self.inject_loss_heartbeats.unwrap_or(0.0),
            seed,
        })
    }

    const fn loses_on_purpose(&self) -> bool {
        self.inject_loss.is_some()
            || self.inject_loss_data.is_some()
            || self.inject_loss_repairs.is_some()
            || self.inject_loss_naks.is_some()
            || self.inject_loss_heartbeats.is_some()
    }

    /// Refuses what the carrier does not know.
    fn check_carrier(&self) -> Result<(), Failure> {
        match &self.uri {
            Endpoint::Tcp(_) if self.loses_on_purpose() || self.seed.is_some() => Err(Failure::Usage(
                "--inject-loss and --seed are for udp://: a connection loses nothing, so leave them out",
            )),
            Endpoint::Tcp(_) if self.no_repair => Err(Failure::Usage(
                "--no-repair is for udp://: nothing is repaired over a connection, so leave it out",
            )),
            Endpoint::Tcp(_) if self.tuning.is_of_datagrams() => Err(Failure::Usage(
                "--busy-poll and --no-segmentation are for udp://: leave them out with tcp://",
            )),
            Endpoint::Udp(_) if self.state.is_some() => Err(Failure::Usage(
                "--state is for tcp://, where a publisher can be asked for what was missed: subscribe to its tcp:// URI",
            )),
            _ => Ok(()),
        }
    }

    fn open(&self, from: Start) -> Result<Subscriber, Failure> {
        let mut builder = Subscriber::builder().endpoint(self.uri.clone()).repair(!self.no_repair).from(from);
        if self.loses_on_purpose() {
            builder = builder.faults(self.faults()?);
        }
        for prefix in &self.topic {
            builder = builder.topic(prefix);
        }
        if self.as_arrived {
            builder = builder.as_arrived();
        }
        if let Some(topics) = self.conflate {
            builder = builder.conflate(topics);
        }
        Ok(self.tuning.subscriber(builder).open()?)
    }
}

fn prefix(text: &str) -> Result<String, String> {
    if text.len() > TOPIC_BYTES {
        return Err(format!("no topic is longer than {TOPIC_BYTES} bytes, but this has {}", text.len()));
    }
    Ok(text.to_owned())
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "live" => Ok(Start::Live),
        "earliest" => Ok(Start::Earliest),
        offset => match offset.parse() {
            Ok(offset) => Ok(Start::At(Offset(offset))),
            Err(_) => Err("write live, earliest or an offset, such as 0".to_owned()),
        },
    }
}

fn topics(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(topics @ 1..=1_000_000_000) => Ok(topics),
        _ => Err("write a number of topics, at least 1".to_owned()),
    }
}

/// Receives until it is time to end; then accounts for everything.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    args.check_carrier()?;
    let state = args.state.as_deref().map(State::open).transpose()?;
    let mut subscriber = args.open(state.as_ref().map_or(args.from, |state| state.start(args.from)))?;
    let coalescing = subscriber.stats().coalescing;
    tracing::info!(to = %args.uri, receiver = %subscriber.receiver(), %coalescing, "subscribed");
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
    /// The source is not the one that the state knows.
    BeginAnew,
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
}

impl Work<'_> {
    /// Events one by one, until it is time to end.
    fn receive(&mut self, subscriber: &mut Subscriber) -> Result<Why, Failure> {
        while !self.interrupt.is_asked() {
            let next = match self.step(subscriber) {
                // A publisher that has not come as far as the state says.
                Err(Failure::Library(Error::Refused { reason: Refusal::Broken, .. }))
                    if self.state.as_ref().is_some_and(State::is_resuming) =>
                {
                    Next::BeginAnew
                }
                next => next?,
            };
            match next {
                Next::GoOn => {}
                Next::BeginAnew => *subscriber = self.begin_anew()?,
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
        let is_due = self.state.as_ref().is_some_and(|state| state.is_due(self.clock.now()));
        if is_due { self.flush(subscriber, false) } else { Ok(()) }
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

    fn begin_anew(&mut self) -> Result<Subscriber, Failure> {
        let Some(state) = &mut self.state else { return self.args.open(self.args.from) };
        let news = state.begin_anew();
        self.progress.say(format_args!("nakcast: {news}"));
        self.args.open(state.start(self.args.from))
    }

    /// Everything that came is handled; gives how long to wait before Ctrl-C and the timeout are looked at again.
    fn on_dry(&mut self, subscriber: &Subscriber) -> Result<Duration, Failure> {
        self.flush(subscriber, false)?;
        let now = self.clock.now();
        if self.moved {
            (self.moved, self.moved_at) = (false, now);
        }
        if let Endpoint::Tcp(_) = &self.args.uri
            && let Some(news) = self.line.look(now, subscriber.stats().connection)
        {
            self.progress.say(format_args!("nakcast: {}: {news}", self.args.uri));
        }
        self.show();
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
        if let (Event::SourceUp { session, .. }, Some(state)) = (&event, &mut self.state)
            && state.is_of_another(*session)?
        {
            return Ok(Next::BeginAnew);
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
            (Why::TimedOut, _, Some(timeout)) if self.ledger.is_empty() => Err(match self.args.uri {
                Endpoint::Tcp(_) => Failure::NobodyAnswered(timeout),
                _ => Failure::NobodyHeard(timeout),
            }),
            (_, Some(wanted), _) => Err(Failure::TooFew { wanted, came }),
            _ => Ok(Ending::Well),
        }
    }
}
