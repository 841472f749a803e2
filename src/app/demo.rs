//! `postmeter demo`: simulated mail servers with pull, push and a delivery log, in one process and without configuration. The read
//! position of the delivery log is kept in a temporary directory, which is removed at the end.

use super::cli::DemoArgs;
use super::run::StopSignals;
use super::service::Service;
use super::{AppError, print_while_open};
use crate::config::{self, Environment, LogLevel, Problem, Problems};
use crate::model::Snapshot;
use crate::net::PRIVATE_DIRECTORY_MODE;
use crate::simulate::{self, Hook, HookSender, HookSystem, Options, Receiver, SigningKey, SimulatedServer, System};
use crate::source;
use crate::telemetry::SelfTelemetry;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Any free port of the loopback address.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The time between two status lines.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// The keys of a delivery log in the demo.
const DELIVERY_LOG_KEYS: &str = "interval: 5s, include: [domain, delivery_domain]";

pub(super) async fn demo(args: DemoArgs, log_level: Option<LogLevel>) -> Result<(), AppError> {
    let start_error = |what: &str, error: std::io::Error| AppError::Other(format!("cannot start {what}: {error}"));
    let mut servers = Vec::with_capacity(args.systems.len());
    for system in selected(&args.systems) {
        let options = Options { seed: args.seed, ..Options::default() };
        servers.push(SimulatedServer::start(system, ANY_PORT, options).await.map_err(|error| start_error("a simulated server", error))?);
    }
    let receiver = match &args.otlp {
        Some(_) => None,
        None => Some(Receiver::start_counting(ANY_PORT).await.map_err(|error| start_error("the receiver", error))?),
    };
    let endpoint = args.otlp.clone().or_else(|| receiver.as_ref().map(Receiver::url)).unwrap_or_default();

    // Signals are caught before the directory is created, so that it is removed in any case.
    let mut stop = StopSignals::install()?;
    let directory = directory();
    let state_dir = directory.as_ref().ok().map(TempDir::path);
    // The demo uses a configuration file that a user could write. Environment variables are ignored, so that it is the same everywhere.
    let file = file(&servers, &args, &endpoint, state_dir);
    let config = config::parse(&file, "the demo's configuration", &Environment::default());
    let mut config = config.map_err(|problems| Problems::new(problems.iter().map(of_option).collect()))?;
    config.telemetry.log_level = log_level.unwrap_or(LogLevel::Warn);
    let self_telemetry = SelfTelemetry::start(&config.telemetry).map_err(super::StartError::from)?;
    let service = Service::start(config, self_telemetry, "--listen").await?;
    let mut hooks = Vec::new();
    for server in &servers {
        hooks.extend(service.receive_address.and_then(|address| send_deliveries(server, address)));
    }

    // Without a reader, the demo has no purpose.
    let mut printed = print_while_open(&intro(&service, &servers, &endpoint, directory.as_ref().err(), &args));

    let mut status = tokio::time::interval(STATUS_INTERVAL);
    status.tick().await;
    while matches!(printed, Ok(true)) {
        tokio::select! {
            _ = stop.wait() => break,
            _ = status.tick() => printed = print_while_open(&(status_line(&service, receiver.as_ref()) + "\n")),
        }
    }
    drop(hooks);
    service.stop().await;
    if let Some(receiver) = receiver {
        let (points, requests, records) = (receiver.points(), receiver.count(), receiver.log_records());
        if matches!(printed, Ok(true)) {
            printed = print_while_open(&format!(
                "the receiver accepted {points} points in {requests} requests, and {records} delivery records\n"
            ));
        }
        receiver.shutdown().await;
    }
    for server in servers {
        server.shutdown().await;
    }
    if let Ok(directory) = directory {
        directory.close().map_err(|error| AppError::Other(format!("cannot remove the temporary directory: {error}")))?;
    }
    printed.map(|_| ())
}

/// Describes the running demo: its servers, and where their metrics and records go. `without_directory` is the reason why there is no
/// temporary directory.
fn intro(
    service: &Service,
    servers: &[SimulatedServer],
    endpoint: &str,
    without_directory: Option<&std::io::Error>,
    args: &DemoArgs,
) -> String {
    let address = service.address.map(|address| address.to_string()).unwrap_or_default();
    let mut intro = format!("Postmeter {} demo with {} simulated mail server(s)\n\n", env!("CARGO_PKG_VERSION"), servers.len());
    for server in servers {
        intro += &format!("  {:<12} {}\n", server.system().name(), server.url());
    }
    intro += "\n";
    match without_directory {
        None if !servers.iter().any(has_delivery_log) => {}
        None => {
            intro += &format!("  log   each delivery of {} is exported once as an OTLP log record\n", systems_with_delivery_log(servers));
        }
        // A minimal container image has no temporary directory. The rest of the demo works without it.
        Some(error) => intro += &format!("  log   off, because no temporary directory can be created: {error}; set TMPDIR\n"),
    }
    let senders: Vec<&str> = servers.iter().filter_map(|server| server.system().hook_system()).map(HookSystem::name).collect();
    if let Some(receiver) = service.receive_address.filter(|_| !senders.is_empty()) {
        intro += &format!("  hooks deliveries of {} are sent to http://{receiver}/v1/deliveries/\n", senders.join(", "));
    }
    let inside = if args.otlp.is_none() { ", inside this demo," } else { "" };
    intro += &format!("  pull  http://{address}/metrics   (status page: http://{address}/)\n");
    intro += &format!("  push  OTLP/gRPC to {endpoint}{inside} every {}\n\nPress Ctrl-C to stop.\n\n", args.interval);
    intro
}

