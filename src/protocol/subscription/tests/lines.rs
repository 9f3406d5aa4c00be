//! One session by several lines: each message once, what every line has passed and nothing else asked for, and nobody
//! believed on a line who is not the one that was heard there.

use core::time::Duration;

use super::lined::A;
use super::lined::B;
use super::lined::C;
use super::lined::Lined;
use super::lined::MS;
use super::lined::host;
use super::*;
use crate::protocol::LineId;
use crate::protocol::LineNews;
use crate::time::Jitter;
use crate::wire::GoneEntry;
use crate::wire::GoneReason;

#[test]
fn the_first_copy_of_each_message_is_handed_on() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 3);
    lined.data(B, 0, 3);
    lined.data(B, 3, 6);
    lined.data(A, 3, 6);
    lined.data(B, 6, 8);
    assert_eq!(lined.messages, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(lined.told, ["up 5 from 0"], "one source");
    assert_eq!((lined.counts(A), lined.counts(B)), ((3, 3, 0), (5, 3, 0)));
    assert_eq!(lined.stats().lines_joined, 1);
}

#[test]
fn what_another_line_brings_is_not_asked_for() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    lined.data(A, 2, 3);
    lined.data(A, 3, 9);
    lined.data(A, 9, 10);
    lined.pass(900);
    lined.data(B, 1, 2);
    lined.data(B, 2, 3);
    lined.pass(30_000);
    assert_eq!((lined.naks(), lined.messages.len()), (vec![], 10));
    assert_eq!((lined.counts(A), lined.counts(B)), ((9, 0, 1), (1, 2, 0)));
}

#[test]
fn what_every_live_line_has_passed_is_asked_for() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    lined.data(A, 3, 4);
    lined.pass(100);
    assert_eq!(lined.naks(), Vec::<String>::new());
    lined.data(B, 2, 3);
    lined.pass(60);
    assert_eq!(lined.naks(), Vec::<String>::new(), "B has just passed it: it may be reordered there");
    lined.pass(300);
    assert_eq!(lined.naks(), ["0:4000 NAK 1..2"]);
    // A heartbeat passes as well.
    lined.position(A, 6, false);
    lined.position(B, 6, false);
    lined.pass(300);
    assert_eq!(lined.naks(), ["0:4000 NAK 4..6"]);
}

#[test]
fn a_line_that_is_late_is_waited_for_no_longer_than_the_guard() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    lined.data(A, 2, 3);
    lined.pass(990);
    assert_eq!(lined.naks(), Vec::<String>::new());
    lined.pass(20);
    assert_eq!(lined.naks(), ["0:4000 NAK 1..2"]);
    // It has learned how late that is.
    lined.now = Time(lined.now.0 + 4 * MS);
    lined.data(B, 2, 3);
    lined.data(A, 4, 5);
    lined.pass(8_000);
    assert!(!lined.naks().iter().any(|nak| nak.contains("3..4")));
    lined.pass(4_000);
    assert!(lined.naks().iter().any(|nak| nak.contains("3..4")));
}

#[test]
fn a_silent_line_is_not_waited_for() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    for _ in 0..3 {
        lined.pass(100_000);
        lined.position(A, 1, false);
    }
    lined.naks();
    lined.data(A, 2, 3);
    lined.pass(300);
    assert_eq!(lined.naks(), ["0:4000 NAK 1..2"]);
}

#[test]
fn one_line_of_its_own_asks_as_ever() {
    let mut lined = Lined::new(1, |_| ());
    lined.data(A, 0, 1);
    lined.data(A, 2, 3);
    lined.pass(260);
    assert_eq!(lined.naks(), ["0:4000 NAK 1..2"]);
    assert_eq!(lined.subscription.receiver_ref().rows().map(|row| row.lines().count()).sum::<usize>(), 0);
    lined.data(B, 2, 3);
    assert_eq!(lined.stats().strange_address, 1);
}

#[test]
fn a_line_has_one_address_and_an_impostor_on_it_is_refused() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    for line in [A, B] {
        lined.data_from(9, line, (1, 2));
        lined.data_from(9, line, (2, 3));
    }
    assert_eq!((lined.stats().strange_address, lined.messages.len()), (4, 1));
    // Nor on the other's line from the address of this.
    lined.take(B, host(1, A), &[]);
    lined.data(A, 1, 2);
    lined.data(B, 2, 3);
    assert_eq!(lined.messages, [0, 1, 2]);
}

