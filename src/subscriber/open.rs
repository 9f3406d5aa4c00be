//! Opening a subscriber.

use core::time::Duration;

use crate::config::Followed;
use crate::config::RECEIVE_BUFFER;
use crate::config::Start;
use crate::config::SubscriberBuilder;
use crate::config::Wait;
use crate::endpoint::Endpoint;
use crate::endpoint::TcpEndpoint;
use crate::endpoint::UdpEndpoint;
use crate::error::Error;
use crate::io::Clock;
use crate::io::Interface;
use crate::io::Link;
use crate::io::LinkSettings;
use crate::io::SocketOptions;
use crate::io::SubscriberSocket;
use crate::io::UdpSocket;
use crate::protocol::LineId;
use crate::protocol::Origin;
use crate::protocol::ReceiverSettings;
use crate::protocol::Subscription;
use crate::protocol::SubscriptionSettings;
use crate::publisher::random;
use crate::sim::FaultInjector;
use crate::subscriber::Subscriber;
use crate::subscriber::datagrams::Datagrams;
use crate::subscriber::history;
use crate::subscriber::history::History;
use crate::subscriber::history::HistorySettings;
use crate::subscriber::inlet::Inlet;
use crate::subscriber::lines::Lines;
use crate::subscriber::stream::Stream;
use crate::subscriber::stream::Wish;
use crate::subscriber::topics;
use crate::wire::ReceiverId;
use crate::wire::StreamId;

/// The control socket only takes answers to this one subscriber.
const CONTROL_BUFFER: usize = 2 << 20;

impl SubscriberBuilder {
    /// Opens the subscriber: binds its sockets and joins the group, or begins to connect.
    ///
    /// # Errors
    ///
    /// [`Error`] names the setting, the interface, the port or the host, and what to do about it.
    pub fn open(self) -> Result<Subscriber, Error> {
        let Followed { udp, tcp } = self.check()?;
        let (clock, receiver) = (Clock::start(), ReceiverId(random()?));
        let (inlet, settings) = match (udp.as_slice(), tcp) {
            ([], Some(tcp)) => self.stream(tcp, receiver, &clock)?,
            ([one], None) => self.datagrams(one, receiver)?,
            (_, tcp) => self.lines(&udp, tcp, receiver, &clock)?,
        };
        let (mut subscription, now, wait) = (Subscription::new(settings), clock.now(), self.tuning.wait);
        for (endpoint, line) in udp.iter().zip(0..).filter(|(endpoint, _)| endpoint.join) {
            let interface = Interface::find(endpoint.interface.as_deref(), endpoint.address.ip())?;
            let address = interface.scoped(endpoint.address.ip(), endpoint.address.port());
            subscription.receiver().join(now, Origin { address, line: LineId(line) });
        }
        let glances = false;
        Ok(Subscriber {
            subscription,
            inlet,
            now,
            clock,
            receiver,
            wait,
            glances,
            refills: 0,
            served_at: now,
            has_read: false,
        })
    }

    fn datagrams(
        &self,
        endpoint: &UdpEndpoint,
        receiver: ReceiverId,
    ) -> Result<(Inlet, SubscriptionSettings), Error> {
        let datagrams = self.line(endpoint, 0)?;
        let settings = ReceiverSettings {
            unicast: !endpoint.is_multicast(),
            window: self.window(&datagrams),
            beginning: history::beginning(self.start),
            fetches: true,
            ..self.receiver(endpoint.stream, receiver)?
        };
        Ok((Inlet::Datagrams(datagrams), self.subscription(settings, self.topics.clone())))
    }

    /// Each endpoint a line, the connection last. It begins with what comes: the past is fetched as for datagrams.
    fn lines(
        &self,
        udp: &[UdpEndpoint],
        tcp: Option<TcpEndpoint>,
        receiver: ReceiverId,
        clock: &Clock,
    ) -> Result<(Inlet, SubscriptionSettings), Error> {
        let Some(first) = udp.first() else { return Err(Error::NoEndpoint) };
        let groups = udp.iter().zip(0..).map(|(endpoint, at)| self.line(endpoint, at));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<Endpoint> = udp.iter().cloned().map(Endpoint::Udp).collect();
        names.extend(tcp.clone().map(Endpoint::Tcp));
        let connection = u8::try_from(udp.len()).ok().filter(|_| tcp.is_some()).map(LineId);
        let topics = tcp.as_ref().map_or(&self.topics, |tcp| &tcp.topics).clone();
        let stream = tcp.map(|tcp| self.connection(tcp, (receiver, Start::Live), clock)).transpose()?;
        let settings = ReceiverSettings {
            unicast: udp.iter().all(|endpoint| !endpoint.is_multicast()),
            window: groups.iter().map(|group| self.window(group)).min().unwrap_or(0),
            beginning: history::beginning(self.start),
            fetches: true,
            lines: u8::try_from(names.len()).unwrap_or(u8::MAX),
            connection,
            ..self.receiver(first.stream, receiver)?
        };
        let lines = Lines::new(names, groups, stream.map(Box::new))?;
        Ok((Inlet::Lines(Box::new(lines)), self.subscription(settings, topics)))
    }

