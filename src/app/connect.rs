//! `postmeter check --connect`: tries each target and exporter once, and prints a table of the results.

use super::AppError;
use super::healthcheck::{reachable, request_status, shows_postmeter};
use super::plural::pluralize;
use crate::config::{Config, Deliveries, Discovery, Otlp, Target, TargetsHttp, TelemetryOtlp};
use crate::export::otlp::{OtlpExporter, RequestBody, Signal};
use crate::net::FileThread;
use crate::poll::{self, Limits};
use bytes::Bytes;
use reqwest::Url;
use std::io::ErrorKind;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The result of one attempt.
#[derive(Debug)]
struct Attempt {
    /// The name of the target, or the key of the exporter.
    name: String,
    /// The host and port that was tried.
    address: String,
    result: Result<Success, String>,
}

/// A successful attempt.
#[derive(Debug)]
enum Success {
    /// A description of the success.
    Described(String),
    /// A running Postmeter uses the address of the listener.
    InUse,
}

impl Success {
    fn text(&self) -> &str {
        match self {
            Self::Described(text) => text,
            Self::InUse => "in use by a running Postmeter; stop it before `postmeter run`, or reload it",
        }
    }
}

/// Requests the list of `targets_http`, polls each target, sends an empty request to each receiver, and binds each listener. Prints one
/// line for each. Returns `true` if `postmeter run` can start now.
///
/// # Errors
/// [`AppError::Reported`] if an attempt failed; the table names it.
pub(super) async fn connect(mut discovery: Discovery, config: &Config) -> Result<bool, AppError> {
    let mut attempts = Vec::new();
    if let Some(list) = &config.targets_http {
        attempts.push(request_list(list, config, &mut discovery).await);
    }
    let targets: Vec<Target> = discovery.targets(&config.targets).filter(|target| config.polls(target)).cloned().collect();
    let has_records = targets.iter().any(Target::has_records);
    let log_files: Vec<Attempt> = targets.iter().filter_map(read_log_files).collect();
    attempts.extend(poll_all(targets).await);
    attempts.extend(log_files);
    if let Some(otlp) = &config.export.otlp {
        attempts.push(send_empty_request(otlp, Signal::Metrics, "export.otlp").await);
        if has_records {
            attempts.push(send_empty_request(otlp, Signal::Logs, "export.otlp (delivery records)").await);
        }
    }
    if let Some(telemetry) = &config.telemetry.otlp {
        let TelemetryOtlp { endpoint, timeout, compression, headers, tls, .. } = telemetry.clone();
        let otlp = Otlp { timeout, compression, headers, tls, ..Otlp::to(endpoint) };
        attempts.push(send_empty_request(&otlp, Signal::Metrics, "telemetry.otlp").await);
    }
    if let Some(prometheus) = &config.export.prometheus {
        let scheme = if prometheus.server_tls().is_some() { "https" } else { "http" };
        attempts.push(bind("export.prometheus", &prometheus.listen, scheme).await);
    }
    if let Some(receive) = &config.receive {
        let scheme = if receive.tls.is_some() { "https" } else { "http" };
        attempts.push(bind("receive", &receive.listen, scheme).await);
    }
    if let Some(health) = &config.health {
        attempts.push(bind("health", &health.listen, "http").await);
    }
    super::print(&table(&attempts))?;
    let is_in_use = |attempt: &Attempt| matches!(attempt.result, Ok(Success::InUse));
    let is_free = !attempts.iter().any(is_in_use);
    if attempts.iter().all(|attempt| attempt.result.is_ok()) { Ok(is_free) } else { Err(AppError::Reported) }
}

