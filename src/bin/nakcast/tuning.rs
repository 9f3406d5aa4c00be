//! Options with which `pub` and `sub` trade processor time for latency.

use std::time::Duration;

use nakcast::PublisherBuilder;
use nakcast::SubscriberBuilder;
use nakcast::Wait;

use crate::units;

#[derive(Debug, clap::Args)]
pub(crate) struct Tuning {
    /// Look again and again instead of sleeping while there is nothing to do: always, or for so long each time (--spin=50).
    /// Takes a processor for itself.
    #[arg(long, value_name = "MICROSECONDS", num_args = 0..=1, require_equals = true, value_parser = units::micros)]
    spin: Option<Option<Duration>>,
    /// Have the kernel poll the network card for so long, instead of waiting for its interrupt (SO_BUSY_POLL; udp://).
    #[arg(long, value_name = "MICROSECONDS", value_parser = units::micros)]
    busy_poll: Option<Duration>,
    /// Hand datagrams to the kernel, and take them, one by one instead of many in one piece (no GSO, no GRO; udp://).
    #[arg(long)]
    no_segmentation: bool,
}

impl Tuning {
    fn wait(&self) -> Wait {
        match self.spin {
            None => Wait::Block,
            Some(None) => Wait::Spin,
            Some(Some(time)) => Wait::SpinThenBlock(time),
        }
    }

    /// Whether any of it means nothing to a connection.
    pub(crate) const fn is_of_datagrams(&self) -> bool {
        self.busy_poll.is_some() || self.no_segmentation
    }

    pub(crate) fn publisher(&self, builder: PublisherBuilder) -> PublisherBuilder {
        builder
            .wait(self.wait())
            .busy_poll(self.busy_poll.unwrap_or_default())
            .segmentation(!self.no_segmentation)
    }

    pub(crate) fn subscriber(&self, builder: SubscriberBuilder) -> SubscriberBuilder {
        builder
            .wait(self.wait())
            .busy_poll(self.busy_poll.unwrap_or_default())
            .segmentation(!self.no_segmentation)
    }
}
