//! `nakcast pub`: standard input or a file, cut into messages.

mod feed;
pub(crate) mod finish;
mod pacer;
pub(crate) mod roster;
mod splitter;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use nakcast::Endpoint;
use nakcast::LONGEST_MESSAGE;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::WaitError;
use nakcast::wire::TOPIC_BYTES;

use crate::COMMON_HELP;
use crate::clock::Clock;
use crate::clock::TICK;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::metrics::Exporter;
use crate::metrics::Place;
use crate::progress::Progress;
use crate::publish::feed::Feed;
use crate::publish::feed::Turn;
use crate::publish::finish::finish;
use crate::publish::pacer::Pacer;
use crate::publish::roster::Roster;
use crate::publish::splitter::Framing;
use crate::publish::splitter::Splitter;
use crate::say::say;
use crate::tuning::Tuning;
use crate::units;

/// How long an interrupted publisher still serves repairs.
const FINISH_INTERRUPTED: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  Lines, as they come:
    tail -f /var/log/syslog | nakcast pub 'udp://239.192.0.1:4000?interface=lo' --topic log
  A file to three machines, every byte of it or a named failure:
    nakcast pub 'udp://239.192.0.1:4000?interface=eth0' --file disk.img --chunk 1200 --policy block --wait 3
  A market-data tape (u16 length, message, …) at 50,000 messages a second:
    nakcast pub 'udp://239.192.0.1:4000?interface=lo' --file tape.bin --u16-prefixed --rate 50000 --wait 1
  Without multicast, to whoever connects:
    nakcast pub tcp://0.0.0.0:7001 --file disk.img --chunk 1200 --policy block --wait 3
  To two groups, on two networks; a subscriber takes whichever comes first:
    nakcast pub 'udp://239.192.0.1:4000?interface=eth0' 'udp://239.192.0.2:4000?interface=eth1' --file tape.bin
  Without multicast, a copy for each of three machines:
    nakcast pub udp://10.0.0.5:4000,10.0.0.6:4000,10.0.0.7:4000 --file disk.img --chunk 1200 --policy block --wait 3
  Both at once, with the same offsets:
    nakcast pub 'udp://239.192.0.1:4000?interface=eth0' tcp://0.0.0.0:7001 --file tape.bin --u16-prefixed

Of datagrams only, and refused with tcp:// alone: --busy-poll, --no-segmentation.
Exit code 1 also means: a subscriber was evicted, or has not confirmed everything.";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{COMMON_HELP}")
}

/// What to do for slow subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// The fastest sets the pace; the others lose what they cannot take, and are told what.
    Drop,
    /// The slowest sets the pace; who does not move for --patience is evicted, by name.
    Block,
    /// As drop, but a subscriber over TCP that is left behind is disconnected, and told why.
    Disconnect,
}