    /// How much may be under way: a quarter of the buffer is left for what the charge of a datagram does not foresee. No
    /// more than can be held: what is under way has passed out of the processor's caches by then.
    fn window(&self, line: &Datagrams) -> u64 {
        (line.receive_buffer().1 as u64 / 4 * 3).min(self.reorder_window as u64)
    }

    /// The sockets of one line.
    fn line(&self, endpoint: &UdpEndpoint, at: u8) -> Result<Datagrams, Error> {
        let interface = Interface::find(endpoint.interface.as_deref(), endpoint.address.ip())?;
        let data = self.data_socket(endpoint, &interface)?;
        // What comes to the control socket comes one by one, and is not worth polling a card for.
        let options =
            SocketOptions { receive_buffer: CONTROL_BUFFER, busy_poll: Duration::ZERO, ..self.socket() };
        let control = UdpSocket::control(&interface, &options)?;
        let (asked, granted) = (data.asked_receive_buffer(), data.granted_receive_buffer());
        if granted < asked {
            tracing::warn!(
                asked,
                granted,
                "the kernel grants a smaller receive buffer: raise net.core.rmem_max"
            );
        }
        let faults = (!self.faults.is_none()).then(|| FaultInjector::new(self.faults.for_line(at)));
        let history = HistorySettings {
            stream: endpoint.stream,
            receiver: ReceiverId(random()?),
            silence: self.silence,
            seed: random()?,
        };
        let history = History::new(history);
        let line = Datagrams::new((data, control), self.tuning.wait != Wait::Spin, (faults, history))?;
        Ok(if endpoint.join { line.joining() } else { line })
    }

    fn data_socket(&self, endpoint: &UdpEndpoint, interface: &Interface) -> Result<UdpSocket, Error> {
        let (ip, port) = (endpoint.address.ip(), endpoint.address.port());
        let address = interface.scoped(ip, port);
        let socket = if endpoint.join {
            // The address is the publisher's: what it sends comes to wherever it is asked from.
            UdpSocket::unicast_data(interface.scoped(interface.address, 0), interface, &self.socket())
        } else if endpoint.is_multicast() {
            UdpSocket::multicast_data(&SubscriberSocket {
                group: address,
                source: endpoint.source,
                interface: interface.clone(),
                options: self.socket(),
            })
        } else {
            UdpSocket::unicast_data(address, interface, &self.socket())
        };
        Ok(socket?)
    }

    fn socket(&self) -> SocketOptions {
        SocketOptions {
            receive_buffer: self.receive_buffer.unwrap_or(RECEIVE_BUFFER),
            busy_poll: self.tuning.busy_poll,
            segmentation: self.tuning.segmentation,
        }
    }

    fn stream(
        &self,
        endpoint: TcpEndpoint,
        receiver: ReceiverId,
        clock: &Clock,
    ) -> Result<(Inlet, SubscriptionSettings), Error> {
        let (stream, topics) = (endpoint.stream, endpoint.topics.clone());
        let connection = self.connection(endpoint, (receiver, self.start), clock)?;
        let settings = ReceiverSettings {
            unicast: true,
            connected: true,
            // A report for each quarter of it; what is under way is the kernel's to bound.
            window: self.reorder_window as u64,
            ..self.receiver(stream, receiver)?
        };
        Ok((Inlet::Stream(Box::new(connection)), self.subscription(settings, topics)))
    }

    fn connection(
        &self,
        endpoint: TcpEndpoint,
        (receiver, start): (ReceiverId, Start),
        clock: &Clock,
    ) -> Result<Stream, Error> {
        let TcpEndpoint { host, port, stream, topics } = endpoint;
        let wish = Wish { stream, receiver, start, observer: self.observer, topics };
        if !wish.write(&mut Vec::new(), None) {
            return Err(topics::too_long(&wish.topics));
        }
        let link = LinkSettings {
            host,
            port,
            receive_buffer: self.receive_buffer,
            backoff: (self.reconnect.min, self.reconnect.max),
            limit: self.reconnect.limit,
            silence: self.silence,
            seed: random()?,
        };
        let link = Link::open(link, clock.now())?;
        Ok(Stream::new(link, wish))
    }

    /// What a receiver is told, however it hears.
    fn receiver(&self, stream: StreamId, receiver: ReceiverId) -> Result<ReceiverSettings, Error> {
        Ok(ReceiverSettings {
            order: self.order,
            repair: self.repair,
            observer: self.observer,
            reorder_window: self.reorder_window,
            guard_time: self.guard_time,
            repair_timeout: self.repair_timeout,
            silence: self.silence,
            sources: self.sources,
            ..ReceiverSettings::new(stream, receiver, random()?)
        })
    }

    fn subscription(&self, settings: ReceiverSettings, topics: Vec<Vec<u8>>) -> SubscriptionSettings {
        SubscriptionSettings { topics, conflate: self.conflate, ..SubscriptionSettings::new(settings) }
    }
}
