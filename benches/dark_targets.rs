//! The duration of a scrape of many targets when a share of them is dark: they accept connections and never respond. Prints one line of JSON
//! for each number of targets and share, with the processor time of a poll and the memory of a target. `run` is a separate process. A target
//! that responds has 50 series. Arguments are numbers of targets and, with `%`, shares; `POSTMETER_BENCH_PROGRAM` is the path of another
//! build of the program.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use postmeter::poll::raise_open_files_limit;
use postmeter::simulate::{Fault, Options, SimulatedServer, System, TOKEN};
use program::{ANY, FixedServer, Program, until_serving};
use std::fmt::Write;
use std::time::{Duration, Instant};

const TARGETS_DEFAULT: usize = 1000;
const DARK_PERCENT_DEFAULT: [usize; 3] = [0, 50, 90];
const SERIES: usize = 50;
const SCRAPES: usize = 20;
/// Longer than `min_interval`, so that every scrape needs a new reading.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(5);
/// Targets for each second between two scrapes, so that a scrape of many targets ends before the next one.
const TARGETS_PER_SECOND: usize = 500;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    raise_open_files_limit().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut targets: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let mut percents: Vec<usize> = arguments.iter().filter_map(|argument| argument.strip_suffix('%')?.parse().ok()).collect();
    if targets.is_empty() {
        targets.push(TARGETS_DEFAULT);
    }
    if percents.is_empty() {
        percents.extend(DARK_PERCENT_DEFAULT);
    }
    for targets in targets {
        for percent in &percents {
            println!("{}", run(targets, *percent).await);
        }
    }
}

/// The URL of a server that always sends the same metrics.
async fn start_server() -> String {
    let mut body = "# TYPE imap_connections gauge\nimap_connections{status=\"connected\"} 5\n".to_owned();
    for n in 1..SERIES {
        writeln!(body, "# TYPE requests_{n}_total counter\nrequests_{n}_total{{queue=\"queue-{n}\",status=\"ok\"}} {n}").unwrap();
    }
    FixedServer::start("/metrics", body.into()).await.url
}

async fn run(targets: usize, percent: usize) -> serde_json::Value {
    let dark = targets * percent / 100;
    let hang =
        SimulatedServer::start(System::Emailengine, ANY, Options { fault: Fault::by_name("hang"), ..Options::default() }).await.unwrap();
    let good = start_server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let listen = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let mut config = format!("export: {{prometheus: {{listen: '{listen}'}}}}\ndefaults: {{min_interval: 4s, token: {TOKEN}}}\ntargets:\n");
    for n in 0..targets {
        let (kind, url) = if n < dark { ("dark", hang.url()) } else { ("good", good.clone()) };
        writeln!(config, "  - {{name: {kind}-{n}, system: emailengine, url: \"{url}\"}}").unwrap();
    }
    std::fs::write(&file, config).unwrap();
    let program = Program::run(&file, "error");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let scrape = || async {
        let get = client.get(format!("http://{listen}/metrics")).header("X-Prometheus-Scrape-Timeout-Seconds", "60");
        let page = get.send().await.ok()?.text().await.ok()?;
        Some(page.lines().filter(|line| line.starts_with("mail_up{") && line.ends_with(" 1")).count())
    };
    until_serving(async || scrape().await.is_some()).await;
    let mut interval = tokio::time::interval(SCRAPE_INTERVAL.max(Duration::from_secs((targets / TARGETS_PER_SECOND) as u64)));
    interval.tick().await;
    let used = program.processor_time();
    let (mut took, mut least_up) = (Vec::new(), usize::MAX);
    for _ in 0..SCRAPES {
        interval.tick().await;
        let began = Instant::now();
        least_up = least_up.min(scrape().await.unwrap());
        took.push(began.elapsed().as_secs_f64());
    }
    assert_eq!(least_up, targets - dark, "healthy targets are down");
    let polls = ((targets - dark) * SCRAPES).max(1);
    let cpu = (program.processor_time() - used).as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| (took[((SCRAPES - 1) as f64 * share).round() as usize] * 1000.0).round();
    serde_json::json!({
        "targets": targets,
        "dark_percent": percent,
        "scrapes": SCRAPES,
        "healthy_up_at_every_scrape": least_up,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "cpu_us_per_successful_poll": (cpu * 1e6 / polls as f64).round(),
        "resident_memory_mib": program.resident_kib() / 1024,
        "peak_memory_mib": program.peak_kib() / 1024,
    })
}
