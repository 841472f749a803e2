//! The wait of a scraper: for a page from the cache, for a page that needs a poll, and beside a push, a reload and seven other
//! scrapers. Prints one line of JSON for each number of series, 50 and 100,000 unless others are arguments; every page is checked.
//!
//! `POSTMETER_BENCH_PROGRAM` is the path of another build of the program to measure.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use axum::body::Bytes;
use postmeter::simulate::Receiver;
use program::{ANY, FixedServer, Program, until_serving};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const SIZES: [usize; 2] = [50, 100_000];
/// Scrapes of each kind.
const SCRAPES: usize = 100;
/// Scrapes of each kind that need a poll.
const POLLED_SCRAPES: usize = 20;
const SCRAPERS: usize = 8;
/// Times between two scrapes that need a poll: longer than `min_interval`, and irregular, so that no reading is refreshed before one.
const PAUSES_MS: [u64; 3] = [1_100, 1_450, 1_250];
/// The time between two scrapes of each of several scrapers.
const PAUSE: Duration = Duration::from_millis(20);
/// The time between two reloads.
const RELOAD_EVERY: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for size in if sizes.is_empty() { SIZES.to_vec() } else { sizes } {
        println!("{}", run(size).await);
    }
}

async fn run(size: usize) -> Value {
    let body = Bytes::from(common::named("json", size, |i| i as u64 * 7));
    let server = FixedServer::start("/metrics.json", body).await.url;
    let receiver = Receiver::start(ANY).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");

    let cached = {
        let scraped = Scraped::start(&file, &server, "60s", None, size).await;
        times(&scraped, SCRAPES, |_| Duration::ZERO).await
    };
    let (response, polled) = {
        let scraped = Scraped::start(&file, &server, "1s", None, size).await;
        let polled = times(&scraped, POLLED_SCRAPES, |scrape| Duration::from_millis(PAUSES_MS[scrape % PAUSES_MS.len()])).await;
        let mut response = Vec::new();
        for _ in 0..POLLED_SCRAPES {
            response.push(fetch(&scraped.client, &format!("{server}/metrics.json")).await.0);
        }
        (response, polled)
    };
    let together = {
        let scraped = Scraped::start(&file, &server, "1s", Some(&receiver), size).await;
        let (pid, pushed) = (scraped.program.0.id().to_string(), receiver.points());
        let reloads = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RELOAD_EVERY).await;
                assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
            }
        });
        let scraped = Arc::new(scraped);
        let scrapers = (0..SCRAPERS).map(|_| scraped.clone());
        let scrapers = scrapers.map(|scraped| async move { times(&scraped, SCRAPES, |_| PAUSE).await });
        let all = JoinSet::from_iter(scrapers).join_all().await.concat();
        assert!(!reloads.is_finished(), "a reload failed");
        reloads.abort();
        assert!(receiver.points() > pushed, "nothing was pushed");
        receiver.clear();
        all
    };
    let response = quantile_ms(&response, 0.5);
    json!({
        "series": size,
        "cached_ms": quantiles(&cached),
        "server_alone_ms": response,
        "polled_ms": quantiles(&polled),
        "beside_push_reload_and_scrapers_ms": quantiles(&together),
    })
}

/// A process that polls the server, with a client that reads its page.
struct Scraped {
    program: Program,
    client: reqwest::Client,
    page: String,
    size: usize,
}

impl Scraped {
    /// Starts the program and waits for the first complete page.
    async fn start(file: &Path, server: &str, min_interval: &str, receiver: Option<&Receiver>, size: usize) -> Self {
        let listen = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
        let otlp = receiver.map_or_else(String::new, |receiver| format!("  otlp: {{endpoint: \"{}\", interval: 1s}}\n", receiver.url()));
        let config = format!(
            "targets:\n  - {{name: mta1, system: kumomta, url: \"{server}\", min_interval: {min_interval}}}\n\
             export:\n  prometheus: {{listen: \"{listen}\"}}\n{otlp}"
        );
        std::fs::write(file, config).unwrap();
        let program = Program::run(file, "error");
        let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
        let scraped = Self { program, client, page: format!("http://{listen}/metrics"), size };
        until_serving(async || scraped.client.get(&scraped.page).send().await.is_ok()).await;
        scraped.scrape().await;
        scraped
    }

    /// Reads the page and returns the time that it took.
    async fn scrape(&self) -> Duration {
        let (elapsed, page) = fetch(&self.client, &self.page).await;
        let lines = page.iter().filter(|byte| **byte == b'\n').count();
        assert!(lines > self.size, "a page of {lines} lines for {} series", self.size);
        elapsed
    }
}

/// Reads a page and returns the time that it took.
async fn fetch(client: &reqwest::Client, url: &str) -> (Duration, Vec<u8>) {
    let began = Instant::now();
    let mut response = client.get(url).send().await.unwrap();
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        page.extend_from_slice(&chunk);
    }
    (began.elapsed(), page)
}

/// Scrapes one after the other, each after this pause.
async fn times(scraped: &Scraped, scrapes: usize, pause: impl Fn(usize) -> Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    for scrape in 0..scrapes {
        tokio::time::sleep(pause(scrape)).await;
        times.push(scraped.scrape().await);
    }
    times
}

fn quantiles(times: &[Duration]) -> Value {
    json!({"p50": quantile_ms(times, 0.5), "p99": quantile_ms(times, 0.99)})
}

fn quantile_ms(times: &[Duration], quantile: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let index = ((times.len() - 1) as f64 * quantile).round() as usize;
    (times[index].as_secs_f64() * 10_000.0).round() / 10.0
}
