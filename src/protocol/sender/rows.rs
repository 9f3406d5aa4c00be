//! The rows of receivers, as they are told to whoever asks over a connection.

use core::time::Duration;

use zerocopy::FromZeros;

use crate::protocol::ReceiverRow;
use crate::protocol::sender::Sender;
use crate::time::Time;
use crate::wire::ROWS_ENTRIES;
use crate::wire::ReceiverId;
use crate::wire::RowEntry;

impl Sender {
    /// The rows of receivers from the id `from` on, as many as one ROWS holds, and how many there are from there on.
    #[must_use]
    pub fn rows_from(&self, now: Time, from: ReceiverId) -> (Vec<RowEntry>, usize) {
        let receivers = self.receivers.from(from);
        let rows = receivers.iter().take(ROWS_ENTRIES);
        (rows.map(|receiver| entry(&receiver.row, now.since(receiver.heard))).collect(), receivers.len())
    }
}

fn entry(row: &ReceiverRow, heard_ago: Duration) -> RowEntry {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let flags = [
        (row.live, RowEntry::LIVE),
        (row.evicted, RowEntry::EVICTED),
        (row.slow, RowEntry::SLOW),
        (row.stream, RowEntry::STREAM),
    ];
    let flags = flags.into_iter().map(|(is_set, flag)| if is_set { flag } else { 0 }).sum::<u16>();
    let entry = RowEntry {
        receiver: row.receiver.0.into(),
        next: row.next.0.into(),
        delivered: row.delivered.into(),
        lost: row.lost.into(),
        naks: row.naks.into(),
        kernel_drops: row.kernel_drops.into(),
        lag_us: micros(row.lag).into(),
        rtt_us: micros(row.rtt.unwrap_or_default()).into(),
        heard_ms: u32::try_from(heard_ago.as_millis()).unwrap_or(u32::MAX).into(),
        window: u32::try_from(row.window).unwrap_or(u32::MAX).into(),
        flags: flags.into(),
        ..RowEntry::new_zeroed()
    };
    entry.at(row.address)
}
