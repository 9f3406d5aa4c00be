//! The receive path, from the sockets to a step for the user.

use core::time::Duration;

use crate::error::Error;
use crate::protocol::Step;
use crate::subscriber::Subscriber;

/// How often a call goes back to the sockets before it returns, and the subscriber before it looks at its timers.
const REFILLS: u32 = 32;
/// How long timers wait for the sockets to be empty.
const OVERDUE: Duration = Duration::from_millis(10);

/// What came of one call for more.
pub(super) enum Turn {
    /// Something for the user.
    Step(Step),
    /// Nothing so far, but the sockets may have more.
    Busy,
    /// Nothing, and the sockets are empty.
    Dry,
}

impl Subscriber {
    /// The receive path: a step from what is here, else datagrams one by one, else more from the sockets.
    ///
    /// A publisher that is faster than this subscriber must not keep a call from returning, nor timers from firing, so
    /// the sockets are gone back to only so often.
    pub(super) fn turn(&mut self, refills: &mut u32) -> Result<Turn, Error> {
        loop {
            match self.subscription.step(self.now, self.inlet.current()) {
                Step::Need => {}
                step => return Ok(Turn::Step(self.told(step))),
            }
            if let Some((origin, datagram)) = self.inlet.next_datagram() {
                self.subscription.handle_datagram(self.now, origin, datagram);
                self.inlet.judge(self.subscription.stats());
                continue;
            }
            if let Some((source, message)) = self.inlet.next_history() {
                if !self.subscription.handle_history(self.now, source, message) {
                    self.inlet.distrust_history();
                }
                continue;
            }
            if self.has_read && (self.refills >= REFILLS || self.now.since(self.served_at) >= OVERDUE) {
                // It may come every time just before it is waited for, and timers would never have their turn.
                self.do_what_is_due();
            }
            let is_dry = !self.refill()?;
            *refills += 1;
            if !is_dry && *refills < REFILLS {
                continue;
            }
            if !is_dry {
                self.do_what_is_due();
            }
            return Ok(match self.subscription.step(self.now, &[]) {
                Step::Need => match self.subscription.step_conflated() {
                    Some(step) => Turn::Step(step),
                    None if is_dry => Turn::Dry,
                    None => Turn::Busy,
                },
                step => Turn::Step(self.told(step)),
            });
        }
    }

    /// Takes what the sockets have, and does what is due; whether datagrams came.
    fn refill(&mut self) -> Result<bool, Error> {
        self.now = self.clock.now();
        self.refills += 1;
        let is_recovering = self.subscription.receiver_ref().is_recovering();
        let (inlet, now) = (&mut self.inlet, self.now);
        let filled =
            if self.glances { inlet.glance(now, is_recovering)? } else { inlet.fill(now, is_recovering)? };
        self.inlet.attend(self.now, self.subscription.receiver())?;
        self.has_read = filled || self.inlet.is_surely_empty();
        // What waits in the sockets comes first: a timer that it would stop must not fire before it.
        if !filled && self.has_read {
            self.do_what_is_due();
        } else if filled && is_recovering {
            self.subscription.receiver().handle_recovery(self.now);
        }
        if let Some(drops) = self.inlet.kernel_drops(self.now) {
            self.subscription.receiver().set_kernel_drops(drops);
        }
        self.transmit();
        Ok(filled)
    }

    fn do_what_is_due(&mut self) {
        (self.refills, self.served_at) = (0, self.now);
        let receiver = self.subscription.receiver();
        receiver.handle_timeout(self.now);
        if receiver.poll_rejoin() {
            self.inlet.rejoin();
        }
        while let Some(news) = receiver.poll_line() {
            self.inlet.on_line(news);
        }
    }

    pub(super) fn transmit(&mut self) {
        let receiver = self.subscription.receiver();
        while let Some((way, datagram)) = receiver.peek_transmit_by(self.now) {
            self.inlet.send(self.now, way, datagram);
            receiver.sent();
        }
    }

    /// A user who is told that a source is down may never call again: the publisher, which may wait for the last
    /// report, gets it first.
    fn told(&mut self, step: Step) -> Step {
        self.inlet.notice(&step);
        if matches!(step, Step::Down { .. }) {
            self.transmit();
        }
        step
    }
}
