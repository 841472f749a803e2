//! From a collection to the bytes of `ExportMetricsServiceRequest`s.
//!
//! # One request at a time
//!
//! A million native series are a hundred megabytes of OTLP. Each request is written when the one before is sent.

use super::native_metrics::{NativeCursor, RequestFull};
use super::request_writer::MetricsRequestWriter;
use super::wire;
use crate::poll::Reading;
use crate::report::{NativeReport, Report, SeriesState, TimestampedSamples};
use crate::telemetry::{Identity, SERVER_PORT};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{DataPointFlags, Metric, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Bytes of one request, unless configured otherwise.
pub const REQUEST_BYTES_MAX: usize = crate::config::REQUEST_BYTES_DEFAULT;
/// `Resource resource = 1` of `ResourceMetrics`.
const RESOURCE: u8 = wire::delimited(1);
/// Tags and lengths around a `ScopeMetrics` in a request, at most.
const AROUND_BYTES: usize = 16;

/// What one collection of a target says, with the times that are its own.
#[derive(Debug)]
pub struct TargetMetrics {
    /// The Resource as a field, encoded.
    resource: Vec<u8>,
    /// The same with nothing but what identifies the target, for samples that have a time of their own.
    identity: Vec<u8>,
    canonical: Vec<ScopeMetrics>,
    relayed: NativeReport,
}

/// One target's reading as it is told by OTLP: what the SDK collected of it, its histograms, and its native families.
pub fn told(
    canonical: Vec<ScopeMetrics>,
    system: &'static str,
    reading: &Reading,
    identity: &Identity,
    series: &mut SeriesState,
) -> TargetMetrics {
    TargetMetrics::new(identity, series.report(canonical, system, reading))
}

/// The ends of all series of a target that was collected until a reload and is not any more; nothing of it is told again.
pub fn ended(system: &'static str, identity: &Identity, series: &mut SeriesState) -> TargetMetrics {
    TargetMetrics::new(identity, series.end(system))
}

impl TargetMetrics {
    /// The report of a target with this identity.
    fn new(identity: &Identity, report: Report) -> Self {
        let Report { canonical, native } = report;
        Self { resource: resource_field(identity), identity: identity_field(identity), canonical, relayed: native }
    }

    /// Samples that were left out for their explicit timestamps, by why.
    #[must_use]
    pub fn left_out(&self) -> [(&'static str, u64); 3] {
        let TimestampedSamples { too_old, too_new, out_of_order, .. } = self.relayed.timestamped;
        [("sample_too_old", too_old), ("sample_too_new", too_new), ("sample_out_of_order", out_of_order)]
    }

    /// The same without the ends of series: for the last push of an instance, whose successor may be telling them already.
    #[must_use]
    pub fn without_ends(mut self) -> Self {
        let ends = DataPointFlags::NoRecordedValueMask as u32;
        for scope in &mut self.canonical {
            scope.metrics.retain_mut(|metric| match &mut metric.data {
                Some(Data::Gauge(gauge)) => retain(&mut gauge.data_points, |point| point.flags != ends),
                Some(Data::Sum(sum)) => retain(&mut sum.data_points, |point| point.flags != ends),
                Some(Data::Histogram(histogram)) => retain(&mut histogram.data_points, |point| point.flags != ends),
                _ => true,
            });
        }
        Self { relayed: self.relayed.without_ends(), ..self }
    }
}

/// Keeps some, and says whether any are left.
fn retain<T>(points: &mut Vec<T>, keep: impl Fn(&T) -> bool) -> bool {
    points.retain(keep);
    !points.is_empty()
}

pub(crate) fn resource_field(identity: &Identity) -> Vec<u8> {
    let mut field = Vec::new();
    wire::bytes(&mut field, RESOURCE, &resource(identity).encode_to_vec());
    field
}

fn identity_field(identity: &Identity) -> Vec<u8> {
    let mut resource = resource(identity);
    resource.attributes.retain(|attribute| Identity::IN_LABELS.contains(&attribute.key.as_str()));
    let mut field = Vec::new();
    wire::bytes(&mut field, RESOURCE, &resource.encode_to_vec());
    field
}

fn resource(identity: &Identity) -> Resource {
    let attributes = identity.attributes().map(|(key, text)| {
        // The semantic conventions have one attribute of a Resource that is a number.
        let port = (key == SERVER_PORT).then(|| text.parse().ok()).flatten();
        let value = port.map_or_else(|| any_value::Value::StringValue(text.to_owned()), any_value::Value::IntValue);
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    });
    Resource { attributes: attributes.collect(), ..Default::default() }
}

/// An encoded request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `ExportMetricsServiceRequest`.
    pub bytes: Bytes,
    /// How many points are in it.
    pub points: u64,
}

/// Requests that hold all of it, each written when it is asked for, none above `bytes_max` unless a single point is.
#[must_use]
pub fn requests(all: &[TargetMetrics], bytes_max: usize) -> Requests<'_> {
    Requests { targets: all.iter(), current: None, bytes_max, last_len: 0 }
}

