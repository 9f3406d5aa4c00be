//! The `nakcast` command: see it work (`demo`), send (`pub`), receive (`sub`), try it out in virtual time (`sim`), see who has what (`stat`, `top`), mend it (`doctor`).

mod capture;
mod clock;
mod demo;
mod doctor;
mod ending;
mod interrupt;
mod metrics;
mod progress;
mod publish;
mod record;
mod replay;
mod say;
mod simulate;
mod stat;
mod subscribe;
mod table;
mod top;
mod tuning;
mod units;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::ArgAction;
use clap::Parser;
use clap::Subcommand;
use tracing::Level;

use crate::ending::Ending;
use crate::ending::Failure;
use crate::say::say;

/// What every `--help` ends with.
const COMMON_HELP: &str = "\
URI: udp://ADDRESS:PORT?PARAMETER=VALUE&…
  ADDRESS     a multicast group (239.192.0.1, [ff15::1]) or one subscriber's own address;
              pub: also several, ADDRESS:PORT,ADDRESS:PORT,… with a copy for each
  join=yes    the address is the publisher's own, and whoever asks there is sent a copy
  interface=  the network interface, by name or address (lo for this machine only)
  stream=     which stream on this address, when there are several; default 1
  source=     hear only this sender
  ttl=        how many routers a datagram may pass, plus one; default 1
URI: tcp://HOST:PORT?PARAMETER=VALUE&…
  HOST        pub: the address to listen at (0.0.0.0, [::]); sub: the publisher's name or address
  stream=     as above
  topic=      sub: only topics that begin so, in percent-encoding; may be given several times

Exit codes:
  0    all went well
  1    it did not, and one line says why
  2    the command line makes no sense
  3    messages were lost (sub, record, replay --fail-on-loss)
  4    a promise does not hold, such as published = delivered + lost: a bug
  130  interrupted by Ctrl-C, SIGTERM or SIGHUP; a second one does not wait for anything";

const OVERVIEW: &str = "\
Brokerless publish/subscribe over UDP multicast and TCP: numbered messages, repair by NAK, and no loss in silence.

Try it:
  nakcast demo
Two terminals:
  nakcast sub 'udp://239.192.0.1:4000?interface=lo'
  seq 100000 | nakcast pub 'udp://239.192.0.1:4000?interface=lo' --wait 1 --policy block";

/// Brokerless publish/subscribe over UDP multicast and TCP.
#[derive(Debug, Parser)]
#[command(version, about, long_about = OVERVIEW, after_help = COMMON_HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say on stderr what happens; twice for more.
    #[arg(short, long, action = ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish what comes on standard input, or a file.
    #[command(name = "pub")]
    Publish(publish::Args),
    /// Receive messages and write them to standard output.
    #[command(name = "sub")]
    Subscribe(subscribe::Args),
    /// Record messages with their times, as a capture file (pcap).
    Record(record::Args),
    /// Publish a recording, or any capture, again.
    Replay(replay::Args),
    /// See what would go wrong on this machine, or on a stream, and how to mend it.
    Doctor(doctor::Args),
    /// See who publishes how much on a stream, who is behind, and where it is lost.
    Stat(stat::Args),
    /// Watch all streams and receivers of a group on a terminal.
    Top(top::Args),
    /// See it all work in one process: loss, repair, and the account of every message.
    Demo(demo::Args),
    /// See in virtual time what a feed would do, or whether every promise holds whatever the network does.
    #[command(name = "sim")]
    Simulate(simulate::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    let quiet = cli.verbose == 0;
    let ending = match &cli.command {
        Command::Publish(args) => publish::run(args, quiet),
        Command::Subscribe(args) => subscribe::run(args, quiet),
        Command::Record(args) => record::run(args),
        Command::Replay(args) => replay::run(args, quiet),
        Command::Doctor(args) => doctor::run(args),
        Command::Stat(args) => stat::run(args),
        Command::Top(args) => top::run(args),
        Command::Demo(args) => demo::run(args, quiet),
        Command::Simulate(args) => simulate::run(args, quiet),
    };
    ending.unwrap_or_else(told).code()
}

fn told(failure: Failure) -> Ending {
    say(format_args!("nakcast: {failure}"));
    if matches!(failure, Failure::Usage(_)) { Ending::Misused } else { Ending::Failed }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // A subscriber that cannot write its own errors must not take the program along when nobody reads stderr.
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
