//! `postmeter run`: the service, until a signal.

use super::AppError;
use super::cli::ConfigArgs;
use super::service::Service;
use crate::config::{self, Environment, LogLevel, Prometheus};
use crate::telemetry::Own;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

pub(super) async fn run(args: ConfigArgs, log_level: Option<LogLevel>) -> Result<(), AppError> {
    let mut config = config::load(&args.config, &Environment::of_process())?.sharded(args.shard);
    config.telemetry.log_level = log_level.unwrap_or(config.telemetry.log_level);
    let own = Own::start(&config.telemetry).map_err(super::StartError::from)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    // Before anything runs: what is told to stop while it starts must end in order, too.
    let mut stop = Stop::heard()?;
    if let Some(shard) = config.shard.filter(|_| config.targets.is_empty()) {
        warn!("no target is in shard {shard}, so nothing is polled");
    }
    let otlp = config.export.otlp.as_ref().map(|otlp| otlp.endpoint.clone());
    let scheme = config.export.prometheus.as_ref().and_then(Prometheus::server_tls).map_or("http", |_| "https");
    let service = Service::start(config, own, "export.prometheus.listen").await?;
    let pull = service.address.map(|address| format!("{scheme}://{address}/metrics"));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        targets = service.targets.len(),
        pull = pull.as_deref().unwrap_or("off"),
        push = otlp.as_deref().unwrap_or("off"),
        "started"
    );
    if pull.is_none() && otlp.is_none() {
        warn!("there is no way out: neither export.otlp nor export.prometheus is on, so nothing is polled after the start");
    }
    let signal = stop.wait().await;
    info!(signal, "stopping");
    service.stop().await;
    info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT, heard from the moment this exists.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn heard() -> Result<Self, AppError> {
        let unheard = |error: std::io::Error| AppError::Other(format!("signals cannot be heard: {error}"));
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
