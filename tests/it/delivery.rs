//! What a receiver does not take arrives later, once, with the times that it had: outages, refusals, bounds, and the end of the process.
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
const SOON: Duration = Duration::from_secs(60);
/// The shortest interval that the configuration takes, and waits that fit it.
const QUICK: &str = "interval: 1s, retry: {initial: 100ms, max: 300ms}";

/// A server whose `tick` says how often it was asked: what was asked must arrive.
#[derive(Clone)]
struct Ticker {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
}

impl Ticker {
    async fn start(series: usize) -> Self {
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let ticker = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = ticker.asked.clone();
        let answer = move || {
            let mut page = format!("# TYPE tick gauge\ntick {}\n", asked.fetch_add(1, Ordering::SeqCst) + 1);
            (0..series).for_each(|n| writeln!(page, "filler{{number=\"{n:08}\"}} {n}").unwrap());
            async move { page }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", get(answer))).await });
        ticker
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn asked_again(&self, times: u64) {
        let wanted = self.asked() + times;
        until("the ticker was asked", || self.asked() >= wanted).await;
    }

    fn file(&self, otlp: &str) -> String {
        let target = format!("{{name: t, system: prometheus, url: \"http://{}\", min_interval: 1s}}", self.address);
        format!("targets: [{target}]\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{{otlp}}}\n")
    }

    async fn polled_by(&self, otlp: &str) -> Service {
        let config = config::parse(&self.file(otlp), "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
        Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap()
    }
}

#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) -> impl Future<Output = ()> {
    wait_until(done, SOON, what)
}

/// The times at which each tick was told.
fn ticks(requests: &[ExportMetricsServiceRequest]) -> BTreeMap<u64, Vec<u64>> {
    let mut ticks: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for point in flatten(requests).iter().filter(|point| point.metric == "tick" && point.flags == 0) {
        ticks.entry(point.value as u64).or_default().push(point.time);
    }
    ticks
}

/// Every tick from the first to the last once, in the order of its time.
#[track_caller]
fn assert_each_once(ticks: &BTreeMap<u64, Vec<u64>>) {
    let numbers: Vec<u64> = ticks.keys().copied().collect();
    let last = numbers.last().copied().unwrap_or_default();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "some are missing");
    assert!(ticks.values().all(|times| times.len() == 1), "some came twice: {ticks:?}");
    assert!(ticks.values().flatten().is_sorted(), "their times are not their own: {ticks:?}");
}

/// One of Postmeter's own metrics, as its page has it.
async fn own(service: &Service, series: &str) -> f64 {
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    let page = client.get(format!("http://{}/metrics", service.address.unwrap())).send().await.unwrap().text().await.unwrap();
    let line = page.lines().find(|line| line.starts_with(series));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_restarts_gets_what_it_missed() {
    let ticker = Ticker::start(3).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let address = receiver.addr();
    let service = ticker.polled_by(&format!("endpoint: \"http://{address}\", {QUICK}")).await;
    until("something arrived", || ticks(&receiver.requests()).len() >= 2).await;
    // Busy first, then gone, then there again at the same address.
    receiver.fail_with(Some(Status::unavailable("busy")));
    let mut seen = receiver.requests();
    ticker.asked_again(2).await;
    receiver.shutdown().await;
    ticker.asked_again(8).await;
    let receiver = Receiver::start(address).await.unwrap();
    let missed = ticker.asked();
    until("the missed ones arrived", || ticks(&receiver.requests()).contains_key(&missed)).await;
    let status = service.push_status().unwrap();
    assert!(status.failing.is_none() && status.lost_points == 0 && status.last_taken.is_some(), "{status:?}");
    assert!(own(&service, "postmeter_export_retries_total{error_type=\"unreachable\"").await > 0.0);
    assert_eq!(own(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type").await, 0.0);
    service.stop().await;
    seen.extend(receiver.requests());
    assert_each_once(&ticks(&seen));
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_the_receiver_asks_for_is_kept() {
    const ASKED: Duration = Duration::from_secs(3);
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let details = ErrorDetails::with_retry_info(Some(ASKED));
    receiver.fail_with(Some(Status::with_error_details(tonic::Code::ResourceExhausted, "slow down", details)));
    let service = ticker.polled_by(&format!("endpoint: \"{}\", {QUICK}", receiver.url())).await;
    until("it was asked once", || receiver.refused() == 1).await;
    let began = Instant::now();
    until("it was asked again", || receiver.refused() == 2).await;
    assert!(began.elapsed() > ASKED - Duration::from_millis(100), "{:?}", began.elapsed());
    receiver.fail_with(None);
    let missed = ticker.asked();
    until("all arrived", || ticks(&receiver.requests()).contains_key(&missed)).await;
    service.stop().await;
    assert_each_once(&ticks(&receiver.requests()));
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_no_reason_to_ask_sooner() {
    const ASKED: Duration = Duration::from_secs(4);
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let details = ErrorDetails::with_retry_info(Some(ASKED));
    receiver.fail_with(Some(Status::with_error_details(tonic::Code::ResourceExhausted, "slow down", details)));
    let retry = "interval: 1s, retry: {initial: 100ms, max: 300ms, give_up_after: 1s}";
    let service = ticker.polled_by(&format!("endpoint: \"{}\", {retry}", receiver.url())).await;
    until("it was asked again", || receiver.refused() == 2).await;
    let began = Instant::now();
    until("those that waited are lost", || service.push_status().unwrap().lost_points > 0).await;
    until("it was asked once more", || receiver.refused() == 3).await;
    assert!(began.elapsed() > ASKED - Duration::from_millis(100), "{:?}", began.elapsed());
    let expired = own(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type=\"expired\"").await;
    assert!(expired > 0.0, "{expired}");
    receiver.fail_with(None);
    let next = ticker.asked() + 1;
    until("the next arrived", || ticks(&receiver.requests()).contains_key(&next)).await;
    service.stop().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_receiver_will_never_take_is_counted_and_not_sent_again() {
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unauthenticated("who are you")));
    let service = ticker.polled_by(&format!("endpoint: \"{}\", {QUICK}", receiver.url())).await;
    until("three were refused", || receiver.refused() >= 3).await;
    let asked = ticker.asked();
    assert!(receiver.refused() <= asked, "one request each: {} of {asked}", receiver.refused());
    let failing = service.push_status().unwrap().failing.unwrap();
    assert_eq!((failing.error_type, failing.next), ("unauthenticated", None));
    assert!(own(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type=\"unauthenticated\"").await > 0.0);
    receiver.fail_with(None);
    let next = ticker.asked() + 1;
    until("the next arrived", || ticks(&receiver.requests()).contains_key(&next)).await;
    service.stop().await;
    assert!(!ticks(&receiver.requests()).contains_key(&1));
    receiver.shutdown().await;
}

/// One refusal may be about one request. Behind several, nothing is right: what waits is not thrown after it.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_in_a_row_do_not_cost_all_that_waits() {
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let slow = "interval: 1s, retry: {initial: 20s, max: 20s}";
    let service = ticker.polled_by(&format!("endpoint: \"{}\", {slow}", receiver.url())).await;
    until("several wait", || service.push_status().unwrap().waiting_requests >= 6).await;
    receiver.fail_with(Some(Status::unauthenticated("who are you")));
    until("some are lost", || service.push_status().unwrap().lost_points > 0).await;
    let lost = receiver.refused();
    ticker.asked_again(3).await;
    let status = service.push_status().unwrap();
    assert!(receiver.refused() <= lost + 1 && status.waiting_requests >= 6, "{status:?}");
    service.stop().await;
    receiver.shutdown().await;
}

/// What an HTTP receiver was sent, and what it says.
#[derive(Clone, Default)]
struct Http {
    refusal: Arc<Mutex<Option<(u16, &'static str)>>>,
    /// What it accepts of a request, before compression.
    bytes_max: Arc<Mutex<Option<usize>>>,
    refused: Arc<AtomicU64>,
    taken: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

async fn receive(State(http): State<Http>, headers: HeaderMap, body: Bytes) -> (StatusCode, [(&'static str, &'static str); 1]) {
    if let Some((status, after)) = *http.refusal.lock().unwrap() {
        http.refused.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::from_u16(status).unwrap(), [("retry-after", after)]);
    }
    assert_eq!(headers["content-encoding"], "gzip", "by default, on loopback too");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    if http.bytes_max.lock().unwrap().is_some_and(|max| plain.len() > max) {
        http.refused.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::PAYLOAD_TOO_LARGE, [("retry-after", "1")]);
    }
    http.taken.lock().unwrap().push(ExportMetricsServiceRequest::decode(&plain[..]).unwrap());
    (StatusCode::OK, [("content-type", "application/x-protobuf")])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_by_http() {
    let ticker = Ticker::start(0).await;
    let http = Http::default();
    *http.refusal.lock().unwrap() = Some((503, "2"));
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let endpoint = format!("endpoint: \"http://{}\", protocol: http/protobuf, {QUICK}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(receive)).with_state(http.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = ticker.polled_by(&endpoint).await;
    until("it was asked once", || http.refused.load(Ordering::SeqCst) == 1).await;
    let began = Instant::now();
    until("it was asked again", || http.refused.load(Ordering::SeqCst) == 2).await;
    assert!(began.elapsed() > Duration::from_millis(1900), "Retry-After is kept, not {:?}", began.elapsed());
    *http.refusal.lock().unwrap() = None;
    let missed = ticker.asked();
    until("all arrived", || ticks(&http.taken.lock().unwrap()).contains_key(&missed)).await;
    *http.refusal.lock().unwrap() = Some((400, "1"));
    let before = http.refused.load(Ordering::SeqCst);
    until("one was refused", || http.refused.load(Ordering::SeqCst) > before).await;
    until("it was counted", || service.push_status().unwrap().lost_points > 0).await;
    service.stop().await;
    assert_each_once(&ticks(&http.taken.lock().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_the_oldest_collections_go_whole_and_are_counted() {
    const SERIES: usize = 12_000;
    let ticker = Ticker::start(SERIES).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let service = ticker.polled_by(&format!("endpoint: \"{}\", queue: {{max_bytes: 2MiB}}, {QUICK}", receiver.url())).await;
    until("it overflowed", || service.push_status().unwrap().lost_points > 2 * SERIES as u64).await;
    let full = service.push_status().unwrap();
    assert!(full.memory.bytes <= 3 * 1024 * 1024, "the bound and what is on its way: {full:?}");
    receiver.fail_with(None);
    let next = ticker.asked() + 1;
    until("the next arrived", || ticks(&receiver.requests()).contains_key(&next)).await;
    service.stop().await;
    let requests = receiver.requests();
    let numbers: Vec<u64> = ticks(&requests).keys().copied().collect();
    // The collection that was on its way may have been the first; the oldest of the others are missing.
    let missing = numbers.last().unwrap() - numbers.len() as u64;
    assert!(missing >= 2 && numbers.contains(&next), "{missing} are missing: {numbers:?}");
    let filler = flatten(&requests).iter().filter(|point| point.metric == "filler").count();
    assert_eq!(filler, numbers.len() * SERIES, "each collection is whole or not there: {numbers:?}");
    receiver.shutdown().await;
}

/// The program, with a spool or without.
fn run(file: &std::path::Path) -> Child {
    postmeter().args(["run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_spool_holds_outlives_kills() {
    outlives_kills(50, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_the_file_grow_outlives_them_too() {
    outlives_kills(20_000, 3).await;
}

/// Kills while it runs, and after each while the next one starts: that one finds a file that has to be mended.
async fn outlives_kills(series: usize, kills: u64) {
    let ticker = Ticker::start(series).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let spool = folder.path().join("spool");
    let file = folder.path().join("postmeter.yaml");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), spool.display());
    std::fs::write(&file, ticker.file(&otlp)).unwrap();
    let mut promised = Vec::new();
    for kill in 0..kills {
        receiver.fail_with((kill % 3 != 1).then(|| Status::unavailable("busy")));
        let before = ticker.asked();
        let mut process = run(&file);
        ticker.asked_again(3).await;
        // Anywhere between two collections.
        tokio::time::sleep(Duration::from_millis(kill * 173 % 1000)).await;
        // Each is queued before the next is asked for.
        promised.extend(before + 1..ticker.asked());
        process.kill().unwrap();
        process.wait().unwrap();
        let mut next = run(&file);
        tokio::time::sleep(Duration::from_millis(20 + kill * 37 % 150)).await;
        next.kill().unwrap();
        next.wait().unwrap();
    }
    receiver.fail_with(None);
    let process = run(&file);
    until("all that was queued arrived", || {
        let arrived = ticks(&receiver.requests());
        promised.iter().all(|tick| arrived.contains_key(tick))
    })
    .await;
    terminate(&process);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    assert!(!spool.join("otlp-metrics/damaged").exists(), "{}", stderr(&output));
    let requests = receiver.requests();
    let arrived = ticks(&requests);
    let twice = arrived.values().filter(|times| times.len() > 1);
    assert!(twice.clone().all(|times| times.iter().all(|time| *time == times[0])), "the same again, or nothing: {arrived:?}");
    assert!(twice.count() as u64 <= 2 * kills, "at most what was on its way: {arrived:?}");
    receiver.shutdown().await;
}

/// The same, where the size of files can be limited later.
fn run_on_a_disk(file: &std::path::Path) -> Child {
    let mut limited = std::process::Command::new("env");
    limited.args(["-i", "--ignore-signal=XFSZ"]).arg(postmeter().get_program());
    limited.args(["run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// No file may grow beyond so many bytes: what a full disk does, without one. Whether that could be done.
fn limit_files(process: &Child, bytes_max: &str) -> bool {
    std::process::Command::new("prlimit")
        .args(["--pid", &process.id().to_string(), &format!("--fsize={bytes_max}:unlimited")])
        .status()
        .is_ok_and(|s| s.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_loses_nothing_that_is_on_it() {
    let tools = std::process::Command::new("env").args(["--ignore-signal=XFSZ", "prlimit", "--version"]).output();
    if !tools.is_ok_and(|tried| tried.status.success()) {
        return skipped("a_disk_that_is_full_loses_nothing_that_is_on_it", "env and prlimit are not here to fill a disk with");
    }
    let ticker = Ticker::start(3000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = folder.path().join("postmeter.yaml");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), folder.path().join("spool").display());
    std::fs::write(&file, ticker.file(&otlp)).unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let mut process = run_on_a_disk(&file);
    let said = Said::of(&mut process);
    until("something is on the disk", || requests_on_disk(&folder.path().join("spool")).len() >= 2).await;
    assert!(limit_files(&process, "50000"));
    until("the disk was full", || said.has("the spool cannot be used")).await;
    ticker.asked_again(3).await;
    receiver.fail_with(None);
    let missed = ticker.asked();
    until("all arrived", || ticks(&receiver.requests()).contains_key(&missed)).await;
    receiver.fail_with(Some(Status::unavailable("busy")));
    assert!(limit_files(&process, "unlimited"));
    until("there is room again", || said.has("the spool can be used again")).await;
    receiver.fail_with(None);
    let missed = ticker.asked();
    until("all arrived", || ticks(&receiver.requests()).contains_key(&missed)).await;
    terminate(&process);
    assert!(process.wait().unwrap().success(), "{}", said.text());
    assert_eq!(said.text().matches("the spool cannot be used").count(), 1, "said once: {}", said.text());
    assert!(!said.has("lost"), "{}", said.text());
    let all = ticks(&receiver.requests());
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=*all.keys().last().unwrap()).collect::<Vec<_>>(), "some are missing");
    assert!(all.values().all(|times| times.len() == 1), "some came twice: {all:?}");
    receiver.shutdown().await;
}

/// The files of requests in a spool, oldest first.
fn requests_on_disk(spool: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(spool.join("otlp-metrics")).into_iter().flatten().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "request")).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_disk_is_counted_and_the_rest_arrives() {
    const SERIES: usize = 200;
    let ticker = Ticker::start(SERIES).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let spool = folder.path().join("spool");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), spool.display());
    let service = ticker.polled_by(&otlp).await;
    until("several are on the disk", || requests_on_disk(&spool).len() >= 8).await;
    service.stop().await;
    // A bit in a value, a bit in the header, a page of zeros, a file that was cut off, and the file of an older version.
    let files = requests_on_disk(&spool);
    for (file, damage) in files[1..].iter().zip(0..4) {
        let mut content = std::fs::read(file).unwrap();
        let middle = content.len() / 2;
        match damage {
            0 => content[middle] ^= 1,
            1 => content[17] ^= 128,
            2 => content[1000..5096].fill(0),
            _ => content.truncate(middle),
        }
        std::fs::write(file, content).unwrap();
    }
    std::fs::write(spool.join("otlp-metrics.redb"), "of an older version").unwrap();
    receiver.fail_with(None);
    let service = ticker.polled_by(&otlp).await;
    let next = ticker.asked() + 1;
    until("all others arrived", || ticks(&receiver.requests()).contains_key(&next)).await;
    assert_eq!(own(&service, "postmeter_export_spool_damaged_requests_total").await, 5.0);
    let status = service.push_status().unwrap();
    let damaged = status.spool.unwrap().damaged_requests;
    assert!(damaged == 5 && status.lost_points > 4 * SERIES as u64, "{damaged}, {}", status.lost_points);
    service.stop().await;
    assert_eq!(std::fs::read_dir(spool.join("otlp-metrics/damaged")).unwrap().count(), 4);
    assert!(spool.join("otlp-metrics.redb.old").exists() && requests_on_disk(&spool).is_empty());
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
async fn the_files_of_a_spool_never_take_more_than_their_bound() {
    let ticker = Ticker::start(6000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let spool = folder.path().join("spool");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}, max_bytes: 1MiB}}, {QUICK}", receiver.url(), spool.display());
    let service = ticker.polled_by(&otlp).await;
    let on_disk = || requests_on_disk(&spool).iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>();
    let largest = std::cell::Cell::new(0);
    until("the oldest were dropped", || {
        largest.set(on_disk().max(largest.get()));
        service.push_status().unwrap().lost_points > 12_000
    })
    .await;
    assert!(largest.get() <= 1 << 20 && largest.get() > 1 << 19, "{}", largest.get());
    let status = service.push_status().unwrap();
    assert!(status.memory.bytes == 0 && status.spool.unwrap().failing.is_none());
    service.stop().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_arrives_in_parts_by_grpc() {
    const SERIES: usize = 3000;
    for spool in [false, true] {
        let ticker = Ticker::start(SERIES).await;
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(ANY).await.unwrap();
        receiver.accept_bytes(Some(30_000));
        let spool = if spool { format!("spool: {{dir: {}}}, ", folder.path().display()) } else { String::new() };
        let service = ticker.polled_by(&format!("endpoint: \"{}\", {spool}{QUICK}", receiver.url())).await;
        until("three arrived", || ticks(&receiver.requests()).len() >= 3).await;
        let rejected = receiver.refused();
        let until_tick = ticker.asked() + 3;
        until("more arrived", || ticks(&receiver.requests()).contains_key(&until_tick)).await;
        assert!(receiver.refused() <= rejected + 1, "the accepted size is remembered: {rejected}, then {}", receiver.refused());
        let status = service.push_status().unwrap();
        assert_eq!(status.lost_points, 0);
        service.stop().await;
        let requests = receiver.requests();
        let arrived = ticks(&requests);
        assert_each_once(&arrived);
        let filler = flatten(&requests).iter().filter(|point| point.metric == "filler").count();
        assert_eq!(filler, arrived.len() * SERIES, "each collection is whole");
        receiver.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_arrives_in_parts_by_http() {
    const SERIES: usize = 1000;
    let ticker = Ticker::start(SERIES).await;
    let http = Http::default();
    *http.bytes_max.lock().unwrap() = Some(20_000);
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let endpoint = format!("endpoint: \"http://{}\", protocol: http/protobuf, {QUICK}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(receive)).with_state(http.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = ticker.polled_by(&endpoint).await;
    until("three arrived", || ticks(&http.taken.lock().unwrap()).len() >= 3).await;
    assert!(http.refused.load(Ordering::SeqCst) > 0);
    service.stop().await;
    let taken = http.taken.lock().unwrap();
    let arrived = ticks(&taken);
    assert_each_once(&arrived);
    let filler = flatten(&taken).iter().filter(|point| point.metric == "filler").count();
    assert_eq!(filler, arrived.len() * SERIES, "each collection is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_as_large_as_configured() {
    const SERIES: usize = 3000;
    let ticker = Ticker::start(SERIES).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = ticker.polled_by(&format!("endpoint: \"{}\", max_request_bytes: 20KiB, {QUICK}", receiver.url())).await;
    until("two arrived", || ticks(&receiver.requests()).len() >= 2).await;
    assert!(receiver.largest() <= 20 * 1024 && receiver.largest() > 15 * 1024, "{}", receiver.largest());
    assert_eq!(receiver.refused(), 0);
    service.stop().await;
    receiver.shutdown().await;
}

/// What a process has written to standard error so far.
#[derive(Clone)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn of(process: &mut Child) -> Self {
        let (said, lines) = (Self(Arc::default()), BufReader::new(process.stderr.take().unwrap()).lines());
        let written = said.0.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| writeln!(written.lock().unwrap(), "{line}").unwrap()));
        said
    }

    fn has(&self, words: &str) -> bool {
        self.text().contains(words)
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
async fn what_ends_with_the_process_is_said() {
    let ticker = Ticker::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let nobody = tokio::net::TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    std::fs::write(&file, ticker.file(&format!("endpoint: \"http://{nobody}\", {QUICK}"))).unwrap();
    let process = run(&file);
    ticker.asked_again(3).await;
    terminate(&process);
    let output = process.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("what was not delivered ends with the process"), "{said}");
    assert_eq!(said.matches("metrics were not delivered").count(), 1, "an outage is said once: {said}");
}
