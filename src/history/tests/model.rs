//! The ring against its twin, op by op.

use std::sync::Arc;

use proptest::prelude::*;

use super::oracle::Batch;
use super::oracle::Message;
use super::oracle::Oracle;
use crate::history::Read;
use crate::history::Repair;
use crate::history::Ring;
use crate::history::RingSettings;
use crate::history::SEND_BYTES;
use crate::history::Stamp;
use crate::history::Writer;
use crate::history::charge;
use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::FRAME_BYTES;
use crate::wire::Flags;
use crate::wire::FrameFlags;
use crate::wire::SessionId;
use crate::wire::StreamId;

const STREAM: StreamId = StreamId(3);
const SESSION: SessionId = SessionId(0x5E55);

#[derive(Debug, Clone)]
enum Op {
    /// Sizes are shares of what an empty batch takes, in 65,535ths.
    Append {
        flags: u8,
        topic: u8,
        share: u16,
    },
    Claim {
        topic: u8,
        share: u16,
        commit: bool,
    },
    SetLimit {
        share: u16,
    },
    Seal {
        full: bool,
        opening: bool,
        time: u64,
    },
    Advance {
        most: usize,
    },
    NextTrain,
    /// What a publisher does, over and over: append, seal, send, next train.
    Burst {
        share: u16,
        batches: u8,
    },
    /// From below `oldest` to beyond `next`, as a share.
    Read {
        share: u16,
        len: u16,
    },
    /// From there to the end of the train, but no more than so many bytes.
    Lend {
        share: u16,
        most: usize,
    },
    ChargeAt {
        share: u16,
    },
}

struct Model {
    writer: Writer,
    subject: Arc<Ring>,
    oracle: Oracle,
    repair: Repair,
}

impl Model {
    fn new(datagram: usize, timestamps: bool) -> Self {
        let settings = RingSettings { bytes: 1, datagram, stream: STREAM, session: SESSION, timestamps };
        let (writer, subject) = Ring::new(settings);
        let oracle =
            Oracle { datagram, timestamps, train: 0, limit: datagram, batches: Vec::new(), open: Vec::new() };
        Self { writer, subject, oracle, repair: Repair::new() }
    }

