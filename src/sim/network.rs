//! What becomes of a datagram on its way.

use core::time::Duration;
use std::rc::Rc;

use crate::sim::chance::Chance;
use crate::sim::damage::damage;
use crate::sim::link::Link;
use crate::sim::options::Options;
use crate::time::Time;
use crate::wire::Flags;
use crate::wire::Header;
use crate::wire::Kind;

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To a receiver.
    Down,
    /// To a publisher.
    Up,
}

/// A datagram about to go over the link between a publisher and a receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop {
    pub(super) way: Way,
    pub(super) receiver: usize,
    /// It was sent to the group.
    pub(super) is_multicast: bool,
}

/// Nothing gets through for a while: in a direction, or in both, for one receiver or for all.
#[derive(Debug, Clone, Copy)]
struct Partition {
    from: Time,
    to: Time,
    down: bool,
    up: bool,
    receiver: Option<usize>,
    /// What was sent to one receiver gets through.
    spares_unicast: bool,
}

/// The network: a link for each receiver and direction, and what all share.
#[derive(Debug)]
pub(super) struct Network {
    options: Options,
    down: Vec<Link>,
    up: Vec<Link>,
    /// How far each publisher's own link is busy.
    uplink: [Time; 2],
    partitions: Vec<Partition>,
    shared: Chance,
    refused: Chance,
    mute: Chance,
    damage: Chance,
    /// A datagram that passed, of which another may be spliced.
    passed: Rc<[u8]>,
    /// Since when all is well.
    pub(super) healed: bool,
    /// Original batches are lost, to see that it is noticed.
    pub(super) probes: bool,
    /// The receiver that hears nothing any more, and since when.
    pub(super) deaf: Option<(usize, Time)>,
}

/// The copies of a datagram that arrive, and when.
pub(super) type Arrivals = Vec<(Time, Rc<[u8]>)>;

impl Network {
    pub(super) fn new(options: &Options, span: Duration) -> Self {
        let seed = options.seed;
        let links = |name: &'static str| {
            (0..options.receivers).map(move |index| Link::new(seed, name, index)).collect::<Vec<_>>()
        };
        let (down, up) = (links("down"), links("up"));
        Self {
            partitions: partitions(options, span).chain(memberships(options, span)).collect(),
            down,
            up,
            uplink: [Time::ZERO; 2],
            shared: Chance::of(seed, "shared loss", 0),
            refused: Chance::of(seed, "refused", 0),
            mute: Chance::of(seed, "mute", 0),
            damage: Chance::of(seed, "damage", 0),
            passed: [].as_slice().into(),
            healed: false,
            probes: false,
            deaf: None,
            options: options.clone(),
        }
    }

    /// When the last partition and the muting are over.
    pub(super) fn well_again(&self) -> Time {
        let muting = if self.is_mute_on() { self.mute_end() } else { Time::ZERO };
        self.partitions.iter().map(|partition| partition.to).max().unwrap_or_default().max(muting)
    }

    /// A send of a publisher fails, and is taken as sent.
    pub(super) fn refuses(&mut self) -> bool {
        !self.healed && self.refused.happens(self.options.refused)
    }

    /// The datagram passes the link that all receivers share: how much later it does; `None` when nobody gets it.
    /// Which of them lose it all the same tells [`Network::shares`].
    pub(super) fn passes_uplink(&mut self, now: Time, publisher: usize, bytes: usize) -> Option<Duration> {
        let rate = self.options.uplink_rate;
        if self.healed || rate == 0 {
            return Some(Duration::ZERO);
        }
        let free = self.uplink.get_mut(publisher)?;
        queue(free, now, (rate, self.options.queue), bytes)
    }

    /// Whether the datagram is one of those that several receivers lose.
    pub(super) fn is_shared_loss(&mut self) -> bool {
        !self.healed && self.shared.happens(self.options.shared_loss)
    }

    /// Whether this receiver loses such a datagram.
    pub(super) fn shares(&mut self) -> bool {
        self.shared.happens(self.options.shared_by)
    }

    /// Takes a datagram over its link: `false` when it never arrives.
    pub(super) fn carry(&mut self, now: Time, hop: Hop, bytes: &Rc<[u8]>, arrivals: &mut Arrivals) -> bool {
        if self.is_parted(now, hop) {
            return false;
        }
        if self.healed {
            let lost = self.probes && is_original(bytes);
            if !lost {
                arrivals.push((now + self.trip(hop.way), Rc::clone(bytes)));
            }
            return !lost;
        }
        if self.is_muted(now, bytes) || self.is_too_long(hop, bytes.len()) {
            return false;
        }
        let trip = self.trip(hop.way);
        let links = if hop.way == Way::Down { &mut self.down } else { &mut self.up };
        let is_last = hop.receiver + 1 == links.len();
        let Some(link) = links.get_mut(hop.receiver) else { return false };
        let rate = if is_last { self.options.link_rate } else { 0 };
        let arrived = link.carry((now, trip, rate), &self.options, bytes, arrivals);
        if self.options.corrupt > 0.0 {
            for (_, bytes) in arrivals.iter_mut() {
                if self.damage.happens(self.options.corrupt) {
                    *bytes = damage(bytes, &self.passed, &mut self.damage);
                }
            }
            self.passed = Rc::clone(bytes);
        }
        arrived
    }

    /// How long a datagram takes at least.
    pub(super) fn trip(&self, way: Way) -> Duration {
        let times = if way == Way::Up && self.options.asymmetry > 0.0 { self.options.asymmetry } else { 1.0 };
        self.options.delay.mul_f64(times)
    }

    fn is_parted(&self, now: Time, hop: Hop) -> bool {
        let is_deaf = self.deaf.is_some_and(|(receiver, at)| receiver == hop.receiver && now >= at);
        if is_deaf && hop.way == Way::Down {
            return true;
        }
        !self.healed
            && self.partitions.iter().any(|partition| {
                let is_now = partition.from <= now && now < partition.to;
                let is_it = partition.receiver.is_none_or(|receiver| receiver == hop.receiver);
                let is_spared = partition.spares_unicast && !hop.is_multicast;
                is_now
                    && is_it
                    && !is_spared
                    && if hop.way == Way::Down { partition.down } else { partition.up }
            })
    }

    fn is_mute_on(&self) -> bool {
        let of = &self.options;
        let rates = [of.mute_naks, of.mute_heartbeats, of.mute_statuses];
        let more = [of.mute_welcomes, of.mute_refusals, of.mute_repairs];
        rates.iter().chain(&more).any(|rate| *rate > 0.0)
    }

    fn mute_end(&self) -> Time {
        Time::ZERO + self.options.mute_from + self.options.mute_for
    }

    fn is_muted(&mut self, now: Time, bytes: &[u8]) -> bool {
        if now < Time::ZERO + self.options.mute_from || now >= self.mute_end() {
            return false;
        }
        let options = &self.options;
        let rate = match Header::peek(bytes) {
            Some((Kind::Data, flags)) if flags.has(Flags::REPAIR) => options.mute_repairs,
            Some((Kind::Nak, _)) => options.mute_naks,
            Some((Kind::Heartbeat | Kind::End, _)) => options.mute_heartbeats,
            Some((Kind::Status, _)) => options.mute_statuses,
            Some((Kind::Welcome, _)) => options.mute_welcomes,
            Some((Kind::Gone | Kind::Shed, _)) => options.mute_refusals,
            _ => 0.0,
        };
        self.mute.happens(rate)
    }

    fn is_too_long(&self, hop: Hop, bytes: usize) -> bool {
        let is_last = hop.receiver + 1 == self.down.len();
        let mtu = self.options.path_mtu;
        mtu > 0 && is_last && hop.way == Way::Down && bytes as u64 > mtu
    }
}

