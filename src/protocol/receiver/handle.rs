//! What a datagram does, by kind.

use core::time::Duration;

use crate::history::charge;
use crate::offset::OffsetRange;
use crate::protocol::LineId;
use crate::protocol::Origin;
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
    /// Takes a datagram of `bytes` bytes in that came from `origin`: an address alone stands for the only line.
    #[inline]
    pub fn handle_datagram(
        &mut self,
        now: Time,
        origin: impl Into<Origin>,
        datagram: &Datagram<'_>,
        bytes: usize,
    ) -> Verdict {
        self.on_datagram(now, &origin.into(), datagram, bytes)
    }

    pub(in crate::protocol) fn on_datagram(
        &mut self,
        now: Time,
        origin: &Origin,
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
        let Some(key) = self.source_of(now, origin, datagram) else { return Verdict::Refused };
        let (line, header) = (origin.line, datagram.header);
        match datagram.body {
            Body::Data(_) => return self.on_data(now, (key, line), header, bytes),
            Body::Heartbeat(heartbeat) => {
                self.on_heartbeat(now, (key, line), header, heartbeat);
            }
            Body::End(heartbeat) => self.on_end(now, (key, line), header, heartbeat),
            Body::Welcome(welcome) => self.on_welcome(now, (key, origin), welcome),
            Body::Gone(entries) => self.on_gone(now, (key, line), entries),
            Body::Shed(shed, ranges) => self.on_shed(now, key, shed, ranges),
            Body::Nak(..) | Body::Status(_) | Body::Hello(..) | Body::Close(_) | Body::Rows(..) => {}
        }
        Verdict::Done
    }

    fn on_data(
        &mut self,
        now: Time,
        (key, line): (SourceKey, LineId),
        header: &Header,
        bytes: usize,
    ) -> Verdict {
        let batch = batch(header, bytes);
        let window = self.window();
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return Verdict::Refused };
        source.stats.on_batch(bytes, batch.is_repair);
        source.guard.on_batch();
        // A repair that the publisher sends by every line is one, and so is what it reports.
        let is_main = source.lines.is_main(line);
        if batch.is_repair && is_main {
            source.spread.on_repair(batch.range, now, source.group.round_trip);
        }
        // A connection knows by itself what its receiver has taken.
        // Over a connection only a publisher that waits for its slowest receiver needs reports to go on.
        let is_silent = self.settings.connected && !source.group.is_waited_for;
        if !is_silent && is_main && source.report.takes(charge(bytes), window) {
            if self.settings.connected {
                source.report.bring_forward(now);
            } else {
                source.report.on_quarter(&source.group, now, &mut self.jitter);
            }
        }
        let is_opening = header.flags().has(Flags::OPENING);
        let is_one = source.lines.is_one();
        let passing = if is_one { None } else { source.before_offer(line, &batch, is_opening) };
        let offer = source.offer(batch, now);
        if let Some(passing) = passing {
            source.after_offer(passing, offer, now);
        }
        match offer {
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
    fn on_heartbeat(
        &mut self,
        now: Time,
        (key, line): (SourceKey, LineId),
        header: &Header,
        heartbeat: &Heartbeat,
    ) -> bool {
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return false };
        source.stats.heartbeats += 1;
        source.group = settings::group(heartbeat);
        source.history.hear(heartbeat);
        if heartbeat.flags.get() & Heartbeat::POLL != 0 {
            source.report.on_poll(&source.group, now, &mut self.jitter);
        }
        if source.lines.is_one() {
            return source.down.is_none() && source.hear_of(header.base(), now);
        }
        source.hear_of_on(line, header.base(), header.flags().has(Flags::OPENING), now)
    }

    fn on_end(
        &mut self,
        now: Time,
        (key, line): (SourceKey, LineId),
        header: &Header,
        heartbeat: &Heartbeat,
    ) {
        let believed = self.on_heartbeat(now, (key, line), header, heartbeat);
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        if believed && source.book.heard == header.base() {
            source.end = Some(header.base());
        }
    }

    fn on_welcome(&mut self, now: Time, (key, origin): (SourceKey, &Origin), welcome: &Welcome) {
        let is_ours = ReceiverId(welcome.receiver.get()) == self.settings.receiver;
        if !is_ours || self.on_join_welcome(now, origin, welcome) {
            return;
        }
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        if let Some(sample) = source.report.on_welcome(Token(welcome.token.get()), welcome.echo.get(), now) {
            source.rtt.sample(sample);
        }
    }

    fn on_gone(&mut self, now: Time, (key, line): (SourceKey, LineId), entries: &[GoneEntry]) {
        let Some(source) = self.sources.get_mut(usize::from(key.0)) else { return };
        for entry in entries {
            match entry.reason() {
                Some(reason) if self.settings.connection == Some(line) => {
                    source.on_gone_on(line, entry.range(), reason);
                }
                Some(reason) => source.on_gone(entry.range(), reason, now),
                None => {}
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
