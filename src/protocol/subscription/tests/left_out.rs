//! Messages of several fragments that one line brings and another leaves out.

use super::lined::A;
use super::lined::B;
use super::lined::Lined;
use super::lined::host;
use super::*;
use crate::protocol::LineId;

/// A group that brings everything, and a connection that leaves out what begins with anything but `a`.
fn lined(change: impl FnOnce(&mut SubscriptionSettings)) -> Lined {
    let mut receiver = ReceiverSettings::new(STREAM, ReceiverId(1), 1);
    (receiver.lines, receiver.connection) = (2, Some(LineId(B)));
    let mut settings = SubscriptionSettings::new(receiver);
    change(&mut settings);
    let mut lined = Lined::new(2, |_| ());
    lined.subscription = Subscription::new(settings);
    lined.subscription.set_topics(Prefixes::new(["a"]));
    lined
}

impl Lined {
    fn fragment(&mut self, offset: u64, flags: FrameFlags, topic: &[u8]) {
        let payload = if flags.has(FrameFlags::FIRST) { &offset.to_le_bytes()[..] } else { b"" };
        let mut bytes = vec![0; 4_096];
        let end = 32 + wire::put_frame(&mut bytes[32..], flags, topic, payload).expect("room");
        bytes.truncate(end);
        wire::seal_batch(&mut bytes, &self.head(offset), 1);
        self.take(A, host(1, A), &bytes);
    }

    fn filtered(&mut self, from: u64, to: u64) {
        let count = (to - from) as u16;
        let mut bytes = vec![0; 36];
        wire::put_filtered(&mut bytes[32..], count).expect("room");
        wire::seal_batch(&mut bytes, &self.head(from), count);
        self.take(B, host(1, B), &bytes);
    }

    fn book(&self) -> Book {
        book(&self.subscription)
    }

    fn kept(&self) -> usize {
        self.subscription.assemblers.iter().map(Assembler::kept_bytes).sum()
    }
}

#[test]
fn fragments_of_a_message_that_is_left_out_are_not_kept() {
    let mut lined = lined(|_| ());
    for at in (0..15).step_by(3) {
        lined.fragment(at, FrameFlags::FIRST, b"b");
        lined.filtered(at, at + 3);
        lined.fragment(at + 1, FrameFlags::default(), b"");
        lined.fragment(at + 2, FrameFlags::LAST, b"");
    }
    assert_eq!((lined.book().filtered, lined.book().lost, lined.book().pending()), (15, 0, 0));
    assert_eq!(lined.kept(), 0);
    lined.position(A, 15, true);
    lined.position(B, 15, true);
    lined.pass(10);
    assert_eq!(lined.told, ["up 5 from 0", "down ended at 15"]);
}

#[test]
fn what_is_left_out_takes_no_room_from_what_is_wanted() {
    let mut lined = lined(|settings| settings.fragments = 10_000);
    for at in (0..400).step_by(2) {
        lined.fragment(at, FrameFlags::FIRST, b"b");
        lined.filtered(at, at + 2);
        lined.fragment(at + 1, FrameFlags::LAST, b"");
    }
    lined.fragment(400, FrameFlags::FIRST, b"a");
    lined.fragment(401, FrameFlags::LAST, b"");
    assert_eq!(
        (lined.messages.as_slice(), lined.told.as_slice()),
        (&[400][..], &["up 5 from 0".to_owned()][..])
    );
    let book = lined.book();
    assert_eq!((book.filtered, book.delivered, book.lost, book.pending()), (400, 2, 0, 0));
}

#[test]
fn fragments_that_came_before_the_beginning_was_left_out_go_as_well() {
    let mut lined = lined(|settings| settings.receiver.order = Order::AsArrived);
    lined.fragment(2, FrameFlags::default(), b"");
    lined.fragment(4, FrameFlags::LAST, b"");
    lined.filtered(0, 2);
    lined.fragment(3, FrameFlags::default(), b"");
    lined.fragment(5, FrameFlags::FIRST, b"a");
    lined.fragment(6, FrameFlags::LAST, b"");
    assert_eq!(lined.messages, [5]);
    let book = lined.book();
    assert_eq!((book.filtered, book.delivered, book.lost, book.pending()), (5, 2, 0, 0));
    assert_eq!(lined.kept(), 0);
}
