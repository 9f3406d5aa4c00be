//! How many datagrams the full receive buffer has dropped.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A count that the system keeps modulo 2³², without the modulus.
#[derive(Debug, Default)]
pub(super) struct DropCount(AtomicU64);

impl DropCount {
    /// Takes in what the system told; what is older than what is known changes nothing.
    pub(super) fn learn(&self, told: u32) {
        let known = self.0.load(Relaxed);
        let ahead = told.wrapping_sub(known as u32);
        if ahead < 1 << 31 {
            self.0.fetch_max(known + u64::from(ahead), Relaxed);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
