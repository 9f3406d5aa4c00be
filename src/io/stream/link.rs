//! The life of a connection: dialled, made, over, and dialled again.

use core::mem::replace;
use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use mio::net::TcpStream;

use super::ConnectionStats;
use super::LinkSettings;
use super::addresses::Addresses;
use super::backoff::Backoff;
use super::connection::Connection;
use super::connection::is_connected;
use super::connection::set_options;
use super::fault::Cause;
use super::fault::LinkFault;
use super::inflow::Inflow;
use super::outflow::Outflow;
use crate::io::poll::Poller;
use crate::time::Time;
use crate::wire::CloseReason;

const TOKEN: usize = 0;
/// How long a host may take to answer before its next address is tried.
const ANSWER: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) enum State {
    /// Until then.
    Waiting(Time),
    /// The host has not answered yet; it may until then.
    Connecting(TcpStream, Time),
    Connected(Connection),
}

/// A connection to the publisher at one of the addresses of a host, or the next attempt at one.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) state: State,
    pub(super) addresses: Addresses,
    pub(super) backoff: Backoff,
    pub(super) limit: Option<u32>,
    pub(super) silence: Duration,
    pub(super) receive_buffer: Option<usize>,
    pub(super) peer: SocketAddr,
    pub(super) inflow: Inflow,
    pub(super) current: Range<usize>,
    pub(super) outflow: Outflow,
    /// The connection has to go, once those who were handed its bytes are done with them.
    pub(super) doubt: Option<Cause>,
    pub(super) poller: Poller,
    pub(super) stats: ConnectionStats,
}

impl Link {
    /// Looks the host up and begins to connect.
    ///
    /// # Errors
    ///
    /// [`LinkFault::Unknown`] and [`LinkFault::System`]. That nobody is there is no error yet.
    pub(crate) fn open(settings: LinkSettings, now: Time) -> Result<Self, LinkFault> {
        let unknown = |host: &str| {
            let host = host.to_owned();
            move |error| LinkFault::Unknown { host, error }
        };
        let addresses = Addresses::find(&settings.host, settings.port).map_err(unknown(&settings.host))?;
        let peer = addresses.current();
        let poller = Poller::new().map_err(|error| LinkFault::System { doing: "opening a poll", error })?;
        let mut link = Self {
            state: State::Waiting(now),
            addresses,
            backoff: Backoff::new(settings.backoff, settings.seed),
            limit: settings.limit,
            silence: settings.silence,
            receive_buffer: settings.receive_buffer,
            peer,
            inflow: Inflow::new(),
            current: 0..0,
            outflow: Outflow::default(),
            doubt: None,
            poller,
            stats: ConnectionStats::default(),
        };
        link.dial(now);
        Ok(link)
    }

    /// Goes on: reads what came, or works on the connection; whether there is news. Only when every message read was
    /// taken.
    ///
    /// # Errors
    ///
    /// What the user has to know. Called again, it tries again.
    pub(crate) fn fill(&mut self, now: Time) -> Result<bool, LinkFault> {
        if let Some(cause) = self.doubt.take() {
            return self.end(now, cause).map(|()| true);
        }
        match &mut self.state {
            State::Waiting(until) if now < *until => Ok(false),
            State::Waiting(_) => {
                self.dial(now);
                Ok(false)
            }
            State::Connecting(socket, until) => match is_connected(socket) {
                Ok(true) => self.begin(now).map(|()| true),
                Ok(false) if now < *until => Ok(false),
                Ok(false) => self.end(now, Cause::Failed(ErrorKind::TimedOut.into())).map(|()| true),
                Err(error) => self.end(now, Cause::Failed(error)).map(|()| true),
            },
            State::Connected(connection) if !connection.may_hold => Ok(false),
            State::Connected(_) => self.read(now),
        }
    }

    fn dial(&mut self, now: Time) {
        self.addresses.refresh();
        self.peer = self.addresses.current();
        self.stats.attempts += 1;
        let connect = |poller: &Poller| {
            let mut socket = TcpStream::connect(self.peer)?;
            set_options(&socket, self.receive_buffer)?;
            poller.add_stream(&mut socket, TOKEN).map(|()| socket)
        };
        match connect(&self.poller) {
            Ok(socket) => {
                self.state = State::Connecting(socket, now + ANSWER);
            }
            Err(error) => self.doubt = Some(Cause::Failed(error)),
        }
    }

