//! Postmeter's own metrics, and the providers that its signals go through.
//!
//! Its instruments are synchronous, so here a provider may have two readers: what leaks from one to the other in
//! opentelemetry_sdk 0.33.1 are the callbacks of observable ones.

use super::access_metrics::AccessMetrics;
use super::export_metrics::ExportMetrics;
use super::logging;
use super::otlp_exporters;
use super::poll_metrics::Polling;
use super::reload_metrics::ReloadMetrics;
use super::self_watch::SelfMetrics;
use super::{Identity, SCOPE};
use crate::config;
use crate::model::FamilyType;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use std::time::Duration;

/// Bounds in seconds, as the conventions for `http.server.request.duration` have them.
pub(super) const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// How long the last of Postmeter's own telemetry may take to leave.
const SHUTDOWN_MAX: Duration = Duration::from_secs(3);

/// Self-metrics whose names, in Prometheus, do not begin with `postmeter_`: the conventions of OpenTelemetry have them.
pub const SELF_METRICS: &[(&str, FamilyType)] = &[
    ("http_server_request_duration_seconds", FamilyType::Histogram),
    ("otel_sdk_exporter_metric_data_point_exported_total", FamilyType::Counter),
    ("otel_sdk_exporter_metric_data_point_inflight", FamilyType::Gauge),
    ("otel_sdk_exporter_operation_duration_seconds", FamilyType::Histogram),
];

/// Postmeter's own signals.
#[derive(Debug)]
pub struct SelfTelemetry {
    identity: Identity,
    registry: Registry,
    meters: SdkMeterProvider,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    /// Of the push.
    pub exporting: ExportMetrics,
    /// Of those who pull.
    pub pulling: AccessMetrics,
    /// Of the configuration.
    pub reloading: ReloadMetrics,
    /// Of what Postmeter notices about itself.
    pub watched: SelfMetrics,
    /// Of the limits of polling.
    pub polling: Polling,
    request_duration: Histogram<f64>,
    not_as_said: Counter<u64>,
}

/// Why its own telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("telemetry: {0}")]
pub struct SelfTelemetryError(String);

impl SelfTelemetryError {
    pub(super) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl SelfTelemetry {
    /// Sets up the log, and what `telemetry.otlp` asks for. Must run inside the runtime: exporters use it.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn start(config: &config::Telemetry) -> Result<Self, SelfTelemetryError> {
        let identity = identity(&config.resource);
        let attributes = identity.attributes().map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        let (mut traces, mut logs, mut periodic) = (None, None, None);
        if let Some(way) = &config.otlp {
            if way.traces {
                let exporter = otlp_exporters::spans(way)?;
                traces = Some(SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build());
            }
            if way.logs {
                let exporter = otlp_exporters::logs(way)?;
                logs = Some(SdkLoggerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build());
            }
            if way.metrics {
                periodic = Some(PeriodicReader::builder(otlp_exporters::metrics(way)?).with_interval(way.interval).build());
            }
        }
        let secrets = config.otlp.as_ref().map(otlp_exporters::secrets).unwrap_or_default();
        logging::init(config, secrets, traces.as_ref(), logs.as_ref())
            .map_err(|error| SelfTelemetryError::new(format!("standard error: {error}")))?;
        Self::with(identity, resource, periodic, traces, logs)
    }

    /// Its metrics alone, without a log: for tests and for commands that print.
    ///
    /// # Errors
    /// The SDK's reason.
    pub fn quiet() -> Result<Self, SelfTelemetryError> {
        let identity = identity(&[]);
        Self::with(identity, Resource::builder_empty().build(), None, None, None)
    }

    fn with(
        identity: Identity,
        resource: Resource,
        periodic: Option<PeriodicReader<opentelemetry_otlp::MetricExporter>>,
        traces: Option<SdkTracerProvider>,
        logs: Option<SdkLoggerProvider>,
    ) -> Result<Self, SelfTelemetryError> {
        let registry = Registry::new_custom(None, Some(identity.labels())).map_err(SelfTelemetryError::new)?;
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(SelfTelemetryError::new)?;
        let mut meters = SdkMeterProvider::builder().with_resource(resource).with_reader(exporter);
        if let Some(periodic) = periodic {
            meters = meters.with_reader(periodic);
        }
        let meters = meters.build();
        let meter = meters.meter(SCOPE);
        let build = meter.u64_gauge("postmeter.build_info").with_description("1, with the version of this Postmeter.").build();
        build.record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        // OpenTelemetry's name (semantic conventions for HTTP).
        let request_duration = meter
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_boundaries(SECONDS.to_vec())
            .with_description("How long answering a pull took, waiting for mail servers included.");
        let not_as_said = meter
            .u64_counter("postmeter.relay.changes")
            .with_unit("{change}")
            .with_description("Native metrics that could not be exported as the mail server sent them, by what was done.");
        let (request_duration, not_as_said) = (request_duration.build(), not_as_said.build());
        let (exporting, pulling, reloading) = (ExportMetrics::new(&meter), AccessMetrics::new(&meter), ReloadMetrics::new(&meter));
        let (watched, polling) = (SelfMetrics::new(&meter), Polling::new(&meter));
        Ok(Self {
            identity,
            registry,
            meters,
            traces,
            logs,
            exporting,
            pulling,
            reloading,
            watched,
            polling,
            request_duration,
            not_as_said,
        })
    }

    /// A request to the pull endpoint was answered.
    pub fn served(&self, route: &'static str, status: u16, took: Duration) {
        let attributes = [KeyValue::new("http.route", route), KeyValue::new("http.response.status_code", i64::from(status))];
        self.request_duration.record(took.as_secs_f64(), &attributes);
        if status == 200 {
            self.watched.note_scrape();
        }
    }

    /// Native metrics could not be exported as the mail server sent them.
    pub fn changed(&self, change: &'static str, n: u64) {
        if n > 0 {
            self.not_as_said.add(n, &[KeyValue::new("postmeter.change", change)]);
        }
    }

    /// Its metrics for the pull, and who they are of.
    #[must_use]
    pub fn gather(&self) -> (&Identity, Vec<MetricFamily>) {
        self.watched.count_dropped_log_lines();
        (&self.identity, self.registry.gather())
    }

    /// Sends what is left, for a little while at most.
    pub fn shutdown(&self) {
        // A receiver that is gone has been reported while there was somebody to read it.
        let _ = self.meters.shutdown_with_timeout(SHUTDOWN_MAX);
        let _ = self.traces.as_ref().map(|traces| traces.shutdown_with_timeout(SHUTDOWN_MAX));
        let _ = self.logs.as_ref().map(|logs| logs.shutdown_with_timeout(SHUTDOWN_MAX));
    }
}

fn identity(resource: &[(String, String)]) -> Identity {
    let said = |key: &str| resource.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
    let name = said("service.name").unwrap_or_else(|| config::SERVICE_NAME_DEFAULT.to_owned());
    let instance = said("service.instance.id").unwrap_or_else(hostname);
    let mut identity = Identity::new(&name, &instance);
    for (key, value) in resource {
        identity.set(key, value);
    }
    identity.with_version(Some(env!("CARGO_PKG_VERSION")))
}

fn hostname() -> String {
    let said = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    said.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}
