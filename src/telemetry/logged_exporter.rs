//! Logs failed exports of Postmeter's own telemetry, which the SDK would discard silently.
//!
//! A line about a failure is not exported as a log record: the SDK suppresses what its own threads log.

use crate::net::{ProblemLog, Redactor, shorten, stable_cause};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::{info, warn};

/// The longest part of a cause that is logged: the error of a certificate lists all of its names.
const CAUSE_CHARS_MAX: usize = 300;
/// The text of the SDK before the code of a gRPC response.
const CODE_PREFIX: &str = "gRPC code: ";

/// An exporter of one signal whose failures are logged.
#[derive(Debug)]
pub(super) struct LoggedExporter<E> {
    exporter: E,
    log: ExportLog,
}

/// The log lines about the exports of one signal.
#[derive(Debug)]
struct ExportLog {
    /// The signal, in plural.
    signal: &'static str,
    /// The URL of the receiver, without secrets.
    endpoint: String,
    secrets: Redactor,
    problem: Mutex<ProblemLog<String>>,
    /// The time of the shutdown is over. Exports that are aborted by the end of the process are no problem of the receiver.
    is_over: Arc<AtomicBool>,
}

impl<E> LoggedExporter<E> {
    /// Wraps the exporter of this signal. `endpoint` has no secrets. Nothing is logged when `is_over` is true.
    pub(super) fn new(exporter: E, signal: &'static str, endpoint: String, secrets: Redactor, is_over: Arc<AtomicBool>) -> Self {
        Self { exporter, log: ExportLog { signal, endpoint, secrets, problem: Mutex::default(), is_over } }
    }
}

impl ExportLog {
    /// Logs the start and the end of a problem.
    fn log(&self, result: OTelSdkResult) -> OTelSdkResult {
        let (signal, endpoint) = (self.signal, &self.endpoint);
        match &result {
            Ok(()) => {
                if self.problem.lock().end().is_some() {
                    info!(endpoint, "the receiver accepts Postmeter's own {signal} again");
                }
            }
            Err(OTelSdkError::AlreadyShutdown) => {}
            Err(_) if self.is_over.load(Ordering::Relaxed) => {}
            Err(error) => {
                let mut cause = cause(error);
                self.secrets.redact(&mut cause);
                let cause = shorten(&cause, CAUSE_CHARS_MAX);
                let note = self.problem.lock().start(stable_cause(&cause));
                if let Some(note) = note {
                    warn!(
                        endpoint,
                        "export of Postmeter's own {signal} failed: {cause}; check telemetry.otlp, and that the receiver is running and accepts {signal}{note}"
                    );
                }
            }
        }
        result
    }
}

/// The cause of a failure, without the names that the SDK puts before it.
fn cause(error: &OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(text) => {
            text.split_once(CODE_PREFIX).map_or_else(|| text.clone(), |(_, cause)| format!("gRPC status {cause}"))
        }
        OTelSdkError::Timeout(timeout) => format!("no response within {timeout:?}"),
        OTelSdkError::AlreadyShutdown => error.to_string(),
    }
}

impl<E: SpanExporter> SpanExporter for LoggedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.log.log(self.exporter.export(batch).await)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for LoggedExporter<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.log.log(self.exporter.export(batch).await)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for LoggedExporter<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.log.log(self.exporter.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
