//! One message a datagram: the control of everything that is timed.

use std::net::UdpSocket;

use harness::Heard;
use harness::Options;
use harness::Publish;
use harness::Receive;
use harness::Received;
use harness::Result;
use harness::Sent;
use harness::Wait;
use harness::system;

use crate::sockets;

/// Either side.
pub(crate) struct One {
    socket: UdpSocket,
    buffer: Box<[u8]>,
    wait: Wait,
}

impl One {
    pub(crate) fn sending(options: &Options) -> Result<Self> {
        Ok(Self { socket: sockets::sender(options)?, buffer: Box::default(), wait: options.wait })
    }

    pub(crate) fn receiving(options: &Options) -> Result<Self> {
        let buffer = vec![0; 65_536].into_boxed_slice();
        Ok(Self { socket: sockets::receiver(options)?, buffer, wait: options.wait })
    }
}

impl Publish for One {
    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<()> {
        self.socket.send(message)?;
        Ok(())
    }

    fn finish(&mut self) -> Result<Sent> {
        Ok(Sent::default())
    }
}

impl Receive for One {
    #[inline]
    fn receive<F: FnMut(&[u8])>(&mut self, mut each: F) -> Result<Received> {
        let Some(message) = system::receive_one(&self.socket, &mut self.buffer, self.wait)? else {
            return Ok(Received::Nothing);
        };
        each(message);
        Ok(Received::Some)
    }

    fn counters(&self) -> Heard {
        Heard::default()
    }
}
