//! A feed as it was asked for, and what it would do.

use std::time::Duration;

use clap::value_parser;
use nakcast::RECEIVE_BUFFER;
use nakcast::RING;
use nakcast::SEND_BUFFER;
use nakcast::sim::Options;

use crate::ending::Ending;
use crate::ending::Failure;
use crate::say::print;
use crate::say::say;
use crate::simulate::Tell;
use crate::simulate::failure::Broken;
use crate::simulate::figures::Figures;
use crate::simulate::trial::attempt;
use crate::units;

/// The longest feed, in virtual time.
const LONGEST_SECONDS: u64 = 50;
/// The longest round trip: repair gives up after a second.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// The most deliveries, each of which is remembered.
const MOST_DELIVERIES: u64 = 20_000_000;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What a feed would do")]
#[group(id = "feed", multiple = true)]
pub(crate) struct FeedArgs {
    /// Datagrams that each receiver's link loses, NAKs and repairs too: 2% or 0.02. Default 1%.
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    loss: Option<f64>,
    /// They are lost in bursts of so many on average, instead of one by one.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    burst_loss: Option<u32>,
    /// The round trip, such as 200us or 5ms: half of it each way. Default 200us.
    #[arg(long, value_name = "TIME", value_parser = units::span)]
    rtt: Option<Duration>,
    /// What every datagram takes longer on average (exponentially distributed), so that some overtake others. Default 0.
    #[arg(long, value_name = "TIME", value_parser = units::span)]
    jitter: Option<Duration>,
    /// How many receivers. Default 10.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=200))]
    receivers: Option<u64>,
    /// Bits a second that the publisher's link takes, such as 100M or 1G. Default 1G.
    #[arg(long, value_name = "BITS", value_parser = units::rate)]
    rate: Option<u64>,
    /// Bytes of a message. Default 100.
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u64).range(1..=100_000))]
    size: Option<u64>,
    /// How many messages. Default 20000.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000))]
    messages: Option<u64>,
    /// Messages a second. Default 50000.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000))]
    pace: Option<u64>,
    /// Print the figures as JSON, times in nanoseconds.
    #[arg(long)]
    json: bool,
}

/// A feed with every question answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Feed {
    pub(crate) loss: f64,
    pub(crate) burst_loss: Option<u32>,
    pub(crate) rtt: Duration,
    pub(crate) jitter: Duration,
    pub(crate) receivers: u64,
    /// Bits a second.
    pub(crate) rate: u64,
    pub(crate) size: u64,
    pub(crate) messages: u64,
    pub(crate) pace: u64,
}

impl FeedArgs {
    fn feed(&self) -> Result<Feed, Failure> {
        let feed = Feed {
            loss: self.loss.unwrap_or(0.01),
            burst_loss: self.burst_loss,
            rtt: self.rtt.unwrap_or(Duration::from_micros(200)),
            jitter: self.jitter.unwrap_or_default(),
            receivers: self.receivers.unwrap_or(10),
            rate: self.rate.unwrap_or(1_000_000_000),
            size: self.size.unwrap_or(100),
            messages: self.messages.unwrap_or(20_000),
            pace: self.pace.unwrap_or(50_000),
        };
        if feed.messages > feed.pace * LONGEST_SECONDS {
            return Err(Failure::Usage("that takes more than 50 s: lower --messages, or raise --pace"));
        }
        if feed.messages * feed.receivers > MOST_DELIVERIES {
            return Err(Failure::Usage("more than 20,000,000 deliveries: lower --messages or --receivers"));
        }
        if feed.rtt + feed.jitter > LONGEST_ROUND_TRIP {
            return Err(Failure::Usage("--rtt and --jitter are more than 1 s: repair gives up before that"));
        }
        if feed.burst_loss.is_some() && feed.loss > 0.9 {
            return Err(Failure::Usage(
                "--burst-loss has good times between the bursts: lower --loss to 90%",
            ));
        }
        Ok(feed)
    }
}

