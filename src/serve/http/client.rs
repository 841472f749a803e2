//! Who asks: the other end of the connection. What headers say of it is never believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What limits count as one client: an IPv4 address, or the 64 bits of an IPv6 address that one site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

/// An address, an IPv4 one as itself even where it comes as IPv6.
pub(crate) fn address(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

impl From<SocketAddr> for Client {
    fn from(peer: SocketAddr) -> Self {
        match address(peer) {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            v4 => Self(v4),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_site_is_one_client() {
        let client = |text: &str| Client::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(client("192.0.2.1:1"), client("192.0.2.1:2"));
        assert_ne!(client("192.0.2.1:1"), client("192.0.2.2:1"));
        assert_eq!(client("[::ffff:192.0.2.1]:1"), client("192.0.2.1:1"));
        assert_eq!(client("[2001:db8::1]:1"), client("[2001:db8::ffff:2]:1"));
        assert_ne!(client("[2001:db8::1]:1"), client("[2001:db8:0:1::1]:1"));
    }
}
