//! Datagrams from the publisher's own address and port that are not the publisher's: sessions that never were, leaps,
//! and the replay of an older session. What the publisher says itself must come whole, busy or idle.
#![allow(clippy::disallowed_methods, reason = "it sends for a real time, at a pace")]

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::SessionId;
use nakcast::time::Jitter;
use nakcast::wire;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::FrameFlags;
use nakcast::wire::GoneEntry;
use nakcast::wire::GoneReason;
use nakcast::wire::Head;
use nakcast::wire::Heartbeat;

use crate::network::case::Case;
use crate::network::forge;
use crate::network::forge::GROUP;
use crate::network::forge::PORT;
use crate::network::forge::TTL;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::net::S3;
use crate::network::part::Part;

/// Longer than it takes to call a publisher silent, so that the stream is idle for that long as well.
const SECONDS: u64 = 6;
/// Between two forgeries.
const PAUSE: Duration = Duration::from_millis(2);

/// What the impostor makes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Two sessions that go on as sessions do, one from its opening and one from where the true one is.
    Sessions,
    /// The true session, each time at another offset far ahead.
    Leaps,
    /// A session that has ended, word for word.
    Replay,
}

/// Records a session if that is the trick, waits for a line with the subscribers' control ports, then sends as the
/// publisher that it hears.
///
/// `trick` is a [`Trick`].
pub(crate) fn pose(duration: Duration, trick: u64) {
    let socket = UdpSocket::bind((GROUP, PORT)).unwrap();
    socket.join_multicast_v4(&GROUP, &S3.v4().parse().unwrap()).unwrap();
    eprintln!("listening");
    let recorded = if trick == Trick::Replay as u64 { record(&socket) } else { Vec::new() };
    eprintln!("recorded {} datagrams", recorded.len());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
    let (publisher, head) = overhear(&socket, &recorded);
    let mut targets = vec![SocketAddrV4::new(GROUP, PORT)];
    targets.extend([S1, S2].iter().zip(ports).map(|(host, port)| address(&host.v4(), port)));
    let mut impostor = Impostor { jitter: Jitter::new(7), head, recorded };
    let (raw, began, mut sent) = (forge::raw(), Instant::now(), 0_u64);
    while began.elapsed() < duration {
        let bytes = impostor.forgery(trick, sent);
        // The copy of a leap would be the second datagram that agrees: each goes one way.
        let (from, count) = if trick == Trick::Leaps as u64 {
            (sent as usize % targets.len(), 1)
        } else {
            (0, targets.len())
        };
        for target in &targets[from..from + count] {
            raw.send_to(&forge::packet(publisher, *target, &bytes), &SocketAddr::V4(*target).into()).unwrap();
        }
        sent += 1;
        thread::sleep(PAUSE);
    }
    eprintln!("posed as {publisher} with {sent} datagrams to {targets:?}");
}

fn address(host: &str, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(host.parse::<Ipv4Addr>().unwrap(), port)
}

/// Everything that the group hears up to the end of a session.
fn record(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let (mut recorded, mut bytes) = (Vec::new(), [0; 65_536]);
    loop {
        let (length, _) = socket.recv_from(&mut bytes).unwrap();
        recorded.push(bytes[..length].to_vec());
        if matches!(Datagram::decode(&bytes[..length]).unwrap().body, Body::End(_)) {
            return recorded;
        }
    }
}

/// Where the publisher is that lives now, and how its datagrams begin.
fn overhear(socket: &UdpSocket, recorded: &[Vec<u8>]) -> (SocketAddrV4, Head) {
    let session = |bytes: &[u8]| Datagram::decode(bytes).unwrap().header.session();
    let before = recorded.first().map(|bytes| session(bytes));
    let mut bytes = [0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut bytes).unwrap();
        let header = Datagram::decode(&bytes[..length]).unwrap().header;
        if let SocketAddr::V4(publisher) = from
            && before != Some(header.session())
        {
            let (stream, session, base) = (header.stream(), header.session(), header.base());
            return (publisher, Head { stream, session, base, flags: Flags(0) });
        }
    }
}

struct Impostor {
    jitter: Jitter,
    /// Of the session that lives.
    head: Head,
    recorded: Vec<Vec<u8>>,
}

impl Impostor {
    fn forgery(&mut self, trick: u64, number: u64) -> Vec<u8> {
        if trick == Trick::Replay as u64 {
            return self.recorded[number as usize % self.recorded.len()].clone();
        }
        let head = if trick == Trick::Leaps as u64 { self.leap() } else { self.step(number) };
        let mut bytes = Vec::new();
        match (number / 2 % 4, trick == Trick::Leaps as u64) {
            (0, _) => wire::encode_heartbeat(&mut bytes, &head, &self.heartbeat()),
            (1, true) => wire::encode_end(&mut bytes, &head, &self.heartbeat()),
            (2, true) => {
                let gone = GoneEntry::new(OffsetRange::run(head.base, 1_000), GoneReason::Overrun);
                wire::encode_gone(&mut bytes, &head, &[gone]);
            }
            _ => bytes = data(&head),
        }
        bytes
    }

