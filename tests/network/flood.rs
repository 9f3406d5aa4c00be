//! Floods of forged datagrams at publisher and subscribers: the stream goes on, the account stays exact, memory is
//! bounded, and nothing is aimed at a bystander.

use crate::network::account::Account;
use crate::network::case::Case;
use crate::network::forge::Target;
use crate::network::forge::VICTIM_PORT;
use crate::network::net::Host;
use crate::network::net::Net;
use crate::network::net::PUBLISHER;
use crate::network::net::S1;
use crate::network::net::S2;
use crate::network::net::S3;
use crate::network::part::Part;

/// The one answer that an address gets that has not proved itself.
const WELCOME: &str = "@th,80,8 0x16";
const HONEST: [Host; 2] = [S1, S2];
/// Messages a second, so that the stream lasts longer than the flood.
const RATE: usize = 2_000;
/// What a publisher may take more, in KiB: a full table of receivers and queues of answers.
const PUBLISHER_MORE: u64 = 8 << 10;
/// What a subscriber may take more, in KiB: 64 sources with a reorder window of 4 MiB and 50 KiB each.
const SUBSCRIBER_MORE: u64 = 64 * ((4 << 10) + 50);

/// A stream under a flood; gives what came of it for each of the honest subscribers.
fn flooded(name: &str, target: Target, policy: &str, judge: impl Fn(&Account, &[u8], &[u8])) {
    let Some(net) = Net::new(name) else { return };
    let seconds = std::env::var("NAKCAST_FLOOD_SECONDS").map_or(1, |text| text.parse().unwrap());
    net.count(S2, "eth0", &format!("udp dport {VICTIM_PORT} {WELCOME}"));
    net.count(S2, "eth0", &format!("udp dport {VICTIM_PORT}"));
    // What the network loses has to be asked for, and sent again, in the middle of the flood.
    HONEST.iter().for_each(|host| net.on_arrival(*host, "numgen random mod 100 < 5 drop"));
    let options = format!("--topic true --rate {RATE} {policy}");
    let case = Case::default().to(&HONEST).messages(RATE * (seconds as usize + 2), 500).publish(&options);
    let case = case.subscribe("--follow --topic true");
    let mut running = case.start(&net);
    running.publisher.feed(&case.input());
    HONEST.iter().for_each(|host| running.at(*host).wait_for_bytes(50_000));
    let before = (running.publisher.memory("VmHWM"), HONEST.map(|host| running.at(host).memory("VmHWM")));
    let control = HONEST.map(|host| net.control_port(host));
    let forger = Part::Forger { seconds, target, control }.start(&net, S3);
    let forger = forger.end();
    let told = &forger.stderr;
    assert!(forger.code == Some(0) && forger.number_after("forged ").is_some_and(|sent| sent > 0), "{told}");
    let after = (running.publisher.memory("VmHWM"), HONEST.map(|host| running.at(host).memory("VmHWM")));
    running.publisher.wait_for_word("published ");
    HONEST.iter().for_each(|host| running.at(*host).wait_for_quiet(std::time::Duration::from_millis(500)));
    HONEST.iter().for_each(|host| running.at(*host).signal("INT"));
    let outcome = running.end();
    eprintln!("{name}: {told}VmHWM in KiB of publisher and subscribers: {before:?}, then {after:?}");
    assert!(after.0 <= before.0 + PUBLISHER_MORE, "{before:?} {after:?}");
    assert!((0..2).all(|at| after.1[at] <= before.1[at] + SUBSCRIBER_MORE), "{before:?} {after:?}");
    for host in HONEST {
        let ended = outcome.at(host);
        let from_publisher = format!(" at {}:", PUBLISHER.v4());
        let account = ended.account_where(&from_publisher).unwrap_or_else(|| panic!("{}", ended.stderr));
        eprintln!("{host}: of {} publishers, the true one: {account:?}", ended.accounts().len());
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        assert!(account.is_exact() && account.start == 0, "{account:?}\n{}", ended.stderr);
        assert_eq!(account.published, outcome.published(), "{}\n{}", ended.stderr, outcome.publisher.stderr);
        assert_eq!(outcome.is_part_of_input(host), account.delivered, "{}", ended.stderr);
        judge(&account, &ended.stdout, &case.input());
    }
    let [welcomes, all, ..] = net.counted(S2, "eth0")[..] else { panic!("no rules") };
    eprintln!("sent to a bystander: {welcomes} WELCOMEs and {} others", all - welcomes);
    assert_eq!(all, welcomes, "something else than WELCOME was sent to a bystander");
    assert!(welcomes > 0 || target == Target::Subscribers, "nothing was asked for in the bystander's name");
}

fn complete(account: &Account, written: &[u8], input: &[u8]) {
    assert_eq!((account.lost, written == input), (0, true), "{account:?}");
}

#[test]
fn forgeries_at_the_publisher_do_not_keep_a_stream_from_being_complete() {
    flooded("flood-publisher", Target::Publisher, "--policy block", complete);
}

#[test]
fn forgeries_at_the_subscribers_do_not_keep_a_stream_from_being_complete() {
    flooded("flood-subscribers", Target::Subscribers, "--policy block", complete);
}

#[test]
fn forgeries_at_everybody_leave_the_account_exact_under_drop() {
    flooded("flood-drop", Target::Everybody, "--policy drop --ring 1M", |_, _, _| {});
}
