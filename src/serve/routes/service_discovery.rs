//! `/sd`: the targets for the HTTP service discovery of Prometheus.
//!
//! Each target is a group whose address is this endpoint and whose path is `/probe?target=NAME`. `job` and `instance` are the same
//! as on `/metrics`, so a series has the same labels with either scrape method. All other labels are `__meta_postmeter_*`, for
//! relabeling: a label such as `mail_system_name` would conflict with the label of the canonical series, which Prometheus would
//! then rename.

use super::targets::JSON;
use crate::model::TranslationStrategy;
use crate::serve::AppState;
use crate::telemetry::CollectedTarget;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

/// The maximum length of an address: a host name with a port.
const ADDRESS_CHARS_MAX: usize = 262;

/// The prefix of all labels for relabeling.
const META: &str = "__meta_postmeter_";

/// Serves `/sd`.
pub(crate) async fn discover(State(app): State<AppState>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    // HTTP/2 has the host in the URI.
    let requested =
        uri.authority().map(|authority| authority.as_str()).or_else(|| headers.get(HOST)?.to_str().ok()).filter(|host| is_address(host));
    let scheme = if app.access.rules().tls.is_some() { "https" } else { "http" };
    let own = app.address.map(|address| address.to_string()).unwrap_or_default();
    // The address in the request is the one by which the client reaches this endpoint.
    let address = requested.unwrap_or(&own);
    let groups: Vec<Value> = app.targets.now().iter().map(|collected| group(collected, address, scheme)).collect();
    ([(CONTENT_TYPE, JSON)], Value::from(groups).to_string())
}

fn group(collected: &CollectedTarget, address: &str, scheme: &str) -> Value {
    let identity = collected.last_identity();
    let config = &collected.target.config;
    let mut labels = Map::new();
    let mut set = |name: String, value: &str| drop(labels.insert(name, value.into()));
    for (name, value) in identity.info(TranslationStrategy::default()) {
        set(format!("{META}{name}"), value);
    }
    set(format!("{META}target"), &config.name);
    set(format!("{META}mail_system_name"), config.source.name);
    // In the format of `__scrape_interval__`.
    set(format!("{META}min_interval"), &format!("{}ms", config.min_interval.as_millis()));
    set("__scheme__".to_owned(), scheme);
    set("__metrics_path__".to_owned(), "/probe");
    set("__param_target".to_owned(), &config.name);
    set("job".to_owned(), identity.job());
    set("instance".to_owned(), identity.instance());
    json!({"targets": [address], "labels": labels})
}

/// Returns true if the text can be an address. It comes from the client and is not trusted.
fn is_address(host: &str) -> bool {
    !host.is_empty() && host.len() <= ADDRESS_CHARS_MAX && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}
