//! What threads share is made of these, and how much there is of it.
//!
//! Under `--cfg loom` they are loom's, which tries every order in which threads can meet and every value that a
//! weakly ordered load may give (`tests/loom.rs`); the history is then as small as it can be and still come round.

#[cfg(not(loom))]
use core::hint;
#[cfg(loom)]
use loom::hint;
#[cfg(loom)]
use loom::sync as origin;
#[cfg(not(loom))]
use std::sync as origin;

pub(super) use hint::spin_loop;
pub(super) use origin::atomic::AtomicU64;
pub(super) use origin::atomic::AtomicUsize;
pub(super) use origin::atomic::Ordering;
pub(super) use origin::atomic::fence;

/// The fewest trains of a ring: with fewer, one repair in progress would be a large part of the history.
pub(super) const FEWEST_TRAINS: usize = if cfg!(loom) { 3 } else { 8 };

/// Marks kept; one for each batch sent, 16 bytes each. A window of 8 MiB of charge is at most 7,700 batches.
pub(super) const MARKS: u64 = if cfg!(loom) { 3 } else { 8_192 };
