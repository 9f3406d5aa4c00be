//! A group of receivers that all lose the same batch: how many of them ask before the repair has reached them all.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::RingSettings;
use nakcast::history::Stamp;
use nakcast::protocol::Receiver;
use nakcast::protocol::ReceiverSettings;
use nakcast::protocol::RepairSent;
use nakcast::protocol::Sender;
use nakcast::protocol::SenderSettings;
use nakcast::protocol::Transmit;
use nakcast::protocol::Verdict;
use nakcast::time::Time;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;
use nakcast::wire::ReceiverId;
use nakcast::wire::encode_heartbeat;

/// Losses, each in a group of its own.
const LOSSES: u64 = 200;
/// How long a datagram is on its way; twice that is the round trip of the group.
const WIRE: Duration = Duration::from_micros(50);
const STREAM: StreamId = StreamId(7);
const HOME: ([u8; 4], u16) = ([10, 0, 1, 1], 4_000);

/// A publisher that has sent four batches.
struct Source {
    ring: Arc<Ring>,
    sender: Sender,
    batches: Vec<Vec<u8>>,
}

fn source(session: SessionId) -> Source {
    let ring = RingSettings { bytes: 0, datagram: 1_400, stream: STREAM, session, timestamps: false };
    let (mut writer, ring) = Ring::new(ring);
    let mut batches = Vec::new();
    for _ in 0..4 {
        let mut open = writer.open();
        open.append(FrameFlags::WHOLE, b"", b"a message").unwrap();
        open.seal(Stamp::default(), false);
        batches.push(open.unsent().bytes.to_vec());
        open.advance(1);
    }
    let sender = Sender::new(SenderSettings::new(STREAM, session, [1, 2]), Time::ZERO);
    Source { ring, sender, batches }
}

/// The heartbeat that tells receivers how many they are, and their round trip.
fn heartbeat(session: SessionId, members: u64) -> Vec<u8> {
    let head = Head { stream: STREAM, session, flags: Flags::OPENING, ..Head::default() };
    let body = Heartbeat {
        oldest: 0.into(),
        receivers: u32::try_from(members).unwrap().into(),
        grtt_us: u32::try_from((2 * WIRE).as_micros()).unwrap().into(),
        status_ms: 4_000.into(),
        tcp_port: 0.into(),
        flags: 0.into(),
        zero: 0.into(),
    };
    let mut bytes = Vec::new();
    encode_heartbeat(&mut bytes, &head, &body);
    bytes
}

/// Hands a datagram to everybody, and what it makes ready to nobody.
fn hear(members: &mut [Receiver], now: Time, bytes: &[u8]) {
    let datagram = Datagram::decode(bytes).unwrap();
    for member in members {
        match member.handle_datagram(now, SocketAddr::from(HOME), &datagram, bytes.len()) {
            Verdict::Hold { source } => member.hold(now, source, datagram.header, (0, bytes.len())),
            Verdict::Deliver { .. } | Verdict::Done => {}
            verdict => unreachable!("{verdict:?}"),
        }
        while member.poll_up().is_some() || member.poll_ready().is_some() {}
    }
}

/// The NAKs that a member sends when its time has come; its STATUS go nowhere.
fn naks(member: &mut Receiver, now: Time) -> Vec<Vec<u8>> {
    member.handle_timeout(now);
    let mut naks = Vec::new();
    while let Some((_, bytes)) = member.peek_transmit(now) {
        let is_nak = matches!(Datagram::decode(bytes).unwrap().body, Body::Nak(..));
        naks.extend(is_nak.then(|| bytes.to_vec()));
        member.sent();
    }
    naks
}

/// The repairs that a NAK brings about.
fn answer(source: &mut Source, now: Time, from: SocketAddr, nak: &[u8]) -> Vec<Vec<u8>> {
    let datagram = Datagram::decode(nak).unwrap();
    source.sender.handle_datagram(now, from, &datagram, &source.ring);
    let (mut repairs, mut repair) = (Vec::new(), Repair::new());
    while let Some(transmit) = source.sender.peek_transmit(now, &source.ring) {
        let mut sent = None;
        if let Transmit::Repair { range, .. } = transmit {
            assert_eq!(source.ring.read(range, &mut repair), Read::Copied);
            repairs.extend(repair.datagrams().map(<[u8]>::to_vec));
            sent = Some(RepairSent { covers: repair.covers(), bytes: repair.bytes().len() });
        }
        source.sender.sent(now, sent);
    }
    repairs
}

/// All lose the first of four batches: how many NAKs leave before the repair has reached everybody.
fn storm(members: u64, seed: u64) -> u64 {
    let session = SessionId(seed + 1);
    let mut source = source(session);
    let settings = |id| ReceiverSettings::new(STREAM, ReceiverId(id), seed * members + id);
    let mut receivers: Vec<_> = (1..=members).map(|id| Receiver::new(settings(id))).collect();
    let start = Time::from_millis(1);
    hear(&mut receivers, start, &heartbeat(session, members));
    source.batches[1..].iter().for_each(|batch| hear(&mut receivers, start, batch));
    assert!(receivers.iter_mut().all(|member| naks(member, start).is_empty()), "all wait");
    let due = |(index, member): (usize, &Receiver)| (member.next_timeout().unwrap(), index);
    let mut due: Vec<_> = receivers.iter().enumerate().map(due).collect();
    due.sort();
    let mended = due[0].0 + 2 * WIRE;
    let (mut asked, mut repairs) = (0, Vec::new());
    for (at, index) in due.into_iter().take_while(|(at, _)| *at < mended) {
        for nak in naks(&mut receivers[index], at) {
            asked += 1;
            let from = SocketAddr::from(([10, 1, (index >> 8) as u8, index as u8], 9_000));
            repairs.extend(answer(&mut source, at + WIRE, from, &nak));
        }
    }
    assert_eq!(repairs.len(), 1, "of which one is answered");
    hear(&mut receivers, mended, &repairs[0]);
    assert!(!receivers.iter().any(Receiver::is_recovering));
    asked
}

/// RFC 5401 §3.2.3.2: where a NAK goes to the sender and its answer, a round trip later, silences the others, `N =
/// exp(1.2·λ/K)` NAKs are expected of a loss that all share, with `λ = ln R + 1` and waits of `K` round trips. Waits
/// here are `B = λ·grtt`, so `K = λ` and `N = exp(1.2)`, however large the group.
///
/// The mean is at most one and a half times that, the 99th percentile at most four times.
#[test]
fn receivers_with_the_same_loss_send_few_naks() {
    let theory = 1.2_f64.exp();
    for members in [10, 100, 1_000] {
        let mut counts: Vec<_> = (0..LOSSES).map(|seed| storm(members, seed)).collect();
        counts.sort_unstable();
        let mean = counts.iter().sum::<u64>() as f64 / LOSSES as f64;
        let late = counts[LOSSES as usize * 99 / 100];
        println!("{members} receivers: {mean} NAKs on average, p99 {late}; theory {theory:.2}");
        assert!(mean <= 1.5 * theory, "{members} receivers: {mean}");
        assert!(late as f64 <= 4.0 * theory, "{members} receivers: p99 {late}");
    }
}
