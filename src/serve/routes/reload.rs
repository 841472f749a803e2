//! `/-/reload`: asks for the configuration to be read again, and waits for what comes of it.

use crate::serve::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use axum::http::uri::{Authority, Uri};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Reloads that wait for the one that runs.
const WAITING_MAX: usize = 8;

/// Somebody wants a reload, and waits to be told in words how it went: what changed, or why nothing did.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// Whether the endpoint reloads, and how. By itself it is closed for good.
#[derive(Clone, Debug)]
pub struct Reload {
    open: Arc<AtomicBool>,
    asks: Option<mpsc::Sender<ReloadRequest>>,
}

impl Reload {
    /// A closed door, and where those who come through it arrive once it is open.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        (Self { open: Arc::default(), asks: Some(asks) }, asked)
    }

    /// Closed for good.
    #[must_use]
    pub fn never() -> Self {
        Self { open: Arc::default(), asks: None }
    }

    /// Whether the endpoint does it from now on.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    async fn ask(&self) -> Option<Result<String, String>> {
        let asks = self.asks.as_ref().filter(|_| self.open.load(Ordering::Relaxed))?;
        let (tell, told) = oneshot::channel();
        let ended =
            || Some(Err("Postmeter is stopping, or its reloading has failed: its log says which; a restart reads the file".to_owned()));
        if asks.send(tell).await.is_err() {
            return ended();
        }
        told.await.ok().or_else(ended)
    }
}

/// Whether a browser sends this for another site. What is no browser sends neither header; the header of fetch metadata cannot be set by
/// a page, and `Origin` names the page that sends.
fn is_of_another_site(uri: &Uri, headers: &HeaderMap) -> bool {
    let fetch_site = headers.get_all("sec-fetch-site");
    if !fetch_site.iter().all(|site| site == "same-origin" || site == "none") {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.zip(host).is_some_and(|((scheme, authority), host)| {
            let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
            let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
            bare(authority) == bare(host)
        })
    };
    !headers.get_all(ORIGIN).iter().all(is_own)
}

/// 200 with what changed, 500 with every problem, 403 where nobody allowed it or a page of another site sends it.
pub(crate) async fn reload(State(served): State<AppState>, uri: Uri, headers: HeaderMap) -> (StatusCode, String) {
    if is_of_another_site(&uri, &headers) {
        served.own.access.refused("cross_site");
        return (StatusCode::FORBIDDEN, "a browser sends this for another site, so it is refused\n".to_owned());
    }
    match served.reload.ask().await {
        Some(Ok(changes)) => (StatusCode::OK, format!("reloaded: {changes}\n")),
        Some(Err(problems)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("not reloaded, nothing has changed:\n{problems}\n")),
        None => {
            let how = "reload by HTTP is off; allow it with reload: {endpoint: true} or --enable-reload, or send SIGHUP\n";
            (StatusCode::FORBIDDEN, how.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderName;

    #[track_caller]
    fn another_site(headers: &[(&'static str, &str)], expected: bool) {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let map: HeaderMap = pairs.collect();
        assert_eq!(is_of_another_site(&Uri::from_static("/-/reload"), &map), expected, "{headers:?}");
    }

    #[test]
    fn a_page_of_another_site_is_known_by_what_browsers_send() {
        let host = ("host", "postmeter.example.com:9464");
        another_site(&[host], false);
        another_site(&[host, ("origin", "https://postmeter.example.com:9464")], false);
        another_site(&[host, ("origin", "http://POSTMETER.example.com:9464"), ("sec-fetch-site", "same-origin")], false);
        another_site(&[host, ("sec-fetch-site", "none")], false);
        another_site(&[("host", "postmeter.example.com"), ("origin", "https://postmeter.example.com:443")], false);
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            another_site(&[host, ("sec-fetch-site", site)], true);
        }
        for origin in
            ["null", "https://evil.example.com", "http://postmeter.example.com", "http://postmeter.example.com:9464.evil.example.com", ""]
        {
            another_site(&[host, ("origin", origin)], true);
        }
        another_site(&[("origin", "http://postmeter.example.com:9464")], true);
        another_site(&[host, ("origin", "http://postmeter.example.com:9464"), ("sec-fetch-site", "cross-site")], true);
    }

    #[tokio::test]
    async fn whoever_asks_when_nobody_reloads_is_told_so() {
        let (door, asked) = Reload::new();
        assert!(door.ask().await.is_none());
        door.set_open(true);
        drop(asked);
        assert!(door.ask().await.unwrap().unwrap_err().contains("or its reloading has failed"));
    }
}
