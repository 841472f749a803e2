//! `/metrics`, `/metrics.json` and `/probe`: readings on a page.
//!
//! # How long a page waits
//!
//! At most `export.prometheus.scrape_wait_max`, and at most what the scraper's own timeout allows. A target that has no reading by then is
//! down on this page; all others are on it.

use super::refusal::Refusal;
use super::rendered::Rendered;
use crate::export::exposition::{self, ExpositionWriter, Format, ReservedNames, Section};
use crate::poll::{Reading, ScraperId};
use crate::serve::AppState;
use crate::serve::http::body::streamed;
use crate::serve::http::client::Client;
use crate::serve::http::negotiate::{self, Encoding};
use crate::telemetry::{CollectedTarget, Identity};
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Sent by Prometheus with each scrape.
const SCRAPE_TIMEOUT: &str = "X-Prometheus-Scrape-Timeout-Seconds";
/// What of the scrape timeout is kept for writing and sending the page.
const SCRAPE_MARGIN: Duration = Duration::from_millis(500);
/// A page is never so hurried that a target which answers at once is missing.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// Bytes of a kept page that are sent at one time.
const KEPT_PIECE_BYTES: usize = 64 * 1024;

type Parameters = Query<HashMap<String, String>>;

/// All targets, for Prometheus.
pub(crate) async fn metrics(State(served): State<AppState>, Extension(client): Extension<Client>, headers: HeaderMap) -> Response {
    let format = negotiate::format(&headers);
    all(&served, client, &headers, "/metrics", format).await
}

/// All targets, or the one that is named, in JSON.
pub(crate) async fn json(
    State(served): State<AppState>,
    Extension(client): Extension<Client>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    match parameters.get("target") {
        Some(name) => one(&served, client, &headers, "/metrics.json", name, Format::Json).await,
        None => all(&served, client, &headers, "/metrics.json", Format::Json).await,
    }
}

/// One target, without `job` and `instance`: for scrape configurations that set those themselves.
pub(crate) async fn probe(
    State(served): State<AppState>,
    Extension(client): Extension<Client>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let Some(name) = parameters.get("target") else {
        return (StatusCode::BAD_REQUEST, "which target? /probe?target=NAME, with a name from the configuration\n").into_response();
    };
    one(&served, client, &headers, "/probe", name, negotiate::format(&headers)).await
}

async fn all(served: &AppState, client: Client, headers: &HeaderMap, route: &'static str, format: Format) -> Response {
    let began = Instant::now();
    let wait = wait(headers, served.access.rules().config.scrape_wait_max);
    let Some(_turn) = served.turns.take(client, wait).await else { return busy(served, route, began) };
    let readings = readings(served, ScraperId::of(&client), wait.saturating_sub(began.elapsed()).max(WAIT_MIN)).await;
    observe_usage(served);
    let (own, own_families) = served.own.gather();
    let identities: Vec<Identity> = readings.iter().map(|(monitored, reading)| monitored.identity(reading)).collect();
    let mut ours = vec![exposition::target_info(std::iter::once(own).chain(&identities)), own_families];
    let mut theirs = Vec::new();
    for ((monitored, reading), identity) in readings.iter().zip(&identities) {
        ours.push(monitored.gather(reading));
        if let Some(snapshot) = reading.snapshot() {
            let system = monitored.target.config.source.name;
            ours.push(exposition::histograms(system, identity, &snapshot.histograms));
        }
        theirs.push(Section::of(reading.native.clone(), identity));
    }
    let ours = ours.into_iter().map(|native| Section::own(Arc::new(native))).collect();
    let response = respond(served, format, negotiate::encoding(headers), ours, theirs).await;
    served.own.served(route, response.status().as_u16(), began.elapsed());
    response
}

async fn one(served: &AppState, client: Client, headers: &HeaderMap, route: &'static str, name: &str, format: Format) -> Response {
    let began = Instant::now();
    let Some(monitored) = served.targets.find(name) else {
        served.own.served(route, 404, began.elapsed());
        return (StatusCode::NOT_FOUND, "there is no target of this name; names are those of the configuration\n").into_response();
    };
    let wait = wait(headers, served.access.rules().config.scrape_wait_max);
    let Some(_turn) = served.turns.take(client, wait).await else { return busy(served, route, began) };
    let left = wait.saturating_sub(began.elapsed()).max(WAIT_MIN);
    let reading = monitored.target.reading_for_scrape(ScraperId::of(&client), left).await;
    let mut ours = vec![monitored.gather_without_target_labels(&reading)];
    if let Some(snapshot) = reading.snapshot() {
        ours.push(exposition::histograms_alone(monitored.target.config.source.name, &snapshot.histograms));
    }
    let ours = ours.into_iter().map(|native| Section::own(Arc::new(native))).collect();
    let theirs = vec![Section::plain(reading.native.clone())];
    let response = respond(served, format, negotiate::encoding(headers), ours, theirs).await;
    served.own.served(route, response.status().as_u16(), began.elapsed());
    response
}

