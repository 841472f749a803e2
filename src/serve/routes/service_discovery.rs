//! `/sd`: the targets as Prometheus' HTTP service discovery reads them.
//!
//! One group for each target: this endpoint as the address, `/probe?target=NAME` as what to scrape there. `job` and `instance` are
//! those of `/metrics`, so that a series is called the same whichever way it is scraped. Everything else is `__meta_postmeter_*`,
//! for relabelling: a label such as `mail_system_name` here would meet the one that each canonical series has, and Prometheus
//! would rename that one.

use super::targets::JSON;
use crate::serve::AppState;
use crate::telemetry::CollectedTarget;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

/// The length of an address, as of a host name with a port.
const ADDRESS_CHARS_MAX: usize = 262;

/// What all labels for relabelling begin with.
const META: &str = "__meta_postmeter_";

pub(crate) async fn discover(State(served): State<AppState>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    // By HTTP/2 it is said in another place.
    let asked =
        uri.authority().map(|authority| authority.as_str()).or_else(|| headers.get(HOST)?.to_str().ok()).filter(|host| is_address(host));
    let scheme = if served.access.rules().tls.is_some() { "https" } else { "http" };
    let own = served.address.map(|address| address.to_string()).unwrap_or_default();
    // Who asks knows best how we are reached from there.
    let address = asked.unwrap_or(&own);
    let groups: Vec<Value> = served.targets.now().iter().map(|monitored| group(monitored, address, scheme)).collect();
    ([(CONTENT_TYPE, JSON)], Value::from(groups).to_string())
}

fn group(monitored: &CollectedTarget, address: &str, scheme: &str) -> Value {
    let identity = monitored.last_identity();
    let config = &monitored.target.config;
    let mut labels = Map::new();
    let mut set = |name: String, value: &str| drop(labels.insert(name, value.into()));
    for (name, value) in identity.info() {
        set(format!("{META}{name}"), value);
    }
    set(format!("{META}target"), &config.name);
    set(format!("{META}mail_system_name"), config.source.name);
    // As `__scrape_interval__` would have it.
    set(format!("{META}min_interval"), &format!("{}ms", config.min_interval.as_millis()));
    set("__scheme__".to_owned(), scheme);
    set("__metrics_path__".to_owned(), "/probe");
    set("__param_target".to_owned(), &config.name);
    set("job".to_owned(), identity.job());
    set("instance".to_owned(), identity.instance());
    json!({"targets": [address], "labels": labels})
}

/// Whether this may be an address; who asks says what they like.
fn is_address(host: &str) -> bool {
    !host.is_empty() && host.len() <= ADDRESS_CHARS_MAX && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}
