//! A process of the program that is measured, and what Linux knows about it.

#[path = "../../tests/support/process_memory.rs"]
mod process_memory;

use axum::{Router, body::Bytes, routing::get};
pub use process_memory::status_kib;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Any free port of this machine.
pub const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// The longest wait for the first page.
const START_MAX: Duration = Duration::from_secs(60);
/// The unit of processor time in `/proc/PID/stat`.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// The time that a process has used so far in user code and in the kernel, in ticks.
pub fn processor_ticks(pid: u32) -> [u64; 2] {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    [11, 12].map(|field: usize| fields[field].parse().unwrap())
}

/// The program. It is killed when this is dropped.
pub struct Program(pub Child);

impl Program {
    /// Starts `run` with this configuration file and log level.
    pub fn run(file: &Path, log_level: &str) -> Self {
        let mut command = Self::command();
        Self(command.args(["run", "--log-level", log_level, "--config"]).arg(file).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// The command of this build, or of the one that `POSTMETER_BENCH_PROGRAM` names.
    pub fn command() -> Command {
        Command::new(Self::path())
    }

    /// The path of this build, or of the one that `POSTMETER_BENCH_PROGRAM` names.
    pub fn path() -> String {
        std::env::var("POSTMETER_BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_postmeter").to_owned())
    }

    /// The processor time that it has used so far.
    pub fn processor_time(&self) -> Duration {
        let ticks: u64 = processor_ticks(self.0.id()).iter().sum();
        Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
    }

    /// The resident memory at this time.
    pub fn resident_kib(&self) -> u64 {
        status_kib(self.0.id(), "VmRSS")
    }

    /// The largest resident memory so far.
    pub fn peak_kib(&self) -> u64 {
        status_kib(self.0.id(), "VmHWM")
    }
}

/// Waits until the program serves what is expected.
pub async fn until_serving(is_served: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_served().await {
        assert!(began.elapsed() < START_MAX, "the program did not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server that always sends the same body.
pub struct FixedServer {
    pub url: String,
    pub requests: Arc<AtomicU64>,
}

impl FixedServer {
    pub async fn start(path: &str, body: Bytes) -> Self {
        let requests = Arc::new(AtomicU64::new(0));
        let counted = requests.clone();
        let respond = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready(body.clone())
        };
        let router = Router::new().route(path, get(respond));
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
