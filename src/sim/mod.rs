//! Networks that fail on purpose, by a seed: a discrete-event simulator of publishers and receivers in virtual time.
//!
//! [`run`] builds a world from [`Options`], of the very machines that run on sockets and of the very bytes that they
//! put on the wire, and lets virtual time pass. Nothing but the options decides what happens: there is one seed, split
//! into a stream for each fault and link (so that switching one fault off does not change what the others do), no
//! clock, no thread, and no order that depends on a hasher. [`Options::draw`] draws options from a seed, with each
//! fault off half of the time, so that faults meet in all combinations.
//!
//! ```
//! use nakcast::sim::Options;
//! use nakcast::sim::run;
//!
//! let report = run(&Options::draw(7));
//! assert_eq!(report.violation, None);
//! assert_eq!(run(&Options::draw(7)).trace_hash, report.trace_hash);
//!
//! // A small world of one's own: what becomes of a feed that loses 5 %?
//! let options = Options { receivers: 3, loss: 0.05, ..Options::default() };
//! let report = run(&options);
//! assert!(report.violation.is_none() && report.naks > 0 && report.lost == 0);
//! ```
//!
//! # Two phases
//!
//! First everything may happen that the options say. Then all faults end, everybody is up, and everything must come
//! right within a bounded time; a last message is lost for everybody, and must be noticed; publishers finish (or
//! vanish), and everybody must be told so with nothing pending.
//!
//! # What is checked
//!
//! At every turn of a node, where nothing else is said:
//!
//! | name | promise |
//! | --- | --- |
//! | S1 | What is delivered is what was published, byte by byte; only what is wanted; when only the newest of a topic is, that. |
//! | S2 | Each offset is told at most once, as delivered or as lost; in order, where that was asked for. |
//! | S3 | `heard − start = decided + pending` for every source, equal to what the user was told; nothing is pending of a source that is down; in the end every message that was wanted came whole or is lost whole. |
//! | S4 | Nothing is told as lost that the ring holds and that can be had, before the time for its repair is over; once the network is well, nothing that is asked for then is lost by timeout. |
//! | S5 | A session comes up before anything of it is told, nothing of it is told while it is down, one that was replaced never comes back, and one that nobody published never replaces one that is heard. |
//! | S6 | What a receiver keeps stays within [`memory_bound`]; sources, gaps and held bytes within their settings (measured every 64 turns, and in the end). |
//! | S7 | The k-th NAK in a row for an offset comes no sooner than ¾·min(100 µs·2^(k−2), 100 ms) after the one before, unless a SHED that names it, or three repairs of later offsets, were taken in in between; nothing is asked for that was told; at most four NAKs leave in a turn; of a loss that a group of 20 or more shares, fewer than half ask. |
//! | S8 | A batch goes to the group again no sooner than the shortest round trip of anybody; in 100 ms no more is sent again than a full bucket and what refills it; nothing is put off when nothing was sent again for 300 ms (with a budget of 1 MiB/s or more). |
//! | S9 | When the last message is lost, everybody knows within two heartbeats. |
//! | S10 | A source of which nothing that goes to everybody was heard for the time of silence is down (with what the process was stopped, and timers were late). |
//! | S11 | Every datagram taken in is counted once, at receivers and at publishers (in the end). |
//! | S12 | A publisher waits for others exactly as it was told to: never, at most its pace without progress, or at most its patience; and one that blocks overwrites nothing that somebody it waits for does not have. |
//! | T4 | Nothing but a WELCOME goes to an address where no receiver has shown its token; everybody in a publisher's table has lived where it says. |
//! | L1 | Within a bounded time of a well network everybody has everything or was told that it is lost, no message, repair, gap or held byte waits anywhere, and nobody sends a NAK any more. |
//! | L2 | L1 holds for the others when one receiver is dead, or hears nothing and goes on talking; of that one nothing is asked in the end but what holds at every turn. |
//!
//! An adversary forges datagrams with sound checksums: unknown sessions, known ones from elsewhere, single leaps,
//! answers nobody asked for, replays of replaced sessions, NAKs and STATUS without proof, and for seconds a consistent new
//! session at the address of a source that is there. It does not forge what plain
//! datagrams cannot be told from: a source's own address, session and position.

mod account;
mod adversary;
mod cast;
mod chance;
mod damage;
mod events;
mod faults;
mod ledger;
mod link;
mod liveness;
mod memory;
mod naks;
mod network;
mod options;
mod pcap;
mod plan;
mod probe;
mod publisher;
mod repairs;
mod report;
mod run;
mod runs;
mod stage;
mod subscriber;
mod swarm;
mod totals;
mod trace;
mod truth;
mod value;
mod verdict;
mod words;
mod world;

pub use cast::GROUP;
pub use cast::STREAM;
pub use faults::FaultInjector;
pub use faults::Faults;
pub use memory::memory_bound;
pub use options::Options;
pub use options::OptionsError;
pub use options::Pacing;
pub use pcap::Pcap;
pub use report::Report;
pub use run::run;
pub use run::run_watched;
pub use totals::Totals;
pub use totals::Traffic;
pub use trace::Node;
pub use trace::Packet;
pub use trace::Record;
pub use trace::What;
pub use verdict::Violation;
pub use words::words;
