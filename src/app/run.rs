//! `postmeter run`: runs the service until a signal stops it.

use super::AppError;
use super::cli::RunArgs;
use super::reload::ConfigFile;
use super::service::Service;
use super::start_error::StartError;
use crate::config::{LogLevel, Otlp, Prometheus};
use crate::poll::Limits;
use crate::telemetry::SelfTelemetry;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

/// The number of the signal "file size limit exceeded" on Linux (except MIPS) and on the BSDs.
const SIGXFSZ: i32 = 25;
/// The time after which a start that has not ended is logged.
const START_MAX: Duration = Duration::from_secs(10);
/// The longest time for the end of a start when a signal has arrived.
const START_END_MAX: Duration = Duration::from_secs(5);

pub(super) async fn run(args: RunArgs, log_level: Option<LogLevel>) -> Result<(), AppError> {
    // Handlers are installed first, so that a signal during the start leads to an orderly stop, and SIGHUP does not kill the process.
    let (mut stop, hangup) = (StopSignals::install()?, signal(SignalKind::hangup()).map_err(handler_error)?);
    // Exceeding a file size limit (`ulimit -f`) would kill the process by default. With a handler, the write fails instead.
    let _file_size_limit = signal(SignalKind::from_raw(SIGXFSZ)).map_err(handler_error)?;
    let environment = args.config.environment()?;
    let mut config_file = ConfigFile::new(args.config.config, args.config.shard, environment, log_level, args.enable_reload);
    let config = config_file.load()?;
    let telemetry = SelfTelemetry::start(&config.telemetry).map_err(super::StartError::from)?;
    for warning in &config.warnings {
        warn!("configuration warning: {warning}");
    }
    let (shard, has_targets_http) = (config.shard, config.targets_http.is_some());
    let otlp = config.export.otlp.as_ref().map(Otlp::receiver);
    let scheme = config.export.prometheus.as_ref().and_then(Prometheus::server_tls).map_or("http", |_| "https");
    let receive_scheme = config.receive.as_ref().and_then(|receive| receive.tls.as_ref()).map_or("http", |_| "https");
    let state_dir = config.state_dir.clone();
    // It reads files. On a thread of the runtime, one that does not respond would also hold up the signals, if there is only one such
    // thread.
    let runtime = Handle::current();
    let start = spawn_blocking(move || runtime.block_on(Service::start(config, telemetry, "export.prometheus.listen")));
    let Some(mut service) = started(start, &mut stop, state_dir.as_deref()).await? else { return Ok(()) };
    match shard {
        _ if !service.targets.now().is_empty() => {}
        Some(shard) => warn!(%shard, "the shard contains no targets, so nothing is polled"),
        None if has_targets_http => {}
        None => warn!("there are no targets, so nothing is polled"),
    }
    if let Some(requests) = Limits::default().too_few_requests_for(service.targets.now().len()) {
        warn!(
            requests,
            "the limit of open files allows fewer requests at a time than there are targets, so that targets that do not respond delay others \
             after a start; raise it, for example by LimitNOFILE of systemd"
        );
    }
    let health = service.health_address.map(|address| format!("http://{address}/-/healthy"));
    let receive = service.receive_address.map(|address| format!("{receive_scheme}://{address}/v1/deliveries/TARGET"));
    let pull = service.address.map(|address| format!("{scheme}://{address}/metrics"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        targets = service.targets.now().len(),
        pull = pull.as_deref().unwrap_or("off"),
        push = otlp.as_deref().unwrap_or("off"),
        health = health.as_deref().unwrap_or("off"),
        receive = receive.as_deref().unwrap_or("off"),
        "started"
    );
    service.reload_on_change(config_file, hangup);
    let signal = stop.wait().await;
    info!(signal, "stopping");
    service.stop().await;
    info!("stopped");
    Ok(())
}

/// Waits for the start. If it takes long, it is logged. `None`: a signal has ended it.
async fn started(
    mut start: JoinHandle<Result<Service, StartError>>,
    stop: &mut StopSignals,
    state_dir: Option<&Path>,
) -> Result<Option<Service>, AppError> {
    let of_configuration = || "files that the configuration names".to_owned();
    let files = state_dir.map_or_else(of_configuration, |path| format!("files that are in state_dir {}", path.display()));
    let cause = format!("{files} do not respond; check for a lost network mount");
    let panicked = |error| AppError::Other(format!("the start panicked, please report it: {error}"));
    let signal = tokio::select! {
        started = &mut start => return Ok(Some(started.map_err(panicked)??)),
        signal = stop.wait() => signal,
        () = tokio::time::sleep(START_MAX) => {
            warn!("the start takes longer than {} s: {cause}", START_MAX.as_secs());
            tokio::select! {
                started = &mut start => return Ok(Some(started.map_err(panicked)??)),
                signal = stop.wait() => signal,
            }
        }
    };
    info!(signal, "stopping");
    // A start that is only interrupted ends in order.
    match tokio::time::timeout(START_END_MAX, start).await {
        Ok(started) => started.map_err(panicked)??.stop().await,
        Err(_) => return Err(AppError::Other(format!("the start has not ended within {} s: {cause}", START_END_MAX.as_secs()))),
    }
    info!("stopped");
    Ok(None)
}

fn handler_error(error: std::io::Error) -> AppError {
    AppError::Other(format!("cannot install a signal handler: {error}"))
}

/// The signals SIGTERM and SIGINT, which are caught as long as this exists.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn install() -> Result<Self, AppError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(handler_error)?,
            interrupt: signal(SignalKind::interrupt()).map_err(handler_error)?,
        })
    }

    /// Waits for a signal and returns its name.
    pub(super) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
