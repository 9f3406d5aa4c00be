//! A case: who publishes what to whom, and what must have come of it.

use crate::network::account::Account;
use crate::network::account::sha256;
use crate::network::net::Host;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::SUBSCRIBERS;
use crate::network::process::Ended;
use crate::network::process::Process;

pub(crate) const V4: &str = "udp://239.192.1.1:4000?interface=eth0";
pub(crate) const V6: &str = "udp://[ff15::4242]:4000?interface=eth0";

/// Messages that fill a datagram each, so that an offset is a datagram.
pub(crate) const CHUNK: usize = 1_200;

/// What to publish and how; every message carries its number.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    publish_to: String,
    subscribe_to: String,
    subscribers: Vec<Host>,
    messages: usize,
    chunk: usize,
    publish: Vec<String>,
    subscribe: Vec<String>,
}

impl Default for Case {
    /// 2 MB to the three subscribers, who are to get everything.
    fn default() -> Self {
        Self {
            publish_to: V4.to_owned(),
            subscribe_to: V4.to_owned(),
            subscribers: SUBSCRIBERS.to_vec(),
            messages: 1_700,
            chunk: CHUNK,
            publish: words("--policy block"),
            subscribe: Vec::new(),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Case {
    pub(crate) fn at(mut self, publish_to: &str, subscribe_to: &str) -> Self {
        (self.publish_to, self.subscribe_to) = (publish_to.to_owned(), subscribe_to.to_owned());
        self
    }

    pub(crate) fn to(mut self, subscribers: &[Host]) -> Self {
        self.subscribers = subscribers.to_vec();
        self
    }

    /// So many messages of so many bytes.
    pub(crate) fn messages(mut self, messages: usize, chunk: usize) -> Self {
        (self.messages, self.chunk) = (messages, chunk);
        self
    }

    /// Options of `nakcast pub`; the default is `--policy block`.
    pub(crate) fn publish(mut self, options: &str) -> Self {
        self.publish = words(options);
        self
    }

    /// Options of `nakcast sub`.
    pub(crate) fn subscribe(mut self, options: &str) -> Self {
        self.subscribe = words(options);
        self
    }

    /// The input: the messages one behind the other.
    pub(crate) fn input(&self) -> Vec<u8> {
        (0..self.messages as u64).flat_map(|number| message(number, self.chunk)).collect()
    }

    /// A subscriber on `host`.
    pub(crate) fn subscriber(&self, net: &Net, host: Host) -> Process {
        let options = self.subscribe.iter().map(String::as_str);
        let arguments: Vec<_> = ["sub", &self.subscribe_to, "--raw"].into_iter().chain(options).collect();
        Process::start(net, host, &arguments)
    }

    /// A publisher that waits for `wait` subscribers.
    pub(crate) fn publisher(&self, net: &Net, wait: usize) -> Process {
        self.publisher_under(net, "", wait)
    }

    /// The same, run by a program that watches it.
    pub(crate) fn publisher_under(&self, net: &Net, watcher: &str, wait: usize) -> Process {
        let (chunk, wait) = (self.chunk.to_string(), wait.to_string());
        let options = self.publish.iter().map(String::as_str);
        let fixed = ["pub", &self.publish_to, "--chunk", &chunk, "--wait", &wait];
        let arguments: Vec<_> = fixed.into_iter().chain(options).collect();
        Process::start_under(net, PUBLISHER, watcher, &arguments)
    }

    /// Everybody started, and nothing published yet.
    pub(crate) fn start(&self, net: &Net) -> Running {
        self.start_beside(net, Vec::new())
    }

    /// The same beside subscribers that were started in another way.
    pub(crate) fn start_beside(&self, net: &Net, others: Vec<(Host, Process)>) -> Running {
        let mine = self.subscribers.iter().map(|host| (*host, self.subscriber(net, *host)));
        let subscribers: Vec<_> = mine.chain(others).collect();
        let publisher = self.publisher(net, subscribers.len());
        self.running(publisher, subscribers)
    }

    /// The case with processes that were started in another way.
    pub(crate) fn running(&self, publisher: Process, subscribers: Vec<(Host, Process)>) -> Running {
        Running { case: self.clone(), publisher, subscribers }
    }

    /// All of it, from the start to the end of every process.
    pub(crate) fn run(&self, net: &Net) -> Outcome {
        let mut running = self.start(net);
        running.publisher.feed(&self.input());
        running.end()
    }
}

/// The message with a number: the number, and bytes that follow from it.
fn message(number: u64, chunk: usize) -> impl Iterator<Item = u8> {
    let body = (8..chunk as u64).map(move |at| ((number.wrapping_mul(0x9e37_79b9) + at * 31) >> 3) as u8);
    number.to_le_bytes().into_iter().take(chunk).chain(body)
}

/// A case under way.
pub(crate) struct Running {
    case: Case,
    pub(crate) publisher: Process,
    pub(crate) subscribers: Vec<(Host, Process)>,
}

impl Running {
    pub(crate) fn at(&self, host: Host) -> &Process {
        &self.subscribers.iter().find(|(at, _)| *at == host).unwrap().1
    }

    /// Another process takes the place of a subscriber.
    pub(crate) fn replace(&mut self, host: Host, process: Process) {
        self.subscribers.iter_mut().find(|(at, _)| *at == host).unwrap().1 = process;
    }

    /// Publishes the part of the input from one hundredth to another.
    pub(crate) fn publish(&mut self, from: usize, to: usize) {
        let input = self.case.input();
        self.publisher.write(&input[self.bytes(from)..self.bytes(to)]);
    }

    /// Bytes of the input up to a hundredth.
    pub(crate) fn bytes(&self, hundredth: usize) -> usize {
        self.case.messages * hundredth / 100 * self.case.chunk
    }

    /// Waits until a subscriber has written the input up to a hundredth.
    pub(crate) fn wait_for(&self, host: Host, hundredth: usize) {
        self.at(host).wait_for_bytes(self.bytes(hundredth));
    }

    /// Waits for the end of everybody.
    pub(crate) fn end(self) -> Outcome {
        let Self { case, publisher, subscribers } = self;
        let publisher = publisher.end();
        let subscribers = subscribers.into_iter().map(|(host, process)| (host, process.end())).collect();
        Outcome { input: case.input(), case, publisher, subscribers }
    }
}

/// What came of a case.
pub(crate) struct Outcome {
    case: Case,
    input: Vec<u8>,
    pub(crate) publisher: Ended,
    pub(crate) subscribers: Vec<(Host, Ended)>,
}

impl Outcome {
    pub(crate) fn at(&self, host: Host) -> &Ended {
        &self.subscribers.iter().find(|(at, _)| *at == host).unwrap().1
    }

    /// The only account of a subscriber.
    pub(crate) fn account(&self, host: Host) -> Account {
        let accounts = self.at(host).accounts();
        assert_eq!(accounts.len(), 1, "{}", self.told(host));
        accounts[0]
    }

    /// Offsets that the publisher counted.
    pub(crate) fn published(&self) -> u64 {
        let mut lines = self.publisher.stderr.lines();
        let line = lines.find(|line| line.starts_with("published ")).unwrap_or_default();
        let number =
            line.split(" offset").next().and_then(|text| text.rsplit(' ').next()).unwrap_or_default();
        number.replace(',', "").parse().unwrap_or_else(|_| panic!("{}", self.publisher.stderr))
    }

    /// Datagrams that the publisher's system refused to send.
    pub(crate) fn refused(&self) -> u64 {
        self.publisher.number_after("the system refused to send ").unwrap_or(0)
    }

    fn told(&self, host: Host) -> String {
        let (publisher, subscriber) = (&self.publisher, self.at(host));
        format!(
            "{}: code {:?}, wrote {} of {} bytes\n{}\n{}: code {:?}\n{}",
            subscriber.line,
            subscriber.code,
            subscriber.stdout.len(),
            self.input.len(),
            subscriber.stderr,
            publisher.line,
            publisher.code,
            publisher.stderr
        )
    }

    /// Every subscriber got every byte, in order and once, and both sides say so.
    pub(crate) fn is_complete(&self) -> &Self {
        assert_eq!(self.publisher.code, Some(0), "{}", self.publisher.stderr);
        let hosts: Vec<_> = self.subscribers.iter().map(|(host, _)| *host).collect();
        self.is_complete_at(&hosts)
    }

    /// These subscribers got every byte, in order and once, and ended by themselves.
    pub(crate) fn is_complete_at(&self, hosts: &[Host]) -> &Self {
        for host in hosts {
            assert_eq!(self.at(*host).code, Some(0), "{}", self.told(*host));
        }
        self.is_whole_at(hosts)
    }

    /// These subscribers got every byte, in order and once, however they ended.
    pub(crate) fn is_whole_at(&self, hosts: &[Host]) -> &Self {
        for host in hosts {
            let account = self.account(*host);
            assert!(account.is_exact(), "{account:?}\n{}", self.told(*host));
            let told = (account.start, account.lost, account.published, account.delivered);
            assert_eq!(told, (0, 0, self.published(), self.published()), "{}", self.told(*host));
            assert_eq!(self.at(*host).sha256(), sha256(&self.input), "{}", self.told(*host));
        }
        self
    }

    /// This subscriber may have lost something, and its account is exact: of everything that was published, what it
    /// wrote and what it told as lost make up all, and what it wrote are messages of the input in their order.
    pub(crate) fn is_exact_at(&self, host: Host) -> &Self {
        let account = self.account(host);
        assert!(account.is_exact(), "{account:?}\n{}", self.told(host));
        assert_eq!((account.start, account.published), (0, self.published()), "{}", self.told(host));
        let delivered = self.is_part_of_input(host);
        assert_eq!(delivered, account.delivered, "{}", self.told(host));
        assert_eq!(self.at(host).code, Some(0), "{}", self.told(host));
        self
    }

    /// What a subscriber wrote are whole messages of the input, each at most once and in order; says how many.
    pub(crate) fn is_part_of_input(&self, host: Host) -> u64 {
        let mut numbers = Vec::new();
        for bytes in self.at(host).stdout.chunks(self.case.chunk) {
            numbers.push(u64::from_le_bytes(*bytes.first_chunk().unwrap()));
        }
        assert!(numbers.is_sorted_by(|one, next| one < next), "out of order: {}", self.told(host));
        let expected: Vec<u8> = numbers.iter().flat_map(|number| message(*number, self.case.chunk)).collect();
        assert_eq!(self.at(host).sha256(), sha256(&expected), "{}", self.told(host));
        numbers.len() as u64
    }

    /// The account of a subscriber fits what `wanted` says.
    pub(crate) fn has(&self, host: Host, wanted: impl Fn(&Account) -> bool) -> &Self {
        let account = self.account(host);
        assert!(wanted(&account), "{account:?}\n{}", self.told(host));
        self
    }

    pub(crate) fn everybody_has(&self, wanted: impl Fn(&Account) -> bool) -> &Self {
        for (host, _) in &self.subscribers {
            self.has(*host, &wanted);
        }
        self
    }

    /// A subscriber has said `text`.
    pub(crate) fn says(&self, host: Host, text: &str) -> &Self {
        assert!(self.at(host).stderr.contains(text), "no {text:?} in\n{}", self.told(host));
        self
    }
}