/// Puts `bytes` in the queue before a link that is busy until `free`: how long they wait; `None` when it is full.
pub(super) fn queue(free: &mut Time, now: Time, (rate, queue): (u64, u64), bytes: usize) -> Option<Duration> {
    let takes = |bytes: u64| Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1));
    let start = (*free).max(now);
    if start - now > takes(queue) {
        return None;
    }
    *free = start + takes(bytes as u64);
    Some(*free - now)
}

fn is_original(bytes: &[u8]) -> bool {
    Header::peek(bytes).is_some_and(|(kind, flags)| kind == Kind::Data && !flags.has(Flags::REPAIR))
}

fn partitions(options: &Options, span: Duration) -> impl Iterator<Item = Partition> {
    let mut chance = Chance::of(options.seed, "partitions", 0);
    let least = Duration::from_millis(10).min(options.partition / 2).max(Duration::from_nanos(1));
    let (receivers, longest) = (options.receivers, options.partition.max(least * 2));
    (0..options.partitions).map(move |_| {
        let from = Time::ZERO + chance.up_to(span);
        let to = from + chance.log_span(least, longest);
        let (down, up) = chance.one_of([(true, true), (true, false), (false, true)]);
        let receiver = chance.happens(0.5).then(|| chance.below(receivers) as usize);
        Partition { from, to, down, up, receiver, spares_unicast: false }
    })
}

/// The times during which the network has forgotten that a receiver is of the group.
fn memberships(options: &Options, span: Duration) -> impl Iterator<Item = Partition> {
    let mut chance = Chance::of(options.seed, "memberships", 0);
    let longest = options.membership.max(Duration::from_nanos(2));
    let receivers = options.receivers;
    (0..options.memberships).map(move |_| {
        let from = Time::ZERO + chance.up_to(span);
        let to = from + chance.log_span(longest / 2, longest);
        let receiver = Some(chance.below(receivers) as usize);
        Partition { from, to, down: true, up: false, receiver, spares_unicast: true }
    })
}
