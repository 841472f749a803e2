//! Encodes the metrics of a collection as `ExportMetricsServiceRequest`s.
//!
//! # One request at a time
//!
//! A million native series are a hundred megabytes of OTLP, so the requests of a collection are encoded lazily: each one when the previous
//! one is queued.

use super::native_metrics::{NativeCursor, RequestFull};
use super::request_writer::MetricsRequestWriter;
use super::split::{metric_points, split_points};
use super::wire;
use crate::config::Compression;
use crate::export::queue::request_exporter::{EncodedRequest, ExportRequest};
use crate::export::request_body::RequestBody;
use crate::model::registry::SCHEMA_URL;
use crate::report::{NativeReport, Report, TimestampedSamples};
use crate::telemetry::{Identity, SERVER_PORT};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::borrow::Cow;

/// The default size limit of a request.
pub const REQUEST_BYTES_MAX: usize = crate::config::REQUEST_BYTES_DEFAULT;
/// The least size of a native series in a request: its times, its value and a short label.
const SERIES_BYTES: usize = 48;
/// The field `resource` of `ResourceMetrics`.
const RESOURCE: u8 = wire::delimited(1);
/// The field `attributes` of `Resource`.
const RESOURCE_ATTRIBUTES: u8 = wire::delimited(1);
/// About the size of an encoded resource.
const RESOURCE_BYTES: usize = 320;
/// The field `schema_url` of `ResourceMetrics`.
const RESOURCE_SCHEMA_URL: u8 = wire::delimited(3);
/// The largest size of the tags and lengths around a `ScopeMetrics` in a request.
const ENVELOPE_BYTES_MAX: usize = 16;

/// The report of one target, with its encoded resource.
#[derive(Debug)]
pub struct TargetMetrics {
    /// The encoded field with the resource.
    resource: Vec<u8>,
    /// The encoded field with the identifying attributes of the resource only, for samples with explicit timestamps.
    identity: Vec<u8>,
    canonical: Vec<ScopeMetrics>,
    canonical_ends: Vec<ScopeMetrics>,
    native: NativeReport,
}

impl TargetMetrics {
    /// The report of a target with this identity.
    #[must_use]
    pub fn new(identity: &Identity, report: Report) -> Self {
        let Report { canonical, canonical_ends, native } = report;
        Self { resource: resource_field(identity), identity: identity_field(identity), canonical, canonical_ends, native }
    }

    /// The number of samples that are omitted because of their explicit timestamps, by reason.
    #[must_use]
    pub fn omitted_samples(&self) -> [(&'static str, u64); 3] {
        let TimestampedSamples { too_old, too_new, out_of_order, .. } = self.native.timestamped;
        [("sample_too_old", too_old), ("sample_too_new", too_new), ("sample_out_of_order", out_of_order)]
    }

    /// Removes the ends of series, for the last push of an instance: its successor may be exporting the same series already.
    #[must_use]
    pub fn without_ends(self) -> Self {
        Self { canonical_ends: Vec::new(), native: self.native.without_ends(), ..self }
    }
}

fn resource_field(identity: &Identity) -> Vec<u8> {
    encoded_resource(identity.attributes())
}

fn identity_field(identity: &Identity) -> Vec<u8> {
    encoded_resource(identity.attributes().filter(|(key, _)| Identity::IN_LABELS.contains(key)))
}

/// Encodes the fields of a `ResourceMetrics` before its scopes, as they are encoded for each push: nearly all attributes are strings, and
/// need no copy.
fn encoded_resource<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut resource = Vec::with_capacity(RESOURCE_BYTES);
    for (key, text) in attributes {
        match port_of(key, text) {
            None => wire::key_value(&mut resource, RESOURCE_ATTRIBUTES, &wire::attribute_name(key.as_bytes()), text.as_bytes()),
            Some(_) => wire::bytes(&mut resource, RESOURCE_ATTRIBUTES, &attribute(key, text).encode_to_vec()),
        }
    }
    let mut field = Vec::with_capacity(RESOURCE_BYTES);
    wire::bytes(&mut field, RESOURCE, &resource);
    wire::bytes(&mut field, RESOURCE_SCHEMA_URL, SCHEMA_URL.as_bytes());
    field
}

