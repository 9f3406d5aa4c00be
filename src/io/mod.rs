//! The only clock and the only sockets: time and datagrams come from here, and every machine above is told.
//!
//! ```text
//!             Clock ──> Time                 Interface::find("eth0") ──> name, index, address, MTU
//!
//!   bytes + sizes ──> parts ──┐                                ┌──> Pool ──> Span (lent, not copied)
//!                             ├──> UdpSocket <── open ─────────┤
//!   errors, counted by kind <─┘       │                        └──> drops in the kernel
//!                                     │
//!                           native ── or ── portable           Poller: waits on sockets, a deadline, a Waker
//!                             │                │
//!                            sys           quinn-udp
//! ```
//!
//! `sys` alone holds `unsafe`. `native` (Linux) and `portable` (other systems; on Linux with the feature `portable`)
//! have one surface and must pass the same tests.

mod clock;
mod drops;
mod errors;
mod interface;
mod membership;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod native;
mod offload;
mod open;
mod parts;
mod poll;
mod pool;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod sys;
mod udp;
mod watch;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use self::native as backend;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
use self::portable as backend;

pub(crate) use self::clock::Clock;
pub(crate) use self::interface::Interface;
pub use self::interface::InterfaceError;
pub use self::offload::Offload;
pub(crate) use self::open::PublisherSocket;
pub use self::open::SocketError;
pub(crate) use self::open::SocketOptions;
pub(crate) use self::open::SubscriberSocket;
pub(crate) use self::poll::Poller;
pub(crate) use self::poll::Waker;
pub(crate) use self::pool::Pool;
pub(crate) use self::pool::Span;
pub(crate) use self::udp::UdpSocket;
pub(crate) use self::watch::Watch;

/// Lets the calling thread run on processor number `core` only.
///
/// # Errors
///
/// `InvalidInput` for a processor that it cannot have, `Unsupported` where the system offers nothing of the kind.
pub(crate) fn run_on(core: usize) -> std::io::Result<()> {
    backend::run_on(core)
}
