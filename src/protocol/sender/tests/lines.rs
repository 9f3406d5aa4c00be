//! Several lines: where answers and repairs go, and who joins.

use super::*;

const SHARED: u8 = 0;
const APART: u8 = 1;
const JOINED: u8 = 2;

/// A group, a line with a copy for each, and one to be joined.
fn rig(policy: FlowPolicy) -> Rig {
    let lines = vec![LineKind::Shared, LineKind::Apart, LineKind::Joined];
    Rig::new(SenderSettings { lines, joined: 3, ..settings(policy) })
}

fn origin(id: u64, line: u8) -> Origin {
    Origin { address: home(id), line: LineId(line) }
}

/// Numbers by a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

impl Rig {
    fn status_on(&mut self, line: u8, id: u64, says: Says) -> Vec<String> {
        let bytes = self.encode_status(id, self.token(id), says);
        self.hand_in(origin(id, line), &bytes)
    }

    fn nak_on(&mut self, line: u8, id: u64, ranges: &[(u64, u64)]) -> Vec<String> {
        let bytes = self.encode_nak(id, self.token(id), ranges);
        self.hand_in(origin(id, line), &bytes)
    }

    /// A STATUS of somebody who does not know the session.
    fn greet(&mut self, line: u8, id: u64, token: Token, flags: u16) -> Vec<String> {
        let bytes = self.encode_greeting(id, token, Says { flags, time: 9, ..at(0) });
        self.hand_in(origin(id, line), &bytes)
    }

    fn encode_greeting(&self, id: u64, token: Token, says: Says) -> Vec<u8> {
        let known = self.encode_status(id, token, says);
        let Body::Status(status) = Datagram::decode(&known).unwrap().body else { unreachable!() };
        let mut bytes = Vec::new();
        wire::encode_status(&mut bytes, &Head { session: SessionId(0), ..self.head(0) }, status);
        bytes
    }

    /// Somebody joins.
    fn welcome_in(&mut self, id: u64) {
        self.greet(JOINED, id, Token(0), 0);
        let token = self.token(id);
        self.greet(JOINED, id, token, 0);
        assert_eq!(self.events(), [format!("up r{id}")]);
    }

    fn joined(&self) -> Vec<SocketAddr> {
        self.sender.joined().map(|origin| origin.address).collect()
    }
}

#[test]
fn answers_go_back_along_the_line_that_was_asked() {
    let mut rig = rig(drop_policy());
    rig.publish(20);
    assert_eq!(rig.status_on(APART, 1, at(0)), ["welcome r1 to r1 on 1"]);
    assert_eq!(rig.status_on(APART, 1, at(0)), [""; 0]);
    assert_eq!(
        rig.status_on(SHARED, 1, Says { time: 4, ..at(0) }),
        ["welcome r1 to r1"],
        "one token for all lines"
    );
    assert_eq!(rig.nak_on(APART, 1, &[(3, 4)]), ["repair 3..4 to r1 on 1"]);
    assert_eq!(rig.nak_on(SHARED, 1, &[(5, 6)]), ["repair 5..6"], "to all who share it");
}

#[test]
fn where_each_has_a_copy_each_is_repaired_alone() {
    let mut rig = rig(drop_policy());
    rig.publish(20);
    for id in [1, 2] {
        rig.status_on(APART, id, at(0));
        rig.status_on(APART, id, at(0));
    }
    let asked = |rig: &mut Rig, id, ranges: &[(u64, u64)]| {
        let bytes = rig.encode_nak(id, rig.token(id), ranges);
        rig.take_in(origin(id, APART), &bytes);
    };
    asked(&mut rig, 1, &[(3, 5), (9, 10)]);
    asked(&mut rig, 2, &[(4, 6)]);
    rig.ask(1, &[(4, 5)]);
    let sent = rig.drain();
    assert_eq!(
        sent,
        ["repair 4..5", "repair 3..5 to r1 on 1", "repair 9..10 to r1 on 1", "repair 4..6 to r2 on 1"]
    );
    assert_eq!(rig.nak_on(APART, 2, &[(4, 6)]), [""; 0], "just sent");
    rig.skip(2 * MS);
    assert_eq!(rig.nak_on(APART, 2, &[(4, 6)]), ["repair 4..6 to r2 on 1"]);
}

