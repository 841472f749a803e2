//! `/metrics`, `/metrics.json` and `/probe`: the metrics of targets.
//!
//! # Waiting for slow targets
//!
//! A scrape waits at most `export.prometheus.scrape_wait_max`, and not longer than the scrape timeout of Prometheus allows. A target
//! that has no reading by then is reported as down; the metrics of all other targets are complete.

use super::TARGET_NOT_FOUND;
use super::refusal::Refusal;
use super::rendered::Rendered;
use crate::export::exposition::{self, ExpositionWriter, Format, PageSettings, ReservedNames, Section};
use crate::poll::{Reading, ScraperId};
use crate::serve::AppState;
use crate::serve::http::body::{ChunkSink, streamed};
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
/// The share of the scrape timeout that is reserved for writing and sending the response.
const SCRAPE_MARGIN: Duration = Duration::from_millis(500);
/// The minimum wait, so that a very short scrape timeout does not exclude targets that respond immediately.
const WAIT_MIN: Duration = Duration::from_millis(100);

type Parameters = Query<HashMap<String, String>>;

/// Serves `/metrics`: all targets, in the format that the client accepts.
pub(crate) async fn metrics(State(app): State<AppState>, Extension(client): Extension<Client>, headers: HeaderMap) -> Response {
    let format = negotiate::format(&headers);
    all_targets(&app, client, &headers, "/metrics", format).await
}

/// Serves `/metrics.json`: all targets, or the one in the parameter `target`, as JSON.
pub(crate) async fn json(
    State(app): State<AppState>,
    Extension(client): Extension<Client>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    match parameters.get("target") {
        Some(name) => one_target(&app, client, &headers, "/metrics.json", name, Format::Json).await,
        None => all_targets(&app, client, &headers, "/metrics.json", Format::Json).await,
    }
}

/// Serves `/probe`: one target, without the labels `job` and `instance`, which the scrape configuration sets.
pub(crate) async fn probe(
    State(app): State<AppState>,
    Extension(client): Extension<Client>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let Some(name) = parameters.get("target") else {
        return (StatusCode::BAD_REQUEST, "the parameter target is missing: /probe?target=NAME, with a name from the configuration\n")
            .into_response();
    };
    one_target(&app, client, &headers, "/probe", name, negotiate::format(&headers)).await
}

async fn all_targets(app: &AppState, client: Client, headers: &HeaderMap, route: &'static str, format: Format) -> Response {
    let started = Instant::now();
    let wait = max_wait(headers, app.access.rules().config.scrape_wait_max);
    let Some(_permit) = app.scrape_queue.acquire(client, wait).await else { return busy(app, route, started) };
    let readings = readings(app, ScraperId::of(&client), wait.saturating_sub(started.elapsed()).max(WAIT_MIN)).await;
    observe_poll_limits(app);
    let settings = PageSettings::new(format, &app.access.rules().config);
    let translation = settings.translation;
    let (own_identity, self_metrics) = app.telemetry.gather(translation);
    let identities: Vec<Identity> = readings.iter().map(|(collected, reading)| collected.identity(reading)).collect();
    let mut canonical = vec![exposition::target_info(std::iter::once(own_identity).chain(&identities), translation), self_metrics];
    let mut native = Vec::new();
    for ((collected, reading), identity) in readings.iter().zip(&identities) {
        canonical.push(collected.gather(reading, translation));
        canonical.push(exposition::histograms(
            collected.system(),
            Some(identity),
            reading,
            &collected.record_histograms(reading),
            translation,
        ));
        native.push(Section::of_target(reading.native.clone(), identity));
    }
    let canonical = canonical.into_iter().map(|families| Section::of_postmeter(Arc::new(families))).collect();
    let response = respond(app, settings, negotiate::encoding(headers), canonical, native);
    app.telemetry.served(route, response.status().as_u16(), started.elapsed());
    response
}

async fn one_target(app: &AppState, client: Client, headers: &HeaderMap, route: &'static str, name: &str, format: Format) -> Response {
    let started = Instant::now();
    let Some(collected) = app.targets.find(name) else {
        app.telemetry.served(route, 404, started.elapsed());
        return (StatusCode::NOT_FOUND, TARGET_NOT_FOUND).into_response();
    };
    let wait = max_wait(headers, app.access.rules().config.scrape_wait_max);
    let Some(_permit) = app.scrape_queue.acquire(client, wait).await else { return busy(app, route, started) };
    let remaining = wait.saturating_sub(started.elapsed()).max(WAIT_MIN);
    let reading = collected.target.reading_for_scrape(ScraperId::of(&client), remaining).await;
    let settings = PageSettings::new(format, &app.access.rules().config);
    let canonical = [
        collected.gather_without_target_labels(&reading, settings.translation),
        exposition::histograms(collected.system(), None, &reading, &collected.record_histograms(&reading), settings.translation),
    ];
    let canonical = canonical.into_iter().map(|families| Section::of_postmeter(Arc::new(families))).collect();
    let native = vec![Section::without_identity(reading.native.clone())];
    let response = respond(app, settings, negotiate::encoding(headers), canonical, native);
    app.telemetry.served(route, response.status().as_u16(), started.elapsed());
    response
}

