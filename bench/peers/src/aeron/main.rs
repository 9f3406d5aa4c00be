//! Aeron over UDP multicast, its media driver in the same thread.

mod medium;

use std::ffi::CString;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use harness::Heard;
use harness::Notes;
use harness::Options;
use harness::Publish;
use harness::Receive;
use harness::Received;
use harness::Result;
use harness::Role;
use harness::Sent;
use harness::System;
use harness::system;
use rusteron_client::AeronExclusivePublication;
use rusteron_client::AeronOfferError;
use rusteron_client::AeronSubscription;
use rusteron_client::Handlers;
use rusteron_client::bindings::AERON_COUNTER_SENDER_LIMIT_TYPE_ID as SENDER_LIMIT;
use rusteron_client::bindings::AERON_COUNTER_SENDER_POSITION_TYPE_ID as SENDER_POSITION;
use rusteron_media_driver::bindings::AERON_SYSTEM_COUNTER_ID_FLOW_CONTROL_OVER_RUNS as OVER_RUNS;
use rusteron_media_driver::bindings::AERON_SYSTEM_COUNTER_ID_NAK_MESSAGES_RECEIVED as NAKS_RECEIVED;
use rusteron_media_driver::bindings::AERON_SYSTEM_COUNTER_ID_NAK_MESSAGES_SENT as NAKS_SENT;
use rusteron_media_driver::bindings::AERON_SYSTEM_COUNTER_ID_RETRANSMITS_SENT as RETRANSMITS;
use rusteron_media_driver::bindings::AERON_SYSTEM_COUNTER_ID_RETRANSMITTED_BYTES as RETRANSMITTED_BYTES;
use rusteron_media_driver::bindings::AERON_SYSTEM_COUNTER_ID_SENDER_FLOW_CONTROL_LIMITS as FLOW_CONTROL_LIMITS;

use medium::HEADER;
use medium::MTU;
use medium::Medium;
use medium::WINDOW;

const STREAM: i32 = 7;

/// Most messages of one poll.
const FRAGMENTS: usize = 256;

/// The first bytes of the message that ends a run.
const END: [u8; 8] = u64::MAX.to_le_bytes();

/// How long a publication without subscribers is offered messages; longer than Aeron takes to forget one.
const ALONE: Duration = Duration::from_secs(10);

/// How long a publisher serves those who do not go.
const LINGER: Duration = Duration::from_secs(5);

/// Enough for a driver to notice that nobody subscribes any more (its timer), and to say so (the next status message).
const FAREWELL: Duration = Duration::from_millis(350);

fn main() -> ExitCode {
    harness::main::<AeronUdp>()
}

struct AeronUdp;

impl System for AeronUdp {
    type Publisher = Publisher;
    type Subscriber = Subscriber;

    const NAMES: &'static [&'static str] = &["aeron"];

    fn publisher(options: &Options) -> Result<Publisher> {
        check(options)?;
        let medium = Medium::shared(options)?;
        let flow_control = match options.subscribers {
            1 => String::new(),
            many => format!("|fc=min,g:/{many}"),
        };
        let channel = CString::new(format!("{}{flow_control}", channel(options)))?;
        let pending = medium.client().async_add_exclusive_publication(&channel, STREAM)?;
        let publication = medium.wait_for("publication", || Ok(pending.poll()?))?;
        let counters = medium.counters();
        let id = publication.registration_id()?;
        let counter = |kind: u32| {
            let found = counters.find_by_type_and_registration_id(kind as i32, id);
            found.ok_or("no counter of the publication")
        };
        let frame = (HEADER + options.message_bytes()).next_multiple_of(HEADER);
        let is_answering = matches!(options.role, Role::Ping | Role::Echo);
        let (position, limit) = (counter(SENDER_POSITION)?, counter(SENDER_LIMIT)?);
        Ok(Publisher {
            publication,
            medium,
            position,
            limit,
            frame: frame as u64,
            waiting: 0,
            most_waiting: if options.is_paced() { MTU / frame } else { usize::MAX },
            turns_in_idle: !is_answering || options.is_paced(),
        })
    }

    fn subscriber(options: &Options) -> Result<Subscriber> {
        check(options)?;
        let medium = Medium::shared(options)?;
        let channel = CString::new(channel(options))?;
        let client = medium.client();
        let pending = client.async_add_subscription(&channel, STREAM, Handlers::NONE, Handlers::NONE)?;
        let subscription = medium.wait_for("subscription", || Ok(pending.poll()?))?;
        Ok(Subscriber { subscription: Some(subscription), medium, has_ended: false })
    }
}

fn check(options: &Options) -> Result<()> {
    let most = MTU - HEADER;
    if options.message_bytes() > most {
        return Err(format!("messages of more than {most} bytes would be fragments here").into());
    }
    Ok(())
}

