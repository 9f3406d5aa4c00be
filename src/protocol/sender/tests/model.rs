//! Random receivers against slow, obvious oracles.

use super::streams::stream;
use super::*;
use crate::time::Jitter;

const RECEIVERS: u64 = 5;
/// Of these, the last two never prove their address.
const PROVED: u64 = 3;

/// A repair as the transcript says it, and when it went.
#[derive(Debug)]
struct Repaired {
    at: Time,
    to: Option<u64>,
    range: OffsetRange,
}

fn range(text: &str) -> OffsetRange {
    let (from, to) = text.split_once("..").expect("a range");
    OffsetRange::new(Offset(from.parse().expect("a number")), Offset(to.parse().expect("a number")))
}

/// The ranges and the receiver of a line, if it starts with `verb`.
fn read(line: &str, verb: &str) -> Option<(Vec<OffsetRange>, Option<u64>)> {
    let words: Vec<_> = line.strip_prefix(verb)?.split_whitespace().collect();
    let ranges =
        words.iter().filter(|word| word.contains("..")).map(|word| range(word.trim_end_matches(',')));
    let to = words.last().and_then(|word| word.strip_prefix('r')).map(|id| id.parse().expect("an id"));
    Some((ranges.collect(), to))
}

/// Every offset asked for is on its way to the asker, sent within the last round trip, or was put off or refused by
/// name, or (unproved and over budget) without a word; and nothing goes to an address that is not proved.
#[test]
fn every_nak_is_answered() {
    for seed in 0..40 {
        let mut jitter = Jitter::new(seed);
        let floor = if jitter.happens(0.5) { 20_000 } else { 8 << 20 };
        let mut rig = Rig::new(SenderSettings { repair_floor: floor, ..settings(drop_policy()) });
        (1..=PROVED).for_each(|id| rig.join(id, at(0)));
        let mut sent = Vec::new();
        for _ in 0..2_000 {
            rig.now = rig.now + jitter.up_to(400 * Duration::from_micros(1));
            if jitter.happens(0.4) {
                rig.publish(1 + jitter.bits() % 5);
            }
            rig.sender.handle_timeout(rig.now, &rig.ring);
            rig.drain();
            ask_and_check(&mut rig, &mut jitter, &mut sent);
        }
        let stats = rig.sender.stats();
        assert!(stats.repairs_multicast > 100 && stats.naks_ignored > 10, "seed {seed}: {stats:?}");
    }
}

fn ask_and_check(rig: &mut Rig, jitter: &mut Jitter, sent: &mut Vec<Repaired>) {
    let id = 1 + jitter.bits() % RECEIVERS;
    let end = rig.ring.sent().0;
    let mut from = end.saturating_sub(jitter.bits() % 700);
    let mut asked = Vec::new();
    for _ in 0..=jitter.bits() % 4 {
        let to = from + 1 + jitter.bits() % 6;
        asked.push((from, to));
        from = to + jitter.bits() % 4;
    }
    let unanswered =
        |rig: &Rig| rig.sender.stats().ranges_shed_silently + rig.sender.stats().refusals_withheld;
    let (oldest, silent) = (rig.ring.oldest().0, unanswered(rig));
    let (lines, mut named) = (rig.nak(id, &asked), Vec::new());
    for line in &lines {
        if let Some((ranges, to)) = read(line, "repair ") {
            sent.push(Repaired { at: rig.now, to, range: ranges[0] });
            assert!(to.is_none_or(|to| to == id && id <= PROVED), "{line}");
        } else if let Some((ranges, to)) = read(line, "shed ").or_else(|| read(line, "gone ")) {
            assert_eq!(to, (id <= PROVED).then_some(id), "{line}");
            named.extend(ranges);
        } else {
            unreachable!("{line}");
        }
    }
    let grtt = rig.sender.grtt(rig.now);
    sent.retain(|repaired| rig.now < repaired.at + grtt);
    let dropped = unanswered(rig) > silent;
    assert!(!dropped || id > PROVED);
    for offset in asked.iter().flat_map(|(from, to)| *from..*to).filter(|offset| *offset < end).map(Offset) {
        let comes = |one: &Repaired| one.range.contains(offset) && one.to.is_none_or(|to| to == id);
        let is_named = named.iter().any(|range| range.contains(offset));
        assert!(
            sent.iter().any(comes) || is_named || dropped,
            "r{id} got nothing for {offset} of {oldest}..{end}"
        );
    }
}

