//! The whole program with a simulated KumoMTA server, a scraper and a receiver. Prints one line of JSON for each size: processor
//! time of the `run` process for each series and poll, and peak memory. Sizes are arguments; the default ones are small.
//!
//! A round is one poll, one push and one scrape: `min_interval` and the push interval are longer than a round takes, and each
//! round scrapes after the reading has expired.
#![allow(clippy::unwrap_used, missing_docs)]

use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const ROUNDS: u32 = 5;
const SIZES: [usize; 2] = [5_000, 50_000];
/// The unit of processor time in `/proc/PID/stat` on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The program. It is killed when this is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sizes: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    for size in if sizes.is_empty() { SIZES.to_vec() } else { sizes } {
        println!("{}", run(size).await);
    }
}

async fn run(size: usize) -> serde_json::Value {
    let kumomta = SimulatedServer::start(System::Kumomta, ANY, Options { size, frozen: true, ..Options::default() }).await.unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let listen = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let config = format!(
        "targets:\n  - {{name: mta1, system: kumomta, url: \"{}\", min_interval: 4s, timeout: 60s}}\nexport:\n  otlp: {{endpoint: \"{}\", interval: 4s}}\n  prometheus: {{listen: \"{listen}\"}}\n",
        kumomta.url(),
        receiver.url()
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
    let child = command.args(["run", "--log-level", "warn", "--config"]).arg(&file).stderr(Stdio::inherit()).spawn().unwrap();
    let child = Program(child);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
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
    let began = Instant::now();
    while page().await.is_none_or(|(_, lines)| lines < size) {
        assert!(began.elapsed() < Duration::from_secs(60), "the program did not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    receiver.clear();
    let (ticks, polls, pushed) = (ticks(child.0.id()), kumomta.requests(), receiver.points());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_secs(4)).await;
        bytes = page().await.unwrap().0;
        receiver.clear();
    }
    let polls = kumomta.requests() - polls;
    let cpu = (self::ticks(child.0.id()) - ticks) as f64 / TICKS_PER_SECOND;
    let body = client.get(format!("{}/metrics", kumomta.url())).send().await.unwrap().text().await.unwrap();
    let series = body.lines().filter(|line| !line.starts_with('#')).count();
    let pushed = receiver.points() - pushed;
    assert!(pushed as usize > series, "{pushed} points of {series} series");
    serde_json::json!({
        "series": series,
        "polls": polls,
        "pages": ROUNDS,
        "pushed_points": pushed,
        "page_bytes": bytes,
        "cpu_seconds": cpu,
        "cpu_us_per_series_and_poll": (cpu * 1e6 / polls as f64 / series as f64 * 1000.0).round() / 1000.0,
        "peak_memory_mib": peak_kib(child.0.id()) / 1024,
    })
}

fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
