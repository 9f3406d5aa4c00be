//! Statistics by name: the same figures for any exporter of metrics. `docs/metrics.md` lists them.

use core::time::Duration;

use crate::stats::PublisherStats;
use crate::stats::ReceiverRow;
use crate::stats::SourceSnapshot;
use crate::stats::SubscriberStats;

/// What a figure says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FigureValue {
    /// It only grows, as long as its machine lives.
    Counter(u64),
    /// It goes up and down.
    Gauge(f64),
}

/// One statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its name, as metrics are named: `nakcast_publisher_naks_total`.
    pub name: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
    /// What it is now.
    pub value: FigureValue,
}

/// A figure's name, its meaning, and where it comes from.
type Entry<T> = (&'static str, &'static str, fn(&T) -> FigureValue);

fn all<T>(entries: &[Entry<T>], of: &T) -> Vec<Figure> {
    let figure = |(name, help, value): &Entry<T>| Figure { name, help, value: value(of) };
    entries.iter().map(figure).collect()
}

const fn counter(value: u64) -> FigureValue {
    FigureValue::Counter(value)
}

const fn gauge(value: u64) -> FigureValue {
    FigureValue::Gauge(value as f64)
}

const fn flag(value: bool) -> FigureValue {
    gauge(value as u64)
}

fn seconds(value: Duration) -> FigureValue {
    FigureValue::Gauge(value.as_secs_f64())
}

impl PublisherStats {
    /// The figures of a publisher, all beginning with `nakcast_publisher_`.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        all(PUBLISHER, self)
    }
}

impl SubscriberStats {
    /// The figures of a subscriber that belong to no source, all beginning with `nakcast_subscriber_`.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        all(SUBSCRIBER, self)
    }
}

impl SourceSnapshot {
    /// The figures of one source, all beginning with `nakcast_source_`; name the source in labels.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        all(SOURCE, self)
    }
}

impl ReceiverRow {
    /// The figures of one receiver as its publisher knows it, all beginning with `nakcast_receiver_`; name the receiver in
    /// labels.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        all(RECEIVER, self)
    }
}

const PUBLISHER: &[Entry<PublisherStats>] = &[
    (
        "nakcast_publisher_messages_total",
        "Offsets handed to the socket: messages, and fragments of long ones.",
        |stats| counter(stats.published),
    ),
    ("nakcast_publisher_batches_total", "Datagrams with new messages handed to the socket.", |stats| {
        counter(stats.batches)
    }),
    ("nakcast_publisher_bytes_total", "Bytes of those.", |stats| counter(stats.bytes)),
    ("nakcast_publisher_oldest_offset", "The oldest offset that can be repaired.", |stats| {
        gauge(stats.oldest.0)
    }),
    ("nakcast_publisher_receivers", "Subscribers that are live.", |stats| gauge(stats.receivers as u64)),
    ("nakcast_publisher_round_trip_seconds", "The group's round trip.", |stats| seconds(stats.round_trip)),
    ("nakcast_publisher_statuses_total", "Reports of receivers heard.", |stats| {
        counter(stats.sender.statuses)
    }),
    ("nakcast_publisher_statuses_unproved_total", "Reports whose token was missing or wrong.", |stats| {
        counter(stats.sender.statuses_unproved)
    }),
    ("nakcast_publisher_receivers_up_total", "Receivers that came or came back.", |stats| {
        counter(stats.sender.receivers_up)
    }),
    ("nakcast_publisher_receivers_down_total", "Receivers that left or fell silent.", |stats| {
        counter(stats.sender.receivers_down)
    }),
    (
        "nakcast_publisher_receivers_refused_total",
        "Reports of receivers for which there was no place.",
        |stats| counter(stats.sender.receivers_refused),
    ),
    (
        "nakcast_publisher_receivers_evicted_total",
        "Receivers evicted because they held the publisher.",
        |stats| counter(stats.sender.evicted),
    ),
    (
        "nakcast_publisher_receivers_cut_off_total",
        "Receivers cut off because they always asked for more than their share.",
        |stats| counter(stats.sender.cut_off),
    ),
    (
        "nakcast_publisher_receivers_slow_total",
        "Times a receiver fell more than its window behind.",
        |stats| counter(stats.sender.slow),
    ),
    (
        "nakcast_publisher_free_runs_total",
        "Times the publisher stopped waiting for a pace that nobody set.",
        |stats| counter(stats.sender.free_runs),
    ),
    ("nakcast_publisher_naks_total", "NAKs heard.", |stats| counter(stats.sender.naks)),
    ("nakcast_publisher_naks_unproved_total", "NAKs whose token was missing or wrong.", |stats| {
        counter(stats.sender.naks_unproved)
    }),
    ("nakcast_publisher_nak_ranges_total", "Ranges in those NAKs.", |stats| counter(stats.sender.ranges)),
    (
        "nakcast_publisher_nak_ranges_ignored_total",
        "Ranges repaired just before, and so ignored in part or whole.",
        |stats| counter(stats.sender.naks_ignored),
    ),
    ("nakcast_publisher_nak_ranges_shed_total", "Ranges put off for want of budget.", |stats| {
        counter(stats.sender.ranges_shed)
    }),
    (
        "nakcast_publisher_nak_ranges_overrun_total",
        "Ranges refused because the ring has overwritten them.",
        |stats| counter(stats.sender.gone_overrun),
    ),
    (
        "nakcast_publisher_nak_ranges_evicted_total",
        "Ranges refused because their receiver is evicted or cut off.",
        |stats| counter(stats.sender.gone_evicted),
    ),
    ("nakcast_publisher_repairs_multicast_total", "Repairs sent to the group.", |stats| {
        counter(stats.sender.repairs_multicast)
    }),
    ("nakcast_publisher_repairs_unicast_total", "Repairs sent to one receiver.", |stats| {
        counter(stats.sender.repairs_unicast)
    }),
    ("nakcast_publisher_repaired_messages_total", "Offsets sent again.", |stats| {
        counter(stats.sender.repaired_offsets)
    }),
    ("nakcast_publisher_repaired_bytes_total", "Bytes sent again.", |stats| {
        counter(stats.sender.repaired_bytes)
    }),
    ("nakcast_publisher_heartbeats_total", "Heartbeats sent.", |stats| counter(stats.sender.heartbeats)),
    ("nakcast_publisher_undecodable_total", "Datagrams that came and were not ours, or damaged.", |stats| {
        counter(stats.undecodable)
    }),
    ("nakcast_publisher_send_errors_total", "Sends that the system refused.", |stats| {
        counter(stats.send_errors)
    }),
    (
        "nakcast_publisher_kernel_drops_total",
        "Datagrams for the publisher that the kernel dropped for want of buffer.",
        |stats| counter(stats.kernel_drops),
    ),
    ("nakcast_publisher_connections", "Connections that there are.", |stats| {
        gauge(stats.streams.connections as u64)
    }),
    ("nakcast_publisher_connections_accepted_total", "Connections taken.", |stats| {
        counter(stats.streams.accepted)
    }),
    ("nakcast_publisher_connections_refused_total", "Connections refused.", |stats| {
        counter(stats.streams.refused)
    }),
    ("nakcast_publisher_connections_cut_total", "Connections of subscribers that broke off.", |stats| {
        counter(stats.streams.cut)
    }),
    ("nakcast_publisher_connection_bytes_total", "Bytes written to connections.", |stats| {
        counter(stats.streams.bytes)
    }),
    ("nakcast_publisher_connection_overruns_total", "Times the ring has overrun a connection.", |stats| {
        counter(stats.streams.overruns)
    }),
];

