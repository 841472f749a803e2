//! Metrics that the receiver does not accept are queued and arrive later, once and with their original times: outages, rejections, limits,
//! the spool, and the end of the process.
#![allow(clippy::unwrap_used)]

mod broken_responses;
mod http;
mod limit;
mod log_lines;
mod process;
mod retry;
mod spool;

use crate::support::flat::flatten;
use crate::support::{ANY, http_client, start_service, wait_until};
use axum::Router;
use axum::routing::get;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use postmeter::app::Service;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
        start_service(&self.config_file(otlp)).await
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
    let client = http_client();
    let page = client.get(format!("http://{}/metrics", service.address.unwrap())).send().await.unwrap().text().await.unwrap();
    let line = page.lines().find(|line| line.starts_with(series));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

/// The request files in a spool, oldest first.
fn request_files(spool: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(spool.join("otlp-metrics")).into_iter().flatten().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "request")).collect();
    files.sort();
    files
}
