//! What goes over a connection: messages in, reports out, and the wait for either.

use std::io;
use std::net::Shutdown;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

use super::ConnectionStats;
use super::connection;
use super::fault::Cause;
use super::link::Link;
use super::link::State;
use crate::io::clock::Clock;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Header;
use crate::wire::Kind;

/// Reads that a connection is emptied with before it is closed: with bytes unread the kernel would reset it, and the
/// other side might lose what it was told last.
const LAST_READS: usize = 64;

impl Link {
    /// The bytes of the message taken last.
    #[inline]
    pub(crate) fn current(&self) -> &[u8] {
        self.inflow.bytes(self.current.clone())
    }

    /// The next message of what was read, and who sent it. A CLOSE is not handed out.
    pub(crate) fn next_message(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.current = 0..0;
        if self.doubt.is_some() {
            return None;
        }
        match self.inflow.next_message() {
            Ok(message) => self.current = message?,
            Err(error) => {
                self.doubt = Some(Cause::Damaged(Some(error)));
                return None;
            }
        }
        let kind = Header::peek(self.current()).map(|(kind, _)| kind);
        if kind == Some(Kind::Close) {
            self.doubt = Some(closed(self.current()));
            self.current = 0..0;
            return None;
        }
        if let State::Connected(connection) = &mut self.state {
            connection.is_proved = true;
            connection.has_ended |= kind == Some(Kind::End);
        }
        Some((self.peer, self.inflow.bytes(self.current.clone())))
    }

    /// What was handed out last is no message: nothing behind it is believed either.
    pub(crate) fn distrust(&mut self) {
        self.doubt.get_or_insert(Cause::Damaged(None));
        self.inflow.clear();
    }

    /// Whether a connection was made that was not greeted yet.
    pub(crate) const fn is_mute(&self) -> bool {
        matches!(&self.state, State::Connected(connection) if connection.is_mute)
    }

    /// Sends the greeting, which nothing may come before, or another one; false when there is no connection, or no room
    /// yet.
    pub(crate) fn greet(&mut self, hello: &[u8]) -> bool {
        let State::Connected(connection) = &mut self.state else { return false };
        if !self.outflow.has_room() {
            return false;
        }
        connection.is_mute = false;
        self.write(hello);
        true
    }

    /// Sends a report, if `to` is who it is connected to; what finds no room is left out, and counted.
    pub(crate) fn send(&mut self, to: SocketAddr, message: &[u8]) {
        let is_open = matches!(&self.state, State::Connected(connection) if !connection.is_mute);
        if is_open && to == self.peer {
            self.write(message);
        }
    }

    fn write(&mut self, message: &[u8]) {
        let State::Connected(connection) = &mut self.state else { return };
        if !self.outflow.push(message) {
            self.stats.reports_left_out += 1;
        }
        let written = self.outflow.flush(&mut connection.socket).and_then(|()| self.watch_room());
        if let Err(error) = written {
            // What came before the cut is read first, and then the cut.
            tracing::debug!(%error, "writing to the publisher");
        }
    }

    /// Forgets what is known of the connection, since the system is not asked: it is looked at anew.
    pub(crate) const fn forget(&mut self) {
        if let State::Connected(connection) = &mut self.state {
            connection.may_hold = true;
        }
    }

    /// Whether the last look has found nothing.
    pub(crate) const fn is_surely_empty(&self) -> bool {
        match &self.state {
            State::Connected(connection) => connection.is_empty,
            _ => true,
        }
    }

    /// When it wants to go on although nothing comes.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        Some(match &self.state {
            _ if self.doubt.is_some() => Time::ZERO,
            State::Waiting(until) | State::Connecting(_, until) => *until,
            State::Connected(connection) => connection.heard_at + self.silence,
        })
    }

    pub(crate) fn wait(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<()> {
        let deadline = deadline.into_iter().chain(self.next_timeout()).min();
        self.poller.wait(deadline, clock)?;
        self.forget();
        Ok(())
    }

    pub(crate) fn arm(&mut self, deadline: Option<Time>, clock: &Clock) -> io::Result<()> {
        self.poller.arm(deadline.into_iter().chain(self.next_timeout()).min(), clock)
    }

    /// What was asked for `SO_RCVBUF`, 0 for nothing, and what the kernel has given, 0 without a connection.
    pub(crate) fn receive_buffer(&self) -> (usize, usize) {
        let granted = match &self.state {
            State::Connected(connection) => connection::receive_buffer(&connection.socket),
            _ => 0,
        };
        (self.receive_buffer.unwrap_or(0), granted)
    }

    pub(crate) const fn stats(&self) -> ConnectionStats {
        ConnectionStats { is_connected: matches!(self.state, State::Connected(_)), ..self.stats }
    }
}

impl Drop for Link {
    /// What was said last is to arrive.
    fn drop(&mut self) {
        let State::Connected(connection) = &mut self.state else { return };
        if let Err(error) = connection.socket.shutdown(Shutdown::Write) {
            tracing::debug!(%error, "closing the connection to the publisher");
        }
        for _ in 0..LAST_READS {
            self.inflow.clear();
            if self.inflow.read(&mut connection.socket).is_err() {
                break;
            }
        }
    }
}

#[cfg(unix)]
impl AsFd for Link {
    /// Readable when the connection is, or a timer that was armed is due.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// What a CLOSE says.
fn closed(bytes: &[u8]) -> Cause {
    match Datagram::decode(bytes).map(|datagram| datagram.body) {
        Ok(Body::Close(close)) => close.reason().map_or(Cause::Damaged(None), Cause::Closed),
        Ok(_) => Cause::Damaged(None),
        Err(error) => Cause::Damaged(Some(error)),
    }
}
