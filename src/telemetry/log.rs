//! Postmeter's log: lines on standard error, and the same as OTLP where that is asked for.

use crate::config::{self, LogFormat};
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Sets the process' subscriber. A second call changes nothing: a program has one log.
pub(super) fn init(config: &config::Telemetry, traces: Option<&SdkTracerProvider>, logs: Option<&SdkLoggerProvider>) {
    let level: LevelFilter = config.log_level.name().parse().unwrap_or(LevelFilter::INFO);
    // Other crates' lines matter when something is wrong with them; their chatter does not.
    let others = level.min(LevelFilter::WARN);
    let filter = Targets::new().with_default(others).with_target("postmeter", level);
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let mut layers: Vec<Boxed> = Vec::new();
    layers.push(match config.log_format {
        LogFormat::Json => stderr.json().flatten_event(true).with_filter(filter.clone()).boxed(),
        LogFormat::Text => stderr.with_ansi(std::io::stderr().is_terminal()).with_filter(filter.clone()).boxed(),
    });
    // Only what is ours is sent: the exporter's own lines, sent by the exporter, would never end.
    let ours = Targets::new().with_target("postmeter", level);
    if let Some(logs) = logs {
        layers.push(OpenTelemetryTracingBridge::new(logs).with_filter(ours).boxed());
    }
    if let Some(traces) = traces {
        let spans = Targets::new().with_target("postmeter", LevelFilter::DEBUG);
        layers.push(tracing_opentelemetry::layer().with_tracer(traces.tracer("postmeter")).with_filter(spans).boxed());
    }
    let _ = tracing_subscriber::registry().with(layers).try_init();
}
