//! What comes over a connection that is cut, comes back, and comes from somebody else.

use super::*;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;
use crate::wire::Heartbeat;

const ADDRESS: ([u8; 4], u16) = ([10, 0, 1, 1], 7_001);
const SILENCE: u64 = 3_000;

/// A subscriber, the datagrams that a publisher has for it, and what it told its user.
struct Line {
    subscription: Subscription,
    now: Time,
    address: SocketAddr,
    session: u64,
    told: Vec<String>,
}

impl Line {
    fn new() -> Self {
        let receiver = ReceiverSettings::new(STREAM, ReceiverId(1), 1);
        let settings = SubscriptionSettings::new(ReceiverSettings { connected: true, ..receiver });
        let subscription = Subscription::new(settings);
        Self { subscription, now: Time::ZERO, address: ADDRESS.into(), session: 5, told: Vec::new() }
    }

    fn head(&self, base: u64) -> Head {
        let session = SessionId(self.session);
        Head { stream: STREAM, session, base: Offset(base), flags: Flags::default() }
    }

    /// A batch of fragments or messages: flags and payload of each.
    fn batch(&mut self, base: u64, frames: &[(u8, &str)]) -> Vec<u8> {
        let mut bytes = vec![0; 1_400];
        let (mut end, mut count) = (32, 0);
        for &(flags, payload) in frames {
            let room = &mut bytes[end..];
            if flags == FrameFlags::FILTERED.0 {
                let offsets = payload.parse().expect("a number");
                (end, count) = (end + wire::put_filtered(room, offsets).expect("room"), count + offsets);
            } else {
                end += wire::put_frame(room, FrameFlags(flags), b"", payload.as_bytes()).expect("room");
                count += 1;
            }
        }
        bytes.truncate(end);
        // As the ring has it: what a session sent in its opening has OPENING for ever.
        wire::seal_batch(&mut bytes, &Head { flags: Flags::OPENING, ..self.head(base) }, count);
        bytes
    }

    fn data(&mut self, base: u64, frames: &[(u8, &str)]) {
        let bytes = self.batch(base, frames);
        self.hear(&bytes);
    }

    fn notice(&mut self, base: u64, is_end: bool) {
        let zero = [0_u8; size_of::<Heartbeat>()];
        let heartbeat: Heartbeat = zerocopy::transmute!(zero);
        let mut bytes = Vec::new();
        let encode = if is_end { wire::encode_end } else { wire::encode_heartbeat };
        encode(&mut bytes, &self.head(base), &heartbeat);
        self.hear(&bytes);
    }

    fn gone(&mut self, from: u64, to: u64, reason: GoneReason) {
        let entry = GoneEntry::new(OffsetRange::new(Offset(from), Offset(to)), reason);
        let mut bytes = Vec::new();
        wire::encode_gone(&mut bytes, &self.head(0), &[entry]);
        self.hear(&bytes);
    }

    /// A connection from elsewhere, to a publisher of `session`, that begins with `from`.
    fn connect(&mut self, session: u64, from: u64) {
        self.address.set_port(self.address.port() + 1);
        self.session = session;
        self.notice(from, false);
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.subscription.handle_datagram(self.now, self.address, bytes);
        self.steps(bytes);
    }

    /// Takes all steps; after each the book is as long as what it counts, and nobody is ever asked for anything.
    fn steps(&mut self, bytes: &[u8]) {
        loop {
            let line = match self.subscription.step(self.now, bytes) {
                Step::Message(found) => {
                    let (_, payload) = self.subscription.message(&found, bytes);
                    format!("{} {}", found.range, String::from_utf8_lossy(payload))
                }
                Step::Lost { range, reason, .. } => format!("lost {range} {reason}"),
                Step::Up(up) => match up.replaces {
                    Some(old) => format!("up {} from {} for {}", up.session.0, up.from, old.0),
                    None => format!("up {} from {}", up.session.0, up.from),
                },
                Step::Down { reason, heard, .. } => format!("down {reason} at {heard}"),
                Step::Need => break,
            };
            self.told.push(line);
            self.check();
        }
        self.check();
        let receiver = self.subscription.receiver();
        receiver.handle_recovery(self.now);
        assert_eq!(receiver.rows().map(|row| row.stats.naks).sum::<u64>(), 0);
        assert!(!receiver.is_recovering());
    }

    fn check(&self) {
        for row in self.subscription.receiver_ref().rows() {
            assert!(row.book.heard.since(row.book.start) >= row.book.decided(), "{:?}", row.book);
            assert!(row.down.is_none() || row.book.pending() == 0, "{:?}", row.book);
        }
    }

    /// Nothing is heard for so long.
    fn wait(&mut self, millis: u64) {
        self.now = self.now + core::time::Duration::from_millis(millis);
        self.subscription.receiver().handle_timeout(self.now);
        self.steps(&[]);
    }

