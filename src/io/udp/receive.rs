//! The receiving half of a socket: reads into a pool, and sleeps until there is something to read.

use std::io;
use std::io::ErrorKind;
use std::time::Duration;

use super::UdpSocket;
use crate::io::backend;
use crate::io::errors::ErrorCounts;
use crate::io::pool::Pool;

/// How many errors in a row one read passes over.
const MOST_HEARSAY: usize = 64;

impl UdpSocket {
    /// Reads what has arrived into the pool and says how many of its buffers hold something; 0 when nothing has.
    /// While the pool still holds datagrams that were not taken it reads nothing, so none is overwritten.
    ///
    /// # Errors
    ///
    /// What the system said, if that concerns the socket itself and not some earlier datagram.
    pub(crate) fn receive(&self, pool: &mut Pool) -> io::Result<usize> {
        self.read(pool, false)
    }

    /// As [`UdpSocket::receive`], but sleeps until something arrives, as long as
    /// [reads may](Self::let_reads_sleep): one system call in place of three. A signal may end it with nothing.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::receive`].
    pub(crate) fn receive_asleep(&self, pool: &mut Pool) -> io::Result<usize> {
        self.read(pool, true)
    }

    /// Lets [`UdpSocket::receive_asleep`] sleep for so long; whether this system can.
    ///
    /// # Errors
    ///
    /// What the system said to the socket's options.
    pub(crate) fn let_reads_sleep(&self, at_most: Duration) -> io::Result<bool> {
        self.kernel.let_reads_sleep(&self.inner, at_most)
    }

    fn read(&self, pool: &mut Pool, waits: bool) -> io::Result<usize> {
        if !pool.is_drained() {
            return Ok(pool.filled());
        }
        let mut passed_over = 0;
        loop {
            match pool.refill(|slots| self.kernel.recv_many(&self.inner, slots, waits)) {
                Ok(filled) => {
                    pool.take_overflow().into_iter().for_each(|told| self.drops.learn(told));
                    return Ok(filled);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted && waits => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if backend::is_hearsay(&error) && passed_over < MOST_HEARSAY => {
                    self.kernel.drain_errors(&self.inner);
                    self.count_receive_error(&error);
                    passed_over += 1;
                }
                Err(error) if is_short_of_memory(&error) => {
                    self.count_receive_error(&error);
                    if passed_over == MOST_HEARSAY {
                        // What has arrived waits for the next datagram, a heartbeat's time at most.
                        return Ok(0);
                    }
                    passed_over += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn count_receive_error(&self, error: &io::Error) {
        if self.receive_errors.count(error) {
            tracing::debug!(%error, local = %self.local, "while receiving; more of the same are only counted");
        }
    }

    /// What the network reported about earlier datagrams, by kind, since the socket was opened.
    #[must_use]
    pub(crate) fn receive_errors(&self) -> ErrorCounts {
        self.receive_errors.snapshot()
    }

    /// How many datagrams were dropped since opening because the receive buffer was full; never goes back.
    /// It asks the system (0.4 µs). 0 where the system does not say.
    pub(crate) fn kernel_drops(&self) -> u64 {
        self.kernel.drops(&self.inner).into_iter().for_each(|told| self.drops.learn(told));
        self.drops.total()
    }
}

/// Whether the system is out of memory for the moment, which passes: what has arrived is still there.
fn is_short_of_memory(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    error.kind() == ErrorKind::OutOfMemory
        || cfg!(target_os = "linux") && error.raw_os_error() == Some(ENOBUFS)
}
