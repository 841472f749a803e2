//! The end markers of a target that is down, and of series that change their form, in a real Prometheus.

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
use std::path::Path;
use std::sync::Arc;

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
    let client = http_client();
    let response: Value = serde_json::from_str(&client.get(url).send().await.ok()?.text().await.ok()?).ok()?;
    let series = |metric: &Value| {
        let label = |name: &str| metric[name].as_str().map(|value| format!(" {name}={value}")).unwrap_or_default();
        let version = if metric["otel_scope_name"] == "lib" { label("otel_scope_version") } else { String::new() };
        let labels = ["le", "quantile", "l", "__type__"].map(label).concat() + &version;
        format!("{}{labels}", metric["__name__"].as_str().unwrap_or_default())
    };
    Some(response["data"]["result"].as_array()?.iter().map(|result| series(&result["metric"])).collect())
}

/// A target whose page changes, Postmeter, and Prometheus, which receives its metrics. `mx1` is KumoMTA, which has no summaries, and `mx2` any exporter.
struct Stack {
    /// The page; `None` while the target is down.
    page: Arc<Mutex<Option<&'static str>>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    prometheus: Running,
    postmeter: Postmeter,
    url: String,
    last: Mutex<BTreeSet<String>>,
    _folder: tempfile::TempDir,
}

