//! Batches of which a part has come before, and frames that stand for many offsets.

mod connected;
mod history;
mod joining;
mod late;
mod left_out;
mod lined;
mod lines;
mod memory;
mod parts;

use core::net::SocketAddr;

use super::*;
use crate::protocol::Book;
use crate::protocol::Order;
use crate::wire;
use crate::wire::Flags;
use crate::wire::FrameFlags;
use crate::wire::Head;
use crate::wire::ReceiverId;
use crate::wire::SessionId;
use crate::wire::StreamId;

const STREAM: StreamId = StreamId(7);

fn subscription() -> Subscription {
    let receiver = ReceiverSettings::new(STREAM, ReceiverId(1), 1);
    Subscription::new(SubscriptionSettings::new(ReceiverSettings { order: Order::AsArrived, ..receiver }))
}

/// A batch of one message an offset, or of one frame that says so many were left out.
fn batch(offsets: OffsetRange, is_filtered: bool) -> Vec<u8> {
    let (mut bytes, count) = (vec![0; 1_400], offsets.len() as u16);
    let mut end = 32;
    if is_filtered {
        let [low, high] = count.to_le_bytes();
        bytes[end..end + 4].copy_from_slice(&[low, high, FrameFlags::FILTERED.0, 0]);
        end += 4;
    } else {
        for offset in offsets.from.0..offsets.to.0 {
            let text = offset.to_string();
            end += wire::put_frame(&mut bytes[end..], FrameFlags::WHOLE, b"", text.as_bytes()).expect("room");
        }
    }
    bytes.truncate(end);
    let head = Head { stream: STREAM, session: SessionId(5), base: offsets.from, flags: Flags::OPENING };
    wire::seal_batch(&mut bytes, &head, count);
    bytes
}

/// Hands a batch in and gives the messages that this brings.
fn hear(subscription: &mut Subscription, from: u64, to: u64, is_filtered: bool) -> Vec<String> {
    let bytes = batch(OffsetRange::new(Offset(from), Offset(to)), is_filtered);
    subscription.handle_datagram(Time::ZERO, SocketAddr::from(([10, 0, 1, 1], 4_000)), &bytes);
    let mut messages = Vec::new();
    loop {
        match subscription.step(Time::ZERO, &bytes) {
            Step::Message(found) => {
                let (_, payload) = subscription.message(&found, &bytes);
                messages.push(String::from_utf8_lossy(payload).into_owned());
            }
            Step::Need => return messages,
            Step::Up(_) => {}
            step => unreachable!("{step:?}"),
        }
    }
}

fn book(subscription: &Subscription) -> Book {
    subscription.receiver_ref().rows().next().map(|row| row.book).expect("a source")
}

#[test]
fn of_a_batch_only_what_is_missing_is_handed_on() {
    let mut subscription = subscription();
    assert_eq!(hear(&mut subscription, 2, 3, false), ["2"]);
    assert_eq!(hear(&mut subscription, 5, 7, false), ["5", "6"]);
    assert_eq!(hear(&mut subscription, 1, 10, false), ["1", "3", "4", "7", "8", "9"]);
    assert_eq!(hear(&mut subscription, 0, 12, false), ["0", "10", "11"]);
    assert_eq!(hear(&mut subscription, 0, 12, false), [""; 0]);
    assert_eq!((book(&subscription).delivered, book(&subscription).pending()), (12, 0));
}

/// One frame for twenty offsets, of which two have come: the others are counted, once.
#[test]
fn a_frame_for_many_offsets_counts_those_that_are_missing() {
    let mut subscription = subscription();
    assert_eq!(hear(&mut subscription, 12, 13, false), ["12"]);
    assert_eq!(hear(&mut subscription, 15, 16, false), ["15"]);
    assert_eq!(hear(&mut subscription, 10, 30, true), [""; 0]);
    assert_eq!((book(&subscription).filtered, book(&subscription).pending()), (18, 10));
    assert_eq!(hear(&mut subscription, 0, 10, true), [""; 0]);
    assert_eq!((book(&subscription).filtered, book(&subscription).pending()), (28, 0));
}
