//! ZeroMQ's XPUB and SUB, over TCP and over encapsulated PGM multicast.

mod sys;

use std::io;
use std::process::ExitCode;
use std::thread;
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

use sys::Context;
use sys::Message;
use sys::Socket;

/// Most messages of one look.
const MESSAGES: usize = 256;

/// How long a closed socket goes on sending what it took.
const LINGER_MILLIS: i32 = 10_000;

/// How fast PGM may send: more than it can. Its default is 100 kbit/s.
const RATE_KILOBITS: i32 = 8_000_000;

/// For how long PGM keeps what it sent. By default ten seconds, which at that rate would be 10 GB.
const RECOVERY_MILLIS: i32 = 1_000;

/// The kernel's buffers under PGM.
const SOCKET_BYTES: i32 = 4 << 20;

/// How long a multicast publisher is there for those who miss something.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first bytes of the message that ends a run.
const END: [u8; 8] = u64::MAX.to_le_bytes();

fn main() -> ExitCode {
    harness::main::<Zmq>()
}

struct Zmq;

impl System for Zmq {
    type Publisher = Publisher;
    type Subscriber = Subscriber;

    const NAMES: &'static [&'static str] = &["zmq", "zmq-epgm"];

    fn publisher(options: &Options) -> Result<Publisher> {
        let socket = Socket::new(&Context::new()?, sys::XPUB)?;
        // Waits at the high-water mark instead of dropping; tells of each subscriber, not of each new topic.
        socket.set(sys::XPUB_NODROP, 1)?;
        socket.set(sys::XPUB_VERBOSE, 1)?;
        socket.set(sys::LINGER, LINGER_MILLIS)?;
        if is_multicast(options) {
            set_multicast(&socket)?;
            socket.connect(&group(options)?)?;
        } else {
            socket.bind(&format!("tcp://{}:{}", options.local, options.port))?;
        }
        let is_multicast = is_multicast(options);
        let lingers = is_multicast && options.role == Role::Pub;
        Ok(Publisher { socket: Some(socket), subscriptions: 0, is_multicast, lingers })
    }

    fn subscriber(options: &Options) -> Result<Subscriber> {
        let socket = Socket::new(&Context::new()?, sys::SUB)?;
        socket.set(sys::LINGER, 0)?;
        socket.set(sys::RECEIVE_TIMEOUT, 100)?;
        socket.set_bytes(sys::SUBSCRIBE, b"")?;
        if is_multicast(options) {
            set_multicast(&socket)?;
            socket.connect(&group(options)?)?;
        } else {
            socket.connect(&format!("tcp://{}:{}", options.remote, options.port))?;
        }
        Ok(Subscriber { socket, message: Message::new(), waits: !options.is_spinning(), has_ended: false })
    }
}

fn is_multicast(options: &Options) -> bool {
    options.system == "zmq-epgm"
}

fn group(options: &Options) -> Result<String> {
    if options.local.is_loopback() {
        return Err("libzmq switches multicast loopback off: epgm needs two hosts, or two namespaces".into());
    }
    Ok(format!("epgm://{};{}:{}", options.local, options.group, options.port))
}

fn set_multicast(socket: &Socket) -> Result<()> {
    socket.set(sys::RATE, RATE_KILOBITS)?;
    socket.set(sys::RECOVERY_INTERVAL, RECOVERY_MILLIS)?;
    socket.set(sys::SEND_BUFFER, SOCKET_BYTES)?;
    Ok(socket.set(sys::RECEIVE_BUFFER, SOCKET_BYTES)?)
}

struct Publisher {
    /// There until everything is sent.
    socket: Option<Socket>,
    subscriptions: usize,
    is_multicast: bool,
    /// Whether somebody may still ask for repairs when all is sent: PGM never tells whether all is delivered.
    lingers: bool,
}

impl Publish for Publisher {
    fn is_connected(&mut self, subscribers: usize) -> Result<bool> {
        let socket = self.socket.as_ref().ok_or("the socket is closed")?;
        let mut message = Message::new();
        while let Some(news) = socket.receive(&mut message, false)? {
            if news.first() == Some(&1) {
                self.subscriptions += 1;
            }
        }
        Ok(self.is_multicast || self.subscriptions >= subscribers)
    }

    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<()> {
        let socket = self.socket.as_ref().ok_or("the socket is closed")?;
        Ok(socket.send(message)?)
    }

    /// Closing the last socket of the context waits for all that it holds to be handed to the kernel.
    fn finish(&mut self) -> Result<Sent> {
        if !self.lingers {
            drop(self.socket.take());
        }
        Ok(Sent::default())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.lingers {
            await_done();
        }
    }
}

/// Waits until standard input says that the subscribers have ended; for its patience at most, and all of that when
/// nobody can say so any more.
fn await_done() {
    let mut line = String::new();
    match harness::system::is_readable(&io::stdin(), PATIENCE) {
        Ok(false) => {}
        Ok(true) if io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) => {}
        Ok(true) | Err(_) => thread::sleep(PATIENCE),
    }
}

struct Subscriber {
    socket: Socket,
    message: Message,
    waits: bool,
    has_ended: bool,
}

impl Receive for Subscriber {
    #[inline]
    fn receive<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<Received> {
        for count in 0..MESSAGES {
            let waits = self.waits && count == 0 && !self.has_ended;
            let Some(message) = self.socket.receive(&mut self.message, waits)? else {
                return Ok(match (count, self.has_ended) {
                    (0, true) => Received::Ended,
                    (0, false) => Received::Nothing,
                    _ => Received::Some,
                });
            };
            self.has_ended |= message.starts_with(&END);
            each(message);
        }
        Ok(Received::Some)
    }

    fn counters(&self) -> Heard {
        Heard::default()
    }
}
