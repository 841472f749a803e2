//! `postmeter run`: the service, until a signal.

use super::AppError;
use super::cli::RunArgs;
use super::reload::ConfigFile;
use super::service::Service;
use crate::config::{Environment, LogLevel, Otlp, Prometheus};
use crate::telemetry::SelfTelemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// "File size limit exceeded", the number of it on Linux (but MIPS) and on the BSDs.
const SIGXFSZ: i32 = 25;

pub(super) async fn run(args: RunArgs, log_level: Option<LogLevel>) -> Result<(), AppError> {
    // Before anything runs: what is told to stop while it starts must end in order, too, and SIGHUP would end it by default.
    let (mut stop, hangup) = (Stop::heard()?, signal(SignalKind::hangup()).map_err(unheard)?);
    // A limit of file size (`ulimit -f`) would end the process by default; so it is an error of the write.
    let _file_size_limit = signal(SignalKind::from_raw(SIGXFSZ)).map_err(unheard)?;
    let mut followed = ConfigFile::new(args.of.config, args.of.shard, Environment::of_process(), log_level, args.enable_reload);
    let config = followed.load()?;
    let own = SelfTelemetry::start(&config.telemetry).map_err(super::StartError::from)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let shard = config.shard;
    let otlp = config.export.otlp.as_ref().map(Otlp::receiver);
    let scheme = config.export.prometheus.as_ref().and_then(Prometheus::server_tls).map_or("http", |_| "https");
    let mut service = Service::start(config, own, "export.prometheus.listen").await?;
    if let Some(shard) = shard.filter(|_| service.targets.now().is_empty()) {
        warn!("no target is in shard {shard}, so nothing is polled");
    }
    let pull = service.address.map(|address| format!("{scheme}://{address}/metrics"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        targets = service.targets.now().len(),
        pull = pull.as_deref().unwrap_or("off"),
        push = otlp.as_deref().unwrap_or("off"),
        "started"
    );
    service.follow(followed, hangup);
    let signal = stop.wait().await;
    info!(signal, "stopping");
    service.stop().await;
    info!("stopped");
    Ok(())
}

fn unheard(error: std::io::Error) -> AppError {
    AppError::Other(format!("signals cannot be heard: {error}"))
}

/// SIGTERM and SIGINT, heard from the moment this exists.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn heard() -> Result<Self, AppError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(unheard)?,
            interrupt: signal(SignalKind::interrupt()).map_err(unheard)?,
        })
    }

    /// Waits for one of them.
    pub(super) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
