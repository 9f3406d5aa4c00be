//! A publisher that sends a copy to whoever asks it, and the subscriber that does.

use super::lined::A;
use super::lined::B;
use super::lined::Lined;
use super::lined::MS;
use super::lined::host;
use super::*;
use crate::protocol::LineId;
use crate::protocol::Origin;

#[test]
fn a_publisher_is_asked_until_it_is_heard_and_again_when_it_is_not() {
    let mut lined = Lined::new(1, |settings| settings.unicast = true);
    let at = Origin { address: host(1, A), line: LineId(A) };
    lined.subscription.receiver().join(lined.now, at);
    let mut asked = Vec::new();
    for ms in 0..200 {
        lined.pass(1_000);
        asked.extend(core::mem::take(&mut lined.sent).iter().map(|sent| (ms, sent.clone())));
    }
    let join = |ms| (ms, "0:4000 JOIN 0".to_owned());
    assert_eq!(asked, [join(0), join(20), join(60), join(140)]);
    // Only the answer to what was asked last is believed, and from there.
    lined.welcome(A, 77, 5);
    lined.pass(1_000);
    assert_eq!(lined.sent, Vec::<String>::new());
    let echo = Time(MS + 141 * MS).0 + 1;
    lined.welcome(A, 77, echo);
    lined.pass(0);
    assert_eq!(core::mem::take(&mut lined.sent), ["0:4000 JOIN 77"]);
    lined.position(A, 0, false);
    assert_eq!(lined.told, ["up 5 from 0"]);
    for _ in 0..20 {
        lined.pass(100_000);
        lined.position(A, 0, false);
    }
    assert!(
        lined.sent.iter().all(|sent| sent == "0:4000 STATUS") && lined.sent.len() >= 8,
        "{:?}",
        lined.sent
    );
    lined.sent.clear();
    for _ in 0..45 {
        lined.pass(100_000);
    }
    assert!(lined.sent.contains(&"0:4000 JOIN 77".to_owned()), "{:?}", lined.sent);
}

#[test]
fn a_place_that_is_joined_is_kept_while_reports_go_elsewhere() {
    let mut lined = Lined::new(2, |_| ());
    lined.data(A, 0, 1);
    let at = Origin { address: host(1, B), line: LineId(B) };
    lined.subscription.receiver().join(lined.now, at);
    lined.pass(1_000);
    assert!(lined.sent.contains(&"1:4001 JOIN 0".to_owned()), "{:?}", lined.sent);
    let echo = lined.now.0 + 1;
    lined.welcome(B, 9, echo);
    assert_eq!(lined.stats().strange_address, 0);
    lined.pass(0);
    assert!(lined.sent.contains(&"1:4001 JOIN 9".to_owned()), "{:?}", lined.sent);
    lined.data(B, 0, 1);
    lined.sent.clear();
    for _ in 0..40 {
        lined.pass(100_000);
        lined.position(A, 1, false);
        lined.position(B, 1, false);
        // The other one answers.
        let echo = lined.now.0 + 1;
        lined.welcome(A, 8, echo);
    }
    let kept = lined.sent.iter().filter(|sent| *sent == "1:4001 STATUS").count();
    assert!((3..=5).contains(&kept), "{:?}", lined.sent);
}