impl Feed {
    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.pace as u32
    }

    /// Enough for the last repairs, and for pauses between messages (half to one and a half intervals) that come to
    /// five standard deviations more than their mean.
    fn tail(&self) -> Duration {
        let deviation = self.interval().mul_f64((self.messages as f64 / 12.0).sqrt());
        Duration::from_millis(50) + 10 * (self.rtt + self.jitter) + 5 * deviation
    }

    /// The world in which this feed runs.
    fn options(&self, seed: u64) -> Options {
        let mut options = Options {
            seed,
            receivers: self.receivers,
            messages: self.messages,
            small: self.size,
            large: self.size,
            large_share: 1.0,
            interval: self.interval(),
            tail: self.tail(),
            delay: self.rtt / 2,
            delay_more: self.jitter,
            uplink_rate: (self.rate / 8).max(1),
            queue: SEND_BUFFER as u64,
            ring: RING as u64,
            socket: RECEIVE_BUFFER as u64,
            ..Options::default()
        };
        match self.burst_loss {
            // As long in the bad state as is lost, and nothing is lost in the good one (Gilbert).
            Some(length) => {
                options.burst_loss = 1.0;
                options.burst_end = 1.0 / f64::from(length);
                options.burst_begin = (options.burst_end * self.loss / (1.0 - self.loss)).min(1.0);
            }
            None => options.loss = self.loss,
        }
        options
    }
}

/// Runs the feed in a world of its own, and prints what it did.
pub(crate) fn run(args: &FeedArgs, seed: u64) -> Result<Ending, Failure> {
    let feed = args.feed()?;
    let options = feed.options(seed);
    match attempt(&options, &mut |_| {}) {
        Ok(report) => {
            let figures = Figures { feed: &feed, seed, report: &report };
            if args.json {
                print(format_args!("{}", figures.json()))
            } else {
                figures.print()
            }
            Ok(Ending::Well)
        }
        Err(violation) => {
            let reproduce = "write the options below to a file, then nakcast sim --options FILE --trace";
            // Who reads JSON gets nothing else on stdout.
            let tell: Tell = if args.json { say } else { print };
            Broken { options: &options, violation: &violation, reproduce, tell }.report(None);
            Ok(Ending::Broken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        Feed {
            loss: 0.0,
            burst_loss: None,
            rtt: Duration::from_micros(200),
            jitter: Duration::ZERO,
            receivers: 3,
            rate: 1_000_000_000,
            size: 100,
            messages: 2_000,
            pace: 50_000,
        }
    }

    fn report(feed: &Feed) -> nakcast::sim::Report {
        attempt(&feed.options(1), &mut |_| {}).unwrap()
    }

    #[test]
    fn without_loss_only_the_way_counts() {
        let report = report(&feed());
        let bytes = report.feed.traffic.data_bytes.div_ceil(report.feed.traffic.data);
        // A byte takes 8 ns at 1 Gb/s.
        let serialised = Duration::from_micros(100) + Duration::from_nanos(8 * bytes);
        assert!(
            report.latency(0.5).abs_diff(serialised) < Duration::from_micros(1),
            "{:?}",
            report.latency(0.5)
        );
        assert_eq!((report.feed.naks, report.feed.repairs, report.repaired.len()), (0, 0, 0));
        assert_eq!((report.feed.published, report.feed.delivered, report.feed.lost), (2_000, 6_000, 0));
    }

    #[test]
    fn a_repair_takes_another_round_trip() {
        let report = report(&Feed { loss: 0.01, ..feed() });
        assert!(report.repair_latency(0.5) >= Duration::from_micros(300), "{:?}", report.repair_latency(0.5));
        assert!(report.repair_latency(0.5) > report.latency(0.5));
        // 60 are expected of 6,000.
        assert!((30..=100).contains(&report.repaired.len()), "{}", report.repaired.len());
        assert_eq!(report.feed.delivered + report.feed.lost, 6_000);
    }

    #[test]
    fn bursts_lose_as_much_as_they_are_to() {
        let feed = Feed { loss: 0.05, burst_loss: Some(10), messages: 10_000, receivers: 1, ..feed() };
        let report = report(&feed);
        assert!((250..=1_000).contains(&report.repaired.len()), "{}", report.repaired.len());
    }

    #[test]
    fn large_messages_are_counted_by_offset() {
        let report = report(&Feed { size: 4_000, messages: 100, pace: 5_000, ..feed() });
        assert_eq!((report.feed.published, report.feed.offsets, report.feed.delivered), (100, 300, 900));
    }
}
