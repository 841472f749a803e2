//! The push directly to Prometheus' OTLP receiver without a window for out-of-order samples: every sample arrives.
//!
//! A proxy between the two records each request with the status of its response, and rejects one request with 503.

use super::programs::{PROMETHEUS, Running, free_ports};
use crate::support::{ANY, all_systems, http_client, start_service, wait_until_async};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, number_data_point};
use postmeter::simulate::{Options, System};
use prost::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

const SOON: Duration = Duration::from_secs(120);
/// The request that the receiver rejects with 503.
const REJECTED_REQUEST: usize = 2;
/// The number of polls of the endpoint with explicit timestamps before the test ends.
const POLLS: u64 = 6;

/// Serves these routes until the test ends, and returns the address.
async fn serve(routes: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// Requests and the statuses of their responses, in order.
#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    url: String,
    /// Held while a request is forwarded.
    exchanges: Arc<Mutex<Vec<(Bytes, u16, String)>>>,
}

async fn forward(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    // In a separate task, so that the exchange is recorded even if the client disconnects.
    tokio::spawn(exchange(proxy, headers, body)).await.unwrap()
}

async fn exchange(proxy: Proxy, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let mut exchanges = proxy.exchanges.lock().await;
    let (status, text) = if exchanges.len() == REJECTED_REQUEST {
        (StatusCode::SERVICE_UNAVAILABLE, Bytes::new())
    } else {
        let content_type = headers.get("content-type").cloned().unwrap();
        let response = proxy.client.post(&proxy.url).header("content-type", content_type).body(body.clone()).send().await.unwrap();
        (response.status(), response.bytes().await.unwrap())
    };
    exchanges.push((body, status.as_u16(), String::from_utf8_lossy(&text).into_owned()));
    (status, text)
}

fn milliseconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A page on which a series ends and returns, of a server that sometimes fails.
async fn changing(State(polls): State<Arc<AtomicU64>>) -> Result<String, StatusCode> {
    let poll = polls.fetch_add(1, Relaxed);
    let page = format!("# TYPE jobs_total counter\njobs_total{{queue=\"a\"}} {}\n# TYPE size gauge\nsize {poll}\n", 1000 + poll);
    let omitted = format!("jobs_total{{queue=\"b\"}} {}\n# TYPE width gauge\nwidth {poll}\n", 5000 + 10 * poll);
    match poll % 4 {
        1 => Ok(page),
        2 => Err(StatusCode::INTERNAL_SERVER_ERROR),
        // The same name with another type.
        3 => Ok(format!("{}{omitted}", page.replace("TYPE size gauge", "TYPE size counter"))),
        _ => Ok(page + &omitted),
    }
}

/// The time of a job that ran once.
static NIGHTLY: LazyLock<u64> = LazyLock::new(|| milliseconds_now() - 600_000);

/// A page with explicit timestamps: one that advances, one that is constant, one in the future, one that is sometimes missing, and one
/// that is too old.
async fn timestamped(State(polls): State<Arc<AtomicU64>>) -> String {
    let (poll, now) = (polls.fetch_add(1, Relaxed), milliseconds_now());
    let advancing = format!("# TYPE sent_total counter\nsent_total {} {}\n", 100 + poll, now - 700);
    let constant = format!("# TYPE nightly gauge\nnightly 7 {}\n", *NIGHTLY);
    let future = format!("# TYPE ahead gauge\nahead {poll} {}\n", now + 1500);
    let sometimes =
        if poll.is_multiple_of(2) { format!("# TYPE lost gauge\nlost {poll} {}\n", now - 300) } else { format!("lost {poll}\n") };
    let old = format!("# TYPE old gauge\nold 1 {}\n", now - 4_000_000);
    advancing + &constant + &future + &sometimes + &old
}

type Samples = BTreeMap<Vec<(String, String)>, BTreeMap<u64, u64>>;

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match found {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(n)) => n.to_string(),
        other => panic!("{key}: {other:?}"),
    }
}

/// The time of the reading that a point belongs to. An end marker is one millisecond earlier.
const fn reading_time(time: u64, flags: u32) -> u64 {
    if flags == 0 { time } else { time + 1_000_000 }
}

/// The numbers that were sent: for each series the times in milliseconds and the bits of the values, without the ends of series.
fn sent(requests: &[Bytes]) -> Samples {
    let mut all = Samples::new();
    for of_target in requests.iter().flat_map(|request| ExportMetricsServiceRequest::decode(request.clone()).unwrap().resource_metrics) {
        let resource = of_target.resource.unwrap().attributes;
        let identity = [("job", "service.name"), ("instance", "service.instance.id")].map(|(label, key)| (label, text(&resource, key)));
        let mut times = BTreeSet::new();
        for metric in of_target.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let points: Vec<NumberDataPoint> = match metric.data.unwrap() {
                Data::Gauge(gauge) => gauge.data_points,
                Data::Sum(sum) => sum.data_points,
                Data::Histogram(histogram) => {
                    times.extend(histogram.data_points.iter().map(|point| reading_time(point.time_unix_nano, point.flags)));
                    continue;
                }
                Data::Summary(_) => continue,
                other => panic!("{other:?}"),
            };
            times.extend(points.iter().map(|point| reading_time(point.time_unix_nano, point.flags)));
            for point in points.iter().filter(|point| point.flags == 0) {
                let own = point.attributes.iter().map(|attribute| (attribute.key.clone(), text(&point.attributes, &attribute.key)));
                let name = [("__name__".to_owned(), metric.name.clone())];
                let target = identity.iter().map(|(label, value)| ((*label).to_owned(), value.clone()));
                let mut labels: Vec<_> = own.chain(name).chain(target).filter(|(_, value)| !value.is_empty()).collect();
                labels.sort();
                let value = match point.value.unwrap() {
                    number_data_point::Value::AsInt(n) => n as f64,
                    number_data_point::Value::AsDouble(n) => n,
                };
                let before = all.entry(labels).or_default().insert(point.time_unix_nano / 1_000_000, value.to_bits());
                assert!(before.is_none(), "duplicate point: {} of {identity:?}", metric.name);
            }
        }
        // Prometheus derives samples of target_info from the earliest and the latest point.
        assert!(times.len() == 1 || resource.len() <= 3, "several times in one resource: {identity:?} {times:?}");
    }
    all
}

