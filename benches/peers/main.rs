//! Postmeter beside vmagent, Prometheus in agent mode and the OpenTelemetry Collector: each polls a KumoMTA server and pushes to a sink,
//! both in this process. Prints one line of JSON for each: processor time of its process for each series and poll, peak memory, and
//! bytes sent. The server always sends the same response, whose names are as long as those of a server with many customers. Arguments are
//! numbers of series, and names of programs as in the output.
//!
//! `benches/peers/run` builds the other programs; a program that is missing is skipped, with a line on standard error.
//! `POSTMETER_BENCH_PROGRAM` is the path of another build of Postmeter.
//!
//! A round is one poll, one push of all series, and one scrape of the page of those that have one. All series must arrive with their values in
//! every round. The first round, with the start of the program, is not counted, except for the peak memory.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod peer;
#[path = "../common/program.rs"]
#[allow(dead_code)]
mod program;
#[path = "../../tests/foreign/stack/programs.rs"]
#[allow(dead_code)]
mod programs;
mod remote_write;
mod sink;

use axum::http::header::CONTENT_TYPE;
use axum::{Router, body::Bytes, routing::get};
use peer::{PEERS, Peer, Setup};
use program::{ANY, TICKS_PER_SECOND, processor_ticks, status_kib};
use programs::Running;
use sink::{Sink, Tally};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SIZE_DEFAULT: usize = 100_000;
const ROUNDS: u64 = 10;
/// The time between two polls is this, or as long as it takes to poll all series at this speed.
const INTERVAL_SECONDS_MIN: usize = 5;
const SERIES_PER_SECOND: usize = 20_000;
/// The value of a series is this times its index.
const STEP: u64 = 7;

/// A server that always sends the same metrics, as JSON or as text.
struct Server {
    addr: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Server {
    async fn start(format: &str, size: usize) -> Self {
        let body = Bytes::from(common::named(format, size, |i| i as u64 * STEP));
        let (path, content_type) = match format {
            "json" => ("/metrics.json", "application/json"),
            _ => ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        };
        let requests = Arc::new(AtomicU64::new(0));
        let counted = requests.clone();
        let respond = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready(([(CONTENT_TYPE, content_type)], body.clone()))
        };
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route(path, get(respond))).await.unwrap() });
        Self { addr, requests }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let (mut sizes, mut names) = (Vec::new(), Vec::new());
    for argument in &arguments {
        match argument.parse::<usize>() {
            Ok(size) => sizes.push(size),
            Err(_) => names.push(argument.as_str()),
        }
    }
    if sizes.is_empty() {
        sizes.push(SIZE_DEFAULT);
    }
    let known: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        panic!("unknown program {name}: use {}", known.join(", "));
    }
    for size in sizes {
        for peer in PEERS.iter().filter(|peer| names.is_empty() || names.contains(&peer.name)) {
            match peer.find() {
                Ok(program) => println!("{}", measure(peer, &program, size).await),
                Err(reason) => eprintln!("skipped: {}: {reason}; benches/peers/run builds it", peer.name),
            }
        }
    }
}

/// The processor time that a process has used and the bytes that it has sent, at the end of a round.
struct Usage {
    polls: u64,
    tally: Tally,
    bytes: u64,
    user_ticks: u64,
    kernel_ticks: u64,
}

impl Usage {
    fn now(pid: u32, server: &Server, sink: &Sink) -> Self {
        let [user_ticks, kernel_ticks] = processor_ticks(pid);
        Self { polls: server.requests(), tally: sink.tally(), bytes: sink.bytes(), user_ticks, kernel_ticks }
    }
}

async fn measure(peer: &Peer, program: &Path, size: usize) -> serde_json::Value {
    let (server, sink) = (Server::start(peer.format, size).await, Sink::start(peer.protocol).await);
    let folder = tempfile::tempdir().unwrap();
    let interval = INTERVAL_SECONDS_MIN.max(size / SERIES_PER_SECOND);
    let setup = Setup::new(peer, folder.path(), server.addr, sink.addr, interval);
    let process = Running::start(peer.name, folder.path(), Command::new(program).args(setup.write()));
    let expected = Tally { series: size as u64, sum: (0..size as u64).map(|i| i * STEP).sum() };

    let mut rounds: Vec<Usage> = Vec::new();
    let mut page_bytes = None;
    for round in 0..=ROUNDS {
        let due = rounds.last().map_or(Tally::default(), |usage| usage.tally).series + expected.series;
        let began = Instant::now();
        while sink.tally().series < due {
            process.check();
            let tally = sink.tally().series;
            assert!(began.elapsed().as_secs() < 10 * interval as u64, "{}: {tally} series of {due}: {}", peer.name, process.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if let Some(addr) = setup.page {
            // Uncompressed, as the response of the server.
            let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
            let page = async || client.get(format!("http://{addr}/metrics")).send().await.unwrap().text().await.unwrap();
            let mut text = page().await;
            // A program may push the first series before all of them are on its page.
            while round == 0 && Tally::of_page(&text) != expected && began.elapsed().as_secs() < 10 * interval as u64 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                text = page().await;
            }
            assert_eq!(Tally::of_page(&text), expected, "{}: the page of round {round}", peer.name);
            page_bytes = Some(text.len());
        }
        rounds.push(Usage::now(process.id(), &server, &sink));
    }

    let (first, last) = (&rounds[0], &rounds[rounds.len() - 1]);
    // The next round may have begun.
    let polls = last.polls - first.polls;
    assert!((ROUNDS..=ROUNDS + 1).contains(&polls), "{}: {polls} polls in {ROUNDS} rounds of {interval} s; it may be too slow", peer.name);
    let pushed = Tally { series: last.tally.series - first.tally.series, sum: last.tally.sum - first.tally.sum };
    assert_eq!(pushed, Tally { series: expected.series * ROUNDS, sum: expected.sum * ROUNDS }, "{}: the pushed series", peer.name);
    let per_series = |total: f64| (total / (expected.series * ROUNDS) as f64 * 1000.0).round() / 1000.0;
    let microseconds = |ticks: u64| per_series(ticks as f64 / TICKS_PER_SECOND * 1e6);
    serde_json::json!({
        "program": peer.name,
        "series": size,
        "polls": ROUNDS,
        "interval_seconds": interval,
        "user_us_per_series_and_poll": microseconds(last.user_ticks - first.user_ticks),
        "kernel_us_per_series_and_poll": microseconds(last.kernel_ticks - first.kernel_ticks),
        "peak_memory_mib": status_kib(process.id(), "VmHWM") / 1024,
        "sent_bytes_per_series_and_poll": per_series((last.bytes - first.bytes) as f64),
        "page_bytes_per_series": page_bytes.map(|bytes| bytes / size),
    })
}
