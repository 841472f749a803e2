//! Native names that a real Prometheus cannot translate: its OTLP receiver would reject the metrics of all targets.

use super::needed;
use super::programs::{PROMETHEUS, Running, free_ports};
use super::world::SOON;
use crate::support::program::Program as Postmeter;
use crate::support::{Described, http_client, install_crypto_provider, wait_until_async};
use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeSet;

const UNTRANSLATABLE: &str = "# TYPE _ gauge\n_ 1\n# TYPE __ gauge\n__{l=\"1\"} 1\n# TYPE \"жж\" gauge\n{\"жж\"} 1\n\
# TYPE \"é\" histogram\n{\"é_bucket\",le=\"+Inf\"} 1\n{\"é_sum\"} 1\n{\"é_count\"} 1\n\
# TYPE unusual gauge\nunusual{__=\"1\"} 1\nunusual{_=\"2\"} 1\nunusual{\"--\"=\"3\"} 1\nunusual{\"домен\"=\"4\"} 1\nunusual{\"__name__.\"=\"5\"} 1\nunusual{\"--name--\"=\"6\"} 1\n\
target_info{__=\"7\",\"é\"=\"8\",\"--name--\"=\"9\"} 1\n";
const HEALTHY: &str = "# TYPE healthy gauge\nhealthy 1\n";

/// The names of all series of native metrics.
async fn names(url: &str) -> Option<BTreeSet<String>> {
    let query = [("query", "{instance=~\"unusual|healthy\",__name__!~\"mail_.*|postmeter_.*|scrape_.*|up\"}")];
    let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), query).ok()?;
    let client = http_client();
    let response: Value = serde_json::from_str(&client.get(url).send().await.ok()?.text().await.ok()?).ok()?;
    let series = |result: &Value| {
        let metric = result["metric"].as_object().cloned().unwrap_or_default();
        let own = metric.iter().filter(|(name, _)| !["__name__", "instance", "job", "via", "le"].contains(&name.as_str()));
        let labels: Vec<String> = own.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
        format!("{}{{{}}}", metric["__name__"].as_str().unwrap_or_default(), labels.join(","))
    };
    Some(response["data"]["result"].as_array()?.iter().map(series).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_prometheus_cannot_translate_do_not_affect_other_targets() {
    let Some([prometheus]) = needed("names_that_prometheus_cannot_translate_do_not_affect_other_targets", [&PROMETHEUS]) else { return };
    install_crypto_provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let router = Router::new().route("/unusual", get(|| async { UNTRANSLATABLE })).route("/healthy", get(|| async { HEALTHY }));
    let serving = tokio::spawn(axum::serve(listener, router).into_future());

    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    let url = format!("http://127.0.0.1:{web}");
    let running = Running::prometheus(&prometheus, folder.path(), "global: {scrape_interval: 1m}\n", web, &[]);
    let target = |name: &str| format!("  - {{name: {name}, system: prometheus, url: \"http://{server}/{name}\", min_interval: 1s}}\n");
    let export = format!(
        "export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{url}/api/v1/otlp/v1/metrics\", protocol: http/protobuf, interval: 1s, retry: {{initial: 100ms}}}}\n"
    );
    let postmeter = Postmeter::spawn_with(folder.path(), &format!("targets:\n{}{}{export}", target("unusual"), target("healthy")), &[]);

    let last = Mutex::new(BTreeSet::new());
    let has_all = || async {
        running.check();
        *last.lock() = names(&url).await.unwrap_or_default();
        let last = last.lock();
        let has = |series: &str| last.iter().any(|found| found.starts_with(series));
        ["healthy{", "U{", "U_436_436{", "U_e9_bucket{", "unusual{exported___name__=6", "target_info{"].into_iter().all(has)
            && last.iter().filter(|series| series.starts_with("unusual{")).count() == 6
    };
    wait_until_async(has_all, SOON, Described(|| format!("all series are in Prometheus: {:#?}\n{}", last.lock(), running.log()))).await;
    postmeter.terminate();
    postmeter.end();
    serving.abort();
}