impl PolicyName {
    /// The policy with its usual patience.
    pub(crate) const fn usual(self) -> Policy {
        match self {
            Self::Drop => Policy::DROP,
            Self::Block => Policy::BLOCK,
            Self::Disconnect => Policy::DISCONNECT,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// Where to publish, such as 'udp://239.192.0.1:4000?interface=lo', or where to listen, such as tcp://0.0.0.0:7001
    /// (port 0: any that is free); or both, and several of udp://: each carries everything.
    #[arg(value_name = "URI", required = true, num_args = 1..=17)]
    uris: Vec<Endpoint>,
    /// Read this file instead of standard input.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Messages of so many bytes each (the last one shorter) instead of lines.
    #[arg(long, value_name = "BYTES", value_parser = chunk, conflicts_with = "u16_prefixed")]
    chunk: Option<usize>,
    /// Messages that stand behind their length, two bytes big-endian, instead of lines.
    #[arg(long)]
    u16_prefixed: bool,
    /// The topic of every message.
    #[arg(long, default_value = "", hide_default_value = true, value_parser = topic)]
    topic: String,
    /// At most so many messages a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rate: Option<u64>,
    /// Memory from which repairs are served, such as 64M; at least 512K. Default 32M.
    #[arg(long, value_name = "BYTES", value_parser = units::bytes)]
    ring: Option<usize>,
    /// What to do for slow subscribers.
    #[arg(long, value_enum, default_value = "drop")]
    policy: PolicyName,
    /// With --policy block: how long one subscriber may hold everybody without moving. Default 5.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    patience: Option<Duration>,
    /// With --policy drop: how long to wait without any progress; 0 never waits. Default 100.
    #[arg(long, value_name = "MILLISECONDS", value_parser = units::millis)]
    pace: Option<Duration>,
    /// Wait for so many subscribers before the first message.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    wait: usize,
    /// How long to wait for them.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds, default_value = "30")]
    wait_timeout: Duration,
    /// How long a message in a burst waits for others; 0 sends each alone. Default 50.
    #[arg(long, value_name = "MICROSECONDS", value_parser = units::micros)]
    linger: Option<Duration>,
    /// How long to serve repairs at the end, until every subscriber has everything.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds, default_value = "10")]
    finish_timeout: Duration,
    /// Put the time of sending into each datagram.
    #[arg(long)]
    timestamps: bool,
    /// Keep the thread that answers subscribers on the processor of this number.
    #[arg(long, value_name = "N")]
    background_core: Option<usize>,
    #[command(flatten)]
    metrics: Place,
    #[command(flatten)]
    tuning: Tuning,
}

impl Args {
    fn policy(&self) -> Result<Policy, Failure> {
        match (self.policy, self.patience, self.pace) {
            (PolicyName::Drop, Some(_), _) => {
                Err(Failure::Usage("--patience is for --policy block: add it, or leave --patience out"))
            }
            (PolicyName::Block, _, Some(_)) => {
                Err(Failure::Usage("--pace is for --policy drop: leave one of the two out"))
            }
            (PolicyName::Disconnect, Some(_), _) => {
                Err(Failure::Usage("--patience is for --policy block: leave one of the two out"))
            }
            (PolicyName::Disconnect, None, None) => Ok(Policy::DISCONNECT),
            (PolicyName::Disconnect, None, Some(pace)) => {
                Ok(Policy::Disconnect { pace, free_running: pace.is_zero() })
            }
            (PolicyName::Drop, None, None) => Ok(Policy::DROP),
            (PolicyName::Drop, None, Some(pace)) => Ok(Policy::Drop { pace, free_running: pace.is_zero() }),
            (PolicyName::Block, None, None) => Ok(Policy::BLOCK),
            (PolicyName::Block, Some(patience), None) => Ok(Policy::Block { patience }),
        }
    }

    fn framing(&self) -> Framing {
        match self.chunk {
            Some(bytes) => Framing::Chunks(bytes),
            None if self.u16_prefixed => Framing::Prefixed,
            None => Framing::Lines,
        }
    }

    /// One place to listen at most, and no option that none of them knows.
    fn check_carriers(&self) -> Result<(), Failure> {
        let connections = self.uris.iter().filter(|uri| matches!(uri, Endpoint::Tcp(_))).count();
        if connections > 1 {
            return Err(Failure::Usage(
                "a publisher has one tcp:// URI at most: leave one out, or start another publisher",
            ));
        }
        if connections == self.uris.len() && self.tuning.is_of_datagrams() {
            return Err(Failure::Usage(
                "--busy-poll and --no-segmentation are for udp://: leave them out with tcp:// alone",
            ));
        }
        Ok(())
    }

    fn open(&self) -> Result<Publisher, Failure> {
        self.check_carriers()?;
        let mut builder = Publisher::builder().policy(self.policy()?).timestamps(self.timestamps);
        for uri in &self.uris {
            builder = builder.endpoint(uri.clone());
        }
        if let Some(ring) = self.ring {
            builder = builder.ring(ring);
        }
        if let Some(linger) = self.linger {
            builder = builder.linger(linger);
        }
        if let Some(core) = self.background_core {
            builder = builder.background_core(core);
        }
        Ok(self.tuning.publisher(builder).open()?)
    }
}

pub(crate) fn topic(text: &str) -> Result<String, String> {
    if text.len() > TOPIC_BYTES {
        return Err(format!("a topic of {} bytes is more than {TOPIC_BYTES}: shorten it", text.len()));
    }
    Ok(text.to_owned())
}

fn chunk(text: &str) -> Result<usize, String> {
    match units::bytes(text)? {
        bytes @ 1..=LONGEST_MESSAGE => Ok(bytes),
        _ => Err("choose 1 byte to 16M".to_owned()),
    }
}

/// Publishes everything, then waits until the subscribers have it, and says who has not.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    let feed = Feed::open(args.file.clone())?;
    let mut exporter = args.metrics.open()?;
    let mut publisher = args.open()?;
    if let Some(exporter) = &mut exporter {
        exporter.publisher(&publisher);
    }
    let (session, segmentation) = (publisher.session(), publisher.stats().segmentation);
    let places = args.uris.iter().filter(|uri| matches!(uri, Endpoint::Udp(_)));
    for (uri, line) in places.zip(publisher.lines()) {
        tracing::info!(to = %uri, from = %line.local_address, %session, %segmentation, "publishing");
    }
    if let Some(address) = publisher.stream_address() {
        say(format_args!("listening at tcp://{address}"));
    }
    wait_for_subscribers((args.wait, args.wait_timeout), &mut publisher, &interrupt)?;
    let clock = Clock::start();
    let mut work = Work {
        topic: args.topic.as_bytes(),
        splitter: Splitter::new(args.framing()),
        pacer: args.rate.map(|rate| Pacer::new(rate, clock)),
        progress: Progress::new(quiet && !feed.is_typed(), feed.length()),
        roster: Roster::new(clock),
        messages: 0,
        bytes: 0,
        publisher,
        exporter,
        interrupt,
    };
    let published = work.publish_all(feed);
    let Work { publisher, roster, progress, messages, bytes, interrupt, .. } = work;
    progress.clear();
    let timeout = args.finish_timeout;
    let timeout = if interrupt.is_asked() { timeout.min(FINISH_INTERRUPTED) } else { timeout };
    let took = clock.now();
    let end = finish(publisher, timeout, roster, &interrupt)?;
    end.report((messages, bytes), took);
    published?;
    Ok(match (interrupt.is_asked(), end.everybody_has_everything()) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::Well,
        (false, false) => Ending::Failed,
    })
}

