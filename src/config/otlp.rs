//! The receiver of an OTLP push: `export.otlp:`, and most of `telemetry.otlp:`.

mod endpoint;

use super::decode::{Decoder, find_choice};
use super::map::{Item, Location, Map};
use super::otel::{self, Signal, from_variable};
use super::request::headers;
use super::schema::OTLP;
use super::{Queue, Secret, Tls, tls};
use crate::net::masked_url;
use endpoint::METRICS_PATH;
use std::time::Duration;

/// The default of `interval`, as OpenTelemetry specifies it.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The default of `timeout`, as OpenTelemetry specifies it.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The default of `max_request_bytes`: gRPC receivers accept 4 MiB by default, which includes the frame of the message.
pub const REQUEST_BYTES_DEFAULT: usize = 4 * 1024 * 1024 - 64 * 1024;
/// The path of logs.
const LOGS_PATH: &str = "/v1/logs";

/// The receiver of an OTLP push.
///
/// `OTEL_EXPORTER_OTLP_METRICS_*` variables, and then `OTEL_EXPORTER_OTLP_*` variables, supply keys that are absent from the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Key `endpoint`: a URL whose scheme determines whether TLS is used. A URL without a scheme is HTTPS or HTTP as
    /// `OTEL_..._INSECURE` determines, and rejected in the file if that is not set. With `http/protobuf`, `/v1/metrics` is appended unless
    /// the path ends in it; `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is used unchanged.
    pub endpoint: String,
    /// Key `protocol`, or `OTEL_..._PROTOCOL`: the transport.
    pub protocol: Protocol,
    /// Key `interval`, or `OTEL_METRIC_EXPORT_INTERVAL`: the time between two pushes.
    pub interval: Duration,
    /// Key `timeout`, or `OTEL_..._TIMEOUT`: the longest duration of a request.
    pub timeout: Duration,
    /// Key `compression`, or `OTEL_..._COMPRESSION`: the compression of requests.
    pub compression: Compression,
    /// Key `max_request_bytes`: the limit of a request before compression. A single point that is larger is sent nevertheless.
    pub max_request_bytes: usize,
    /// Key `headers`, or `OTEL_..._HEADERS`: headers to send with each request.
    pub headers: Vec<(String, Secret)>,
    /// Key `tls`, or `OTEL_..._CERTIFICATE`, `_CLIENT_CERTIFICATE` and `_CLIENT_KEY`: TLS settings.
    pub tls: Tls,
    /// Key `temporality`, or `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`: the temporality of counters and histograms.
    pub temporality: Temporality,
    /// Key `histograms`, or `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`: the form of histograms from delivery records.
    pub histograms: HistogramForm,
    /// Keys `queue`, `retry` and `spool`: the queue of requests that the receiver has not accepted yet.
    pub queue: Queue,
}

/// The temporality of counters and histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// `cumulative`: totals since the start time.
    #[default]
    Cumulative,
    /// `delta`: changes since the last reading that was sent.
    Delta,
    /// `lowmemory`: delta for histograms and cumulative for counters. OpenTelemetry specifies delta for synchronous counters too, but all
    /// counters of mail servers are asynchronous.
    LowMemory,
}

/// The form of the histograms that are counted from delivery records. Those of mail servers have the buckets of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramForm {
    /// `explicit`: buckets with fixed bounds.
    #[default]
    Explicit,
    /// `exponential`: buckets whose bounds are powers of one base, which adapts to the values.
    Exponential,
}

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    HttpProtobuf,
}

/// The compression of requests. One that fewer receivers support is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// `none`
    None,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

