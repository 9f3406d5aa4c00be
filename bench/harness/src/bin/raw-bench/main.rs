//! Raw UDP: what the machine and the network stack can do, without repair.
//!
//! | system | a datagram holds | sent with | received with |
//! | --- | --- | --- | --- |
//! | `raw-one` | one message, no framing | `send` | `recv` |
//! | `raw-sendmmsg` | as many messages as fit | `sendmmsg` | `recvmmsg` |
//! | `raw-gso` | the same | one send of up to 64 datagrams | `recvmmsg` of such trains |
//! | `raw-ring` | the same, with a CRC that is checked | as `raw-gso` (or `raw-sendmmsg`), out of a large ring | the same |
//!
//! `raw-ring` is the limit: it does to every byte what any system with repair and checksums must, and nothing else.
//! All but the first stop at the edge of a window, so that the receiver's buffer never overflows.

mod frame;
mod one;
mod packed;
mod sockets;
mod walk;
mod window;

use std::process::ExitCode;

use clap::Parser;
use harness::Options;
use harness::Result;
use harness::System;

use crate::one::One;
use crate::packed::Packed;
use crate::walk::Walk;

fn main() -> ExitCode {
    let options = Options::parse();
    match &*options.system {
        "raw-one" => harness::run::<RawOne>(&options),
        "raw-ring" => harness::run::<RawPacked<true>>(&options),
        _ => harness::run::<RawPacked<false>>(&options),
    }
}

/// One message a datagram.
struct RawOne;

impl System for RawOne {
    type Publisher = One;
    type Subscriber = One;
    const NAMES: &'static [&'static str] = &["raw-one"];
    const RELIABLE: bool = false;

    fn publisher(options: &Options) -> Result<One> {
        One::sending(options)
    }

    fn subscriber(options: &Options) -> Result<One> {
        One::receiving(options)
    }
}

/// Many messages a datagram, and many datagrams a call; with a ring and a CRC, or without.
struct RawPacked<const RING: bool>;

impl<const RING: bool> System for RawPacked<RING> {
    type Publisher = Packed<RING>;
    type Subscriber = Walk<RING>;
    const NAMES: &'static [&'static str] = &["raw-one", "raw-sendmmsg", "raw-gso", "raw-ring"];
    const RELIABLE: bool = false;

    fn publisher(options: &Options) -> Result<Packed<RING>> {
        Packed::open(options)
    }

    fn subscriber(options: &Options) -> Result<Walk<RING>> {
        Walk::open(options)
    }
}

/// Whether the kernel cuts and joins datagrams.
fn is_segmenting(options: &Options) -> bool {
    match &*options.system {
        "raw-sendmmsg" => false,
        "raw-gso" => true,
        _ => options.is_segmenting(),
    }
}
