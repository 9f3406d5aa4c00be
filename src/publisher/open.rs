//! Opening a publisher: settings checked, sockets bound, pages touched, the thread started.

use core::time::Duration;
use std::sync::Arc;

use crate::config::LONGEST_MESSAGE;
use crate::config::Policy;
use crate::config::PublisherBuilder;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::history::Ring;
use crate::history::RingSettings;
use crate::io::Clock;
use crate::io::Interface;
use crate::io::Poller;
use crate::io::PublisherSocket;
use crate::io::UdpSocket;
use crate::protocol::FlowPolicy;
use crate::protocol::Sender;
use crate::protocol::SenderSettings;
use crate::publisher::Publisher;
use crate::publisher::background;
use crate::publisher::background::Driven;
use crate::publisher::core::Core;
use crate::publisher::core::Engine;
use crate::publisher::core::Parts;
use crate::publisher::path::Path;
use crate::wire::SessionId;

/// Bytes of IP and UDP headers in front of a datagram, by family.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

impl PublisherBuilder {
    /// Opens the publisher: binds its socket, touches its ring, starts its thread. Heartbeats flow from now on.
    ///
    /// # Errors
    ///
    /// [`Error`] names the setting, the interface or the port, and what to do about it.
    pub fn open(self) -> Result<Publisher, Error> {
        let endpoint = self.check()?;
        let interface = Interface::find(endpoint.interface.as_deref(), endpoint.address.ip())?;
        self.check_datagram(&interface)?;
        let mut socket = UdpSocket::publisher(&PublisherSocket {
            destination: interface.scoped(endpoint.address.ip(), endpoint.address.port()),
            interface: interface.clone(),
            ttl: endpoint.ttl,
            multicast_loop: true,
            send_buffer: self.send_buffer,
            receive_buffer: self.receive_buffer,
        })?;
        let mut poller = Poller::new().map_err(Error::system("opening a poll"))?;
        poller.add(&mut socket, 0).map_err(Error::system("polling the socket"))?;
        let session = SessionId(random()?);
        let settings = RingSettings {
            bytes: self.ring,
            datagram: self.datagram,
            stream: endpoint.stream,
            session,
            timestamps: self.timestamps,
        };
        let (writer, ring) = Ring::new(settings);
        let clock = Clock::start();
        let engine = Engine::new(Sender::new(self.sender(&endpoint, session)?, clock.now()));
        let group = interface.scoped(endpoint.address.ip(), endpoint.address.port());
        let longest = LONGEST_MESSAGE.min(ring.capacity() / 4);
        let parts = Parts { ring, socket, group, clock, waker: poller.waker(), timestamps: self.timestamps };
        let core = Arc::new(Core::new(parts, engine));
        let (driven, thread) = if self.driven { (Some(poller), None) } else { (None, Some(poller)) };
        let driven = driven.map(|poller| Driven::new(poller, self.linger));
        let thread = thread.map(|poller| start(&core, poller, self.linger)).transpose()?;
        let path = Path::new(writer, self.linger, longest, driven);
        Ok(Publisher { core, path, thread, session, ended: None })
    }

    fn check_datagram(&self, interface: &Interface) -> Result<(), Error> {
        let headers = if interface.address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        let most = interface.mtu.saturating_sub(headers);
        if self.fragment || self.datagram <= most {
            return Ok(());
        }
        let wanted = format!(
            "interface {} carries {most} bytes at most; choose no more, or allow the network to cut datagrams with `fragment(true)`",
            interface.name
        );
        Err(Error::Setting { setting: "datagram", value: self.datagram as u64, wanted })
    }

    fn sender(&self, endpoint: &Endpoint, session: SessionId) -> Result<SenderSettings, Error> {
        let mut settings = SenderSettings::new(endpoint.stream, session, [random()?, random()?]);
        settings.unicast = !endpoint.is_multicast();
        settings.policy = match self.policy {
            Policy::Drop { pace, free_running } => FlowPolicy::Drop { pace, free_running },
            Policy::Block { patience } => FlowPolicy::Block { patience },
        };
        Ok(settings)
    }
}

fn start(core: &Arc<Core>, poller: Poller, linger: Duration) -> Result<std::thread::JoinHandle<()>, Error> {
    let core = Arc::clone(core);
    let thread = std::thread::Builder::new().name("nakcast-publisher".into());
    thread.spawn(move || background::run(&core, poller, linger)).map_err(Error::system("starting a thread"))
}

/// 64 bits that nobody can guess, from the operating system.
pub(crate) fn random() -> Result<u64, Error> {
    let unavailable = |error: getrandom::Error| Error::System {
        doing: "drawing a random number from the system",
        error: std::io::Error::other(error.to_string()),
    };
    getrandom::u64().map_err(unavailable)
}
