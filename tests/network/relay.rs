//! Carries Ethernet frames between two TAP devices, and delays, reorders, repeats and loses them by a seed.
#![allow(clippy::disallowed_methods, reason = "it delays real frames, so it reads a real clock")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nakcast::time::Jitter;

/// What every frame takes, and what one may take more.
const DELAY: Duration = Duration::from_micros(200);
const JITTER: Duration = Duration::from_millis(2);
const LOST: f64 = 0.02;
const REPEATED: f64 = 0.03;

/// Relays until its standard input ends.
pub(crate) fn run(seed: u64) {
    let (a, b) = (tap("tapa"), tap("tapb"));
    carry(a.try_clone().unwrap(), b.try_clone().unwrap(), Jitter::new(seed));
    carry(b, a, Jitter::new(seed + 1));
    eprintln!("relaying");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// A frame under way: when it is due, and its number among those due at the same time.
type Due = Reverse<(Instant, u64, Vec<u8>)>;

/// One direction.
#[derive(Default)]
struct Line {
    under_way: Mutex<BinaryHeap<Due>>,
    changed: Condvar,
}

fn carry(from: File, to: File, jitter: Jitter) {
    let line = Arc::new(Line::default());
    let far_end = Arc::clone(&line);
    thread::spawn(move || line.take_in(from, jitter));
    thread::spawn(move || far_end.put_out(to));
}

impl Line {
    fn take_in(&self, mut from: File, mut jitter: Jitter) {
        let mut frame = vec![0; 65_536];
        for number in 0.. {
            let bytes = from.read(&mut frame).unwrap();
            let copies = match (jitter.happens(LOST), jitter.happens(REPEATED)) {
                (true, _) => 0,
                (_, true) => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let due = Instant::now() + DELAY + jitter.up_to(JITTER);
                self.under_way.lock().unwrap().push(Reverse((due, number, frame[..bytes].to_vec())));
                self.changed.notify_one();
            }
        }
    }

    fn put_out(&self, mut to: File) {
        let mut under_way = self.under_way.lock().unwrap();
        loop {
            let now = Instant::now();
            match under_way.peek() {
                Some(Reverse((due, ..))) if *due <= now => {
                    let Some(Reverse((_, _, frame))) = under_way.pop() else { return };
                    // The device may be down for a moment, or full: that frame is lost, too.
                    to.write_all(&frame).unwrap_or_default();
                }
                Some(Reverse((due, ..))) => {
                    let wait = *due - now;
                    under_way = self.changed.wait_timeout(under_way, wait).unwrap().0;
                }
                None => under_way = self.changed.wait(under_way).unwrap(),
            }
        }
    }
}

/// Opens the TAP device `name`, which exists.
fn tap(name: &str) -> File {
    let device = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&((libc::IFF_TAP | libc::IFF_NO_PI) as u16).to_ne_bytes());
    #[allow(unsafe_code, reason = "there is no other way to open a TAP device")]
    // SAFETY: `request` has the 40 bytes of a `struct ifreq`, a name and flags, and outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    assert_eq!(result, 0, "{name}: {}", std::io::Error::last_os_error());
    device
}
