//! Postmeter's log: lines on standard error, and the same as OTLP where that is asked for.
//!
//! The process has one log, whose queue is a static: a panic and the end of the process reach it from anywhere.

use super::log_queue::LogQueue;
use crate::config::{self, LogFormat};
use crate::net::{Escaped, Redactor};
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// How long the end of the process waits for a reader of standard error.
const FLUSH_MAX: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Log lines that were dropped since the start, and when one was dropped last.
pub(super) fn dropped_lines() -> (u64, Option<Instant>) {
    QUEUE.get().map_or((0, None), |queue| (queue.dropped(), queue.last_drop()))
}

/// Writes the last log lines, then a message of the operator's concern if there is one. Waits a second at most: a reader of standard
/// error that stalls does not keep the process from ending.
pub fn finish_log(message: Option<&str>) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_MAX);
    }
    let Some(message) = message else { return };
    let text = format!("{}\n", Escaped::lines(message));
    let (done, written) = std::sync::mpsc::channel();
    let writing = std::thread::Builder::new().spawn(move || {
        let _ = standard_error().and_then(|mut out| out.write_all(text.as_bytes()));
        let _ = done.send(());
    });
    if writing.is_ok() {
        let _ = written.recv_timeout(FLUSH_MAX);
    }
}

/// Standard error without the lock of [`io::stderr`], which a stalled writer would hold for ever.
fn standard_error() -> io::Result<File> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

/// Sets the process' subscriber. A second call changes nothing: a program has one log. Lines do not show what `secrets` hides.
///
/// # Errors
/// The system has no room for a thread or a file.
pub(super) fn init(
    config: &config::Telemetry,
    secrets: Redactor,
    traces: Option<&SdkTracerProvider>,
    logs: Option<&SdkLoggerProvider>,
) -> io::Result<()> {
    if QUEUE.get().is_some() {
        return Ok(());
    }
    let queue = LogQueue::start(standard_error()?, secrets)?;
    let level: LevelFilter = config.log_level.name().parse().unwrap_or(LevelFilter::INFO);
    let filter = filter(level);
    let stderr = tracing_subscriber::fmt::layer().with_writer(queue.clone()).with_target(false);
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
    if tracing_subscriber::registry().with(layers).try_init().is_ok() && QUEUE.set(queue).is_ok() {
        // The default hook writes to standard error itself, and would stand still with it.
        std::panic::set_hook(Box::new(|panic| error!("Postmeter has a bug, please report it: {panic}")));
    }
    Ok(())
}

/// Which lines are written.
fn filter(level: LevelFilter) -> Targets {
    // Other crates' lines matter when something is wrong with them; their chatter does not.
    let others = level.min(LevelFilter::WARN);
    // Warnings of HTTP/2 are about single connections, and any stranger could fill the log with them.
    Targets::new().with_default(others).with_target("postmeter", level).with_target("h2", level.min(LevelFilter::ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_stranger_writes_no_lines() {
        for level in [LevelFilter::INFO, LevelFilter::TRACE] {
            let filter = filter(level);
            assert!(filter.would_enable("crate::serve", &Level::INFO) && filter.would_enable("hyper", &Level::WARN));
            assert!(filter.would_enable("h2::proto", &Level::ERROR) && !filter.would_enable("h2::proto::streams::recv", &Level::WARN));
        }
        assert!(!filter(LevelFilter::OFF).would_enable("h2", &Level::ERROR));
    }
}
