//! Opening a subscriber.

use core::time::Duration;

use crate::config::SubscriberBuilder;
use crate::config::Wait;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::io::Clock;
use crate::io::Interface;
use crate::io::SocketOptions;
use crate::io::SubscriberSocket;
use crate::io::UdpSocket;
use crate::protocol::ReceiverSettings;
use crate::protocol::Subscription;
use crate::protocol::SubscriptionSettings;
use crate::publisher::random;
use crate::sim::FaultInjector;
use crate::subscriber::Subscriber;
use crate::subscriber::socket::Inlet;
use crate::wire::ReceiverId;

/// The control socket only takes answers to this one subscriber.
const CONTROL_BUFFER: usize = 2 << 20;

impl SubscriberBuilder {
    /// Opens the subscriber: binds its sockets and joins the group.
    ///
    /// # Errors
    ///
    /// [`Error`] names the setting, the interface or the port, and what to do about it.
    pub fn open(self) -> Result<Subscriber, Error> {
        let endpoint = self.check()?;
        let interface = Interface::find(endpoint.interface.as_deref(), endpoint.address.ip())?;
        let data = self.data_socket(&endpoint, &interface)?;
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
        let receiver = ReceiverId(random()?);
        let settings = self.subscription(&endpoint, receiver, granted)?;
        let faults = (!self.faults.is_none()).then(|| FaultInjector::new(self.faults));
        let (clock, inlet) =
            (Clock::start(), Inlet::new((data, control), self.tuning.wait != Wait::Spin, faults)?);
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
        })
    }

    fn data_socket(&self, endpoint: &Endpoint, interface: &Interface) -> Result<UdpSocket, Error> {
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

    const fn socket(&self) -> SocketOptions {
        SocketOptions {
            receive_buffer: self.receive_buffer,
            busy_poll: self.tuning.busy_poll,
            segmentation: self.tuning.segmentation,
        }
    }

    fn subscription(
        &self,
        endpoint: &Endpoint,
        receiver: ReceiverId,
        granted: usize,
    ) -> Result<SubscriptionSettings, Error> {
        let settings = ReceiverSettings {
            order: self.order,
            repair: self.repair,
            observer: self.observer,
            unicast: !endpoint.is_multicast(),
            // A quarter of the buffer is left for what the charge of a datagram does not foresee. No more than can be
            // held: what is under way has passed out of the processor's caches by then (twice as much: 30 % less at 1 KiB).
            window: (granted as u64 / 4 * 3).min(self.reorder_window as u64),
            reorder_window: self.reorder_window,
            guard_time: self.guard_time,
            repair_timeout: self.repair_timeout,
            silence: self.silence,
            sources: self.sources,
            ..ReceiverSettings::new(endpoint.stream, receiver, random()?)
        };
        Ok(SubscriptionSettings {
            topics: self.topics.clone(),
            conflate: self.conflate,
            ..SubscriptionSettings::new(settings)
        })
    }
}
