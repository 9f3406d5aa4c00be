//! Processes that are stopped, killed, started again, or given next to no memory.

use std::time::Duration;

use crate::network::account::sha256;
use crate::network::case::CHUNK;
use crate::network::case::Case;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::net::S3;
use crate::network::net::SUBSCRIBERS;
use crate::network::part::Part;

/// Datagrams so small and so many that they fill the largest receive buffer.
const MANY: usize = 24_000;
const SMALL: usize = 100;

#[test]
fn a_subscriber_that_is_stopped_loses_by_name_under_drop() {
    let Some(net) = Net::new("stop-drop") else { return };
    // More than any receive buffer holds that a system grants.
    let case = Case::default().messages(3 * MANY, SMALL).publish("--policy drop --ring 512K --linger 0");
    let mut running = case.start(&net);
    running.publish(0, 10);
    running.wait_for(S1, 10);
    running.at(S1).signal("STOP");
    running.publish(10, 90);
    running.wait_for(S2, 90);
    running.wait_for(S3, 90);
    // For longer than a publisher may be silent: what waits in its socket says that this one was not.
    running.at(S2).wait_for_quiet(Duration::from_secs(4));
    running.at(S1).signal("CONT");
    running.publish(90, 100);
    let outcome = running.end();
    outcome.is_exact_at(S1).has(S1, |account| account.lost > 0).says(S1, "the kernel dropped");
    outcome.is_complete_at(&[S2, S3]);
}

#[test]
fn a_subscriber_that_is_stopped_is_waited_for_under_block() {
    let Some(net) = Net::new("stop-block") else { return };
    let case = Case::default().messages(MANY, SMALL).publish("--policy block --patience 30 --linger 0");
    let mut running = case.start(&net);
    running.publish(0, 10);
    running.wait_for(S1, 10);
    running.at(S1).signal("STOP");
    running.publisher.feed(&case.input()[running.bytes(10)..]);
    running.at(S2).wait_for_quiet(Duration::from_millis(500));
    assert!(running.at(S2).written() < running.bytes(100), "nobody waited");
    running.at(S1).signal("CONT");
    running.end().is_complete();
}

#[test]
fn a_publisher_that_is_stopped_falls_silent_and_comes_back() {
    let Some(net) = Net::new("stop-pub") else { return };
    let mut running = Case::default().subscribe("--follow").start(&net);
    running.publish(0, 50);
    SUBSCRIBERS.iter().for_each(|host| running.wait_for(*host, 50));
    running.publisher.signal("STOP");
    SUBSCRIBERS.iter().for_each(|host| running.at(*host).wait_for_word("fell silent"));
    running.publisher.signal("CONT");
    running.publish(50, 100);
    running.publisher.close_stdin();
    for host in SUBSCRIBERS {
        running.wait_for(host, 100);
        running.at(host).signal("INT");
    }
    running.end().is_whole_at(&SUBSCRIBERS);
}

#[test]
fn a_publisher_that_is_killed_is_told_as_silent_and_its_successor_is_heard() {
    let Some(net) = Net::new("kill-pub") else { return };
    let case = Case::default().subscribe("--exit-after 2");
    let mut running = case.start(&net);
    running.publish(0, 50);
    SUBSCRIBERS.iter().for_each(|host| running.wait_for(*host, 50));
    let first = running.bytes(50);
    running.publisher.signal("KILL");
    SUBSCRIBERS.iter().for_each(|host| running.at(*host).wait_for_word("fell silent at offset 850"));
    running.publisher = case.publisher(&net, 3);
    running.publisher.feed(&case.input());
    let outcome = running.end();
    let both = [&case.input()[..first], &case.input()].concat();
    for host in SUBSCRIBERS {
        let (ended, accounts) = (outcome.at(host), outcome.at(host).accounts());
        assert!(ended.stdout == both && ended.code == Some(0), "{}", ended.stderr);
        assert!(accounts.iter().all(|account| account.is_exact()), "{accounts:?}");
        assert_eq!(accounts.iter().map(|account| account.delivered).collect::<Vec<_>>(), [850, 1_700]);
    }
}

#[test]
fn a_subscriber_that_is_killed_holds_the_others_no_longer_than_patience() {
    let Some(net) = Net::new("kill-sub") else { return };
    let case = Case::default().messages(MANY, SMALL).publish("--policy block --patience 1 --linger 0");
    let mut running = case.start(&net);
    running.publish(0, 10);
    running.wait_for(S1, 10);
    running.at(S1).signal("KILL");
    running.publisher.feed(&case.input()[running.bytes(10)..]);
    let outcome = running.end();
    outcome.is_complete_at(&[S2, S3]);
    assert_eq!(outcome.publisher.code, Some(1), "{}", outcome.publisher.stderr);
    assert!(outcome.publisher.stderr.contains("evicted subscriber"), "{}", outcome.publisher.stderr);
    assert!(outcome.at(S1).code.is_none() && outcome.is_part_of_input(S1) >= 2_400);
}

