//! Writes the points of native series: numbers, histograms, summaries, and the ends of series.

use super::metric_header::MetricHeader;
use super::native_metrics::{NATIVE_SCOPE, RequestFull};
use super::request_writer::{EncodedScope, MetricsRequestWriter};
use super::wire::{
    FIXED_LEN, bytes, delimited, double, eight_bytes, field_len, fixed64, key_value, labels, labels_len, length, length_len, varint,
};
use crate::model::{FamilyType, Histogram, SampleRef, Scope, Summary, Value};
use crate::report::{UnixNanos, buckets, count, on_common_bounds, sum};
use opentelemetry_proto::tonic::metrics::v1::DataPointFlags;

// Fields of `NumberDataPoint`; the other data points have START, TIME, COUNT and SUM in common.
const START: u8 = fixed64(2);
const TIME: u8 = fixed64(3);
const AS_DOUBLE: u8 = fixed64(4);
const COUNT: u8 = fixed64(4);
const SUM: u8 = fixed64(5);
/// The field `data_points` of `Gauge`, `Sum`, `Histogram` and `Summary`.
const DATA_POINTS: u8 = delimited(1);

/// The value and the times of a point.
pub(crate) struct Point<'a> {
    pub value: Value<'a>,
    /// The earlier value that is subtracted, for a delta.
    pub base: Option<Value<'a>>,
    pub start: Option<UnixNanos>,
    pub time: UnixNanos,
}

/// The flags of a point.
#[derive(Clone, Copy, Debug)]
enum Flags {
    None,
    /// The series has ended.
    NoRecordedValue,
}

impl Flags {
    /// The encoded length of the field.
    const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::NoRecordedValue => 2,
        }
    }

    fn write(self, to: &mut Vec<u8>, field: u8) {
        match self {
            Self::None => {}
            Self::NoRecordedValue => to.extend_from_slice(&[field, DataPointFlags::NoRecordedValueMask as u8]),
        }
    }
}

/// Writes points of native series to a request.
pub(crate) struct PointWriter<'p, 'a> {
    request: &'p mut MetricsRequestWriter,
    /// The encoded field with the resource.
    resource: &'p [u8],
    /// The scope of the current metrics; `None` is the scope of Postmeter's native metrics.
    scope: Option<&'a Scope>,
    /// The encoded fields of the current `ScopeMetrics` before its metrics.
    scope_fields: Vec<u8>,
}

/// Encodes the fields of a `ScopeMetrics` before its metrics.
fn encoded_scope(scope: Option<&Scope>) -> Vec<u8> {
    const SCOPE: u8 = delimited(1);
    const SCHEMA_URL: u8 = delimited(3);
    const NAME: u8 = delimited(1);
    const VERSION: u8 = delimited(2);
    const ATTRIBUTES: u8 = delimited(3);
    let (mut message, mut fields) = (Vec::new(), Vec::new());
    let (name, version) = scope.map_or((NATIVE_SCOPE, env!("CARGO_PKG_VERSION")), |scope| (scope.name(), scope.version()));
    bytes(&mut message, NAME, name.as_bytes());
    bytes(&mut message, VERSION, version.as_bytes());
    for (key, value) in scope.into_iter().flat_map(Scope::attributes) {
        key_value(&mut message, ATTRIBUTES, key.as_bytes(), value.as_bytes());
    }
    bytes(&mut fields, SCOPE, &message);
    if let Some(url) = scope.map(Scope::schema_url).filter(|url| !url.is_empty()) {
        bytes(&mut fields, SCHEMA_URL, url.as_bytes());
    }
    fields
}

impl<'p, 'a> PointWriter<'p, 'a> {
    pub(crate) fn new(request: &'p mut MetricsRequestWriter, resource: &'p [u8]) -> Self {
        Self { request, resource, scope: None, scope_fields: encoded_scope(None) }
    }

    /// Sets the scope of the next metrics.
    pub(crate) fn set_scope(&mut self, scope: Option<&'a Scope>) {
        if scope != self.scope {
            self.request.end_scope();
            (self.scope, self.scope_fields) = (scope, encoded_scope(scope));
        }
    }

