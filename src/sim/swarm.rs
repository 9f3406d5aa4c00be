//! Options drawn from a seed, and simpler ones.

use core::time::Duration;

use crate::sim::chance::Chance;
use crate::sim::options::Options;
use crate::sim::options::Pacing;

const US: Duration = Duration::from_micros(1);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

impl Options {
    /// The options that belong to `seed`: each fault is off with probability one half.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut options = Self { seed, ..Self::default() };
        options.draw_sizes(&mut Chance::of(seed, "draw sizes", 0));
        options.draw_receivers(&mut Chance::of(seed, "draw receivers", 0));
        options.draw_losses(&mut Chance::of(seed, "draw losses", 0));
        options.draw_muting(&mut Chance::of(seed, "draw muting", 0));
        options.draw_delays(&mut Chance::of(seed, "draw delays", 0));
        options.draw_links(&mut Chance::of(seed, "draw links", 0));
        options.draw_nodes(&mut Chance::of(seed, "draw nodes", 0));
        options.draw_memberships(&mut Chance::of(seed, "draw memberships", 0));
        options
    }

    /// Options with one fault less each, or with half of the messages or receivers: candidates for a smaller world
    /// that fails alike.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        let half = |number: u64| (number / 2).max(1);
        for messages in [half(self.messages), self.messages.saturating_sub(1).max(1)] {
            if messages < self.messages {
                simpler.push(Self { messages, ..self.clone() });
            }
        }
        for receivers in [half(self.receivers), self.receivers.saturating_sub(1).max(1)] {
            if receivers < self.receivers {
                simpler.push(Self { receivers, ..self.clone() });
            }
        }
        let sizes = ["seed", "messages", "receivers"];
        simpler.extend(
            self.one_less().into_iter().filter(|(name, _)| !sizes.contains(name)).map(|(_, one)| one),
        );
        simpler
    }

    fn draw_sizes(&mut self, chance: &mut Chance) {
        self.unicast = chance.happens(0.1);
        self.publishers = if self.unicast || chance.happens(0.8) { 1 } else { 2 };
        self.receivers = if self.unicast { 1 } else { draw_receivers(chance) };
        let most = (6_000 / self.receivers / self.publishers).clamp(40, 2_000);
        self.messages = chance.log(20.0, most as f64 + 1.0) as u64;
        self.interval = chance.log_span(20 * US, 20 * MS);
        self.interval = self.interval.min(Duration::from_secs(10) / self.messages as u32);
        self.burst = if chance.happens(0.5) { 1 } else { chance.log(2.0, 60.0) as u64 };
        self.batch = if chance.happens(0.6) { 1 } else { chance.within(2, 20) };
        self.datagram = chance.one_of([1_400, 1_400, 200, 600, 9_000]);
        self.small = chance.one_of([20, 100, 400]);
        if chance.happens(0.5) {
            self.large_share = chance.log(0.005, 0.2);
            self.large = chance.log(1_000.0, 12_000.0) as u64;
        }
        self.timestamps = chance.happens(0.3);
        self.pacing = chance.one_of([Pacing::Free, Pacing::Drop, Pacing::Block]);
        self.patience = chance.log_span(100 * MS, 5 * SECOND);
        if self.pacing != Pacing::Block && chance.happens(0.5) {
            self.train = chance.log(2.0, 200.0) as u64;
        }
        self.repair_floor = chance.one_of([8 << 20, 8 << 20, 200_000, 20_000]);
        self.vanish = chance.happens(0.1);
    }

    fn draw_receivers(&mut self, chance: &mut Chance) {
        let mut some = |shares: [f64; 3]| if chance.happens(0.5) { 0.0 } else { chance.one_of(shares) };
        self.as_arrived = some([0.2, 0.5, 1.0]);
        self.unrepaired = some([0.1, 0.2, 0.5]);
        self.few_gaps = some([0.1, 0.3, 1.0]);
        self.small_window = some([0.1, 0.3, 1.0]);
        self.filtered = some([0.1, 0.3, 0.6]);
        self.conflated = some([0.1, 0.3, 0.6]);
        self.observers = some([0.1, 0.3, 0.6]);
        self.late_joins = some([0.2, 0.5, 1.0]);
        self.sources = chance.one_of([64, 64, 8, 4]);
    }

    fn draw_losses(&mut self, chance: &mut Chance) {
        if chance.happens(0.5) {
            self.loss = chance.log(1e-4, 0.3);
        }
        if chance.happens(0.5) {
            let length = chance.log(2.0, 100.0);
            (self.burst_end, self.burst_loss) = (1.0 / length, 0.5 + 0.5 * chance.unit());
            let share = chance.log(0.005, 0.3);
            self.burst_begin = share / (1.0 - share) / length;
        }
        if chance.happens(0.5) {
            self.shared_loss = chance.log(1e-3, 0.2);
            self.shared_by = chance.one_of([1.0, 0.5, 0.1]);
        }
        if chance.happens(0.5) {
            self.refused = chance.log(1e-3, 0.1);
        }
    }

    fn draw_muting(&mut self, chance: &mut Chance) {
        if chance.happens(0.5) {
            return;
        }
        let mut one = || if chance.happens(0.6) { 0.0 } else { chance.one_of([0.3, 0.8, 1.0]) };
        self.mute_naks = one();
        self.mute_heartbeats = one();
        self.mute_statuses = one();
        self.mute_welcomes = one();
        self.mute_refusals = one();
        self.mute_repairs = one();
        self.mute_from = chance.up_to(crate::sim::plan::span(self));
        self.mute_for = chance.log_span(5 * MS, 5 * SECOND);
    }

    fn draw_delays(&mut self, chance: &mut Chance) {
        self.delay = if chance.happens(0.7) {
            chance.log_span(5 * US, 2 * MS)
        } else {
            chance.log_span(2 * MS, 100 * MS)
        };
        if chance.happens(0.5) {
            self.delay_more = chance.log_span(US, self.delay.max(2 * US));
        }
        if chance.happens(0.3) {
            self.asymmetry = chance.log(1.0, 50.0_f64.min(0.2 / self.delay.as_secs_f64()).max(1.1));
        }
        if chance.happens(0.3) {
            self.spikes = chance.log(1e-4, 0.02);
            self.spike = chance.log_span(MS, 300 * MS);
        }
        if chance.happens(0.5) {
            self.jitter = chance.log(0.01, 0.6);
            self.jitter_most = chance.log_span(10 * US, 20 * MS);
        }
        if chance.happens(0.3) {
            self.hold = chance.log(1e-3, 0.1);
            self.hold_most = if chance.happens(0.05) { 1_000 } else { chance.log(2.0, 100.0) as u64 };
            self.hold_for = chance.log_span(50 * US, 20 * MS);
        }
        if chance.happens(0.5) {
            self.duplicate = chance.log(1e-3, 0.5);
            self.copies = chance.within(1, 8);
            self.copy_late = chance.log_span(10 * US, 60 * SECOND);
        }
        if chance.happens(0.5) {
            self.corrupt = chance.log(1e-4, 0.05);
        }
    }

    fn draw_links(&mut self, chance: &mut Chance) {
        if chance.happens(0.4) {
            self.partitions = chance.within(1, 3);
            let most = if chance.happens(0.1) { 30 * SECOND } else { 2 * SECOND };
            self.partition = chance.log_span(20 * MS, most);
        }
        if chance.happens(0.25) {
            self.uplink_rate = chance.log(100_000.0, 100_000_000.0) as u64;
        }
        if chance.happens(0.25) {
            self.link_rate = chance.log(30_000.0, 100_000_000.0) as u64;
        }
        self.queue = chance.log(3_000.0, 200_000.0) as u64;
        if chance.happens(0.1) {
            self.path_mtu = chance.within(100, 1_500);
        }
        if chance.happens(0.4) {
            self.socket = chance.log(4_608.0, 212_992.0) as u64;
        }
        if chance.happens(0.3) {
            self.service = self.interval.mul_f64(chance.log(0.1, 4.0)).min(20 * MS);
        }
    }

    fn draw_nodes(&mut self, chance: &mut Chance) {
        if chance.happens(0.4) {
            self.pauses = chance.within(1, 4);
            let most = if chance.happens(0.1) { 20 * SECOND } else { 500 * MS };
            self.pause = chance.log_span(MS, most);
        }
        if chance.happens(0.4) {
            self.late_timers = chance.log(0.01, 0.5);
            self.timer_late = chance.log_span(100 * US, 200 * MS);
        }
        if chance.happens(0.3) {
            self.receiver_restarts = chance.within(1, 3);
        }
        if chance.happens(0.3) {
            self.publisher_restarts = chance.within(1, 3);
            self.away = chance.log_span(MS, 5 * SECOND);
            self.clock_back = if chance.happens(0.5) { 3_600 * SECOND } else { Duration::ZERO };
        }
        if self.receivers > 1 {
            self.dead = chance.happens(0.1);
            self.deaf = !self.dead && chance.happens(0.1);
        }
        if chance.happens(0.4) {
            self.forged = chance.log(0.01, 0.6);
        }
    }

    fn draw_memberships(&mut self, chance: &mut Chance) {
        if !self.unicast && chance.happens(0.2) {
            self.memberships = chance.within(1, 3);
            self.membership = chance.log_span(100 * MS, 8 * SECOND);
        }
        if chance.happens(0.2) {
            self.pretends = chance.log_span(500 * MS, 6 * SECOND);
        }
    }
}

/// Mostly a few.
fn draw_receivers(chance: &mut Chance) -> u64 {
    if chance.happens(0.9) { chance.within(1, 5) } else { chance.log(6.0, 51.0) as u64 }
}
