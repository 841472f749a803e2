//! Metrics that the receiver does not accept are queued and arrive later, once and with their original times: outages, rejections, limits,
//! the spool, and the end of the process.
#![allow(clippy::unwrap_used)]

use crate::support::flat::flatten;
use crate::support::{postmeter, skipped, stderr, wait_until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::simulate::Receiver;
use postmeter::telemetry::SelfTelemetry;
use prost::Message;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The shortest push interval, and a short backoff.
const QUICK: &str = "interval: 1s, retry: {initial: 100ms, max: 300ms}";

/// A server whose gauge `tick` is the number of polls, so that each reading can be recognized.
#[derive(Clone)]
struct Ticker {
    address: SocketAddr,
    polls: Arc<AtomicU64>,
}

impl Ticker {
    async fn start(series: usize) -> Self {
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let ticker = Self { address: listener.local_addr().unwrap(), polls: Arc::default() };
        let polls = ticker.polls.clone();
        let respond = move || {
            let mut page = format!("# TYPE tick gauge\ntick {}\n", polls.fetch_add(1, Ordering::SeqCst) + 1);
            (0..series).for_each(|n| writeln!(page, "filler{{number=\"{n:08}\"}} {n}").unwrap());
            async move { page }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", get(respond))).await });
        ticker
    }

    fn polls(&self) -> u64 {
        self.polls.load(Ordering::SeqCst)
    }

    async fn wait_for_polls(&self, count: u64) {
        let expected = self.polls() + count;
        wait_until(|| self.polls() >= expected, WAIT_MAX, "the server is polled").await;
    }

    fn config_file(&self, otlp: &str) -> String {
        let target = format!("{{name: t, system: prometheus, url: \"http://{}\", min_interval: 1s}}", self.address);
        format!("targets: [{target}]\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{{otlp}}}\n")
    }

    /// Starts Postmeter with this server as its target.
    async fn start_service(&self, otlp: &str) -> Service {
        let config =
            config::parse(&self.config_file(otlp), "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
        Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap()
    }
}

/// The times of the points of each tick.
fn ticks(requests: &[ExportMetricsServiceRequest]) -> BTreeMap<u64, Vec<u64>> {
    let mut ticks: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for point in flatten(requests).iter().filter(|point| point.metric == "tick" && point.flags == 0) {
        ticks.entry(point.value as u64).or_default().push(point.time);
    }
    ticks
}

/// Asserts that each tick from the first to the last arrived once, and that the times increase.
#[track_caller]
fn assert_each_tick_once(ticks: &BTreeMap<u64, Vec<u64>>) {
    let numbers: Vec<u64> = ticks.keys().copied().collect();
    let last = numbers.last().copied().unwrap_or_default();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "ticks are missing");
    assert!(ticks.values().all(|times| times.len() == 1), "ticks arrived twice: {ticks:?}");
    assert!(ticks.values().flatten().is_sorted(), "times do not increase: {ticks:?}");
}

/// Scrapes one of Postmeter's self-metrics; 0 if it is missing.
async fn self_metric(service: &Service, series: &str) -> f64 {
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    let page = client.get(format!("http://{}/metrics", service.address.unwrap())).send().await.unwrap().text().await.unwrap();
    let line = page.lines().find(|line| line.starts_with(series));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_an_outage_arrive_after_it() {
    let ticker = Ticker::start(3).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let address = receiver.addr();
    let service = ticker.start_service(&format!("endpoint: \"http://{address}\", {QUICK}")).await;
    wait_until(|| ticks(&receiver.requests()).len() >= 2, WAIT_MAX, "the first ticks arrive").await;
    // The receiver is busy, then down, then up again at the same address.
    receiver.fail_with(Some(Status::unavailable("busy")));
    let mut received = receiver.requests();
    ticker.wait_for_polls(2).await;
    receiver.shutdown().await;
    ticker.wait_for_polls(8).await;
    let receiver = Receiver::start(address).await.unwrap();
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    let status = service.push_status().unwrap();
    assert!(status.failure.is_none() && status.lost_points == 0 && status.last_accepted_at.is_some(), "{status:?}");
    assert!(self_metric(&service, "postmeter_export_retries_total{error_type=\"unreachable\"").await > 0.0);
    assert_eq!(self_metric(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type").await, 0.0);
    service.stop().await;
    received.extend(receiver.requests());
    assert_each_tick_once(&ticks(&received));
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_wait_is_respected() {
    const RETRY_DELAY: Duration = Duration::from_secs(3);
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
    receiver.fail_with(Some(Status::with_error_details(tonic::Code::ResourceExhausted, "slow down", details)));
    let service = ticker.start_service(&format!("endpoint: \"{}\", {QUICK}", receiver.url())).await;
    wait_until(|| receiver.refused() == 1, WAIT_MAX, "the first attempt").await;
    let started = Instant::now();
    wait_until(|| receiver.refused() == 2, WAIT_MAX, "the second attempt").await;
    assert!(started.elapsed() > RETRY_DELAY - Duration::from_millis(100), "{:?}", started.elapsed());
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    service.stop().await;
    assert_each_tick_once(&ticks(&receiver.requests()));
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_requests_do_not_shorten_a_requested_wait() {
    const RETRY_DELAY: Duration = Duration::from_secs(4);
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
    receiver.fail_with(Some(Status::with_error_details(tonic::Code::ResourceExhausted, "slow down", details)));
    let retry = "interval: 1s, retry: {initial: 100ms, max: 300ms, give_up_after: 1s}";
    let started = Instant::now();
    let service = ticker.start_service(&format!("endpoint: \"{}\", {retry}", receiver.url())).await;
    wait_until(|| service.push_status().unwrap().lost_points > 0, WAIT_MAX, "expired requests are lost").await;
    wait_until(|| receiver.refused() >= 3, WAIT_MAX, "the third attempt").await;
    // Two waits, the second one after requests have expired.
    assert!(started.elapsed() > 2 * RETRY_DELAY - Duration::from_millis(100), "{:?}", started.elapsed());
    let expired = self_metric(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type=\"expired\"").await;
    assert!(expired > 0.0, "{expired}");
    receiver.fail_with(None);
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "the next tick arrives").await;
    service.stop().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_requests_are_counted_and_not_sent_again() {
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unauthenticated("who are you")));
    let service = ticker.start_service(&format!("endpoint: \"{}\", {QUICK}", receiver.url())).await;
    wait_until(|| receiver.refused() >= 3, WAIT_MAX, "three requests are rejected").await;
    let polls = ticker.polls();
    assert!(receiver.refused() <= polls, "each request is sent once: {} of {polls}", receiver.refused());
    let failure = service.push_status().unwrap().failure.unwrap();
    assert_eq!((failure.error_type, failure.retry_at), ("unauthenticated", None));
    assert!(self_metric(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type=\"unauthenticated\"").await > 0.0);
    receiver.fail_with(None);
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "the next tick arrives").await;
    service.stop().await;
    assert!(!ticks(&receiver.requests()).contains_key(&1));
    receiver.shutdown().await;
}

/// One rejection may be due to one request. After several in a row, sending pauses and the queue is kept.
#[tokio::test(flavor = "multi_thread")]
async fn several_rejections_in_a_row_pause_the_push() {
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let slow = "interval: 1s, retry: {initial: 20s, max: 20s}";
    let service = ticker.start_service(&format!("endpoint: \"{}\", {slow}", receiver.url())).await;
    wait_until(|| service.push_status().unwrap().queued_requests >= 6, WAIT_MAX, "several requests are queued").await;
    receiver.fail_with(Some(Status::unauthenticated("who are you")));
    wait_until(|| service.push_status().unwrap().lost_points > 0, WAIT_MAX, "a request is lost").await;
    let rejected = receiver.refused();
    ticker.wait_for_polls(3).await;
    let status = service.push_status().unwrap();
    assert!(receiver.refused() <= rejected + 1 && status.queued_requests >= 6, "{status:?}");
    service.stop().await;
    receiver.shutdown().await;
}

/// An HTTP receiver: the accepted requests, and its responses.
#[derive(Clone, Default)]
struct HttpReceiver {
    /// The status and the `Retry-After` with which it rejects requests.
    rejection: Arc<Mutex<Option<(u16, &'static str)>>>,
    /// The largest request that it accepts, before compression.
    bytes_max: Arc<Mutex<Option<usize>>>,
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
async fn a_full_queue_drops_and_counts_the_oldest_collections() {
    const SERIES: usize = 12_000;
    let ticker = Ticker::start(SERIES).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let service =
        ticker.start_service(&format!("endpoint: \"{}\", compression: none, queue: {{max_bytes: 2MiB}}, {QUICK}", receiver.url())).await;
    wait_until(|| service.push_status().unwrap().lost_points > 2 * SERIES as u64, WAIT_MAX, "the queue is full").await;
    let full = service.push_status().unwrap();
    assert!(full.memory.bytes <= 3 * 1024 * 1024, "the limit and the request that is being sent: {full:?}");
    receiver.fail_with(None);
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "the next tick arrives").await;
    service.stop().await;
    let requests = receiver.requests();
    let numbers: Vec<u64> = ticks(&requests).keys().copied().collect();
    // The first collection may have arrived, because it was being sent. The oldest of the others are missing.
    let missing = numbers.last().unwrap() - numbers.len() as u64;
    assert!(missing >= 2 && numbers.contains(&next), "{missing} are missing: {numbers:?}");
    let filler = flatten(&requests).iter().filter(|point| point.metric == "filler").count();
    assert_eq!(filler, numbers.len() * SERIES, "each collection is complete or missing: {numbers:?}");
    receiver.shutdown().await;
}

/// Starts `postmeter run`.
fn run(file: &std::path::Path) -> Child {
    postmeter().args(["run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_survives_kills() {
    survives_kills(50, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_of_large_requests_survives_kills() {
    survives_kills(20_000, 3).await;
}

/// Kills Postmeter while it runs, and once more while it starts after that.
async fn survives_kills(series: usize, kills: u64) {
    let ticker = Ticker::start(series).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let spool = folder.path().join("spool");
    let file = folder.path().join("postmeter.yaml");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), spool.display());
    std::fs::write(&file, ticker.config_file(&otlp)).unwrap();
    let mut queued = Vec::new();
    for kill in 0..kills {
        receiver.fail_with((kill % 3 != 1).then(|| Status::unavailable("busy")));
        let before = ticker.polls();
        let mut process = run(&file);
        ticker.wait_for_polls(3).await;
        // At different moments between two collections.
        tokio::time::sleep(Duration::from_millis(kill * 173 % 1000)).await;
        // Each reading is queued before the next poll.
        queued.extend(before + 1..ticker.polls());
        process.kill().unwrap();
        process.wait().unwrap();
        let mut next = run(&file);
        tokio::time::sleep(Duration::from_millis(20 + kill * 37 % 150)).await;
        next.kill().unwrap();
        next.wait().unwrap();
    }
    receiver.fail_with(None);
    let process = run(&file);
    wait_until(
        || {
            let arrived = ticks(&receiver.requests());
            queued.iter().all(|tick| arrived.contains_key(tick))
        },
        WAIT_MAX,
        "all queued ticks arrive",
    )
    .await;
    terminate(&process);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    assert!(!spool.join("otlp-metrics/damaged").exists(), "{}", stderr(&output));
    let requests = receiver.requests();
    let arrived = ticks(&requests);
    let repeated = arrived.values().filter(|times| times.len() > 1);
    assert!(repeated.clone().all(|times| times.iter().all(|time| *time == times[0])), "a repeated point has the same time: {arrived:?}");
    assert!(repeated.count() as u64 <= 2 * kills, "at most one request per kill is repeated: {arrived:?}");
    receiver.shutdown().await;
}

/// Starts `postmeter run` so that the size of its files can be limited later.
fn run_without_sigxfsz(file: &std::path::Path) -> Child {
    let mut limited = std::process::Command::new("env");
    limited.args(["-i", "--ignore-signal=XFSZ"]).arg(postmeter().get_program());
    limited.args(["run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Limits the size of all files of a process, which simulates a full disk. Returns true on success.
fn limit_files(process: &Child, bytes_max: &str) -> bool {
    std::process::Command::new("prlimit")
        .args(["--pid", &process.id().to_string(), &format!("--fsize={bytes_max}:unlimited")])
        .status()
        .is_ok_and(|s| s.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_queued_requests() {
    let tools = std::process::Command::new("env").args(["--ignore-signal=XFSZ", "prlimit", "--version"]).output();
    if !tools.is_ok_and(|tried| tried.status.success()) {
        return skipped("a_full_disk_loses_no_queued_requests", "env and prlimit are not available");
    }
    let ticker = Ticker::start(3000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = folder.path().join("postmeter.yaml");
    let otlp =
        format!("endpoint: \"{}\", compression: none, spool: {{dir: {}}}, {QUICK}", receiver.url(), folder.path().join("spool").display());
    std::fs::write(&file, ticker.config_file(&otlp)).unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let mut process = run_without_sigxfsz(&file);
    let log = LogOutput::of(&mut process);
    wait_until(|| request_files(&folder.path().join("spool")).len() >= 2, WAIT_MAX, "requests are in the spool").await;
    assert!(limit_files(&process, "50000"));
    wait_until(|| log.has("the spool cannot be used"), WAIT_MAX, "the disk is full").await;
    ticker.wait_for_polls(3).await;
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    receiver.fail_with(Some(Status::unavailable("busy")));
    assert!(limit_files(&process, "unlimited"));
    wait_until(|| log.has("the spool can be used again"), WAIT_MAX, "the spool can be used again").await;
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    terminate(&process);
    assert!(process.wait().unwrap().success(), "{}", log.text());
    assert_eq!(log.text().matches("the spool cannot be used").count(), 1, "the failure is logged once: {}", log.text());
    assert!(!log.has("lost"), "{}", log.text());
    let all = ticks(&receiver.requests());
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=*all.keys().last().unwrap()).collect::<Vec<_>>(), "ticks are missing");
    assert!(all.values().all(|times| times.len() == 1), "ticks arrived twice: {all:?}");
    receiver.shutdown().await;
}

/// The request files in a spool, oldest first.
fn request_files(spool: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(spool.join("otlp-metrics")).into_iter().flatten().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "request")).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_are_counted_and_the_others_arrive() {
    const SERIES: usize = 200;
    let ticker = Ticker::start(SERIES).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let spool = folder.path().join("spool");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), spool.display());
    let service = ticker.start_service(&otlp).await;
    wait_until(|| request_files(&spool).len() >= 8, WAIT_MAX, "several requests are in the spool").await;
    service.stop().await;
    // A flipped bit in a value, a flipped bit in the header, a page of zeros, a truncated file, and the spool of an older version.
    let files = request_files(&spool);
    for (file, damage) in files[1..].iter().zip(0..4) {
        let mut content = std::fs::read(file).unwrap();
        let middle = content.len() / 2;
        match damage {
            0 => content[middle] ^= 1,
            1 => content[17] ^= 128,
            2 => content[middle..].fill(0),
            _ => content.truncate(middle),
        }
        std::fs::write(file, content).unwrap();
    }
    std::fs::write(spool.join("otlp-metrics.redb"), "from an older version").unwrap();
    receiver.fail_with(None);
    let service = ticker.start_service(&otlp).await;
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "all other ticks arrive").await;
    assert_eq!(self_metric(&service, "postmeter_export_spool_damaged_requests_total").await, 5.0);
    let status = service.push_status().unwrap();
    let damaged = status.spool.unwrap().damaged_requests;
    assert!(damaged == 5 && status.lost_points > 4 * SERIES as u64, "{damaged}, {}", status.lost_points);
    service.stop().await;
    assert_eq!(std::fs::read_dir(spool.join("otlp-metrics/damaged")).unwrap().count(), 4);
    assert!(spool.join("otlp-metrics.redb.old").exists() && request_files(&spool).is_empty());
    let arrived = ticks(&receiver.requests());
    assert!(arrived.values().all(|times| times.len() == 1), "{arrived:?}");
    let queued = 1..=files.len() as u64;
    let missing: Vec<u64> = queued.filter(|tick| !arrived.contains_key(tick)).collect();
    assert_eq!(missing, [2, 3, 4, 5]);
    for point in flatten(&receiver.requests()).iter().filter(|point| point.metric == "filler" && point.flags == 0) {
        assert!(point.attributes.iter().any(|(key, value)| key == "number" && value.parse() == Ok(point.value)), "{point:?}");
    }
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_never_exceeds_its_limit() {
    let ticker = Ticker::start(6000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let spool = folder.path().join("spool");
    let otlp =
        format!("endpoint: \"{}\", compression: none, spool: {{dir: {}, max_bytes: 1MiB}}, {QUICK}", receiver.url(), spool.display());
    let service = ticker.start_service(&otlp).await;
    let on_disk = || request_files(&spool).iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>();
    let largest = std::cell::Cell::new(0);
    wait_until(
        || {
            largest.set(on_disk().max(largest.get()));
            service.push_status().unwrap().lost_points > 12_000
        },
        WAIT_MAX,
        "the oldest collections are dropped",
    )
    .await;
    assert!(largest.get() <= 1 << 20 && largest.get() > 1 << 19, "{}", largest.get());
    let status = service.push_status().unwrap();
    assert!(status.memory.bytes == 0 && status.spool.unwrap().failure.is_none());
    service.stop().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_large_for_grpc_are_split() {
    const SERIES: usize = 3000;
    for spool in [false, true] {
        let ticker = Ticker::start(SERIES).await;
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(ANY).await.unwrap();
        receiver.accept_bytes(Some(30_000));
        let spool = if spool { format!("spool: {{dir: {}}}, ", folder.path().display()) } else { String::new() };
        let service = ticker.start_service(&format!("endpoint: \"{}\", {spool}{QUICK}", receiver.url())).await;
        wait_until(|| ticks(&receiver.requests()).len() >= 3, WAIT_MAX, "three ticks arrive").await;
        let rejected = receiver.refused();
        let until_tick = ticker.polls() + 3;
        wait_until(|| ticks(&receiver.requests()).contains_key(&until_tick), WAIT_MAX, "later ticks arrive").await;
        assert!(receiver.refused() <= rejected + 1, "the accepted size is remembered: {rejected}, then {}", receiver.refused());
        let status = service.push_status().unwrap();
        assert_eq!(status.lost_points, 0);
        service.stop().await;
        let requests = receiver.requests();
        let arrived = ticks(&requests);
        assert_each_tick_once(&arrived);
        let filler = flatten(&requests).iter().filter(|point| point.metric == "filler").count();
        assert_eq!(filler, arrived.len() * SERIES, "each collection is complete");
        receiver.shutdown().await;
    }
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
async fn requests_have_the_configured_size() {
    const SERIES: usize = 3000;
    let ticker = Ticker::start(SERIES).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = ticker.start_service(&format!("endpoint: \"{}\", max_request_bytes: 20KiB, {QUICK}", receiver.url())).await;
    wait_until(|| ticks(&receiver.requests()).len() >= 2, WAIT_MAX, "two ticks arrive").await;
    assert!(receiver.largest() <= 20 * 1024 && receiver.largest() > 15 * 1024, "{}", receiver.largest());
    assert_eq!(receiver.refused(), 0);
    service.stop().await;
    receiver.shutdown().await;
}

/// The standard error of a process so far.
#[derive(Clone)]
struct LogOutput(Arc<Mutex<String>>);

impl LogOutput {
    fn of(process: &mut Child) -> Self {
        let (log, lines) = (Self(Arc::default()), BufReader::new(process.stderr.take().unwrap()).lines());
        let written = log.0.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| writeln!(written.lock().unwrap(), "{line}").unwrap()));
        log
    }

    fn has(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

fn terminate(process: &Child) {
    let status = std::process::Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_are_lost_at_shutdown_are_logged() {
    let ticker = Ticker::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let unused = tokio::net::TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    std::fs::write(&file, ticker.config_file(&format!("endpoint: \"http://{unused}\", {QUICK}"))).unwrap();
    let process = run(&file);
    ticker.wait_for_polls(3).await;
    terminate(&process);
    let output = process.wait_with_output().unwrap();
    let log = stderr(&output);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("unsent metrics are lost"), "{log}");
    assert_eq!(log.matches("push failed").count(), 1, "an outage is logged once: {log}");
}
