//! A request for metrics.

use crate::export::exposition::Format;
use crate::serve::http::client::Client;
use crate::serve::http::negotiate::{self, Encoding};
use crate::serve::limits::client_quota::RequestPermit;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{Extension, FromRequestParts};
use axum::http::Method;
use axum::http::header::HeaderMap;
use axum::http::request::Parts;
use std::time::{Duration, Instant};

/// Sent by Prometheus with each scrape.
const SCRAPE_TIMEOUT: &str = "X-Prometheus-Scrape-Timeout-Seconds";
/// The share of the scrape timeout that is reserved for writing and sending the response.
const SCRAPE_MARGIN: Duration = Duration::from_millis(500);
/// The minimum wait, so that a very short scrape timeout does not exclude targets that respond immediately.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(100);

/// A request for metrics.
pub(crate) struct ScrapeRequest {
    pub(super) client: Client,
    /// The format that the client accepts.
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    /// The client wants the headers only.
    pub(super) is_head: bool,
    /// Held until the response is written. `None` if the number of requests is not limited.
    pub(super) permit: Option<RequestPermit>,
    pub(super) started: Instant,
    /// The timeout of the client.
    timeout: Option<Duration>,
}

impl ScrapeRequest {
    /// Returns how long to wait for targets at most, by the timeout of the client and the configuration.
    pub(super) fn max_wait(&self, wait_max: Duration) -> Duration {
        self.timeout.map_or(wait_max, |timeout| timeout.saturating_sub(SCRAPE_MARGIN).clamp(WAIT_MIN, wait_max.max(WAIT_MIN)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ScrapeRequest {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ExtensionRejection> {
        let Extension(client) = Extension::from_request_parts(parts, state).await?;
        Ok(Self {
            client,
            format: negotiate::format(&parts.headers),
            encoding: negotiate::encoding(&parts.headers),
            is_head: parts.method == Method::HEAD,
            permit: parts.extensions.get().cloned(),
            started: Instant::now(),
            timeout: timeout(&parts.headers),
        })
    }
}

fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::Request;
    use std::net::SocketAddr;

    async fn request(request: axum::http::request::Builder) -> ScrapeRequest {
        let client = Client::from(SocketAddr::from(([192, 0, 2, 1], 1)));
        let (mut parts, ()) = request.extension(client).body(()).unwrap().into_parts();
        ScrapeRequest::from_request_parts(&mut parts, &()).await.unwrap()
    }

    #[track_caller]
    fn assert_max_wait(request: &ScrapeRequest, wait_max_seconds: u64, milliseconds: u64) {
        assert_eq!(request.max_wait(Duration::from_secs(wait_max_seconds)), Duration::from_millis(milliseconds), "{:?}", request.timeout);
    }

    #[tokio::test]
    async fn the_wait_is_limited_by_the_scrape_timeout_and_the_configuration() {
        for (header, wait_max_seconds, milliseconds) in [
            (None, 8, 8000),
            (None, 3, 3000),
            (Some("5"), 8, 4500),
            (Some("5"), 3, 3000),
            (Some("2.5"), 8, 2000),
            (Some("60"), 8, 8000),
            (Some("60"), 300, 59_500),
            (Some("0.2"), 8, 100),
            (Some("NaN"), 8, 8000),
            (Some("-1"), 8, 8000),
            (Some("soon"), 8, 8000),
        ] {
            let with_header = header.into_iter().fold(Request::builder(), |request, value| request.header(SCRAPE_TIMEOUT, value));
            assert_max_wait(&request(with_header).await, wait_max_seconds, milliseconds);
        }
    }

    #[tokio::test]
    async fn a_request_for_the_headers_is_recognized() {
        assert!(request(Request::head("/metrics")).await.is_head);
        assert!(!request(Request::get("/metrics")).await.is_head);
    }
}
