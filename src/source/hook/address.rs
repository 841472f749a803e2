//! Addresses of mail and of hosts.

use std::net::{IpAddr, SocketAddr};

/// The domain of a mail address, in lower case: what follows the last `@`.
pub(super) fn domain(address: &str) -> Option<String> {
    let (_, domain) = address.rsplit_once('@')?;
    let domain = domain.trim_end_matches('>').trim_end_matches('.').trim();
    (!domain.is_empty()).then(|| domain.to_lowercase())
}

/// A mail address without angle brackets. The empty sender, `<>`, has no address.
pub(super) fn mail(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text).trim();
    (!inner.is_empty()).then_some(inner)
}

/// An IP address without a port and brackets.
pub(super) fn ip(text: &str) -> Option<String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical().to_string());
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    inner.parse::<IpAddr>().ok().map(|address| address.to_canonical().to_string())
}