const SUBSCRIBER: &[Entry<SubscriberStats>] = &[
    (
        "nakcast_subscriber_kernel_drops_total",
        "Datagrams that the kernel dropped for want of buffer.",
        |stats| counter(stats.kernel_drops),
    ),
    ("nakcast_subscriber_undecodable_total", "Datagrams that were not ours, or damaged.", |stats| {
        counter(stats.undecodable)
    }),
    ("nakcast_subscriber_send_errors_total", "NAKs and reports that the system refused to send.", |stats| {
        counter(stats.send_errors)
    }),
    (
        "nakcast_subscriber_receive_errors_total",
        "Errors that the system gave instead of datagrams.",
        |stats| counter(stats.receive_errors),
    ),
    ("nakcast_subscriber_faults_total", "Datagrams lost on purpose.", |stats| counter(stats.faults)),
    ("nakcast_subscriber_other_stream_total", "Datagrams of another stream on the endpoint.", |stats| {
        counter(stats.receiver.other_stream)
    }),
    ("nakcast_subscriber_sources_refused_total", "Datagrams of a source that found no place.", |stats| {
        counter(stats.receiver.refused_sources)
    }),
    (
        "nakcast_subscriber_strange_address_total",
        "Datagrams of a known session from another address.",
        |stats| counter(stats.receiver.strange_address),
    ),
    ("nakcast_subscriber_statuses_total", "Reports sent.", |stats| counter(stats.receiver.statuses)),
    ("nakcast_subscriber_silences_total", "Sources that fell silent.", |stats| {
        counter(stats.receiver.silences)
    }),
    ("nakcast_subscriber_rejoins_total", "Times the group was left and joined again for it.", |stats| {
        counter(stats.receiver.rejoins)
    }),
];

