//! What happens to the nodes themselves, and when.

use core::time::Duration;

use crate::sim::chance::Chance;
use crate::sim::options::Options;
use crate::time::Time;

/// Something that happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A receiver comes, for the first time or in place of another.
    Join(usize),
    /// A receiver takes its leave.
    Leave(usize),
    /// A receiver is killed.
    Kill(usize),
    /// A receiver is killed, and nobody comes in its place.
    Die(usize),
    /// A receiver's process is stopped.
    Stop(usize),
    /// It goes on.
    Resume(usize),
    /// A publisher crashes.
    Crash(usize),
    /// A publisher comes back, with a new session.
    Restart(usize),
}

/// How long messages flow, about.
pub(super) fn span(options: &Options) -> Duration {
    let bursts = 2.0 * options.messages as f64 / (options.burst.max(1) + 1) as f64;
    options.interval.mul_f64(bursts).max(Duration::from_millis(20))
}

/// What happens to the nodes, in no order.
pub(super) fn plan(options: &Options, span: Duration) -> Vec<(Time, Act)> {
    let mut acts = Vec::new();
    joins(options, span, &mut acts);
    pauses(options, span, &mut acts);
    receiver_restarts(options, span, &mut acts);
    publisher_restarts(options, span, &mut acts);
    if options.dead {
        acts.push((Time::ZERO + span / 2, Act::Die(last(options))));
    }
    acts
}

/// The receiver that dies or goes deaf.
pub(super) const fn last(options: &Options) -> usize {
    options.receivers.saturating_sub(1) as usize
}

fn joins(options: &Options, span: Duration, acts: &mut Vec<(Time, Act)>) {
    for receiver in 0..options.receivers {
        let mut chance = Chance::of(options.seed, "joins", receiver);
        let at = if chance.happens(options.late_joins) { chance.up_to(span) } else { Duration::ZERO };
        acts.push((Time::ZERO + at, Act::Join(receiver as usize)));
    }
}

fn pauses(options: &Options, span: Duration, acts: &mut Vec<(Time, Act)>) {
    let mut chance = Chance::of(options.seed, "pauses", 0);
    for _ in 0..options.pauses {
        let receiver = chance.below(options.receivers) as usize;
        let at = Time::ZERO + chance.up_to(span);
        let least = Duration::from_millis(1).min(options.pause);
        acts.push((at, Act::Stop(receiver)));
        acts.push((at + chance.log_span(least, options.pause), Act::Resume(receiver)));
    }
}

fn receiver_restarts(options: &Options, span: Duration, acts: &mut Vec<(Time, Act)>) {
    let mut chance = Chance::of(options.seed, "receiver restarts", 0);
    for _ in 0..options.receiver_restarts {
        let receiver = chance.below(options.receivers) as usize;
        let at = Time::ZERO + chance.up_to(span);
        let goes = if chance.happens(0.5) { Act::Leave(receiver) } else { Act::Kill(receiver) };
        acts.push((at, goes));
        acts.push((at + chance.up_to(span / 4) + Duration::from_micros(1), Act::Join(receiver)));
    }
}

fn publisher_restarts(options: &Options, span: Duration, acts: &mut Vec<(Time, Act)>) {
    let mut chance = Chance::of(options.seed, "publisher restarts", 0);
    for _ in 0..options.publisher_restarts {
        let publisher = chance.below(options.publishers) as usize;
        let at = Time::ZERO + chance.up_to(span);
        acts.push((at, Act::Crash(publisher)));
        acts.push((at + chance.up_to(options.away) + Duration::from_micros(1), Act::Restart(publisher)));
    }
}
