//! What a subscription says it keeps.

use super::*;

/// A fragment at `base`.
fn fragment(base: u64, flags: FrameFlags, topic: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let end = 32 + wire::put_frame(&mut bytes[32..], flags, topic, b"begin").expect("room");
    bytes.truncate(end);
    let head = Head { stream: STREAM, session: SessionId(5), base: Offset(base), flags: Flags::OPENING };
    wire::seal_batch(&mut bytes, &head, 1);
    bytes
}

#[test]
fn early_batches_fragments_and_the_newest_of_each_topic_are_kept() {
    let settings = SubscriptionSettings::new(ReceiverSettings::new(STREAM, ReceiverId(1), 1));
    let mut subscription = Subscription::new(SubscriptionSettings { conflate: Some(2), ..settings });
    assert_eq!(subscription.memory(), 0);
    assert_eq!(hear(&mut subscription, 0, 1, false), [""; 0]);
    let newest = size_of::<SourceKey>() + "0".len();
    assert_eq!(subscription.memory(), newest);
    let bytes = fragment(1, FrameFlags::FIRST, b"t");
    subscription.handle_datagram(Time::ZERO, SocketAddr::from(([10, 0, 1, 1], 4_000)), &bytes);
    assert_eq!(subscription.step(Time::ZERO, &bytes), Step::Need);
    let fragments = "t".len() + "begin".len();
    assert_eq!(subscription.memory(), newest + fragments);
    let early = batch(OffsetRange::run(Offset(5), 1), false).len();
    assert_eq!(hear(&mut subscription, 5, 6, false), [""; 0]);
    assert_eq!(subscription.memory(), newest + fragments + early);
}

/// No fragment finds room; the loss is told with the last, without waiting for what comes next.
#[test]
fn a_message_of_which_a_part_is_lost_is_told_with_its_last_part() {
    let settings = SubscriptionSettings::new(ReceiverSettings::new(STREAM, ReceiverId(1), 1));
    let mut subscription = Subscription::new(SubscriptionSettings { fragments: 0, ..settings });
    let mut steps = Vec::new();
    for (base, flags, topic) in [(0, FrameFlags::FIRST, b"t".as_slice()), (1, FrameFlags::LAST, b"")] {
        let bytes = fragment(base, flags, topic);
        subscription.handle_datagram(Time::ZERO, SocketAddr::from(([10, 0, 1, 1], 4_000)), &bytes);
        steps.extend((0..2).map(|_| subscription.step(Time::ZERO, &bytes)));
    }
    assert!(matches!(steps[..2], [Step::Up(_), Step::Need]), "{steps:?}");
    let (source, range) = (SourceKey(0), OffsetRange::new(Offset(0), Offset(2)));
    assert_eq!(steps[2..], [Step::Lost { source, range, reason: LostReason::Incomplete }, Step::Need]);
    assert_eq!((book(&subscription).lost, book(&subscription).pending()), (2, 0));
}
