//! The protocol as state machines without input or output.
//!
//! A machine is moved by nothing but its caller: `handle_*(now, input)` puts something in, `peek_*` shows what should
//! be sent and `sent()` says that it was, `poll_*` takes out what happened, `next_timeout()` tells when
//! `handle_timeout(now)` wants to be called. Time and chance are arguments, so the same machine runs on sockets and in
//! a simulator, and a run can be repeated to the last datagram.
//!
//! ```text
//!            NAK, STATUS                                            batches, heartbeats
//!   Sender <───────────── network <─────────────┐    ┌───────────── network
//!     │ limit, repairs, heartbeats              │    v
//!     v                                      Receiver ── offsets: deliver, hold, lost
//!   history::Ring                               │
//!                                            Subscription ── bytes: messages to the user
//! ```
//!
//! [`Sender`] is the publisher's side. [`Receiver`] is the subscriber's: it sees headers and offsets and keeps no byte.
//! [`Subscription`] joins a receiver to the places where bytes wait (early batches, fragments, newest per topic), so
//! that what runs over sockets and what runs in a simulation is the same.

mod line;
mod linger;
mod prefixes;
mod receiver;
mod rtt;
mod sender;
mod stream;
mod subscription;

pub use line::LineId;
pub use line::Origin;
pub use linger::Leave;
pub use linger::Linger;
pub use linger::Look;
pub use prefixes::Prefixes;
pub use receiver::*;
pub use rtt::RoundTrip;
pub use sender::*;
pub use stream::*;
pub use subscription::*;