    pub(crate) fn end_metric(&mut self) {
        self.request.end_metric();
    }

    /// Writes a point. NaN and values that do not match the type of the family are omitted.
    pub(crate) fn write_point(&mut self, header: &MetricHeader<'_>, sample: &SampleRef<'_>, point: &Point<'_>) -> Result<(), RequestFull> {
        use FamilyType::{Counter, Gauge, Info, StateSet, Unknown};
        match (header.family.kind(), point.value) {
            (Counter | Gauge | Info | StateSet | Unknown, Value::Number(number)) => {
                let number = match point.base {
                    Some(Value::Number(base)) => number - base,
                    _ => number,
                };
                if number.is_nan() { Ok(()) } else { self.write_number(header, sample, point, number) }
            }
            (FamilyType::Histogram, Value::Histogram(histogram)) => self.write_histogram(header, sample, point, histogram, Flags::None),
            (FamilyType::Summary, Value::Summary(summary)) => self.write_summary(header, sample, point, summary, Flags::None),
            _ => Ok(()),
        }
    }

    #[inline]
    fn write_number(
        &mut self,
        header: &MetricHeader<'_>,
        sample: &SampleRef<'_>,
        point: &Point<'_>,
        number: f64,
    ) -> Result<(), RequestFull> {
        const EXEMPLARS: u8 = delimited(5);
        const ATTRIBUTES: u8 = delimited(7);
        let exemplars = header.exemplars(EXEMPLARS, sample, point);
        let len = labels_len(sample, header.is_scoped) + times_len(point.start) + FIXED_LEN + exemplars.len();
        let to = self.start_point(header, len)?;
        write_times(to, point.start, point.time);
        double(to, AS_DOUBLE, number);
        to.extend_from_slice(&exemplars);
        labels(to, ATTRIBUTES, sample, header.is_scoped);
        Ok(())
    }

    fn write_histogram(
        &mut self,
        header: &MetricHeader<'_>,
        sample: &SampleRef<'_>,
        point: &Point<'_>,
        now: &Histogram,
        flags: Flags,
    ) -> Result<(), RequestFull> {
        const BUCKET_COUNTS: u8 = delimited(6);
        const EXPLICIT_BOUNDS: u8 = delimited(7);
        const EXEMPLARS: u8 = delimited(8);
        const ATTRIBUTES: u8 = delimited(9);
        const FLAGS: u8 = varint(10);
        let base = match point.base {
            Some(Value::Histogram(base)) => Some(base),
            _ => None,
        };
        let (now, base) = &on_common_bounds(now, base);
        let base = base.as_deref();
        let sum = sum(now, base);
        let (bounds_len, counts_len) = (now.bounds.len() * 8, now.cumulative.len() * 8 + 8);
        let numbers_len = FIXED_LEN + if sum.is_some() { FIXED_LEN } else { 0 };
        let exemplars = header.exemplars(EXEMPLARS, sample, point);
        let fields_len = numbers_len + field_len(bounds_len) + field_len(counts_len) + exemplars.len() + flags.len();
        let to = self.start_point(header, labels_len(sample, header.is_scoped) + times_len(point.start) + fields_len)?;
        write_times(to, point.start, point.time);
        eight_bytes(to, COUNT, count(now, base));
        if let Some(sum) = sum {
            double(to, SUM, sum);
        }
        to.push(BUCKET_COUNTS);
        length(to, counts_len);
        to.extend(buckets(now, base).flat_map(u64::to_le_bytes));
        to.push(EXPLICIT_BOUNDS);
        length(to, bounds_len);
        to.extend(now.bounds.iter().flat_map(|bound| bound.to_le_bytes()));
        to.extend_from_slice(&exemplars);
        flags.write(to, FLAGS);
        labels(to, ATTRIBUTES, sample, header.is_scoped);
        Ok(())
    }

