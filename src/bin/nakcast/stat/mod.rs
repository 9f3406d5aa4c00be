//! `nakcast stat`: what a stream shows to one who only looks on, and what its publishers say of their receivers.

mod asker;
mod export;
pub(crate) mod finding;
mod report;
pub(crate) mod view;
pub(crate) mod watch;

use std::time::Duration;

use nakcast::Endpoint;

use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::metrics::Place;
use crate::stat::watch::Watch;
use crate::units;

const EXAMPLES: &str = "\
It joins as an observer: no publisher counts it or waits for it, and over udp:// it asks for no repair. What
receivers report goes to their publisher alone, which tells it over its TCP port: publish to udp:// and
tcp:// both to see them. Over tcp:// it is sent the stream as any subscriber is.

Examples:
  nakcast stat 'udp://239.192.0.1:4000?interface=eth0'
  Who loses what, every second, for another program:
    nakcast stat 'udp://239.192.0.1:4000?interface=eth0' --every 1 --json | jq .findings

Causes in findings: publisher_silent, network_loss, kernel_buffer (a receive buffer too small or a process too
slow for it), slow_subscriber, receiver_silent (its process stopped, or cut off), evicted.
Exit code 1 also means: no publisher was heard.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The stream to look at, such as 'udp://239.192.0.1:4000?interface=eth0' or tcp://127.0.0.1:7001.
    uri: Endpoint,
    /// Look again and again, instead of once.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    every: Option<Duration>,
    /// With --every: end after so many looks.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "every")]
    count: Option<u64>,
    /// How long to listen before the first look.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds, default_value = "1.5")]
    listen: Duration,
    /// Print each look as a JSON object, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    metrics: Place,
}

/// Looks, and says what it sees.
pub(crate) fn run(args: &Args) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    let exporter = args.metrics.open()?;
    let mut watch = Watch::open(&args.uri)?;
    watch.listen(args.listen, &interrupt)?;
    let (mut looks, mut wait) = (0, Duration::ZERO);
    loop {
        watch.listen(wait, &interrupt)?;
        if interrupt.is_asked() {
            return Ok(Ending::Interrupted);
        }
        let view = watch.look(&interrupt)?;
        if view.sources.is_empty() && args.every.is_none() {
            return Err(match &args.uri {
                Endpoint::Tcp(_) => Failure::NobodyAnswered(args.listen),
                _ => Failure::NobodyHeard(args.listen),
            });
        }
        if args.json {
            report::json(&args.uri.to_string(), &view);
        } else {
            report::text(&view);
        }
        if let Some(exporter) = &exporter {
            exporter.show(export::text(&view));
        }
        looks += 1;
        match args.every {
            Some(every) if args.count.is_none_or(|count| looks < count) => wait = every,
            _ => return Ok(Ending::Well),
        }
    }
}
