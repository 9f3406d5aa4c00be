//! The token that proves an address without a table.

use core::hash::Hasher;
use core::net::IpAddr;
use core::net::SocketAddr;

use siphasher::sip::SipHasher24;

use crate::wire::ReceiverId;
use crate::wire::Token;

/// The token of `receiver` at `address`: SipHash-2-4 under `secret` of the address (as IPv6), the port and the id.
/// Only who hears at that address can know it. It is never 0, which stands for none.
pub(super) fn token(secret: [u64; 2], address: SocketAddr, receiver: ReceiverId) -> Token {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let mut hasher = SipHasher24::new_with_keys(secret[0], secret[1]);
    hasher.write(&ip);
    hasher.write(&address.port().to_le_bytes());
    hasher.write(&receiver.0.to_le_bytes());
    Token(hasher.finish().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_address_port_receiver_and_secret() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let base = token([1, 2], at("10.0.0.1:5"), ReceiverId(7));
        assert_eq!(base, token([1, 2], at("10.0.0.1:5"), ReceiverId(7)));
        assert_eq!(base, token([1, 2], at("[::ffff:10.0.0.1]:5"), ReceiverId(7)), "one host, two spellings");
        assert_ne!(base, token([1, 3], at("10.0.0.1:5"), ReceiverId(7)));
        assert_ne!(base, token([1, 2], at("10.0.0.2:5"), ReceiverId(7)));
        assert_ne!(base, token([1, 2], at("10.0.0.1:6"), ReceiverId(7)));
        assert_ne!(base, token([1, 2], at("10.0.0.1:5"), ReceiverId(8)));
    }
}
