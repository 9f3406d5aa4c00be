//! The bounds of a receiver, and sessions that move.

mod times;

use super::*;
use crate::protocol::SourceStats;
use crate::wire;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::FrameFlags;
use crate::wire::Head;
use crate::wire::Heartbeat;
use crate::wire::ReceiverId;
use crate::wire::StreamId;

const STREAM: StreamId = StreamId(7);

fn receiver(change: impl FnOnce(&mut ReceiverSettings)) -> Receiver {
    let mut settings = ReceiverSettings::new(STREAM, ReceiverId(1), 1);
    change(&mut settings);
    Receiver::new(settings)
}

fn home(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, number], 4_000))
}

/// A batch of one message, handed in; what was to be held is held nowhere.
fn hear(receiver: &mut Receiver, now: Time, (from, session): (u8, u64), base: u64) -> Verdict {
    let mut bytes = vec![0; 64];
    let frame = wire::put_frame(&mut bytes[32..], FrameFlags::WHOLE, b"", b"a message").expect("room");
    bytes.truncate(32 + frame);
    let head = Head { stream: STREAM, session: SessionId(session), base: Offset(base), ..Head::default() };
    wire::seal_batch(&mut bytes, &head, 1);
    let datagram = Datagram::decode(&bytes).expect("sound");
    let verdict = receiver.handle_datagram(now, home(from), &datagram, bytes.len());
    if let Verdict::Hold { source } = verdict {
        receiver.hold(now, source, datagram.header, (0, bytes.len()));
    }
    while receiver.poll_ready().is_some() {}
    verdict
}

fn ups(receiver: &mut Receiver) -> Vec<(u64, u64, Option<u64>)> {
    let ups = core::iter::from_fn(|| receiver.poll_up());
    ups.map(|up| (up.session.0, up.from.0, up.replaces.map(|old| old.0))).collect()
}

fn naks(receiver: &mut Receiver, now: Time) -> u64 {
    receiver.handle_timeout(now);
    while receiver.peek_transmit(now).is_some() {
        receiver.sent();
    }
    receiver.rows().map(|row| row.stats.naks).sum()
}

fn stats(receiver: &Receiver) -> &SourceStats {
    &receiver.sources[0].stats
}

#[test]
fn sources_beyond_the_last_are_refused_until_one_is_down() {
    let mut receiver = receiver(|settings| settings.sources = 2);
    for number in 1..=3 {
        hear(&mut receiver, Time::ZERO, (number, u64::from(number)), 5);
    }
    assert_eq!(ups(&mut receiver), [(1, 5, None), (2, 5, None)]);
    assert_eq!(receiver.stats().refused_sources, 1);
    hear(&mut receiver, Time::from_millis(2_000), (1, 1), 6);
    receiver.handle_timeout(Time::from_millis(3_000));
    assert!(matches!(receiver.poll_ready(), Some((SourceKey(1), Ready::Down { .. }))));
    assert_eq!(hear(&mut receiver, Time::from_millis(3_000), (3, 3), 5), deliver(1, 5));
    assert_eq!(ups(&mut receiver), [(3, 5, None)]);
    assert_eq!(hear(&mut receiver, Time::from_millis(3_000), (2, 2), 6), Verdict::Refused);
    assert_eq!((receiver.stats().refused_sources, receiver.stats().replaced_session), (2, 0));
}

fn deliver(source: u16, offset: u64) -> Verdict {
    Verdict::Deliver { source: SourceKey(source), take: OffsetRange::run(Offset(offset), 1) }
}

#[test]
fn a_silent_session_goes_on_elsewhere_once_two_datagrams_agree() {
    let mut receiver = receiver(|_| ());
    hear(&mut receiver, Time::ZERO, (1, 77), 5);
    assert_eq!(ups(&mut receiver), [(77, 5, None)]);
    assert_eq!(hear(&mut receiver, Time(1), (2, 77), 6), Verdict::Refused, "it is not silent");
    let later = Time::from_millis(3_000);
    receiver.handle_timeout(later);
    assert!(matches!(receiver.poll_ready(), Some((_, Ready::Down { reason: DownReason::Silent, .. }))));
    assert_eq!(hear(&mut receiver, later, (2, 77), 6), Verdict::Refused);
    assert_eq!(hear(&mut receiver, later, (3, 77), 7), Verdict::Refused, "another one");
    assert_eq!(hear(&mut receiver, later, (3, 77), 6), Verdict::Refused, "not further on");
    assert_eq!(receiver.stats().strange_address, 4);
    assert_eq!(hear(&mut receiver, later, (3, 77), 8), Verdict::Hold { source: SourceKey(0) });
    assert_eq!(ups(&mut receiver), [(77, 6, None)]);
    assert_eq!(receiver.rows().next().map(|row| row.address), Some(home(3)));
}

/// Late originals that would cut one wide gap into hundreds.
#[test]
fn the_gap_table_is_bounded_however_a_gap_is_cut() {
    let mut receiver = receiver(|settings| (settings.gaps, settings.order) = (4, Order::AsArrived));
    hear(&mut receiver, Time::ZERO, (1, 77), 0);
    hear(&mut receiver, Time::ZERO, (1, 77), 1_000);
    for base in (2..1_000).step_by(2) {
        hear(&mut receiver, Time::ZERO, (1, 77), base);
    }
    assert_eq!(stats(&receiver).refused_gaps, 499 - 3);
    assert_eq!(naks(&mut receiver, Time::from_millis(1)), 1);
    assert_eq!(stats(&receiver).nak_ranges, 4);
}

