//! The command line, the same for every system.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Parser;
use clap::ValueEnum;

use crate::HEAD_BYTES;

/// What this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Publishes.
    Pub,
    /// Receives and counts.
    Sub,
    /// Publishes one message at a time and waits for it to come back.
    Ping,
    /// Publishes whatever it receives.
    Echo,
}

/// How a side waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Looks again at once.
    Spin,
    /// Sleeps in the kernel.
    Block,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// NAK delays of systems that have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Nak {
    /// As they come.
    Default,
    /// Tuned for one subscriber on a fast network.
    Tuned,
}

/// What a publisher does about slow subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Waits for the slowest.
    Block,
    /// Is paced by the fastest; others lose.
    Drop,
}

/// How the rate was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Throughput,
    Paced,
}

/// What to run, and how.
#[derive(Debug, Clone, Parser)]
#[command(about = "One side of a measurement of messaging systems")]
pub struct Options {
    /// What this process does.
    pub role: Role,
    /// The system under measurement, of those this program knows.
    #[arg(long)]
    pub system: String,
    /// The interface to use; never another.
    #[arg(long)]
    pub interface: String,
    /// This side's address on it.
    #[arg(long)]
    pub local: Ipv4Addr,
    /// The other side's address.
    #[arg(long)]
    pub remote: Ipv4Addr,
    /// The multicast group.
    #[arg(long, default_value = "239.77.7.7")]
    pub group: Ipv4Addr,
    /// The port; the way back of `ping` and `echo` is the next, and their group the next but one.
    #[arg(long)]
    pub port: u16,
    /// Bytes of a message.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(HEAD_BYTES as i64..=60_000))]
    pub bytes: u32,
    /// How long to publish.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// How many messages to publish, whatever time it takes.
    #[arg(long)]
    pub messages: Option<u64>,
    /// Every byte follows from the message's number: subscribers check it, and both sides tell a sum over everything.
    #[arg(long)]
    pub verify: bool,
    /// Messages a second, from intended send times; 0: as fast as it goes.
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Follows from the rate; refused where it contradicts it.
    #[arg(long)]
    mode: Option<Mode>,
    /// How `sub`, `ping` and `echo` wait.
    #[arg(long, default_value = "spin")]
    pub wait: Wait,
    /// How many subscribers the publisher waits for before it is ready.
    #[arg(long, default_value_t = 1)]
    pub subscribers: usize,
    /// Most bytes of a datagram.
    #[arg(long, default_value_t = 1_400)]
    pub datagram: usize,
    /// Segmentation in the kernel (GSO and GRO); without, `sendmmsg` and `recvmmsg`.
    #[arg(long, default_value = "on")]
    pub segmentation: Switch,
    /// NAK delays, where a system has them.
    #[arg(long, default_value = "default")]
    pub nak: Nak,
    /// What a publisher does about slow subscribers.
    #[arg(long, default_value = "block")]
    pub policy: Policy,
    /// Microseconds that a `sub` takes for each 1,000 messages.
    #[arg(long, default_value_t = 0)]
    pub slow: u64,
    /// The core to pin the whole process to.
    #[arg(long)]
    pub core: Option<usize>,
    /// The core of the background thread, if not where the rest is (nakcast).
    #[arg(long)]
    pub background_core: Option<usize>,
    /// Microseconds that the kernel polls the network card (nakcast).
    #[arg(long, default_value_t = 0)]
    pub busy_poll: u64,
    /// Bytes of the publisher's ring, if not the library's default.
    #[arg(long)]
    pub ring: Option<usize>,
    /// Bytes in flight at most (raw systems; 0: no window; nakcast: what its buffers are made for).
    #[arg(long)]
    pub window: Option<u64>,
    /// Prints the resident set every so many seconds.
    #[arg(long)]
    pub sample_rss: Option<f64>,
}

impl Options {
    /// Whether the rate is given.
    #[must_use]
    pub const fn is_paced(&self) -> bool {
        self.rate > 0
    }

