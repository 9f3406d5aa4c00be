//! The identity `heard − start = delivered + filtered + conflated + lost + pending`, kept as numbers.

use crate::offset::Offset;

/// What became of every offset that one subscriber was entitled to from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Book {
    /// The first offset the subscriber was entitled to.
    pub start: Offset,
    /// The highest end it was told of.
    pub heard: Offset,
    /// Offsets handed to the user.
    pub delivered: u64,
    /// Offsets whose topic the user did not want.
    pub filtered: u64,
    /// Offsets replaced by a newer message of their topic before the user saw them.
    pub conflated: u64,
    /// Offsets reported as lost.
    pub lost: u64,
}

impl Book {
    /// Offsets whose fate is not decided: on the way, missing, or held here. 0 once the source has ended or is down.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.heard.since(self.start).saturating_sub(self.decided())
    }

    /// Offsets whose fate is decided.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.delivered + self.filtered + self.conflated + self.lost
    }
}