/// The resource of a target.
pub(crate) fn resource(identity: &Identity) -> Resource {
    Resource { attributes: identity.attributes().map(|(key, text)| attribute(key, text)).collect(), ..Default::default() }
}

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = port_of(key, text).map_or_else(|| any_value::Value::StringValue(text.to_owned()), any_value::Value::IntValue);
    let key = String::from_utf8_lossy(&wire::attribute_name(key.as_bytes())).into_owned();
    KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// The value of the only resource attribute that the semantic conventions define as an integer.
fn port_of(key: &str, text: &str) -> Option<i64> {
    if key == SERVER_PORT { text.parse().ok() } else { None }
}

/// Encodes the metrics of a collection as requests of at most `bytes_max` bytes each; a single larger point is a request of its own. Each
/// request is encoded when the iterator yields it.
#[must_use]
pub fn requests(all: &[TargetMetrics], bytes_max: usize) -> MetricsRequests<'_> {
    let series: u64 = all.iter().map(|metrics| metrics.native.native.kept).sum();
    let expected_len = usize::try_from(series).unwrap_or(bytes_max).saturating_mul(SERIES_BYTES).min(bytes_max);
    MetricsRequests { targets: all.iter(), current: None, bytes_max, expected_len }
}

/// The requests of a collection.
#[derive(Debug)]
pub struct MetricsRequests<'a> {
    targets: std::slice::Iter<'a, TargetMetrics>,
    current: Option<TargetCursor<'a>>,
    bytes_max: usize,
    /// The length that the next request is likely to have: that of the previous one.
    expected_len: usize,
}

/// The position in the metrics of a target.
#[derive(Debug)]
struct TargetCursor<'a> {
    resource: &'a [u8],
    identity: &'a [u8],
    /// The remaining canonical metrics, in reverse order.
    canonical: Vec<Cow<'a, ScopeMetrics>>,
    /// The remaining end markers of canonical metrics, in reverse order.
    canonical_ends: Vec<Cow<'a, ScopeMetrics>>,
    native: NativeCursor<'a>,
}

impl<'a> MetricsRequests<'a> {
    /// Compresses the requests. All of them are encoded in the same buffer.
    pub(crate) fn compressed(self, compression: Compression) -> CompressedRequests<'a> {
        CompressedRequests { requests: self, compression, buffer: Vec::new() }
    }

    /// Encodes the next request in this buffer.
    fn next_in(&mut self, mut buffer: Vec<u8>) -> Option<MetricsRequestWriter> {
        buffer.clear();
        buffer.reserve_exact(self.expected_len);
        let mut writer = MetricsRequestWriter::new(buffer, self.bytes_max);
        loop {
            if self.current.is_none() {
                self.current = self.targets.next().map(|metrics| TargetCursor::new(metrics, self.bytes_max));
            }
            let Some(target) = &mut self.current else { break };
            let written = target.write(&mut writer);
            writer.end_resource();
            match written {
                Ok(()) => self.current = None,
                Err(RequestFull) => break,
            }
        }
        self.expected_len = writer.bytes.len();
        (writer.points > 0).then_some(writer)
    }
}

impl Iterator for MetricsRequests<'_> {
    type Item = EncodedRequest;

    fn next(&mut self) -> Option<EncodedRequest> {
        let MetricsRequestWriter { bytes, points, .. } = self.next_in(Vec::new())?;
        Some(EncodedRequest { bytes: bytes.into(), points })
    }
}

/// The compressed requests of a collection.
#[derive(Debug)]
pub(crate) struct CompressedRequests<'a> {
    requests: MetricsRequests<'a>,
    compression: Compression,
    /// The buffer of the last request, if its bytes were compressed.
    buffer: Vec<u8>,
}