const SOURCE: &[Entry<SourceSnapshot>] = &[
    ("nakcast_source_up", "1 while the source is up.", |source| flag(source.down.is_none())),
    ("nakcast_source_heard_offset", "The highest end of the stream that was told.", |source| {
        gauge(source.book.heard.0)
    }),
    ("nakcast_source_delivered_total", "Offsets handed to the user.", |source| {
        counter(source.book.delivered)
    }),
    ("nakcast_source_filtered_total", "Offsets whose topic the user did not want.", |source| {
        counter(source.book.filtered)
    }),
    ("nakcast_source_conflated_total", "Offsets replaced by a newer message of their topic.", |source| {
        counter(source.book.conflated)
    }),
    ("nakcast_source_lost_total", "Offsets reported as lost.", |source| counter(source.book.lost)),
    ("nakcast_source_pending", "Offsets whose fate is not decided.", |source| gauge(source.book.pending())),
    ("nakcast_source_batches_total", "Batches that arrived, originals and repairs.", |source| {
        counter(source.stats.batches)
    }),
    ("nakcast_source_bytes_total", "Bytes of those.", |source| counter(source.stats.bytes)),
    ("nakcast_source_repairs_total", "Batches marked as repairs.", |source| counter(source.stats.repairs)),
    ("nakcast_source_repairs_useless_total", "Repairs of which everything had come before.", |source| {
        counter(source.stats.repairs_useless)
    }),
    ("nakcast_source_duplicates_total", "Batches of which everything had come before.", |source| {
        counter(source.stats.duplicates)
    }),
    ("nakcast_source_gaps_total", "Gaps noticed.", |source| counter(source.stats.gaps)),
    ("nakcast_source_reordered_total", "Offsets that arrived late but unasked.", |source| {
        counter(source.stats.reordered)
    }),
    ("nakcast_source_repaired_total", "Offsets that a repair brought.", |source| {
        counter(source.stats.repaired)
    }),
    ("nakcast_source_naks_total", "NAKs sent.", |source| counter(source.stats.naks)),
    ("nakcast_source_nak_ranges_total", "Ranges in them.", |source| counter(source.stats.nak_ranges)),
    ("nakcast_source_naks_suppressed_total", "Gaps mended before their NAK was sent.", |source| {
        counter(source.stats.naks_suppressed)
    }),
    ("nakcast_source_shed_total", "Times the publisher put a repair off.", |source| {
        counter(source.stats.shed)
    }),
    (
        "nakcast_source_refused_window_total",
        "Batches dropped because the reorder window was full.",
        |source| counter(source.stats.refused_window),
    ),
    ("nakcast_source_refused_gaps_total", "Batches dropped because the gap table was full.", |source| {
        counter(source.stats.refused_gaps)
    }),
    ("nakcast_source_heartbeats_total", "Heartbeats heard.", |source| counter(source.stats.heartbeats)),
    ("nakcast_source_receivers", "Subscribers that the publisher counts.", |source| {
        gauge(source.receivers.into())
    }),
    ("nakcast_source_round_trip_seconds", "The group's round trip, as the publisher says.", |source| {
        seconds(source.group_round_trip)
    }),
    ("nakcast_source_silent_seconds", "For how long nothing was heard of it.", |source| {
        seconds(source.silent_for)
    }),
    (
        "nakcast_source_repair_median_seconds",
        "From the first NAK of a gap to its repair, median.",
        |source| seconds(source.stats.repair_times.quantile(0.5)),
    ),
    ("nakcast_source_repair_p99_seconds", "The same within which 99 of 100 came.", |source| {
        seconds(source.stats.repair_times.quantile(0.99))
    }),
    ("nakcast_source_repair_max_seconds", "The longest of them.", |source| {
        seconds(source.stats.repair_times.longest())
    }),
];

const RECEIVER: &[Entry<ReceiverRow>] = &[
    ("nakcast_receiver_next_offset", "The next offset it wants.", |row| gauge(row.next.0)),
    ("nakcast_receiver_window", "How much more it can take, in charge.", |row| gauge(row.window)),
    ("nakcast_receiver_delivered_total", "Offsets delivered to its user.", |row| counter(row.delivered)),
    ("nakcast_receiver_lost_total", "Offsets it has lost.", |row| counter(row.lost)),
    ("nakcast_receiver_naks_total", "NAKs it has sent.", |row| counter(row.naks)),
    ("nakcast_receiver_kernel_drops_total", "Datagrams its kernel dropped for want of buffer.", |row| {
        counter(row.kernel_drops)
    }),
    ("nakcast_receiver_round_trip_seconds", "Its round trip; 0 when not known.", |row| {
        seconds(row.rtt.unwrap_or_default())
    }),
    ("nakcast_receiver_live", "1 while it was heard lately.", |row| flag(row.live)),
    ("nakcast_receiver_slow", "1 while it is more than its window behind.", |row| flag(row.slow)),
    ("nakcast_receiver_evicted", "1 while it is evicted or cut off.", |row| flag(row.evicted)),
];

/// Hands figures to whatever recorder of the `metrics` facade the program has installed, under `labels`.
///
/// Call it as often as somebody looks, for example once a second; what has gone is not taken back.
#[cfg(feature = "metrics")]
pub fn record(figures: &[Figure], labels: &[(&'static str, String)]) {
    for Figure { name, help, value } in figures {
        let labels: Vec<_> = labels.iter().map(metrics::Label::from).collect();
        match *value {
            FigureValue::Counter(value) => {
                metrics::describe_counter!(*name, *help);
                metrics::counter!(*name, labels).absolute(value);
            }
            FigureValue::Gauge(value) => {
                metrics::describe_gauge!(*name, *help);
                metrics::gauge!(*name, labels).set(value);
            }
        }
    }
}
