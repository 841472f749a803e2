//! Where and how OTLP is pushed: `export.otlp:`, and most of `telemetry.otlp:`.

use super::decode::{Decoder, Item, KeyPath, Map};
use super::otel::{self, Signal, from, one_of};
use super::request::{headers, http_url};
use super::{Queue, Secret, Tls, tls};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How often mail metrics are pushed, unless said otherwise: OpenTelemetry's default.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The shortest and longest push interval.
pub const INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// How long a push may take, unless said otherwise: OpenTelemetry's default.
pub const OTLP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The shortest and longest timeout of a push.
pub const OTLP_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
/// Bytes of a request, unless said otherwise: a gRPC receiver accepts 4 MiB by default, and the rest is room for the frame.
pub const REQUEST_BYTES_DEFAULT: usize = 4 * 1024 * 1024 - 64 * 1024;
/// The smallest and largest limit of a request.
pub const REQUEST_BYTES_RANGE: RangeInclusive<usize> = 4 * 1024..=64 * 1024 * 1024;
/// Where an OTLP receiver is, unless said otherwise.
pub const GRPC_ENDPOINT_DEFAULT: &str = "http://localhost:4317";
/// The same over HTTP.
pub const HTTP_ENDPOINT_DEFAULT: &str = "http://localhost:4318/v1/metrics";
/// The path of the metrics signal, which an endpoint for all signals does not have.
const METRICS_PATH: &str = "/v1/metrics";
/// That of logs.
const LOGS_PATH: &str = "/v1/logs";

/// `export.otlp:` where and how to push.
///
/// What the file leaves out is filled by `OTEL_EXPORTER_OTLP_METRICS_*`, then `OTEL_EXPORTER_OTLP_*`, then the default.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// `endpoint:` a URL, whose scheme decides whether TLS is used; without a scheme it is https, or http if `OTEL_..._INSECURE`
    /// is true. Over http/protobuf, `/v1/metrics` is appended unless the path ends in it; `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is
    /// used as it is. Left out: `OTEL_..._ENDPOINT`, or else `http://localhost:4317` (gRPC),
    /// `http://localhost:4318/v1/metrics` (HTTP).
    pub endpoint: String,
    /// `protocol:` `grpc` or `http/protobuf`. Left out: `OTEL_..._PROTOCOL`, or else grpc.
    pub protocol: Protocol,
    /// `interval:` how often. Left out: `OTEL_METRIC_EXPORT_INTERVAL`, or else 60s.
    pub interval: Duration,
    /// `timeout:` how long a request may take. Left out: `OTEL_..._TIMEOUT`, or else 10s.
    pub timeout: Duration,
    /// `compression:` `none` or `gzip`. Left out: `OTEL_..._COMPRESSION`, or else gzip.
    pub compression: Compression,
    /// `max_request_bytes:` bytes of a request before compression, also as `200KiB`; a single point that is larger is sent as it
    /// is. Left out: 4 MiB less 64 KiB.
    pub max_request_bytes: usize,
    /// `headers:` sent with each request. Left out: `OTEL_..._HEADERS`, or else none.
    pub headers: Vec<(String, Secret)>,
    /// `tls:` Left out: `OTEL_..._CERTIFICATE`, `_CLIENT_CERTIFICATE` and `_CLIENT_KEY`, or else the system's authorities.
    pub tls: Tls,
    /// `temporality:` `cumulative`, `delta` or `lowmemory`. Left out: `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, or else
    /// cumulative.
    pub temporality: Temporality,
    /// `queue:`, `retry:` and `spool:` what waits for a receiver that is away. Left out: 64 MiB in memory, sent again without end.
    pub queue: Queue,
}

/// What counters and histograms say: all that was counted, or what came since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// `cumulative`: all, since their start.
    #[default]
    Cumulative,
    /// `delta`: what came since the last reading that was sent.
    Delta,
    /// `lowmemory`: histograms as delta. Counters too where a program counts by itself, which no mail server's counter is here.
    LowMemory,
}

/// How OTLP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    HttpProtobuf,
}

/// How requests are made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `none`
    None,
    /// `gzip`
    Gzip,
}

pub(super) const PROTOCOLS: &[(&str, Protocol)] = &[("grpc", Protocol::Grpc), ("http/protobuf", Protocol::HttpProtobuf)];

pub(super) const TEMPORALITIES: &[(&str, Temporality)] =
    &[("cumulative", Temporality::Cumulative), ("delta", Temporality::Delta), ("lowmemory", Temporality::LowMemory)];