#[test]
fn nobody_unproved_is_answered_where_each_has_a_copy() {
    let mut rig = rig(drop_policy());
    rig.publish(20);
    for line in [APART, JOINED] {
        assert_eq!(rig.nak_on(line, 1, &[(3, 4), (7, 8)]), [""; 0]);
    }
    assert_eq!((rig.sender.stats().naks_unproved, rig.sender.stats().ranges_shed_silently), (2, 4));
    assert_eq!(rig.sender.repairs_waiting(), 0);
}

#[test]
fn at_most_so_many_are_repaired_alone_at_a_time() {
    let mut rig = rig(drop_policy());
    rig.publish(20);
    for id in 1..=65 {
        rig.status_on(APART, id, at(0));
    }
    for id in 1..=65 {
        let bytes = rig.encode_nak(id, rig.token(id), &[(3, 4)]);
        rig.take_in(origin(id, APART), &bytes);
    }
    let sent = rig.drain();
    assert_eq!(sent.iter().filter(|line| line.starts_with("repair 3..4 to r")).count(), 64);
    assert!(
        sent.iter().any(|line| line.starts_with("shed 3..4 for") && line.ends_with("us to r65 on 1")),
        "{sent:?}"
    );
    rig.skip(20 * MS);
    assert_eq!(rig.nak_on(APART, 65, &[(3, 4)]), ["repair 3..4 to r65 on 1"]);
}

#[test]
fn who_joins_proves_its_address_and_is_told_where_the_stream_is() {
    let mut rig = rig(drop_policy());
    rig.publish(20);
    rig.skip(2 * SECOND);
    assert_eq!(rig.greet(JOINED, 1, Token(0), 0), ["welcome r1 to r1 on 2"]);
    assert_eq!(rig.greet(JOINED, 1, Token(77), 0), ["welcome r1 to r1 on 2"], "guessed");
    assert_eq!((rig.joined(), rig.sender.live()), (vec![], 0));
    let version = rig.sender.joined_version();
    let token = rig.token(1);
    assert_eq!(rig.greet(JOINED, 1, token, 0), ["welcome r1 to r1 on 2", "heartbeat 20 to r1 on 2"]);
    assert_eq!((rig.joined(), rig.sender.live()), (vec![home(1)], 1));
    assert!(rig.sender.joined_version() > version);
    assert_eq!(rig.sender.receivers().next().map(|row| row.next), Some(Offset(20)), "from now on");
    let version = rig.sender.joined_version();
    assert_eq!(rig.status_on(JOINED, 1, at(20)), [""; 0]);
    assert_eq!(rig.greet(JOINED, 1, token, 0).len(), 2, "again, since the answer was lost");
    assert_eq!(rig.sender.joined_version(), version);
}

#[test]
fn who_joins_a_session_that_is_opening_begins_with_it() {
    let mut rig = rig(block_policy());
    rig.publish(5);
    rig.welcome_in(1);
    assert_eq!(rig.sender.receivers().next().map(|row| row.next), Some(Offset(0)));
}

#[test]
fn nobody_joins_a_line_that_is_none_to_be_joined_or_with_a_stolen_token() {
    let mut rig = rig(drop_policy());
    for line in [SHARED, APART] {
        assert_eq!(rig.greet(line, 1, Token(0), 0), [""; 0]);
    }
    assert_eq!(rig.sender.stats().strange, 2);
    rig.welcome_in(1);
    let bytes = rig.encode_status(1, rig.token(1), at(0));
    assert_eq!(
        rig.hand_in(origin(2, JOINED), &bytes),
        ["welcome r1 to r2 on 2"],
        "from where it was not proved"
    );
    assert_eq!(rig.joined(), [home(1)]);
}

#[test]
fn who_leaves_or_falls_silent_is_sent_nothing_more() {
    let mut rig = rig(drop_policy());
    (1..=2).for_each(|id| rig.welcome_in(id));
    let leaves = Says { flags: Status::LEAVING, ..at(0) };
    rig.status_from(home(9), 1, Token(5), leaves);
    assert_eq!(rig.joined(), [home(1), home(2)], "a forged farewell is none");
    rig.status_on(JOINED, 1, leaves);
    assert_eq!(rig.joined(), [home(2)]);
    rig.skip(4 * SECOND);
    rig.nak_on(JOINED, 2, &[(0, 1)]);
    rig.skip(4 * SECOND);
    assert_eq!(rig.joined(), [home(2)], "heard within 5 s");
    rig.skip(SECOND);
    assert_eq!((rig.joined(), rig.sender.live()), (vec![], 0));
    assert_eq!(rig.events(), ["left r1", "silent r2"]);
}

