//! A link against a socket that does what it is told.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use zerocopy::FromZeros;

use super::Link;
use super::LinkSettings;
use crate::io::clock::Clock;
use crate::wire::Head;
use crate::wire::Status;
use crate::wire::encode_status;

/// Far more than a machine takes that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_secs(100_000);

/// Takes what comes until `is_done`, and sleeps in between; gives how many messages came.
fn take(link: &mut Link, clock: &Clock, is_done: impl Fn(&Link, u32) -> bool) -> u32 {
    let mut messages = 0;
    loop {
        let has_news = link.fill(clock.now()).unwrap();
        while link.next_message().is_some() {
            messages += 1;
        }
        if is_done(link, messages) {
            return messages;
        }
        if !has_news {
            let deadline = clock.now() + PATIENCE;
            link.wait(Some(deadline), clock).unwrap();
            assert!(clock.now() < deadline, "it sleeps, and what it waits for is there");
        }
    }
}

/// The poll tells of the last bytes and of the end behind them at once, and only once.
#[test]
fn an_end_that_comes_along_with_the_last_bytes_is_noticed_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clock = Clock::start();
    let settings = LinkSettings {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        receive_buffer: None,
        backoff: (NEVER, NEVER),
        limit: None,
        silence: NEVER,
        seed: 1,
    };
    let mut link = Link::open(settings, clock.now()).unwrap();
    let (mut publisher, _) = listener.accept().unwrap();
    let mut message = Vec::new();
    encode_status(&mut message, &Head::default(), &Status::new_zeroed());
    publisher.write_all(&message).unwrap();
    assert_eq!(take(&mut link, &clock, |link, messages| messages == 1 && link.is_surely_empty()), 1);
    // What the poll had to tell so far is used up.
    link.wait(Some(clock.now()), &clock).unwrap();
    assert!(!link.fill(clock.now()).unwrap());
    publisher.write_all(&message).unwrap();
    drop(publisher);
    assert_eq!(take(&mut link, &clock, |link, _| link.stats().cuts == 1), 1);
    assert!(!link.stats().is_connected);
}
