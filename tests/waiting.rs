//! Ways of waiting, and how datagrams cross to the kernel: whichever is chosen, the same messages come.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::thread;
use std::time::Duration;

use nakcast::Event;
use nakcast::Faults;
use nakcast::Offload;
use nakcast::Offset;
use nakcast::Policy;
use nakcast::PublishError;
use nakcast::Publisher;
use nakcast::PublisherBuilder;
use nakcast::Subscriber;
use nakcast::SubscriberBuilder;
use nakcast::Wait;

/// Patience of a test with the machine it runs on, far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

const WAITS: [Wait; 3] = [Wait::Block, Wait::Spin, Wait::SpinThenBlock(Duration::from_micros(100))];

/// The next message's payload; nothing may be lost.
fn next_message(subscriber: &mut Subscriber) -> Vec<u8> {
    loop {
        match subscriber.recv_timeout(PATIENCE).unwrap().expect("nothing came") {
            Event::Message(message) => return message.payload.to_vec(),
            Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
            _ => {}
        }
    }
}

/// Receives until the source is down; gives how many messages came, in order and none missing.
fn count_all(mut subscriber: Subscriber) -> u64 {
    let mut next = 0;
    loop {
        match subscriber.recv().unwrap() {
            Event::Message(message) => {
                assert_eq!((message.offset, message.payload), (Offset(next), &next.to_le_bytes()[..]));
                next += 1;
            }
            Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
            Event::SourceDown { .. } => return next,
            _ => {}
        }
    }
}

/// Publishes `count` messages to one subscriber that loses some, and gives what came.
fn carry(publisher: PublisherBuilder, subscriber: SubscriberBuilder, count: u64) -> u64 {
    let subscriber = subscriber.faults(Faults::loss(0.02).seed(3)).open().unwrap();
    let thread = thread::spawn(move || count_all(subscriber));
    let mut publisher = publisher.policy(Policy::BLOCK).open().unwrap();
    publisher.wait_for(1, PATIENCE).unwrap();
    for index in 0..count {
        publisher.publish(b"", &index.to_le_bytes()).unwrap();
    }
    publisher.finish(PATIENCE).unwrap();
    thread.join().unwrap()
}

#[test]
fn every_way_of_waiting_delivers_everything() {
    for (number, wait) in WAITS.into_iter().enumerate() {
        let uri = format!("udp://239.192.21.1:{}?interface=lo", 21_101 + number);
        // A small window, so that the publisher has to wait as well.
        let subscriber = Subscriber::builder().udp(&uri).wait(wait).receive_buffer(100_000);
        let publisher = Publisher::builder().udp(&uri).wait(wait);
        assert_eq!(carry(publisher, subscriber, 20_000), 20_000, "{wait:?}");
    }
}

#[test]
fn messages_that_come_alone_are_answered_one_by_one() {
    for (number, wait) in WAITS.into_iter().enumerate() {
        let there = format!("udp://239.192.21.2:{}?interface=lo", 21_111 + number);
        let back = format!("udp://239.192.21.3:{}?interface=lo", 21_121 + number);
        let mut near = Subscriber::builder().udp(&back).wait(wait).open().unwrap();
        let mut far = Subscriber::builder().udp(&there).wait(wait).open().unwrap();
        let echo = thread::spawn(move || {
            let mut publisher = Publisher::builder().udp(&back).wait(wait).open().unwrap();
            for _ in 0..500 {
                let payload = next_message(&mut far);
                publisher.publish(b"", &payload).unwrap();
            }
            publisher.finish(PATIENCE).unwrap();
        });
        let mut publisher = Publisher::builder().udp(&there).wait(wait).open().unwrap();
        for index in 0..500_u64 {
            publisher.publish(b"", &index.to_le_bytes()).unwrap();
            assert_eq!(next_message(&mut near), index.to_le_bytes(), "{wait:?}");
        }
        while !matches!(near.recv_timeout(PATIENCE).unwrap(), Some(Event::SourceDown { .. })) {}
        drop(near);
        echo.join().unwrap();
        publisher.abort();
    }
}

