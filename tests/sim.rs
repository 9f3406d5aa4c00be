//! The simulator, as a test: many seeds, the same twice, options that can be written down, and how many NAKs a group
//! of receivers sends for a loss they share.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod sim {
    mod storm;
    mod swarm;
}
