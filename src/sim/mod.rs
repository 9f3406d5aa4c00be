//! Networks that fail on purpose, by a seed.

mod faults;

pub use faults::FaultInjector;
pub use faults::Faults;
