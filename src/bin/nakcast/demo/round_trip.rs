//! What this machine's loopback takes for a datagram there and one back, without any protocol: the yardstick.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use crate::clock::Clock;

const ROUND_TRIPS: u32 = 400;
/// A datagram that takes longer does not come.
const GIVE_UP: Duration = Duration::from_millis(200);
const WARM_UP: usize = 50;

/// The median round trip between two threads that sleep in `recv`; `None` where it cannot be measured.
pub(crate) fn measure() -> Option<Duration> {
    match ping() {
        Ok(mut times) => {
            times.drain(..WARM_UP.min(times.len()));
            times.sort_unstable();
            times.get(times.len() / 2).copied()
        }
        Err(error) => {
            tracing::warn!(%error, "cannot measure the loopback round trip");
            None
        }
    }
}

fn ping() -> io::Result<Vec<Duration>> {
    let (near, far) = (open()?, open()?);
    let (near_address, far_address) = (near.local_addr()?, far.local_addr()?);
    let echo = std::thread::Builder::new().name("nakcast-echo".to_owned());
    let echo = echo.spawn(move || echo_all(&far, near_address))?;
    let clock = Clock::start();
    let mut times = Vec::new();
    for number in 0..ROUND_TRIPS {
        let sent = clock.now();
        near.send_to(&number.to_le_bytes(), far_address)?;
        near.recv(&mut [0; 4])?;
        times.push(clock.now() - sent);
    }
    match echo.join() {
        Ok(result) => result.map(|()| times),
        Err(_) => Err(io::Error::other("the echoing thread died")),
    }
}

fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(GIVE_UP))?;
    Ok(socket)
}

fn echo_all(socket: &UdpSocket, to: SocketAddr) -> io::Result<()> {
    let mut bytes = [0; 4];
    for _ in 0..ROUND_TRIPS {
        socket.recv(&mut bytes)?;
        socket.send_to(&bytes, to)?;
    }
    Ok(())
}
