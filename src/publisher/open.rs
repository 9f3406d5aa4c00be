//! Opening a publisher: settings checked, sockets bound, pages touched, the thread started.

use core::net::SocketAddr;
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use crate::config::Carriers;
use crate::config::LONGEST_MESSAGE;
use crate::config::Policy;
use crate::config::PublisherBuilder;
use crate::endpoint::TcpEndpoint;
use crate::error::Error;
use crate::history::Ring;
use crate::history::RingSettings;
use crate::io::BoardName;
use crate::io::Clock;
use crate::io::Listener;
use crate::io::Poller;
use crate::io::run_on;
use crate::protocol::FeedSettings;
use crate::protocol::FlowPolicy;
use crate::protocol::Sender;
use crate::protocol::SenderSettings;
use crate::publisher::Publisher;
use crate::publisher::background;
use crate::publisher::background::Driven;
use crate::publisher::core::Core;
use crate::publisher::core::Parts;
use crate::publisher::engine::Engine;
use crate::publisher::lines;
use crate::publisher::lines::CONNECTIONS;
use crate::publisher::outlet::Outlet;
use crate::publisher::path::Path;
use crate::publisher::streams::Carrier;
use crate::publisher::streams::Streams;
use crate::wire::SessionId;
use crate::wire::StreamId;

impl PublisherBuilder {
    /// Opens the publisher: binds its sockets, touches its ring, starts its thread. Heartbeats flow from now on.
    ///
    /// # Errors
    ///
    /// [`Error`] names the setting, the interface or the port, and what to do about it.
    pub fn open(self) -> Result<Publisher, Error> {
        let carriers = self.check()?;
        if let (Some(core), true) = (self.background_core, self.driven) {
            let wanted = "a driven publisher has no background thread; leave one of the two out".to_owned();
            return Err(Error::Setting { setting: "background_core", value: core as u64, wanted });
        }
        let mut poller = Poller::new().map_err(Error::system("opening a poll"))?;
        let clock = Clock::start();
        let socket = self.outlet(&carriers.udp, &mut poller, clock)?;
        // 0 is what those say that do not know it.
        let session = SessionId(random()?.max(1));
        let listener = carriers.tcp.as_ref().map(listen).transpose()?;
        let address = listener.as_ref().map(Listener::local_addr);
        let carrier = match listener {
            Some(listener) => Some(self.carrier(listener, (carriers.stream, session), &poller)?),
            None => None,
        };
        let settings = RingSettings {
            bytes: self.ring,
            datagram: self.batch(),
            stream: carriers.stream,
            session,
            timestamps: self.timestamps,
        };
        let (writer, ring) = Ring::new(settings);
        let engine = Engine::new(Sender::new(self.sender(&carriers, session, address)?, clock.now()));
        let longest = LONGEST_MESSAGE.min(ring.capacity() / 4);
        let Some(socket) = socket.or(address.map(|address| Outlet::new(None, address, None))) else {
            return Err(Error::NoEndpoint);
        };
        let waker = poller.waker();
        let parts = Parts { ring, socket, carrier, clock, waker, timestamps: self.timestamps };
        let core = Arc::new(Core::new(parts, engine));
        let (driven, thread) = if self.driven { (Some(poller), None) } else { (None, Some(poller)) };
        let driven = driven.map(|poller| Driven::new(poller, self.linger));
        let thread = thread.map(|poller| self.start(&core, poller)).transpose()?;
        let path = Path::new(writer, (self.linger, self.tuning.wait), longest, driven);
        Ok(Publisher { core, path, thread, session, ended: None })
    }

    /// What serves connections, on the poll of the background thread.
    fn carrier(
        &self,
        listener: Listener,
        (stream, session): (StreamId, SessionId),
        poller: &Poller,
    ) -> Result<Carrier, Error> {
        let address = listener.local_addr();
        let cut_off = matches!(self.policy, Policy::Disconnect { .. });
        let waits = matches!(self.policy, Policy::Block { .. });
        let feed = FeedSettings { stream, session, cut_off, waits, port: address.port() };
        let polling = "polling the publisher's connections";
        let streams = Streams::new(listener, feed, self.streams).map_err(Error::system(polling))?;
        poller.add_board(streams.board(), CONNECTIONS).map_err(Error::system(polling))?;
        let board = BoardName::of(streams.board()).map_err(Error::system(polling))?;
        Ok(Carrier::new((streams, board), address, self.driven))
    }

    /// Starts the background thread, on its processor if it is to have one.
    fn start(&self, core: &Arc<Core>, poller: Poller) -> Result<JoinHandle<()>, Error> {
        let (core, linger, pin) = (Arc::clone(core), self.linger, self.background_core);
        let (told, pinned) = sync_channel(1);
        let thread = std::thread::Builder::new().name("nakcast-publisher".into());
        let work = move || {
            let set = pin.map_or(Ok(()), run_on);
            let is_pinned = set.is_ok();
            if told.send(set).is_ok() && is_pinned {
                background::run(&core, poller, linger);
            }
        };
        let thread = thread.spawn(work).map_err(Error::system("starting a thread"))?;
        match (pinned.recv(), pin) {
            (Ok(Err(error)), Some(core)) => Err(pin_error(core, error)),
            _ => Ok(thread),
        }
    }

    fn sender(
        &self,
        carriers: &Carriers,
        session: SessionId,
        listens_at: Option<SocketAddr>,
    ) -> Result<SenderSettings, Error> {
        let mut settings = SenderSettings::new(carriers.stream, session, [random()?, random()?]);
        settings.lines = lines::kinds(&carriers.udp);
        settings.places = lines::places(&carriers.udp);
        settings.unicast = lines::is_one_subscriber(&carriers.udp);
        settings.joined = self.joined;
        settings.tcp_port = listens_at.map_or(0, |address| address.port());
        if listens_at.is_some() {
            settings.receivers = settings.receivers.max(self.streams);
        }
        settings.policy = match self.policy {
            Policy::Drop { pace, free_running } => FlowPolicy::Drop { pace, free_running },
            Policy::Disconnect { pace, free_running } => FlowPolicy::Disconnect { pace, free_running },
            Policy::Block { patience } => FlowPolicy::Block { patience },
        };
        Ok(settings)
    }
}

/// Listens at the first address of the endpoint's host that can be had.
fn listen(endpoint: &TcpEndpoint) -> Result<Listener, Error> {
    let address = endpoint.to_string();
    let error = |error| Error::Listen { address: address.clone(), error };
    let addresses = (endpoint.host.as_str(), endpoint.port).to_socket_addrs().map_err(error)?;
    let mut refused = std::io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        match Listener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(error(refused))
}

/// What a pin that failed comes to.
fn pin_error(core: usize, error: std::io::Error) -> Error {
    let wanted = match error.kind() {
        ErrorKind::InvalidInput => {
            "no processor of that number is there for this process; `taskset -pc $$` lists those that are"
        }
        ErrorKind::Unsupported => "only Linux pins threads to a processor; leave it out",
        _ => return Error::System { doing: "pinning the background thread to a processor", error },
    };
    Error::Setting { setting: "background_core", value: core as u64, wanted: wanted.to_owned() }
}

/// 64 bits that nobody can guess, from the operating system.
pub(crate) fn random() -> Result<u64, Error> {
    let unavailable = |error: getrandom::Error| Error::System {
        doing: "drawing a random number from the system",
        error: std::io::Error::other(error.to_string()),
    };
    getrandom::u64().map_err(unavailable)
}
