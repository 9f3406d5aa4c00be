//! What a simulated run is made of, as plain fields that can be written down and read back.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::sim::value::LONGEST;
use crate::sim::value::Value;

/// What a publisher does for the sake of slow receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pacing {
    /// Waits for nobody.
    Free,
    /// Is paced by the fastest receiver.
    #[default]
    Drop,
    /// Waits for the slowest receiver, as long as its patience lasts.
    Block,
}

/// What is wrong with options that were written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A line is not `name = value`.
    #[error("line {line}: {text:?} is not `name = value`")]
    Form {
        /// The line, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// There is no such option.
    #[error("line {line}: there is no option {name:?}")]
    Name {
        /// The line, from 1.
        line: usize,
        /// The name it gives.
        name: String,
    },
    /// The option has no such value.
    #[error("line {line}: {name} cannot be {value:?}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The option.
        name: String,
        /// The value it gives.
        value: String,
    },
}

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr $(, $within:expr)?;)*) => {
        /// Everything that decides a run: sizes, settings, and every fault with its measure.
        ///
        /// The default is a small calm world: no fault at all.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Options {
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl Default for Options {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Options {
            /// All fields as `name = value` lines, which are TOML as well.
            #[must_use]
            pub fn to_text(&self) -> String {
                let mut text = String::new();
                $(put(&mut text, stringify!($name), &self.$name);)*
                text
            }

            /// Whether there is such an option; `None` when it cannot have that value.
            fn set(&mut self, name: &str, value: &str) -> Option<bool> {
                match name {
                    $(stringify!($name) => {
                        self.$name = Value::read(value)?;
                        $(($within).contains(&self.$name).then_some(())?;)?
                    })*
                    _ => return Some(false),
                }
                Some(true)
            }

            /// These options with one field after the other as it is in the default, where that makes a difference.
            pub(super) fn one_less(&self) -> Vec<(&'static str, Self)> {
                let calm = Self::default();
                let mut less = Vec::new();
                $(if self.$name != calm.$name {
                    less.push((stringify!($name), Self { $name: calm.$name, ..self.clone() }));
                })*
                less
            }
        }
    };
}

fn put(text: &mut String, name: &str, value: &impl Value) {
    text.push_str(&format!("{name} = {}\n", value.show()));
}

impl Options {
    /// Whether messages flow for no longer than anything may take.
    fn is_short(&self) -> bool {
        self.interval.as_nanos().saturating_mul(u128::from(self.messages)) <= LONGEST.as_nanos()
    }

    /// Reads `name = value` lines over the default; empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    ///
    /// An [`OptionsError`] that names the line.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let (mut options, mut span) = (Self::default(), None);
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let Some((name, value)) = text.split_once('=') else {
                return Err(OptionsError::Form { line, text: text.to_owned() });
            };
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            match options.set(name, value) {
                Some(true) if matches!(name, "messages" | "interval") => span = Some((line, name, value)),
                Some(true) => {}
                Some(false) => return Err(OptionsError::Name { line, name: name.to_owned() }),
                None => return Err(refused(line, name, value)),
            }
        }
        match span {
            Some((line, name, value)) if !options.is_short() => Err(refused(line, name, value)),
            _ => Ok(options),
        }
    }
}