/// No turn came in time.
fn busy(served: &AppState, route: &'static str, began: Instant) -> Response {
    served.own.access.refused(Refusal::Busy.reason());
    let response = Refusal::Busy.into_response();
    served.own.served(route, response.status().as_u16(), began.elapsed());
    response
}

/// How far the limits of polling are used, for Postmeter's own metrics on this page.
fn observe_usage(served: &AppState) {
    if let Some(monitored) = served.targets.now().first() {
        served.own.poll.observe(&monitored.target.usage());
    }
}

/// A reading of each target, in the order of the configuration.
async fn readings(served: &AppState, scraper: ScraperId, wait: Duration) -> Vec<(Arc<CollectedTarget>, Arc<Reading>)> {
    let targets = served.targets.now();
    let mut reading = JoinSet::new();
    for (index, monitored) in targets.iter().cloned().enumerate() {
        reading.spawn(async move {
            let read = monitored.target.reading_for_scrape(scraper, wait).await;
            (index, (monitored, read))
        });
    }
    let mut read = Vec::with_capacity(targets.len());
    while let Some(joined) = reading.join_next().await {
        match joined {
            Ok(one) => read.push(one),
            Err(error) => tracing::error!("a collection failed inside Postmeter, please report it: {error}"),
        }
    }
    read.sort_by_key(|(index, _)| *index);
    read.into_iter().map(|(_, read)| read).collect()
}

/// Ours first, which is new each time; then theirs, which is written once for each reading where it is of a size to keep.
async fn respond(served: &AppState, format: Format, encoding: Encoding, ours: Vec<Section>, theirs: Vec<Section>) -> Response {
    let taken = ReservedNames::by(format, &ours);
    let kept = served.rendered.get(format, &theirs, &taken).await;
    let (own, logged) = (served.own.clone(), served.logged.clone());
    let write = move |out: &mut dyn FnMut(&mut Vec<u8>) -> bool| {
        let mut page = ExpositionWriter::new(format, out);
        if page.write(&ours, &ReservedNames::default()).is_none() {
            return;
        }
        match kept {
            Rendered::Kept(bytes) => {
                page.pause();
                // In pieces: a client that reads slowly must not hold a copy of it all.
                let _ = bytes.chunks(KEPT_PIECE_BYTES).all(|piece| out(&mut piece.to_vec()));
            }
            Rendered::TooLarge => {
                page.write(&theirs, &taken);
                logged.tell(&own, page.finish());
            }
        }
    };
    let body: Body = streamed(encoding, write);
    let mut response = ([(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept, Accept-Encoding")], body).into_response();
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static(name));
    }
    response
}

fn wait(headers: &HeaderMap, wait_max: Duration) -> Duration {
    let said = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse::<f64>().ok());
    let timeout = said.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    timeout.map_or(wait_max, |timeout| timeout.saturating_sub(SCRAPE_MARGIN).clamp(WAIT_MIN, wait_max.max(WAIT_MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn waits(header: Option<&str>, wait_max_seconds: u64, milliseconds: u64) {
        let mut headers = HeaderMap::new();
        if let Some(Ok(value)) = header.map(str::parse) {
            headers.insert(SCRAPE_TIMEOUT, value);
        }
        assert_eq!(wait(&headers, Duration::from_secs(wait_max_seconds)), Duration::from_millis(milliseconds), "{header:?}");
    }

    #[test]
    fn the_scraper_and_the_configuration_limit_how_long_a_page_waits() {
        waits(None, 8, 8000);
        waits(None, 3, 3000);
        waits(Some("5"), 8, 4500);
        waits(Some("5"), 3, 3000);
        waits(Some("2.5"), 8, 2000);
        waits(Some("60"), 8, 8000);
        waits(Some("60"), 300, 59_500);
        waits(Some("0.2"), 8, 100);
        waits(Some("NaN"), 8, 8000);
        waits(Some("-1"), 8, 8000);
        waits(Some("soon"), 8, 8000);
    }
}
