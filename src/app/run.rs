//! `postmeter run`: the service, until a signal.

use super::AppError;
use super::cli::ConfigArgs;
use super::service::Service;
use crate::config::{self, Environment, LogLevel};
use crate::telemetry::Own;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

pub(super) async fn run(args: ConfigArgs, log_level: Option<LogLevel>) -> Result<(), AppError> {
    let mut config = config::load(&args.config, &Environment::of_process())?;
    config.telemetry.log_level = log_level.unwrap_or(config.telemetry.log_level);
    let own = Own::start(&config.telemetry).map_err(super::StartError::from)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let otlp = config.export.otlp.as_ref().map(|otlp| otlp.endpoint.clone());
    let service = Service::start(config, own, "export.prometheus.listen").await?;
    let pull = service.address.map(|address| format!("http://{address}/metrics"));
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
    let signal = stopped().await?;
    info!(signal, "stopping");
    service.stop().await;
    info!("stopped");
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn stopped() -> Result<&'static str, AppError> {
    let unheard = |error: std::io::Error| AppError::Other(format!("signals cannot be heard: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
