//! How far the publisher may go for the sake of its receivers.

use core::time::Duration;

use crate::protocol::sender::FlowPolicy;
use crate::protocol::sender::receivers::Receiver;
use crate::protocol::sender::receivers::Receivers;
use crate::time::Time;
use crate::wire::ReceiverId;

/// How long a publisher whose limit has risen gets to go on before somebody else is taken to hold it.
const RELEASE: Duration = Duration::from_millis(10);

/// The limit by policy, and how long it has been in the way.
#[derive(Debug)]
pub(super) struct Flow {
    policy: FlowPolicy,
    /// What the one receiver grants that sets the pace, in charge; `None` while nobody is counted.
    bound: Option<u64>,
    held: Option<Time>,
    /// For how long the publisher was held before this time, in all.
    held_before: Duration,
    /// When it was last released.
    released: Option<Time>,
    /// When the bound last rose.
    progress: Time,
    /// Nobody has set a pace for too long: run, until the bound rises.
    free: bool,
    /// When somebody's patience may be used up (`Block`).
    check_at: Option<Time>,
}

impl Flow {
    pub(super) const fn new(policy: FlowPolicy, now: Time) -> Self {
        Self {
            policy,
            bound: None,
            held: None,
            held_before: Duration::ZERO,
            released: None,
            progress: now,
            free: false,
            check_at: None,
        }
    }

    /// The charge that the publisher may have handed to the socket since the session began; `None` for no bound.
    pub(super) const fn limit(&self) -> Option<u64> {
        match self.policy {
            FlowPolicy::Drop { free_running, .. } if free_running || self.free => None,
            _ => self.bound,
        }
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the publisher is held, or was until less than `span` ago.
    pub(super) fn was_held_within(&self, now: Time, span: Duration) -> bool {
        self.is_held() || self.released.is_some_and(|at| now - at < span)
    }

    /// For how long the publisher has been held, in all.
    pub(super) fn held_for(&self, now: Time) -> Duration {
        self.held_before + self.held.map_or(Duration::ZERO, |since| now - since)
    }

    /// What a receiver grants if it is one of those that hold a blocked publisher right now.
    pub(super) fn holding(&self) -> Option<u64> {
        let blocks = matches!(self.policy, FlowPolicy::Block { .. });
        self.bound.filter(|_| blocks && self.is_held())
    }

    pub(super) fn set_held(&mut self, now: Time, held: bool) {
        if held == self.is_held() {
            return;
        }
        self.held_before = self.held_for(now);
        self.released = self.held.is_some().then_some(now);
        self.held = held.then_some(now);
        self.check_at = None;
    }

    /// A receiver's grant has changed; `None` on either side is one that is not counted.
    pub(super) fn on_grant(&mut self, now: Time, was: Option<u64>, is: Option<u64>, receivers: &Receivers) {
        let bound = match (self.bound, is) {
            (Some(bound), Some(is)) if self.leads(is, bound) => Some(is),
            (Some(bound), _) if was != Some(bound) => Some(bound),
            _ => self.scan(receivers),
        };
        if bound > self.bound {
            (self.progress, self.free) = (now, false);
        }
        if bound != self.bound {
            (self.bound, self.check_at) = (bound, None);
        }
    }

    /// Receivers have gone.
    pub(super) fn rescan(&mut self, now: Time, receivers: &Receivers) {
        self.on_grant(now, self.bound, None, receivers);
    }

    /// When to call [`Flow::handle_timeout`].
    pub(super) fn timeout(&self) -> Option<Time> {
        let held = self.held?;
        self.limit()?;
        match self.policy {
            FlowPolicy::Drop { pace, .. } => Some(held.max(self.progress) + pace),
            FlowPolicy::Block { .. } => self.check_at,
        }
    }

    /// Whether the publisher has waited long enough for a pace that nobody sets, and runs free from now on.
    pub(super) fn gives_up(&mut self, now: Time) -> bool {
        let waited = self.timeout().is_some_and(|at| now >= at);
        let gives_up = waited && matches!(self.policy, FlowPolicy::Drop { .. });
        self.free |= gives_up;
        gives_up
    }

    /// A receiver that has held the publisher for longer than its patience without moving; the least id first.
    pub(super) fn overdue(&mut self, now: Time, receivers: &Receivers) -> Option<ReceiverId> {
        let FlowPolicy::Block { patience } = self.policy else { return None };
        let (holding, held_for) = (self.holding()?, self.held_for(now));
        let holders = receivers.iter().filter(|receiver| receiver.counted_grant() == Some(holding));
        let ends = |receiver: &Receiver| {
            let left = patience.saturating_sub(held_for.saturating_sub(receiver.held_mark));
            (now + left).max(self.progress + RELEASE)
        };
        let (at, receiver) = holders.map(|receiver| (ends(receiver), receiver.row.receiver)).min()?;
        self.check_at = Some(at);
        planted!(NeverEvicted => return None);
        (now >= at).then_some(receiver)
    }

    /// Whether a grant of `one` sets the pace before `other` does.
    const fn leads(&self, one: u64, other: u64) -> bool {
        match self.policy {
            FlowPolicy::Drop { .. } => one >= other,
            FlowPolicy::Block { .. } => one <= other,
        }
    }

    fn scan(&self, receivers: &Receivers) -> Option<u64> {
        let grants = receivers.iter().filter_map(Receiver::counted_grant);
        match self.policy {
            FlowPolicy::Drop { .. } => grants.max(),
            FlowPolicy::Block { .. } => grants.min(),
        }
    }
}
