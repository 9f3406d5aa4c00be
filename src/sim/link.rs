//! One direction of one receiver's link.

use core::time::Duration;
use std::rc::Rc;

use crate::sim::chance::Chance;
use crate::sim::network::Arrivals;
use crate::sim::network::queue;
use crate::sim::options::Options;
use crate::time::Time;

/// How far apart datagrams are released that were held.
const APART: Duration = Duration::from_micros(1);

/// A link, each of whose faults draws from a stream of its own.
#[derive(Debug)]
pub(super) struct Link {
    loss: Chance,
    burst: Chance,
    delay: Chance,
    spike: Chance,
    jitter: Chance,
    hold: Chance,
    copy: Chance,
    /// It is in a burst of losses.
    is_bad: bool,
    /// It is busy until.
    free: Time,
    /// When the datagrams held are released, and how many more are taken.
    held: (Time, u64),
}

impl Link {
    pub(super) fn new(seed: u64, name: &str, index: u64) -> Self {
        let of = |fault: &str| Chance::of(seed, &format!("{name} {fault}"), index);
        Self {
            loss: of("loss"),
            burst: of("burst"),
            delay: of("delay"),
            spike: of("spike"),
            jitter: of("jitter"),
            hold: of("hold"),
            copy: of("copy"),
            is_bad: false,
            free: Time::ZERO,
            held: (Time::ZERO, 0),
        }
    }

    /// Takes a datagram over, which needs `trip` at least and may wait for the link's `rate`.
    pub(super) fn carry(
        &mut self,
        (now, trip, rate): (Time, Duration, u64),
        options: &Options,
        bytes: &Rc<[u8]>,
        arrivals: &mut Arrivals,
    ) -> bool {
        if self.loses(options) {
            return false;
        }
        let mut at = now + trip;
        if rate > 0 {
            let Some(wait) = queue(&mut self.free, now, (rate, options.queue), bytes.len()) else {
                return false;
            };
            at = at + wait;
        }
        at = at + self.lateness(options);
        at = self.held_until(now, options).map_or(at, |released| released + trip);
        arrivals.push((at, Rc::clone(bytes)));
        if self.copy.happens(options.duplicate) {
            for _ in 0..self.copy.within(1, options.copies) {
                arrivals.push((at + self.copy.up_to(options.copy_late), Rc::clone(bytes)));
            }
        }
        true
    }

    fn loses(&mut self, options: &Options) -> bool {
        if options.burst_begin > 0.0 {
            let change = if self.is_bad { options.burst_end } else { options.burst_begin };
            self.is_bad ^= self.burst.happens(change);
        }
        self.loss.happens(options.loss) || (self.is_bad && self.burst.happens(options.burst_loss))
    }

    fn lateness(&mut self, options: &Options) -> Duration {
        let mut late = Duration::ZERO;
        if !options.delay_more.is_zero() {
            late += self.delay.exponential(options.delay_more);
        }
        if self.spike.happens(options.spikes) {
            late += self.spike.log_span(options.spike / 100, options.spike);
        }
        if self.jitter.happens(options.jitter) {
            late += self.jitter.up_to(options.jitter_most);
        }
        late
    }

    /// When a datagram is released that the link holds: the last one first.
    fn held_until(&mut self, now: Time, options: &Options) -> Option<Time> {
        let (release, left) = &mut self.held;
        if now >= *release || *left == 0 {
            if !self.hold.happens(options.hold) {
                return None;
            }
            (*release, *left) = (now + options.hold_for, self.hold.within(2, options.hold_most.max(2)));
        }
        *left -= 1;
        Some(*release + APART * u32::try_from(*left).unwrap_or(u32::MAX))
    }
}