    /// Whether this side waits spinning.
    #[must_use]
    pub fn is_spinning(&self) -> bool {
        self.wait == Wait::Spin
    }

    /// Whether segmentation is left to the kernel.
    #[must_use]
    pub fn is_segmenting(&self) -> bool {
        self.segmentation == Switch::On
    }

    /// Bytes of a message.
    #[must_use]
    pub const fn message_bytes(&self) -> usize {
        self.bytes as usize
    }

    /// How long to publish.
    ///
    /// # Panics
    ///
    /// For a time that [`check`](Self::check) refuses.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// The way from `echo` back to `ping`: the next port, and another group, since a host that has joined the group it
    /// sends to gets a copy of everything (the next group but one: Aeron wants an odd address).
    #[must_use]
    pub fn way_back(&self) -> Self {
        let [a, b, c, d] = self.group.octets();
        Self { port: self.port + 1, group: Ipv4Addr::new(a, b, c, d.wrapping_add(2)), ..self.clone() }
    }

    /// What no single option shows to be wrong.
    ///
    /// # Errors
    ///
    /// Says what.
    pub fn check(&self, systems: &[&str]) -> crate::Result<()> {
        if !systems.contains(&&*self.system) {
            return Err(format!("no system of that name here; there are {}", systems.join(", ")).into());
        }
        if !(self.seconds >= 0.0 && self.seconds <= 86_400.0) {
            return Err("--seconds is between 0 and a day".into());
        }
        if self.port == u16::MAX {
            return Err("--port leaves no port for the way back".into());
        }
        if self.verify && (self.is_paced() || self.slow > 0) {
            return Err("--verify is for full speed".into());
        }
        if self.mode.is_some_and(|mode| (mode == Mode::Paced) != self.is_paced()) {
            return Err("--mode and --rate contradict each other".into());
        }
        Ok(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::Ping => "ping",
            Self::Echo => "echo",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    const NEEDED: &str =
        "bench sub --system a --interface lo --local 127.0.0.1 --remote 127.0.0.2 --port 4000";

    fn parse(more: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(NEEDED.split(' ').chain(more.split_whitespace()))
    }

    #[test]
    fn the_defaults() {
        let options = parse("").unwrap();
        assert_eq!((options.role, options.message_bytes(), options.rate), (Role::Sub, 32, 0));
        assert_eq!((options.datagram, options.subscribers), (1_400, 1));
        assert_eq!(options.duration(), Duration::from_secs(1));
        assert_eq!(options.group, Ipv4Addr::new(239, 77, 7, 7));
        assert!(options.is_spinning() && options.is_segmenting() && !options.is_paced());
        assert!(options.check(&["a"]).is_ok());
    }

    #[test]
    fn the_way_back_is_the_next_port_of_another_group() {
        let options = parse("--wait block --core 1").unwrap();
        let back = options.way_back();
        assert_eq!((back.port, back.core, back.wait), (4_001, Some(1), Wait::Block));
        assert_eq!(back.group, Ipv4Addr::new(239, 77, 7, 9));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for more in [
            "--mode paced",
            "--rate 5 --mode throughput",
            "--seconds nan",
            "--seconds 1e9",
            "--verify --slow 1",
        ] {
            assert!(parse(more).unwrap().check(&["a"]).is_err(), "{more}");
        }
        for more in ["--rate 5 --mode paced", "--mode throughput", "--seconds 0.25"] {
            assert!(parse(more).unwrap().check(&["a"]).is_ok(), "{more}");
        }
        assert!(parse("").unwrap().check(&["b", "c"]).is_err());
        let options = Options { port: u16::MAX, ..parse("").unwrap() };
        assert!(options.check(&["a"]).is_err());
    }

    #[test]
    fn a_message_holds_its_head() {
        assert!(parse("--bytes 15").is_err());
        assert_eq!(parse("--bytes 16").unwrap().message_bytes(), HEAD_BYTES);
    }
}
