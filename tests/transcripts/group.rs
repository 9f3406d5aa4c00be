//! Many subscribers with the same loss: few of them ask.

use core::net::SocketAddr;
use std::sync::Arc;

use nakcast::history::Read;
use nakcast::history::Repair;
use nakcast::history::Ring;
use nakcast::history::Stamp;
use nakcast::protocol::Receiver;
use nakcast::protocol::ReceiverSettings;
use nakcast::protocol::RepairSent;
use nakcast::protocol::Sender;
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

use super::rig::FREE;
use super::rig::Fate;
use super::rig::MS;
use super::rig::STREAM;
use super::rig::US;
use super::rig::WIRE;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

fn drop_if(lost: bool) -> Fate {
    if lost { Fate::Drop } else { Fate::Pass }
}

/// Whoever asks first is answered to the group; the other one has nothing left to ask for, or is ignored.
#[test]
fn two_receivers_with_the_same_loss_get_one_repair() {
    let mut naks = 0;
    for seed in 0..20 {
        let mut world = World::empty();
        (1..=2).for_each(|id| world.subscribe(subscribes(id + 100 * seed)));
        world.open(publishes(77, FREE));
        world.pass(500 * MS);
        world.forget();
        world.fates(|hop| drop_if(hop.is_data(4)));
        world.publish(0, 20, 10 * US);
        world.pass(50 * MS);
        world.finish_whole(0);
        assert_eq!((world.counts().1, world.network.unicast), (1, 0));
        naks += world.counts().0;
    }
    assert_eq!(naks, 20 + 19, "two hardly wait for one another; the second NAK is ignored");
}

/// Four repairs that nobody else asks for go to all; after that they go to the one that loses.
#[test]
fn one_lossy_receiver_of_eight_is_repaired_alone_after_four_repairs() {
    let mut world = World::new(FREE, 8);
    world.fates(|hop| drop_if(hop.subscriber == 2 && hop.is_original() && hop.base % 10 == 4));
    for _ in 0..10 {
        world.publish(0, 10, 10 * US);
        world.pass(20 * MS);
    }
    let alone = |line: &String| line.starts_with("repair") && line.ends_with(" to r3");
    let repairs: Vec<_> =
        world.network.log.iter().filter(|line| line.starts_with("repair")).map(alone).collect();
    let expected: Vec<_> = (0..10).map(|n| n >= 4).collect();
    assert_eq!(repairs, expected);
    world.finish_whole(0);
    assert_eq!((world.counts(), world.network.unicast), ((10, 10), 6));
}

/// As soon as another one asks for the same, all get it. (Nobody waits for the others here, so both ask at one time.)
#[test]
fn a_second_asker_makes_repairs_multicast_again() {
    let mut world = World::empty();
    for id in 1..=8 {
        let mut settings = subscribes(id);
        settings.receiver.unicast = true;
        world.subscribe(settings);
    }
    world.open(publishes(77, FREE));
    world.pass(500 * MS);
    world.forget();
    world.fates(|hop| {
        let first = hop.is_original() && hop.base % 10 == 4;
        drop_if(first && (hop.subscriber == 2 || (hop.subscriber == 5 && hop.base == 64)))
    });
    for _ in 0..10 {
        world.publish(0, 10, 10 * US);
        world.pass(20 * MS);
    }
    world.finish_whole(0);
    let log = &world.network.log;
    let told = |line: &&String| line.starts_with("repair 6") || line.starts_with("repair 7");
    let told: Vec<_> = log.iter().filter(told).collect();
    assert_eq!(told, ["repair 64..65 to r3", "repair 64..65", "repair 74..75"]);
    assert_eq!((world.counts(), world.network.unicast), ((11, 11), 3), "{log:?}");
}

const MEMBERS: u64 = 1_000;
const SEEDS: u64 = 200;
const HOME: ([u8; 4], u16) = ([10, 0, 1, 1], 4_000);

/// A publisher that has sent four batches.
struct Source {
    ring: Arc<Ring>,
    sender: Sender,
    batches: Vec<Vec<u8>>,
}

fn source(seed: u64) -> Source {
    let (ring, sender) = publishes(seed + 1, FREE);
    let (mut writer, ring) = Ring::new(ring);
    let mut batches = Vec::new();
    for _ in 0..4 {
        let mut open = writer.open();
        open.append(FrameFlags::WHOLE, b"", b"a message").expect("room");
        open.seal(Stamp::default(), false);
        batches.push(open.unsent().bytes.to_vec());
        open.advance(1);
    }
    Source { ring, sender: Sender::new(sender, Time::ZERO), batches }
}

/// The heartbeat that tells a thousand receivers that they are a thousand, 100 µs round trip.
fn heartbeat(seed: u64) -> Vec<u8> {
    let session = publishes(seed + 1, FREE).0.session;
    let head = Head { stream: STREAM, session, flags: Flags::OPENING, ..Head::default() };
    let body = Heartbeat {
        oldest: 0.into(),
        receivers: (MEMBERS as u32).into(),
        grtt_us: 100.into(),
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
    let datagram = Datagram::decode(bytes).expect("sound");
    for member in members {
        match member.handle_datagram(now, HOME.into(), &datagram, bytes.len()) {
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
        let is_nak = matches!(Datagram::decode(bytes).expect("sound").body, Body::Nak(..));
        naks.extend(is_nak.then(|| bytes.to_vec()));
        member.sent();
    }
    naks
}

/// The repairs that a NAK brings about.
fn answer(source: &mut Source, now: Time, from: SocketAddr, nak: &[u8]) -> Vec<Vec<u8>> {
    let datagram = Datagram::decode(nak).expect("sound");
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
fn storm(seed: u64) -> u64 {
    let mut source = source(seed);
    let settings = |id| ReceiverSettings::new(STREAM, ReceiverId(id), seed * MEMBERS + id);
    let mut members: Vec<_> = (1..=MEMBERS).map(|id| Receiver::new(settings(id))).collect();
    let start = Time::from_millis(1);
    hear(&mut members, start, &heartbeat(seed));
    source.batches[1..].iter().for_each(|batch| hear(&mut members, start, batch));
    assert!(members.iter_mut().all(|member| naks(member, start).is_empty()), "all wait");
    let due = |(index, member): (usize, &Receiver)| (member.next_timeout().expect("a timer"), index);
    let mut due: Vec<_> = members.iter().enumerate().map(due).collect();
    due.sort();
    let mended = due[0].0 + 2 * WIRE;
    let (mut asked, mut repairs) = (0, Vec::new());
    for (at, index) in due.into_iter().take_while(|(at, _)| *at < mended) {
        for nak in naks(&mut members[index], at) {
            asked += 1;
            let from = SocketAddr::from(([10, 1, (index >> 8) as u8, index as u8], 9_000));
            repairs.extend(answer(&mut source, at + WIRE, from, &nak));
        }
    }
    assert_eq!(repairs.len(), 1, "of which one is answered");
    hear(&mut members, mended, &repairs[0]);
    assert!(!members.iter().any(Receiver::is_recovering));
    asked
}

/// RFC 5401's theory gives `exp(1.2·λ/K)` = 3.3 with `K = λ`.
#[test]
fn a_thousand_receivers_with_the_same_loss_send_few_naks() {
    let counts: Vec<_> = (0..SEEDS).map(storm).collect();
    let (total, most) = (counts.iter().sum::<u64>(), counts.iter().max());
    println!("{total} NAKs for {SEEDS} losses, a mean of {}; at most {most:?}", total as f64 / SEEDS as f64);
    assert!(total <= 5 * SEEDS, "{total}");
    assert_eq!(total, 711);
}