    fn write_summary(
        &mut self,
        header: &MetricHeader<'_>,
        sample: &SampleRef<'_>,
        point: &Point<'_>,
        summary: &Summary,
        flags: Flags,
    ) -> Result<(), RequestFull> {
        const QUANTILE_VALUES: u8 = delimited(6);
        const ATTRIBUTES: u8 = delimited(7);
        const FLAGS: u8 = varint(8);
        const QUANTILE: u8 = fixed64(1);
        const VALUE: u8 = fixed64(2);
        let quantiles_len = summary.quantiles.len() * field_len(2 * FIXED_LEN);
        let numbers_len = times_len(point.start) + 2 * FIXED_LEN;
        let to = self.start_point(header, labels_len(sample, header.is_scoped) + numbers_len + quantiles_len + flags.len())?;
        write_times(to, point.start, point.time);
        eight_bytes(to, COUNT, summary.count.unwrap_or(0));
        // The field is not optional: a sum that is not known would be 0 without a value.
        double(to, SUM, summary.sum.unwrap_or(f64::NAN));
        for (quantile, value) in &summary.quantiles {
            to.extend_from_slice(&[QUANTILE_VALUES, 2 * FIXED_LEN as u8]);
            double(to, QUANTILE, *quantile);
            double(to, VALUE, *value);
        }
        flags.write(to, FLAGS);
        labels(to, ATTRIBUTES, sample, header.is_scoped);
        Ok(())
    }

    /// Writes the end of a series: a point with the flag `NoRecordedValue`. It has the bounds or quantiles of the last point and zeros,
    /// because Prometheus ends only the series of those that it contains.
    pub(crate) fn write_end(&mut self, header: &MetricHeader<'_>, sample: &SampleRef<'_>, time: UnixNanos) -> Result<(), RequestFull> {
        const ATTRIBUTES: u8 = delimited(7);
        const FLAGS: u8 = varint(8);
        let flags = Flags::NoRecordedValue;
        match sample.value() {
            value @ Value::Histogram(Histogram { bounds, cumulative, sum, .. }) => {
                let (cumulative, sum) = (vec![0; cumulative.len()], sum.map(|_| 0.0));
                let zeros = Histogram { bounds: bounds.clone(), cumulative, sum, count: 0 };
                self.write_histogram(header, sample, &Point { value, base: None, start: None, time }, &zeros, flags)
            }
            value @ Value::Summary(Summary { quantiles, .. }) => {
                let quantiles = quantiles.iter().map(|(quantile, _)| (*quantile, 0.0)).collect();
                let summary = Summary { quantiles, sum: Some(0.0), count: None };
                self.write_summary(header, sample, &Point { value, base: None, start: None, time }, &summary, flags)
            }
            Value::Number(_) => {
                let to = self.start_point(header, labels_len(sample, header.is_scoped) + FIXED_LEN + flags.len())?;
                write_times(to, None, time);
                flags.write(to, FLAGS);
                labels(to, ATTRIBUTES, sample, header.is_scoped);
                Ok(())
            }
        }
    }

    /// Starts a point of this length, and its metric if necessary.
    #[inline]
    fn start_point(&mut self, header: &MetricHeader<'_>, len: usize) -> Result<&mut Vec<u8>, RequestFull> {
        let point_len = 1 + length_len(len) + len;
        if !self.request.has_metric() {
            let scope = EncodedScope { resource: self.resource, fields: &self.scope_fields };
            self.request.start_metric(&scope, header.data_field(), point_len, |to| header.write(to), |to| header.write_data_fields(to))?;
        } else if !self.request.has_space(point_len) {
            return Err(RequestFull);
        }
        self.request.points += 1;
        let to = &mut self.request.bytes;
        to.reserve(point_len);
        to.push(DATA_POINTS);
        length(to, len);
        Ok(to)
    }
}

const fn times_len(start: Option<UnixNanos>) -> usize {
    if start.is_some() { 2 * FIXED_LEN } else { FIXED_LEN }
}

#[inline]
fn write_times(to: &mut Vec<u8>, start: Option<UnixNanos>, time: UnixNanos) {
    let mut times = [0; 2 * FIXED_LEN];
    times[FIXED_LEN] = TIME;
    times[FIXED_LEN + 1..].copy_from_slice(&time.get().to_le_bytes());
    let Some(start) = start else { return to.extend_from_slice(&times[FIXED_LEN..]) };
    times[0] = START;
    times[1..FIXED_LEN].copy_from_slice(&start.get().to_le_bytes());
    to.extend_from_slice(&times);
}
