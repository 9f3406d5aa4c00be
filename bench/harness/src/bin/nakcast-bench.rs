//! This library, through its public interface.

use std::process::ExitCode;
use std::time::Duration;

use harness::Heard;
use harness::Options;
use harness::Publish;
use harness::Receive;
use harness::Received;
use harness::Result;
use harness::Role;
use harness::Sent;
use harness::System;
use nakcast::Event;
use nakcast::LostReason;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::PublisherBuilder;
use nakcast::Start;
use nakcast::Subscriber;
use nakcast::SubscriberBuilder;
use nakcast::Wait;
use serde_json::json;

/// How long everything may take to be confirmed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest sleep of one call.
const SLEEP: Duration = Duration::from_millis(100);

/// How many messages a publisher without a thread sends between two turns.
const TURN: u32 = 64;

/// The longest that one call spins.
const SPIN: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    harness::main::<Nakcast>()
}

/// The same over a connection.
const TCP: &str = "nakcast-tcp";
/// To a group, from a publisher that also serves those who come late; a subscriber begins with the oldest message.
const LATE: &str = "nakcast-late";

struct Nakcast;

impl System for Nakcast {
    type Publisher = Sending;
    type Subscriber = Receiving;
    const NAMES: &'static [&'static str] = &["nakcast", TCP, LATE];

    fn publisher(options: &Options) -> Result<Sending> {
        let builder = Publisher::builder();
        let mut builder = if options.system == TCP {
            builder.tcp(&format!("tcp://{}:{}", options.local, options.port))
        } else {
            builder.udp(&uri(options)).datagram(options.datagram)
        };
        if options.system == LATE {
            builder = builder.tcp(&format!("tcp://{}:{}", options.local, options.port));
        }
        builder = builder.policy(match options.policy {
            harness::Policy::Block => Policy::BLOCK,
            harness::Policy::Drop => Policy::DROP,
        });
        let ring = options.ring.unwrap_or(nakcast::RING);
        builder = builder.ring(ring);
        // One message at a time and nothing but waiting in between: without a thread beside, as Aeron's invoker.
        let is_driven = options.is_spinning() && matches!(options.role, Role::Ping | Role::Echo);
        let publisher = how_to_send(builder, options).driven(is_driven).open()?;
        Ok(Sending { publisher, is_driven, until_turn: TURN, configured: publisher_bytes(ring) })
    }

    fn subscriber(options: &Options) -> Result<Receiving> {
        let builder = if options.system == TCP {
            Subscriber::builder().tcp(&format!("tcp://{}:{}", options.remote, options.port))
        } else {
            Subscriber::builder().udp(&uri(options))
        };
        let builder = if options.system == LATE { builder.from(Start::Earliest) } else { builder };
        let subscriber = how_to_receive(builder, options).open()?;
        let is_sub = options.role == Role::Sub;
        let takes_many = is_sub && !options.is_paced();
        let sleeps = !options.is_spinning();
        let patience = if options.is_spinning() { SPIN } else { SLEEP };
        let configured = subscriber_bytes(options);
        Ok(Receiving { subscriber, takes_many, sleeps, is_sub, patience, told: Told::default(), configured })
    }
}

fn uri(options: &Options) -> String {
    let Options { group, port, interface, .. } = options;
    format!("udp://{group}:{port}?interface={interface}")
}

fn how_to_send(builder: PublisherBuilder, options: &Options) -> PublisherBuilder {
    let builder =
        builder.segmentation(options.is_segmenting()).wait(wait(options)).busy_poll(busy_poll(options));
    match options.background_core {
        Some(core) => builder.background_core(core),
        None => builder,
    }
}

fn how_to_receive(builder: SubscriberBuilder, options: &Options) -> SubscriberBuilder {
    let builder =
        builder.segmentation(options.is_segmenting()).wait(wait(options)).busy_poll(busy_poll(options));
    match reorder_window(options) {
        Some(bytes) => builder.receive_buffer(bytes / 3 * 4).reorder_window(bytes),
        None => builder,
    }
}

/// What the documentation of `PublisherBuilder::ring` says.
const fn publisher_bytes(ring: usize) -> usize {
    ring + ring / 16 + (8 << 20) / 10
}

/// What the documentation of `SubscriberBuilder::reorder_window` says, with one source.
fn subscriber_bytes(options: &Options) -> usize {
    let buffers = if options.is_segmenting() { 512 << 10 } else { 4_300 << 10 };
    buffers + reorder_window(options).unwrap_or(nakcast::REORDER_WINDOW) + (25 << 10)
}

fn reorder_window(options: &Options) -> Option<usize> {
    let bytes = options.window.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0)?;
    Some(3 * bytes)
}

const fn busy_poll(options: &Options) -> Duration {
    Duration::from_micros(options.busy_poll)
}

fn wait(options: &Options) -> Wait {
    if options.is_spinning() { Wait::Spin } else { Wait::Block }
}

struct Sending {
    publisher: Publisher,
    is_driven: bool,
    /// Messages until a publisher without a thread has its turn.
    until_turn: u32,
    /// The memory that its settings say it takes.
    configured: usize,
}