    fn message(&self, flags: u8, topic: u8, share: u16) -> Message {
        let flags = FrameFlags(flags & FrameFlags::WHOLE.0);
        let topic = if flags.has(FrameFlags::FIRST) { usize::from(topic) } else { 0 };
        let room = self.oracle.room() - FRAME_BYTES;
        let topic = topic.min(room);
        let fill = self.oracle.next().0 as u8;
        let payload = (room - topic) * usize::from(share) / usize::from(u16::MAX);
        Message { flags, topic: vec![!fill; topic], payload: vec![fill; payload] }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append { flags, topic, share } => {
                self.append(self.message(flags, topic, share));
            }
            Op::Claim { topic, share, commit } => self.claim(self.message(3, topic, share), commit),
            Op::SetLimit { share } => {
                let bytes = usize::from(share) * 2;
                self.writer.open().set_limit(bytes);
                self.oracle.limit = bytes.min(self.oracle.hard());
            }
            Op::Seal { full, opening, time } => {
                let flags = Flags(0).with(Flags::OPENING, opening);
                self.seal(Stamp { flags, timestamp: (time != 0).then_some(time) }, full);
            }
            Op::Advance { most } => self.advance(most),
            Op::NextTrain => self.next_train(),
            Op::Burst { share, batches } => self.burst(share, batches),
            Op::Read { share, len } => self.read(OffsetRange::run(self.offset(share), u64::from(len))),
            Op::ChargeAt { share } => {
                let offset = self.offset(share);
                assert_eq!(self.subject.charge_at(offset), Some(self.oracle.charge_at(offset)));
                assert_eq!(self.subject.charge_held(offset), Some(self.oracle.charge_at(offset)));
            }
            Op::Lend { share, most } => self.lend(self.offset(share), most),
        }
        self.check();
    }

    fn append(&mut self, message: Message) -> bool {
        let appended = self.writer.open().append(message.flags, &message.topic, &message.payload);
        assert_eq!(appended, self.oracle.append(message));
        appended.is_some()
    }

    fn claim(&mut self, message: Message, commit: bool) {
        let mut open = self.writer.open();
        let lent = open.claim(&message.topic, message.payload.len());
        let fits = self.oracle.open_bytes() + message.size() <= self.oracle.limit;
        assert_eq!(lent.as_ref().map(|room| room.len()), fits.then_some(message.payload.len()));
        let Some(room) = lent else { return };
        room.copy_from_slice(&message.payload);
        if commit {
            assert_eq!(Some(open.commit()), self.oracle.append(message));
        }
    }

    fn seal(&mut self, stamp: Stamp, full: bool) {
        self.writer.open().seal(stamp, full);
        self.oracle.seal(stamp, full);
        assert_eq!(self.subject.next(), self.oracle.sealed());
    }

    fn advance(&mut self, most: usize) {
        self.writer.open().advance(most);
        self.oracle
            .batches
            .iter_mut()
            .filter(|batch| !batch.sent)
            .take(most)
            .for_each(|batch| batch.sent = true);
    }

    fn next_train(&mut self) {
        if self.oracle.held().messages > 0 {
            return;
        }
        self.writer.open().next_train();
        if self.oracle.in_train().count() > 0 {
            self.oracle.train += 1;
            self.oracle.limit = self.oracle.hard();
        }
    }

    fn burst(&mut self, share: u16, batches: u8) {
        let target = self.oracle.batches.len() + usize::from(batches);
        while self.oracle.batches.len() < target {
            if self.append(self.message(3, 0, share)) {
                continue;
            }
            self.seal(Stamp::default(), true);
            if !self.oracle.has_room() {
                self.advance(usize::MAX);
                self.next_train();
            }
            self.oracle.limit = self.oracle.hard();
            self.writer.open().set_limit(usize::MAX);
        }
    }

    /// From 3 before the oldest offset to 3 beyond the next, however far they are apart.
    fn offset(&self, share: u16) -> Offset {
        let (first, last) = (self.oracle.oldest().0.saturating_sub(3), self.oracle.next().0 + 3);
        Offset(first + (last - first) * u64::from(share) / u64::from(u16::MAX))
    }

    fn read(&mut self, want: OffsetRange) {
        let expected = match want {
            _ if want.is_empty() => Read::Copied,
            _ if want.from < self.oracle.oldest() => Read::Gone { oldest: self.oracle.oldest() },
            _ if want.from >= self.oracle.sent() => Read::Unsent,
            _ => Read::Copied,
        };
        assert_eq!(self.subject.read(want, &mut self.repair), expected);
        let copied = if expected == Read::Copied { self.oracle.read(want) } else { Vec::new() };
        let copied = if want.is_empty() { Vec::new() } else { copied };
        let sizes: Vec<_> = copied.iter().map(|batch| batch.size as u16).collect();
        assert_eq!(self.repair.sizes(), sizes);
        assert_eq!(self.repair.bytes().len(), copied.iter().map(|batch| batch.size).sum::<usize>());
        let covers = copied.first().zip(copied.last());
        let covers = covers.map(|(first, last)| OffsetRange::new(first.offsets.from, last.offsets.to));
        assert_eq!(self.repair.covers(), covers.unwrap_or_default());
        for (bytes, batch) in self.repair.datagrams().zip(&copied) {
            self.check_datagram(bytes, batch, Flags::REPAIR);
        }
    }

    fn lend(&self, from: Offset, most: usize) {
        let (oldest, sent) = (self.oracle.oldest(), self.oracle.sent());
        let lent = self.subject.lend(from, most, |lent| {
            let before = lent.charge();
            let batches: Vec<_> =
                lent.clone().map(|one| (one.bytes.to_vec(), one.offsets, one.charge)).collect();
            (before, lent.is_current(), batches)
        });
        if from < oldest || from >= sent {
            let absent = if from < oldest { Read::Gone { oldest } } else { Read::Unsent };
            assert_eq!(lent.unwrap_err(), absent);
            return;
        }
        let (mut charge_sent, is_current, batches) = lent.expect("it is there");
        let expected = self.oracle.lend(from, most);
        assert_eq!((batches.len(), charge_sent), (expected.len(), self.oracle.charge_at(from)));
        assert_eq!(is_current, expected[0].train == self.oracle.train);
        for ((bytes, offsets, so_far), batch) in batches.iter().zip(expected) {
            charge_sent += charge(batch.size);
            assert_eq!(
                (*offsets, *so_far, bytes.len()),
                (batch.offsets, charge_sent, self.oracle.len(batch))
            );
            self.check_datagram(bytes, batch, Flags(0));
        }
    }

    fn check_datagram(&self, bytes: &[u8], batch: &Batch, extra: Flags) {
        let datagram = Datagram::decode(bytes).expect("a sealed batch decodes");
        let timestamps = self.oracle.timestamps;
        let flags = Flags(batch.stamp.flags.0 | extra.0).with(Flags::TIMESTAMP, timestamps);
        let header = datagram.header;
        assert_eq!((header.stream(), header.session()), (STREAM, SESSION));
        assert_eq!((header.range(), header.flags()), (batch.offsets, flags));
        assert_eq!(datagram.timestamp, timestamps.then_some(batch.stamp.timestamp.unwrap_or(0)));
        let Body::Data(frames) = datagram.body else { panic!("{:?}", datagram.body) };
        let read: Vec<_> = frames.map(|frame| (frame.flags, frame.topic, frame.payload)).collect();
        let written: Vec<_> =
            batch.messages.iter().map(|one| (one.flags, &one.topic[..], &one.payload[..])).collect();
        assert_eq!(read, written);
        assert!(bytes[self.oracle.len(batch)..].iter().all(|&byte| byte == 0), "padding is zero");
    }

    /// Everything that can be asked at any time.
    fn check(&mut self) {
        let oracle = &self.oracle;
        let sent = || oracle.batches.iter().filter(|batch| batch.sent);
        assert_eq!(self.subject.oldest(), oracle.oldest());
        assert_eq!(self.subject.sent(), oracle.sent());
        assert_eq!(self.subject.batches_sent(), sent().count() as u64);
        assert_eq!(self.subject.bytes_sent(), sent().map(|batch| batch.size as u64).sum::<u64>());
        assert_eq!(self.subject.charge_sent(), sent().map(|batch| charge(batch.size)).sum::<u64>());
        let open = self.subject.try_tail().expect("nobody else is here");
        assert_eq!((open.held(), self.subject.next()), (oracle.held(), oracle.next()));
        assert_eq!((open.has_room(), open.limit()), (oracle.has_room(), oracle.limit));
        assert_eq!(
            (open.open_bytes(), open.open_messages()),
            (oracle.open_bytes(), oracle.open.len() as u64)
        );
        assert_eq!(open.is_full_for(50), oracle.open_bytes() + 50 > oracle.hard());
        let mut rest = open.unsent().bytes;
        for (batch, &size) in oracle.unsent().zip(open.unsent().sizes) {
            assert_eq!(usize::from(size), batch.size);
            let (datagram, later) = rest.split_at(batch.size);
            self.check_datagram(datagram, batch, Flags(0));
            rest = later;
        }
        assert_eq!((rest.len(), open.unsent().sizes.len()), (0, oracle.unsent().count()));
    }
}

