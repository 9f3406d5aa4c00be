//! `nakcast demo`: a publisher and its subscribers in one process, over real multicast on the loopback interface, with
//! datagrams lost on purpose; and the account of every message.

mod live;
mod payload;
mod report;
mod round_trip;
mod sink;
mod source;

use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread::Scope;
use std::time::Duration;

use clap::value_parser;
use nakcast::Error;
use nakcast::Faults;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::SocketError;
use nakcast::StreamId;
use nakcast::Subscriber;
use nakcast::UdpEndpoint;

use crate::clock::Clock;
use crate::clock::TICK;
use crate::demo::live::Live;
use crate::demo::report::Report;
use crate::demo::round_trip::Yardstick;
use crate::demo::sink::Sink;
use crate::demo::sink::Taken;
use crate::demo::source::Sent;
use crate::demo::source::Source;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::say::say;
use crate::units;

const GROUP: &str = "udp://239.192.77.77:47777?interface=lo";
/// Ports tried when another program has taken the first one for itself.
const PORTS: u16 = 16;
/// How long the publisher waits for its subscribers, and at the end until they have everything.
const PATIENCE: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
Examples:
  nakcast demo
  nakcast demo --loss 20 --subscribers 8
  nakcast demo --rate 0 --size 1000        as fast as the slowest subscriber takes it

Every payload is checked, so `delivered` means the right bytes, in order. The latency counts from the time at \
which a message was meant to be sent, so that no delay hides another.

Exit codes:
  0    published = delivered + lost holds for each subscriber, and nothing was lost
  1    it does not, something was, or the demo could not run; one line says why
  2    the command line makes no sense
  130  interrupted by Ctrl-C, SIGTERM or SIGHUP; a second one does not wait for anything";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where to; by default a group and a stream of its own on the loopback interface.
    #[arg(long)]
    uri: Option<UdpEndpoint>,
    /// How many subscribers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u16).range(1..=64))]
    subscribers: u16,
    /// Percent of datagrams, first sendings and repairs alike, that each subscriber loses on purpose.
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = units::percent)]
    loss: f64,
    /// How long to publish.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = units::seconds)]
    seconds: Duration,
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = value_parser!(u32).range(16..=1_000_000))]
    size: u32,
    /// Messages a second; 0 for as many as the slowest subscriber takes.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(..=100_000_000))]
    rate: u64,
    /// Draws which datagrams are lost, with the number of the subscriber. Default: random.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// What the threads report when they are done.
enum Done {
    Source(Box<Result<Sent, Failure>>),
    Sink(usize, Box<Result<Taken, Failure>>),
}

/// Runs the demo; well only when everything arrived.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    let (endpoint, subscribers) = open_subscribers(args)?;
    let publisher = Publisher::builder().endpoint(endpoint.clone()).policy(Policy::BLOCK).open()?;
    introduce(args, &endpoint);
    let yardstick = Yardstick::start();
    let clock = Clock::start();
    let live = Live::new(quiet, args.seconds, subscribers.len());
    let source =
        Source { size: args.size as usize, rate: args.rate, seconds: args.seconds, clock, interrupt };
    let stage = Stage { live: &live, source: &source };
    let (sent, taken) = std::thread::scope(|scope| stage.play(scope, publisher, subscribers))?;
    live.clear();
    let round_trip = yardstick.and_then(Yardstick::finish);
    let report = Report { sent, taken, round_trip };
    report.print();
    Ok(match (source.interrupt.is_asked(), report.verdict()) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::Well,
        (false, false) => Ending::Failed,
    })
}

fn introduce(args: &Args, endpoint: &UdpEndpoint) {
    let rate = match args.rate {
        0 => "as many messages as the slowest subscriber takes".to_owned(),
        rate => format!("{} messages a second", units::count(rate)),
    };
    say(format_args!(
        "{rate}, {} bytes each, for {} to {endpoint}\n{}, each losing {} % of datagrams and repairs on purpose",
        units::count(u64::from(args.size)),
        units::time(args.seconds),
        units::counted(u64::from(args.subscribers), "subscriber"),
        args.loss * 100.0,
    ));
}

/// Opens the subscribers, on the endpoint named or on the first port that is free.
fn open_subscribers(args: &Args) -> Result<(UdpEndpoint, Vec<Subscriber>), Failure> {
    let seed = args.seed.map_or_else(|| getrandom::u64().map_err(Failure::Random), Ok)?;
    let open = |endpoint: &UdpEndpoint| {
        let one = |number| {
            let faults = Faults::loss(args.loss).seed(seed.wrapping_add(number));
            Subscriber::builder().endpoint(endpoint.clone()).faults(faults).open()
        };
        (0..u64::from(args.subscribers)).map(one).collect::<Result<Vec<_>, _>>()
    };
    if let Some(endpoint) = &args.uri {
        return Ok((endpoint.clone(), open(endpoint)?));
    }
    let mut endpoint: UdpEndpoint = GROUP.parse().map_err(Error::from)?;
    // A stream of its own: another demo on this machine does not matter.
    endpoint.stream = StreamId(getrandom::u32().map_err(Failure::Random)?);
    let last = endpoint.address.port() + PORTS;
    loop {
        match open(&endpoint) {
            Ok(subscribers) => return Ok((endpoint, subscribers)),
            Err(Error::Socket(SocketError::AddressInUse { .. })) if endpoint.address.port() < last => {
                endpoint.address.set_port(endpoint.address.port() + 1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the threads share.
struct Stage<'a> {
    live: &'a Live,
    source: &'a Source,
}

impl<'a> Stage<'a> {
    /// Starts a thread for each part, shows how they get on, and waits until all are done.
    fn play<'scope>(
        &self,
        scope: &'scope Scope<'scope, 'a>,
        publisher: Publisher,
        subscribers: Vec<Subscriber>,
    ) -> Result<(Sent, Vec<Taken>), Failure>
    where
        'a: 'scope,
    {
        let (sender, done) = channel();
        let count = subscribers.len();
        for (number, subscriber) in subscribers.into_iter().enumerate() {
            let sink = Sink { subscriber, counters: self.live.counters(number), clock: self.source.clock };
            let sender = sender.clone();
            spawn(scope, "nakcast-subscriber", move || {
                report(&sender, Done::Sink(number, Box::new(sink.run())))
            })?;
        }
        let (source, counters) = (self.source, self.live.source());
        let publish = move || report(&sender, Done::Source(Box::new(source.run(publisher, count, counters))));
        spawn(scope, "nakcast-source", publish)?;
        self.collect(&done, count)
    }

    fn collect(&self, done: &Receiver<Done>, count: usize) -> Result<(Sent, Vec<Taken>), Failure> {
        let (mut sent, mut taken) = (None, Vec::new());
        loop {
            match done.recv_timeout(TICK) {
                Ok(Done::Source(result)) => sent = Some((*result)?),
                Ok(Done::Sink(number, result)) => taken.push((number, (*result)?)),
                Err(RecvTimeoutError::Timeout) => self.live.show(self.source.clock.now()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        taken.sort_by_key(|(number, _)| *number);
        match sent {
            Some(sent) if taken.len() == count => Ok((sent, taken.into_iter().map(|one| one.1).collect())),
            _ => Err(Failure::ThreadDied("publishes or receives")),
        }
    }
}

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> Result<(), Failure> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn_scoped(scope, work).map_err(Failure::Thread)?;
    Ok(())
}

fn report(sender: &Sender<Done>, done: Done) {
    // Fails only when another thread failed before: then the demo is over, and that failure is told.
    drop(sender.send(done));
}
