//! Postmeter's log: lines on standard error and, if configured, log records over OTLP.
//!
//! A process has one log. Its queue is a static, so that it can be flushed from anywhere when the process ends.

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
use tracing::{Metadata, error};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The time limit for writing the remaining log lines when the process ends.
const FLUSH_MAX: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// The number of log lines that were dropped since startup, and when one was last dropped.
pub(super) fn dropped_lines() -> (u64, Option<Instant>) {
    QUEUE.get().map_or((0, None), |queue| (queue.dropped(), queue.last_drop()))
}

/// Writes the remaining log lines and then a final message, if there is one. Waits for a second at most, so that a stalled reader of
/// standard error does not prevent the process from ending.
pub fn finish_log(message: Option<&str>) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_MAX);
    }
    let Some(message) = message else { return };
    let text = format!("{}\n", Escaped::lines(message));
    let (done, written) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        let _ = standard_error().and_then(|mut out| out.write_all(text.as_bytes()));
        let _ = done.send(());
    });
    if thread.is_ok() {
        let _ = written.recv_timeout(FLUSH_MAX);
    }
}

/// Standard error without the lock of [`io::stderr`], which a stalled writer would hold forever.
fn standard_error() -> io::Result<File> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

/// Sets the subscriber of the process, with `secrets` redacted. A second call changes nothing.
///
/// # Errors
/// No thread or file can be created.
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
    let mut layers: Vec<BoxedLayer> = Vec::new();
    layers.push(match config.log_format {
        LogFormat::Json => stderr.json().flatten_event(true).with_filter(filter.clone()).boxed(),
        LogFormat::Text => stderr.with_ansi(std::io::stderr().is_terminal()).with_filter(filter.clone()).boxed(),
    });
    // Only Postmeter's lines are exported: exporting the lines of the exporter would never end.
    let own_lines = Targets::new().with_target("postmeter", level);
    if let Some(logs) = logs {
        layers.push(OpenTelemetryTracingBridge::new(logs).with_filter(own_lines).boxed());
    }
    if let Some(traces) = traces {
        // Log lines are exported as log records, and not as events of a span a second time. The field `target` of a span is a mail server's
        // name; the attribute of that name, with the module, would be a second one of the same key.
        let is_own_span = |metadata: &Metadata<'_>| metadata.is_span() && metadata.target().starts_with("postmeter");
        let spans = filter_fn(is_own_span).with_max_level_hint(LevelFilter::DEBUG);
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("postmeter")).with_target(false);
        layers.push(layer.with_filter(spans).boxed());
    }
    if tracing_subscriber::registry().with(layers).try_init().is_ok() && QUEUE.set(queue).is_ok() {
        // The default hook writes to standard error directly, and would block with it.
        std::panic::set_hook(Box::new(|panic| error!("internal error, please report it: {panic}")));
    }
    Ok(())
}

/// The filter of log lines.
fn filter(level: LevelFilter) -> Targets {
    // Of other crates, only warnings and errors are of interest.
    let others = level.min(LevelFilter::WARN);
    // HTTP/2 warnings concern single connections, and any client could fill the log with them.
    Targets::new().with_default(others).with_target("postmeter", level).with_target("h2", level.min(LevelFilter::ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn clients_cannot_fill_the_log() {
        for level in [LevelFilter::INFO, LevelFilter::TRACE] {
            let filter = filter(level);
            assert!(filter.would_enable("postmeter::serve", &Level::INFO) && filter.would_enable("hyper", &Level::WARN));
            assert!(filter.would_enable("h2::proto", &Level::ERROR) && !filter.would_enable("h2::proto::streams::recv", &Level::WARN));
        }
        assert!(!filter(LevelFilter::OFF).would_enable("h2", &Level::ERROR));
    }
}
