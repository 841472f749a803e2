//! `postmeter demo`: five stand-ins, polled, pulled and pushed, and a delivery log that is followed; in one process and without any
//! configuration. What the log needs to keep is in a directory of its own, which is gone at the end.

use super::AppError;
use super::cli::DemoArgs;
use super::run::Stop;
use super::service::Service;
use crate::config::{self, Environment, LogLevel};
use crate::simulate::{Options, Receiver, SimulatedServer, System};
use crate::source;
use crate::telemetry::SelfTelemetry;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Any free port of this machine.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How often the demo says what is happening.
const SAY_INTERVAL: Duration = Duration::from_secs(10);
/// The keys of a delivery log in the demo.
const DELIVERY_LOG_KEYS: &str = "interval: 5s, include: [domain, delivery_domain]";
/// Only its owner sees what is in the directory of the demo.
const DIRECTORY_MODE: u32 = 0o700;

pub(super) async fn demo(args: DemoArgs, log_level: Option<LogLevel>) -> Result<(), AppError> {
    let unstarted = |what: &str, error: std::io::Error| AppError::Other(format!("{what} did not start: {error}"));
    let mut stand_ins = Vec::with_capacity(System::ALL.len());
    for system in System::ALL {
        let options = Options { seed: args.seed, ..Options::default() };
        stand_ins.push(SimulatedServer::start(system, ANY, options).await.map_err(|error| unstarted("a stand-in", error))?);
    }
    let receiver = match &args.otlp {
        Some(_) => None,
        None => Some(Receiver::start(ANY).await.map_err(|error| unstarted("the receiver", error))?),
    };
    let endpoint = args.otlp.clone().or_else(|| receiver.as_ref().map(Receiver::url)).unwrap_or_default();

    // The same file that a user would write, so the demo shows what the program does and nothing else. Nothing is taken
    // from the environment: the demo is the same everywhere.
    // Before there is something that must not stay behind.
    let mut stop = Stop::heard()?;
    let directory = directory();
    let state_dir = directory.as_ref().ok().map(TempDir::path);
    let file = file(&stand_ins, &args, &endpoint, state_dir);
    let mut config = config::parse(&file, "the demo's configuration", &Environment::default())?;
    config.telemetry.log_level = log_level.unwrap_or(LogLevel::Warn);
    let own = SelfTelemetry::start(&config.telemetry).map_err(super::StartError::from)?;
    let service = Service::start(config, own, "--listen").await?;

    let address = service.address.map(|address| address.to_string()).unwrap_or_default();
    println!("Postmeter {} demo: five mail servers, none of them real.\n", env!("CARGO_PKG_VERSION"));
    for stand_in in &stand_ins {
        println!("  {:<12} polled at {}", stand_in.system().name(), stand_in.url());
    }
    match &directory {
        Ok(_) => println!("\n  log   each delivery of {}, exported once as an OTLP log record", systems_with_delivery_log(&stand_ins)),
        // An image without anything else has no such directory, and all the rest of the demo can be shown there.
        Err(error) => println!("\n  log   not followed, there is no temporary directory: {error}; TMPDIR names another"),
    }
    println!("  pull  http://{address}/metrics   (and http://{address}/ for people)");
    println!("  push  OTLP/gRPC to {endpoint}{} every {}", if receiver.is_some() { ", inside this demo," } else { "" }, args.interval);
    println!("\nCtrl-C ends it.\n");

    let mut say = tokio::time::interval(SAY_INTERVAL);
    say.tick().await;
    loop {
        tokio::select! {
            _ = stop.wait() => break,
            _ = say.tick() => println!("{}", state(&service, receiver.as_ref())),
        }
    }
    service.stop().await;
    if let Some(receiver) = receiver {
        let (points, requests, records) = (receiver.points(), receiver.count(), receiver.log_records());
        println!("the receiver got {points} points in {requests} requests, and {records} records of the delivery log");
        receiver.shutdown().await;
    }
    for stand_in in stand_ins {
        stand_in.shutdown().await;
    }
    match directory {
        Ok(directory) => directory.close().map_err(|error| AppError::Other(format!("the demo's temporary directory stays: {error}"))),
        Err(_) => Ok(()),
    }
}

fn systems_with_delivery_log(servers: &[SimulatedServer]) -> String {
    let names = servers.iter().map(|server| server.system().name());
    let has_log = |name: &&str| source::by_name(name).is_some_and(|source| source.delivery_log.is_some());
    names.filter(has_log).collect::<Vec<_>>().join(", ")
}

/// A new one that nobody else sees, for as long as this lives.
fn directory() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("postmeter-demo-").permissions(Permissions::from_mode(DIRECTORY_MODE)).tempdir()
}

fn state(service: &Service, receiver: Option<&Receiver>) -> String {
    let targets = service.targets.now();
    let latest: Vec<_> = targets.iter().filter_map(|monitored| monitored.target.latest()).collect();
    let snapshots = || latest.iter().filter_map(|reading| reading.snapshot());
    let (up, all) = (snapshots().count(), targets.len());
    let series: u64 = snapshots().map(|snapshot| snapshot.series_read).sum();
    let points: usize = snapshots().map(|snapshot| snapshot.points.len()).sum();
    let mut said = format!("{up} of {all} up: {series} series of theirs became {points} of ours");
    if let Some(receiver) = receiver {
        let targets = receiver.targets();
        let (points, records) = (receiver.points(), receiver.log_records());
        said += &format!("; the receiver has {points} points of {} targets, and {records} records of the delivery log", targets.len());
    }
    said
}

/// The demo's configuration. Without a `state_dir` no delivery log is followed.
fn file(stand_ins: &[SimulatedServer], args: &DemoArgs, endpoint: &str, state_dir: Option<&Path>) -> String {
    // Quoted, because what a user types or sets must not become another key.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut file = String::new();
    // A path that is not UTF-8 cannot be written to the file.
    let state_dir = state_dir.and_then(Path::to_str);
    if let Some(state_dir) = state_dir {
        // A dollar sign begins a variable, in a path as anywhere.
        file += &format!("state_dir: {}\n", quoted(&state_dir.replace('$', "$$")));
    }
    file += "defaults: {timeout: 5s, min_interval: 5s}\ntargets:\n";
    for stand_in in stand_ins {
        let system = stand_in.system();
        let (name, url) = (system.name(), stand_in.url());
        let delivery_log = source::by_name(name).and_then(|source| source.delivery_log).filter(|_| state_dir.is_some());
        let delivery_log = delivery_log.map(|log| format!("{}: {{{DELIVERY_LOG_KEYS}}}, ", log.part.name)).unwrap_or_default();
        let keys = system.credential_keys() + &system.parts_key(&delivery_log) + system.demo_keys();
        file += &format!("  - {{name: demo-{name}, system: {name}, url: \"{url}\", {keys}}}\n");
    }
    file += &format!(
        "export:\n  otlp: {{endpoint: {}, interval: {}}}\n  prometheus: {{listen: {}}}\n",
        quoted(endpoint),
        quoted(&args.interval),
        quoted(&args.listen)
    );
    file
}
