//! The identity of a client: the address of its connection. Headers such as `X-Forwarded-For` are ignored.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A client for the purpose of limits: an IPv4 address, or the /64 network of an IPv6 address, which belongs to one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

/// Returns the address of a peer. An IPv4-mapped IPv6 address is returned as IPv4.
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

impl Display for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_of_one_site_is_one_client() {
        let client = |text: &str| Client::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(client("192.0.2.1:1"), client("192.0.2.1:2"));
        assert_ne!(client("192.0.2.1:1"), client("192.0.2.2:1"));
        assert_eq!(client("[::ffff:192.0.2.1]:1"), client("192.0.2.1:1"));
        assert_eq!(client("[2001:db8::1]:1"), client("[2001:db8::ffff:2]:1"));
        assert_ne!(client("[2001:db8::1]:1"), client("[2001:db8:0:1::1]:1"));
        let texts = ["192.0.2.1:1", "[::ffff:192.0.2.1]:1", "[2001:db8::1]:1"].map(|text| client(text).to_string());
        assert_eq!(texts, ["192.0.2.1", "192.0.2.1", "2001:db8::/64"]);
    }
}
