//! Postmeter's own telemetry: its metrics, traces and log, and the OpenTelemetry providers that they use.
//!
//! The instruments are synchronous, so the meter provider may have two readers: only the callbacks of observable instruments leak from one
//! reader to the other in opentelemetry_sdk 0.33.1.

use super::access_metrics::AccessMetrics;
use super::export_metrics::ExportMetrics;
use super::log_line_record::LogLineRecords;
use super::logged_exporter::LoggedExporter;
use super::logging;
use super::meter_provider::{SharedReader, families_from, scopes_of};
use super::otlp_exporters;
use super::poll_metrics::PollMetrics;
use super::reload_metrics::ReloadMetrics;
use super::self_metrics::{
    BUILD_INFO, CHANGE, HTTP_ROUTE, HTTP_STATUS_CODE, PASSTHROUGH_CHANGES, REQUEST_DURATION, VERSION, counter, duration_histogram, gauge,
    series_limit,
};
use super::self_watch::ConditionMetrics;
use super::{Identity, SCOPE};
use crate::config;
use crate::model::registry::SCHEMA_URL;
use crate::model::{SelectedFamilies, TranslationStrategy};
use opentelemetry::metrics::{Counter, Histogram, MeterProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The time limit of the last exports at shutdown, of all signals together.
const SHUTDOWN_MAX: Duration = Duration::from_secs(3);

/// Postmeter's own telemetry.
#[derive(Debug)]
pub struct SelfTelemetry {
    identity: Identity,
    reader: SharedReader,
    meters: SdkMeterProvider,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    /// The reader for the push, if `export.otlp` exports the self-metrics, too.
    push_reader: Option<SharedReader>,
    /// Set when the time of the shutdown is over.
    is_over: Arc<AtomicBool>,
    /// Metrics of the push.
    pub export: ExportMetrics,
    /// Metrics of access to the pull endpoint.
    pub access: AccessMetrics,
    /// Metrics of the configuration.
    pub reload: ReloadMetrics,
    /// Metrics of polling.
    pub poll: PollMetrics,
    /// Metrics of conditions that an operator should know about.
    pub conditions: ConditionMetrics,
    request_duration: Histogram<f64>,
    passthrough_changes: Counter<u64>,
}

/// Postmeter's own telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("telemetry: {0}")]
pub struct SelfTelemetryError(String);

impl SelfTelemetryError {
    pub(super) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The parts of the SDK that the configuration enables.
#[derive(Default)]
struct Providers {
    /// Exports the self-metrics to `telemetry.otlp`.
    periodic: Option<PeriodicReader<LoggedExporter<opentelemetry_otlp::MetricExporter>>>,
    /// Collects the self-metrics for the push of `export.otlp`.
    push_reader: Option<SharedReader>,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    /// Set when the time of the shutdown is over.
    is_over: Arc<AtomicBool>,
}

impl SelfTelemetry {
    /// Sets up the log and the exporters of `telemetry.otlp`. Must be called inside the tokio runtime, which the exporters use.
    ///
    /// # Errors
    /// A configured value cannot be used, or the log cannot be set up.
    pub fn start(config: &config::Telemetry) -> Result<Self, SelfTelemetryError> {
        let identity = identity(&config.resource);
        let attributes = identity.attributes().map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
        let resource = Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL).build();
        let push_reader = config.metrics_in_export.map(SharedReader::with_temporality);
        let mut providers = Providers { push_reader, ..Providers::default() };
        if let Some(otlp) = &config.otlp {
            if otlp.traces {
                let exporter = otlp_exporters::span_exporter(otlp, &providers.is_over)?;
                providers.traces = Some(SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build());
            }
            if otlp.logs {
                let exporter = otlp_exporters::log_exporter(otlp, &providers.is_over)?;
                let logs = SdkLoggerProvider::builder().with_resource(resource.clone()).with_log_processor(LogLineRecords);
                providers.logs = Some(logs.with_batch_exporter(exporter).build());
            }
            if otlp.metrics {
                providers.periodic = Some(
                    PeriodicReader::builder(otlp_exporters::metric_exporter(otlp, &providers.is_over)?)
                        .with_interval(otlp.interval)
                        .build(),
                );
            }
        }
        let secrets = config.otlp.as_ref().map(otlp_exporters::secrets).unwrap_or_default();
        logging::init(config, secrets, providers.traces.as_ref(), providers.logs.as_ref())
            .map_err(|error| SelfTelemetryError::new(format!("standard error: {error}")))?;
        Self::with_providers(identity, resource, providers)
    }

    /// Checks that the exporters of `telemetry.otlp` can be built. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// A configured value or file cannot be used.
    pub fn check(config: &config::Telemetry) -> Result<(), SelfTelemetryError> {
        config.otlp.as_ref().map_or(Ok(()), |otlp| otlp_exporters::metric_exporter(otlp, &Arc::default()).map(drop))
    }

    /// Sets up the metrics without a log and without exporters: for tests and for commands that print.
    ///
    /// # Errors
    /// The SDK cannot create the meter provider.
    pub fn quiet() -> Result<Self, SelfTelemetryError> {
        Self::with_providers(identity(&[]), Resource::builder_empty().build(), Providers::default())
    }

    fn with_providers(identity: Identity, resource: Resource, providers: Providers) -> Result<Self, SelfTelemetryError> {
        let Providers { periodic, push_reader, traces, logs, is_over } = providers;
        let reader = SharedReader::default();
        let mut meters = SdkMeterProvider::builder().with_resource(resource).with_reader(reader.clone()).with_view(series_limit);
        if let Some(periodic) = periodic {
            meters = meters.with_reader(periodic);
        }
        if let Some(push_reader) = &push_reader {
            meters = meters.with_reader(push_reader.clone());
        }
        let meters = meters.build();
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).with_schema_url(SCHEMA_URL).build();
        let meter = meters.meter_with_scope(scope);
        gauge(&meter, &BUILD_INFO).record(1, &[KeyValue::new(VERSION.key, env!("CARGO_PKG_VERSION"))]);
        Ok(Self {
            identity,
            reader,
            traces,
            logs,
            push_reader,
            is_over,
            export: ExportMetrics::new(&meter),
            access: AccessMetrics::new(&meter),
            reload: ReloadMetrics::new(&meter),
            poll: PollMetrics::new(&meter),
            conditions: ConditionMetrics::new(&meter),
            request_duration: duration_histogram(&meter, &REQUEST_DURATION),
            passthrough_changes: counter(&meter, &PASSTHROUGH_CHANGES),
            meters,
        })
    }

    /// Records a response of the pull endpoint.
    pub fn served(&self, route: &'static str, status: u16, took: Duration) {
        let attributes = [KeyValue::new(HTTP_ROUTE.key, route), KeyValue::new(HTTP_STATUS_CODE.key, i64::from(status))];
        self.request_duration.record(took.as_secs_f64(), &attributes);
        if status == 200 {
            self.conditions.note_scrape();
        }
    }

    /// Counts native metrics that could not be exported unchanged.
    pub fn changed(&self, change: &'static str, n: u64) {
        if n > 0 {
            self.passthrough_changes.add(n, &[KeyValue::new(CHANGE.key, change)]);
        }
    }

    /// The self-metrics for the pull, and Postmeter's identity.
    #[must_use]
    pub fn gather(&self, strategy: TranslationStrategy) -> (&Identity, SelectedFamilies) {
        self.conditions.count_dropped_log_lines();
        let labels = self.identity.labels();
        let labels = labels.each_ref().map(|(name, value)| (*name, &**value));
        (&self.identity, families_from(&self.reader.collected(), strategy, &labels, |_, start| Some(start)))
    }

    /// The self-metrics for the push, and Postmeter's identity. `None` if the push does not export them.
    #[must_use]
    pub fn collect(&self) -> Option<(&Identity, Vec<ScopeMetrics>)> {
        let reader = self.push_reader.as_ref()?;
        self.conditions.count_dropped_log_lines();
        Some((&self.identity, scopes_of(&reader.collected(), &[])))
    }

    /// Exports the remaining data of all signals at the same time, within a few seconds.
    pub async fn shutdown(&self) {
        let (meters, traces, logs) = (self.meters.clone(), self.traces.clone(), self.logs.clone());
        // The SDK's shutdown blocks until its threads have finished.
        let mut exports = JoinSet::new();
        exports.spawn_blocking(move || meters.shutdown_with_timeout(SHUTDOWN_MAX));
        if let Some(traces) = traces {
            exports.spawn_blocking(move || traces.shutdown_with_timeout(SHUTDOWN_MAX));
        }
        if let Some(logs) = logs {
            exports.spawn_blocking(move || logs.shutdown_with_timeout(SHUTDOWN_MAX));
        }
        // Errors are ignored: an unreachable receiver was logged while Postmeter was running. The SDK's reader of metrics has a limit of
        // its own, which is longer.
        let _ = timeout(SHUTDOWN_MAX, async { while exports.join_next().await.is_some() {} }).await;
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn identity(resource: &[(String, String)]) -> Identity {
    let configured = |key: &str| resource.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
    let name = configured("service.name").unwrap_or_else(|| config::SERVICE_NAME_DEFAULT.to_owned());
    let instance = configured("service.instance.id").unwrap_or_else(hostname);
    let mut identity = Identity::new(&name, &instance);
    for (key, value) in resource {
        identity.set(key, value);
    }
    identity.with_version(Some(env!("CARGO_PKG_VERSION")))
}

fn hostname() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}
