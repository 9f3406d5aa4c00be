//! Parts that the command cannot play, played by this very test program, started again on a host.

use std::time::Duration;

use nakcast::Event;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::Subscriber;
use sha2::Digest;
use sha2::Sha256;

use crate::network::case::CHUNK;
use crate::network::case::Case;
use crate::network::case::V4;
use crate::network::forge;
use crate::network::forge::Target;
use crate::network::impostor;
use crate::network::impostor::Trick;
use crate::network::lines::LINE_A;
use crate::network::lines::LINE_B;
use crate::network::net::Host;
use crate::network::net::Net;
use crate::network::process::Process;
use crate::network::relay;

/// Where the part stands in the environment.
const VARIABLE: &str = "NAKCAST_PART";

/// Who is played.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// A subscriber with next to no receive buffer.
    Tiny,
    /// A publisher of datagrams that are larger than its MTU.
    Fragmenting { messages: usize },
    /// A publisher by two lines, which waits for so many subscribers and does not hurry.
    Lined { messages: usize, wait: usize },
    /// Carries frames between `tapa` and `tapb`, and mistreats them.
    Relay { seed: u64 },
    /// Forges datagrams as fast as it can for so long, to the control ports of two subscribers, too.
    Forger { seconds: u64, target: Target, control: [u16; 2] },
    /// Sends as the publisher for so long.
    Impostor { seconds: u64, trick: Trick },
}

impl Part {
    pub(crate) fn start(self, net: &Net, host: Host) -> Process {
        let me = std::env::current_exe().unwrap();
        let mut command = net.command(host, me.to_str().unwrap());
        command.args(["network::part::a_process_of_a_case", "--exact", "--ignored", "--nocapture"]);
        command.env(
            VARIABLE,
            match self {
                Self::Tiny => "tiny 0".to_owned(),
                Self::Fragmenting { messages } => format!("fragmenting {messages}"),
                Self::Lined { messages, wait } => format!("lined {messages} {wait}"),
                Self::Relay { seed } => format!("relay {seed}"),
                Self::Forger { seconds, target, control: [one, two] } => {
                    format!("forger {seconds} {} {one} {two}", target as u64)
                }
                Self::Impostor { seconds, trick } => format!("impostor {seconds} {}", trick as u64),
            },
        );
        Process::spawn(command, format!("{host}: {self:?}"))
    }
}

#[test]
#[ignore = "a process that other tests start"]
fn a_process_of_a_case() {
    let Ok(part) = std::env::var(VARIABLE) else { return };
    let (name, numbers) = part.split_once(' ').unwrap();
    let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    match (name, numbers.as_slice()) {
        ("tiny", _) => subscribe(),
        ("fragmenting", [messages]) => publish(*messages as usize),
        ("lined", [messages, wait]) => publish_by_lines(*messages as usize, *wait as usize),
        ("relay", [seed]) => relay::run(*seed),
        ("forger", [seconds, target, one, two]) => {
            forge::forge(Duration::from_secs(*seconds), *target, [*one, *two]);
        }
        ("impostor", [seconds, trick]) => impostor::pose(Duration::from_secs(*seconds), *trick),
        _ => panic!("{part}"),
    }
}

/// Receives one stream to its end, and says what `nakcast sub` would.
fn subscribe() {
    let mut subscriber = Subscriber::builder().udp(V4).receive_buffer(2_304).open().unwrap();
    eprintln!("subscribed with {:?}", subscriber.receive_buffer());
    let mut hash = Sha256::new();
    loop {
        match subscriber.recv().unwrap() {
            Event::Message(message) => hash.update(message.payload),
            Event::SourceDown { .. } => break,
            _ => {}
        }
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    eprintln!("sha256 {digest}");
    for source in subscriber.sources() {
        let (book, stats) = (source.book, source.stats);
        eprintln!("publisher {} at {}, {:?}:", source.session, source.address, source.down);
        eprintln!("  published {} from offset {}", book.heard.since(book.start), book.start);
        eprintln!("  delivered {} lost {} pending {}", book.delivered, book.lost, book.pending());
        eprintln!("  repaired {} NAKs {} duplicates {}", stats.repaired, stats.naks, stats.duplicates);
    }
}

/// Publishes the input of a case in datagrams that the network layer cuts.
fn publish(messages: usize) {
    let builder = Publisher::builder().udp(V4).policy(Policy::BLOCK).fragment(true);
    let mut publisher = builder.open().unwrap();
    publisher.wait_for(3, Duration::from_secs(30)).unwrap();
    for message in Case::default().messages(messages, CHUNK).input().chunks(CHUNK) {
        publisher.publish(b"", message).unwrap();
    }
    let finished = publisher.finish(Duration::from_secs(10));
    eprintln!("published {} offsets", publisher.stats().published);
    finished.unwrap();
}

/// Publishes the input of a case by both groups, some twenty messages a millisecond.
fn publish_by_lines(messages: usize, wait: usize) {
    let builder = Publisher::builder().udp(LINE_A).udp(LINE_B).policy(Policy::BLOCK);
    let mut publisher = builder.open().unwrap();
    publisher.wait_for(wait, Duration::from_secs(30)).unwrap();
    for burst in Case::default().messages(messages, CHUNK).input().chunks(20 * CHUNK) {
        for message in burst.chunks(CHUNK) {
            publisher.publish(b"", message).unwrap();
        }
        publisher.flush().unwrap();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let finished = publisher.finish(Duration::from_secs(20));
    eprintln!("published {} offsets", publisher.stats().published);
    finished.unwrap();
}
