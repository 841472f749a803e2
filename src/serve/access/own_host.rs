//! The names under which an open listener on a loopback address serves its pages.
//!
//! A browser of this machine lets a page of another site read this listener if the name of that site resolves to a loopback address (DNS
//! rebinding). Such a request has the name of that site as its `Host`.

use crate::serve::AppState;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap};
use axum::http::uri::{Authority, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// The body of the response to another name.
const OTHER_NAME: &str = "this listener has a loopback address and no authentication, so it serves this page only under names without a dot and by its IP address; use http://localhost:PORT/, let a proxy set the header Host to localhost, or configure auth\n";

/// Rejects a request for another name with 421, if the listener has a loopback address and requires no authentication.
pub(crate) async fn check_own_host(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let is_loopback = app.address.is_some_and(|address| address.ip().to_canonical().is_loopback());
    if is_loopback && app.access.requires_nothing() && !is_own(request.uri(), request.headers()) {
        app.telemetry.access.refused("other_host");
        return (StatusCode::MISDIRECTED_REQUEST, OTHER_NAME).into_response();
    }
    next.run(request).await
}

/// Returns true if the request is for an IP address or a name that no other site can have: `localhost`, or one without a dot.
fn is_own(uri: &Uri, headers: &HeaderMap) -> bool {
    let header = headers.get(HOST).map(|host| host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()));
    let authority = match header {
        Some(None) => return false,
        Some(authority) => authority,
        None => uri.authority().cloned(),
    };
    let Some(authority) = authority else { return true };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let has_one_label = !host.is_empty() && !host.contains('.');
    has_one_label || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn own_names_have_no_dot_or_are_addresses() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost:9464", true),
            ("localhost.:9464", true),
            ("a.localhost:9464", true),
            ("127.0.0.1:9464", true),
            ("[::1]:9464", true),
            ("192.0.2.1", true),
            ("evil.example.com:9464", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("postmeter:9464", true),
            ("notlocalhost.", true),
            ("notlocalhost.com", false),
            ("", false),
        ] {
            let headers = [(HOST, HeaderValue::from_static(host))].into_iter().collect();
            assert_eq!(is_own(&Uri::from_static("/config"), &headers), expected, "{host}");
        }
        assert!(is_own(&Uri::from_static("/config"), &HeaderMap::new()));
        assert!(!is_own(&Uri::from_static("http://evil.example.com/config"), &HeaderMap::new()));
    }
}
