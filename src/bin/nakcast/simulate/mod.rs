//! `nakcast sim`: the protocol in virtual time. Either worlds whose faults a seed draws, every promise checked at every
//! event; or a feed as it was asked for, and what it would do.

mod failure;
mod feed;
mod figures;
mod last;
mod seeds;
mod shrink;
mod trace;
mod trial;
mod worlds;

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;

use clap::value_parser;

use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::say::print;
use crate::say::say;
use crate::simulate::failure::Broken;
use crate::simulate::feed::FeedArgs;
use crate::simulate::seeds::Outcome;
use crate::simulate::seeds::Trials;
use crate::simulate::shrink::shrink;
use crate::simulate::worlds::Worlds;
use crate::units;

const AFTER_HELP: &str = "\
The same protocol as in production, real datagrams, but no network and no clock: time is virtual, and a seed decides \
everything, so that the same command always prints the same.

What a feed would do, by its loss and round trip:
  nakcast sim --loss 2% --rtt 200us --receivers 50 --rate 1G
  nakcast sim --loss 1% --burst-loss 10 --rtt 20ms --pace 5000 --size 1000 --json
The model: half the round trip each way; each receiver loses datagrams of its own, NAKs and repairs too; the \
publisher's link takes --rate (UDP payload) and queues 1 MiB; ring and buffers have their defaults; nobody needs time to compute.

Whether every promise holds, whatever the network does:
  nakcast sim --seeds 2000
  nakcast sim --seed 0x9f --trace | less
  nakcast sim --options nakcast-sim-0x9f.options --shrink

Exit codes:
  0    all went well
  1    a file cannot be read or written, and one line says why
  2    the command line makes no sense
  4    a promise is broken: a bug
  130  interrupted by Ctrl-C, SIGTERM or SIGHUP; a second one does not wait for anything";

const MIXED: &str = "the options that describe a feed (--loss and so on) and those that try seeds (--seeds and so on) \
                     do not mix: leave one kind out, as nakcast sim --help lists them";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Decides everything that is left to chance, such as 159 or 0x9f. Default 0.
    #[arg(long, value_name = "N", value_parser = units::seed)]
    seed: Option<u64>,
    #[command(flatten)]
    feed: Option<FeedArgs>,
    #[command(flatten)]
    proof: Option<ProofArgs>,
}

/// How worlds are tried out.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Whether every promise holds")]
#[group(id = "proof", multiple = true)]
struct ProofArgs {
    /// Try so many seeds, from --seed on; the first that fails ends it.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Print every event.
    #[arg(long, conflicts_with_all = ["seeds", "shrink"])]
    trace: bool,
    /// Try the world that this file describes, as a failure prints it, instead of one that is drawn.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Look for the simplest world that fails in the same way.
    #[arg(long)]
    shrink: bool,
    /// Percent of the seeds that run twice, to see that they do the same again. Default 1.
    #[arg(long, value_name = "PERCENT", value_parser = units::percent)]
    twice: Option<f64>,
    /// Seeds tried at the same time. Default: one for each core.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Where to capture what a failing seed sends (default nakcast-sim-SEED.pcap), or a single seed in any case.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

/// Where the result goes: to stdout, unless the events go there.
type Tell = fn(fmt::Arguments<'_>);

/// Shows what a feed would do, or tries seeds.
pub(crate) fn run(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    trial::catch_panics();
    match (&args.feed, &args.proof) {
        (Some(_), Some(_)) => Err(Failure::Usage(MIXED)),
        (Some(feed), None) => feed::run(feed, args.seed.unwrap_or_default()),
        (None, _) => prove(args, quiet),
    }
}

fn prove(args: &Args, quiet: bool) -> Result<Ending, Failure> {
    let none = ProofArgs::default();
    let proof = args.proof.as_ref().unwrap_or(&none);
    let worlds = Worlds::new(args.seed, proof.options.as_deref())?;
    let tell: Tell = if proof.trace { say } else { print };
    let interrupt = Interrupt::install()?;
    let count = proof.seeds.unwrap_or(1);
    let outcome = if proof.trace {
        trace::print(&worlds.first(), &interrupt)
    } else {
        let jobs = proof.jobs.map_or_else(cores, NonZero::get);
        Trials { worlds: &worlds, count, twice: proof.twice.unwrap_or(0.01), jobs }.run(&interrupt, quiet)?
    };
    match &outcome {
        Outcome::Clean(sums) => {
            tell(format_args!("{sums}"));
            if let Some(path) = proof.pcap.as_deref().filter(|_| count == 1) {
                let (told, is_written) = failure::capture(&worlds.first(), path);
                tell(format_args!("capture: {told}"));
                if !is_written {
                    return Ok(Ending::Failed);
                }
            }
        }
        Outcome::Interrupted(sums) => tell(format_args!("interrupted: {sums}")),
        Outcome::Broken(seed, violation) => {
            let options = worlds.options(*seed);
            let reproduce = worlds.command(*seed, violation);
            let broken = Broken { options: &options, violation, reproduce: &reproduce, tell };
            broken.report(proof.pcap.as_deref());
            if proof.shrink {
                shrink(&broken, &interrupt);
            }
        }
    }
    Ok(outcome.ending())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
