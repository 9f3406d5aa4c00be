//! What `nakcast sub` is told, and the subscriber that this makes.

use std::path::PathBuf;
use std::time::Duration;

use nakcast::Endpoint;
use nakcast::Faults;
use nakcast::Offset;
use nakcast::Start;
use nakcast::Subscriber;
use nakcast::wire::TOPIC_BYTES;

use crate::COMMON_HELP;
use crate::ending::Failure;
use crate::metrics::Place;
use crate::subscribe::output::Format;
use crate::tuning::Tuning;
use crate::units;

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
  One feed by two groups, each message once, whichever brings it first:
    nakcast sub 'udp://239.192.0.1:4000?interface=eth0' 'udp://239.192.0.2:4000?interface=eth1'
  See repair at work, on a network that loses one datagram in five:
    nakcast sub 'udp://239.192.0.1:4000?interface=lo' --inject-loss 20% --seed 7 > /dev/null

Of datagrams only, and refused with tcp:// alone: --inject-loss and its like, --seed, --no-repair, --busy-poll, --no-segmentation.

Exit code 1 also means: fewer messages than --count came, or no publisher was heard for --timeout.";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{COMMON_HELP}")
}

#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// What to listen to, such as 'udp://239.192.0.1:4000?interface=lo' or tcp://127.0.0.1:7001. Several are lines of the
    /// same sessions: up to 16 of udp:// and one tcp://; the first copy of each message counts.
    #[arg(required = true, value_name = "URI")]
    pub(super) uris: Vec<Endpoint>,
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
    /// Where to begin: live, earliest (the oldest message the publisher holds), or an offset. To a group
    /// the past comes over TCP as well, from a publisher that serves both.
    #[arg(long, value_name = "START", value_parser = start, default_value = "live", hide_default_value = true)]
    pub(super) from: Start,
    /// Remember in this file how far it has come, and go on there the next time; --from is for the first time. Saved at the
    /// end, and once a second: after a kill -9 the messages of that second come again. Of one publisher; to a group, of
    /// the first that is heard.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["conflate", "as_arrived"])]
    pub(super) state: Option<PathBuf>,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// End when nothing came for so long.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    pub(super) timeout: Option<Duration>,
    /// End with exit code 3 if anything was lost.
    #[arg(long)]
    pub(super) fail_on_loss: bool,
    /// End after so many publishers have ended, instead of when none is up any more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "follow")]
    pub(super) exit_after: Option<u64>,
    /// Stay when the publishers have ended.
    #[arg(long)]
    pub(super) follow: bool,
    /// Messages as they arrive, fresh rather than in order.
    #[arg(long)]
    as_arrived: bool,
    /// Do not ask for what is missing.
    #[arg(long)]
    no_repair: bool,
    /// Ask the kernel for a receive buffer of so many bytes, such as 16M. Default 8M.
    #[arg(long, value_name = "BYTES", value_parser = units::bytes)]
    receive_buffer: Option<usize>,
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
    pub(super) metrics: Place,
    #[command(flatten)]
    tuning: Tuning,
}

impl Args {
    pub(super) fn format(&self) -> Format {
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

    /// The URIs, as one text.
    pub(super) fn to(&self) -> String {
        self.uris.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The one URI that is a connection, where it is the only one.
    pub(super) fn connection(&self) -> Option<&Endpoint> {
        self.uris.first().filter(|uri| self.uris.len() == 1 && matches!(uri, Endpoint::Tcp(_)))
    }

    /// Refuses what the carrier does not know.
    pub(super) fn check_carrier(&self) -> Result<(), Failure> {
        let connections = self.uris.iter().filter(|uri| matches!(uri, Endpoint::Tcp(_))).count();
        if connections > 1 {
            return Err(Failure::Usage("there may be one tcp:// among several URIs: leave out the others"));
        }
        match self.uris.len() == connections {
            true if self.loses_on_purpose() || self.seed.is_some() => Err(Failure::Usage(
                "--inject-loss and --seed are for udp://: a connection loses nothing, so leave them out",
            )),
            true if self.no_repair => Err(Failure::Usage(
                "--no-repair is for udp://: nothing is repaired over a connection, so leave it out",
            )),
            true if self.tuning.is_of_datagrams() => Err(Failure::Usage(
                "--busy-poll and --no-segmentation are for udp://: leave them out with tcp://",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn open(&self, from: Start) -> Result<Subscriber, Failure> {
        let mut builder = Subscriber::builder().repair(!self.no_repair).from(from);
        for uri in &self.uris {
            builder = builder.endpoint(uri.clone());
        }
        if self.loses_on_purpose() {
            builder = builder.faults(self.faults()?);
        }
        for prefix in &self.topic {
            builder = builder.topic(prefix);
        }
        if self.as_arrived {
            builder = builder.as_arrived();
        }
        if let Some(bytes) = self.receive_buffer {
            builder = builder.receive_buffer(bytes);
        }
        if let Some(topics) = self.conflate {
            builder = builder.conflate(topics);
        }
        Ok(self.tuning.subscriber(builder).open()?)
    }
}

pub(crate) fn prefix(text: &str) -> Result<String, String> {
    if text.len() > TOPIC_BYTES {
        return Err(format!("no topic is longer than {TOPIC_BYTES} bytes, but this has {}", text.len()));
    }
    Ok(text.to_owned())
}

pub(crate) fn start(text: &str) -> Result<Start, String> {
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