impl Stack {
    async fn start(prometheus: &Path, config: &str, arguments: &[&str], first: &'static str) -> Self {
        install_crypto_provider();
        let page = Arc::new(Mutex::new(Some(first)));
        let served = page.clone();
        let respond = get(move || async move { served.lock().ok_or(axum::http::StatusCode::BAD_GATEWAY) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let serving = tokio::spawn(axum::serve(listener, Router::new().fallback(respond)).into_future());

        let folder = tempfile::tempdir().unwrap();
        let [web] = free_ports();
        let url = format!("http://127.0.0.1:{web}");
        let config = format!("global: {{scrape_interval: 1m}}\n{config}");
        let arguments = [&["--query.lookback-delta=1h"], arguments].concat();
        let prometheus = Running::prometheus(prometheus, folder.path(), &config, web, &arguments);
        let export = format!(
            "export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{url}/api/v1/otlp/v1/metrics\", protocol: http/protobuf, interval: 1s, retry: {{initial: 100ms}}}}\n"
        );
        let target =
            |name: &str, system: &str| format!("  - {{name: {name}, system: {system}, url: \"http://{server}\", min_interval: 1s}}\n");
        let targets = target("mx1", "kumomta, format: text") + &target("mx2", "prometheus");
        let postmeter = Postmeter::spawn_with(folder.path(), &format!("targets:\n{targets}{export}"), &[]);
        Self { page, serving, prometheus, postmeter, url, last: Mutex::default(), _folder: folder }
    }

    /// Waits until Prometheus has these series.
    async fn wait_for(&self, description: &str, has_series: impl Fn(&BTreeSet<String>) -> bool) {
        let has_series = || async {
            self.prometheus.check();
            let Some(series) = current(&self.url).await else { return false };
            *self.last.lock() = series;
            has_series(&self.last.lock())
        };
        let log = || format!("{description}: {:?}\n{}", self.last.lock(), self.prometheus.log());
        wait_until_async(has_series, SOON, Described(log)).await;
    }

    fn end(self) {
        self.postmeter.terminate();
        self.postmeter.end();
        self.serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_a_target_that_is_down_ends() {
    let Some([prometheus]) = needed("every_series_of_a_target_that_is_down_ends", [&PROMETHEUS]) else { return };
    let stack = Stack::start(&prometheus, "", &[], PAGE).await;
    let all = ["deliver_message_latency_rollup_bucket le=0.5", "size quantile=0.9", "scheduled_count", "size_sum"];
    stack.wait_for("all series are in Prometheus", |series| all.iter().all(|one| series.contains(*one))).await;
    let canonical = |series: &&String| series.starts_with("mail_") && series.contains("_bucket");
    let has_canonical = stack.last.lock().iter().any(|series| canonical(&series));
    assert!(has_canonical, "no canonical histogram: {:?}", stack.last.lock());
    *stack.page.lock() = None;
    stack.wait_for("no series is left in Prometheus", BTreeSet::is_empty).await;
    stack.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_changed_series_does_not_continue_ends() {
    let Some([prometheus]) = needed("what_a_changed_series_does_not_continue_ends", [&PROMETHEUS]) else { return };
    // The scope and the type of a series are labels.
    let arguments = ["--enable-feature=type-and-unit-labels"];
    let stack = Stack::start(&prometheus, "otlp: {promote_scope_metadata: true}\n", &arguments, BEFORE).await;
    stack.wait_for("all series are in Prometheus", |series| ENDED.iter().all(|one| series.contains(*one))).await;
    *stack.page.lock() = Some(AFTER);
    let is_changed =
        |series: &BTreeSet<String>| CURRENT.iter().all(|one| series.contains(*one)) && !ENDED.iter().any(|one| series.contains(*one));
    stack.wait_for("Prometheus has the series of the second page only", is_changed).await;
    *stack.page.lock() = Some(BEFORE);
    stack.wait_for("the series of the first page are in Prometheus again", |series| ENDED.iter().all(|one| series.contains(*one))).await;
    stack.end();
}

/// Series that change: the bounds and the sum of a histogram, the quantiles of a summary, a scope, and types.
const BEFORE: &str = "# TYPE deliver_message_latency_rollup histogram\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"0.5\"} 2\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"1\"} 3\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"+Inf\"} 4\n\
deliver_message_latency_rollup_sum{service=\"smtp_client\"} 9\ndeliver_message_latency_rollup_count{service=\"smtp_client\"} 4\n\
# TYPE size summary\nsize{quantile=\"0.5\"} 3\nsize{quantile=\"0.9\"} 7\nsize_sum 30\nsize_count 6\n\
# TYPE scoped gauge\nscoped{otel_scope_name=\"lib\",otel_scope_version=\"1\"} 1\n\
untyped{quantile=\"0.5\"} 3\nuntyped_sum 30\nuntyped_count 6\n\
# TYPE typed histogram\ntyped_bucket{l=\"a\",le=\"+Inf\"} 1\ntyped_count{l=\"a\"} 1\ntyped_bucket{l=\"b\",le=\"+Inf\"} 1\ntyped_count{l=\"b\"} 1\n\
# TYPE total_messages_delivered counter\ntotal_messages_delivered{service=\"smtp_client\"} 5\n";
const AFTER: &str = "# TYPE deliver_message_latency_rollup histogram\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"1\"} 3\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"5\"} 4\n\
deliver_message_latency_rollup_bucket{service=\"smtp_client\",le=\"+Inf\"} 5\n\
deliver_message_latency_rollup_count{service=\"smtp_client\"} 5\n\
# TYPE size summary\nsize{quantile=\"0.5\"} 3\nsize_sum 30\nsize_count 7\n\
# TYPE scoped gauge\nscoped{otel_scope_name=\"lib\",otel_scope_version=\"2\"} 1\n\
# TYPE untyped summary\nuntyped{quantile=\"0.5\"} 3\nuntyped_sum 30\nuntyped_count 7\n\
typed_bucket{l=\"a\",le=\"+Inf\"} 1\ntyped_count{l=\"a\"} 1\n\
# TYPE total_messages_delivered counter\ntotal_messages_delivered{service=\"smtp_client\"} 6\n";
/// The series that end, and those that follow or continue.
const ENDED: [&str; 13] = [
    "deliver_message_latency_rollup_bucket le=0.5 __type__=histogram",
    "deliver_message_latency_rollup_sum __type__=histogram",
    "mail_delivery_attempt_duration_seconds_bucket le=0.5 __type__=histogram",
    "mail_delivery_attempt_duration_seconds_sum __type__=histogram",
    "size quantile=0.9 __type__=summary",
    "scoped __type__=gauge otel_scope_version=1",
    "untyped quantile=0.5 __type__=gauge",
    "untyped_sum __type__=gauge",
    "untyped_count __type__=gauge",
    "typed_bucket le=+Inf l=a __type__=histogram",
    "typed_bucket le=+Inf l=b __type__=histogram",
    "typed_count l=a __type__=histogram",
    "typed_count l=b __type__=histogram",
];
const CURRENT: [&str; 14] = [
    "deliver_message_latency_rollup_bucket le=1 __type__=histogram",
    "deliver_message_latency_rollup_bucket le=5 __type__=histogram",
    "deliver_message_latency_rollup_count __type__=histogram",
    "mail_delivery_attempt_duration_seconds_bucket le=1 __type__=histogram",
    "mail_delivery_attempt_duration_seconds_bucket le=5 __type__=histogram",
    "mail_delivery_attempt_duration_seconds_count __type__=histogram",
    "size quantile=0.5 __type__=summary",
    "size_count __type__=summary",
    "scoped __type__=gauge otel_scope_version=2",
    "untyped quantile=0.5 __type__=summary",
    "untyped_sum __type__=summary",
    "untyped_count __type__=summary",
    "typed_bucket le=+Inf l=a __type__=gauge",
    "typed_count l=a __type__=gauge",
];
