//! Histograms of delivery records in a real Prometheus: native histograms from a scrape of Protobuf and from a push with exponential buckets
//! have the same buckets, and exemplars lead to records that were sent.

use super::programs::{PROMETHEUS, Running, free_ports};
use crate::support::{ANY, Described, http_client, start_service, wait_until_async};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use parking_lot::Mutex;
use postmeter::simulate::{AttemptOutcome, DeliveryLog, Options, SimulatedServer, System, TOKEN, USERNAME};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const SOON: Duration = Duration::from_secs(120);
const RECORDS: u64 = 500;
/// The relative error of a percentile that a native histogram may have, at a scale of 3 or finer.
const ERROR_MAX: f64 = 0.1;

/// Forwards metrics to Prometheus, which does not accept logs, and keeps the identities of delivery records.
#[derive(Clone)]
struct Receiver {
    client: reqwest::Client,
    prometheus: String,
    records: Arc<Mutex<BTreeSet<String>>>,
}

async fn metrics(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let url = format!("{}/api/v1/otlp/v1/metrics", receiver.prometheus);
    let content_type = headers.get("content-type").cloned().unwrap();
    match receiver.client.post(url).header("content-type", content_type).body(body).send().await {
        Ok(response) => (response.status(), response.bytes().await.unwrap_or_default()),
        // It has not started yet: the request is repeated.
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Bytes::new()),
    }
}

async fn logs(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    let records = request.resource_logs.iter().flat_map(|of| &of.scope_logs).flat_map(|scope| &scope.log_records);
    for attribute in records.flat_map(|record| &record.attributes).filter(|attribute| attribute.key == "log.record.uid") {
        let Some(Attribute::StringValue(uid)) = attribute.value.clone().and_then(|value| value.value) else { continue };
        receiver.records.lock().insert(uid);
    }
    StatusCode::OK
}

struct Prometheus {
    running: Running,
    client: reqwest::Client,
    url: String,
}