/// The limit is what a look at every row says it is, whoever comes, moves or goes.
#[test]
fn the_limit_is_the_naive_one() {
    for (seed, policy) in (0..40).zip([drop_policy(), block_policy()].into_iter().cycle()) {
        let mut jitter = Jitter::new(seed);
        let mut rig = Rig::new(SenderSettings { receivers: 4, ..settings(policy) });
        for _ in 0..2_000 {
            rig.skip(jitter.up_to(60 * MS));
            match jitter.bits() % 8 {
                0 | 1 => rig.publish(jitter.bits() % 4),
                2 => {
                    let held =
                        rig.sender.limit().is_some_and(|limit| limit < rig.ring.charge_sent() + CHARGE);
                    rig.sender.set_held(rig.now, held);
                }
                _ => {
                    let behind = jitter.bits() % 8;
                    let flags = if jitter.happens(0.05) { Status::LEAVING } else { 0 };
                    let window = (jitter.bits() % u64::from(WINDOW)) as u32;
                    let next = rig.ring.sent().0.saturating_sub(behind);
                    let lines = rig.status(1 + jitter.bits() % RECEIVERS, Says { window, flags, ..at(next) });
                    assert!(lines.len() <= 1, "{lines:?}");
                }
            }
            check_limit(&rig, policy);
        }
        assert!(rig.sender.stats().receivers_refused > 0);
    }
}

fn check_limit(rig: &Rig, policy: FlowPolicy) {
    let counted = rig.sender.receivers().filter(|row| row.live && !row.evicted);
    let grants = counted.map(|row| rig.ring.charge_at(row.next).unwrap_or(0) + row.window);
    match policy {
        FlowPolicy::Drop { .. } | FlowPolicy::Disconnect { .. } => {
            let naive = grants.max();
            assert!(
                rig.sender.limit() == naive
                    || (rig.sender.limit().is_none() && rig.sender.stats().free_runs > 0)
            );
        }
        FlowPolicy::Block { .. } => assert_eq!(rig.sender.limit(), grants.min()),
    }
}

/// The limit and the live are what a look at every connection says they are, whoever comes, moves or goes.
#[test]
fn the_limit_for_connections_is_the_naive_one() {
    let disconnect = FlowPolicy::Disconnect { pace: 100 * MS, free_running: false };
    for (seed, policy) in (0..30).zip([drop_policy(), block_policy(), disconnect].into_iter().cycle()) {
        let (mut jitter, mut rig) = (Jitter::new(seed), Rig::new(settings(policy)));
        // By id: what its connection was handed, and since when it has none.
        let mut twin: BTreeMap<u64, (u64, Option<Time>)> = BTreeMap::new();
        for _ in 0..1_000 {
            rig.skip(jitter.up_to(400 * MS));
            let (id, sent) = (1 + jitter.bits() % 5, rig.ring.sent().0);
            let attached = twin.get(&id).is_some_and(|(_, since)| since.is_none());
            match jitter.bits() % 8 {
                0 | 1 => rig.publish(jitter.bits() % 4),
                2 => {
                    let next = sent.saturating_sub(jitter.bits() % 100);
                    rig.attach(id, next);
                    twin.insert(id, (next, None));
                }
                3 if attached => {
                    let leaving = jitter.happens(0.5);
                    rig.detach(id, leaving);
                    twin.entry(id).and_modify(|(_, since)| *since = Some(rig.now));
                    twin.retain(|other, _| *other != id || !leaving);
                }
                4 if attached => rig.report(stream(id), at(sent)),
                _ if attached => {
                    let taken = twin[&id].0.max(sent.saturating_sub(jitter.bits() % 60));
                    rig.progress(id, taken);
                    twin.insert(id, (taken, None));
                }
                _ => {}
            }
            twin.retain(|_, (_, since)| since.is_none_or(|since| rig.now < since + 5 * SECOND));
            let taken = twin.values().map(|(taken, _)| *taken);
            let naive = if matches!(policy, FlowPolicy::Block { .. }) { taken.min() } else { taken.max() };
            assert_eq!(rig.sender.limit(), naive.and_then(|taken| rig.grant(taken)), "seed {seed}");
            assert_eq!(rig.sender.live(), twin.len());
        }
    }
}
