//! `nakcast record`: the messages of a stream with their times, as a capture file.

mod entry;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::take;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nakcast::DownReason;
use nakcast::Endpoint;
use nakcast::Event;
use nakcast::Message;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::Start;
use nakcast::Subscriber;

use crate::COMMON_HELP;
use crate::capture::Writer;
use crate::clock::Clock;
use crate::clock::TICK;
use crate::clock::WallClock;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::say::say;
use crate::subscribe;
use crate::subscribe::ledger::Ledger;
use crate::units;

const EXAMPLES: &str = "\
The file is a capture (pcap): each message stands in it as a datagram of the stream, at the time it
was handed out here. `nakcast replay` plays it, and tcpdump and Wireshark read it; tools/wireshark
has a dissector. What was lost is not in it; the account at the end says what.

It ends when every publisher that was heard has ended, unless --follow says otherwise.

Examples:
  nakcast record 'udp://239.192.0.1:4000?interface=eth0' monday.pcap
  An hour of it, or 10 GB:
    nakcast record 'udp://239.192.0.1:4000?interface=eth0' hour.pcap --follow --duration 3600 --size 10G
  Everything that a publisher still holds, and what comes, over TCP:
    nakcast record tcp://127.0.0.1:7001 all.pcap --from earliest";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{COMMON_HELP}")
}

#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// What to record, such as 'udp://239.192.0.1:4000?interface=lo' or tcp://127.0.0.1:7001.
    uri: Endpoint,
    /// The file to write, which must not exist.
    file: PathBuf,
    /// Only messages whose topic begins so; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = subscribe::prefix)]
    topic: Vec<String>,
    /// Where to begin: live, earliest (the oldest message the publisher holds), or an offset. To a group
    /// the past comes over TCP as well, from a publisher that serves both.
    #[arg(long, value_name = "START", value_parser = subscribe::start, default_value = "live", hide_default_value = true)]
    from: Start,
    /// Only look on: no publisher counts this subscriber, or waits for it.
    #[arg(long)]
    observer: bool,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so long.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    duration: Option<Duration>,
    /// End once the file has so many bytes, such as 10G.
    #[arg(long, value_name = "BYTES", value_parser = units::bytes)]
    size: Option<usize>,
    /// End when nothing came for so long.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds)]
    timeout: Option<Duration>,
    /// End with exit code 3 if anything was lost.
    #[arg(long)]
    fail_on_loss: bool,
    /// Stay when the publishers have ended.
    #[arg(long)]
    follow: bool,
}

/// Why the recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Enough,
    SourcesEnded,
    Quiet,
    Interrupted,
}

/// Records until it is time to end; then accounts for everything.
pub(crate) fn run(args: &Args) -> Result<Ending, Failure> {
    let interrupt = Interrupt::install()?;
    let mut subscriber = args.open()?;
    let failed = |error| Failure::WriteCapture { path: args.file.clone(), error };
    let file = File::create_new(&args.file);
    let file = file.map_err(|error| Failure::CreateCapture { path: args.file.clone(), error })?;
    let mut work = Work {
        args,
        writer: Writer::new(file).map_err(failed)?,
        to: args.destination(),
        up: HashMap::new(),
        datagram: Vec::new(),
        ledger: Ledger::default(),
        interrupt,
        clock: Clock::start(),
        wall: WallClock::start(),
        moved_at: Duration::ZERO,
    };
    let why = work.receive(&mut subscriber);
    let flushed = work.writer.flush().map_err(failed);
    say(format_args!(
        "recorded {} in {} ({})",
        units::counted(work.ledger.messages(), "message"),
        args.file.display(),
        units::size(work.writer.bytes()),
    ));
    let balanced = work.ledger.report(&subscriber);
    let why = why?;
    flushed?;
    match (why, args.timeout, args.count) {
        _ if !balanced => Ok(Ending::Unbalanced),
        (Why::Quiet, Some(timeout), _) if work.ledger.is_empty() => Err(Failure::NobodyHeard(timeout)),
        (Why::Interrupted, ..) => Ok(Ending::Interrupted),
        _ if args.fail_on_loss && work.ledger.lost() > 0 => Ok(Ending::Lost),
        (Why::Quiet | Why::SourcesEnded, _, Some(wanted)) => {
            Err(Failure::TooFew { wanted, came: work.ledger.messages() })
        }
        _ => Ok(Ending::Well),
    }
}

impl Args {
    fn open(&self) -> Result<Subscriber, Failure> {
        let mut builder = Subscriber::builder().endpoint(self.uri.clone()).from(self.from);
        for prefix in &self.topic {
            builder = builder.topic(prefix);
        }
        Ok(builder.observer(self.observer).open()?)
    }