/// The samples that Prometheus has stored.
async fn stored(url: &str) -> Samples {
    // Some samples are in the future.
    let at = (milliseconds_now() / 1000 + 60).to_string();
    let parameters = [("query", r#"{job=~".+"}[30m]"#), ("time", &at)];
    let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), parameters).unwrap();
    let client = http_client();
    let response: Value = serde_json::from_str(&client.get(url).send().await.unwrap().text().await.unwrap()).unwrap();
    let series = |of: &Value| {
        let labels: BTreeMap<String, String> = serde_json::from_value(of["metric"].clone()).unwrap();
        let samples = of["values"].as_array().into_iter().flatten().map(|sample| {
            let value: f64 = sample[1].as_str().unwrap().parse().unwrap();
            ((sample[0].as_f64().unwrap() * 1000.0).round() as u64, value.to_bits())
        });
        (labels.into_iter().collect(), samples.collect())
    };
    response["data"]["result"].as_array().unwrap_or_else(|| panic!("{response}")).iter().map(series).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_arrives_without_a_window_for_samples_out_of_order() {
    let Some([prometheus]) = super::needed("every_sample_arrives_without_a_window_for_samples_out_of_order", [&PROMETHEUS]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let [web] = free_ports();
    // Without translation, so that names and labels compare with those that were sent.
    let running = Running::prometheus(&prometheus, folder.path(), "otlp: {translation_strategy: NoTranslation}\n", web, &[]);
    let url = format!("http://127.0.0.1:{web}");
    super::until_ready(&running, &url).await;
    let exchanges = Arc::new(Mutex::new(Vec::new()));
    let proxy = Proxy { client: http_client(), url: format!("{url}/api/v1/otlp/v1/metrics"), exchanges: exchanges.clone() };
    let receiver = serve(Router::new().route("/v1/metrics", post(forward)).with_state(proxy)).await;
    let (changes, stamps) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let endpoints = Router::new().route("/changing", get(changing)).with_state(changes.clone());
    let endpoints = serve(endpoints.merge(Router::new().route("/timestamped", get(timestamped)).with_state(stamps.clone()))).await;

    let (servers, targets) = all_systems(Options::default(), |system| match system {
        System::Cpanel => "min_interval: 3s, parts: {fetch_mail_queue: {}}".to_owned(),
        system => format!("min_interval: 3s, {}", system.parts_key("")),
    })
    .await;
    let file = format!(
        "targets:\n{targets}  - {{name: changing, system: prometheus, url: \"http://{endpoints}/changing\", min_interval: 2s}}\n  - {{name: timestamped, system: prometheus, url: \"http://{endpoints}/timestamped\", min_interval: 2s}}\nexport:\n  prometheus: false\n  otlp: {{endpoint: \"http://{receiver}/v1/metrics\", protocol: http/protobuf, interval: 1s, compression: none, retry: {{initial: 100ms}}}}\n",
    );
    let service = start_service(&file).await;
    let is_done = || async {
        running.check();
        changes.load(Relaxed) >= POLLS && stamps.load(Relaxed) >= POLLS && exchanges.lock().await.len() >= 2 * REJECTED_REQUEST
    };
    wait_until_async(is_done, SOON, "all endpoints are polled and pushed").await;
    service.stop().await;

    let exchanges = std::mem::take(&mut *exchanges.lock().await);
    let failed: Vec<_> =
        exchanges.iter().filter(|(_, status, response)| *status != 503 && (*status != 200 || response.contains("rejected"))).collect();
    assert!(failed.is_empty(), "{:?}", failed.iter().map(|(_, status, response)| (status, response)).collect::<Vec<_>>());
    let accepted: Vec<Bytes> = exchanges.iter().filter(|(_, status, _)| *status == 200).map(|(body, ..)| body.clone()).collect();
    let rejected = exchanges.iter().find(|(_, status, _)| *status == 503).unwrap();
    assert!(accepted.contains(&rejected.0), "the rejected request was not sent again");

    let (sent, stored) = (sent(&accepted), stored(&url).await);
    for (series, samples) in &sent {
        assert_eq!(stored.get(series), Some(samples), "{series:?}");
    }
    let of = |name: &str, instance: &str| {
        let is = |labels: &[(String, String)], key: &str, value: &str| labels.iter().any(|(k, v)| k == key && v == value);
        sent.iter()
            .filter(|(labels, _)| is(labels, "__name__", name) && is(labels, "instance", instance))
            .map(|(_, samples)| samples.len())
            .sum::<usize>()
    };
    // Each system was polled several times, and each reading was sent once.
    for system in System::ALL.map(System::name).into_iter().chain(["changing", "timestamped"]) {
        assert!(of("mail.up", system) >= 2, "{system}: {}", of("mail.up", system));
    }
    assert!(of("sent_total", "timestamped") as u64 >= POLLS - 1, "{}", of("sent_total", "timestamped"));
    assert_eq!(of("nightly", "timestamped"), 1);
    assert_eq!(of("old", "timestamped"), 0);
    assert!(of("ahead", "timestamped") > 1);
    for server in servers {
        server.shutdown().await;
    }
}
