//! One publisher and one subscriber without sockets, for callgrind: the same machines, the same bytes, and no clock, so
//! that two runs of one build execute the same instructions.
//!
//! What is counted are the functions `measured_*` with all they call; see `bench/instructions/check`.

mod world;

use clap::Parser;
use clap::ValueEnum;

use crate::world::World;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Path {
    /// Placing messages in the ring and sealing datagrams.
    Publish,
    /// Taking datagrams in and handing their messages on.
    Receive,
    /// The same when every fiftieth datagram is lost, with the NAKs, the repairs and the early batches.
    Repair,
}

/// One run of one path.
#[derive(Debug, Parser)]
struct Options {
    path: Path,
    /// Bytes of a message.
    #[arg(long, default_value_t = 32)]
    bytes: usize,
    /// Messages to publish, at least; whole sends are made.
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
}

fn main() {
    let options = Options::parse();
    let lose_every = if options.path == Path::Repair { 50 } else { 0 };
    let mut world = World::new(options.bytes, lose_every);
    while world.published() < options.messages {
        world.measured_publish();
        world.exchange();
        match options.path {
            Path::Repair => world.measured_repair(),
            Path::Publish | Path::Receive => world.measured_receive(),
        }
    }
    world.catch_up();
    assert_eq!(world.delivered(), world.published(), "published = delivered");
    println!("{}", world.published());
}
