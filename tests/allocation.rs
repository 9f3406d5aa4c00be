//! In steady state nothing is allocated, by any thread of the process: publisher, its background thread, subscriber.
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nakcast::Event;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::Subscriber;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed to the system's allocator as it came; counting touches nothing else.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `pointer` came from `System.alloc` with this `layout`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Publishes `count` messages and receives them all, in turns that fit any socket buffer.
fn pass(publisher: &mut Publisher, subscriber: &mut Subscriber, count: u64) {
    const TURN: u64 = 500;
    let payload = [7_u8; 100];
    for _ in 0..count / TURN {
        for _ in 0..TURN {
            publisher.publish(b"topic", &payload).unwrap();
        }
        publisher.flush().unwrap();
        let mut left = TURN;
        while left > 0 {
            match subscriber.recv_timeout(Duration::from_secs(30)).unwrap() {
                Some(Event::Message(message)) => {
                    assert_eq!((message.topic, message.payload), (&b"topic"[..], &payload[..]));
                    left -= 1;
                }
                Some(Event::Lost { range, reason, .. }) => panic!("lost {range}: {reason}"),
                Some(_) => {}
                None => panic!("nothing came for half a minute"),
            }
        }
    }
}

#[test]
fn publishing_and_receiving_allocate_nothing() {
    let uri = "udp://239.192.21.1:21101?interface=lo";
    let mut subscriber = Subscriber::open(uri).unwrap();
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open().unwrap();
    pass(&mut publisher, &mut subscriber, 50_000);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    pass(&mut publisher, &mut subscriber, 100_000);
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(allocated, 0, "allocations for 100,000 messages");
    publisher.abort();
}
