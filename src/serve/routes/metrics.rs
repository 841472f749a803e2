//! `/metrics`, `/metrics.json` and `/probe`: the metrics of targets.
//!
//! # Waiting for slow targets
//!
//! A scrape waits at most `export.prometheus.scrape_wait_max`, and not longer than the scrape timeout of Prometheus allows. A target
//! that has no reading by then is reported as down; the metrics of all other targets are complete.

use super::TARGET_NOT_FOUND;
use super::scrape_request::{ScrapeRequest, WAIT_MIN};
use crate::export::exposition::{self, ExpositionWriter, Format, PageSettings, ReservedNames, Section};
use crate::poll::{Reading, ScraperId};
use crate::serve::AppState;
use crate::serve::http::body::{ChunkSink, IncompleteBody, streamed};
use crate::serve::refusal::Refusal;
use crate::serve::rendering::{PageKey, Rendered};
use crate::telemetry::{CollectedTarget, Identity};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The wait of a scrape after the endpoint begins to stop: the scrape has to get its response before connections are closed.
const STOPPING_WAIT_MAX: Duration = Duration::from_secs(3);

type Parameters = Query<HashMap<String, String>>;

/// Serves `/metrics`: all targets, in the format that the client accepts.
pub(crate) async fn metrics(State(app): State<AppState>, request: ScrapeRequest) -> Response {
    let format = request.format;
    all_targets(&app, request, "/metrics", format).await
}

/// Serves `/metrics.json`: all targets, or the one in the parameter `target`, as JSON.
pub(crate) async fn json(State(app): State<AppState>, Query(parameters): Parameters, request: ScrapeRequest) -> Response {
    match parameters.get("target") {
        Some(name) => one_target(&app, request, "/metrics.json", name, Format::Json).await,
        None => all_targets(&app, request, "/metrics.json", Format::Json).await,
    }
}

/// Serves `/probe`: one target, without the labels `job` and `instance`, which the scrape configuration sets.
pub(crate) async fn probe(State(app): State<AppState>, Query(parameters): Parameters, request: ScrapeRequest) -> Response {
    let Some(name) = parameters.get("target") else {
        return (StatusCode::BAD_REQUEST, "the parameter target is missing: /probe?target=NAME, with a name from the configuration\n")
            .into_response();
    };
    let format = request.format;
    one_target(&app, request, "/probe", name, format).await
}

async fn all_targets(app: &AppState, request: ScrapeRequest, route: &'static str, format: Format) -> Response {
    let (client, started) = (request.client, request.started);
    let wait = request.max_wait(app.access.rules().config.scrape_wait_max);
    let Some(_place) = app.scrape_queue.acquire(client, wait).await else { return busy(app, route, &request) };
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
    let response = respond(app, request, PageKey { settings, target: None }, canonical, native);
    app.telemetry.served(route, response.status().as_u16(), started.elapsed());
    response
}

async fn one_target(app: &AppState, request: ScrapeRequest, route: &'static str, name: &str, format: Format) -> Response {
    let (client, started) = (request.client, request.started);
    let Some(collected) = app.targets.find(name) else {
        app.telemetry.served(route, 404, started.elapsed());
        return (StatusCode::NOT_FOUND, TARGET_NOT_FOUND).into_response();
    };
    let wait = request.max_wait(app.access.rules().config.scrape_wait_max);
    let Some(_place) = app.scrape_queue.acquire(client, wait).await else { return busy(app, route, &request) };
    let remaining = wait.saturating_sub(started.elapsed()).max(WAIT_MIN);
    let reading = reading(&collected, ScraperId::of(&client), remaining, &app.stop).await;
    let settings = PageSettings::new(format, &app.access.rules().config);
    let canonical = [
        collected.gather_without_target_labels(&reading, settings.translation),
        exposition::histograms(collected.system(), None, &reading, &collected.record_histograms(&reading), settings.translation),
    ];
    let canonical = canonical.into_iter().map(|families| Section::of_postmeter(Arc::new(families))).collect();
    let native = vec![Section::without_identity(reading.native.clone())];
    let response = respond(app, request, PageKey { settings, target: Some(name.to_owned()) }, canonical, native);
    app.telemetry.served(route, response.status().as_u16(), started.elapsed());
    response
}

