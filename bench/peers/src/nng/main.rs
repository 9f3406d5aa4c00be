//! nng's PUB and SUB over TCP.

mod sys;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use harness::Heard;
use harness::Options;
use harness::Publish;
use harness::Receive;
use harness::Received;
use harness::Result;
use harness::Sent;
use harness::System;

use sys::Socket;

/// Messages that a queue may hold: the most that nng allows.
const QUEUE: i32 = 8_192;

/// Most messages of one look.
const MESSAGES: usize = 256;

fn main() -> ExitCode {
    harness::main::<Nng>()
}

struct Nng;

impl System for Nng {
    type Publisher = Publisher;
    type Subscriber = Subscriber;

    const NAMES: &'static [&'static str] = &["nng"];
    const RELIABLE: bool = false;

    fn publisher(options: &Options) -> Result<Publisher> {
        let address = format!("tcp://{}:{}", options.local, options.port);
        Ok(Publisher { socket: Socket::publisher(&address, QUEUE)? })
    }

    fn subscriber(options: &Options) -> Result<Subscriber> {
        let address = format!("tcp://{}:{}", options.remote, options.port);
        Ok(Subscriber { socket: Socket::subscriber(&address, QUEUE)?, waits: !options.is_spinning() })
    }
}

struct Publisher {
    socket: Socket,
}

impl Publish for Publisher {
    fn is_connected(&mut self, subscribers: usize) -> Result<bool> {
        Ok(sys::connected() >= subscribers)
    }

    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.socket.send(message)?)
    }

    /// nng does not tell what its queues still hold; the end markers follow, each after such a pause.
    fn finish(&mut self) -> Result<Sent> {
        thread::sleep(Duration::from_millis(5));
        Ok(Sent::default())
    }
}

struct Subscriber {
    socket: Socket,
    waits: bool,
}

impl Receive for Subscriber {
    #[inline]
    fn receive<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<Received> {
        for count in 0..MESSAGES {
            let Some(message) = self.socket.receive(self.waits && count == 0)? else {
                return Ok(if count == 0 { Received::Nothing } else { Received::Some });
            };
            each(message.bytes());
        }
        Ok(Received::Some)
    }

    fn counters(&self) -> Heard {
        Heard::default()
    }
}