impl Prometheus {
    async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        self.running.check();
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), parameters).unwrap();
        let text = self.client.get(url).send().await.ok()?.text().await.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The values that a query returns.
    async fn query(&self, query: &str) -> Vec<f64> {
        let response = self.api("query", &[("query", query)]).await.unwrap_or_default();
        let results = response["data"]["result"].as_array().cloned().unwrap_or_default();
        results.iter().map(|result| result["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }

    async fn wait_for(&self, query: &str, value: f64) {
        let last = Mutex::new(Vec::new());
        let has_value = || async {
            let found = self.query(query).await;
            let is_equal = found == [value];
            *last.lock() = found;
            is_equal
        };
        let description = || format!("{query} is {value}, not {:?}\n{}", last.lock(), self.running.log());
        wait_until_async(has_value, SOON, Described(description)).await;
    }

    /// The exemplars of the series that a query selects: the identity of the record, and the value.
    async fn exemplars(&self, query: &str) -> Vec<(String, f64)> {
        let parameters = [("query", query), ("start", "0"), ("end", "9999999999")];
        let response = self.api("query_exemplars", &parameters).await.unwrap_or_default();
        let series = response["data"].as_array().cloned().unwrap_or_default();
        let exemplars = series.iter().flat_map(|series| series["exemplars"].as_array().cloned().unwrap_or_default());
        // The OTLP receiver of Prometheus keeps the names of exemplars' attributes.
        let uid = |exemplar: &Value| {
            let labels = &exemplar["labels"];
            labels["log_record_uid"].as_str().or(labels["log.record.uid"].as_str()).unwrap_or_default().to_owned()
        };
        exemplars.map(|exemplar| (uid(&exemplar), exemplar["value"].as_str().unwrap().parse().unwrap())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_are_the_same_by_pull_and_by_push() {
    let Some([program]) = super::needed("native_histograms_are_the_same_by_pull_and_by_push", [&PROMETHEUS]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let server = SimulatedServer::start(System::Cpanel, ANY, Options { frozen: true, now: Some(now), ..Options::default() }).await.unwrap();
    let mut durations: Vec<f64> = server.traffic(|traffic| {
        traffic.log = DeliveryLog::default();
        traffic.log.fill(RECORDS, now - 3000, now - 20, traffic.domains.len());
        let done = traffic.log.iter().filter(|attempt| matches!(attempt.outcome, AttemptOutcome::Success | AttemptOutcome::Failure));
        done.map(|attempt| (attempt.at - attempt.received) as f64).collect()
    });
    durations.sort_by(f64::total_cmp);

    let [web] = free_ports();
    let url = format!("http://127.0.0.1:{web}");
    let client = http_client();
    let receiver = Receiver { client: client.clone(), prometheus: url.clone(), records: Arc::default() };
    let routes = Router::new().route("/v1/metrics", post(metrics)).route("/v1/logs", post(logs)).with_state(receiver.clone());
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let file = format!(
        "state_dir: {}\ntargets:\n  - {{name: whm1, system: cpanel, url: \"{}\", username: {USERNAME}, token: {TOKEN}, min_interval: 1s, \
         parts: {{messages: {{interval: 1s, since: 2h}}}}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  \
         otlp: {{endpoint: \"http://{address}/v1/metrics\", protocol: http/protobuf, compression: none, interval: 1s, \
         histograms: exponential, retry: {{initial: 100ms, max: 500ms}}}}\n",
        folder.path().display(),
        server.url(),
    );
    let service = start_service(&file).await;
    let pull = service.address.unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, scrape_native_histograms: true, always_scrape_classic_histograms: true}}\n\
         scrape_configs:\n  - {{job_name: postmeter, honor_labels: true, static_configs: [{{targets: [\"{pull}\"], labels: {{via: pull}}}}]}}\n\
         storage: {{exemplars: {{max_exemplars: 10000}}}}\n"
    );
    let running = Running::prometheus(&program, folder.path(), &config, web, &["--enable-feature=exemplar-storage"]);
    let prometheus = Prometheus { running, client, url };

    let done = durations.len() as f64;
    prometheus.wait_for("mail_delivery_duration_seconds_count{via=\"pull\"}", done).await;
    for via in ["pull", ""] {
        let native = format!("mail_delivery_duration_seconds{{via=\"{via}\"}}");
        prometheus.wait_for(&format!("histogram_count({native})"), done).await;
        assert_eq!(prometheus.query(&format!("histogram_sum({native})")).await, [durations.iter().sum::<f64>()], "{via}");
        for quantile in [0.5, 0.9, 0.99] {
            let exact = durations[(durations.len() as f64 * quantile) as usize];
            let found = prometheus.query(&format!("histogram_quantile({quantile}, {native})")).await;
            assert!(matches!(found[..], [value] if (value / exact - 1.0).abs() <= ERROR_MAX), "{via} {quantile}: {found:?}, not {exact}");
        }
        let classic = if via == "pull" { "_bucket" } else { "" };
        let selected = format!("mail_delivery_duration_seconds{classic}{{via=\"{via}\"}}");
        let has_exemplars = || async { !prometheus.exemplars(&selected).await.is_empty() };
        wait_until_async(has_exemplars, SOON, Described(|| format!("{selected} has exemplars\n{}", prometheus.running.log()))).await;
        let sent = receiver.records.lock().clone();
        for (uid, value) in prometheus.exemplars(&selected).await {
            assert!(sent.contains(&uid), "{via}: no record {uid} was sent");
            assert!(durations.contains(&value), "{via}: no delivery took {value} s");
        }
    }
    // The same buckets: the difference of the two histograms has none.
    let difference = "mail_delivery_duration_seconds{via=\"pull\"} - ignoring(via) mail_delivery_duration_seconds{via=\"\"}";
    let response = prometheus.api("query", &[("query", difference)]).await.unwrap();
    let results = response["data"]["result"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{response}");
    assert_eq!(results[0]["histogram"][1]["count"], "0", "{response}");
    assert!(results[0]["histogram"][1]["buckets"].as_array().is_none_or(Vec::is_empty), "{response}");
    service.stop().await;
    server.shutdown().await;
}
