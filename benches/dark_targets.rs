//! The duration of a scrape of a thousand targets when a share of them is dark: they accept connections and never respond. Prints one
//! line of JSON for each share. `run` is a separate process.
#![allow(clippy::unwrap_used, missing_docs)]

use postmeter::poll::raise_open_files_limit;
use postmeter::simulate::{Fault, Options, SimulatedServer, System, TOKEN};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const TARGETS: usize = 1000;
const DARK_PERCENT: [usize; 3] = [0, 50, 90];
const SCRAPES: usize = 20;
/// Longer than `min_interval`, so that every scrape needs a new reading.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(5);

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
    raise_open_files_limit().unwrap();
    for percent in DARK_PERCENT {
        println!("{}", run(TARGETS * percent / 100, percent).await);
    }
}

async fn run(dark: usize, percent: usize) -> serde_json::Value {
    let start = |fault| SimulatedServer::start(System::Emailengine, ANY, Options { size: 2, frozen: true, fault, ..Options::default() });
    let (good, hang) = (start(None).await.unwrap(), start(Fault::by_name("hang")).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let listen = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let mut config = format!("export: {{prometheus: {{listen: '{listen}'}}}}\ndefaults: {{min_interval: 4s, token: {TOKEN}}}\ntargets:\n");
    for n in 0..TARGETS {
        let (kind, url) = if n < dark { ("dark", hang.url()) } else { ("good", good.url()) };
        writeln!(config, "  - {{name: {kind}-{n}, system: emailengine, url: \"{url}\"}}").unwrap();
    }
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
    let child = command.args(["run", "--log-level", "error", "--config"]).arg(&file).stderr(Stdio::inherit()).spawn().unwrap();
    let child = Program(child);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let scrape = || async {
        let get = client.get(format!("http://{listen}/metrics")).header("X-Prometheus-Scrape-Timeout-Seconds", "10");
        let page = get.send().await.ok()?.text().await.ok()?;
        Some(page.lines().filter(|line| line.starts_with("mail_up{") && line.ends_with(" 1")).count())
    };
    let began = Instant::now();
    while scrape().await.is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "the program did not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut ticks = tokio::time::interval(SCRAPE_INTERVAL);
    ticks.tick().await;
    let (mut took, mut least_up) = (Vec::new(), usize::MAX);
    for _ in 0..SCRAPES {
        ticks.tick().await;
        let began = Instant::now();
        least_up = least_up.min(scrape().await.unwrap());
        took.push(began.elapsed().as_secs_f64());
    }
    assert_eq!(least_up, TARGETS - dark, "healthy targets are down");
    took.sort_by(f64::total_cmp);
    let at = |share: f64| (took[((SCRAPES - 1) as f64 * share).round() as usize] * 1000.0).round();
    serde_json::json!({
        "targets": TARGETS,
        "dark_percent": percent,
        "scrapes": SCRAPES,
        "healthy_up_at_every_scrape": least_up,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "peak_memory_mib": peak_kib(child.0.id()) / 1024,
    })
}

fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