#[test]
fn a_receive_buffer_of_2304_bytes() {
    let Some(net) = Net::new("tiny") else { return };
    let tiny = Part::Tiny.start(&net, S1);
    tiny.wait_for_word("subscribed");
    let case = Case::default().to(&[S2, S3]).messages(1_000, 200).publish("--policy block --linger 0");
    let mut running = case.start_beside(&net, vec![(S1, tiny)]);
    running.publisher.feed(&case.input());
    running.end().is_complete();
}

#[test]
fn a_subscriber_that_is_started_again_begins_where_the_stream_is() {
    let Some(net) = Net::new("again") else { return };
    let mut running = Case::default().start(&net);
    running.publish(0, 50);
    SUBSCRIBERS.iter().for_each(|host| running.wait_for(*host, 50));
    running.at(S1).signal("KILL");
    let late = Case::default().subscribe("-v").subscriber(&net, S1);
    late.wait_for_word("is up");
    running.publish(50, 100);
    running.replace(S1, late);
    let outcome = running.end();
    outcome.is_complete_at(&[S2, S3]);
    outcome.has(S1, |account| {
        account.is_exact() && (account.lost, account.start + account.delivered) == (0, 1_700)
    });
    assert_eq!(outcome.is_part_of_input(S1), 1_700 - outcome.account(S1).start);
}

#[test]
fn a_subscriber_that_hears_and_is_not_heard() {
    let Some(net) = Net::new("one-way") else { return };
    net.on_arrival(S1, "numgen random mod 100 < 5 drop");
    let mut running = Case::default().publish("--policy drop --ring 512K").start(&net);
    running.publish(0, 20);
    SUBSCRIBERS.iter().for_each(|host| running.wait_for(*host, 20));
    net.rule(PUBLISHER, "eth0", &format!("ip saddr {} drop", S1.v4()));
    running.publish(20, 100);
    let outcome = running.end();
    outcome.is_complete_at(&[S2, S3]).is_exact_at(S1).has(S1, |account| account.lost > 0);
}

/// Every seventh system call that sends something fails with `error`. Gives how many datagrams the publisher counted
/// as refused.
fn fail_to_send(net: &Net, error: &str) -> u64 {
    let (case, folder) = (Case::default(), tempfile::tempdir().unwrap());
    let log = folder.path().join("strace");
    let subscribers = SUBSCRIBERS.map(|host| (host, case.subscriber(net, host)));
    let (file, calls) = (log.display(), "-e trace=sendmmsg,sendto");
    let strace = format!("strace -f -qq -o {file} {calls} -e inject=sendmmsg,sendto:error={error}:when=9+7");
    let publisher = case.publisher_under(net, &strace, 3);
    let mut running = case.running(publisher, subscribers.into());
    running.publisher.feed(&case.input());
    let outcome = running.end();
    outcome.is_complete();
    let injected = std::fs::read_to_string(log).unwrap().matches("(INJECTED)").count();
    eprintln!("{error}: {injected} calls failed, {} datagrams refused", outcome.refused());
    assert!(injected > 0, "no call failed with {error}");
    outcome.refused()
}

#[test]
fn sends_that_fail_are_repaired_or_tried_again() {
    let Some(net) = Net::new("strace") else { return };
    if !net.has("strace") {
        return;
    }
    for error in ["ENOBUFS", "ENOMEM", "ENETUNREACH", "EIO"] {
        assert!(fail_to_send(&net, error) > 0, "{error} was not counted");
    }
    // The same datagrams are sent again, so none was refused.
    for error in ["EAGAIN", "EINTR"] {
        assert_eq!(fail_to_send(&net, error), 0, "{error} was counted");
    }
    // It may be about an earlier datagram, and of a train it says only that trains are too long.
    fail_to_send(&net, "EMSGSIZE");
}

#[test]
fn two_publishers_on_one_stream() {
    let Some(net) = Net::new("mesh") else { return };
    net.on_arrival(S1, "numgen random mod 100 < 5 drop");
    let case = Case::default().subscribe("--exit-after 2");
    let (mut running, mut second) = (case.start(&net), case.publisher(&net, 3));
    running.publisher.feed(&case.input());
    second.feed(&case.input());
    let outcome = running.end();
    assert_eq!((outcome.publisher.code, second.end().code), (Some(0), Some(0)));
    let twice = [case.input(), case.input()].concat();
    for host in SUBSCRIBERS {
        let (ended, accounts) = (outcome.at(host), outcome.at(host).accounts());
        assert!(ended.code == Some(0) && accounts.len() == 2, "{}", ended.stderr);
        assert!(
            accounts.iter().all(|account| account.is_exact() && account.delivered == 1_700),
            "{accounts:?}"
        );
        assert_eq!(sha256(&sorted(&ended.stdout)), sha256(&sorted(&twice)), "{}", ended.stderr);
    }
}

/// The messages in `bytes`, by their numbers.
fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut messages: Vec<_> = bytes.chunks(CHUNK).collect();
    messages.sort_unstable();
    messages.concat()
}
