//! What requests are made of, whoever sends them: URLs and headers.

use super::Secret;
use super::decode::{Decoder, Item, Map};
use http::{HeaderName, HeaderValue, header};
use reqwest::Url;

/// Whether a request there stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// An http or https URL with a host and without credentials. The error does not quote what may be a password.
pub(super) fn http_url(text: &str, on_userinfo: &str) -> Result<Url, String> {
    if !text.contains("://") {
        return Err("is no url: it must begin with http:// or https://".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is no url: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("the scheme {} is not known; use http or https", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("has credentials in it; {on_userinfo}"));
    }
    Ok(url)
}

/// Headers, of a target or of an exporter.
pub(super) fn headers(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, item) in decoder.map(item).map(Map::rest).unwrap_or_default() {
        let (secret, value) = decoder.secret(&item, false);
        let checked = header_name(name);
        decoder.noted(&item.place, checked);
        if value.is_some_and(|value| HeaderValue::from_str(&value).is_err()) {
            decoder.problem(&item.place, "the value has a line break or another control character in it");
        }
        headers.push((name.to_owned(), secret));
    }
    headers
}

/// Whether a header may be set.
pub(super) fn header_name(name: &str) -> Result<(), String> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))?;
    if [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&header) {
        return Err("this header is made from the request itself and cannot be set".to_owned());
    }
    Ok(())
}
