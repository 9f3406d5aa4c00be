//! Opening a subscriber.

use core::time::Duration;

use crate::config::RECEIVE_BUFFER;
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
        let endpoint = self.check()?;
        let (clock, receiver) = (Clock::start(), ReceiverId(random()?));
        let (inlet, settings) = match endpoint {
            Endpoint::Udp(endpoint) => self.datagrams(&endpoint, receiver)?,
            Endpoint::Tcp(endpoint) => self.stream(endpoint, receiver, &clock)?,
        };
        let (subscription, now, wait) = (Subscription::new(settings), clock.now(), self.tuning.wait);
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
        let settings = ReceiverSettings {
            unicast: !endpoint.is_multicast(),
            // A quarter of the buffer is left for what the charge of a datagram does not foresee. No more than can be
            // held: what is under way has passed out of the processor's caches by then.
            window: (granted as u64 / 4 * 3).min(self.reorder_window as u64),
            beginning: history::beginning(self.start),
            fetches: true,
            ..self.receiver(endpoint.stream, receiver)?
        };
        let faults = (!self.faults.is_none()).then(|| FaultInjector::new(self.faults));
        let history = HistorySettings {
            stream: endpoint.stream,
            receiver: ReceiverId(random()?),
            silence: self.silence,
            seed: random()?,
        };
        let history = History::new(history);
        let inlet = Inlet::Datagrams(Datagrams::new(
            (data, control),
            self.tuning.wait != Wait::Spin,
            (faults, history),
        )?);
        Ok((inlet, self.subscription(settings, self.topics.clone())))
    }

    fn data_socket(&self, endpoint: &UdpEndpoint, interface: &Interface) -> Result<UdpSocket, Error> {
        let (ip, port) = (endpoint.address.ip(), endpoint.address.port());
        let address = interface.scoped(ip, port);
        let socket = if endpoint.is_multicast() {
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
        let TcpEndpoint { host, port, stream, topics } = endpoint;
        let wish = Wish { stream, receiver, start: self.start, observer: self.observer, topics };
        if !wish.write(&mut Vec::new(), None) {
            return Err(topics::too_long(&wish.topics));
        }
        let settings = ReceiverSettings {
            unicast: true,
            connected: true,
            // A report for each quarter of it; what is under way is the kernel's to bound.
            window: self.reorder_window as u64,
            ..self.receiver(stream, receiver)?
        };
        let settings = self.subscription(settings, wish.topics.clone());
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
        Ok((Inlet::Stream(Box::new(Stream::new(link, wish))), settings))
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