fn channel(options: &Options) -> String {
    format!("aeron:udp?endpoint={}:{}|interface={}", options.group, options.port, options.local)
}

struct Publisher {
    publication: AeronExclusivePublication,
    medium: Rc<Medium>,
    /// The counters of what was sent, and of what may be.
    position: i32,
    limit: i32,
    /// Bytes of a message in the stream.
    frame: u64,
    /// Messages offered since the driver last turned, and how many may wait when the pace is so high that nobody is
    /// idle in between: a datagram's worth. At full speed back pressure turns the driver as well.
    waiting: usize,
    most_waiting: usize,
    /// Not where somebody receives in between: that turns the driver too.
    turns_in_idle: bool,
}

impl Publisher {
    #[cold]
    fn wait(&self, deadline: &mut Option<u64>) -> Result<()> {
        let now = system::now();
        if now > *deadline.get_or_insert(now + ALONE.as_nanos() as u64) {
            return Err(format!("no subscriber for {ALONE:?}").into());
        }
        self.medium.turn()
    }

    /// Whether everything is sent, and consumed but for the last quarter of a window: a receiver tells no sooner.
    fn is_delivered(&self) -> Result<bool> {
        let publication = &self.publication;
        let (end, counters) = (publication.position(), self.medium.counters());
        if counters.get_counter_value(self.position)? < end {
            return Ok(false);
        }
        let known = counters.get_counter_value(self.limit)? - (WINDOW - WINDOW / 4) as i64;
        Ok(known >= end || !publication.is_connected())
    }

    /// Repairs what is lost until the subscribers have gone: they go when they have everything.
    fn linger(&self) -> Result<()> {
        let deadline = system::now() + LINGER.as_nanos() as u64;
        while self.publication.is_connected() && system::now() < deadline {
            self.medium.tend()?;
        }
        Ok(())
    }
}

impl Publish for Publisher {
    fn is_connected(&mut self, _subscribers: usize) -> Result<bool> {
        // How many they must be, the flow control knows.
        self.medium.tend_both()?;
        Ok(self.publication.is_connected())
    }

    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<()> {
        let publication = &self.publication;
        let mut deadline = None;
        loop {
            match publication.offer(message) {
                Ok(_) => break,
                Err(AeronOfferError::NotConnected) => self.wait(&mut deadline)?,
                Err(error) if error.is_retryable() => self.medium.turn()?,
                Err(error) => return Err(format!("{error}").into()),
            }
        }
        self.waiting += 1;
        if self.waiting < self.most_waiting {
            return Ok(());
        }
        self.waiting = 0;
        self.medium.turn()
    }

    #[inline]
    fn idle(&mut self) -> Result<()> {
        self.waiting = 0;
        if self.turns_in_idle { self.medium.tend() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<Sent> {
        let deadline = system::now() + 30_000_000_000;
        while !self.is_delivered()? && system::now() < deadline {
            self.medium.tend()?;
        }
        let bytes = self.medium.count(RETRANSMITTED_BYTES);
        let mut notes = Notes::new();
        notes.insert("repaired_bytes".into(), bytes.into());
        notes.insert("retransmits".into(), self.medium.count(RETRANSMITS).into());
        notes.insert("flow_control_limits".into(), self.medium.count(FLOW_CONTROL_LIMITS).into());
        Ok(Sent { repaired: bytes / self.frame, naks: self.medium.count(NAKS_RECEIVED), notes })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Err(error) = self.linger() {
            eprintln!("aeron: {error}");
        }
    }
}

struct Subscriber {
    /// There until the drop.
    subscription: Option<AeronSubscription>,
    medium: Rc<Medium>,
    has_ended: bool,
}

impl Receive for Subscriber {
    #[inline]
    fn receive<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<Received> {
        self.medium.tend()?;
        let subscription = self.subscription.as_ref().ok_or("the subscription is closed")?;
        let has_ended = &mut self.has_ended;
        let count = subscription.poll_fn(
            |message, _| {
                *has_ended |= message.starts_with(&END);
                each(message);
            },
            FRAGMENTS,
        )?;
        Ok(match (count, self.has_ended) {
            (0, true) => Received::Ended,
            (0, false) => Received::Nothing,
            _ => Received::Some,
        })
    }

    fn counters(&self) -> Heard {
        let mut notes = Notes::new();
        notes.insert("over_runs".into(), self.medium.count(OVER_RUNS).into());
        Heard { naks: self.medium.count(NAKS_SENT), notes, ..Heard::default() }
    }
}

impl Drop for Subscriber {
    /// Closes, and serves the driver until it has told the publisher so.
    fn drop(&mut self) {
        drop(self.subscription.take());
        if let Err(error) = self.medium.tend_for(FAREWELL) {
            eprintln!("aeron: {error}");
        }
    }
}