/// What was sent before is there: the call need not have slept to find it, and `None` means that nothing is.
#[test]
fn a_call_that_may_not_wait_finds_what_is_there() {
    for (number, wait) in WAITS.into_iter().enumerate() {
        let uri = format!("udp://239.192.21.4:{}?interface=lo", 21_131 + number);
        let mut subscriber = Subscriber::builder().udp(&uri).wait(wait).open().unwrap();
        let mut publisher = Publisher::builder().udp(&uri).linger(Duration::ZERO).open().unwrap();
        publisher.publish(b"", b"first").unwrap();
        assert_eq!(next_message(&mut subscriber), b"first");
        for number in 0..300_u32 {
            // Sent alone: on loopback it has arrived when `publish` returns.
            publisher.publish(b"", &number.to_le_bytes()).unwrap();
            let event = match number % 3 {
                0 => subscriber.recv_timeout(Duration::ZERO).unwrap(),
                1 => subscriber.try_recv().unwrap(),
                _ => {
                    let mut seen = 0;
                    subscriber.poll(|event| seen += usize::from(matches!(event, Event::Message(_)))).unwrap();
                    assert_eq!(seen, 1, "{wait:?}, {number}");
                    continue;
                }
            };
            let Some(Event::Message(message)) = event else { panic!("{wait:?}, {number}: {event:?}") };
            assert_eq!(message.payload, number.to_le_bytes());
        }
        assert!(subscriber.recv_timeout(Duration::ZERO).unwrap().is_none());
        publisher.abort();
    }
}

#[test]
fn a_batch_is_waited_for_and_handed_on_whole() {
    for (index, wait) in WAITS.into_iter().enumerate() {
        let uri = format!("udp://239.192.23.9:{}?interface=lo", 22_340 + index);
        let mut subscriber = Subscriber::builder().udp(&uri).wait(wait).open().unwrap();
        let nothing = subscriber.poll_timeout(Duration::from_millis(5), |event| panic!("{event:?}")).unwrap();
        assert_eq!(nothing, 0);
        let publish = thread::spawn(move || {
            let mut publisher = Publisher::builder().udp(&uri).policy(Policy::BLOCK).open().unwrap();
            publisher.wait_for(1, PATIENCE).unwrap();
            for number in 0..10_000_u64 {
                publisher.publish(b"", &number.to_le_bytes()).unwrap();
            }
            publisher.finish(PATIENCE).unwrap();
        });
        let (mut next, mut events, mut told, mut is_down) = (0, 0, 0, false);
        while !is_down {
            told += subscriber
                .poll_timeout(PATIENCE, |event| {
                    events += 1;
                    match event {
                        Event::Message(message) => {
                            assert_eq!(message.payload, u64::to_le_bytes(next));
                            next += 1;
                        }
                        Event::SourceDown { .. } => is_down = true,
                        other => assert!(matches!(other, Event::SourceUp { .. }), "{other:?}"),
                    }
                })
                .unwrap();
        }
        publish.join().unwrap();
        assert_eq!((next, events), (10_000, told), "{wait:?}");
    }
}

/// A publisher that spins serves itself while it waits, with and without a background thread.
#[test]
fn a_spinning_publisher_waits_for_window_and_end() {
    for (number, driven) in [false, true].into_iter().enumerate() {
        let uri = format!("udp://239.192.21.5:{}?interface=lo", 21_141 + number);
        let subscriber = Subscriber::builder().udp(&uri).receive_buffer(50_000);
        let publisher = Publisher::builder().udp(&uri).wait(Wait::Spin).driven(driven);
        assert_eq!(carry(publisher, subscriber, 20_000), 20_000, "driven: {driven}");
    }
    // With nobody there it gives up in time all the same.
    let mut alone =
        Publisher::builder().udp("udp://239.192.21.5:21143?interface=lo").wait(Wait::Spin).open().unwrap();
    assert_eq!(alone.wait_for(1, Duration::from_millis(5)).unwrap_err().came, 0);
    alone.finish(Duration::from_millis(5)).unwrap();
    assert_eq!(alone.publish(b"", b"late"), Err(PublishError::Finished));
}

#[test]
fn without_segmentation_the_same_messages_come_and_stats_say_so() {
    for (number, (sending, receiving)) in
        [(false, false), (false, true), (true, false)].into_iter().enumerate()
    {
        let uri = format!("udp://239.192.21.6:{}?interface=lo", 21_151 + number);
        let subscriber = Subscriber::builder().udp(&uri).segmentation(receiving);
        let publisher = Publisher::builder().udp(&uri).segmentation(sending);
        let told = |on: bool| if on { Offload::On } else { Offload::Off };
        if cfg!(all(target_os = "linux", not(feature = "portable"))) {
            let opened = (subscriber.clone().open().unwrap(), publisher.clone().open().unwrap());
            let stats = (opened.0.stats().coalescing, opened.1.stats().segmentation);
            assert_eq!(stats, (told(receiving), told(sending)));
            opened.1.abort();
        }
        assert_eq!(carry(publisher, subscriber, 50_000), 50_000, "{sending} {receiving}");
    }
}

