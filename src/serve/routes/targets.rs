//! `/targets.json`: the state of each target as JSON.

use crate::model::Snapshot;
use crate::poll::{PartReport, PollError, Reading, Target};
use crate::serve::AppState;
use crate::telemetry::{CollectedTarget, StalenessRule};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use std::time::{Instant, SystemTime};

/// The media type of `/targets.json` and `/sd`.
pub(crate) const JSON: &str = "application/json";

/// Serves `/targets.json`.
pub(crate) async fn targets(State(app): State<AppState>) -> impl IntoResponse {
    let now = Instant::now();
    let staleness = app.staleness();
    let targets: Vec<Value> = app.targets.now().iter().map(|collected| target(collected, staleness, now)).collect();
    ([(CONTENT_TYPE, JSON)], json!({"targets": targets}).to_string())
}

fn target(collected: &CollectedTarget, staleness: StalenessRule, now: Instant) -> Value {
    let target = &collected.target;
    let config = &target.config;
    let latest = target.latest();
    let latest = latest.as_deref();
    let resource: Map<String, Value> = collected.last_identity().attributes().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let reports = latest.map(|reading| reading.parts.as_slice()).unwrap_or_default();
    let parts = config.parts.iter().enumerate().map(|(i, configured)| {
        let report = reports.iter().find(|report| report.part == configured.part.name);
        part(configured.part.name, i == 0, report)
    });
    let log = config.delivery_log.as_ref().map(|log| log.part.part.name);
    let log_files = config.deliveries.as_ref().and_then(|deliveries| deliveries.log_files.as_ref()).map(|_| "deliveries");
    let parts: Vec<Value> = parts.chain(log.or(log_files).map(|name| delivery_log(target, name))).collect();
    let stale = staleness.stale_reading(target, now);
    let mut value = json!({
        "name": config.name,
        "system": config.source.name,
        "url": url(collected),
        "resource": resource,
        "configured_in": collected.origin().to_string(),
        "state": match latest {
            None => "unknown",
            Some(_) if stale.is_some() => "stale",
            Some(reading) => state(reading.outcome.is_ok()),
        },
        "error": latest.and_then(|reading| reading.outcome.as_ref().err()).map(error),
        "parts": parts,
        "advice": latest.and_then(Reading::snapshot).map(|snapshot| snapshot.advice.as_slice()).unwrap_or_default(),
        "last_poll": latest.map(|reading| last_poll(reading, now)),
        "min_interval_seconds": config.min_interval.as_secs_f64(),
        "next_poll_allowed": latest.map(|_| time(SystemTime::now() + target.wait(now))),
        "errors_total": latest.map(errors_total).unwrap_or_default(),
        "repairs_total": latest.map(repairs_total).unwrap_or_default(),
    });
    if let Some(stale) = stale {
        value["stale_reason"] = stale.to_string().into();
    }
    value
}

/// The part that reads the delivery log or log files, with its own timer.
fn delivery_log(target: &Target, name: &str) -> Value {
    let (failure, is_read) = target.history(|history| (history.log_failure.clone(), history.log_read_at.is_some()));
    json!({
        "name": name,
        "required": false,
        "state": if failure.is_some() || is_read { state(failure.is_none()) } else { "unknown" },
        "duration_seconds": null,
        "error": failure.as_ref().map(|failure| error(&failure.error)),
    })
}

fn part(name: &str, required: bool, report: Option<&PartReport>) -> Value {
    json!({
        "name": name,
        "required": required,
        "state": report.map_or("unknown", |report| state(report.error.is_none())),
        "duration_seconds": report.and_then(|report| report.took).map(|took| took.as_secs_f64()),
        "error": report.and_then(|report| report.error.as_ref()).map(error),
    })
}

fn last_poll(reading: &Reading, now: Instant) -> Value {
    let snapshot = reading.snapshot();
    json!({
        "time": time(reading.at),
        "age_seconds": now.saturating_duration_since(reading.began).as_secs_f64(),
        "duration_seconds": reading.ended.saturating_duration_since(reading.began).as_secs_f64(),
        "body_bytes": reading.body_bytes,
        "complete": reading.has_all_parts(),
        "canonical_points": snapshot.map(Snapshot::point_count),
        "native_series": snapshot.map(|_| json!({"kept": reading.native.kept, "dropped": reading.native.dropped})),
        "repairs": snapshot.map(|snapshot| {
            snapshot.repairs.iter().map(|(repair, n)| (repair.as_str().to_owned(), n.into())).collect::<Map<String, Value>>()
        }),
    })
}

fn errors_total(reading: &Reading) -> Vec<Value> {
    reading.tally.errors.iter().map(|((part, error), n)| json!({"part": part, "type": error, "count": n})).collect()
}

fn repairs_total(reading: &Reading) -> Map<String, Value> {
    reading.tally.repairs.iter().map(|(repair, n)| (repair.as_str().to_owned(), n.into())).collect()
}

fn error(error: &PollError) -> Value {
    json!({"type": error.error_type(), "message": error.to_string()})
}

const fn state(is_ok: bool) -> &'static str {
    if is_ok { "up" } else { "down" }
}

/// Returns the origin of the URL, if the target is polled. The path and the query may contain secrets and are omitted.
fn url(collected: &CollectedTarget) -> Option<String> {
    let config = &collected.target.config;
    config.is_polled().then(|| config.url.origin().ascii_serialization())
}

fn time(at: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(at).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Environment, parse};
    use crate::poll::Limits;
    use std::time::Duration;

    #[tokio::test]
    async fn a_reading_that_is_too_old_makes_its_target_stale_with_a_reason() {
        // Nothing listens on this port, so the poll fails immediately.
        let text = "targets: [{name: a, system: kumomta, url: 'http://127.0.0.1:1'}]";
        let config = parse(text, "test.yaml", &Environment::default()).unwrap();
        let collected = CollectedTarget::new(Target::new(config.targets[0].clone(), Limits::default()).unwrap());
        let at = |seconds| target(&collected, StalenessRule::default(), Instant::now() + Duration::from_secs(seconds));
        assert_eq!((&at(0)["state"], at(0).get("stale_reason")), (&json!("unknown"), None));
        collected.target.reading().await;
        assert_eq!((&at(0)["state"], at(0).get("stale_reason")), (&json!("down"), None));
        let stale = at(400);
        let reason = stale["stale_reason"].as_str().unwrap();
        assert_eq!(stale["state"], "stale");
        assert!(reason.contains("s ago: no scrape and no push has requested a reading"), "{reason}");
        assert!(stale["error"]["message"].is_string(), "the last error is still known");
        let named: Vec<&String> = stale.as_object().unwrap().keys().filter(|key| key.contains("stale")).collect();
        assert_eq!(named, ["stale_reason"]);
    }
}
