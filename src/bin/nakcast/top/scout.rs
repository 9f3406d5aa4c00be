//! Finds out which streams there are on a group: every few seconds it listens for as long as heartbeats take to come round.

use std::collections::BTreeSet;
use std::io;
use std::net::UdpSocket;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use nakcast::StreamId;
use nakcast::UdpEndpoint;
use nakcast::wire::Datagram;

use crate::clock::Clock;
use crate::doctor::host::Host;
use crate::doctor::place::Place;
use crate::doctor::sockets;
use crate::ending::Failure;

/// Every publisher says something every 100 ms.
const LISTEN: Duration = Duration::from_millis(500);
const REST: Duration = Duration::from_secs(3);
/// The most streams that are looked at.
const STREAMS: usize = 16;

/// Starts the thread; each stream comes through `found` once.
pub(crate) fn start(endpoint: UdpEndpoint, found: Sender<StreamId>) -> Result<(), Failure> {
    let work = move || {
        let mut known = BTreeSet::from([endpoint.stream]);
        let clock = Clock::start();
        loop {
            if let Err(error) = listen(&endpoint, &mut known, &found) {
                tracing::debug!(%error, "listening for streams");
            }
            let until = clock.now() + REST;
            while !clock.rest(until) {}
            if known.len() >= STREAMS {
                return;
            }
        }
    };
    thread::Builder::new().name("scout".to_owned()).spawn(work).map_err(Failure::Thread)?;
    Ok(())
}

fn listen(
    endpoint: &UdpEndpoint,
    known: &mut BTreeSet<StreamId>,
    found: &Sender<StreamId>,
) -> io::Result<()> {
    let (socket, clock) = (open(endpoint)?, Clock::start());
    let mut bytes = vec![0; 65_536];
    while clock.now() < LISTEN {
        let length = match socket.recv(&mut bytes) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let Ok(datagram) = Datagram::decode(bytes.get(..length).unwrap_or_default()) else { continue };
        let stream = datagram.header.stream();
        if known.len() < STREAMS && known.insert(stream) && found.send(stream).is_err() {
            break;
        }
    }
    Ok(())
}

fn open(endpoint: &UdpEndpoint) -> io::Result<UdpSocket> {
    let place = Place::of(&Host::this(), endpoint);
    let place = place.map_err(|_| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    sockets::listening(endpoint.address, endpoint.source, &place)
}
