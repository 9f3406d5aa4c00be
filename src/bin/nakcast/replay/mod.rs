//! `nakcast replay`: a recording, or any capture, published again.

mod assembly;
mod pace;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nakcast::Endpoint;
use nakcast::Publisher;
use nakcast::StreamId;

use crate::COMMON_HELP;
use crate::capture::Reader;
use crate::capture::Udp;
use crate::capture::udp;
use crate::clock::Clock;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::publish;
use crate::publish::PolicyName;
use crate::publish::finish::finish;
use crate::publish::roster::Roster;
use crate::replay::assembly::Assembly;
use crate::replay::assembly::Recorded;
use crate::replay::pace::Pace;
use crate::replay::pace::Speed;
use crate::say::say;
use crate::units;

/// How long an interrupted publisher still serves repairs.
const FINISH_INTERRUPTED: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
FILE is what `nakcast record` wrote, or any capture of a group (pcap, pcapng; tcpdump, Wireshark):
its datagrams are put in order, each message once, and what is missing is said. With --raw every
UDP payload is a message, whatever it is. Only datagrams are read, not connections, and none that IP
had cut up; on a sender's machine, --raw may see several as one (capture with GSO off).

Examples:
  As it was:
    nakcast replay monday.pcap 'udp://239.192.0.1:4000?interface=lo' --wait 1
  As fast as the slowest subscriber takes it:
    nakcast replay monday.pcap tcp://0.0.0.0:7001 --speed max --policy block --wait 1
  Somebody else's feed, out of a capture of more than that:
    nakcast replay exchange.pcap 'udp://239.192.0.1:4000?interface=lo' --raw --to 233.54.12.111:26477

Exit code 1 also means: the file is torn or broken (what came before was published), or a subscriber
has not confirmed everything. Exit code 3, with --fail-on-loss: something is missing in the file.";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{COMMON_HELP}")
}

#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// What to play.
    file: PathBuf,
    /// Where to publish, such as 'udp://239.192.0.1:4000?interface=lo' or tcp://0.0.0.0:7001.
    uri: Endpoint,
    /// How fast: 1x as it was recorded, 2x, 0.5x and so on, or max.
    #[arg(long, value_parser = pace::speed, default_value = "1x")]
    speed: Speed,
    /// Every UDP payload is a message.
    #[arg(long)]
    raw: bool,
    /// With --raw: the topic of every message.
    #[arg(long, default_value = "", hide_default_value = true, value_parser = publish::topic, requires = "raw")]
    topic: String,
    /// Only datagrams that went to this address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: Option<SocketAddr>,
    /// Only this stream of the file. Default: the first one in it.
    #[arg(long, value_name = "N", conflicts_with = "raw")]
    stream: Option<u32>,
    /// What to do for slow subscribers.
    #[arg(long, value_enum, default_value = "drop")]
    policy: PolicyName,
    /// Wait for so many subscribers before the first message.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    wait: usize,
    /// How long to wait for them.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds, default_value = "30")]
    wait_timeout: Duration,
    /// How long to serve repairs at the end, until every subscriber has everything.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds, default_value = "10")]
    finish_timeout: Duration,
    /// End with exit code 3 if something is missing in the file.
    #[arg(long)]
    fail_on_loss: bool,
}

/// Publishes everything, then waits until the subscribers have it, and says who has not.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    let reader = Reader::open(&args.file)?;
    let builder = Publisher::builder().endpoint(args.uri.clone()).policy(args.policy.usual());
    let mut publisher = builder.open()?;
    if let Some(address) = publisher.stream_address() {
        say(format_args!("listening at tcp://{address}"));
    }
    publish::wait_for_subscribers((args.wait, args.wait_timeout), &mut publisher, &interrupt)?;
    let clock = Clock::start();
    let mut work = Work {
        args,
        reader,
        bytes: Vec::new(),
        assembly: Assembly::new(args.stream.map(StreamId)),
        pace: Pace::new(args.speed),
        clock,
        publisher,
        roster: Roster::new(clock),
        progress: Progress::new(quiet, None),
        interrupt,
        sums: Sums::default(),
    };
    let played = work.play();
    let Work { publisher, roster, progress, interrupt, assembly, sums, .. } = work;
    progress.clear();
    let timeout = if interrupt.is_asked() { FINISH_INTERRUPTED } else { args.finish_timeout };
    let took = clock.now();
    let end = finish(publisher, timeout.min(args.finish_timeout), roster, &interrupt)?;
    end.report((sums.messages, sums.bytes), took);
    report(args, &assembly, &sums);
    played?;
    let missing = assembly.sources().iter().any(|source| source.missing > 0);
    Ok(match (interrupt.is_asked(), end.everybody_has_everything()) {
        (true, _) => Ending::Interrupted,
        (false, true) if missing && args.fail_on_loss => Ending::Lost,
        (false, true) => Ending::Well,
        (false, false) => Ending::Failed,
    })
}