    /// The host has answered.
    fn begin(&mut self, now: Time) -> Result<(), LinkFault> {
        let State::Connecting(mut socket, _) = replace(&mut self.state, State::Waiting(now)) else {
            return Ok(());
        };
        if let Err(error) = self.poller.watch_stream(&mut socket, TOKEN, false) {
            return self.end(now, Cause::Failed(error));
        }
        self.stats.connects += 1;
        tracing::info!(publisher = %self.peer, again = self.stats.reconnects(), "connected");
        self.state = State::Connected(Connection {
            socket,
            heard_at: now,
            is_mute: true,
            is_proved: false,
            has_ended: false,
            may_hold: true,
            is_empty: false,
            watches_room: false,
        });
        Ok(())
    }

    fn read(&mut self, now: Time) -> Result<bool, LinkFault> {
        let State::Connected(connection) = &mut self.state else { return Ok(false) };
        let read = self.inflow.read(&mut connection.socket);
        let written = self.outflow.flush(&mut connection.socket);
        match read {
            // However little it was, the end of the connection may have come along with it, of which the poll has told already.
            Ok(bytes) => {
                (connection.heard_at, connection.is_empty) = (now, false);
                self.stats.bytes += bytes as u64;
                self.watch_room().map_or_else(|error| self.end(now, Cause::Cut(error)), Ok)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                (connection.may_hold, connection.is_empty) = (false, true);
                if now.since(connection.heard_at) >= self.silence {
                    return self.end(now, Cause::Silent).map(|()| true);
                }
                match written.and_then(|()| self.watch_room()) {
                    Ok(()) => Ok(false),
                    Err(error) => self.end(now, Cause::Cut(error)).map(|()| true),
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => self.end(now, Cause::Cut(error)).map(|()| true),
        }
    }

    /// The poll tells of room for writing only while something waits for it.
    pub(super) fn watch_room(&mut self) -> io::Result<()> {
        let State::Connected(connection) = &mut self.state else { return Ok(()) };
        let waits = !self.outflow.is_empty();
        if waits != connection.watches_room {
            self.poller.watch_stream(&mut connection.socket, TOKEN, waits)?;
            connection.watches_room = waits;
        }
        Ok(())
    }

    /// A connection, or the attempt at one, is over: what comes next, and when.
    fn end(&mut self, now: Time, cause: Cause) -> Result<(), LinkFault> {
        let state = replace(&mut self.state, State::Waiting(now));
        self.inflow.clear();
        self.outflow.clear();
        self.current = 0..0;
        let is_proved = matches!(&state, State::Connected(connection) if connection.is_proved);
        let is_expected = matches!(&state, State::Connected(connection) if connection.has_ended);
        drop(state);
        self.count(&cause);
        let is_round = if is_proved && !matches!(cause, Cause::Damaged(_)) {
            self.addresses.succeed();
            self.backoff.succeed();
            true
        } else {
            let is_round = self.addresses.fail();
            if is_round {
                self.backoff.fail();
            }
            is_round
        };
        self.state = State::Waiting(if is_round { self.backoff.next(now) } else { now });
        self.tell(cause, is_round, is_expected)
    }

    const fn count(&mut self, cause: &Cause) {
        let which = match cause {
            Cause::Failed(_) => return,
            Cause::Cut(_) => None,
            Cause::Silent => Some(&mut self.stats.silent),
            Cause::Damaged(_) => Some(&mut self.stats.damaged),
            Cause::Closed(_) => Some(&mut self.stats.closed),
        };
        if let Some(which) = which {
            *which += 1;
        }
        self.stats.cuts += 1;
    }

    fn tell(&mut self, cause: Cause, is_round: bool, is_expected: bool) -> Result<(), LinkFault> {
        let address = self.peer;
        match cause {
            Cause::Closed(CloseReason::Stream) => return Err(LinkFault::NoStream { address }),
            Cause::Closed(CloseReason::Broken) => return Err(LinkFault::Broken { address }),
            _ => {}
        }
        let failures = self.backoff.failures();
        let is_failure = matches!(cause, Cause::Failed(_));
        let error = cause.into_error();
        if is_round && failures > 0 && self.limit.is_some_and(|limit| failures >= limit) {
            self.backoff.succeed();
            let host = self.addresses.name();
            return Err(LinkFault::Unreachable { host, rounds: failures, error });
        }
        if is_failure {
            tracing::debug!(%address, %error, failures, "no connection to the publisher yet");
        } else if is_expected {
            tracing::debug!(%address, %error, "the publisher has ended, and the connection with it");
        } else {
            tracing::warn!(%address, %error, "the connection to the publisher is over; it will be made again");
        }
        Ok(())
    }
}
