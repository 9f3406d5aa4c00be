//! A mesh: equal nodes, each of which publishes over TCP and subscribes to all the others. Nobody is in the middle.
//!
//! ```text
//! cargo run --example mesh                                      four nodes in this process, which find one another
//! cargo run --example mesh -- --name a --nodes 3                one node of three, found by beacons; likewise b and c
//! cargo run --example mesh -- --name a --listen tcp://127.0.0.1:7001 tcp://127.0.0.1:7002 tcp://127.0.0.1:7003
//!                                                               one node of three, the others given by hand
//! ```
//!
//! Each says hello a thousand times (`--messages N`), prints what it got of whom, and ends when it has everything of
//! everybody and everybody has everything of it. Beacons go to `--group` (default udp://239.192.0.4:4003?interface=lo).

use std::collections::HashSet;
use std::error::Error;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use nakcast::Announcement;
use nakcast::Discovery;
use nakcast::DiscoveryEvent;
use nakcast::DownReason;
use nakcast::Endpoint;
use nakcast::Event;
use nakcast::NodeId;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::Start;
use nakcast::StreamId;
use nakcast::Subscriber;
use nakcast::TcpEndpoint;

/// How long to wait for the others, and for how long at once.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(100);
/// How often a node that is not there is tried: for a minute or so.
const TRIES: u32 = 40;

type Failure = Box<dyn Error + Send + Sync>;

/// What a node is told.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) nodes: usize,
    pub(crate) messages: u64,
    pub(crate) listen: TcpEndpoint,
    /// Where beacons go.
    pub(crate) group: String,
    /// The others, when they are given by hand.
    pub(crate) peers: Vec<Endpoint>,
}

/// What came of one of the others.
#[derive(Debug, Default)]
struct Tally {
    from: String,
    messages: u64,
    lost: u64,
}

fn main() -> Result<(), Failure> {
    let node = parse(std::env::args().skip(1))?;
    let got = if node.name.is_empty() { run_all(&node)? } else { vec![node.run()?] };
    let (each, messages) = (node.messages * (node.nodes as u64 - 1), got.iter().sum::<u64>());
    println!("{} nodes got {messages} messages", got.len());
    if got.iter().all(|got| *got == each) { Ok(()) } else { Err("not every message came once".into()) }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Node, Failure> {
    let group = "udp://239.192.0.4:4003?interface=lo".to_owned();
    let listen = TcpEndpoint::new("127.0.0.1", 0);
    let mut node = Node { name: String::new(), nodes: 4, messages: 1_000, listen, group, peers: Vec::new() };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--name" => node.name = value()?,
            "--nodes" => node.nodes = value()?.parse()?,
            "--messages" => node.messages = value()?.parse()?,
            "--listen" => node.listen = value()?.parse()?,
            "--group" => node.group = value()?,
            uri => node.peers.push(uri.parse()?),
        }
    }
    if !node.peers.is_empty() {
        node.nodes = node.peers.len() + 1;
    }
    if node.nodes < 2 || (node.name.is_empty() && !node.peers.is_empty()) {
        return Err("a mesh has two nodes at least, and a node of its own a --name".into());
    }
    Ok(node)
}

/// All the nodes at once, each on a thread; gives how many messages each got.
pub(crate) fn run_all(node: &Node) -> Result<Vec<u64>, Failure> {
    let start = |number| {
        let mut node = Node { name: format!("node {number}"), ..node.clone() };
        // Another mesh on this machine has another stream.
        node.listen.stream = StreamId(std::process::id());
        thread::spawn(move || node.run())
    };
    let threads: Vec<_> = (1..=node.nodes).map(start).collect();
    threads.into_iter().map(join).collect()
}

fn join<T>(thread: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| "a thread panicked")?
}

