//! How much memory a receiver may need, from its settings alone.

use crate::protocol::SubscriptionSettings;
use crate::wire::TOPIC_BYTES;

/// What a batch in the reorder window costs at least, whatever its bytes.
const PLACE: usize = 192;
/// The most bytes of a datagram over UDP.
const DATAGRAM: usize = 65_507;
/// Buffers that wait to be used again, of all sources together.
const SPARE: usize = 4 << 20;

/// The most bytes that [`Subscription::memory`](crate::protocol::Subscription::memory) can come to:
///
/// `sources × (reorder window × 2 + fragments + 64 KiB) + 4 MiB + topics kept × (longest message + its name)`
///
/// The reorder window counts twice because a buffer that is used again may be up to twice as large as what is in it.
/// Beside that a receiver has its tables, all of fixed size: see the fields of
/// [`ReceiverSettings`](crate::protocol::ReceiverSettings).
///
/// ```
/// use nakcast::protocol::ReceiverSettings;
/// use nakcast::protocol::SubscriptionSettings;
/// use nakcast::sim::memory_bound;
/// use nakcast::wire::ReceiverId;
/// use nakcast::wire::StreamId;
///
/// let mut settings = SubscriptionSettings::new(ReceiverSettings::new(StreamId(1), ReceiverId(1), 1));
/// (settings.receiver.sources, settings.receiver.reorder_window, settings.fragments) = (1, 1 << 20, 100_000);
/// assert_eq!(memory_bound(&settings), (2 << 20) + 100_000 + 65_507 + (4 << 20));
/// ```
#[must_use]
pub fn memory_bound(settings: &SubscriptionSettings) -> usize {
    let receiver = &settings.receiver;
    let source = 2 * receiver.reorder_window.max(PLACE) + settings.fragments + DATAGRAM;
    let message = settings.fragments.max(DATAGRAM) + TOPIC_BYTES + size_of::<u16>();
    receiver.sources.saturating_mul(source) + SPARE + settings.conflate.unwrap_or(0).saturating_mul(message)
}
