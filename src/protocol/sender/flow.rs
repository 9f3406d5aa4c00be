//! How far the publisher may go for the sake of its receivers.

use core::time::Duration;

use crate::protocol::sender::FlowPolicy;
use crate::protocol::sender::receivers::Grant;
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
    /// What the one receiver grants that sets the pace; `None` while nobody is counted.
    bound: Option<Grant>,
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
            FlowPolicy::Drop { free_running, .. } | FlowPolicy::Disconnect { free_running, .. }
                if free_running || self.free =>
            {
                None
            }
            _ => match self.bound {
                Some(bound) => Some(bound.charge),
                None => None,
            },
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
        self.bound.filter(|_| self.blocks() && self.is_held()).map(|bound| bound.charge)
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
    pub(super) fn on_grant(
        &mut self,
        now: Time,
        was: Option<Grant>,
        is: Option<Grant>,
        receivers: &Receivers,
    ) {
        let bound = match (self.bound, is) {
            (Some(bound), Some(is)) if self.leads(is, bound) => Some(is),
            (Some(bound), _) if was != Some(bound) => Some(bound),
            _ => self.scan(receivers),
        };
        if self.is_news(bound) {
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
            FlowPolicy::Drop { pace, .. } | FlowPolicy::Disconnect { pace, .. } => {
                Some(held.max(self.progress) + pace)
            }
            FlowPolicy::Block { .. } => self.check_at,
        }
    }

    /// Whether the publisher has waited long enough for a pace that nobody sets, and runs free from now on.
    pub(super) fn gives_up(&mut self, now: Time) -> bool {
        let waited = self.timeout().is_some_and(|at| now >= at);
        let gives_up = waited && !self.blocks();
        self.free |= gives_up;
        gives_up
    }

    /// A receiver that has held the publisher for longer than its patience without moving; the least id first.
    pub(super) fn overdue(&mut self, now: Time, receivers: &Receivers) -> Option<ReceiverId> {
        let FlowPolicy::Block { patience } = self.policy else { return None };
        let (holding, held_for) = (Some(self.holding()?), self.held_for(now));
        let holders = receivers.iter().filter(|receiver| receiver.holds(holding));
        let ends = |receiver: &Receiver| {
            let left = patience.saturating_sub(held_for.saturating_sub(receiver.held_mark));
            (now + left).max(self.progress + RELEASE)
        };
        let (at, receiver) = holders.map(|receiver| (ends(receiver), receiver.row.receiver)).min()?;
        self.check_at = Some(at);
        planted!(NeverEvicted => return None);
        (now >= at).then_some(receiver)
    }

    const fn blocks(&self) -> bool {
        matches!(self.policy, FlowPolicy::Block { .. })
    }

    /// Whether the publisher may go further than before, or for the sake of others.
    fn is_news(&self, bound: Option<Grant>) -> bool {
        let Some(bound) = bound else { return false };
        let is_other = |was: Grant| !self.blocks() && bound.hears_datagrams != was.hears_datagrams;
        self.bound.is_none_or(|was| bound.charge > was.charge || is_other(was))
    }

    /// Whether a grant of `one` sets the pace before `other` does. Who hears datagrams goes before those behind a
    /// connection, which the kernel paces: they grant nearly a whole ring, and nobody's socket is that large.
    fn leads(&self, one: Grant, other: Grant) -> bool {
        if self.blocks() {
            return one.charge <= other.charge;
        }
        (one.hears_datagrams, one.charge) >= (other.hears_datagrams, other.charge)
    }

    fn scan(&self, receivers: &Receivers) -> Option<Grant> {
        let grants = receivers.iter().filter_map(Receiver::counted_grant);
        grants.reduce(|first, one| if self.leads(one, first) { one } else { first })
    }
}
