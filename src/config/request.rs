//! URLs and headers of outgoing requests.

use super::Secret;
use super::decode::Decoder;
use super::map::Item;
use http::{HeaderName, HeaderValue, header};
use reqwest::Url;

/// Returns `true` if a request to this URL does not leave the machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Parses an HTTP or HTTPS URL with a host and without credentials. Errors do not quote the URL, which may contain a password.
/// `userinfo_hint` is the advice if it does contain credentials.
pub(super) fn http_url(text: &str, userinfo_hint: &str) -> Result<Url, String> {
    if !text.contains("://") {
        return Err("is not a valid URL: it must begin with http:// or https://".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not a valid URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("the scheme {} is not supported; use http or https", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("contains credentials; {userinfo_hint}"));
    }
    Ok(url)
}

/// Words in the names of headers that carry credentials.
const CREDENTIAL_HEADERS: &[&str] = &["authorization", "cookie", "key", "password", "secret", "token"];

/// Returns `true` if a header of this name probably carries a credential.
pub(super) fn carries_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    CREDENTIAL_HEADERS.iter().any(|word| header.contains(word))
}

/// Decodes the headers of a target or an exporter.
pub(super) fn headers(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, item) in decoder.user_map(item) {
        let (secret, value) = decoder.secret(&item, false);
        let checked = check_header_name(name);
        decoder.ok_or_report(&item.location, checked);
        if value.is_some_and(|value| HeaderValue::from_str(&value).is_err()) {
            decoder.report(&item.location, "the value contains a line break or another control character");
        }
        headers.push((name.to_owned(), secret));
    }
    headers
}

/// Checks that a header may be set.
pub(super) fn check_header_name(name: &str) -> Result<(), String> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a valid header name"))?;
    if [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&header) {
        return Err("this header is derived from the request and cannot be set".to_owned());
    }
    Ok(())
}
