//! `/-/reload`: requests a reload of the configuration and waits for the result.

use crate::serve::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use axum::http::uri::{Authority, Uri};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Reload requests that are queued while a reload runs.
const QUEUED_MAX: usize = 8;

/// A request to reload the configuration. The result is sent back as text: the changes, or the reason why nothing has changed.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// The connection from the endpoint to the reloader. Requests are refused until [`Self::set_enabled`].
#[derive(Clone, Debug)]
pub struct Reload {
    enabled: Arc<AtomicBool>,
    requests: Option<mpsc::Sender<ReloadRequest>>,
}

impl Reload {
    /// Creates a disabled connection and the receiver of its requests.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (requests, receiver) = mpsc::channel(QUEUED_MAX);
        (Self { enabled: Arc::default(), requests: Some(requests) }, receiver)
    }

    /// Creates a connection without a reloader: every request is refused.
    #[must_use]
    pub fn disabled() -> Self {
        Self { enabled: Arc::default(), requests: None }
    }

    /// Enables or disables reloads by HTTP.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Requests a reload and waits for its result. Returns `None` if reloads are disabled.
    async fn request(&self) -> Option<Result<String, String>> {
        let requests = self.requests.as_ref().filter(|_| self.enabled.load(Ordering::Relaxed))?;
        let (sender, result) = oneshot::channel();
        let stopped = || {
            let reason =
                "the reloader has stopped: Postmeter is shutting down, or the reloader failed (see the log; then restart Postmeter)";
            Some(Err(reason.to_owned()))
        };
        if requests.send(sender).await.is_err() {
            return stopped();
        }
        result.await.ok().or_else(stopped)
    }
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

/// Serves `/-/reload`: 200 with the changes, 500 with all errors, 403 if reloads are disabled or the request is cross-site.
pub(crate) async fn reload(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> (StatusCode, String) {
    if is_cross_site(&uri, &headers) {
        app.telemetry.access.refused("cross_site");
        return (StatusCode::FORBIDDEN, "cross-site requests are refused\n".to_owned());
    }
    match app.reload.request().await {
        Some(Ok(changes)) => (StatusCode::OK, format!("reloaded: {changes}\n")),
        Some(Err(problems)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("not reloaded, the previous configuration stays in use:\n{problems}\n"))
        }
        None => {
            let message = "reload over HTTP is disabled; enable it with reload: {endpoint: true} or --enable-reload, or send SIGHUP\n";
            (StatusCode::FORBIDDEN, message.to_owned())
        }
    }
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

    #[tokio::test]
    async fn a_request_without_a_reloader_has_an_error() {
        let (reload, requests) = Reload::new();
        assert!(reload.request().await.is_none());
        reload.set_enabled(true);
        drop(requests);
        assert!(reload.request().await.unwrap().unwrap_err().contains("the reloader has stopped"));
    }
}
