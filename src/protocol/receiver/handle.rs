//! What a datagram does, by kind.

use core::net::SocketAddr;
use core::time::Duration;

use crate::history::charge;
use crate::offset::OffsetRange;
use crate::protocol::Receiver;
use crate::protocol::SourceKey;
use crate::protocol::Verdict;
use crate::protocol::receiver::settings;
use crate::protocol::receiver::source::Batch;
use crate::protocol::receiver::source::Offer;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::GoneEntry;
use crate::wire::Header;
use crate::wire::Heartbeat;
use crate::wire::RangeEntry;
use crate::wire::ReceiverId;
use crate::wire::Shed;
use crate::wire::Token;
use crate::wire::Welcome;

impl Receiver {
    /// Takes a datagram of `bytes` bytes in that came from `from`.
    pub fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        datagram: &Datagram<'_>,
        bytes: usize,
    ) -> Verdict {
        if datagram.header.stream() != self.settings.stream {
            self.stats.other_stream += 1;
            return Verdict::Refused;
        }
        let is_for_publishers = matches!(datagram.body, Body::Nak(..) | Body::Status(_) | Body::Hello(..));
        if is_for_publishers || matches!(datagram.body, Body::Close(_) | Body::Rows(..)) {
            self.stats.misdirected += 1;
            return Verdict::Refused;
        }
        self.forgive_absence(now);
        let Some(key) = self.source_of(now, from, datagram) else { return Verdict::Refused };
        match datagram.body {
            Body::Data(_) => return self.on_data(now, key, datagram.header, bytes),
            Body::Heartbeat(heartbeat) => {
                self.on_heartbeat(now, key, datagram.header, heartbeat);
            }
            Body::End(heartbeat) => self.on_end(now, key, datagram.header, heartbeat),
            Body::Welcome(welcome) => self.on_welcome(now, key, welcome),
            Body::Gone(entries) => self.on_gone(now, key, entries),
            Body::Shed(shed, ranges) => self.on_shed(now, key, shed, ranges),
            Body::Nak(..) | Body::Status(_) | Body::Hello(..) | Body::Close(_) | Body::Rows(..) => {}
        }
        Verdict::Done
    }

    fn on_data(&mut self, now: Time, key: SourceKey, header: &Header, bytes: usize) -> Verdict {
        let batch = batch(header, bytes);
        let window = self.window();
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return Verdict::Refused };
        source.stats.on_batch(bytes, batch.is_repair);
        source.guard.on_batch();
        if batch.is_repair {
            source.spread.on_repair(batch.range, now, source.group.round_trip);
        }
        // A connection knows by itself what its receiver has taken.
        // Over a connection only a publisher that waits for its slowest receiver needs reports to go on.
        let is_silent = self.settings.connected && !source.group.is_waited_for;
        if !is_silent && source.report.takes(charge(bytes), window) {
            if self.settings.connected {
                source.report.bring_forward(now);
            } else {
                source.report.on_quarter(&source.group, now, &mut self.jitter);
            }
        }
        match source.offer(batch, now) {
            Offer::Deliver(take) => Verdict::Deliver { source: key, take },
            Offer::Hold => Verdict::Hold { source: key },
            Offer::Refused => Verdict::Refused,
            Offer::Duplicate => {
                source.stats.duplicates += 1;
                source.stats.repairs_useless += u64::from(batch.is_repair);
                Verdict::Duplicate
            }
        }
    }

    /// Offers what is `rest` of the batch handed in last, of which a part was handed on; for batches that fill
    /// several gaps.
    pub fn offer_rest(
        &mut self,
        now: Time,
        source: SourceKey,
        rest: OffsetRange,
        is_repair: bool,
    ) -> Option<OffsetRange> {
        let batch = Batch { range: rest, bytes: 0, is_repair };
        self.sources.get_mut(usize::from(source.0))?.offer_rest(batch, now)
    }

    /// The batch behind `header`, which was to be held, is kept with so many bytes in a slot now.
    pub fn hold(&mut self, now: Time, source: SourceKey, header: &Header, (slot, bytes): (u32, usize)) {
        if let Some(source) = self.sources.get_mut(usize::from(source.0)) {
            source.hold(batch(header, bytes), slot, now);
        }
    }

    /// Whether the position that the heartbeat tells is believed, and news.
    fn on_heartbeat(&mut self, now: Time, key: SourceKey, header: &Header, heartbeat: &Heartbeat) -> bool {
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return false };
        source.stats.heartbeats += 1;
        source.group = settings::group(heartbeat);
        source.history.hear(heartbeat);
        if heartbeat.flags.get() & Heartbeat::POLL != 0 {
            source.report.on_poll(&source.group, now, &mut self.jitter);
        }
        source.down.is_none() && source.hear_of(header.base(), now)
    }

    fn on_end(&mut self, now: Time, key: SourceKey, header: &Header, heartbeat: &Heartbeat) {
        let believed = self.on_heartbeat(now, key, header, heartbeat);
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        if believed && source.book.heard == header.base() {
            source.end = Some(header.base());
        }
    }

    fn on_welcome(&mut self, now: Time, key: SourceKey, welcome: &Welcome) {
        if ReceiverId(welcome.receiver.get()) != self.settings.receiver {
            return;
        }
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        if let Some(sample) = source.report.on_welcome(Token(welcome.token.get()), welcome.echo.get(), now) {
            source.rtt.sample(sample);
        }
    }

    fn on_gone(&mut self, now: Time, key: SourceKey, entries: &[GoneEntry]) {
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        for entry in entries {
            if let Some(reason) = entry.reason() {
                source.on_gone(entry.range(), reason, now);
            }
        }
    }

    fn on_shed(&mut self, now: Time, key: SourceKey, shed: &Shed, ranges: &[RangeEntry]) {
        if shed.receiver() != self.settings.receiver {
            return;
        }
        let after = Duration::from_micros(u64::from(shed.retry_after_us()));
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        source.on_shed(ranges.iter().map(RangeEntry::range), (now, after), &mut self.jitter);
    }
}

fn batch(header: &Header, bytes: usize) -> Batch {
    Batch { range: header.range(), bytes, is_repair: header.flags().has(Flags::REPAIR) }
}
