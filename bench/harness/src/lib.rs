//! One harness for every system: the same roles, messages, pacing, counting and report, so that what differs between
//! two figures is the system alone.
//!
//! A system is two types, one that [publishes](Publish) and one that [receives](Receive), and a [`System`] that opens
//! them from the [`Options`]. Its program is one line, [`main`]; the roles `pub`, `sub`, `ping` and `echo` follow.

mod content;
mod message;
mod options;
mod pacer;
mod report;
mod roles;
pub mod system;
mod tally;

use std::error;
use std::process::ExitCode;

use clap::Parser;

pub use message::HEAD_BYTES;
pub use message::Message;
pub use message::read_head;
pub use options::Nak;
pub use options::Options;
pub use options::Policy;
pub use options::Role;
pub use options::Switch;
pub use options::Wait;
pub use pacer::Pacer;
pub use report::Latency;
pub use report::Notes;
pub use report::Report;

/// Any error; its text is what the program says before it ends.
pub type Error = Box<dyn error::Error + Send + Sync>;

/// What may fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// What receiving brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// At least one message was handed on.
    Some,
    /// Nothing came within one look (spinning) or one short wait (blocking, at most 100 ms).
    Nothing,
    /// The system itself says that the stream has ended.
    Ended,
}

/// What a publisher knows of its repairs when it has finished.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Messages sent again.
    pub repaired: u64,
    /// NAKs that came.
    pub naks: u64,
    /// Whatever else is worth telling.
    pub notes: Notes,
}

/// What a subscriber knows of its losses.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Messages that the system said were lost.
    pub lost: u64,
    /// Messages that came by repair.
    pub repaired: u64,
    /// NAKs sent.
    pub naks: u64,
    /// Whatever else is worth telling.
    pub notes: Notes,
}

/// The sending side of a system.
pub trait Publish {
    /// Whether `subscribers` are there. Called until it says yes, so it waits a millisecond at most; a system that
    /// cannot know says yes.
    ///
    /// # Errors
    ///
    /// When there is no hope that they come.
    fn is_connected(&mut self, subscribers: usize) -> Result<bool> {
        let _ = subscribers;
        Ok(true)
    }

    /// Publishes one message, as a user would; waits under back pressure.
    ///
    /// # Errors
    ///
    /// When it could not be published, ever.
    fn publish(&mut self, message: &[u8]) -> Result<()>;

    /// Called over and over while there is nothing to publish (pacing, waiting for `go`), and now and then, after some
    /// hundred messages, at full speed.
    ///
    /// # Errors
    ///
    /// When the system cannot go on.
    fn idle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns when everything published is delivered, or the patience for it (30 s) is over. May be called again.
    ///
    /// # Errors
    ///
    /// When it can not be told.
    fn finish(&mut self) -> Result<Sent>;
}

/// The receiving side of a system.
pub trait Receive {
    /// Hands on what there is, or waits as [`Options::wait`] says, at most 100 ms.
    ///
    /// # Errors
    ///
    /// When the system cannot go on.
    fn receive<F: FnMut(&[u8])>(&mut self, each: F) -> Result<Received>;

    /// What it counted so far.
    fn counters(&self) -> Heard;
}

/// A system to be measured.
pub trait System {
    /// Its sending side.
    type Publisher: Publish;
    /// Its receiving side.
    type Subscriber: Receive;
    /// What `--system` may name.
    const NAMES: &'static [&'static str];
    /// Whether it delivers everything. One that does not gets its end marker many times, and is believed to have ended
    /// after a shorter silence.
    const RELIABLE: bool = true;

    /// Opens the sending side on `options.port`; does not wait for anybody.
    ///
    /// # Errors
    ///
    /// When it cannot.
    fn publisher(options: &Options) -> Result<Self::Publisher>;

    /// Opens the receiving side on `options.port`; does not wait for anybody.
    ///
    /// # Errors
    ///
    /// When it cannot.
    fn subscriber(options: &Options) -> Result<Self::Subscriber>;
}

/// The whole program of a system.
#[must_use]
pub fn main<S: System>() -> ExitCode {
    run::<S>(&Options::parse())
}

/// As [`main`], with the options at hand.
#[must_use]
pub fn run<S: System>(options: &Options) -> ExitCode {
    match roles::play::<S>(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {}: {error}", options.system, options.role);
            ExitCode::FAILURE
        }
    }
}
