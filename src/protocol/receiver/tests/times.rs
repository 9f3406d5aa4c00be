//! When a receiver asks, asks again, and stops asking; what it does not ask for.

use super::*;
use crate::protocol::receiver::AWAY;
use crate::protocol::receiver::source::Batch;
use crate::wire::Flags;

const SESSION: u64 = 77;

/// A heartbeat of the only source that says it is at `base`, in a group of `receivers`.
fn beat(receiver: &mut Receiver, now: Time, (base, receivers): (u64, u32)) {
    let mut body = <Heartbeat as zerocopy::FromZeros>::new_zeroed();
    (body.receivers, body.grtt_us) = (receivers.into(), 1_000.into());
    let head = Head { stream: STREAM, session: SessionId(SESSION), base: Offset(base), ..Head::default() };
    let mut bytes = Vec::new();
    wire::encode_heartbeat(&mut bytes, &head, &body);
    let datagram = Datagram::decode(&bytes).expect("sound");
    receiver.handle_datagram(now, home(1), &datagram, bytes.len());
}

/// The batch at `base`, sent again.
fn repair(receiver: &mut Receiver, now: Time, base: u64) -> Verdict {
    let mut bytes = vec![0; 64];
    let frame = wire::put_frame(&mut bytes[32..], FrameFlags::WHOLE, b"", b"a message").expect("room");
    bytes.truncate(32 + frame);
    let flags = Flags::default().with(Flags::REPAIR, true);
    let head = Head { stream: STREAM, session: SessionId(SESSION), base: Offset(base), flags };
    wire::seal_batch(&mut bytes, &head, 1);
    let datagram = Datagram::decode(&bytes).expect("sound");
    let verdict = receiver.handle_datagram(now, home(1), &datagram, bytes.len());
    while receiver.poll_ready().is_some() {}
    verdict
}

fn hear_all(receiver: &mut Receiver, now: Time, bases: impl IntoIterator<Item = u64>) {
    for base in bases {
        hear(receiver, now, (1, SESSION), base);
    }
}

fn millis(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// Two round trips, the second measured while nobody looked: the third gap is asked for again a quarter of the repair
/// timeout later, give or take a quarter of that.
#[test]
fn one_slow_answer_does_not_put_off_the_asking() {
    let mut receiver = receiver(|settings| settings.order = Order::AsArrived);
    hear_all(&mut receiver, millis(0), [0, 2, 3, 4]);
    assert_eq!(naks(&mut receiver, millis(1)), 1);
    repair(&mut receiver, millis(2), 1);
    hear_all(&mut receiver, millis(10), [6, 7, 8]);
    assert_eq!(naks(&mut receiver, millis(10)), 2);
    repair(&mut receiver, millis(410), 5);
    hear_all(&mut receiver, millis(411), [10, 11, 12]);
    assert_eq!(naks(&mut receiver, millis(411)), 3);
    assert_eq!(naks(&mut receiver, millis(411 + 187)), 3);
    assert_eq!(naks(&mut receiver, millis(411 + 313)), 4);
}

/// What one held batch comes to.
fn held() -> usize {
    let mut receiver = receiver(|_| ());
    hear_all(&mut receiver, millis(0), [0, 2]);
    receiver.held_bytes()
}

/// Gaps there are when one early batch is held in a window of `window` bytes and a heartbeat tells of more.
fn gaps_in(window: usize) -> usize {
    let mut receiver = receiver(|settings| settings.reorder_window = window);
    hear_all(&mut receiver, millis(0), [0, 2]);
    beat(&mut receiver, millis(0), (5, 1));
    receiver.gap_count()
}

#[test]
fn the_tail_is_asked_for_while_no_more_than_half_of_the_window_is_full() {
    assert_eq!(gaps_in(3 * held()), 2);
    assert_eq!(gaps_in(2 * held()), 2, "just half");
    assert_eq!(gaps_in(2 * held() - 2), 1);
}

/// A gap whose time came just when the process was stopped, for as long as counts as having been away.
#[test]
fn whoever_was_away_calls_nobody_silent() {
    let away = |span: Duration| {
        let mut receiver =
            receiver(|settings| (settings.silence, settings.guard_time) = (AWAY, Some(Duration::ZERO)));
        receiver.handle_timeout(millis(10));
        hear_all(&mut receiver, millis(10), [0, 2]);
        receiver.handle_timeout(millis(10) + span);
        receiver.poll_rejoin()
    };
    assert!(!away(AWAY));
    assert!(!away(AWAY * 2));
}

/// Each further than the one before, by more than a window.
#[test]
fn a_leap_is_not_confirmed_by_a_longer_one() {
    let mut receiver = receiver(|_| ());
    hear_all(&mut receiver, millis(0), [0]);
    for position in [1 << 40, 1 << 41, u64::MAX, 1 << 42, 1 << 40] {
        beat(&mut receiver, millis(0), (position, 1));
    }
    assert_eq!((stats(&receiver).leaps, receiver.gap_count()), (5, 0));
    beat(&mut receiver, millis(0), ((1 << 40) + 5, 1));
    assert_eq!((stats(&receiver).leaps, receiver.gap_count()), (5, 2), "what is hopeless, and the rest");
}

/// Four gaps, asked for at one time; the repairs of the last three come, and the first is asked for again at once.
#[test]
fn the_third_repair_that_overtakes_another_makes_it_a_loss() {
    let mut receiver = receiver(|settings| settings.order = Order::AsArrived);
    hear_all(&mut receiver, millis(0), [0, 2, 4, 6, 8, 9, 10]);
    assert_eq!(naks(&mut receiver, millis(1)), 1);
    let soon = Time::from_micros(1_010);
    for (base, overtaken) in [(3, 0), (5, 0), (7, 1)] {
        repair(&mut receiver, soon, base);
        assert_eq!(stats(&receiver).overtaken, overtaken, "{base}");
        assert_eq!(naks(&mut receiver, soon), 1 + overtaken, "{base}");
    }
    assert_eq!(stats(&receiver).nak_ranges, 4 + 1);
}

/// Batches of a thousand messages and 8 GiB, so that the sums are halved: what is left of the first counts half.
#[test]
fn the_window_spans_as_many_offsets_as_the_batches_of_late_had_room_for() {
    let mut receiver = receiver(|settings| settings.reorder_window = 1 << 33);
    hear_all(&mut receiver, millis(0), [0]);
    let source = &mut receiver.sources[0];
    for from in [1, 1_001, 2_001] {
        source.offer(
            Batch { range: OffsetRange::run(Offset(from), 1_000), bytes: 1 << 33, is_repair: false },
            millis(0),
        );
        assert!((999..=1_001).contains(&source.span()), "{}", source.span());
    }
}
