//! The end markers of a target that is down, in a real Prometheus.

use super::needed;
use super::programs::{PROMETHEUS, Running, free_ports};
use super::world::SOON;
use crate::support::program::Program as Postmeter;
use crate::support::{Described, wait_until_async};
use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Every type, and a family of KumoMTA from which a canonical histogram is read.
const PAGE: &str = "# TYPE total_messages_delivered counter\ntotal_messages_delivered{service=\"smtp_client\"} 5\n\
# TYPE scheduled_count gauge\nscheduled_count{queue=\"example.com\"} 2\n\
# TYPE deliver_message_latency_rollup histogram\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"0.5\"} 2\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"1\"} 3\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"+Inf\"} 4\n\
deliver_message_latency_rollup_sum{service=\"smtp_client\"} 9\ndeliver_message_latency_rollup_count{service=\"smtp_client\"} 4\n\
# TYPE size summary\nsize{quantile=\"0.5\"} 3\nsize{quantile=\"0.9\"} 7\nsize_sum 30\nsize_count 6\n";

/// The names of the series in Prometheus that its lookback does not hide, with the labels that distinguish them.
async fn current(url: &str) -> Option<BTreeSet<String>> {
    let query = [("query", "{instance=~\"mx.\",__name__!~\"mail_up|postmeter_.*|target_info\"}")];
    let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), query).ok()?;
    let client = reqwest::Client::builder().no_proxy().build().ok()?;
    let response: Value = serde_json::from_str(&client.get(url).send().await.ok()?.text().await.ok()?).ok()?;
    let series = |metric: &Value| {
        let label = |name: &str| metric[name].as_str().map(|value| format!(" {name}={value}")).unwrap_or_default();
        format!("{}{}{}", metric["__name__"].as_str().unwrap_or_default(), label("le"), label("quantile"))
    };
    Some(response["data"]["result"].as_array()?.iter().map(|result| series(&result["metric"])).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_a_target_that_is_down_ends() {
    let Some([prometheus]) = needed("every_series_of_a_target_that_is_down_ends", [&PROMETHEUS]) else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_down = Arc::new(AtomicBool::new(false));
    let page = {
        let is_down = is_down.clone();
        get(move || async move { if is_down.load(Ordering::SeqCst) { Err(axum::http::StatusCode::BAD_GATEWAY) } else { Ok(PAGE) } })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, Router::new().fallback(page)).into_future());

    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    let url = format!("http://127.0.0.1:{web}");
    let config = "global: {scrape_interval: 1m}\n";
    let running = Running::prometheus(&prometheus, folder.path(), config, web, &["--query.lookback-delta=1h"]);
    let export = format!(
        "export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{url}/api/v1/otlp/v1/metrics\", protocol: http/protobuf, interval: 1s, retry: {{initial: 100ms}}}}\n"
    );
    // KumoMTA has no summaries.
    let target = |name: &str, system: &str| format!("  - {{name: {name}, system: {system}, url: \"http://{server}\", min_interval: 1s}}\n");
    let targets = target("mx1", "kumomta, format: text") + &target("mx2", "prometheus");
    let postmeter = Postmeter::spawn_with(folder.path(), &format!("targets:\n{targets}{export}"), &[]);

    let last = Mutex::new(BTreeSet::new());
    let log = || format!("{:?}\n{}", last.lock(), running.log());
    let has_all = || async {
        running.check();
        *last.lock() = current(&url).await.unwrap_or_default();
        let last = last.lock();
        let has = |series: &str| last.contains(series);
        has("deliver_message_latency_rollup_bucket le=0.5") && has("size quantile=0.9") && has("scheduled_count") && has("size_sum")
    };
    wait_until_async(has_all, SOON, Described(|| format!("all series are in Prometheus: {}", log()))).await;
    let canonical = |series: &&String| series.starts_with("mail_") && series.contains("_bucket");
    assert!(last.lock().iter().any(|series| canonical(&series)), "no canonical histogram: {:?}", last.lock());

    is_down.store(true, Ordering::SeqCst);
    let has_none = || async {
        running.check();
        match current(&url).await {
            Some(series) => *last.lock() = series,
            None => return false,
        }
        last.lock().is_empty()
    };
    wait_until_async(has_none, SOON, Described(|| format!("no series is left in Prometheus: {}", log()))).await;
    postmeter.terminate();
    postmeter.end();
    serving.abort();
}
