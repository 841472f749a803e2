//! Requests with an effect, such as a reload or a poll, are rejected if a browser sends them on behalf of another site.

use crate::telemetry::SelfTelemetry;
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use axum::http::uri::{Authority, Uri};

/// Rejects a cross-site request, and counts it.
pub(crate) fn check_same_site(telemetry: &SelfTelemetry, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    if !is_cross_site(uri, headers) {
        return Ok(());
    }
    telemetry.access.refused("cross_site");
    Err((StatusCode::FORBIDDEN, "cross-site requests are rejected\n"))
}

/// Returns true if a browser sends the request on behalf of another site. Other clients send neither header. A page cannot set
/// `Sec-Fetch-Site`, and `Origin` is the origin of the page that sends the request.
fn is_cross_site(uri: &Uri, headers: &HeaderMap) -> bool {
    let fetch_site = headers.get_all("sec-fetch-site");
    if !fetch_site.iter().all(|site| site == "same-origin" || site == "none") {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.zip(host).is_some_and(|((scheme, authority), host)| {
            let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
            let without_port = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
            without_port(authority) == without_port(host)
        })
    };
    !headers.get_all(ORIGIN).iter().all(is_own)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderName;

    #[track_caller]
    fn assert_cross_site(headers: &[(&'static str, &str)], expected: bool) {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let map: HeaderMap = pairs.collect();
        assert_eq!(is_cross_site(&Uri::from_static("/-/reload"), &map), expected, "{headers:?}");
    }

    #[test]
    fn cross_site_requests_are_recognized_by_their_headers() {
        let host = ("host", "postmeter.example.com:9464");
        assert_cross_site(&[host], false);
        assert_cross_site(&[host, ("origin", "https://postmeter.example.com:9464")], false);
        assert_cross_site(&[host, ("origin", "http://POSTMETER.example.com:9464"), ("sec-fetch-site", "same-origin")], false);
        assert_cross_site(&[host, ("sec-fetch-site", "none")], false);
        assert_cross_site(&[("host", "postmeter.example.com"), ("origin", "https://postmeter.example.com:443")], false);
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert_cross_site(&[host, ("sec-fetch-site", site)], true);
        }
        for origin in
            ["null", "https://evil.example.com", "http://postmeter.example.com", "http://postmeter.example.com:9464.evil.example.com", ""]
        {
            assert_cross_site(&[host, ("origin", origin)], true);
        }
        assert_cross_site(&[("origin", "http://postmeter.example.com:9464")], true);
        assert_cross_site(&[host, ("origin", "http://postmeter.example.com:9464"), ("sec-fetch-site", "cross-site")], true);
    }
}