    /// Where the file says that datagrams went: the group; over TCP nowhere, since there were none.
    fn destination(&self) -> Option<SocketAddr> {
        match &self.uri {
            Endpoint::Udp(udp) => Some(udp.address),
            _ => None,
        }
    }
}

/// A publisher that is up.
#[derive(Debug, Clone, Copy)]
struct Up {
    address: SocketAddr,
    /// What of it is neither in the file nor named as lost begins here.
    next: Offset,
}

/// From the subscriber to the file.
struct Work<'a> {
    args: &'a Args,
    writer: Writer<File>,
    to: Option<SocketAddr>,
    up: HashMap<SessionId, Up>,
    datagram: Vec<u8>,
    ledger: Ledger,
    interrupt: Interrupt,
    clock: Clock,
    wall: WallClock,
    /// When something came last.
    moved_at: Duration,
}

impl Work<'_> {
    fn receive(&mut self, subscriber: &mut Subscriber) -> Result<Why, Failure> {
        while !self.interrupt.is_asked() {
            let now = self.clock.now();
            if self.is_enough(now) {
                return Ok(Why::Enough);
            }
            let closed = match subscriber.recv_timeout(TICK)? {
                Some(event) => {
                    self.moved_at = now;
                    self.on_event(&event)?
                }
                None if self.is_quiet(now) => return Ok(Why::Quiet),
                None => {
                    self.writer.flush().map_err(|error| self.failed(error))?;
                    None
                }
            };
            if let Some(session) = closed {
                let sources = subscriber.sources();
                self.ledger.close(session, &sources);
                if !self.args.follow && sources.iter().all(|source| source.down.is_some()) {
                    // One turn more: it tells the publisher that everything is here.
                    subscriber.try_recv()?;
                    return Ok(Why::SourcesEnded);
                }
            }
        }
        Ok(Why::Interrupted)
    }

    fn is_enough(&self, now: Duration) -> bool {
        let Args { count, duration, size, .. } = self.args;
        count.is_some_and(|count| self.ledger.messages() >= count)
            || duration.is_some_and(|duration| now >= duration)
            || size.is_some_and(|size| self.writer.bytes() >= size as u64)
    }

    fn is_quiet(&self, now: Duration) -> bool {
        self.args.timeout.is_some_and(|timeout| now.saturating_sub(self.moved_at) >= timeout)
    }

    /// Takes it down; the session, if it is over.
    fn on_event(&mut self, event: &Event<'_>) -> Result<Option<SessionId>, Failure> {
        self.ledger.on_event(event);
        match event {
            Event::Message(message) => self.put(message)?,
            Event::Lost { session, range, .. } => self.reach(*session, range.from, range.to)?,
            Event::SourceUp { session, address, from, .. } => {
                self.up.insert(*session, Up { address: *address, next: *from });
            }
            Event::SourceDown { session, reason, heard } => {
                if *reason == DownReason::Ended {
                    self.reach(*session, *heard, *heard)?;
                    let end = entry::end((self.args.uri.stream(), *session), *heard);
                    self.write(*session, &end)?;
                }
                self.up.remove(session);
                return Ok(Some(*session));
            }
            _ => {}
        }
        Ok(None)
    }

    /// A session goes on at `from`, to `to`: what lies before that and was not told of had other topics.
    fn reach(&mut self, session: SessionId, from: Offset, to: Offset) -> Result<(), Failure> {
        let Some(up) = self.up.get_mut(&session) else { return Ok(()) };
        let mut next = up.next;
        up.next = to.max(next);
        let mut datagram = take(&mut self.datagram);
        while next < from {
            let whose = (self.args.uri.stream(), session);
            next = entry::left_out(&mut datagram, whose, OffsetRange::new(next, from));
            self.write(session, &datagram)?;
        }
        self.datagram = datagram;
        Ok(())
    }

    fn put(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        let end = Offset(message.offset.0.saturating_add(message.offsets));
        self.reach(message.session, message.offset, end)?;
        let mut datagram = take(&mut self.datagram);
        let stream = self.args.uri.stream();
        for piece in 0..message.offsets {
            entry::data(&mut datagram, stream, message, piece);
            self.write(message.session, &datagram)?;
        }
        self.datagram = datagram;
        Ok(())
    }

    fn write(&mut self, session: SessionId, datagram: &[u8]) -> Result<(), Failure> {
        let from = self.up.get(&session).map(|up| up.address);
        let from = from.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let nowhere = match from {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let to = self.to.filter(|to| to.is_ipv4() == from.is_ipv4()).unwrap_or(nowhere);
        let written = self.writer.put(self.wall.now(), (from, to), datagram);
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::WriteCapture { path: self.args.file.clone(), error }
    }
}