fn share() -> impl Strategy<Value = u16> {
    prop_oneof![2 => 0..2_000_u16, 1 => any::<u16>(), 1 => 60_000..=u16::MAX]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<u8>(), 0..12_u8, share()).prop_map(|(flags, topic, share)| Op::Append { flags, topic, share }),
        3 => (0..12_u8, share(), any::<bool>())
            .prop_map(|(topic, share, commit)| Op::Claim { topic, share, commit }),
        1 => share().prop_map(|share| Op::SetLimit { share }),
        4 => (any::<bool>(), any::<bool>(), 0..3_u64)
            .prop_map(|(full, opening, time)| Op::Seal { full, opening, time }),
        3 => prop_oneof![0..4_usize, Just(usize::MAX)].prop_map(|most| Op::Advance { most }),
        1 => Just(Op::NextTrain),
        1 => (30_000..=u16::MAX, 0..60_u8).prop_map(|(share, batches)| Op::Burst { share, batches }),
        4 => (share(), 0..300_u16).prop_map(|(share, len)| Op::Read { share, len }),
        2 => (share(), prop_oneof![0..9_000_usize, Just(usize::MAX)])
            .prop_map(|(share, most)| Op::Lend { share, most }),
        2 => share().prop_map(|share| Op::ChargeAt { share }),
    ]
}

fn datagram() -> impl Strategy<Value = usize> {
    prop_oneof![64..200_usize, Just(1_400), 3_000..9_000_usize, 20_000..=SEND_BYTES]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn the_ring_agrees_with_its_twin(
        datagram in datagram(),
        timestamps in any::<bool>(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut model = Model::new(datagram, timestamps);
        ops.iter().for_each(|op| model.apply(op));
    }
}
