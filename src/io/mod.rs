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
//!                             │                │                Watch: a subscriber's sleep on two sockets; sleep_on: a publisher's
//!                            sys           quinn-udp
//! ```
//!
//! `Listener`, `Peer` and `Switchboard` are a publisher's connections, `Link` is a subscriber's one.
//!
//! `sys` alone holds `unsafe`. `native` (Linux) and `portable` (other systems; on Linux with the feature `portable`)
//! have one surface and must pass the same tests.

mod clock;
mod drops;
mod errors;
mod interface;
mod listener;
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
mod sleep;
mod stream;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod sys;
mod udp;
mod watch;
mod watch_all;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use self::native as backend;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
use self::portable as backend;

pub(crate) use self::clock::Clock;
pub(crate) use self::interface::Interface;
pub use self::interface::InterfaceError;
pub(crate) use self::listener::Call;
pub(crate) use self::listener::Listener;
pub(crate) use self::listener::Peer;
pub(crate) use self::listener::Switchboard;
pub use self::offload::Offload;
pub(crate) use self::open::PublisherSocket;
pub use self::open::SocketError;
pub(crate) use self::open::SocketOptions;
pub(crate) use self::open::SubscriberSocket;
pub(crate) use self::poll::Poller;
pub(crate) use self::poll::Waker;
pub(crate) use self::pool::Pool;
pub(crate) use self::pool::Span;
pub(crate) use self::sleep::BoardName;
pub(crate) use self::sleep::SLEEPS;
pub(crate) use self::sleep::pause;
pub(crate) use self::sleep::sleep_on;
pub(crate) use self::sleep::sleep_on_all;
pub use self::stream::ConnectionStats;
pub(crate) use self::stream::Link;
pub(crate) use self::stream::LinkFault;
pub(crate) use self::stream::LinkSettings;
pub(crate) use self::udp::UdpSocket;
pub(crate) use self::watch::Watch;
pub(crate) use self::watch_all::WatchAll;

/// Lets the calling thread run on processor number `core` only.
///
/// # Errors
///
/// `InvalidInput` for a processor that it cannot have, `Unsupported` where the system offers nothing of the kind.
pub(crate) fn run_on(core: usize) -> std::io::Result<()> {
    backend::run_on(core)
}
