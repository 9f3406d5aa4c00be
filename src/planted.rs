//! Bugs planted on purpose, one at a time, so that the simulator can be seen to find each.
//!
//! Nothing of this is there unless the crate is built with `--cfg nakcast_planted`, as the test of the simulator does.

/// `planted!(Bug => statement)` does `statement` while `Bug` is planted; `planted!(Bug, wrong, right)` is `wrong` then,
/// and otherwise `right`.
macro_rules! planted {
    ($bug:ident => $wrong:stmt) => {
        #[cfg(nakcast_planted)]
        if $crate::planted::is($crate::planted::Bug::$bug) {
            $wrong
        }
    };
    ($bug:ident, $wrong:expr, $right:expr) => {{
        #[cfg(nakcast_planted)]
        let value = if $crate::planted::is($crate::planted::Bug::$bug) { $wrong } else { $right };
        #[cfg(not(nakcast_planted))]
        let value = $right;
        value
    }};
}

#[cfg(nakcast_planted)]
pub use bugs::*;

#[cfg(nakcast_planted)]
mod bugs {
    use core::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants `bug` for this thread, or digs out what is planted.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    macro_rules! bugs {
        ($($(#[doc = $what:literal])+ $bug:ident,)+) => {
            /// A bug that can be planted.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum Bug {
                $($(#[doc = $what])+ $bug,)+
            }

            impl Bug {
                /// Every one.
                pub const ALL: &[Self] = &[$(Self::$bug),+];
            }
        };
    }

    bugs! {
        /// An idle publisher sends no heartbeat.
        NoIdleHeartbeat,
        /// A gap is noted one offset late.
        GapStartsLate,
        /// A NAK is not repeated.
        NakOnce,
        /// A NAK is repeated without waiting longer each time.
        NoBackoff,
        /// Everybody asks at once, whoever else may ask for the same.
        NoSuppression,
        /// The newest batch is delivered again when it comes again.
        DuplicateDelivered,
        /// The offset behind the one asked for is sent again.
        WrongRepair,
        /// What the publisher refuses is told twice.
        LostTwice,
        /// What nobody repairs in time is not told.
        LostUntold,
        /// When a gap is cut in two, the second half is forgotten.
        GapForgotten,
        /// Of an offset asked for, eight bits are kept.
        OffsetTruncated,
        /// A replaced session comes back.
        OldSessionRevived,
        /// A new session replaces one that lives at its first datagram.
        ReplacedAtOnce,
        /// The gap table has no bound.
        GapsUnbounded,
        /// What was just repaired is repaired again for everybody who asks.
        IgnoreForgotten,
        /// The budget for repairs never refills.
        BudgetNeverRefills,
        /// Filling a gap stops the timer of the one behind it.
        NeighbourCancelled,
        /// The position in a heartbeat is not looked at.
        HeartbeatIgnored,
        /// A NAK with any token is taken for proved.
        TokenUnchecked,
        /// The end is told while something is missing.
        EndTooSoon,
        /// Held bytes are not given back.
        WindowLeaks,
        /// A leap is believed at once.
        LeapBelieved,
        /// Patience is never used up.
        NeverEvicted,
        /// Who is evicted is waited for all the same.
        EvictedStillCounts,
        /// Silence is not noticed.
        SilenceUnnoticed,
        /// The checksum is not looked at.
        ChecksumUnchecked,
        /// A STATUS with any token is taken for proved.
        UnprovedCounted,
        /// The fragments of a message of which another part is lost are not told.
        FragmentsUntold,
        /// What nobody wants is not counted.
        FilteredUncounted,
        /// A NAK asks for one offset more than is missing.
        NakOfHeld,
        /// What is sent to one receiver alone is a sign of life.
        UnicastIsLife,
    }
}
