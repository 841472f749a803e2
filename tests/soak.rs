//! A long life in a short time: queues that come and go, servers that restart, a receiver that flaps, and reloads. Memory stays
//! flat after the warm-up, and what arrives adds up to what was produced.
//!
//! `POSTMETER_SOAK_SECONDS=1800 cargo test --release --test soak -- --nocapture` is the long form; benches/README.md has a result.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use axum::Router;
use axum::routing::get;
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::flat::flatten;
use support::postmeter;
use tonic::Status;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(60);
/// The short form: long enough for each thing to happen several times.
const SECONDS_DEFAULT: u64 = 24;
/// What resident memory may grow by after the warm-up: what an allocator keeps, and far below what one leaked reading a second would be.
const GROWTH_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Series of the producer that live for one answer only.
const CHURN: usize = 500;

/// A server that counts what it produces while it is asked, and starts again from nothing.
#[derive(Clone, Default)]
struct Producer(Arc<Mutex<Produced>>);

#[derive(Default)]
struct Produced {
    /// What the counter says; less than before after a restart.
    counter: u64,
    /// All that was ever added, less what the first answer had: a delta begins with the second.
    total: u64,
    /// What the last answer added.
    last: u64,
    answers: u64,
    restarts: u64,
}

impl Producer {
    fn answer(&self) -> String {
        let mut produced = self.0.lock().unwrap();
        let more = 5 + produced.answers % 7;
        if produced.answers % 9 == 8 {
            produced.counter = 0;
            produced.restarts += 1;
        }
        produced.counter += more;
        if produced.answers > 0 {
            produced.total += more;
        }
        produced.last = more;
        produced.answers += 1;
        let mut page = format!("# TYPE made counter\nmade {}\n# TYPE waiting gauge\n", produced.counter);
        let churn = |n| format!("waiting{{queue=\"{}-{n}.example.com\"}} 1", produced.answers);
        (0..CHURN).for_each(|n| writeln!(page, "{}", churn(n)).unwrap());
        page
    }

    fn totals(&self) -> (u64, u64, u64, u64) {
        let produced = self.0.lock().unwrap();
        (produced.total, produced.last, produced.answers, produced.restarts)
    }
}

struct World {
    producer: SocketAddr,
    servers: Vec<SimulatedServer>,
    receiver: Receiver,
}

impl World {
    fn file(&self, with_extra: bool) -> String {
        let mut targets = format!("  - {{name: producer, system: prometheus, url: \"http://{}\"}}\n", self.producer);
        for server in &self.servers {
            let (name, url) = (server.system().name(), server.url());
            let credentials = server.system().credential_keys();
            writeln!(targets, "  - {{name: {name}, system: {name}, url: \"{url}\", {credentials}}}").unwrap();
        }
        if with_extra {
            writeln!(targets, "  - {{name: extra, system: kumomta, url: \"{}\"}}", self.servers[0].url()).unwrap();
        }
        let otlp =
            format!("{{endpoint: \"{}\", interval: 1s, temporality: delta, retry: {{initial: 100ms, max: 500ms}}}}", self.receiver.url());
        format!("defaults: {{min_interval: 1s, timeout: 2s}}\ntargets:\n{targets}export: {{prometheus: false, otlp: {otlp}}}\n")
    }
}

fn resident_bytes(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

fn signal(process: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
}

fn run(file: &Path) -> Child {
    postmeter().args(["--log-level", "error", "run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_and_all_that_was_produced_arrives() {
    let seconds = std::env::var("POSTMETER_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS_DEFAULT);
    let producer = Producer::default();
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = producer.clone();
    let router = Router::new().route("/metrics", get(move || async move { answering.answer() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut servers = Vec::new();
    for system in [System::Kumomta, System::Ceymail, System::Stalwart, System::Emailengine] {
        servers.push(SimulatedServer::start(system, ANY, Options::default()).await.unwrap());
    }
    let mut world = World { producer: address, servers, receiver: Receiver::start(ANY).await.unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    std::fs::write(&file, world.file(false)).unwrap();
    let mut process = run(&file);

    let began = Instant::now();
    let (mut made, mut warm, mut most) = (0.0, 0, 0);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let (mut reloads, mut outages) = (0, 0);
    for second in 0.. {
        tick.tick().await;
        made += take(&world.receiver);
        assert!(process.try_wait().unwrap().is_none(), "it ended");
        match second % 8 {
            2 => {
                outages += 1;
                world.receiver.fail_with(Some(Status::unavailable("flapping")));
            }
            4 => {
                std::fs::write(&file, world.file(second % 16 == 4)).unwrap();
                signal(&process, "-HUP");
                reloads += 1;
            }
            6 => {
                world.receiver.fail_with(None);
                let old = world.servers.remove(1);
                let (system, at) = (old.system(), old.addr());
                old.shutdown().await;
                world.servers.insert(1, SimulatedServer::start(system, at, Options::default()).await.unwrap());
            }
            _ => {}
        }
        let resident = resident_bytes(&process);
        // The first third warms up.
        if began.elapsed().as_secs() < seconds / 3 {
            warm = warm.max(resident);
        } else {
            most = most.max(resident);
        }
        if began.elapsed().as_secs() >= seconds {
            break;
        }
    }
    world.receiver.fail_with(None);
    signal(&process, "-TERM");
    assert!(process.wait().unwrap().success());
    made += take(&world.receiver);
    let (produced, last, answers, restarts) = producer.totals();
    println!(
        "{seconds} s: {answers} polls, {restarts} restarts, {outages} outages, {reloads} reloads; made {produced}, arrived {made}; \
         resident {} KiB at most while warming up, {} KiB after",
        warm / 1024,
        most / 1024
    );
    assert!(reloads >= 2 && outages >= 2 && restarts >= 2, "{reloads} {outages} {restarts}");
    // An answer may be on its way when the end comes.
    assert!([produced, produced - last].contains(&(made as u64)), "what arrived, {made}, is what was produced, {produced}");
    assert!(most < warm + GROWTH_BYTES_MAX, "memory grew from {warm} to {most}");
    assert!(began.elapsed() < Duration::from_secs(seconds) + SOON);
}

/// What arrived since the last time.
fn take(receiver: &Receiver) -> f64 {
    let requests = receiver.take();
    flatten(&requests).iter().filter(|point| point.metric == "made" && point.flags == 0).map(|point| point.value).sum()
}