pub(super) const COMPRESSIONS: &[(&str, Compression)] = &[("none", Compression::None), ("gzip", Compression::Gzip)];

impl Otlp {
    /// Every default, for a receiver over gRPC there.
    #[must_use]
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol: Protocol::Grpc,
            interval: INTERVAL_DEFAULT,
            timeout: OTLP_TIMEOUT_DEFAULT,
            compression: Compression::Gzip,
            max_request_bytes: REQUEST_BYTES_DEFAULT,
            headers: Vec::new(),
            tls: Tls::default(),
            temporality: Temporality::Cumulative,
            queue: Queue::default(),
        }
    }

    /// The endpoint for people: what is behind `?` may be a secret.
    #[must_use]
    pub fn receiver(&self) -> String {
        without_query(&self.endpoint)
    }

    /// The same for logs: by gRPC they have the endpoint of the metrics. `None` where the URL of logs is not known.
    #[must_use]
    pub fn logs_receiver(&self) -> Option<String> {
        match self.protocol {
            Protocol::Grpc => Some(self.receiver()),
            Protocol::HttpProtobuf => self.logs_endpoint().map(|endpoint| without_query(&endpoint)),
        }
    }

    /// Where `/v1/logs` is, by HTTP: beside the metrics. Nothing where their place does not say.
    #[must_use]
    pub fn logs_endpoint(&self) -> Option<String> {
        let (place, query) = self.endpoint.split_at(self.endpoint.find('?').unwrap_or(self.endpoint.len()));
        Some(format!("{}{LOGS_PATH}{query}", place.strip_suffix(METRICS_PATH)?))
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let mut map = item.and_then(|item| decoder.map(item)).unwrap_or_default();
        let otlp = Self::decode_keys(decoder, &mut map, Signal::Mail);
        decoder.finish(map);
        otlp
    }

    /// The keys that both exporters have.
    pub(super) fn decode_keys(decoder: &mut Decoder<'_>, map: &mut Map<'_>, signal: Signal) -> Self {
        let protocol = match signal {
            Signal::Mail => protocol(decoder, map),
            Signal::SelfTelemetry => Protocol::Grpc,
        };
        Self {
            endpoint: endpoint(decoder, map, protocol, signal),
            protocol,
            interval: match map.take("interval") {
                Some(item) => decoder.duration(&item, &INTERVAL_RANGE),
                None => from(decoder, |d| d.otel("OTEL_METRIC_EXPORT_INTERVAL"), |value| otel::milliseconds(value, &INTERVAL_RANGE)),
            }
            .unwrap_or(INTERVAL_DEFAULT),
            timeout: match map.take("timeout") {
                Some(item) => decoder.duration(&item, &OTLP_TIMEOUT_RANGE),
                None => from(decoder, |d| d.otlp(signal, "TIMEOUT"), |value| otel::milliseconds(value, &OTLP_TIMEOUT_RANGE)),
            }
            .unwrap_or(OTLP_TIMEOUT_DEFAULT),
            compression: match map.take("compression") {
                Some(item) => decoder.choice(&item, COMPRESSIONS),
                None => from(decoder, |d| d.otlp(signal, "COMPRESSION"), |value| one_of(value, COMPRESSIONS)),
            }
            .unwrap_or(match signal {
                Signal::Mail => Compression::Gzip,
                Signal::SelfTelemetry => Compression::None,
            }),
            max_request_bytes: match signal {
                Signal::Mail => map.take("max_request_bytes").and_then(|item| decoder.bytes(&item, &REQUEST_BYTES_RANGE)),
                Signal::SelfTelemetry => None,
            }
            .unwrap_or(REQUEST_BYTES_DEFAULT),
            headers: match map.take("headers") {
                Some(item) => headers(decoder, &item),
                None => from(decoder, |d| d.otlp(signal, "HEADERS"), otel::headers).unwrap_or_default(),
            },
            tls: tls_of(decoder, map, signal, protocol),
            temporality: match signal {
                Signal::Mail => temporality(decoder, map),
                Signal::SelfTelemetry => Temporality::Cumulative,
            },
            queue: match signal {
                Signal::Mail => Queue::decode_keys(decoder, map),
                Signal::SelfTelemetry => Queue::default(),
            },
        }
    }
}

/// A URL for people: its query may be a secret.
fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((place, _)) => format!("{place}?***"),
        None => url.to_owned(),
    }
}

