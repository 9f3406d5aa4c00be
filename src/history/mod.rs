//! What was published, read by offset: the retransmit ring.
//!
//! The publisher *is* its history. A message is encoded straight into the ring, the ring's bytes go to the socket,
//! and the same bytes stay there to be sent again, until the ring comes round.
//!
//! ```text
//!  oldest                              sent        next
//!    v                                  v           v
//!  | train 7 | train 8 | train 9 | train 10        |
//!                                  |################|
//!                                  | batch | batch | batch | open batch ..  | free            |
//!                                  0    handed to  ^ unsent ^ start  ^cursor ^limit   65,507 ^
//!                                      the socket
//! ```
//!
//! A *train* is 64 KiB of contiguous bytes behind one lock, filled with whole sealed batches, back to back, so that a
//! run of batches of equal size is one system call. The [`Writer`] fills the current train under its lock, seals,
//! sends and [advances](Open::advance) under the same lock, and goes on to the [next](Open::next_train) when no
//! datagram fits any more, which evicts the oldest. Any thread may [read](Ring::read) sent batches by offset: it
//! locks an older train for one copy, and the current one only when that lock is free. Or it is [lent](Ring::lend) the
//! bytes where they lie, to write them under that lock. (One lock around the whole
//! ring was tried: it starved the repairing thread for 15 ms at p99.)
//!
//! What else crosses threads is atomics: `oldest`, `sent`, `next`, the totals, and [marks](Ring::charge_at) that turn
//! an offset into the *charge* sent up to there. State moves after the act: a batch counts as sent once the socket
//! has taken it.
//!
//! Nothing here reads a clock, makes a system call but for a contended lock, or allocates after [`Ring::new`].

mod lent;
mod lock;
mod marks;
mod open;
mod repair;
mod ring;
mod sync;
mod train;

#[cfg(test)]
mod tests;

pub use lent::Lent;
pub use lent::LentBatch;
pub use marks::charge;
pub use open::Held;
pub use open::Open;
pub use open::Writer;
pub use repair::Read;
pub use repair::Repair;
pub use ring::Ring;
pub use ring::RingSettings;
pub use train::Run;
pub use train::SEND_BYTES;
pub use train::Stamp;
pub use train::TRAIN_BYTES;
