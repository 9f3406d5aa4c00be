//! Promises that were broken.

use core::fmt;

use crate::sim::trace::Node;
use crate::time::Time;

/// A promise that was broken, where and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the promise, as the table in [`crate::sim`] lists them: `S3`.
    pub invariant: &'static str,
    /// When.
    pub at: Time,
    /// By whom.
    pub node: String,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.0 as f64 / 1e9;
        write!(f, "invariant={} t={seconds:.6}s node={}: {}", self.invariant, self.node, self.what)
    }
}

/// Collects the first violation of a run, with the place and time it happened at.
#[derive(Debug)]
pub(super) struct Verdict {
    now: Time,
    node: Node,
    violation: Option<Violation>,
}

impl Verdict {
    pub(super) const fn new() -> Self {
        Self { now: Time::ZERO, node: Node::World, violation: None }
    }

    /// From now on it is about `node`.
    pub(super) const fn enter(&mut self, now: Time, node: Node) {
        (self.now, self.node) = (now, node);
    }

    /// Takes down that `invariant` is broken unless `holds`; gives `holds` back.
    pub(super) fn check(
        &mut self,
        holds: bool,
        invariant: &'static str,
        what: impl FnOnce() -> String,
    ) -> bool {
        if !holds && self.violation.is_none() {
            let (at, node) = (self.now, self.node.to_string());
            self.violation = Some(Violation { invariant, at, node, what: what() });
        }
        holds
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.violation.is_some()
    }

    pub(super) fn take(&mut self) -> Option<Violation> {
        self.violation.take()
    }
}
