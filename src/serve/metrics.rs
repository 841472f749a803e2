//! `/metrics`: a reading of every target, on one page.

use super::Served;
use crate::export::exposition::{CONTENT_TYPE, Exposition};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Sent by Prometheus with each scrape.
const SCRAPE_TIMEOUT: &str = "X-Prometheus-Scrape-Timeout-Seconds";
/// What of the scrape timeout is kept for writing and sending the page.
const SCRAPE_MARGIN: Duration = Duration::from_millis(500);
/// How long the page waits for targets when nobody says: less than Prometheus' default timeout of 10 s.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// A page is never so hurried that a target which answers at once is missing.
const WAIT_MIN: Duration = Duration::from_millis(100);

pub(super) async fn metrics(State(served): State<Served>, headers: HeaderMap) -> Response {
    let began = Instant::now();
    let Ok(_turn) = served.turns.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let page = page(&served, wait(&headers).saturating_sub(began.elapsed()).max(WAIT_MIN)).await;
    served.own.served("/metrics", 200, began.elapsed());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()
}

async fn page(served: &Served, wait: Duration) -> String {
    let mut gathering = JoinSet::new();
    for (index, monitored) in served.targets.iter().enumerate() {
        let monitored = monitored.clone();
        gathering.spawn(async move { (index, monitored.gather(wait).await) });
    }
    let mut gathered = Vec::with_capacity(served.targets.len());
    while let Some(joined) = gathering.join_next().await {
        match joined {
            Ok(one) => gathered.push(one),
            Err(error) => tracing::error!("a collection failed inside Postmeter, please report it: {error}"),
        }
    }
    // Targets in the order of the configuration, whichever answered first.
    gathered.sort_by_key(|(index, _)| *index);
    let mut exposition = Exposition::default();
    let (own, families) = served.own.gather();
    exposition.add_target(own);
    exposition.add(families);
    for (_, (identity, families)) in gathered {
        exposition.add_target(&identity);
        exposition.add(families);
    }
    exposition.text()
}

fn wait(headers: &HeaderMap) -> Duration {
    let said = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse::<f64>().ok());
    let timeout = said.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    timeout.map_or(WAIT_MAX, |timeout| timeout.saturating_sub(SCRAPE_MARGIN).clamp(WAIT_MIN, WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn waits(header: Option<&str>, milliseconds: u64) {
        let mut headers = HeaderMap::new();
        if let Some(Ok(value)) = header.map(str::parse) {
            headers.insert(SCRAPE_TIMEOUT, value);
        }
        assert_eq!(wait(&headers), Duration::from_millis(milliseconds), "{header:?}");
    }

    #[test]
    fn the_scraper_says_how_long_it_waits() {
        waits(None, 8000);
        waits(Some("5"), 4500);
        waits(Some("2.5"), 2000);
        waits(Some("60"), 8000);
        waits(Some("0.2"), 100);
        waits(Some("NaN"), 8000);
        waits(Some("-1"), 8000);
        waits(Some("soon"), 8000);
    }
}