    /// The true session, far ahead, and never twice at the same place.
    fn leap(&mut self) -> Head {
        Head { base: Offset((1 << 40) + (self.jitter.bits() >> 3)), ..self.head }
    }

    /// One of two sessions that never were, an offset further each time.
    fn step(&self, number: u64) -> Head {
        let (which, offset) = (number % 2, number / 2);
        let base = Offset(if which == 0 { offset } else { self.head.base.0 + offset });
        let flags = if which == 0 { Flags::OPENING } else { Flags(0) };
        Head { session: SessionId(self.head.session.0 ^ (5 + which)), base, flags, ..self.head }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            oldest: 0.into(),
            receivers: 2.into(),
            grtt_us: 1_000.into(),
            status_ms: 1_000.into(),
            tcp_port: 0.into(),
            flags: 0.into(),
            zero: 0.into(),
        }
    }
}

/// A batch of one message.
fn data(head: &Head) -> Vec<u8> {
    let mut room = [0; 200];
    let used = wire::put_frame(&mut room[wire::HEADER_BYTES..], FrameFlags::WHOLE, b"", b"false").unwrap();
    let mut bytes = room[..wire::HEADER_BYTES + used].to_vec();
    wire::seal_batch(&mut bytes, head, 1);
    bytes
}

/// A stream to two subscribers, at work and then idle beside an impostor, which has listened from its start.
fn beside_an_impostor(name: &str, trick: Trick) {
    let Some(net) = Net::new(name) else { return };
    // The publisher's own to the group have a TTL of 1.
    for host in [S1, S2] {
        net.on_arrival(host, &format!("ip saddr {} ip ttl {TTL}", PUBLISHER.v4()));
    }
    let mut impostor = Part::Impostor { seconds: SECONDS, trick }.start(&net, S3);
    impostor.wait_for_word("listening");
    let case = Case::default().to(&[S1, S2]).publish("--rate 1000 --policy block");
    let before = case.clone().messages(150, 1_200).publish("--policy block");
    let mut running = if trick == Trick::Replay {
        // The first subscriber knows the older session, and the second has never heard of it.
        let knows = case.clone().subscribe("--exit-after 2").subscriber(&net, S1);
        let mut older = before.publisher(&net, 1);
        older.feed(&before.input());
        assert_eq!(older.end().code, Some(0));
        impostor.wait_for_word("recorded");
        let mut running = case.clone().to(&[S2]).start_beside(&net, vec![(S1, knows)]);
        running.publish(0, 10);
        running.at(S1).wait_for_bytes(before.input().len() + running.bytes(10));
        running
    } else {
        let mut running = case.start(&net);
        running.publish(0, 10);
        running.wait_for(S1, 10);
        running
    };
    running.wait_for(S2, 10);
    impostor.write(format!("{} {}\n", net.control_port(S1), net.control_port(S2)).as_bytes());
    running.publish(10, 50);
    let told = impostor.end();
    eprintln!("{name}: {}", told.stderr);
    assert!(told.code == Some(0) && told.number_after(" with ").unwrap() > 500, "{}", told.stderr);
    running.publish(50, 100);
    let outcome = running.end();
    if trick != Trick::Replay {
        outcome.is_complete();
        return;
    }
    assert_eq!(outcome.publisher.code, Some(0), "{}", outcome.publisher.stderr);
    outcome.is_complete_at(&[S2]);
    let (ended, accounts) = (outcome.at(S1), outcome.at(S1).accounts());
    assert!(
        ended.code == Some(0) && ended.stdout == [before.input(), case.input()].concat(),
        "{}",
        ended.stderr
    );
    let delivered: Vec<_> = accounts.iter().map(|account| (account.is_exact(), account.delivered)).collect();
    assert_eq!(delivered, [(true, 150), (true, 1_700)], "{}", ended.stderr);
}

#[test]
fn made_up_sessions_from_the_publishers_own_address_do_not_replace_it() {
    beside_an_impostor("impostor-sessions", Trick::Sessions);
}

#[test]
fn leaps_from_the_publishers_own_address_are_not_believed() {
    beside_an_impostor("impostor-leaps", Trick::Leaps);
}

#[test]
fn an_older_session_replayed_from_the_publishers_own_address_stays_away() {
    beside_an_impostor("impostor-replay", Trick::Replay);
}