    fn told(&mut self) -> Vec<String> {
        core::mem::take(&mut self.told)
    }

    fn next(&self) -> u64 {
        let receiver = self.subscription.receiver_ref();
        let up = receiver.rows().position(|row| row.session == SessionId(self.session)).expect("a source");
        receiver.next_wanted(SourceKey(up as u16)).expect("a source").0
    }

    fn book(&self) -> Book {
        let mut rows = self.subscription.receiver_ref().rows();
        rows.find(|row| row.session == SessionId(self.session)).expect("a source").book
    }
}

/// Twelve offsets in five batches, with a message of five fragments that begins and ends within a batch.
const FEED: [(u64, &[(u8, &str)]); 5] = [
    (0, &[(3, "a"), (3, "b")]),
    (2, &[(3, "c"), (1, "d")]),
    (4, &[(0, "e"), (0, "f")]),
    (6, &[(0, "g")]),
    (7, &[(2, "h"), (3, "i"), (3, "j"), (4, "2")]),
];
const TOLD: [&str; 6] = ["0..1 a", "1..2 b", "2..3 c", "3..8 defgh", "8..9 i", "9..10 j"];

/// Sends what follows `from`, from the batch that holds it on, but no more than `most` batches.
fn feed(line: &mut Line, from: u64, most: usize) {
    let ends = FEED.iter().skip(1).map(|(base, _)| *base).chain([12]);
    let rest = FEED.iter().zip(ends).filter(|(_, end)| *end > from);
    rest.take(most).for_each(|((base, frames), _)| line.data(*base, frames));
}

#[test]
fn nothing_is_lost_or_doubled_wherever_the_connection_is_cut() {
    for away in [0, 500, SILENCE, 20_000] {
        for first in 0..=FEED.len() {
            for second in 0..=FEED.len() {
                let mut line = Line::new();
                line.connect(5, 0);
                for most in [first, second, FEED.len()] {
                    let next = line.next();
                    feed(&mut line, next, most);
                    line.wait(away);
                    let next = line.next();
                    line.connect(5, next);
                }
                line.notice(12, false);
                let told = line.told();
                let messages: Vec<_> = told.iter().filter(|line| line.contains("..")).collect();
                assert_eq!(messages, TOLD, "cut after {first} and {second}, away for {away} ms");
                let downs = told.iter().filter(|line| line.starts_with("down")).count();
                let ups = told.iter().filter(|line| line.starts_with("up")).count();
                assert_eq!((downs, ups), if away < SILENCE { (0, 1) } else { (3, 4) });
                let book = line.book();
                assert_eq!((book.delivered, book.filtered, book.lost, book.pending()), (10, 2, 0, 0));
            }
        }
    }
}

/// Half a message was heard; while nobody is there it is not pending, and then it comes again from its start.
#[test]
fn half_a_message_waits_for_the_next_connection() {
    let mut line = Line::new();
    line.connect(5, 0);
    feed(&mut line, 0, 3);
    assert_eq!((line.next(), line.book().pending()), (6, 3));
    line.wait(SILENCE);
    assert_eq!(line.told().pop().as_deref(), Some("down silent at 3"));
    assert_eq!((line.next(), line.book().pending(), line.subscription.memory()), (3, 0, 0));
    line.connect(5, 3);
    feed(&mut line, 3, 9);
    assert_eq!(line.told(), ["up 5 from 3", "3..8 defgh", "8..9 i", "9..10 j"]);
}

/// The messages begin within a batch, and within a message.
#[test]
fn a_subscriber_begins_where_it_is_told_to() {
    let mut line = Line::new();
    line.connect(5, 1);
    feed(&mut line, 1, 2);
    assert_eq!(line.told(), ["up 5 from 1", "1..2 b", "2..3 c"]);
    let mut line = Line::new();
    line.connect(5, 5);
    feed(&mut line, 5, 9);
    assert_eq!(line.told(), ["up 5 from 5", "8..9 i", "9..10 j"]);
    assert_eq!((line.book().start, line.book().pending()), (Offset(8), 0), "what it began in is not its own");
}

#[test]
fn a_publisher_that_was_started_again_takes_the_place_of_the_old_one() {
    let mut line = Line::new();
    line.connect(5, 0);
    feed(&mut line, 0, 2);
    line.connect(6, 0);
    feed(&mut line, 0, 1);
    let replaced =
        ["up 5 from 0", "0..1 a", "1..2 b", "2..3 c", "lost 3..4 source down", "down replaced at 4"];
    assert_eq!(line.told(), [&replaced[..], &["up 6 from 0 for 5", "0..1 a", "1..2 b"]].concat());
    line.wait(SILENCE);
    line.connect(7, 0);
    line.gone(0, 4, GoneReason::Overrun);
    feed(&mut line, 7, 1);
    let told = line.told();
    assert_eq!(told[..3], ["down silent at 2", "up 7 from 0 for 6", "lost 0..4 overrun"]);
    assert_eq!(told[3..], ["lost 4..7 unrepaired", "lost 7..8 incomplete", "8..9 i", "9..10 j"]);
}

