//! What a thousand subscribers cost a publisher, in memory of its process. What the kernel keeps for their sockets is not in it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nakcast::Policy;
use nakcast::Publisher;
use nakcast::ReceiverId;
use nakcast::StreamId;
use nakcast::wire;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Head;
use nakcast::wire::Hello;
use nakcast::wire::HelloStart;

const PATIENCE: Duration = Duration::from_secs(60);
const SUBSCRIBERS: u64 = 1_000;
const MOST_EACH: u64 = 64 << 10;
/// One of so many reads nothing at all.
const STUCK: usize = 10;
const MESSAGES: u64 = 1_000;
const PAYLOAD: [u8; 1_000] = [7; 1_000];

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Lets this process have so many open files, if the system does.
#[expect(unsafe_code, reason = "the standard library cannot ask for more descriptors")]
fn raise_open_files(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    if limit.rlim_max < wanted {
        return Err(io::Error::other(format!("the hard limit is {}", limit.rlim_max)));
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid `rlimit`.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn subscribe(publisher: &Publisher, id: u64) -> TcpStream {
    let mut stream = TcpStream::connect(publisher.stream_address().unwrap()).unwrap();
    let head = Head { stream: StreamId(1), session: publisher.session(), ..Head::default() };
    let mut bytes = Vec::new();
    let hello = Hello::new(ReceiverId(id), HelloStart::Live);
    assert!(wire::encode_hello(&mut bytes, &head, &hello, &[""; 0]));
    stream.write_all(&bytes).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// One that reads. It keeps no more than the begun part of a batch, since what it keeps is measured, too.
struct Reader {
    stream: TcpStream,
    begun: Vec<u8>,
    next: u64,
}

impl Reader {
    fn read(&mut self, room: &mut [u8]) {
        loop {
            let begun = self.begun.len();
            room[..begun].copy_from_slice(&self.begun);
            let Ok(bytes @ 1..) = self.stream.read(&mut room[begun..]) else { return };
            let mut rest = &room[..begun + bytes];
            while rest.len() >= 32 {
                let Some((whole, after)) = rest.split_at_checked(wire::datagram_len(rest).unwrap()) else {
                    break;
                };
                let datagram = Datagram::decode(whole).unwrap();
                if let Body::Data(frames) = datagram.body {
                    assert_eq!(datagram.header.base().0, self.next, "a gap, or a message twice");
                    self.next += frames.inspect(|frame| assert_eq!(frame.payload, PAYLOAD)).count() as u64;
                }
                rest = after;
            }
            self.begun = rest.to_vec();
        }
    }
}

#[test]
fn a_thousand_subscribers_cost_less_than_64_kib_each() {
    if let Err(error) = raise_open_files(2 * SUBSCRIBERS + 100) {
        println!("skipped: {SUBSCRIBERS} connections in one process need more open files: {error}");
        return;
    }
    let mut publisher =
        Publisher::builder().tcp("tcp://127.0.0.1:0").policy(Policy::DROP).ring(32 << 20).open().unwrap();
    let mut room = vec![0; 1 << 16];
    let before = resident();
    let streams: Vec<_> = (1..=SUBSCRIBERS).map(|id| subscribe(&publisher, id)).collect();
    publisher.wait_for(SUBSCRIBERS as usize, PATIENCE).unwrap();
    let (mut stuck, mut readers) = (Vec::new(), Vec::new());
    for (index, stream) in streams.into_iter().enumerate() {
        if index % STUCK == 0 {
            stuck.push(stream);
        } else {
            readers.push(Reader { stream, begun: Vec::new(), next: 0 });
        }
    }
    // Within what the ring holds until everybody who reads has it, so that nobody who does loses anything.
    let mut most = 0;
    for turn in 1..=MESSAGES / 500 {
        for _ in 0..500 {
            publisher.publish(b"", &PAYLOAD).unwrap();
        }
        publisher.flush().unwrap();
        while readers.iter().any(|reader| reader.next < turn * 500) {
            readers.iter_mut().for_each(|reader| reader.read(&mut room));
            thread::yield_now();
        }
        most = most.max(resident().saturating_sub(before));
    }
    let each = most / SUBSCRIBERS;
    let stats = publisher.stats().streams;
    println!("{SUBSCRIBERS} subscribers, of whom {} read nothing: {each} bytes each", stuck.len());
    assert!(each < MOST_EACH, "{each} bytes for each subscriber");
    assert_eq!((stats.connections as u64, stats.cut, stats.refused), (SUBSCRIBERS, 0, 0));
    publisher.abort();
}
