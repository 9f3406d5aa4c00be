//! `nakcast doctor`: what goes wrong in practice, looked for before it does, and how to mend it.

mod finding;
mod group;
mod hear;
pub(crate) mod host;
mod kernel;
mod link;
mod loopback;
mod parse;
pub(crate) mod place;
mod report;
pub(crate) mod sockets;
mod stream;

use std::time::Duration;

use nakcast::Endpoint;
use nakcast::UdpEndpoint;

use crate::doctor::finding::Finding;
use crate::doctor::finding::Severity;
use crate::doctor::host::Host;
use crate::doctor::place::Place;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::units;

const EXAMPLES: &str = "\
Checks the machine; with a URI also the interface, the group and who is heard there. With udp://
it sends one datagram that does not leave this machine (TTL 0, on loopback or the URI's interface),
and else only listens; with tcp:// it connects as one who only looks on.

Examples:
  nakcast doctor
  nakcast doctor 'udp://239.192.0.1:4000?interface=eth0'
  nakcast doctor tcp://feed.example.com:7001 --json
  What to do, as commands to read and then to run:
    nakcast doctor 'udp://239.192.0.1:4000?interface=eth0' --fix

Exit codes:
  0    all is well, or cannot be checked here
  1    warnings: it works, but something may go wrong or slowly
  2    errors: it cannot work so; also a command line that makes no sense";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The stream to look at, such as 'udp://239.192.0.1:4000?interface=eth0' or tcp://127.0.0.1:7001.
    uri: Option<Endpoint>,
    /// How long to listen for publishers.
    #[arg(long, value_name = "SECONDS", value_parser = listen, default_value = "2")]
    listen: Duration,
    /// Print the commands that mend what was found, and nothing else. They are never run.
    #[arg(long, conflicts_with = "json")]
    fix: bool,
    /// Print a JSON object with all findings.
    #[arg(long)]
    json: bool,
}

fn listen(text: &str) -> Result<Duration, String> {
    match units::seconds(text)? {
        time if time <= Duration::from_secs(3_600) => Ok(time),
        _ => Err("listen for an hour at most".to_owned()),
    }
}

/// Checks everything, and says what it found.
pub(crate) fn run(args: &Args) -> Result<Ending, Failure> {
    let host = Host::this();
    let findings = match &args.uri {
        None => machine(&host),
        Some(Endpoint::Udp(endpoint)) => datagrams(&host, endpoint, args.listen),
        Some(Endpoint::Tcp(endpoint)) => {
            vec![kernel::clock_source(&host), stream::answers(endpoint, args.listen)]
        }
        Some(_) => return Err(Failure::Usage("doctor knows udp:// and tcp:// URIs: give one of these")),
    };
    match (args.fix, args.json) {
        (true, _) => report::fix(&findings),
        (_, true) => report::json(&findings),
        _ => report::text(&findings),
    }
    Ok(match report::worst(&findings) {
        Severity::Fine | Severity::Unchecked => Ending::Well,
        Severity::Warning => Ending::Warned,
        Severity::Error => Ending::Ailing,
    })
}

/// What does not depend on a stream; each interface that is up.
fn machine(host: &Host) -> Vec<Finding> {
    let places = Place::all();
    let mut findings = vec![link::any_carries(host, &places)];
    for place in &places {
        findings.extend(interface(host, place));
    }
    findings.push(kernel::igmp_forced(host, None, false));
    findings.extend(system(host));
    findings.push(match places.iter().find(|place| place.is_loopback() && place.address.is_ipv4()) {
        Some(lo) => loopback::arrives(lo, loopback::GROUP),
        None => Finding::error("loopback", "there is no loopback interface".to_owned(), "switch it on")
            .command("ip link set lo up"),
    });
    findings
}

fn interface(host: &Host, place: &Place) -> Vec<Finding> {
    if place.is_loopback() {
        return Vec::new();
    }
    vec![link::carries(host, place), link::fits(host, place), link::reverse_path(host, place)]
}

fn system(host: &Host) -> Vec<Finding> {
    vec![
        kernel::receive_buffer(host),
        kernel::send_buffer(host),
        kernel::offload(),
        kernel::clock_source(host),
    ]
}

/// One stream of datagrams, from the interface to who is heard.
fn datagrams(host: &Host, endpoint: &UdpEndpoint, listen: Duration) -> Vec<Finding> {
    let place = match Place::of(host, endpoint) {
        Ok(place) => place,
        Err(finding) => return [vec![*finding], system(host)].concat(),
    };
    let mut findings = vec![link::carries(host, &place), link::fits(host, &place)];
    findings.push(link::reverse_path(host, &place));
    findings.extend(system(host));
    if endpoint.is_multicast() {
        findings.push(link::route(host, endpoint, &place));
        findings.push(group::address(endpoint));
        findings.push(group::reach(endpoint, &place));
        if endpoint.address.is_ipv4() {
            findings.push(kernel::igmp_forced(host, Some(&place.name), endpoint.source.is_some()));
        }
        findings.push(loopback::arrives(&place, endpoint.address.ip()));
    }
    findings.extend(hear::who(host, endpoint, &place, listen));
    findings
}