/// Until so many subscribers are there, or so long.
pub(crate) fn wait_for_subscribers(
    (wanted, timeout): (usize, Duration),
    publisher: &mut Publisher,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let clock = Clock::start();
    while wanted > 0 && !interrupt.is_asked() {
        let left = timeout.saturating_sub(clock.now());
        match publisher.wait_for(wanted, left.min(TICK)) {
            Ok(()) => break,
            Err(error) if left.is_zero() => {
                return Err(WaitError { waited: timeout, ..error }.into());
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// From the input to the publisher.
struct Work<'a> {
    topic: &'a [u8],
    splitter: Splitter,
    pacer: Option<Pacer>,
    publisher: Publisher,
    roster: Roster,
    progress: Progress,
    exporter: Option<Exporter>,
    interrupt: Interrupt,
    messages: u64,
    bytes: u64,
}

impl Work<'_> {
    fn publish_all(&mut self, mut feed: Feed) -> Result<(), Failure> {
        while !self.interrupt.is_asked() {
            match feed.next()? {
                Turn::Block(block) => self.splitter.push(block),
                Turn::Idle => {}
                Turn::End => self.splitter.end(),
            }
            self.publish_ready()?;
            self.look_around();
            if self.splitter.is_done() {
                break;
            }
        }
        Ok(())
    }

    /// Publishes what is complete of the input so far.
    fn publish_ready(&mut self) -> Result<(), Failure> {
        loop {
            self.wait_for_turn();
            if self.interrupt.is_asked() {
                return Ok(());
            }
            let Some(message) = self.splitter.next()? else { return Ok(()) };
            if let Err(error) = self.publisher.publish(self.topic, message) {
                return Err(Failure::Publish { number: self.messages + 1, error });
            }
            self.messages += 1;
            self.bytes += message.len() as u64;
            if let Some(pacer) = &mut self.pacer {
                pacer.sent();
            }
        }
    }

    fn wait_for_turn(&mut self) {
        while let Some(pacer) = &self.pacer
            && !pacer.is_due()
            && !self.interrupt.is_asked()
        {
            self.look_around();
        }
    }

    /// What subscribers report, every now and then.
    fn look_around(&mut self) {
        if self.roster.look(&mut self.publisher, &self.progress) {
            if let Some(exporter) = &mut self.exporter {
                exporter.publisher(&self.publisher);
            }
            let messages = self.messages;
            let roster = &self.roster;
            self.progress.show(self.bytes, || {
                let (messages, live) = (units::counted(messages, "message"), roster.live() as u64);
                format!("{messages}, {}", units::counted(live, "subscriber"))
            });
        }
    }
}