#[test]
fn no_more_join_than_may() {
    let mut rig = rig(drop_policy());
    (1..=3).for_each(|id| rig.welcome_in(id));
    rig.greet(JOINED, 4, Token(0), 0);
    let token = rig.token(4);
    assert_eq!(rig.greet(JOINED, 4, token, 0), ["welcome r4 to r4 on 2"]);
    assert_eq!((rig.joined().len(), rig.sender.live(), rig.sender.stats().joins_refused), (3, 3, 1));
}

#[test]
fn one_place_is_one_copy_whoever_says_to_be_there() {
    let mut rig = rig(drop_policy());
    let join_at = |rig: &mut Rig, place, id| {
        for token in [None, Some(())] {
            let token = token.map_or(Token(0), |()| rig.tokens[&(id, home(place))]);
            let bytes = rig.encode_greeting(id, token, Says { flags: Status::OBSERVER, time: 9, ..at(0) });
            rig.hand_in(origin(place, JOINED), &bytes);
        }
    };
    join_at(&mut rig, 9, 1);
    let version = rig.sender.joined_version();
    (2..=50).for_each(|id| join_at(&mut rig, 9, id));
    assert_eq!((rig.joined(), rig.sender.joined_version()), (vec![home(9)], version));
    (51..=52).for_each(|id| join_at(&mut rig, id, id));
    assert_eq!((rig.joined(), rig.sender.stats().joins_refused), (vec![home(9), home(51), home(52)], 0));
    join_at(&mut rig, 9, 53);
    assert_eq!(rig.joined(), [home(51), home(52), home(9)], "there is room where one is already");
    let version = rig.sender.joined_version();
    join_at(&mut rig, 51, 53);
    assert_eq!(rig.joined(), [home(52), home(51)], "it has moved to where another was");
    assert!(rig.sender.joined_version() > version);
}

#[test]
fn an_observer_is_sent_a_copy_and_counts_for_nothing() {
    let mut rig = rig(block_policy());
    rig.greet(JOINED, 1, Token(0), Status::OBSERVER);
    let token = rig.token(1);
    rig.greet(JOINED, 1, token, Status::OBSERVER);
    assert_eq!((rig.joined(), rig.sender.live(), rig.sender.limit()), (vec![home(1)], 0, None));
    rig.greet(JOINED, 1, token, Status::OBSERVER | Status::LEAVING);
    assert_eq!(rig.joined(), []);
}

/// Its position is what it has taken from the connection; the copy is sent all the same, as long as it asks for it.
#[test]
fn who_has_a_connection_as_well_is_sent_a_copy() {
    let mut rig = rig(block_policy());
    rig.publish(20);
    rig.attach(1, 5);
    rig.greet(JOINED, 1, Token(0), 0);
    let token = rig.token(1);
    assert_eq!(rig.greet(JOINED, 1, token, 0), ["welcome r1 to r1 on 2", "heartbeat 20 to r1 on 2"]);
    assert_eq!((rig.joined(), rig.sender.live(), rig.sender.limit()), (vec![home(1)], 1, rig.grant(5)));
    for _ in 0..3 {
        rig.skip(3 * SECOND);
        rig.status_on(JOINED, 1, at(20));
        assert_eq!((rig.joined(), rig.sender.limit()), (vec![home(1)], rig.grant(5)));
    }
    rig.status_on(JOINED, 1, Says { flags: Status::LEAVING, ..at(20) });
    assert_eq!((rig.joined(), rig.sender.live()), (vec![], 1), "the connection stands");
    rig.status_on(JOINED, 1, at(20));
    rig.skip(6 * SECOND);
    assert_eq!((rig.joined(), rig.sender.live()), (vec![], 1), "no longer heard there");
}