/// The requests of a collection.
#[derive(Debug)]
pub struct Requests<'a> {
    targets: std::slice::Iter<'a, TargetMetrics>,
    current: Option<TargetCursor<'a>>,
    bytes_max: usize,
    /// Bytes of the request before: the next is likely to have as many.
    last_len: usize,
}

#[derive(Debug)]
struct TargetCursor<'a> {
    resource: &'a [u8],
    identity: &'a [u8],
    /// What is left of the canonical metrics, last first.
    canonical: Vec<ScopeMetrics>,
    native: NativeCursor<'a>,
}

impl Iterator for Requests<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let mut page = MetricsRequestWriter::new(self.bytes_max);
        page.bytes.reserve(self.last_len);
        loop {
            if self.current.is_none() {
                self.current = self.targets.next().map(|told| TargetCursor::new(told, self.bytes_max));
            }
            let Some(target) = &mut self.current else { break };
            let written = target.write(&mut page);
            page.end_resource();
            match written {
                Ok(()) => self.current = None,
                Err(RequestFull) => break,
            }
        }
        self.last_len = page.bytes.len();
        (page.points > 0).then(|| Request { bytes: page.bytes.into(), points: page.points })
    }
}

impl<'a> TargetCursor<'a> {
    fn new(told: &'a TargetMetrics, bytes_max: usize) -> Self {
        let room = bytes_max.saturating_sub(told.resource.len() + AROUND_BYTES);
        let mut canonical = Vec::new();
        for scope in told.canonical.iter().filter(|scope| !scope.metrics.is_empty()) {
            split(scope.clone(), room, &mut canonical);
        }
        canonical.reverse();
        Self { resource: &told.resource, identity: &told.identity, canonical, native: NativeCursor::new(&told.relayed) }
    }

    fn write(&mut self, page: &mut MetricsRequestWriter) -> Result<(), RequestFull> {
        while let Some(scope) = self.canonical.last() {
            page.add_scope(self.resource, &scope.encode_to_vec(), points_of(scope))?;
            self.canonical.pop();
        }
        self.native.write(page, self.resource, self.identity)
    }
}

fn points_of(scope: &ScopeMetrics) -> u64 {
    let points = scope.metrics.iter().map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    });
    points.sum::<usize>() as u64
}

/// All of it as one message, for output as JSON: exactly what is sent.
#[must_use]
pub fn message(all: &[TargetMetrics]) -> ExportMetricsServiceRequest {
    let requests = requests(all, usize::MAX).filter_map(|request| ExportMetricsServiceRequest::decode(request.bytes).ok());
    ExportMetricsServiceRequest { resource_metrics: requests.flat_map(|request| request.resource_metrics).collect() }
}

/// Halves what is too large: metrics, then points.
fn split(scope: ScopeMetrics, bytes_max: usize, pieces: &mut Vec<ScopeMetrics>) {
    if scope.encoded_len() <= bytes_max {
        return pieces.push(scope);
    }
    let halves = match scope.metrics.as_slice() {
        [] => None,
        [one] => split_points(one).map(|(a, b)| (vec![a], vec![b])),
        several => {
            let (a, b) = several.split_at(several.len() / 2);
            Some((a.to_vec(), b.to_vec()))
        }
    };
    match halves {
        Some((a, b)) => {
            for metrics in [a, b] {
                split(ScopeMetrics { metrics, ..scope.clone() }, bytes_max, pieces);
            }
        }
        None => pieces.push(scope),
    }
}

fn split_points(metric: &Metric) -> Option<(Metric, Metric)> {
    let (mut a, mut b) = (metric.clone(), metric.clone());
    let moved = match (&mut a.data, &mut b.data) {
        (Some(Data::Gauge(a)), Some(Data::Gauge(b))) => cut(&mut a.data_points, &mut b.data_points),
        (Some(Data::Sum(a)), Some(Data::Sum(b))) => cut(&mut a.data_points, &mut b.data_points),
        (Some(Data::Histogram(a)), Some(Data::Histogram(b))) => cut(&mut a.data_points, &mut b.data_points),
        _ => false,
    };
    moved.then_some((a, b))
}

fn cut<T>(a: &mut Vec<T>, b: &mut Vec<T>) -> bool {
    let half = a.len() / 2;
    a.truncate(half);
    b.drain(..half);
    half > 0
}

#[cfg(test)]
mod tests;