fn refused(line: usize, name: &str, value: &str) -> OptionsError {
    OptionsError::Value { line, name: name.to_owned(), value: value.to_owned() }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// What a share of something may be.
const SHARE: RangeInclusive<f64> = 0.0..=1.0;
/// The longest message, in bytes.
const MESSAGE: u64 = 1 << 20;

options! {
    /// Decides everything that these options leave to chance.
    seed: u64 = 0;

    /// Publishers at the same time on one stream: 1 or 2.
    publishers: u64 = 1, 1..=2;
    /// Receivers: 1 to 200.
    receivers: u64 = 1, 1..=200;
    /// Messages that each publisher publishes.
    messages: u64 = 100, 1..=100_000_000;
    /// The longest small message, in bytes.
    small: u64 = 100, 0..=MESSAGE;
    /// The longest large message, in bytes; fragmented where it does not fit a datagram.
    large: u64 = 6_000, 0..=MESSAGE;
    /// How many of the messages are large, 0 to 1.
    large_share: f64 = 0.0, SHARE;
    /// The mean time between two bursts.
    interval: Duration = Duration::from_millis(1);
    /// How long faults go on when messages flow no more.
    tail: Duration = Duration::from_millis(50);
    /// The most messages in a burst.
    burst: u64 = 1, 1..=1_000_000;
    /// The most messages in a datagram.
    batch: u64 = 1, 0..=65_535;
    /// The most bytes of a datagram.
    datagram: u64 = 1_400, 64..=65_000;
    /// Batches after which the ring goes on to its next train, so that little is held; 0: whole trains. (What a
    /// publisher that blocks promises holds for whole trains only.)
    train: u64 = 0;
    /// Bytes of a publisher's ring; 0: the smallest there is.
    ring: u64 = 0, 0..=1 << 30;
    /// Whether batches carry the time of their sending.
    timestamps: bool = false;
    /// What publishers do for the sake of slow receivers.
    pacing: Pacing = Pacing::Drop;
    /// How long one receiver may hold a publisher that blocks.
    patience: Duration = Duration::from_secs(5);
    /// The least the budget for repairs falls to, in bytes a second.
    repair_floor: u64 = 8 << 20, 0..=1 << 40;
    /// One publisher and one receiver on plain addresses, without a group.
    unicast: bool = false;
    /// At the end a publisher vanishes without a word, instead of finishing.
    vanish: bool = false;

    /// How many receivers take messages as they arrive, 0 to 1.
    as_arrived: f64 = 0.0, SHARE;
    /// How many receivers ask for nothing, 0 to 1.
    unrepaired: f64 = 0.0, SHARE;
    /// How many receivers keep no more than three gaps, 0 to 1.
    few_gaps: f64 = 0.0, SHARE;
    /// How many receivers have a reorder window of 20,000 bytes, 0 to 1.
    small_window: f64 = 0.0, SHARE;
    /// How many receivers want one topic only, 0 to 1.
    filtered: f64 = 0.0, SHARE;
    /// How many receivers keep only the newest of each topic, 0 to 1.
    conflated: f64 = 0.0, SHARE;
    /// How many receivers only look on, 0 to 1.
    observers: f64 = 0.0, SHARE;
    /// Sources that a receiver keeps at the same time.
    sources: u64 = 64, 1..=65_535;

    /// How long every datagram is on its way.
    delay: Duration = Duration::from_micros(50);
    /// The mean of what is added to that, exponentially distributed.
    delay_more: Duration = Duration::ZERO;
    /// How many times as long the way to a publisher takes; 0 counts as 1.
    asymmetry: f64 = 0.0, 0.0..=1_000.0;
    /// How many datagrams are much later, 0 to 1.
    spikes: f64 = 0.0, SHARE;
    /// The most by which those are later.
    spike: Duration = Duration::from_millis(100);
    /// How many datagrams are a little late, so that others overtake them, 0 to 1.
    jitter: f64 = 0.0, SHARE;
    /// The most by which those are late.
    jitter_most: Duration = Duration::from_micros(500);
    /// How likely a datagram is to begin a hold of a link, which is released in reverse order, 0 to 1.
    hold: f64 = 0.0, SHARE;
    /// The most datagrams in such a hold.
    hold_most: u64 = 8, 0..=1_000_000;
    /// How long such a hold lasts.
    hold_for: Duration = Duration::from_millis(2);

    /// How many datagrams each link loses, 0 to 1.
    loss: f64 = 0.0, SHARE;
    /// How likely a link is to begin a burst of losses with a datagram, 0 to 1 (Gilbert-Elliott).
    burst_begin: f64 = 0.0, SHARE;
    /// How likely such a burst is to end with a datagram, 0 to 1.
    burst_end: f64 = 0.1, SHARE;
    /// How many datagrams are lost in such a burst, 0 to 1.
    burst_loss: f64 = 0.9, SHARE;
    /// How many datagrams of a publisher are lost before they reach anybody's link, 0 to 1.
    shared_loss: f64 = 0.0, SHARE;
    /// Of those, how likely each receiver is to lose it, 0 to 1.
    shared_by: f64 = 1.0, SHARE;
    /// How many NAKs are lost while the muting lasts, 0 to 1.
    mute_naks: f64 = 0.0, SHARE;
    /// How many heartbeats and ENDs are lost while the muting lasts, 0 to 1.
    mute_heartbeats: f64 = 0.0, SHARE;
    /// How many STATUS are lost while the muting lasts, 0 to 1.
    mute_statuses: f64 = 0.0, SHARE;
    /// How many WELCOMEs are lost while the muting lasts, 0 to 1.
    mute_welcomes: f64 = 0.0, SHARE;
    /// How many GONEs and SHEDs are lost while the muting lasts, 0 to 1.
    mute_refusals: f64 = 0.0, SHARE;
    /// How many repairs are lost while the muting lasts, 0 to 1.
    mute_repairs: f64 = 0.0, SHARE;
    /// When the muting begins.
    mute_from: Duration = Duration::ZERO;
    /// How long it lasts.
    mute_for: Duration = Duration::from_secs(5);
    /// How many datagrams come more than once, 0 to 1.
    duplicate: f64 = 0.0, SHARE;
    /// The most copies of one.
    copies: u64 = 2, 1..=1_000;
    /// The most by which a copy is later.
    copy_late: Duration = Duration::from_micros(100);
    /// How many datagrams are damaged, 0 to 1.
    corrupt: f64 = 0.0, SHARE;
    /// Partitions: everybody, one direction only, or one receiver alone.
    partitions: u64 = 0, 0..=10_000;
    /// The longest one.
    partition: Duration = Duration::from_millis(200);
    /// How often the network forgets that a receiver is of the group: what is sent to the group does not reach it, and
    /// what is sent to it does.
    memberships: u64 = 0, 0..=10_000;
    /// How long that lasts at most, and half as long at least.
    membership: Duration = Duration::from_secs(5);
    /// Bytes a second that a publisher's link takes; 0: any.
    uplink_rate: u64 = 0;
    /// Bytes a second that the last receiver's link takes; 0: any.
    link_rate: u64 = 0;
    /// Bytes that wait before such a link; more are dropped.
    queue: u64 = 20_000;
    /// The longest datagram that reaches the last receiver; 0: any.
    path_mtu: u64 = 0;
    /// How many sends fail at a publisher, 0 to 1.
    refused: f64 = 0.0, SHARE;

    /// What a receiver's socket holds, in charge.
    socket: u64 = 212_992, 0..=1 << 40;
    /// How long the first receiver takes for each datagram; zero: no time.
    service: Duration = Duration::ZERO;
    /// How often receivers stop for a while, in all.
    pauses: u64 = 0, 0..=10_000;
    /// The longest such pause.
    pause: Duration = Duration::from_millis(20);
    /// How many timers fire late, 0 to 1.
    late_timers: f64 = 0.0, SHARE;
    /// The most by which those are late.
    timer_late: Duration = Duration::from_millis(200);

    /// How many receivers join while messages flow, 0 to 1.
    late_joins: f64 = 0.0, SHARE;
    /// How often a receiver is killed, or leaves, and another comes in its place.
    receiver_restarts: u64 = 0, 0..=10_000;
    /// How often a publisher crashes and comes back with a new session.
    publisher_restarts: u64 = 0, 0..=10_000;
    /// How long a crashed publisher stays away at most.
    away: Duration = Duration::from_millis(100);
    /// How far a publisher's wall clock goes back when it restarts.
    clock_back: Duration = Duration::ZERO;
    /// The last receiver dies for good, without a word, halfway.
    dead: bool = false;
    /// The last receiver hears nothing any more from halfway on, for good, but goes on talking.
    deaf: bool = false;
    /// Forged datagrams for each message, 0 to 1.
    forged: f64 = 0.0, SHARE;
    /// How long somebody forges a session of a publisher that begins, consistently, at the address of one that is there.
    pretends: Duration = Duration::ZERO;
}
