//! A soak test: changing series, restarts of servers, outages of the receiver, and reloads. Memory must not grow after the warm-up, and the
//! pushed deltas must add up to the counted events.
//!
//! `POSTMETER_SOAK_SECONDS=1800 cargo test --release --test soak -- --nocapture` runs the long form; benches/README.md has a result.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use axum::Router;
use axum::routing::get;
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::flat::flatten;
use support::program::{Program, Signal};
use support::{ANY, postmeter};
use tonic::Status;

const SHUTDOWN_MAX: Duration = Duration::from_secs(60);
/// The default duration, in which each event happens several times.
const SECONDS_DEFAULT: u64 = 24;
/// The largest growth of resident memory after the warm-up. Allocators keep some memory; one leaked reading per second would be far more.
const GROWTH_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// The number of series of the producer that appear in one response only.
const CHURNING_SERIES: usize = 500;

/// A server whose counter grows with each response and is reset now and then.
#[derive(Clone, Default)]
struct Producer(Arc<Mutex<Produced>>);

#[derive(Default)]
struct Produced {
    /// The value of the counter, which a simulated restart resets.
    counter: u64,
    /// The sum of all increments but the first, which is the baseline of the deltas.
    total: u64,
    /// The increment of the last response.
    last: u64,
    responses: u64,
    restarts: u64,
}

impl Producer {
    fn respond(&self) -> String {
        let mut produced = self.0.lock().unwrap();
        let increment = 5 + produced.responses % 7;
        if produced.responses % 9 == 8 {
            produced.counter = 0;
            produced.restarts += 1;
        }
        produced.counter += increment;
        if produced.responses > 0 {
            produced.total += increment;
        }
        produced.last = increment;
        produced.responses += 1;
        let mut page = format!("# TYPE produced counter\nproduced {}\n# TYPE waiting gauge\n", produced.counter);
        let churning = |n| format!("waiting{{queue=\"{}-{n}.example.com\"}} 1", produced.responses);
        (0..CHURNING_SERIES).for_each(|n| writeln!(page, "{}", churning(n)).unwrap());
        page
    }

    fn totals(&self) -> (u64, u64, u64, u64) {
        let produced = self.0.lock().unwrap();
        (produced.total, produced.last, produced.responses, produced.restarts)
    }
}

/// The servers and the receiver around Postmeter.
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

fn run(file: &Path) -> Program {
    let mut command = postmeter();
    command.args(["--log-level", "error"]);
    Program::spawn_command(command, file, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_and_all_events_are_pushed() {
    let seconds = std::env::var("POSTMETER_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS_DEFAULT);
    let producer = Producer::default();
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let responding = producer.clone();
    let router = Router::new().route("/metrics", get(move || async move { responding.respond() }));
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
    let (mut received, mut warm_up_max, mut later_max) = (0.0, 0, 0);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let (mut reloads, mut outages) = (0, 0);
    for second in 0.. {
        tick.tick().await;
        received += received_since_last_call(&world.receiver);
        assert!(process.exit_status().is_none(), "the process has ended: {:#?}", process.log());
        match second % 8 {
            2 => {
                outages += 1;
                world.receiver.fail_with(Some(Status::unavailable("flapping")));
            }
            4 => {
                std::fs::write(&file, world.file(second % 16 == 4)).unwrap();
                process.signal(Signal::HUP);
                reloads += 1;
            }
            6 => {
                world.receiver.fail_with(None);
                let old = world.servers.remove(1);
                let (system, address) = (old.system(), old.addr());
                old.shutdown().await;
                world.servers.insert(1, SimulatedServer::start(system, address, Options::default()).await.unwrap());
            }
            _ => {}
        }
        let resident = process.resident_kib() * 1024;
        // The first third is the warm-up.
        if began.elapsed().as_secs() < seconds / 3 {
            warm_up_max = warm_up_max.max(resident);
        } else {
            later_max = later_max.max(resident);
        }
        if began.elapsed().as_secs() >= seconds {
            break;
        }
    }
    world.receiver.fail_with(None);
    let log = process.end();
    received += received_since_last_call(&world.receiver);
    let (produced, last, responses, restarts) = producer.totals();
    log.iter().for_each(|line| println!("{line}"));
    println!(
        "{seconds} s: {responses} polls, {restarts} restarts, {outages} outages, {reloads} reloads; produced {produced}, received {received}; \
         resident memory at most {} KiB during the warm-up, {} KiB later",
        warm_up_max / 1024,
        later_max / 1024
    );
    assert!(reloads >= 2 && outages >= 2 && restarts >= 2, "{reloads} {outages} {restarts}");
    // The last response may not have been processed when the process stops.
    assert!([produced, produced - last].contains(&(received as u64)), "received {received} of {produced}");
    assert!(later_max < warm_up_max + GROWTH_BYTES_MAX, "memory grew from {warm_up_max} to {later_max} bytes");
    assert!(began.elapsed() < Duration::from_secs(seconds) + SHUTDOWN_MAX);
}

/// The sum of the deltas that were received since the last call.
fn received_since_last_call(receiver: &Receiver) -> f64 {
    let requests = receiver.take();
    flatten(&requests).iter().filter(|point| point.metric == "produced" && point.flags == 0).map(|point| point.value).sum()
}