/// What was played and what was not.
#[derive(Debug, Default)]
struct Sums {
    messages: u64,
    bytes: u64,
    /// Packets that hold no whole UDP datagram.
    no_datagram: u64,
    /// Datagrams that went elsewhere.
    elsewhere: u64,
    /// How late a message was at most.
    late: Duration,
}

/// From the file to the publisher.
struct Work<'a> {
    args: &'a Args,
    reader: Reader,
    bytes: Vec<u8>,
    assembly: Assembly,
    pace: Pace,
    clock: Clock,
    publisher: Publisher,
    roster: Roster,
    progress: Progress,
    interrupt: Interrupt,
    sums: Sums,
}

impl Work<'_> {
    fn play(&mut self) -> Result<(), Failure> {
        let read = loop {
            match self.play_next() {
                Ok(true) if !self.interrupt.is_asked() => {}
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // What came before the place where a file is torn is whole.
        if !self.interrupt.is_asked() {
            self.assembly.end();
            self.play_ready()?;
        }
        read
    }

    /// The next packet, and the messages that it completes; false at the end.
    fn play_next(&mut self) -> Result<bool, Failure> {
        let Some(frame) = self.reader.next(&mut self.bytes)? else { return Ok(false) };
        match udp(frame.link, &self.bytes) {
            None => self.sums.no_datagram += 1,
            Some(Udp { to, .. }) if self.args.to.is_some_and(|wanted| wanted != to) => {
                self.sums.elsewhere += 1
            }
            Some(Udp { payload, .. }) if self.args.raw => {
                let topic = self.args.topic.as_bytes().to_vec();
                let recorded = Recorded { at: frame.at, topic, payload: payload.to_vec() };
                self.publish(&recorded)?;
            }
            Some(Udp { payload, .. }) => {
                self.assembly.take(frame.at, payload);
                self.play_ready()?;
            }
        }
        Ok(true)
    }

    fn play_ready(&mut self) -> Result<(), Failure> {
        while !self.interrupt.is_asked()
            && let Some(recorded) = self.assembly.pop()
        {
            self.publish(&recorded)?;
        }
        Ok(())
    }

    /// Publishes it when it is due.
    fn publish(&mut self, recorded: &Recorded) -> Result<(), Failure> {
        let due = self.pace.due(recorded.at, self.clock.now());
        while !self.clock.rest(due) && !self.interrupt.is_asked() {
            self.look_around();
        }
        if self.interrupt.is_asked() {
            return Ok(());
        }
        if !due.is_zero() {
            self.sums.late = self.sums.late.max(self.clock.now().saturating_sub(due));
        }
        if let Err(error) = self.publisher.publish(&recorded.topic, &recorded.payload) {
            return Err(Failure::Publish { number: self.sums.messages + 1, error });
        }
        self.sums.messages += 1;
        self.sums.bytes += recorded.payload.len() as u64;
        self.look_around();
        Ok(())
    }

    /// What subscribers report, every now and then.
    fn look_around(&mut self) {
        if self.roster.look(&mut self.publisher, &self.progress) {
            let (messages, live) = (self.sums.messages, self.roster.live() as u64);
            self.progress.show(self.sums.bytes, || {
                let subscribers = units::counted(live, "subscriber");
                format!("{}, {subscribers}", units::counted(messages, "message"))
            });
        }
    }
}

fn report(args: &Args, assembly: &Assembly, sums: &Sums) {
    for source in assembly.sources() {
        say(format_args!(
            "in the file, session {}: {}, {} of offsets",
            source.session,
            units::counted(source.messages, "message"),
            units::counted(source.duplicates, "duplicate"),
        ));
        if source.missing > 0 {
            let named: Vec<_> = source.named.iter().map(ToString::to_string).collect();
            let counted: u64 = source.named.iter().map(|range| range.len()).sum();
            let more = if counted < source.missing { " and more" } else { "" };
            say(format_args!(
                "nakcast: missing in the file: {}: {}{more}",
                units::counted(source.missing, "offset"),
                named.join(", "),
            ));
        }
    }
    let left_out = [
        (sums.no_datagram, "packet", "that hold no whole UDP datagram"),
        (sums.elsewhere, "datagram", "to other addresses"),
        (assembly.strange, "datagram", "that are not nakcast's, or damaged (--raw takes any)"),
        (assembly.of_others, "datagram", "of other streams (--stream)"),
        (assembly.crowded, "datagram", "of more sessions than are told apart"),
    ];
    for (count, noun, which) in left_out.into_iter().filter(|(count, ..)| *count > 0) {
        say(format_args!("not played: {} {which}", units::counted(count, noun)));
    }
    if args.speed != Speed::Max && sums.messages > 0 {
        say(format_args!("late by {} at most", units::time(sums.late)));
    }
}
