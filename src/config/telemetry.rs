//! What Postmeter says about itself: `telemetry:`.

use super::decode::{Decoder, Item, KeyPath};
use super::export::is_on;
use super::otel::{self, Signal};
use super::{Compression, Otlp, Secret, Tls};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What Postmeter calls itself, unless `OTEL_SERVICE_NAME` says otherwise.
pub const SERVICE_NAME_DEFAULT: &str = "postmeter";
/// How long nothing scrapes or pushes before that is a condition to report, by default.
pub const IDLE_AFTER_DEFAULT: Duration = Duration::from_secs(300);
/// What it can be set to.
pub(super) const IDLE_AFTER_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// `telemetry:` Postmeter's own logs, metrics and traces. Left out: text logs at level info, nothing by OTLP.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// `log_format:` `text` or `json`. Left out: text.
    pub log_format: LogFormat,
    /// `log_level:` `off`, `error`, `warn`, `info`, `debug` or `trace`. Left out: `OTEL_LOG_LEVEL`, or else info.
    pub log_level: LogLevel,
    /// `idle_after:` how long nothing may scrape, and no push be accepted, before Postmeter reports that it is idle. Left out: 5m.
    pub idle_after: Duration,
    /// `otlp:` sends its own telemetry; `otlp: {}` with every default. Left out: it is not sent.
    pub otlp: Option<TelemetryOtlp>,
    /// Attributes of Postmeter's own resource, never of a target: `OTEL_RESOURCE_ATTRIBUTES`, and `service.name` by
    /// `OTEL_SERVICE_NAME`, or else `postmeter`. Not in the file.
    pub resource: Vec<(String, String)>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`
    Text,
    /// `json`
    Json,
}

/// Which log lines there are.
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
    /// `trace`
    Trace,
}

impl LogLevel {
    /// As in the file, and as `tracing` reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| name)
    }

    /// The level of this name, in whatever case; `none` is off, as OpenTelemetry has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = if name == "none" { "off" } else { &name };
        LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }
}

pub(super) const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
pub(super) const LEVELS: &[(&str, LogLevel)] = &[
    ("off", LogLevel::Off),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// `telemetry.otlp:` where Postmeter's own telemetry goes, by gRPC. What the file leaves out is filled by
/// `OTEL_EXPORTER_OTLP_*` (not by the variables for metrics, which are for the mail metrics).
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryOtlp {
    /// `endpoint:` as in [`Otlp`]. Left out: `OTEL_EXPORTER_OTLP_ENDPOINT`, or else `http://localhost:4317`.
    pub endpoint: String,
    /// `interval:` how often metrics are sent. Left out: `OTEL_METRIC_EXPORT_INTERVAL`, or else 60s.
    pub interval: Duration,
    /// `timeout:` how long a request may take. Left out: `OTEL_EXPORTER_OTLP_TIMEOUT`, or else 10s.
    pub timeout: Duration,
    /// `compression:` `none` or `gzip`. Left out: `OTEL_EXPORTER_OTLP_COMPRESSION`, or else none.
    pub compression: Compression,
    /// `headers:` sent with each request. Left out: `OTEL_EXPORTER_OTLP_HEADERS`, or else none.
    pub headers: Vec<(String, Secret)>,
    /// `tls:` Left out: as in [`Otlp`].
    pub tls: Tls,
    /// `traces:` whether polls and exports are traced. Left out: true.
    pub traces: bool,
    /// `metrics:` whether its own metrics are sent. Left out: true.
    pub metrics: bool,
    /// `logs:` whether its log is sent. Left out: true.
    pub logs: bool,
}

impl Telemetry {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item)).unwrap_or_default();
        let log_format = map.take("log_format").and_then(|item| decoder.choice(&item, FORMATS));
        let log_level = match map.take("log_level") {
            Some(item) => decoder.choice(&item, LEVELS),
            None => decoder.otel("OTEL_LOG_LEVEL").and_then(|variable| {
                let level = LogLevel::by_name(&variable.value);
                decoder.understood(&variable, level.ok_or_else(|| format!("unknown level {:?}", variable.value)))
            }),
        };
        let idle_after = map.take("idle_after").and_then(|item| decoder.duration(&item, &IDLE_AFTER_RANGE));
        let otlp = map.take("otlp");
        decoder.finish(map);
        Self {
            log_format: log_format.unwrap_or(LogFormat::Text),
            log_level: log_level.unwrap_or(LogLevel::Info),
            idle_after: idle_after.unwrap_or(IDLE_AFTER_DEFAULT),
            otlp: is_on(decoder, otlp.as_ref(), false).then(|| TelemetryOtlp::decode(decoder, otlp.as_ref())),
            resource: resource(decoder),
        }
    }
}

impl TelemetryOtlp {
    fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item)).unwrap_or_default();
        let said = decoder.otel("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|variable| variable.value != "grpc");
        if let Some(variable) = said.filter(|_| !map.has_own("endpoint")) {
            let message = "does not apply to telemetry.otlp, which is always gRPC: set its endpoint in the file";
            decoder.warn(&KeyPath::variable(&variable.name), message);
        }
        let Otlp { endpoint, protocol: _, interval, timeout, compression, max_request_bytes: _, headers, tls, temporality: _, queue: _ } =
            Otlp::decode_keys(decoder, &mut map, Signal::SelfTelemetry);
        let mut flag = |key| map.take(key).and_then(|item| decoder.flag(&item)).unwrap_or(true);
        let (traces, metrics, logs) = (flag("traces"), flag("metrics"), flag("logs"));
        decoder.finish(map);
        Self { endpoint, interval, timeout, compression, headers, tls, traces, metrics, logs }
    }
}

fn resource(decoder: &mut Decoder<'_>) -> Vec<(String, String)> {
    let attributes = decoder.otel("OTEL_RESOURCE_ATTRIBUTES");
    let mut resource = attributes.and_then(|variable| decoder.understood(&variable, otel::pairs(&variable.value))).unwrap_or_default();
    let said = decoder.otel("OTEL_SERVICE_NAME").map(|variable| variable.value);
    if let Some(name) = said {
        resource.retain(|(key, _)| key != "service.name");
        resource.push(("service.name".to_owned(), name));
    } else if !resource.iter().any(|(key, _)| key == "service.name") {
        resource.push(("service.name".to_owned(), SERVICE_NAME_DEFAULT.to_owned()));
    }
    resource
}