impl Publish for Sending {
    fn is_connected(&mut self, subscribers: usize) -> Result<bool> {
        Ok(self.publisher.wait_for(subscribers, Duration::from_millis(1)).is_ok())
    }

    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<()> {
        self.publisher.publish(b"", message)?;
        self.until_turn -= 1;
        if self.until_turn == 0 {
            self.until_turn = TURN;
            self.idle()?;
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        if self.is_driven {
            self.publisher.poll();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Sent> {
        let finished = self.publisher.finish(PATIENCE);
        let stats = self.publisher.stats();
        let sender = stats.sender;
        let mut sent = Sent { repaired: sender.repaired_offsets, naks: sender.naks, ..Sent::default() };
        let mut note = |name: &str, value| drop(sent.notes.insert(name.into(), value));
        note("configured_bytes", json!(self.configured));
        note("finished", json!(finished.err().map_or("yes".into(), |error| error.to_string())));
        note("segmentation", json!(stats.segmentation.to_string()));
        note("datagrams", json!(stats.batches));
        note("datagram_bytes", json!(stats.bytes));
        note("repaired_datagrams", json!(sender.repairs_multicast + sender.repairs_unicast));
        note("repaired_bytes", json!(sender.repaired_bytes));
        note("receivers", json!(stats.receivers));
        note("evicted", json!(sender.evicted));
        note("shed", json!(sender.ranges_shed));
        note("heartbeats", json!(sender.heartbeats));
        note("polls", json!(sender.polls));
        note("statuses", json!(sender.statuses));
        note("send_errors", json!(stats.send_errors));
        note("round_trip_us", json!(stats.round_trip.as_micros() as u64));
        Ok(sent)
    }
}

/// What was told beside messages.
#[derive(Default)]
struct Told {
    lost: u64,
    reason: Option<LostReason>,
    is_up: bool,
    has_ended: bool,
}

impl Told {
    /// What is not a message.
    #[cold]
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Lost { range, reason, .. } => {
                self.lost += range.len();
                self.reason.get_or_insert(*reason);
            }
            Event::SourceUp { .. } => (self.is_up, self.has_ended) = (true, false),
            Event::SourceDown { .. } => self.has_ended = true,
            _ => {}
        }
    }
}

struct Receiving {
    subscriber: Subscriber,
    /// Whether messages come by the thousand, and something is there whenever it looks.
    takes_many: bool,
    /// Whether it sleeps while nothing is.
    sleeps: bool,
    /// Whether this side has nothing to do but receive.
    is_sub: bool,
    /// The longest that one call waits.
    patience: Duration,
    told: Told,
    /// The most memory that its settings say it takes.
    configured: usize,
}

impl Receiving {
    #[inline]
    fn many<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<usize> {
        let told = &mut self.told;
        let each = |event: Event<'_>| match event {
            Event::Message(message) => each(message.payload),
            other => told.take(&other),
        };
        let subscriber = &mut self.subscriber;
        Ok(if self.sleeps { subscriber.poll_timeout(self.patience, each)? } else { subscriber.poll(each)? })
    }

    /// Waits, spinning or not, as the builder was told. Once a source is up, its end is an event too, and nothing but
    /// events needs to be waited for.
    #[inline]
    fn one<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<usize> {
        let event = if self.told.is_up && self.is_sub {
            self.subscriber.recv()?
        } else {
            let Some(event) = self.subscriber.recv_timeout(self.patience)? else { return Ok(0) };
            event
        };
        match event {
            Event::Message(message) => each(message.payload),
            other => self.told.take(&other),
        }
        Ok(1)
    }
}

impl Receive for Receiving {
    #[inline]
    fn receive<F: FnMut(&[u8])>(&mut self, each: F) -> Result<Received> {
        let count = if self.takes_many { self.many(each)? } else { self.one(each)? };
        Ok(match count {
            _ if self.told.has_ended => Received::Ended,
            0 => Received::Nothing,
            _ => Received::Some,
        })
    }

    fn counters(&self) -> Heard {
        let stats = self.subscriber.stats();
        let sources = self.subscriber.sources();
        let sum = |figure: fn(&nakcast::SourceStats) -> u64| {
            sources.iter().map(|source| figure(&source.stats)).sum::<u64>()
        };
        let (repaired, naks) = (sum(|stats| stats.repaired), sum(|stats| stats.naks));
        let mut heard = Heard { lost: self.told.lost, repaired, naks, ..Heard::default() };
        let mut note = |name: &str, value| drop(heard.notes.insert(name.into(), value));
        note("configured_bytes", json!(self.configured));
        note("lost_reason", json!(self.told.reason.map(|reason| reason.to_string())));
        note("repaired_datagrams", json!(sum(|stats| stats.repairs)));
        note("datagrams", json!(sum(|stats| stats.batches)));
        note("coalescing", json!(stats.coalescing.to_string()));
        note("kernel_drops", json!(stats.kernel_drops));
        note("undecodable", json!(stats.undecodable));
        note("receive_buffer", json!(self.subscriber.receive_buffer().1));
        heard
    }
}