impl Iterator for CompressedRequests<'_> {
    type Item = ExportRequest;

    fn next(&mut self) -> Option<ExportRequest> {
        let MetricsRequestWriter { bytes, points, .. } = self.requests.next_in(std::mem::take(&mut self.buffer))?;
        let body = match RequestBody::compressed_copy(&bytes, self.compression) {
            Some(body) => {
                self.buffer = bytes;
                body
            }
            None => RequestBody::uncompressed(bytes.into()),
        };
        Some(ExportRequest { body, points })
    }
}

impl<'a> TargetCursor<'a> {
    fn new(metrics: &'a TargetMetrics, bytes_max: usize) -> Self {
        let scope_bytes_max = bytes_max.saturating_sub(metrics.resource.len() + ENVELOPE_BYTES_MAX);
        let reversed = |scopes: &'a [ScopeMetrics]| {
            let mut parts = Vec::new();
            for scope in scopes.iter().filter(|scope| !scope.metrics.is_empty()) {
                split_scope(Cow::Borrowed(scope), scope_bytes_max, &mut parts);
            }
            parts.reverse();
            parts
        };
        let (canonical, canonical_ends) = (reversed(&metrics.canonical), reversed(&metrics.canonical_ends));
        let native = NativeCursor::new(&metrics.native);
        Self { resource: &metrics.resource, identity: &metrics.identity, canonical, canonical_ends, native }
    }

    /// Writes all end markers, then all points. The end markers are earlier: a receiver would reject a sample that is older than the last
    /// one of its series, also of `target_info`, which Prometheus derives from all of them.
    fn write(&mut self, writer: &mut MetricsRequestWriter) -> Result<(), RequestFull> {
        write_scopes(&mut self.canonical_ends, writer, self.resource)?;
        self.native.write_ends(writer, self.resource)?;
        write_scopes(&mut self.canonical, writer, self.resource)?;
        self.native.write(writer, self.resource, self.identity)
    }
}

fn write_scopes(scopes: &mut Vec<Cow<'_, ScopeMetrics>>, writer: &mut MetricsRequestWriter, resource: &[u8]) -> Result<(), RequestFull> {
    while let Some(scope) = scopes.last() {
        writer.add_scope(resource, &scope.encode_to_vec(), points_in(scope))?;
        scopes.pop();
    }
    Ok(())
}

fn points_in(scope: &ScopeMetrics) -> u64 {
    scope.metrics.iter().map(metric_points).sum::<usize>() as u64
}

/// Returns all metrics as one message, for output as JSON: exactly the content of the requests.
#[must_use]
pub fn message(all: &[TargetMetrics]) -> ExportMetricsServiceRequest {
    let requests = requests(all, usize::MAX).filter_map(|request| ExportMetricsServiceRequest::decode(request.bytes).ok());
    ExportMetricsServiceRequest { resource_metrics: requests.flat_map(|request| request.resource_metrics).collect() }
}

/// Halves a scope that is too large: by its metrics, then by the points of one metric.
fn split_scope<'a>(scope: Cow<'a, ScopeMetrics>, bytes_max: usize, parts: &mut Vec<Cow<'a, ScopeMetrics>>) {
    if scope.encoded_len() <= bytes_max {
        return parts.push(scope);
    }
    let halves = match scope.metrics.as_slice() {
        [] => None,
        [one] => match metric_points(one) / 2 {
            0 => None,
            half => {
                let (first, second) = split_points(one.clone(), half);
                Some((vec![first], vec![second]))
            }
        },
        several => {
            let (first, second) = several.split_at(several.len() / 2);
            Some((first.to_vec(), second.to_vec()))
        }
    };
    match halves {
        Some((first, second)) => {
            for metrics in [first, second] {
                split_scope(Cow::Owned(ScopeMetrics { metrics, ..scope.as_ref().clone() }), bytes_max, parts);
            }
        }
        None => parts.push(scope),
    }
}

#[cfg(test)]
mod tests;
