//! One session by two groups, each of which loses on its own.

use std::collections::BTreeSet;

use crate::network::account::Account;
use crate::network::case::CHUNK;
use crate::network::case::Case;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::part::Part;
use crate::network::process::Ended;
use crate::network::process::Process;

pub(crate) const LINE_A: &str = "udp://239.192.1.1:4000?interface=eth0";
pub(crate) const LINE_B: &str = "udp://239.192.1.2:4000?interface=eth0";

const MESSAGES: usize = 20_000;

/// A network that loses one datagram in twenty of each group on its way to a host, independently.
fn lossy(name: &str) -> Option<Net> {
    let net = Net::new(name)?;
    for group in ["239.192.1.1", "239.192.1.2"] {
        net.on_arrival(S1, &format!("ip daddr {group} numgen random mod 100 < 5 drop"));
    }
    Some(net)
}

/// Subscribers on one host, which all see the same losses, each of the lines that it names.
fn run(net: &Net, subscribers: &[&[&str]]) -> Vec<Ended> {
    let subscribers = subscribers.iter().map(|lines| Process::start(net, S1, &arguments_of(lines)));
    let subscribers: Vec<Process> = subscribers.collect();
    let publisher = Part::Lined { messages: MESSAGES, wait: subscribers.len() }.start(net, PUBLISHER);
    let ended: Vec<Ended> = subscribers.into_iter().map(Process::end).collect();
    let publisher = publisher.end();
    assert_eq!(publisher.code, Some(0), "{}", publisher.stderr);
    for subscriber in &ended {
        assert_eq!(subscriber.code, Some(0), "{}\n{}", subscriber.line, subscriber.stderr);
        assert!(!subscriber.stderr.contains("the kernel dropped"), "{}", subscriber.stderr);
        println!("{}\n{}", subscriber.line, subscriber.stderr);
    }
    ended
}

fn arguments_of<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    ["sub", "--raw"].into_iter().chain(lines.iter().copied()).collect()
}

/// The messages that did not come, by their numbers; the others came in order and whole.
fn lost(subscriber: &Ended) -> BTreeSet<u64> {
    let input = Case::default().messages(MESSAGES, CHUNK).input();
    let mut missing: BTreeSet<u64> = (0..MESSAGES as u64).collect();
    let mut last = None;
    for message in subscriber.stdout.chunks(CHUNK) {
        let number = u64::from_le_bytes(*message.first_chunk().unwrap());
        assert!(Some(number) > last, "{number} after {last:?}");
        assert!(missing.remove(&number));
        let at = number as usize * CHUNK;
        assert!(message == &input[at..at + CHUNK], "{number} is damaged");
        last = Some(number);
    }
    let account = account(subscriber);
    assert_eq!((account.start, account.lost), (0, missing.len() as u64), "{}", subscriber.stderr);
    missing
}

fn account(subscriber: &Ended) -> Account {
    let accounts = subscriber.accounts();
    assert!(accounts.len() == 1 && accounts[0].is_exact(), "{}", subscriber.stderr);
    accounts[0]
}

#[test]
fn without_repair_two_lines_lose_what_both_have_lost_and_nothing_else() {
    let Some(net) = lossy("lines-bare") else { return };
    let ended =
        run(&net, &[&["--no-repair", LINE_A], &["--no-repair", LINE_B], &["--no-repair", LINE_A, LINE_B]]);
    let [a, b, both] = [0, 1, 2].map(|at| lost(&ended[at]));
    println!("lost by A {}, by B {}, by both {}", a.len(), b.len(), both.len());
    assert!(a.len() > 500 && b.len() > 500 && !both.is_empty(), "some are lost by chance");
    assert_eq!(both, a.intersection(&b).copied().collect());
}

#[test]
fn with_repair_two_lines_lose_nothing_and_ask_for_a_tenth() {
    let Some(net) = lossy("lines-naks") else { return };
    // One after the other: what one asks for would come to the other, too.
    let [one, both] = [&[LINE_A][..], &[LINE_A, LINE_B]].map(|lines| {
        let ended = run(&net, &[lines]);
        assert!(lost(&ended[0]).is_empty());
        account(&ended[0])
    });
    println!("one line: {} NAKs, {} repaired", one.naks, one.repaired);
    println!("two lines: {} NAKs, {} repaired", both.naks, both.repaired);
    assert!(one.naks > 300 && both.naks > 0, "{one:?} {both:?}");
    assert!(both.naks * 10 < one.naks, "{} NAKs by one line and {} by two", one.naks, both.naks);
}
