//! A receiver over HTTP that rejects requests, or those that are too large.

use super::{ANY, QUICK, Ticker, WAIT_MAX, assert_each_tick_once, request_files, ticks};
use crate::support::flat::flatten;
use crate::support::wait_until;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An HTTP receiver: the accepted requests, and its responses.
#[derive(Clone, Default)]
struct HttpReceiver {
    /// The status and the `Retry-After` with which it rejects requests.
    rejection: Arc<Mutex<Option<(u16, &'static str)>>>,
    /// The largest request that it accepts, before compression.
    bytes_max: Arc<Mutex<Option<usize>>>,
    /// The number of requests that it accepts before it is busy.
    accepted_max: Arc<Mutex<Option<usize>>>,
    rejected: Arc<AtomicU64>,
    accepted: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

async fn receive(State(http): State<HttpReceiver>, headers: HeaderMap, body: Bytes) -> (StatusCode, [(&'static str, &'static str); 1]) {
    if let Some((status, retry_after)) = *http.rejection.lock().unwrap() {
        http.rejected.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::from_u16(status).unwrap(), [("retry-after", retry_after)]);
    }
    assert_eq!(headers["content-encoding"], "gzip", "compression is the default, even on loopback");
    let mut decompressed = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut decompressed).unwrap();
    if http.bytes_max.lock().unwrap().is_some_and(|max| decompressed.len() > max) {
        http.rejected.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::PAYLOAD_TOO_LARGE, [("retry-after", "1")]);
    }
    if http.accepted_max.lock().unwrap().is_some_and(|max| http.accepted.lock().unwrap().len() >= max) {
        http.rejected.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]);
    }
    http.accepted.lock().unwrap().push(ExportMetricsServiceRequest::decode(&decompressed[..]).unwrap());
    (StatusCode::OK, [("content-type", "application/x-protobuf")])
}

#[tokio::test(flavor = "multi_thread")]
async fn http_rejections_are_retried_or_counted_as_lost() {
    let ticker = Ticker::start(0).await;
    let http = HttpReceiver::default();
    *http.rejection.lock().unwrap() = Some((503, "2"));
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let endpoint = format!("endpoint: \"http://{}\", protocol: http/protobuf, {QUICK}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(receive)).with_state(http.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = ticker.start_service(&endpoint).await;
    wait_until(|| http.rejected.load(Ordering::SeqCst) == 1, WAIT_MAX, "the first attempt").await;
    let started = Instant::now();
    wait_until(|| http.rejected.load(Ordering::SeqCst) == 2, WAIT_MAX, "the second attempt").await;
    assert!(started.elapsed() > Duration::from_millis(1900), "Retry-After is respected: {:?}", started.elapsed());
    *http.rejection.lock().unwrap() = None;
    let missed = ticker.polls();
    wait_until(|| ticks(&http.accepted.lock().unwrap()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    *http.rejection.lock().unwrap() = Some((400, "1"));
    let before = http.rejected.load(Ordering::SeqCst);
    wait_until(|| http.rejected.load(Ordering::SeqCst) > before, WAIT_MAX, "a request is rejected").await;
    wait_until(|| service.push_status().unwrap().lost_points > 0, WAIT_MAX, "the rejection is counted").await;
    service.stop().await;
    assert_each_tick_once(&ticks(&http.accepted.lock().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_large_for_http_are_split() {
    const SERIES: usize = 1000;
    let ticker = Ticker::start(SERIES).await;
    let http = HttpReceiver::default();
    *http.bytes_max.lock().unwrap() = Some(20_000);
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let endpoint = format!("endpoint: \"http://{}\", protocol: http/protobuf, {QUICK}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(receive)).with_state(http.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = ticker.start_service(&endpoint).await;
    wait_until(|| ticks(&http.accepted.lock().unwrap()).len() >= 3, WAIT_MAX, "three ticks arrive").await;
    assert!(http.rejected.load(Ordering::SeqCst) > 0);
    service.stop().await;
    let accepted = http.accepted.lock().unwrap();
    let arrived = ticks(&accepted);
    assert_each_tick_once(&arrived);
    let filler = flatten(&accepted).iter().filter(|point| point.metric == "filler").count();
    assert_eq!(filler, arrived.len() * SERIES, "each collection is complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_sends_only_what_is_left_of_a_split_request() {
    const SERIES: usize = 1000;
    const ACCEPTED: usize = 3;
    let ticker = Ticker::start(SERIES).await;
    let http = HttpReceiver::default();
    *http.bytes_max.lock().unwrap() = Some(20_000);
    *http.accepted_max.lock().unwrap() = Some(ACCEPTED);
    let (listener, folder) = (tokio::net::TcpListener::bind(ANY).await.unwrap(), tempfile::tempdir().unwrap());
    let (url, spool) = (format!("http://{}", listener.local_addr().unwrap()), folder.path().join("spool"));
    let endpoint = format!("endpoint: \"{url}\", protocol: http/protobuf, spool: {{dir: {}}}, {QUICK}", spool.display());
    let router = Router::new().route("/v1/metrics", post(receive)).with_state(http.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = ticker.start_service(&endpoint).await;
    let is_busy = || service.push_status().unwrap().failure.is_some() && http.accepted.lock().unwrap().len() == ACCEPTED;
    wait_until(is_busy, WAIT_MAX, "the receiver accepts some parts").await;
    service.stop().await;
    let accepted = points(&http.accepted.lock().unwrap());
    assert!(accepted.len() > 100, "{}", accepted.len());
    *http.accepted_max.lock().unwrap() = None;
    let service = ticker.start_service(&endpoint).await;
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&http.accepted.lock().unwrap()).contains_key(&next), WAIT_MAX, "all other ticks arrive").await;
    service.stop().await;
    let arrived = http.accepted.lock().unwrap();
    assert_each_tick_once(&ticks(&arrived));
    let mut each = points(&arrived);
    let all = each.len();
    each.sort_unstable();
    each.dedup();
    assert_eq!(all, each.len(), "no point arrives twice");
    let filler = each.iter().filter(|(metric, ..)| metric == "filler").count();
    assert_eq!(filler, ticks(&arrived).len() * SERIES, "each collection is complete");
    assert!(request_files(&spool).is_empty());
}

/// The metric, the attributes and the time of a point.
type PointKey = (String, Vec<(String, String)>, u64);

/// The identity and the time of each point.
fn points(requests: &[ExportMetricsServiceRequest]) -> Vec<PointKey> {
    let of_server = flatten(requests).into_iter().filter(|point| matches!(point.metric.as_str(), "tick" | "filler"));
    of_server.map(|point| (point.metric, point.attributes, point.time)).collect()
}
