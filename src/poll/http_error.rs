//! Conversion of the HTTP client's errors to poll errors: short, and without URLs.

use super::PollError;
use super::client_builder::CONNECT_TIMEOUT;
use crate::net::{AUTHORITY_AS_SERVER, is_authority_as_server, masked_url, root_cause};
use crate::source::quote;
use http::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::StatusCode;
use std::error::Error;
use std::io::{self, ErrorKind};

/// The beginning of hyper-util's error if a proxy does not connect to the server.
const TUNNEL_ERROR: &str = "tunnel error";

/// Returns true if the server closed the connection before it responded. On a reused connection this is not a failure, and the request
/// can safely be repeated.
pub(super) fn was_closed(error: &reqwest::Error) -> bool {
    let by_hyper =
        |cause: &(dyn Error + 'static)| cause.downcast_ref::<hyper::Error>().is_some_and(|e| e.is_incomplete_message() || e.is_canceled());
    // Data sent into a closed connection results in a reset.
    let by_reset = |cause: &(dyn Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe))
    };
    !error.is_connect() && !is_tls(error) && causes(error).any(|cause| by_hyper(cause) || by_reset(cause))
}

/// The poll error of a request that got no response. `proxy` is its URL.
pub(super) fn before_response(error: &reqwest::Error, scheme: &str, proxy: Option<&str>) -> PollError {
    if is_tls(error) {
        // The server responds, but not with TLS.
        if causes(error).any(is_not_tls) {
            let cause = last_cause(error);
            return PollError::Tls(format!("{cause}; if the server does not use TLS on this port, use http in the url"));
        }
        let cause = last_cause(error);
        let hint = if is_authority_as_server(&cause) { format!("; {AUTHORITY_AS_SERVER}") } else { String::new() };
        return PollError::Tls(format!("{cause}{hint}"));
    }
    if let Some(proxy) = proxy.filter(|_| error.is_connect()) {
        let proxy = masked_url(proxy);
        let cause = if error.is_timeout() { format!("no connection within {CONNECT_TIMEOUT:?}") } else { last_cause(error) };
        return PollError::Connect(match cause.starts_with(TUNNEL_ERROR) {
            true => format!("the proxy {proxy} did not connect to the server: {cause}; check proxy"),
            false => format!("cannot connect through the proxy {proxy}: {cause}; check proxy"),
        });
    }
    if error.is_timeout() {
        return PollError::Connect(format!("no connection within {CONNECT_TIMEOUT:?}"));
    }
    if causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) {
        let hint = if scheme == "http" { "; if this is a TLS port, use https in the url" } else { "" };
        return PollError::Malformed(format!("the response is not valid HTTP: {}{hint}", last_cause(error)));
    }
    PollError::Connect(last_cause(error))
}

/// The poll error of a response that ended too early.
pub(super) fn in_response(error: &reqwest::Error) -> PollError {
    PollError::Connect(format!("the connection broke during the response: {}", last_cause(error)))
}

/// The poll error of compressed data that is invalid or incomplete.
pub(super) fn broken_compression(error: &io::Error) -> PollError {
    PollError::Malformed(format!("the compression of the response is broken: {}", last_cause(error)))
}

/// The poll error of a compression that was not requested.
pub(super) fn unsupported_compression(coding: &str) -> PollError {
    PollError::Malformed(format!(
        "the response has Content-Encoding: {coding}, but only gzip was requested; let the server or the proxy in front of it send that"
    ))
}

/// The advice for a status that no server is expected to respond with.
pub(super) fn general_status_hint(status: StatusCode, scheme: &str) -> &'static str {
    match status.as_u16() {
        // Several servers respond with this to plain HTTP on a TLS port.
        400 if scheme == "http" => "the server does not understand the request; if this is a TLS port, use https in the url",
        304 => "nothing has changed, but the request has no condition; check the cache or proxy in front of the server",
        300..=399 => "redirects are not followed; set url to the final address",
        500..=599 => "the server or a proxy in front of it has a problem; check its log",
        _ => "this is not a response of the expected API; check the url",
    }
}

/// A response that rejects the credential: its status, and that Postmeter does not support the authentication that it requires, if so.
pub(super) fn rejection(status: StatusCode, headers: &HeaderMap) -> String {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let challenges = challenges.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect::<Vec<_>>().concat();
    let has = |scheme| challenges.contains(scheme);
    let hint = if has("digest") && !has("basic") && !has("bearer") { ", it requires Digest; Basic and Bearer are supported" } else { "" };
    format!("{}{hint}", status.as_u16())
}

/// The last cause of an error, which is the specific one. It has no URL, and is cut if it is long: a TLS error lists all names of a
/// certificate, which may be hundreds.
pub(super) fn last_cause(error: &(dyn Error + 'static)) -> String {
    quote(&root_cause(error))
}

fn is_not_tls(cause: &(dyn Error + 'static)) -> bool {
    let error = cause.downcast_ref::<rustls::Error>();
    matches!(error, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        // The error that an I/O error wraps is not its source; the source of an I/O error is that of the wrapped error. TLS errors are
        // wrapped twice.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map_or_else(|| cause.source(), |wrapped| Some(wrapped));
        Some(cause)
    })
}