/// Requests the list of `targets_http` and adds its targets.
async fn request_list(list: &TargetsHttp, config: &Config, discovery: &mut Discovery) -> Attempt {
    let before = discovery.targets(&[]).count();
    discovery.receive(config, poll::request_target_list(list, &FileThread::default()).await);
    let result = match discovery.problems() {
        Some(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        None => {
            let targets = discovery.targets(&[]).count() - before;
            Ok(Success::Described(format!("a valid list of {}", pluralize(targets, "target"))))
        }
    };
    Attempt { name: "targets_http".to_owned(), address: host_and_port(&list.url), result }
}

/// Polls all targets at the same time.
async fn poll_all(targets: Vec<Target>) -> Vec<Attempt> {
    let limits = Limits::default();
    let mut polls = JoinSet::new();
    for (index, target) in targets.into_iter().enumerate() {
        let limits = limits.clone();
        polls.spawn(async move { (index, poll_target(target, limits).await) });
    }
    let mut attempts = polls.join_all().await;
    attempts.sort_by_key(|(index, _)| *index);
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

/// Tries to read the log files of a target.
fn read_log_files(target: &Target) -> Option<Attempt> {
    let files = target.deliveries.as_ref()?.log_files.as_ref()?;
    let result = files.check().map(|()| Success::Described("log files can be read".to_owned()));
    Some(Attempt { name: target.name.clone(), address: files.path.display().to_string(), result })
}

async fn poll_target(target: Target, limits: Limits) -> Attempt {
    if !target.is_polled() {
        let sends = target.deliveries.as_ref().is_some_and(Deliveries::accepts_requests);
        let reason = if sends { "not polled: the server sends its records" } else { "not polled: its records are read from files" };
        let result = Ok(Success::Described(reason.to_owned()));
        return Attempt { name: target.name, address: "-".to_owned(), result };
    }
    let (name, address) = (target.name.clone(), host_and_port(&target.url));
    Attempt { name, address, result: poll_with(target, limits).await.map(Success::Described) }
}

/// Polls a target once. Returns what was read, or the errors of its parts.
pub(super) async fn poll_once(target: Target) -> Result<String, String> {
    poll_with(target, Limits::default()).await
}

async fn poll_with(target: Target, limits: Limits) -> Result<String, String> {
    let reading = poll::Target::new(target, limits).map_err(|error| error.to_string())?.reading().await;
    let errors: Vec<String> = reading.parts.iter().filter_map(|part| Some(format!("{}: {}", part.part, part.error.as_ref()?))).collect();
    let snapshot = match &reading.outcome {
        _ if !errors.is_empty() => return Err(errors.join("; ")),
        Err(error) => return Err(error.to_string()),
        Ok(snapshot) => snapshot,
    };
    let points = snapshot.point_count();
    Ok(format!("up, {points} canonical points, {} native series", reading.native.kept))
}

/// Sends a request without metrics or records, which a receiver accepts and ignores.
async fn send_empty_request(otlp: &Otlp, signal: Signal, name: &str) -> Attempt {
    let address = Url::parse(&otlp.endpoint).map_or_else(|_| otlp.receiver(), |url| host_and_port(&url));
    let sent = match OtlpExporter::new(otlp.clone()) {
        Ok(exporter) => exporter.send(signal, &RequestBody::uncompressed(Bytes::new())).await,
        Err(error) => Err(error),
    };
    let result = sent.map(|_| Success::Described("accepts requests".to_owned())).map_err(|error| error.to_string());
    Attempt { name: name.to_owned(), address, result }
}

/// Binds the address of a listener for a moment. `name` is the section of the configuration.
async fn bind(name: &str, listen: &str, scheme: &str) -> Attempt {
    let result = match TcpListener::bind(listen).await {
        Ok(_) => Ok(Success::Described("can be bound".to_owned())),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let status = request_status(&format!("{scheme}://{}/-/healthy", reachable(listen))).await;
            match status.is_ok_and(shows_postmeter) {
                true => Ok(Success::InUse),
                false => Err(format!("in use by another program; set {name}.listen to another port")),
            }
        }
        Err(error) => Err(format!("cannot be bound: {error}; set {name}.listen to an address of this machine")),
    };
    Attempt { name: name.to_owned(), address: listen.to_owned(), result }
}

/// The host and port that a URL leads to.
pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn table(attempts: &[Attempt]) -> String {
    let width = |of: fn(&Attempt) -> &str| attempts.iter().map(|attempt| of(attempt).chars().count()).max().unwrap_or(0);
    let (names, addresses) = (width(|attempt| &attempt.name), width(|attempt| &attempt.address));
    let line = |attempt: &Attempt| {
        let (state, text) = match &attempt.result {
            Ok(success) => ("ok    ", success.text()),
            Err(text) => ("FAILED", text.as_str()),
        };
        format!("{state}  {:names$}  {:addresses$}  {text}\n", attempt.name, attempt.address)
    };
    attempts.iter().map(line).collect()
}