#[test]
fn who_is_evicted_is_out_for_a_second() {
    let mut rig = rig(block_policy());
    rig.welcome_in(1);
    rig.status_on(JOINED, 1, at(0));
    rig.publish(10);
    rig.sender.set_held(rig.now, true);
    for _ in 0..5 {
        rig.skip(SECOND);
        rig.status_on(JOINED, 1, at(0));
    }
    assert_eq!((rig.events(), rig.joined()), (vec!["evicted r1 at 0".to_owned()], vec![]));
    rig.skip(SECOND);
    rig.status_on(JOINED, 1, at(0));
    assert_eq!(rig.joined(), [home(1)]);
}

#[test]
fn who_moves_is_sent_its_copy_there() {
    let mut rig = rig(drop_policy());
    rig.welcome_in(1);
    let there = origin(2, JOINED);
    let bytes = rig.encode_status(1, Token(0), at(0));
    rig.hand_in(there, &bytes);
    assert_eq!(rig.joined(), [home(1)]);
    let token = rig.tokens[&(1, home(2))];
    let bytes = rig.encode_status(1, token, at(0));
    rig.hand_in(there, &bytes);
    assert_eq!(rig.joined(), [home(2)]);
}

/// What each copy is repaired with is a share of what was sent in all; a group is repaired once.
#[test]
fn the_budget_grows_with_the_copies_where_nothing_is_shared() {
    let rate = |lines: &[LineKind], places| {
        let settings =
            SenderSettings { repair_floor: 1, lines: lines.to_vec(), places, ..settings(drop_policy()) };
        let mut rig = Rig::new(settings);
        if lines.len() == 3 {
            (1..=2).for_each(|id| rig.welcome_in(id));
        }
        rig.pass(2 * MS);
        rig.publish(100);
        rig.pass(2 * MS);
        rig.sender.budget.rate(rig.now)
    };
    let once = rate(&[], 0);
    assert_eq!(once, 100 * BATCH * 10 / 2);
    assert_eq!(rate(&[LineKind::Shared, LineKind::Apart], 5), once);
    assert_eq!(rate(&[LineKind::Apart], 5), 5 * once);
    assert_eq!(rate(&[LineKind::Apart, LineKind::Apart, LineKind::Joined], 3), 5 * once);
}

/// Anything that six places may say along three lines, with tokens and without, for a minute: nothing but a WELCOME goes to
/// who has shown no token, and only who has, and was heard lately, is sent a copy.
#[test]
fn whatever_is_said_nobody_unproved_is_sent_more_than_a_welcome() {
    let mut rig = rig(block_policy());
    let (mut random, mut proved) = (Random(7), BTreeMap::new());
    for _ in 0..20_000 {
        let (id, place, line) = (1 + random.below(6), 1 + random.below(6), random.below(3) as u8);
        let from = origin(place, line);
        let known = rig.tokens.get(&(id, from.address)).copied();
        let token = if random.below(3) > 0 { known.unwrap_or_default() } else { Token(random.below(9)) };
        let is_known = known == Some(token);
        let sent = rig.ring.sent().0;
        let flags = [0, 0, 0, 0, Status::LEAVING, Status::OBSERVER][random.below(6) as usize];
        let says = Says { flags, time: random.below(2), ..at(random.below(sent + 2)) };
        let bytes = match random.below(4) {
            0 => rig.encode_nak(id, token, &[(says.next, says.next + 1 + random.below(4))]),
            1 => rig.encode_greeting(id, token, says),
            _ => rig.encode_status(id, token, says),
        };
        if is_known {
            proved.insert(from.address, rig.now);
        }
        let shown: Vec<_> = rig.hand_in(from, &bytes);
        for line in shown.iter().filter(|line| line.contains(" to r") && !line.starts_with("welcome")) {
            assert!(
                (1..=6).any(|id| proved.contains_key(&home(id)) && line.contains(&format!(" to r{id}"))),
                "{line}"
            );
        }
        if random.below(3) == 0 {
            rig.publish(random.below(3));
        }
        rig.pass(Duration::from_millis(random.below(7)));
        let joined = rig.joined();
        let lately = |address: &SocketAddr| proved.get(address).is_some_and(|at| rig.now - *at <= 5 * SECOND);
        assert!(joined.len() <= 3 && joined.iter().all(lately), "{joined:?}");
    }
    let stats = rig.sender.stats();
    assert!(stats.joins_refused > 0 && stats.repairs_unicast > 0 && stats.repairs_multicast > 0, "{stats:?}");
}