/// One name, two publishers: whoever is connected is heard, and each goes on where it was.
#[test]
fn a_session_that_was_replaced_is_followed_again() {
    let mut line = Line::new();
    line.connect(5, 0);
    feed(&mut line, 0, 1);
    line.connect(6, 0);
    feed(&mut line, 0, 1);
    line.told();
    line.connect(5, 0);
    feed(&mut line, 0, 9);
    let mut expected = vec!["down replaced at 2", "up 5 from 2 for 6"];
    expected.extend(&TOLD[2..]);
    assert_eq!(line.told(), expected);
    assert_eq!((line.book().delivered, line.book().pending()), (10, 0));
}

/// However many publishers take turns, none of them tells anything twice.
#[test]
fn more_sessions_than_there_are_places() {
    let mut line = Line::new();
    for session in (100..100 + 80).chain([100]) {
        line.connect(session, 0);
        line.data(0, &[(3, "x")]);
    }
    let told = line.told();
    assert_eq!(told.iter().filter(|line| *line == "0..1 x").count(), 80);
    assert_eq!(told.last().map(String::as_str), Some("up 100 from 1 for 179"));
}

#[test]
fn what_is_gone_is_believed_in_its_place() {
    let mut line = Line::new();
    line.connect(5, 0);
    feed(&mut line, 0, 2);
    line.gone(4, 7, GoneReason::Overrun);
    feed(&mut line, 7, 9);
    line.gone(0, 12, GoneReason::Damaged);
    let message = ["up 5 from 0", "0..1 a", "1..2 b", "2..3 c", "lost 3..7 overrun", "lost 7..8 incomplete"];
    assert_eq!(line.told(), [&message[..], &["8..9 i", "9..10 j"]].concat(), "what has come is not gone");
    line.gone(11, 1_000_000, GoneReason::Evicted);
    line.data(1_000_000, &[(3, "k")]);
    assert_eq!(line.told(), ["lost 12..1000000 evicted", "1000000..1000001 k"]);
    let book = line.book();
    assert_eq!((book.delivered, book.filtered, book.pending()), (6, 2, 0));
    assert_eq!(book.lost, 5 + 1_000_000 - 12);
}

#[test]
fn what_is_skipped_unsaid_is_lost_at_once() {
    let mut line = Line::new();
    line.connect(5, 0);
    line.data(3, &[(3, "d")]);
    line.data(5_000_000, &[(3, "e")]);
    line.connect(5, 5_000_010);
    line.gone(5_000_020, 5_000_030, GoneReason::Overrun);
    let told = line.told();
    assert_eq!(told[..4], ["up 5 from 0", "lost 0..3 unrepaired", "3..4 d", "lost 4..5000000 unrepaired"]);
    assert_eq!(told[4..6], ["5000000..5000001 e", "lost 5000001..5000010 unrepaired"]);
    assert_eq!(told[6..], ["lost 5000010..5000020 unrepaired", "lost 5000020..5000030 overrun"]);
    assert_eq!((line.next(), line.book().pending()), (5_000_030, 0));
}

#[test]
fn the_end_is_the_end() {
    let mut line = Line::new();
    line.connect(5, 0);
    feed(&mut line, 0, 9);
    line.notice(12, true);
    assert_eq!(line.told().pop().as_deref(), Some("down ended at 12"));
    let receiver = line.subscription.receiver();
    let last = receiver.peek_transmit(Time::ZERO).map(|(to, bytes)| (to, Datagram::decode(bytes).is_ok()));
    assert_eq!(last, Some((line.address, true)), "it says that it has everything");
    line.gone(12, 20, GoneReason::Overrun);
    line.connect(5, 12);
    line.notice(12, true);
    line.wait(SILENCE);
    assert_eq!(line.told(), [""; 0]);
    assert_eq!(line.book().pending(), 0);
}

/// A subscriber's own filter counts as the publisher's does.
#[test]
fn what_is_left_out_is_counted() {
    let mut line = Line::new();
    line.connect(5, 100);
    line.data(100, &[(4, "300"), (3, "a"), (4, "7")]);
    line.data(408, &[(4, "65000")]);
    assert_eq!(line.told(), ["up 5 from 100", "400..401 a"]);
    let book = line.book();
    assert_eq!((book.delivered, book.filtered, book.pending()), (1, 65_307, 0));
    line.connect(5, 30_000);
    line.data(408, &[(4, "65000")]);
    line.data(65_408, &[(3, "b")]);
    assert_eq!((line.told(), line.book().pending()), (vec!["65408..65409 b".to_owned()], 0));
}