/// One hundred ranges a datagram, four datagrams at a time.
#[test]
fn a_thousand_gaps_are_asked_for_in_four_datagrams_at_a_time() {
    let mut receiver = receiver(|settings| settings.order = Order::AsArrived);
    for base in (0..2_000).step_by(2) {
        hear(&mut receiver, Time::ZERO, (1, 77), base);
    }
    assert_eq!(naks(&mut receiver, Time::from_millis(1)), 4);
    assert_eq!(stats(&receiver).nak_ranges, 400);
    let rest = receiver.next_timeout().expect("there are more");
    assert_eq!(naks(&mut receiver, rest), 8);
    assert_eq!(stats(&receiver).nak_ranges, 800);
}

/// Two turns without a send in between, a retry apart: one NAK that names the gap once.
#[test]
fn what_waits_to_be_asked_for_is_asked_for_once() {
    let mut receiver = receiver(|settings| settings.unicast = true);
    for base in [0, 4, 5, 6, 7] {
        hear(&mut receiver, Time::ZERO, (1, 77), base);
    }
    receiver.handle_recovery(Time::from_millis(1));
    hear(&mut receiver, Time::from_millis(2), (1, 77), 2);
    receiver.handle_timeout(Time::from_millis(200));
    let (_, bytes) = receiver.peek_transmit(Time::from_millis(200)).expect("a NAK");
    let Body::Nak(_, ranges) = Datagram::decode(bytes).expect("one that a publisher takes").body else {
        unreachable!("a NAK goes first")
    };
    assert_eq!(ranges.iter().map(|one| one.range().to_string()).collect::<Vec<_>>(), ["1..4"]);
}

/// An END, then more than it said: nothing has ended while anything is pending.
#[test]
fn whoever_goes_on_after_an_end_has_not_ended() {
    let mut receiver = receiver(|settings| settings.reorder_window = 0);
    hear(&mut receiver, Time::ZERO, (1, 77), 0);
    let (mut bytes, body) = (Vec::new(), <Heartbeat as zerocopy::FromZeros>::new_zeroed());
    let head = Head { stream: STREAM, session: SessionId(77), base: Offset(1), ..Head::default() };
    wire::encode_end(&mut bytes, &head, &body);
    let end = Datagram::decode(&bytes).expect("sound");
    receiver.handle_datagram(Time(1), home(1), &end, bytes.len());
    assert_eq!(hear(&mut receiver, Time(2), (1, 77), 5), Verdict::Refused, "there is no room to hold it");
    receiver.handle_timeout(Time::from_millis(100));
    while let Some((_, ready)) = receiver.poll_ready() {
        assert!(!matches!(ready, Ready::Down { .. }), "{ready:?}");
    }
    assert_eq!(
        receiver.rows().next().map(|row| row.book.pending()),
        Some(6),
        "the helper hands on, and counts nothing"
    );
}

/// A session takes the place of another, in a row before its own: nothing of it is told before it is up.
#[test]
fn nothing_is_lost_of_a_source_that_is_not_up() {
    let mut receiver = receiver(|settings| (settings.sources, settings.repair) = (2, false));
    hear(&mut receiver, Time::ZERO, (1, 1), 0);
    hear(&mut receiver, Time::from_millis(2_900), (2, 2), 0);
    assert_eq!(ups(&mut receiver).len(), 2);
    receiver.handle_timeout(Time::from_millis(3_000));
    assert!(matches!(receiver.poll_ready(), Some((SourceKey(0), Ready::Down { .. }))));
    assert_eq!(hear(&mut receiver, Time::from_millis(3_300), (2, 3), 5), Verdict::Refused);
    hear(&mut receiver, Time::from_millis(3_400), (2, 3), 9);
    receiver.handle_timeout(Time::from_millis(3_500));
    assert_eq!(receiver.poll_ready(), None);
    assert_eq!(ups(&mut receiver), [(3, 5, Some(2))]);
    let range = OffsetRange::run(Offset(5), 4);
    let lost = Ready::Lost { range, reason: LostReason::Unrepaired };
    assert_eq!(receiver.poll_ready(), Some((SourceKey(0), lost)));
}

/// A silent source makes room for another, which falls silent in its turn: the first goes on where it was.
#[test]
fn a_silent_source_that_made_room_goes_on_where_it_was() {
    let mut receiver = receiver(|settings| settings.sources = 1);
    hear(&mut receiver, Time::ZERO, (1, 1), 7);
    assert_eq!(ups(&mut receiver), [(1, 7, None)]);
    for (seconds, from, start) in [(3, 2, 20), (6, 1, 8)] {
        receiver.handle_timeout(Time::from_millis(1_000 * seconds));
        assert!(matches!(receiver.poll_ready(), Some((SourceKey(0), Ready::Down { .. }))));
        hear(&mut receiver, Time::from_millis(1_000 * seconds), (from, u64::from(from)), 20);
        assert_eq!(ups(&mut receiver), [(u64::from(from), start, None)]);
    }
}