/// The response to a scrape that found no free place in the queue in time.
fn busy(app: &AppState, route: &'static str, request: &ScrapeRequest) -> Response {
    app.telemetry.access.refused(Refusal::Busy.reason());
    let response = Refusal::Busy.into_response();
    app.telemetry.served(route, response.status().as_u16(), request.started.elapsed());
    response
}

/// Updates the self-metrics about the limits of polling.
fn observe_poll_limits(app: &AppState) {
    if let Some(collected) = app.targets.now().first() {
        app.telemetry.poll.observe(&collected.target.usage());
    }
}

/// The reading of a target for a scrape. The wait ends soon after `stop` is cancelled.
async fn reading(collected: &CollectedTarget, scraper: ScraperId, wait: Duration, stop: &CancellationToken) -> Arc<Reading> {
    let stopping = async {
        stop.cancelled().await;
        tokio::time::sleep(STOPPING_WAIT_MAX).await;
    };
    tokio::select! {
        reading = collected.target.reading_for_scrape(scraper, wait) => reading,
        () = stopping => collected.target.reading_within(WAIT_MIN).await,
    }
}

/// Collects a reading of each target. The result has the order of the configuration.
async fn readings(app: &AppState, scraper: ScraperId, wait: Duration) -> Vec<(Arc<CollectedTarget>, Arc<Reading>)> {
    let targets = app.targets.now();
    let mut polls = JoinSet::new();
    for (index, collected) in targets.iter().cloned().enumerate() {
        let stop = app.stop.clone();
        polls.spawn(async move {
            let reading = reading(&collected, scraper, wait, &stop).await;
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
/// rendered once for each reading unless they are too large to be shared.
fn respond(app: &AppState, request: ScrapeRequest, key: PageKey, canonical: Vec<Section>, native: Vec<Section>) -> Response {
    let ScrapeRequest { encoding, is_head, permit, .. } = request;
    let settings = key.settings;
    let body: Body = if is_head {
        streamed(encoding, |_| Ok(()))
    } else {
        let reserved = ReservedNames::of(settings, &canonical);
        let rendered = app.rendered_pages.get(&key, native, &reserved);
        let (telemetry, pages, logged_conflicts) = (app.telemetry.clone(), app.rendered_pages.clone(), app.logged_conflicts.clone());
        streamed(encoding, move |chunks: &mut dyn ChunkSink| {
            let _permit = permit;
            let mut out = |chunk: &mut Vec<u8>| chunks.send(chunk);
            let mut writer = ExpositionWriter::new(settings, &mut out);
            if writer.write(&canonical, &ReservedNames::default()).and_then(|()| writer.pause()).is_none() {
                return Ok(());
            }
            drop(canonical);
            let (native, guard) = match rendered {
                Rendered::Shared(page) => return page.send(chunks),
                Rendered::TooLarge(native, guard) => (native, guard),
            };
            let mut bytes = 0;
            let mut out = |chunk: &mut Vec<u8>| {
                bytes += chunk.len();
                !guard.is_aborted() && chunks.send(chunk)
            };
            let mut writer = ExpositionWriter::resume(settings, &mut out);
            let is_complete = writer.write(&native, &reserved).is_some();
            logged_conflicts.report(&telemetry, writer.finish());
            if !is_complete {
                return Err(IncompleteBody);
            }
            pages.note_size(&key, bytes);
            Ok(())
        })
    };
    let mut response =
        ([(header::CONTENT_TYPE, settings.format.content_type()), (header::VARY, "Accept, Accept-Encoding")], body).into_response();
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static(name));
    }
    response
}