impl Compression {
    /// The name in the header of a compressed request; `None` without compression.
    #[must_use]
    pub const fn coding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The values of `protocol`.
pub(super) const PROTOCOLS: &[(&str, Protocol)] = &[("grpc", Protocol::Grpc), ("http/protobuf", Protocol::HttpProtobuf)];
/// The values of `temporality`.
pub(super) const TEMPORALITIES: &[(&str, Temporality)] =
    &[("cumulative", Temporality::Cumulative), ("delta", Temporality::Delta), ("lowmemory", Temporality::LowMemory)];
/// The values of `histograms`.
pub(super) const HISTOGRAM_FORMS: &[(&str, HistogramForm)] =
    &[("explicit", HistogramForm::Explicit), ("exponential", HistogramForm::Exponential)];
/// The values of `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`.
const HISTOGRAM_AGGREGATIONS: &[(&str, HistogramForm)] =
    &[("explicit_bucket_histogram", HistogramForm::Explicit), ("base2_exponential_bucket_histogram", HistogramForm::Exponential)];
/// The values of `compression`.
pub(super) const COMPRESSIONS: &[(&str, Compression)] =
    &[("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
/// The values of `compression` for Postmeter's own telemetry, which the SDK's exporters send.
pub(super) const TELEMETRY_COMPRESSIONS: &[(&str, Compression)] = COMPRESSIONS.split_at(2).0;

impl Otlp {
    /// A gRPC receiver with default settings.
    #[must_use]
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol: Protocol::Grpc,
            interval: INTERVAL_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            compression: Compression::Gzip,
            max_request_bytes: REQUEST_BYTES_DEFAULT,
            headers: Vec::new(),
            tls: Tls::default(),
            temporality: Temporality::Cumulative,
            histograms: HistogramForm::Explicit,
            queue: Queue::default(),
        }
    }

    /// Returns the endpoint for logs and messages, without secrets.
    #[must_use]
    pub fn receiver(&self) -> String {
        masked_url(&self.endpoint)
    }

    /// Returns the endpoint of delivery records for logs and messages. `None` if it cannot be derived from the endpoint of metrics.
    #[must_use]
    pub fn logs_receiver(&self) -> Option<String> {
        match self.protocol {
            Protocol::Grpc => Some(self.receiver()),
            Protocol::HttpProtobuf => self.logs_endpoint().map(|endpoint| masked_url(&endpoint)),
        }
    }

    /// Returns the HTTP endpoint of delivery records: `/v1/logs` in place of `/v1/metrics`. `None` if the endpoint of metrics has another
    /// path.
    #[must_use]
    pub fn logs_endpoint(&self) -> Option<String> {
        let (base, query) = self.endpoint.split_at(self.endpoint.find('?').unwrap_or(self.endpoint.len()));
        Some(format!("{}{LOGS_PATH}{query}", base.strip_suffix(METRICS_PATH)?))
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = decoder.map_or_empty(item, OTLP);
        let protocol = decode_protocol(decoder, &mut map);
        let shared = Self::decode_shared(decoder, &mut map, Signal::Mail, protocol);
        let max_request_bytes = map.bytes_or_default(decoder, "max_request_bytes");
        let temporality = decode_temporality(decoder, &mut map);
        let histograms = decode_histograms(decoder, &mut map);
        let queue = Queue::decode_keys(decoder, &mut map);
        decoder.finish(map);
        Self { max_request_bytes, temporality, histograms, queue, ..shared }
    }

    /// Decodes the keys that both exporters have; the other fields have their defaults.
    pub(super) fn decode_shared(decoder: &mut Decoder<'_>, map: &mut Map<'_>, signal: Signal, protocol: Protocol) -> Self {
        let endpoint = endpoint::decode(decoder, map, protocol, signal);
        Self {
            protocol,
            interval: decode_duration(decoder, map, "interval", |d| d.otel_variable("OTEL_METRIC_EXPORT_INTERVAL")),
            timeout: decode_duration(decoder, map, "timeout", |d| d.otlp_variable(signal, "TIMEOUT")),
            compression: match map.take("compression") {
                Some(item) => decoder.choice(&item, if signal == Signal::Mail { COMPRESSIONS } else { TELEMETRY_COMPRESSIONS }),
                None => from_variable(decoder, |d| d.otlp_variable(signal, "COMPRESSION"), |value| find_choice(value, COMPRESSIONS)),
            }
            .unwrap_or_else(|| map.default_choice("compression", COMPRESSIONS)),
            headers: match map.take("headers") {
                Some(item) => headers(decoder, &item),
                None => from_variable(decoder, |d| d.otlp_variable(signal, "HEADERS"), otel::headers).unwrap_or_default(),
            },
            tls: decode_tls(decoder, map, signal, protocol),
            ..Self::to(endpoint)
        }
    }
}

fn decode_duration(
    decoder: &mut Decoder<'_>,
    map: &mut Map<'_>,
    key: &str,
    find: impl FnOnce(&mut Decoder<'_>) -> Option<otel::Variable>,
) -> Duration {
    let limits = map.duration_limits(key);
    let duration = match map.take(key) {
        Some(item) => decoder.duration(&item, limits),
        None => from_variable(decoder, find, |value| otel::milliseconds(value, limits)),
    };
    duration.unwrap_or_else(|| map.default_duration(key))
}

fn decode_protocol(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Protocol {
    let found = match map.take("protocol") {
        Some(item) => decoder.choice(&item, PROTOCOLS),
        None => from_variable(decoder, |d| d.otlp_variable(Signal::Mail, "PROTOCOL"), |value| find_choice(value, PROTOCOLS)),
    };
    found.unwrap_or_else(|| map.default_choice("protocol", PROTOCOLS))
}

fn decode_temporality(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Temporality {
    let found = match map.take("temporality") {
        Some(item) => decoder.choice(&item, TEMPORALITIES),
        // The specification declares the values of this variable, but not of the others, to be case-insensitive.
        None => {
            let parse = |value: &str| find_choice(&value.to_ascii_lowercase(), TEMPORALITIES);
            from_variable(decoder, |d| d.otel_variable("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"), parse)
        }
    };
    found.unwrap_or_else(|| map.default_choice("temporality", TEMPORALITIES))
}

fn decode_histograms(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> HistogramForm {
    let found = match map.take("histograms") {
        Some(item) => decoder.choice(&item, HISTOGRAM_FORMS),
        // The specification declares the values of this variable, like those of the temporality, to be case-insensitive.
        None => {
            let parse = |value: &str| find_choice(&value.to_ascii_lowercase(), HISTOGRAM_AGGREGATIONS);
            from_variable(decoder, |d| d.otel_variable("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"), parse)
        }
    };
    found.unwrap_or_else(|| map.default_choice("histograms", HISTOGRAM_FORMS))
}

fn decode_tls(decoder: &mut Decoder<'_>, map: &mut Map<'_>, signal: Signal, protocol: Protocol) -> Tls {
    let item = map.take("tls");
    let mut tls = item.as_ref().map(|item| Tls::decode(decoder, item)).unwrap_or_default();
    if let Some(item) = &item {
        if tls.insecure_skip_verify {
            decoder.report(&item.location, "insecure_skip_verify is not supported for OTLP; name the receiver's authority in ca_file");
        }
        if tls.server_name.is_some() && protocol == Protocol::HttpProtobuf {
            decoder.report(&item.location, "server_name is only supported for protocol grpc; use the certificate's name in the endpoint");
        }
    }
    let certificates = |value: &str| otel::file(value, tls::check_certificates);
    if tls.ca_file.is_none() {
        tls.ca_file = from_variable(decoder, |d| d.otlp_variable(signal, "CERTIFICATE"), certificates);
    }
    if tls.cert_file.is_none() && tls.key_file.is_none() {
        let certificate = from_variable(decoder, |d| d.otlp_variable(signal, "CLIENT_CERTIFICATE"), certificates);
        let key = from_variable(decoder, |d| d.otlp_variable(signal, "CLIENT_KEY"), |value| otel::file(value, tls::check_key));
        match (certificate, key) {
            (Some(certificate), Some(key)) => (tls.cert_file, tls.key_file) = (Some(certificate), Some(key)),
            (None, None) => {}
            _ => {
                let location = Location::variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
                decoder.warn(&location, "requires OTEL_EXPORTER_OTLP_CLIENT_KEY, and vice versa; both are ignored");
            }
        }
    }
    tls
}