/// The response to a scrape that found no free place in the queue in time.
fn busy(app: &AppState, route: &'static str, started: Instant) -> Response {
    app.telemetry.access.refused(Refusal::Busy.reason());
    let response = Refusal::Busy.into_response();
    app.telemetry.served(route, response.status().as_u16(), started.elapsed());
    response
}

/// Updates the self-metrics about the limits of polling.
fn observe_poll_limits(app: &AppState) {
    if let Some(collected) = app.targets.now().first() {
        app.telemetry.poll.observe(&collected.target.usage());
    }
}

/// Collects a reading of each target. The result has the order of the configuration.
async fn readings(app: &AppState, scraper: ScraperId, wait: Duration) -> Vec<(Arc<CollectedTarget>, Arc<Reading>)> {
    let targets = app.targets.now();
    let mut polls = JoinSet::new();
    for (index, collected) in targets.iter().cloned().enumerate() {
        polls.spawn(async move {
            let reading = collected.target.reading_for_scrape(scraper, wait).await;
            (index, (collected, reading))
        });
    }
    let mut readings = Vec::with_capacity(targets.len());
    while let Some(joined) = polls.join_next().await {
        match joined {
            Ok(reading) => readings.push(reading),
            Err(error) => tracing::error!("collecting a target panicked; this is a bug, please report it: {error}"),
        }
    }
    readings.sort_by_key(|(index, _)| *index);
    readings.into_iter().map(|(_, reading)| reading).collect()
}

/// Writes the response: canonical metrics and self-metrics first, which differ in every response, then the native metrics, which are
/// rendered once for each reading unless they are too large to cache.
fn respond(app: &AppState, settings: PageSettings, encoding: Encoding, canonical: Vec<Section>, native: Vec<Section>) -> Response {
    let reserved = ReservedNames::of(settings, &canonical);
    let rendered = app.rendered_pages.get(settings, &native, &reserved);
    let (telemetry, logged_conflicts) = (app.telemetry.clone(), app.logged_conflicts.clone());
    let write = move |chunks: &mut dyn ChunkSink| {
        let mut out = |chunk: &mut Vec<u8>| chunks.send(chunk);
        let mut writer = ExpositionWriter::new(settings, &mut out);
        if writer.write(&canonical, &ReservedNames::default()).is_none() {
            return Ok(());
        }
        match rendered {
            Rendered::Cached(page) => {
                writer.pause();
                for index in 0.. {
                    // All clients share the memory of the page.
                    let Some(chunk) = page.chunk(index)? else { break };
                    if !chunks.send_shared(chunk) {
                        break;
                    }
                }
            }
            Rendered::TooLarge => {
                writer.write(&native, &reserved);
                logged_conflicts.report(&telemetry, writer.finish());
            }
        }
        Ok(())
    };
    let body: Body = streamed(encoding, write);
    let mut response =
        ([(header::CONTENT_TYPE, settings.format.content_type()), (header::VARY, "Accept, Accept-Encoding")], body).into_response();
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static(name));
    }
    response
}

/// Returns how long a scrape may wait for targets, by its header and the configuration.
fn max_wait(headers: &HeaderMap, wait_max: Duration) -> Duration {
    let seconds = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse::<f64>().ok());
    let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    timeout.map_or(wait_max, |timeout| timeout.saturating_sub(SCRAPE_MARGIN).clamp(WAIT_MIN, wait_max.max(WAIT_MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_max_wait(header: Option<&str>, wait_max_seconds: u64, milliseconds: u64) {
        let mut headers = HeaderMap::new();
        if let Some(Ok(value)) = header.map(str::parse) {
            headers.insert(SCRAPE_TIMEOUT, value);
        }
        assert_eq!(max_wait(&headers, Duration::from_secs(wait_max_seconds)), Duration::from_millis(milliseconds), "{header:?}");
    }

    #[test]
    fn the_wait_is_limited_by_the_scrape_timeout_and_the_configuration() {
        assert_max_wait(None, 8, 8000);
        assert_max_wait(None, 3, 3000);
        assert_max_wait(Some("5"), 8, 4500);
        assert_max_wait(Some("5"), 3, 3000);
        assert_max_wait(Some("2.5"), 8, 2000);
        assert_max_wait(Some("60"), 8, 8000);
        assert_max_wait(Some("60"), 300, 59_500);
        assert_max_wait(Some("0.2"), 8, 100);
        assert_max_wait(Some("NaN"), 8, 8000);
        assert_max_wait(Some("-1"), 8, 8000);
        assert_max_wait(Some("soon"), 8, 8000);
    }
}