fn protocol(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Protocol {
    let found = match map.take("protocol") {
        Some(item) => decoder.choice(&item, PROTOCOLS),
        None => from(decoder, |d| d.otlp(Signal::Mail, "PROTOCOL"), |value| one_of(value, PROTOCOLS)),
    };
    found.unwrap_or(Protocol::Grpc)
}

fn temporality(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Temporality {
    let found = match map.take("temporality") {
        Some(item) => decoder.choice(&item, TEMPORALITIES),
        // The one variable of these whose words the specification takes in any case.
        None => {
            let word = |value: &str| one_of(&value.to_ascii_lowercase(), TEMPORALITIES);
            from(decoder, |d| d.otel("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"), word)
        }
    };
    found.unwrap_or_default()
}

fn endpoint(decoder: &mut Decoder<'_>, map: &mut Map<'_>, protocol: Protocol, signal: Signal) -> String {
    let insecure = from(decoder, |d| d.otlp(signal, "INSECURE"), otel::boolean).unwrap_or(false);
    let http = protocol == Protocol::HttpProtobuf;
    let given = match map.take("endpoint") {
        Some(item) => decoder.word(&item).and_then(|text| {
            let path = if http { Path::OfAllSignals } else { Path::AsIs };
            decoder.noted(&item.place, endpoint_url(&text, insecure, path))
        }),
        None => decoder.otlp(signal, "ENDPOINT").and_then(|variable| {
            let path = if http && !variable.specific { Path::OfAllSignals } else { Path::AsIs };
            decoder.understood(&variable, endpoint_url(&variable.value, insecure, path))
        }),
    };
    given.unwrap_or_else(|| if http { HTTP_ENDPOINT_DEFAULT } else { GRPC_ENDPOINT_DEFAULT }.to_owned())
}

/// What happens to the path of an endpoint.
enum Path {
    /// It stays as it is written: the endpoint of one signal, or gRPC.
    AsIs,
    /// `/v1/metrics` is appended unless the path ends in it: the specification's rule for an endpoint of all signals.
    OfAllSignals,
}

fn endpoint_url(text: &str, insecure: bool, path: Path) -> Result<String, String> {
    let scheme = match () {
        () if text.contains("://") => "",
        () if insecure => "http://",
        () => "https://",
    };
    let text = format!("{scheme}{text}");
    let mut url = http_url(&text, "send them by headers")?;
    let base = url.path().trim_end_matches('/').to_owned();
    match path {
        Path::OfAllSignals if !base.ends_with(METRICS_PATH) => url.set_path(&format!("{base}{METRICS_PATH}")),
        Path::OfAllSignals => url.set_path(&base),
        // As it is written: a URL without a path would get a slash.
        Path::AsIs => return Ok(text),
    }
    Ok(url.to_string())
}

fn tls_of(decoder: &mut Decoder<'_>, map: &mut Map<'_>, signal: Signal, protocol: Protocol) -> Tls {
    let item = map.take("tls");
    let mut tls = item.as_ref().map(|item| Tls::decode(decoder, item)).unwrap_or_default();
    if let Some(item) = &item {
        if tls.insecure_skip_verify {
            decoder.problem(&item.place, "insecure_skip_verify is not for OTLP; name the receiver's authority with ca_file");
        }
        if tls.server_name.is_some() && protocol == Protocol::HttpProtobuf {
            decoder.problem(&item.place, "server_name is for protocol grpc; let the endpoint have the certificate's name");
        }
    }
    if tls.ca_file.is_none() {
        tls.ca_file = from(decoder, |d| d.otlp(signal, "CERTIFICATE"), |value| otel::file(value, tls::certificates));
    }
    if tls.cert_file.is_none() && tls.key_file.is_none() {
        let certificate = from(decoder, |d| d.otlp(signal, "CLIENT_CERTIFICATE"), |value| otel::file(value, tls::certificates));
        let key = from(decoder, |d| d.otlp(signal, "CLIENT_KEY"), |value| otel::file(value, tls::key));
        match (certificate, key) {
            (Some(certificate), Some(key)) => (tls.cert_file, tls.key_file) = (Some(certificate), Some(key)),
            (None, None) => {}
            _ => {
                let place = KeyPath::variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
                decoder.warn(&place, "is of use only together with OTEL_EXPORTER_OTLP_CLIENT_KEY; both are ignored");
            }
        }
    }
    tls
}
