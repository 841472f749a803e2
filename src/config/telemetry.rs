//! Postmeter's own logs, metrics and traces: `telemetry:`.

use super::decode::{Decoder, is_true};
use super::map::{Item, Location};
use super::otel::{self, Signal};
use super::schema::{TELEMETRY, TELEMETRY_OTLP};
use super::{Compression, Otlp, Protocol, Secret, Temporality, Tls, sdk_variables};
use crate::model::{is_metric_name_label, is_translatable};
use std::time::Duration;

/// The default of `service.name` in Postmeter's own telemetry.
pub const SERVICE_NAME_DEFAULT: &str = "postmeter";
/// The default of `idle_after`.
pub const IDLE_AFTER_DEFAULT: Duration = Duration::from_secs(300);

/// Postmeter's own logs, metrics and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Key `log_format`: the format of log lines.
    pub log_format: LogFormat,
    /// Key `log_level`, or `OTEL_LOG_LEVEL`: the least severe level to log.
    pub log_level: LogLevel,
    /// Key `idle_after`: the time without a scrape or an accepted push after which Postmeter reports that it is idle.
    pub idle_after: Duration,
    /// Key `otlp`: exports this telemetry over OTLP.
    pub otlp: Option<TelemetryOtlp>,
    /// The temporality with which `export.otlp` also exports Postmeter's own metrics: if that is enabled, and `otlp` is absent from the
    /// file.
    pub metrics_in_export: Option<Temporality>,
    /// Attributes of Postmeter's own resource, never of a target: `OTEL_RESOURCE_ATTRIBUTES`, and `service.name` from
    /// `OTEL_SERVICE_NAME`. They cannot be set in the file.
    pub resource: Vec<(String, String)>,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`
    Text,
    /// `json`
    Json,
}

/// The least severe level to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `off`
    Off,
    /// `error`
    Error,
    /// `warn`
    Warn,
    /// `info`
    Info,
    /// `debug`
    Debug,
    /// `trace`, which is the same as `debug` in releases.
    Trace,
}

impl LogLevel {
    /// Returns the names of all levels, the most severe first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LEVELS.iter().map(|(name, _)| *name)
    }

    /// Returns the name as the configuration file and `tracing` have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| name)
    }

    /// Returns the level of this name, ignoring case. `none` is off, as in OpenTelemetry.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = if name == "none" { "off" } else { &name };
        LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }
}

/// The values of `log_format`.
pub(super) const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
/// The values of `log_level`.
pub(super) const LEVELS: &[(&str, LogLevel)] = &[
    ("off", LogLevel::Off),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// The gRPC receiver of Postmeter's own telemetry. `OTEL_EXPORTER_OTLP_*` variables supply keys that are absent from the file;
/// `OTEL_EXPORTER_OTLP_METRICS_*` variables are for mail metrics only.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryOtlp {
    /// Key `endpoint`, as in [`Otlp`].
    pub endpoint: String,
    /// Key `interval`, or `OTEL_METRIC_EXPORT_INTERVAL`: the time between two exports of metrics.
    pub interval: Duration,
    /// Key `timeout`, or `OTEL_EXPORTER_OTLP_TIMEOUT`: the longest duration of a request.
    pub timeout: Duration,
    /// Key `compression`, or `OTEL_EXPORTER_OTLP_COMPRESSION`: the compression of requests.
    pub compression: Compression,
    /// Key `headers`, or `OTEL_EXPORTER_OTLP_HEADERS`: headers to send with each request.
    pub headers: Vec<(String, Secret)>,
    /// Key `tls`, as in [`Otlp`].
    pub tls: Tls,
    /// Key `traces`: exports traces of polls and exports.
    pub traces: bool,
    /// Key `metrics`: exports Postmeter's own metrics.
    pub metrics: bool,
    /// Key `logs`: exports Postmeter's own log.
    pub logs: bool,
}

impl Telemetry {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = decoder.map_or_empty(item, TELEMETRY);
        let log_format = map.choice_or_default(decoder, "log_format", FORMATS);
        let log_level = match map.take("log_level") {
            Some(item) => decoder.choice(&item, LEVELS),
            None => decoder.otel_variable("OTEL_LOG_LEVEL").and_then(|variable| {
                let level = LogLevel::by_name(&variable.value);
                decoder.ok_or_ignore(&variable, level.ok_or_else(|| format!("unknown level {:?}", variable.value)))
            }),
        };
        let log_level = log_level.unwrap_or_else(|| map.default_choice("log_level", LEVELS));
        let idle_after = map.duration_or_default(decoder, "idle_after");
        let otlp = map.take("otlp");
        decoder.finish(map);
        let is_enabled = decoder.is_enabled(otlp.as_ref(), false);
        let otlp = is_enabled.then(|| TelemetryOtlp::decode(decoder, otlp.as_ref().filter(|item| !is_true(item))));
        Self { log_format, log_level, idle_after, otlp, metrics_in_export: None, resource: resource(decoder) }
    }
}

impl TelemetryOtlp {
    fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = decoder.map_or_empty(item, TELEMETRY_OTLP);
        let protocol = decoder.otel_variable("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|variable| variable.value != "grpc");
        if let Some(variable) = protocol.filter(|_| !map.has_own("endpoint")) {
            let message = "does not apply to telemetry.otlp, which always uses gRPC; set its endpoint in the file";
            decoder.warn(&Location::variable(&variable.name), message);
        }
        sdk_variables::check(decoder);
        let shared = Otlp::decode_shared(decoder, &mut map, Signal::SelfTelemetry, Protocol::Grpc);
        let traces = map.flag_or_default(decoder, "traces");
        let metrics = map.flag_or_default(decoder, "metrics");
        let logs = map.flag_or_default(decoder, "logs");
        decoder.finish(map);
        let Otlp { endpoint, interval, timeout, compression, headers, tls, .. } = shared;
        // The variable may be meant for mail metrics, too.
        let compression = compression.min(Compression::Gzip);
        Self { endpoint, interval, timeout, compression, headers, tls, traces, metrics, logs }
    }
}

/// Returns the attributes of Postmeter's own resource.
fn resource(decoder: &mut Decoder<'_>) -> Vec<(String, String)> {
    let attributes = decoder.otel_variable("OTEL_RESOURCE_ATTRIBUTES");
    let mut resource = Vec::new();
    if let Some(variable) = attributes {
        for (key, value) in decoder.ok_or_ignore(&variable, otel::pairs(&variable.value)).unwrap_or_default() {
            if is_translatable(key.as_bytes()) && !is_metric_name_label(&key) {
                resource.push((key, value));
            } else {
                let message = format!("Prometheus does not accept the attribute {key:?}; it is ignored");
                decoder.warn(&Location::variable(&variable.name), message);
            }
        }
    }
    let service_name = decoder.otel_variable("OTEL_SERVICE_NAME").map(|variable| variable.value);
    if let Some(name) = service_name {
        resource.retain(|(key, _)| key != "service.name");
        resource.push(("service.name".to_owned(), name));
    } else if !resource.iter().any(|(key, _)| key == "service.name") {
        resource.push(("service.name".to_owned(), SERVICE_NAME_DEFAULT.to_owned()));
    }
    resource
}
