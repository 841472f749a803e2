//! `/-/poll` and `/-/response`: a poll, or the response of a mail server as text, when an operator asks for it.
//!
//! Both send requests to the mail server, so cross-site requests are rejected, and both stay within `min_interval` and the rate budget.

use super::TARGET_NOT_FOUND;
use crate::poll::{PollRefusal, RAW_BYTES_MAX, RawError, RawResponse, Reading};
use crate::serve::AppState;
use crate::serve::access::same_site::check_same_site;
use crate::serve::http::security_headers::plain_text;
use crate::telemetry::CollectedTarget;
use axum::extract::{Query, State};
use axum::http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The longest wait for a poll. The poll continues after that.
const POLL_WAIT_MAX: Duration = Duration::from_secs(60);

type Parameters = Query<HashMap<String, String>>;

/// Serves `/-/poll`: 200 if the poll succeeded, 502 if it failed, 202 if it still runs, and 429 if it is not allowed now.
pub(crate) async fn poll(State(app): State<AppState>, uri: Uri, Query(parameters): Parameters, headers: HeaderMap) -> Response {
    let collected = match selected(&app, &uri, &parameters, &headers) {
        Ok(collected) => collected,
        Err(refusal) => return refusal.into_response(),
    };
    let name = collected.target.name();
    match tokio::time::timeout(POLL_WAIT_MAX, collected.target.poll_now()).await {
        Ok(Ok(reading)) => {
            let status = if reading.outcome.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
            (status, plain_text(describe(name, &reading))).into_response()
        }
        Ok(Err(refusal)) => refused(&format!("{name} was not polled"), refusal),
        Err(_) => {
            let text =
                format!("the poll of {name} has taken {} s and continues; the status page shows its result\n", POLL_WAIT_MAX.as_secs());
            (StatusCode::ACCEPTED, plain_text(text)).into_response()
        }
    }
}

/// Serves `/-/response`: the first page of a part, by default of the required one.
pub(crate) async fn response(State(app): State<AppState>, uri: Uri, Query(parameters): Parameters, headers: HeaderMap) -> Response {
    let collected = match selected(&app, &uri, &parameters, &headers) {
        Ok(collected) => collected,
        Err(refusal) => return refusal.into_response(),
    };
    let target = &collected.target;
    match target.raw_response(parameters.get("part").map(String::as_str)).await {
        Ok(raw) => plain_text(write_raw(&raw)),
        Err(RawError::Refused(refusal)) => refused(&format!("the response of {} was not requested", target.name()), refusal),
        Err(RawError::Failed(error)) => {
            (StatusCode::BAD_GATEWAY, plain_text(format!("there is no response of {}: {error}\n", target.name()))).into_response()
        }
        Err(RawError::UnknownPart) => {
            let parts: Vec<&str> = target.config.parts.iter().map(|part| part.part.name).collect();
            let text = format!("{} is not polled with this part; its parts are: {}\n", target.name(), parts.join(", "));
            (StatusCode::NOT_FOUND, plain_text(text)).into_response()
        }
    }
}

/// Returns the target of a request, or the status and the text with which the request is rejected.
fn selected(
    app: &AppState,
    uri: &Uri,
    parameters: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Result<Arc<CollectedTarget>, (StatusCode, String)> {
    check_same_site(&app.telemetry, uri, headers).map_err(|(status, message)| (status, message.to_owned()))?;
    let Some(name) = parameters.get("target") else {
        let text = format!("the parameter target is missing: {}?target=NAME, with a name from the configuration\n", uri.path());
        return Err((StatusCode::BAD_REQUEST, text));
    };
    app.targets.find(name).ok_or_else(|| (StatusCode::NOT_FOUND, TARGET_NOT_FOUND.to_owned()))
}

/// The response to a request that is not allowed yet: the reason, and when it is allowed.
fn refused(what: &str, refusal: PollRefusal) -> Response {
    // Rounded up, so that a request at that time is allowed.
    let seconds = refusal.wait().as_millis().div_ceil(1000) as u64;
    let at = Timestamp::try_from(SystemTime::now() + Duration::from_secs(seconds)).unwrap_or_default();
    let text = format!("{what}: {refusal}; allowed in {seconds} s, at {}\n", at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    let mut response = (StatusCode::TOO_MANY_REQUESTS, plain_text(text)).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Describes the result of a poll in one line, and one more for each part that failed.
fn describe(name: &str, reading: &Reading) -> String {
    let took = reading.ended.saturating_duration_since(reading.began).as_millis();
    let mut text = match &reading.outcome {
        Ok(snapshot) => {
            let points = snapshot.point_count();
            format!("{name} was polled in {took} ms: up, {points} canonical points, {} native series\n", reading.native.kept)
        }
        Err(error) => return format!("{name} was polled in {took} ms: down: {error}\n"),
    };
    for (part, error) in reading.parts.iter().filter_map(|part| Some((part.part, part.error.as_ref()?))) {
        text += &format!("part {part} failed: {error}\n");
    }
    text
}

fn write_raw(raw: &RawResponse) -> String {
    let RawResponse { requested, status, content_type, body, is_cut } = raw;
    let kind = if content_type.is_empty() { String::new() } else { format!(", {content_type}") };
    let cut = if *is_cut { format!("The body is longer; these are its first {RAW_BYTES_MAX} bytes.\n") } else { String::new() };
    format!("{requested}\n{status}{kind}\nSecrets of the request are replaced by ***.\n{cut}\n{}\n", body.trim_end_matches('\n'))
}
