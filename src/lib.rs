//! Brokerless publish/subscribe: publishers send numbered messages straight to subscribers, by UDP multicast or over TCP,
//! keep what they sent, and send it again to whoever missed it. **Nothing is lost in silence**: `published = delivered +
//! lost`, and each loss is named.
//!
//! # A publisher and a subscriber
//!
//! ```
//! use nakcast::Event;
//! use nakcast::Publisher;
//! use nakcast::Subscriber;
//!
//! let uri = "udp://239.192.7.3:4103?interface=lo";
//! let mut subscriber = Subscriber::open(uri)?;
//! let mut publisher = Publisher::open(uri)?;
//!
//! publisher.publish(b"trades", b"AAPL 100 @ 187.20")?;
//! loop {
//!     match subscriber.recv()? {
//!         Event::Message(message) => {
//!             println!("{} {:?}", message.offset, message.payload);
//!             break;
//!         }
//!         Event::Lost { range, reason, .. } => eprintln!("lost {range}: {reason}"),
//!         _ => {}
//!     }
//! }
//! # publisher.abort();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Everybody gets everything
//!
//! ```
//! use nakcast::Policy;
//! use nakcast::Publisher;
//! use std::time::Duration;
//!
//! let uri = "udp://239.192.7.4:4104?interface=lo";
//! let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open()?;
//! if let Err(error) = publisher.wait_for(2, Duration::from_millis(1)) {
//!     println!("{error}");
//! }
//! publisher.publish(b"", b"held back until the slowest subscriber has room")?;
//! publisher.finish(Duration::from_secs(1))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Without multicast, and late
//!
//! Over TCP, from what the publisher still holds; a connection that is cut is made again, and goes on where it was.
//!
//! ```
//! use nakcast::Event;
//! use nakcast::Publisher;
//! use nakcast::Start;
//! use nakcast::Subscriber;
//!
//! let mut publisher = Publisher::bind("tcp://127.0.0.1:0")?;
//! publisher.publish(b"trades", b"AAPL 100 @ 187.20")?;
//!
//! let address = publisher.stream_address().expect("it listens");
//! let mut late = Subscriber::builder().tcp(&format!("tcp://{address}")).from(Start::Earliest).open()?;
//! let Event::SourceUp { from, .. } = late.recv()? else { panic!("a source comes up first") };
//! let Event::Message(message) = late.recv()? else { panic!("nothing is lost") };
//! assert_eq!((from, message.offset, message.payload), (from, from, &b"AAPL 100 @ 187.20"[..]));
//! # publisher.abort();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Equal nodes find one another with [`Discovery`].
//!
//! # Written in place
//!
//! ```
//! # let mut publisher = nakcast::Publisher::open("udp://239.192.7.5:4105?interface=lo")?;
//! let mut claim = publisher.claim(b"ticks", 8)?;
//! claim.copy_from_slice(&42_u64.to_le_bytes());
//! claim.commit();
//! # publisher.abort();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layers
//!
//! Each names only those below it, and a test proves it.
//!
//! ```text
//! publisher subscriber discovery                              what users call
//! config endpoint error event stats
//! io          sockets, system calls, the one clock, waiting
//! sim         the machines in a world that fails on purpose, by a seed
//! protocol    state machines without input or output
//! history     what was published, read by offset
//! wire        bytes to typed views and back
//! offset time
//! ```
//!
//! [`wire`], [`history`], [`protocol`] and [`sim`] are public so that tests, fuzzers and tools need no back door; they
//! may change in a minor version.

#[macro_use]
mod planted;

pub mod history;
pub mod offset;
pub mod protocol;
pub mod sim;
pub mod time;
pub mod wire;

mod config;
pub mod discovery;
mod endpoint;
mod error;
mod event;
mod figures;
mod io;
mod publisher;
mod stats;
mod subscriber;

pub use config::DATAGRAM;
pub use config::FINISH_ON_DROP;
pub use config::JOINED;
pub use config::LINGER;
pub use config::LONGEST_MESSAGE;
pub use config::Policy;
pub use config::PublisherBuilder;
pub use config::RECEIVE_BUFFER;
pub use config::REORDER_WINDOW;
pub use config::RING;
pub use config::SEND_BUFFER;
pub use config::STREAM_BATCH;
pub use config::STREAMS;
pub use config::Start;
pub use config::SubscriberBuilder;
pub use config::TOPICS;
pub use config::Wait;
pub use discovery::Announcement;
pub use discovery::Discovery;
pub use discovery::DiscoveryError;
pub use discovery::DiscoveryEvent;
pub use discovery::DiscoveryStats;
pub use discovery::NodeId;
pub use discovery::Peer;
pub use endpoint::Endpoint;
pub use endpoint::EndpointError;
pub use endpoint::TcpEndpoint;
pub use endpoint::UdpEndpoint;
pub use error::Error;
pub use error::FinishError;
pub use error::InterfaceError;
pub use error::PublishError;
pub use error::Refusal;
pub use error::SocketError;
pub use error::WaitError;
pub use event::DownReason;
pub use event::Event;
pub use event::LostReason;
pub use event::Message;
pub use event::OwnedMessage;
pub use event::PublisherEvent;
pub use figures::Figure;
pub use figures::FigureValue;
#[cfg(feature = "metrics")]
pub use figures::record;
pub use offset::Offset;
pub use offset::OffsetRange;
#[cfg(nakcast_planted)]
pub use planted::Bug;
#[cfg(nakcast_planted)]
pub use planted::plant;
pub use publisher::Claim;
pub use publisher::Publisher;
pub use publisher::SharedPublisher;
pub use sim::Faults;
pub use stats::Book;
pub use stats::ConnectionStats;
pub use stats::LineCounters;
pub use stats::LineId;
pub use stats::LineRow;
pub use stats::LineSnapshot;
pub use stats::LineStats;
pub use stats::Offload;
pub use stats::PublisherStats;
pub use stats::ReceiverRow;
pub use stats::ReceiverStats;
pub use stats::RepairTimes;
pub use stats::SenderStats;
pub use stats::SourceSnapshot;
pub use stats::SourceStats;
pub use stats::StreamStats;
pub use stats::SubscriberStats;
pub use subscriber::Subscriber;
pub use wire::ReceiverId;
pub use wire::SessionId;
pub use wire::StreamId;
