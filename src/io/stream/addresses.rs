//! The addresses that a name stands for, one after the other.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;

/// The most addresses of one name that are tried.
const MOST: usize = 16;

/// A host, and its addresses in turn: a round is over when each was tried.
#[derive(Debug)]
pub(super) struct Addresses {
    host: String,
    port: u16,
    found: Vec<SocketAddr>,
    /// The one being tried, or tried next, and its place among them.
    current: SocketAddr,
    at: usize,
    /// How many of this round were tried.
    tried: usize,
}

impl Addresses {
    /// Looks `host` up.
    ///
    /// # Errors
    ///
    /// What the system's resolver said; `NotFound` when it knows no address.
    pub(super) fn find(host: &str, port: u16) -> io::Result<Self> {
        let found = look_up(host, port)?;
        let current = *found.first().ok_or(ErrorKind::NotFound)?;
        Ok(Self { host: host.to_owned(), port, found, current, at: 0, tried: 0 })
    }

    pub(super) const fn current(&self) -> SocketAddr {
        self.current
    }

    /// The host and the port, as a user writes them.
    pub(super) fn name(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Goes on to the next address; whether this was the last of the round.
    pub(super) fn fail(&mut self) -> bool {
        self.turn_to(self.at + 1);
        self.tried += 1;
        let is_over = self.tried >= self.found.len();
        if is_over {
            self.tried = 0;
        }
        is_over
    }

    fn turn_to(&mut self, at: usize) {
        self.at = at % self.found.len().max(1);
        self.current = self.found.get(self.at).copied().unwrap_or(self.current);
    }

    /// The current one works: the next round starts with it.
    pub(super) const fn succeed(&mut self) {
        self.tried = 0;
    }

    /// Looks the name up again, before a new round; the address being tried stays the first if it is still one.
    pub(super) fn refresh(&mut self) {
        if self.tried > 0 || self.host.parse::<IpAddr>().is_ok() {
            return;
        }
        match look_up(&self.host, self.port) {
            Ok(found) => {
                let at = found.iter().position(|one| *one == self.current).unwrap_or(0);
                self.found = found;
                self.turn_to(at);
            }
            Err(error) => tracing::warn!(host = self.host, %error, "looking the publisher's name up again"),
        }
    }
}

fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in (host, port).to_socket_addrs()?.take(MOST) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_tries_each_address_once_and_the_next_starts_where_one_worked() {
        let found: Vec<SocketAddr> = (1..=3).map(|n| SocketAddr::from(([127, 0, 0, n], 9))).collect();
        let mut addresses = Addresses::find("127.0.0.1", 9).unwrap();
        addresses.found.clone_from(&found);
        let round = |addresses: &mut Addresses| {
            let mut tried = Vec::new();
            loop {
                tried.push(addresses.current());
                if addresses.fail() {
                    return tried;
                }
            }
        };
        assert_eq!(round(&mut addresses), found);
        addresses.fail();
        addresses.succeed();
        assert_eq!(round(&mut addresses), [found[1], found[2], found[0]]);
    }

    #[test]
    fn an_address_is_looked_up_without_asking_anybody() {
        let addresses = Addresses::find("::1", 7).unwrap();
        assert_eq!(addresses.found, ["[::1]:7".parse().unwrap()]);
        assert_eq!(addresses.name(), "[::1]:7");
        assert!(Addresses::find("no\0name", 7).is_err());
    }
}