#[test]
fn another_host_is_believed_on_a_new_line_once_two_datagrams_agree() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data_from(2, B, (0, 1));
    lined.data_from(3, B, (0, 1));
    assert_eq!((lined.stats().lines_joined, lined.stats().strange_address), (0, 2));
    lined.data_from(2, B, (1, 2));
    lined.data_from(3, B, (2, 3));
    assert_eq!((lined.messages.len(), lined.stats().lines_joined, lined.stats().strange_address), (2, 1, 3));
}

#[test]
fn an_address_that_another_session_sends_from_is_not_shared() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.session = 6;
    lined.data_from(1, B, (0, 1));
    lined.session = 5;
    lined.data_from(1, B, (1, 2));
    lined.data_from(1, B, (2, 3));
    assert_eq!((lined.stats().strange_address, lined.messages.len()), (2, 2));
    assert_eq!(lined.told, ["up 5 from 0", "up 6 from 0"]);
}

#[test]
fn a_line_that_is_silent_may_be_heard_from_another_address() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    for at in 1..=31 {
        lined.pass(100_000);
        lined.data(A, at, at + 1);
    }
    lined.data_from(2, B, (31, 32));
    lined.data_from(2, B, (32, 33));
    assert_eq!((lined.messages.len(), lined.stats().strange_address), (33, 1));
}

#[test]
fn what_is_lost_without_repair_is_what_every_line_has_lost() {
    for seed in 0..40 {
        let mut jitter = Jitter::new(seed);
        let lines = 2 + u8::try_from(seed % 2).expect("small");
        let mut lined = Lined::new(lines, |settings| settings.repair = false);
        let delays: Vec<u64> =
            (0..lines).map(|_| jitter.up_to(Duration::from_millis(90)).as_micros() as u64).collect();
        let mut arrivals: Vec<(u64, u8, Option<u64>)> = Vec::new();
        let mut lost: Vec<Vec<u64>> = vec![Vec::new(); usize::from(lines)];
        for batch in 0..300 {
            for line in 0..lines {
                if jitter.happens(0.2) {
                    lost[usize::from(line)].extend(3 * batch..3 * batch + 3);
                } else {
                    arrivals.push((700 * batch + delays[usize::from(line)], line, Some(batch)));
                }
            }
        }
        arrivals.extend((0..lines).map(|line| (700 * 300 + delays[usize::from(line)], line, None)));
        arrivals.sort_unstable();
        let mut at = 0;
        for (due, line, batch) in arrivals {
            lined.pass(due - at);
            at = due;
            match batch {
                Some(batch) => lined.data(line, 3 * batch, 3 * batch + 3),
                None => lined.position(line, 900, true),
            }
        }
        // Not at once, or it would seem that the process had been stopped.
        (0..10).for_each(|_| lined.pass(50_000));
        let by_all = (0..900).filter(|offset| lost.iter().all(|lost| lost.contains(offset)));
        let by_all: Vec<u64> = by_all.collect();
        let came: Vec<u64> = (0..900).filter(|offset| !by_all.contains(offset)).collect();
        assert_eq!(lined.messages, came, "seed {seed}");
        assert_eq!(lined.naks(), Vec::<String>::new());
        assert_eq!(lined.told.last().map(String::as_str), Some("down ended at 900"), "seed {seed}");
        for line in 0..lines {
            let (first, duplicate, missed) = lined.counts(line);
            assert_eq!(missed, lost[usize::from(line)].len() as u64, "seed {seed}, line {line}");
            assert_eq!(first + duplicate + missed, 900, "seed {seed}, line {line}");
        }
        let first: u64 = (0..lines).map(|line| lined.line(line).first).sum();
        assert_eq!(first, came.len() as u64, "seed {seed}");
    }
}

#[test]
fn naks_change_lines_when_theirs_is_silent() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    for at in 1..=3 {
        lined.pass(100_000);
        lined.data(B, at, at + 1);
    }
    lined.sent.clear();
    lined.data(B, 5, 6);
    lined.pass(300);
    assert_eq!(lined.naks(), ["1:4001 NAK 4..5"]);
    // And stay there.
    lined.data(A, 7, 8);
    lined.data(B, 7, 8);
    lined.pass(300);
    assert_eq!(lined.naks(), ["1:4001 NAK 6..7"]);
}