/// Datagrams above the MTU come without coalescing, too: a buffer holds the longest.
#[test]
fn a_long_datagram_fits_a_buffer_without_coalescing() {
    let uri = "udp://239.192.21.7:21161?interface=lo";
    let mut subscriber = Subscriber::builder().udp(uri).segmentation(false).open().unwrap();
    let mut publisher = Publisher::builder().udp(uri).datagram(65_000).fragment(true).open().unwrap();
    for length in [64_000, 1, 40_000] {
        publisher.publish(b"", &vec![7; length]).unwrap();
        publisher.flush().unwrap();
        assert_eq!(next_message(&mut subscriber), vec![7; length]);
    }
    publisher.abort();
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux {
    use std::fs;

    use super::*;

    /// The processors that the background thread of this process with the most recent session may run on.
    fn background_cores() -> Vec<String> {
        let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
        let status = threads.filter_map(|thread| fs::read_to_string(thread.join("status")).ok());
        status
            .filter(|status| status.starts_with("Name:\tnakcast-pub"))
            .filter_map(|status| {
                status.split("Cpus_allowed_list:\t").nth(1)?.lines().next().map(str::to_owned)
            })
            .collect()
    }

    fn allowed() -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        status.split("Cpus_allowed_list:\t").nth(1).unwrap().lines().next().unwrap().to_owned()
    }

    #[test]
    fn the_background_thread_is_pinned_and_the_caller_is_not() {
        let before = allowed();
        let first: usize = before.split([',', '-']).next().unwrap().parse().unwrap();
        let uri = "udp://239.192.21.8:21171?interface=lo";
        let publisher = Publisher::builder().udp(uri).background_core(first).open().unwrap();
        // Other tests of this process may have background threads as well, on every processor.
        assert!(background_cores().contains(&first.to_string()), "{:?}", background_cores());
        assert_eq!(allowed(), before);
        publisher.abort();
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let open = |core, driven| {
            let uri = "udp://239.192.21.8:21172?interface=lo";
            let builder = Publisher::builder().udp(uri).background_core(core).driven(driven);
            builder.open().unwrap_err().to_string()
        };
        for core in [1_000, 100_000] {
            let error = open(core, false);
            assert!(error.starts_with(&format!("background_core is {core}: no processor")), "{error}");
        }
        assert!(open(0, true).contains("driven publisher has no background thread"));
    }

    /// As root the kernel polls; without the privilege the refusal names the option and the remedy.
    #[test]
    fn busy_polling_works_or_says_what_to_do() {
        let uri = "udp://239.192.21.9:21181?interface=lo";
        let subscriber = Subscriber::builder().udp(uri).busy_poll(Duration::from_micros(50));
        match subscriber.open() {
            Ok(mut subscriber) => {
                let time = Duration::from_micros(50);
                let mut publisher = Publisher::builder().udp(uri).busy_poll(time).open().unwrap();
                publisher.publish(b"", b"polled for").unwrap();
                assert_eq!(next_message(&mut subscriber), b"polled for");
                publisher.abort();
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("busy_poll of 50 µs (SO_BUSY_POLL) is refused"), "{error}");
                assert!(error.contains("net.core.busy_read") || error.contains("only Linux"), "{error}");
            }
        }
        let error = Subscriber::builder().udp(uri).busy_poll(Duration::from_secs(2)).open().unwrap_err();
        assert!(error.to_string().starts_with("busy_poll is 2000000000"), "{error}");
    }
}

#[cfg(feature = "portable")]
#[test]
fn what_only_linux_has_is_refused_by_name() {
    let uri = "udp://239.192.21.9:21182?interface=lo";
    let error = Subscriber::builder().udp(uri).busy_poll(Duration::from_micros(50)).open().unwrap_err();
    assert!(error.to_string().contains("only Linux"), "{error}");
    let error = Publisher::builder().udp(uri).background_core(0).open().unwrap_err();
    assert!(error.to_string().contains("only Linux"), "{error}");
}
