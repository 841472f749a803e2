//! The whole program with a KumoMTA server, a scraper and a receiver. Prints one line of JSON for each format and size: processor time
//! of the `run` process for each series and poll, and peak memory. The server always sends the same response, whose names are as long
//! as those of a server with many customers. Numbers of series, and `json` or `text`, are arguments; the default sizes are small.
//!
//! `POSTMETER_BENCH_PROGRAM` is the path of another build of the program to measure.
//!
//! A round is one poll, one push and one scrape: `min_interval` and the push interval are longer than a round takes, and each
//! round scrapes after the reading has expired.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use axum::body::Bytes;
use postmeter::simulate::Receiver;
use program::{ANY, FixedServer, Program, until_serving};
use std::sync::atomic::Ordering;
use std::time::Duration;

const ROUNDS: u32 = 5;
const SIZES: [usize; 2] = [10_000, 100_000];

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().collect();
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let formats = ["json", "text"].into_iter().filter(|format| arguments.iter().any(|argument| argument == format));
    let formats: Vec<&str> = formats.collect();
    for format in if formats.is_empty() { vec!["json", "text"] } else { formats } {
        for size in if sizes.is_empty() { SIZES.to_vec() } else { sizes.clone() } {
            println!("{}", run(format, size).await);
        }
    }
}

async fn run(format: &str, size: usize) -> serde_json::Value {
    let body = Bytes::from(common::named(format, size, |i| i as u64 * 7));
    let kumomta = FixedServer::start(if format == "json" { "/metrics.json" } else { "/metrics" }, body.clone()).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let listen = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let config = format!(
        "targets:\n  - {{name: mta1, system: kumomta, url: \"{}\", format: {format}, min_interval: 4s, timeout: 60s}}\nexport:\n  otlp: {{endpoint: \"{}\", interval: 4s}}\n  prometheus: {{listen: \"{listen}\"}}\n",
        kumomta.url,
        receiver.url()
    );
    std::fs::write(&file, config).unwrap();
    let program = Program::run(&file, "warn");
    let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let page = || async {
        let get = client.get(format!("http://{listen}/metrics")).header("X-Prometheus-Scrape-Timeout-Seconds", "60");
        let mut response = get.send().await.ok()?;
        let (mut bytes, mut lines) = (0, 0);
        while let Some(chunk) = response.chunk().await.unwrap() {
            bytes += chunk.len();
            lines += chunk.iter().filter(|b| **b == b'\n').count();
        }
        Some((bytes, lines))
    };
    until_serving(async || page().await.is_some_and(|(_, lines)| lines >= size)).await;
    receiver.clear();
    let (used, polls, pushed) = (program.processor_time(), kumomta.requests.load(Ordering::Relaxed), receiver.points());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_secs(4)).await;
        bytes = page().await.unwrap().0;
        receiver.clear();
    }
    let polls = kumomta.requests.load(Ordering::Relaxed) - polls;
    let cpu = (program.processor_time() - used).as_secs_f64();
    let pushed = receiver.points() - pushed;
    assert!(pushed as usize > size, "{pushed} points of {size} series");
    serde_json::json!({
        "format": format,
        "series": size,
        "body_bytes": body.len(),
        "polls": polls,
        "pages": ROUNDS,
        "pushed_points": pushed,
        "page_bytes": bytes,
        "cpu_seconds": cpu,
        "cpu_us_per_series_and_poll": (cpu * 1e6 / polls as f64 / size as f64 * 1000.0).round() / 1000.0,
        "peak_memory_mib": program.peak_kib() / 1024,
    })
}
