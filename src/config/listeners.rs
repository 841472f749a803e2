//! The addresses of all listeners: two of them must not need the same one.

use super::decode::Decoder;
use super::map::Location;
use std::net::{IpAddr, Ipv4Addr};

/// The key of the address of the pull endpoint.
pub(super) const PULL_LISTENER: &str = "export.prometheus.listen";

/// A listener, where its address is configured, and its address.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// The key of the address, such as `health.listen`.
    pub key: &'static str,
    pub location: Location,
    /// The host and port.
    pub address: String,
}

/// Reports each listener that cannot be bound because an earlier one has its address.
pub(super) fn check(decoder: &mut Decoder<'_>) {
    let listeners = std::mem::take(&mut decoder.listeners);
    for (index, listener) in listeners.iter().enumerate() {
        let mut earlier = listeners.iter().take(index);
        let Some(other) = earlier.find(|other| overlap(&other.address, &listener.address)) else { continue };
        let (address, key) = (&listener.address, other.key);
        let taken = if *address == other.address { "is also".to_owned() } else { format!("overlaps {}, which is", other.address) };
        decoder.report(&listener.location, format!("{address} {taken} the address of {key}; choose another port for one of them"));
    }
}

/// Returns `true` if both addresses cannot be bound at the same time.
fn overlap(one: &str, other: &str) -> bool {
    let (Some((one_host, one_port)), Some((other_host, other_port))) = (one.rsplit_once(':'), other.rsplit_once(':')) else { return false };
    let (Ok(one_port), Ok(other_port)) = (one_port.parse::<u16>(), other_port.parse::<u16>()) else { return false };
    // Port 0 is any free port.
    one_port == other_port
        && one_port != 0
        && (one_host.eq_ignore_ascii_case(other_host) || Host::of(one_host).overlaps(&Host::of(other_host)))
}

/// A host to listen on.
enum Host {
    Address(IpAddr),
    /// `127.0.0.1` or, if the machine has it, `[::1]`: the first of them that is free is bound.
    Localhost,
    /// The address of another name is not known.
    Name,
}

impl Host {
    fn of(text: &str) -> Self {
        match text.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) if text.eq_ignore_ascii_case("localhost") => Self::Localhost,
            Err(_) => Self::Name,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let is_unspecified = |host: &Self| matches!(host, Self::Address(address) if address.is_unspecified());
        match (self, other) {
            // `[::]` listens on IPv4 addresses, too, and `0.0.0.0` only on those.
            (Self::Address(IpAddr::V4(_)), Self::Address(IpAddr::V6(six)))
            | (Self::Address(IpAddr::V6(six)), Self::Address(IpAddr::V4(_))) => six.is_unspecified(),
            (Self::Address(one), Self::Address(other)) => one == other || one.is_unspecified() || other.is_unspecified(),
            (Self::Address(address), Self::Localhost) | (Self::Localhost, Self::Address(address)) => {
                *address == IpAddr::V4(Ipv4Addr::LOCALHOST) || address.is_unspecified()
            }
            (Self::Localhost, Self::Localhost) => true,
            (Self::Name, host) | (host, Self::Name) => is_unspecified(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const HOSTS: [&str; 6] = ["127.0.0.1", "0.0.0.0", "[::1]", "[::]", "127.0.0.2", "[::ffff:127.0.0.1]"];

    /// Returns true if both hosts can be bound to the same port, and `None` if this machine lacks one of them. Other processes may occupy a
    /// port of one host only, so that several ports are tried.
    fn can_share_port(one: &str, other: &str) -> Option<bool> {
        const PORTS: usize = 10;
        let share = || {
            // A machine may lack IPv6.
            let bound = TcpListener::bind(format!("{one}:0")).ok()?;
            TcpListener::bind(format!("{other}:0")).ok()?;
            Some(TcpListener::bind(format!("{other}:{}", bound.local_addr().ok()?.port())).is_ok())
        };
        (0..PORTS).map(|_| share()).collect::<Option<Vec<bool>>>().map(|shared| shared.contains(&true))
    }

    #[test]
    fn literal_addresses_overlap_exactly_if_the_second_cannot_be_bound() {
        for one in HOSTS {
            for other in HOSTS {
                let Some(is_free) = can_share_port(one, other) else { continue };
                assert_eq!(overlap(&format!("{one}:1"), &format!("{other}:1")), !is_free, "{one} and {other}");
            }
        }
    }

    #[test]
    fn names_overlap_if_they_are_equal_or_the_other_host_is_every_address() {
        for (one, other, expected) in [
            ("localhost:1", "localhost:1", true),
            ("LOCALHOST:1", "localhost:1", true),
            ("localhost:1", "localhost:2", false),
            ("localhost:0", "localhost:0", false),
            ("localhost:1", "127.0.0.1:1", true),
            ("localhost:1", "[::1]:1", false),
            ("localhost:1", "127.0.0.2:1", false),
            ("localhost:1", "0.0.0.0:1", true),
            ("localhost:1", "192.0.2.1:1", false),
            ("a.example.com:1", "a.example.com:1", true),
            ("a.example.com:1", "b.example.com:1", false),
            ("a.example.com:1", "192.0.2.1:1", false),
            ("a.example.com:1", "[::]:1", true),
            ("0.0.0.0:01", "0.0.0.0:1", true),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }
}
