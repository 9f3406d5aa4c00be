//! A socket's place in a multicast group.

use std::io;
use std::net::IpAddr;

use socket2::Socket;

use super::backend;
use super::interface::Interface;

/// One group joined on one interface, for all its sources or for one alone (SSM).
#[derive(Debug)]
pub(super) struct Membership {
    /// The group.
    pub(super) group: IpAddr,
    /// The one source that is heard.
    pub(super) source: Option<IpAddr>,
    /// Where it is joined.
    pub(super) interface: Interface,
}

impl Membership {
    /// Tells the system, which tells the network, that the socket wants the group.
    pub(super) fn join(&self, socket: &Socket) -> io::Result<()> {
        match (self.group, self.source, self.interface.address) {
            (group, Some(source), _) => backend::join_source(socket, group, source, &self.interface),
            (IpAddr::V4(group), None, IpAddr::V4(on)) => socket.join_multicast_v4(&group, &on),
            (IpAddr::V6(group), None, _) => socket.join_multicast_v6(&group, self.interface.index),
            (IpAddr::V4(_), None, IpAddr::V6(_)) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Undoes [`Membership::join`].
    pub(super) fn leave(&self, socket: &Socket) -> io::Result<()> {
        match (self.group, self.source, self.interface.address) {
            (group, Some(source), _) => backend::leave_source(socket, group, source, &self.interface),
            (IpAddr::V4(group), None, IpAddr::V4(on)) => socket.leave_multicast_v4(&group, &on),
            (IpAddr::V6(group), None, _) => socket.leave_multicast_v6(&group, self.interface.index),
            (IpAddr::V4(_), None, IpAddr::V6(_)) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
