//! Messages a second from one publisher to one subscriber over loopback multicast, with and without loss.
//!
//! `cargo bench --bench throughput`: medians of five rounds of each row, rounds interleaved. Every message is received,
//! its payload read, and nothing may be lost. It is no comparison with anything else.

use std::hint::black_box;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nakcast::Event;
use nakcast::Faults;
use nakcast::Policy;
use nakcast::Publisher;
use nakcast::Subscriber;

const URI: &str = "udp://239.192.22.1:21201?interface=lo";
const ROUNDS: usize = 5;
const BYTES_A_ROUND: u64 = 200 << 20;

/// One round: how many million messages a second were delivered.
fn round(size: usize, loss: f64, seed: u64) -> f64 {
    let count = (BYTES_A_ROUND / (size as u64 + 20)).min(5_000_000);
    let mut subscriber =
        Subscriber::builder().udp(URI).faults(Faults::loss(loss).seed(seed)).open().expect("a subscriber");
    let receive = thread::spawn(move || {
        let mut delivered = 0;
        loop {
            match subscriber.recv().expect("a working socket") {
                Event::Message(message) => {
                    black_box(message.payload);
                    delivered += 1;
                }
                Event::Lost { range, reason, .. } => panic!("lost {range}: {reason}"),
                Event::SourceDown { .. } => return delivered,
                _ => {}
            }
        }
    });
    let mut publisher = Publisher::builder().udp(URI).policy(Policy::BLOCK).open().expect("a publisher");
    publisher.wait_for(1, Duration::from_secs(10)).expect("the subscriber");
    let payload = vec![7_u8; size];
    #[expect(clippy::disallowed_methods, reason = "a benchmark times")]
    let started = Instant::now();
    for _ in 0..count {
        publisher.publish(b"", &payload).expect("published");
    }
    publisher.finish(Duration::from_secs(30)).expect("confirmed by the subscriber");
    let took = started.elapsed();
    assert_eq!(receive.join().expect("a subscriber that ends"), count, "delivered");
    count as f64 / took.as_secs_f64() / 1e6
}

fn main() {
    let rows: Vec<(usize, f64)> =
        [32, 100, 1_024].into_iter().flat_map(|size| [0.0, 0.01, 0.05].map(|loss| (size, loss))).collect();
    let mut figures = vec![Vec::new(); rows.len()];
    for seed in 0..ROUNDS {
        for (figures, (size, loss)) in figures.iter_mut().zip(&rows) {
            figures.push(round(*size, *loss, seed as u64));
        }
    }
    println!("| bytes | loss | million messages a second | spread |");
    println!("| ---: | ---: | ---: | --- |");
    for (figures, (size, loss)) in figures.iter_mut().zip(&rows) {
        figures.sort_by(f64::total_cmp);
        let (least, median, most) = (figures[0], figures[ROUNDS / 2], figures[ROUNDS - 1]);
        println!("| {size} | {:.0} % | {median:.2} | {least:.2} to {most:.2} |", loss * 100.0);
    }
}