/// Returns a problem of the demo's configuration as one of the option that supplies the value.
fn of_option(problem: &Problem) -> Problem {
    let option = match problem.path.as_str() {
        "export.otlp.endpoint" => "--otlp",
        "export.otlp.interval" => "--interval",
        "export.prometheus.listen" => "--listen",
        _ => return problem.clone(),
    };
    Problem { file: String::new(), line: None, path: option.to_owned(), ..problem.clone() }
}

/// Returns each of these systems once, because the names of targets are unique.
fn selected(systems: &[System]) -> Vec<System> {
    let mut selected = Vec::with_capacity(systems.len());
    for system in systems {
        if !selected.contains(system) {
            selected.push(*system);
        }
    }
    selected
}

/// Sends the deliveries of a server to the receiver of the demo.
fn send_deliveries(server: &SimulatedServer, address: SocketAddr) -> Option<HookSender> {
    let system = server.system().hook_system()?;
    let hook = Hook::new(format!("http://{address}/v1/deliveries/demo-{}", system.name()));
    let token = simulate::TOKEN.to_owned();
    let hook = match system.signs_with_secret() {
        true => Hook { signing_key: Some(SigningKey::Secret(token)), ..hook },
        false => Hook { token: Some(token), ..hook },
    };
    server.send_deliveries(hook).ok().flatten()
}

/// The part of a target that accepts the deliveries of a simulated system.
fn deliveries_part(system: HookSystem) -> String {
    let credential = if system.signs_with_secret() { "signing_key" } else { "token" };
    format!("deliveries: {{{credential}: {}, include: [delivery_domain], by: [provider, source]}}, ", simulate::TOKEN)
}

fn has_delivery_log(server: &SimulatedServer) -> bool {
    source::by_name(server.system().name()).is_some_and(|source| source.delivery_log.is_some())
}

fn systems_with_delivery_log(servers: &[SimulatedServer]) -> String {
    let names = servers.iter().filter(|server| has_delivery_log(server)).map(|server| server.system().name());
    names.collect::<Vec<_>>().join(", ")
}

/// Creates a private temporary directory.
fn directory() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("postmeter-demo-").permissions(Permissions::from_mode(PRIVATE_DIRECTORY_MODE)).tempdir()
}

/// Summarizes the state of the targets and of the receiver.
fn status_line(service: &Service, receiver: Option<&Receiver>) -> String {
    let targets = service.targets.now();
    let latest: Vec<_> = targets.iter().filter_map(|target| target.target.latest()).collect();
    let snapshots = || latest.iter().filter_map(|reading| reading.snapshot());
    let (up, all) = (snapshots().count(), targets.len());
    let series: u64 = snapshots().map(|snapshot| snapshot.series_read).sum();
    let points: usize = snapshots().map(Snapshot::point_count).sum();
    let mut line = format!("{up} of {all} up: {series} native series mapped to {points} canonical points");
    if let Some(receiver) = receiver {
        // Postmeter's own metrics have a resource, too.
        let is_target = |instance: &&String| targets.iter().any(|target| target.target.name() == instance.as_str());
        let pushed = receiver.targets().iter().filter(is_target).count();
        let (points, records) = (receiver.points(), receiver.log_records());
        line += &format!("; the receiver has {points} points of {pushed} targets, and {records} delivery records");
    }
    line
}

/// Returns the configuration of the demo. Without a `state_dir` no delivery log is read.
fn file(servers: &[SimulatedServer], args: &DemoArgs, endpoint: &str, state_dir: Option<&Path>) -> String {
    // Values of the user are quoted, so that they cannot add keys.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut file = String::new();
    // A path that is not UTF-8 cannot be written to the file.
    let state_dir = state_dir.and_then(Path::to_str);
    if let Some(state_dir) = state_dir {
        // A dollar sign would introduce a reference.
        file += &format!("state_dir: {}\nreceive: {{listen: \"127.0.0.1:0\"}}\n", quoted(&state_dir.replace('$', "$$")));
    }
    file += "defaults: {timeout: 5s, min_interval: 5s}\ntargets:\n";
    for server in servers {
        let system = server.system();
        let (name, url) = (system.name(), server.url());
        let delivery_log = source::by_name(name).and_then(|source| source.delivery_log).filter(|_| state_dir.is_some());
        let delivery_log = delivery_log.map(|log| format!("{}: {{{DELIVERY_LOG_KEYS}}}, ", log.part.name)).unwrap_or_default();
        let deliveries = system.hook_system().filter(|_| state_dir.is_some()).map(deliveries_part).unwrap_or_default();
        let keys = system.credential_keys() + &system.parts_key(&(delivery_log + &deliveries)) + system.demo_keys();
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
