//! What this machine's loopback takes for a datagram there and one back, without any protocol: the yardstick.

use std::io;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;

/// Pauses between two datagrams: too few to be a load, enough for a median.
const EVERY: Duration = Duration::from_millis(5);
/// A datagram that takes longer does not come.
const GIVE_UP: Duration = Duration::from_millis(200);

/// Two threads that sleep in `recv` and answer one another while the demo runs, on the same processors and with the same
/// neighbours: on an idle machine both would share one processor, and the yardstick would be another.
pub(crate) struct Yardstick {
    stop: Arc<AtomicBool>,
    pinging: JoinHandle<io::Result<Vec<Duration>>>,
}

impl Yardstick {
    /// Starts to measure; `None` where that is not possible.
    pub(crate) fn start() -> Option<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let started = start(&stop).inspect_err(cannot);
        started.ok().map(|pinging| Self { stop, pinging })
    }

    /// Ends, and gives the median round trip.
    pub(crate) fn finish(self) -> Option<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.pinging.join().ok()?.inspect_err(cannot).ok()?;
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

fn cannot(error: &io::Error) {
    tracing::warn!(%error, "cannot measure the loopback round trip");
}

fn start(stop: &Arc<AtomicBool>) -> io::Result<JoinHandle<io::Result<Vec<Duration>>>> {
    let (near, far) = (open()?, open()?);
    let (near_address, far_address) = (near.local_addr()?, far.local_addr()?);
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let (echo_stop, ping_stop) = (Arc::clone(stop), Arc::clone(stop));
    named("nakcast-echo").spawn(move || echo(&far, near_address, &echo_stop))?;
    named("nakcast-ping").spawn(move || ping(&near, far_address, &ping_stop))
}

fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(GIVE_UP))?;
    Ok(socket)
}

fn ping(near: &UdpSocket, far: SocketAddr, stop: &AtomicBool) -> io::Result<Vec<Duration>> {
    let (clock, mut times, mut number) = (Clock::start(), Vec::new(), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let (sent, mut answer) = (clock.now(), [0; 8]);
        near.send_to(&number.to_le_bytes(), far)?;
        match near.recv(&mut answer) {
            Ok(_) if u64::from_le_bytes(answer) == number => times.push(clock.now() - sent),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        thread::park_timeout(EVERY);
    }
    Ok(times)
}

fn echo(far: &UdpSocket, near: SocketAddr, stop: &AtomicBool) -> io::Result<()> {
    let mut bytes = [0; 8];
    while !stop.load(Ordering::Relaxed) {
        match far.recv(&mut bytes) {
            Ok(_) => far.send_to(&bytes, near).map(drop)?,
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