#[test]
fn who_never_answers_is_asked_by_another_line() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    for _ in 0..8 {
        lined.pass(100_000);
        lined.position(A, 1, false);
        lined.position(B, 1, false);
    }
    let statuses = core::mem::take(&mut lined.sent);
    assert_eq!(statuses[..3], ["0:4000 STATUS", "0:4000 STATUS", "1:4001 STATUS"]);
    assert!(statuses[3..].contains(&"0:4000 STATUS".to_owned()), "neither answers: {statuses:?}");
}

#[test]
fn a_silent_line_is_told_once_and_joined_again_and_again() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    let mut news = Vec::new();
    for at in 1..=65 {
        lined.pass(100_000);
        lined.data(A, at, at + 1);
        news.extend(lined.news());
    }
    let silent = |again| LineNews::Silent { line: LineId(B), again };
    assert_eq!(news, [silent(false), silent(true)]);
    assert_eq!(lined.stats().line_silences, 1);
    assert_eq!(lined.subscription.receiver_ref().silent_lines().collect::<Vec<_>>(), [LineId(B)]);
    lined.data(B, 66, 67);
    assert_eq!(lined.news(), [LineNews::Heard(LineId(B))]);
    assert_eq!(lined.subscription.receiver_ref().silent_lines().count(), 0);
    // When nobody is heard at all, it is the source that is silent.
    lined.pass(3_100_000);
    assert_eq!(lined.news(), []);
    assert_eq!(lined.told.last().map(String::as_str), Some("down silent at 67"));
}

#[test]
fn a_connection_is_a_line_that_is_told_and_never_asked() {
    let mut lined = Lined::new(3, |settings| settings.connection = Some(LineId(C)));
    lined.data(C, 0, 1);
    lined.data(A, 0, 1);
    lined.data(A, 2, 3);
    lined.data(C, 2, 3);
    for _ in 0..3 {
        lined.pass(100_000);
        lined.position(A, 3, false);
        lined.position(C, 3, false);
    }
    let sent = core::mem::take(&mut lined.sent);
    assert_eq!(sent[..2], ["0:4000 NAK 1..2", "0:4000 STATUS"], "{sent:?}");
    assert!(sent.iter().any(|sent| sent == "2:4002 STATUS"), "{sent:?}");
    assert!(!sent.iter().any(|sent| sent.contains("2:4002 NAK")), "{sent:?}");
}

#[test]
fn a_connection_alone_is_never_asked() {
    let mut lined = Lined::new(2, |settings| settings.connection = Some(LineId(B)));
    lined.data(B, 0, 1);
    lined.data(B, 3, 4);
    for _ in 0..30 {
        lined.pass(50_000);
        lined.position(B, 4, false);
    }
    assert_eq!(lined.told, ["up 5 from 0", "lost 1..3 timeout"]);
    assert!(lined.sent.iter().all(|sent| sent == "1:4001 STATUS"), "{:?}", lined.sent);
}

#[test]
fn a_connection_that_is_made_again_from_elsewhere_is_the_same_line() {
    let mut lined = Lined::new(2, |settings| settings.connection = Some(LineId(B)));
    lined.data(A, 0, 1);
    lined.data_from(7, B, (1, 2));
    lined.data_from(8, B, (2, 3));
    assert_eq!((lined.messages.len(), lined.stats().strange_address), (3, 0));
    // And a session that is connected there now is believed at once.
    lined.session = 6;
    lined.data_from(8, B, (0, 1));
    assert_eq!(lined.stats().session_conflicts, 0);
    assert!(lined.told.contains(&"up 6 from 0".to_owned()), "{:?}", lined.told);
}

#[test]
fn what_a_connection_cannot_bring_is_lost_unless_another_line_may_bring_it() {
    let mut lined = Lined::new(2, |settings| settings.connection = Some(LineId(B)));
    lined.data(A, 0, 1);
    lined.data(B, 0, 1);
    lined.data(A, 4, 5);
    let gone = GoneEntry::new(OffsetRange::new(Offset(1), Offset(9)), GoneReason::Overrun);
    let mut bytes = Vec::new();
    wire::encode_gone(&mut bytes, &lined.head(0), &[gone]);
    lined.take(B, host(1, B), &bytes);
    lined.pass(30_000);
    assert!(lined.told.len() == 1 && lined.naks()[0] == "0:4000 NAK 1..4", "A was waited for, then asked");
    lined.take(B, host(1, B), &bytes);
    lined.pass(0);
    assert_eq!(lined.told.last().map(String::as_str), Some("lost 1..4 overrun"));
    assert_eq!(lined.messages, [0, 4]);
}