impl Node {
    /// Publishes, and receives from everybody else; gives how many messages came.
    pub(crate) fn run(&self) -> Result<u64, Failure> {
        let publisher = Publisher::builder().endpoint(self.listen.clone()).policy(Policy::BLOCK).open()?;
        let port = publisher.stream_address().map_or(0, |address| address.port());
        let listens_at = TcpEndpoint { port, ..self.listen.clone() };
        println!("{} publishes at {listens_at}", self.name);
        let announcement = Announcement::new(&self.name, publisher.session()).endpoint(listens_at);
        let node = self.clone();
        let publishing = thread::spawn(move || node.publish(publisher));
        let receiving = if self.peers.is_empty() {
            self.find(announcement, &publishing)?
        } else {
            self.peers.iter().cloned().map(receive_on_a_thread).collect()
        };
        let mut messages = 0;
        for thread in receiving {
            let tally = join(thread)?;
            println!("{} got {} messages of {}, {} lost", self.name, tally.messages, tally.from, tally.lost);
            messages += tally.messages;
        }
        join(publishing)?;
        Ok(messages)
    }

    /// Its own messages, for whom it is enough to come before the end: what was published before them is held for them.
    fn publish(&self, mut publisher: Publisher) -> Result<(), Failure> {
        for number in 0..self.messages {
            publisher.publish(self.name.as_bytes(), &number.to_le_bytes())?;
        }
        publisher.wait_for(self.nodes - 1, PATIENCE)?;
        publisher.finish(PATIENCE)?;
        Ok(())
    }

    /// Subscribes to whoever is found, and can be found itself until everybody has everything of it.
    fn find(
        &self,
        announcement: Announcement,
        publishing: &JoinHandle<Result<(), Failure>>,
    ) -> Result<Vec<JoinHandle<Result<Tally, Failure>>>, Failure> {
        let mut discovery = Discovery::open(&self.group)?;
        let (mut known, mut receiving) = (HashSet::<NodeId>::new(), Vec::new());
        let mut ticks_left = PATIENCE.as_millis() / TICK.as_millis();
        discovery.announce(announcement)?;
        while receiving.len() + 1 < self.nodes || !publishing.is_finished() {
            let is_whole = receiving.len() + 1 == self.nodes;
            match discovery.recv_timeout(TICK)? {
                Some(DiscoveryEvent::PeerUp(peer)) => {
                    let is_of_this_mesh = peer.announcement.stream() == self.listen.stream;
                    if is_of_this_mesh && !is_whole && known.insert(peer.node) {
                        receiving
                            .extend(peer.announcement.endpoints.first().cloned().map(receive_on_a_thread));
                    }
                }
                None if is_whole => {}
                None if ticks_left == 0 => {
                    return Err(format!("{} has found {} others only", self.name, receiving.len()).into());
                }
                None => ticks_left -= 1,
                Some(_) => {}
            }
        }
        Ok(receiving)
    }
}

fn receive_on_a_thread(endpoint: Endpoint) -> JoinHandle<Result<Tally, Failure>> {
    thread::spawn(move || receive(endpoint))
}

/// Everything that one of the others has published since it began, in order.
fn receive(endpoint: Endpoint) -> Result<Tally, Failure> {
    let builder = Subscriber::builder().endpoint(endpoint).from(Start::Earliest);
    // A node that is only held up is not given up; one that is gone for good is, some day.
    let mut subscriber = builder.silence(PATIENCE).reconnect_limit(TRIES).open()?;
    let mut tally = Tally::default();
    loop {
        match subscriber.recv()? {
            Event::Message(message) => {
                if message.payload != tally.messages.to_le_bytes() {
                    return Err(format!("{:?} came as message {}", message.payload, tally.messages).into());
                }
                if tally.messages == 0 {
                    tally.from = String::from_utf8_lossy(message.topic).into_owned();
                }
                tally.messages += 1;
            }
            Event::Lost { range, .. } => tally.lost += range.len(),
            Event::SourceDown { reason: DownReason::Ended, .. } => break,
            _ => {}
        }
    }
    // One turn more tells the publisher that everything is here.
    subscriber.try_recv()?;
    Ok(tally)
}
