//! Native families as OTLP, written straight from the body that they were read from.
//!
//! As the Prometheus compatibility specification has it: a counter is a cumulative monotonic sum, an info and a stateset are sums that are
//! not monotonic, a family without a type is a gauge, and `prometheus.type` keeps the type. A value that is not a number is left out: a point
//! without a value would be the end of its series.

use super::request_writer::{MetricsRequestWriter, Scope};
use super::wire::{bytes, delimited, field_len, fixed64, key_value, labels, labels_len, length, length_len, varint};
use crate::model::{
    Exemplar, FamilyType, Histogram, SamplePosition, SamplePositions, SampleRef, Scope as InstrumentationScope, SelectedFamily, Summary,
    Value, is_scope_info,
};
use crate::report::{DeltaBase, EndedSamples, NativeReport, UnixNanos, buckets, count, sum};
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags};

/// The scope of what mail servers say in their own words.
pub const NATIVE_SCOPE: &str = "postmeter.native";

/// `NumberDataPoint`, and the fields of the others that are alike.
const START: u8 = fixed64(2);
const TIME: u8 = fixed64(3);
const AS_DOUBLE: u8 = fixed64(4);
const COUNT: u8 = fixed64(4);
const SUM: u8 = fixed64(5);
const DATA_POINTS: u8 = delimited(1);
/// A tag and eight bytes.
const FIXED_LEN: usize = 9;

/// Where in a target's native families the writing is.
#[derive(Debug)]
pub(crate) struct NativeCursor<'a> {
    relayed: &'a NativeReport,
    family: usize,
    places: Option<SamplePositions<'a>>,
    /// The series that did not fit.
    pending: Option<SamplePosition>,
    /// Counts over the series of the families that only rise, and that are told as deltas.
    rising: usize,
    deltas: usize,
    ends: Option<EndedSamples<'a>>,
    pending_end: Option<(usize, SamplePosition)>,
    /// How many of the samples with a time of their own were written.
    timestamped: usize,
}

/// The page is full, and something is left.
#[derive(Debug)]
pub(crate) struct RequestFull;

impl<'a> NativeCursor<'a> {
    pub(crate) fn new(relayed: &'a NativeReport) -> Self {
        let ends = relayed.ended_samples();
        Self { relayed, family: 0, places: None, pending: None, rising: 0, deltas: 0, ends, pending_end: None, timestamped: 0 }
    }

    /// Writes what fits. Samples with a time of their own are written under the `identity`: a resource without other attributes, for
    /// which Prometheus derives no `target_info` from their times.
    pub(crate) fn write(&mut self, page: &mut MetricsRequestWriter, resource: &[u8], identity: &[u8]) -> Result<(), RequestFull> {
        let mut out = PointWriter { page, resource, scope: encoded_scope(None), of: None };
        // First, for what is told next may have the name of what ended, and be something else.
        self.ends(&mut out)?;
        while self.family < self.relayed.native.len() {
            let family = self.relayed.native.family(self.family);
            if !is_scope_info(family.native_name()) {
                out.enter(family.scope());
                self.family(&mut out, &family)?;
            }
            out.page.end_metric();
            (self.family, self.places) = (self.family + 1, None);
        }
        self.timestamped(page, identity)
    }

    fn timestamped(&mut self, page: &mut MetricsRequestWriter, identity: &[u8]) -> Result<(), RequestFull> {
        let samples = &self.relayed.timestamped.samples;
        if self.timestamped == samples.len() {
            return Ok(());
        }
        page.end_resource();
        let mut out = PointWriter { page, resource: identity, scope: encoded_scope(None), of: None };
        let mut last = None;
        while let Some(found) = samples.get(self.timestamped) {
            if last.replace(found.family) != Some(found.family) {
                out.page.end_metric();
            }
            let family = self.relayed.native.family(found.family);
            out.enter(family.scope());
            let header = Header::new(&family, self.relayed.is_delta(family.kind()), self.relayed.native.has_exemplars());
            let sample = self.relayed.native.sample(found.position).filter(|_| !is_scope_info(family.native_name()));
            if let Some(sample) = sample {
                let point = Point { value: sample.value(), before: found.base_value(), start: found.start, time: found.time };
                out.point(&header, &sample, &point)?;
            }
            self.timestamped += 1;
        }
        out.page.end_metric();
        Ok(())
    }

    fn family(&mut self, out: &mut PointWriter<'_, 'a>, family: &SelectedFamily<'a>) -> Result<(), RequestFull> {
        let (kind, relayed) = (family.kind(), self.relayed);
        let rises = matches!(kind, FamilyType::Counter | FamilyType::Histogram);
        let delta = relayed.is_delta(kind);
        let header = Header::new(family, delta, relayed.native.has_exemplars());
        let places = self.places.get_or_insert_with(|| family.positions());
        while let Some(place) = self.pending.take().or_else(|| places.next()) {
            let Some(sample) = relayed.native.sample(place) else { continue };
            let mut point = Point { value: sample.value(), before: None, start: None, time: relayed.time };
            if rises {
                point.start = relayed.starts.get(self.rising).copied().flatten();
            }
            let base = if delta { relayed.delta_base(self.deltas) } else { DeltaBase::Zero };
            if let Some((before, since)) = relayed.base_value(base) {
                (point.before, point.start) = (Some(before), Some(since));
            }
            // One with a time of its own is written behind all others.
            let has_own_time = sample.timestamp().is_some() || relayed.timestamped.is_ahead(family, &sample);
            if base != DeltaBase::Unknown && !has_own_time && out.point(&header, &sample, &point).is_err() {
                self.pending = Some(place);
                return Err(RequestFull);
            }
            self.rising += usize::from(rises);
            self.deltas += usize::from(delta);
        }
        Ok(())
    }

    fn ends(&mut self, out: &mut PointWriter<'_, 'a>) -> Result<(), RequestFull> {
        let Some(ends) = &mut self.ends else { return Ok(()) };
        let native = ends.native();
        let mut last = None;
        while let Some((at, place)) = self.pending_end.take().or_else(|| ends.next()) {
            if last.replace(at) != Some(at) {
                out.page.end_metric();
            }
            let family = native.family(at);
            if is_scope_info(family.native_name()) {
                continue;
            }
            out.enter(family.scope());
            let header = Header::new(&family, self.relayed.is_delta(family.kind()), false);
            let sample = native.sample(place).filter(|sample| !self.relayed.timestamped.is_ahead(&family, sample));
            let Some(sample) = sample else { continue };
            if out.end(&header, &sample, self.relayed.time).is_err() {
                self.pending_end = Some((at, place));
                return Err(RequestFull);
            }
        }
        out.page.end_metric();
        Ok(())
    }
}

/// What a family's message begins with.
struct Header<'a> {
    family: &'a SelectedFamily<'a>,
    delta: bool,
    /// Whether labels of its series describe their scope.
    scoped: bool,
    /// Whether any series of the reading has an exemplar.
    has_exemplars: bool,
}

impl<'a> Header<'a> {
    fn new(family: &'a SelectedFamily<'a>, delta: bool, has_exemplars: bool) -> Self {
        Self { family, delta, scoped: family.scope().is_some(), has_exemplars }
    }

    /// The exemplars of a series, encoded as this field of its point; of a delta those that came since.
    #[inline]
    fn exemplars(&self, field: u8, sample: &SampleRef<'_>, point: &Point<'_>) -> Vec<u8> {
        let mut to = Vec::new();
        if self.has_exemplars {
            let is_new =
                |exemplar: &Exemplar<'_>| !self.delta || exemplar.time() == 0 || exemplar.time() > point.start.map_or(0, UnixNanos::get);
            sample.exemplars().filter(is_new).for_each(|exemplar| write_exemplar(&mut to, field, &exemplar, point.time.get()));
        }
        to
    }

    fn write(&self, to: &mut Vec<u8>) {
        const NAME: u8 = delimited(1);
        const DESCRIPTION: u8 = delimited(2);
        const UNIT: u8 = delimited(3);
        const METADATA: u8 = delimited(12);
        bytes(to, NAME, self.family.name().as_bytes());
        if !self.family.help().is_empty() {
            bytes(to, DESCRIPTION, self.family.help().as_bytes());
        }
        let unit = self.family.unit();
        if !unit.is_empty() {
            bytes(to, UNIT, unit.as_bytes());
        }
        key_value(to, METADATA, b"prometheus.type", prometheus_type(self.family.kind()).as_bytes());
    }

    /// The field of the metric that holds the points.
    fn data(&self) -> u8 {
        match self.family.kind() {
            FamilyType::Gauge | FamilyType::Unknown => delimited(5),
            FamilyType::Counter | FamilyType::Info | FamilyType::StateSet => delimited(7),
            FamilyType::Histogram => delimited(9),
            FamilyType::Summary => delimited(11),
        }
    }

    /// What stands beside the points; in front of them, so that a message can end behind any.
    fn write_data(&self, to: &mut Vec<u8>) {
        const TEMPORALITY: u8 = varint(2);
        const IS_MONOTONIC: u8 = varint(3);
        let temporality = if self.delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
        match self.family.kind() {
            FamilyType::Counter => to.extend_from_slice(&[TEMPORALITY, temporality as u8, IS_MONOTONIC, 1]),
            FamilyType::Histogram => to.extend_from_slice(&[TEMPORALITY, temporality as u8]),
            // Not monotonic.
            FamilyType::Info | FamilyType::StateSet => to.extend_from_slice(&[TEMPORALITY, AggregationTemporality::Cumulative as u8]),
            FamilyType::Gauge | FamilyType::Unknown | FamilyType::Summary => {}
        }
    }
}

/// The value of `prometheus.type`.
const fn prometheus_type(kind: FamilyType) -> &'static str {
    match kind {
        FamilyType::Counter => "counter",
        FamilyType::Gauge => "gauge",
        FamilyType::Histogram => "histogram",
        FamilyType::Summary => "summary",
        FamilyType::Info => "info",
        FamilyType::StateSet => "stateset",
        FamilyType::Unknown => "unknown",
    }
}

/// What is told of a series.
struct Point<'a> {
    value: Value<'a>,
    /// What is taken away from it.
    before: Option<Value<'a>>,
    start: Option<UnixNanos>,
    time: UnixNanos,
}

struct PointWriter<'p, 'a> {
    page: &'p mut MetricsRequestWriter,
    /// The Resource as a field, encoded.
    resource: &'p [u8],
    /// The scope whose metrics are written, and its fields, encoded.
    of: Option<&'a InstrumentationScope>,
    scope: Vec<u8>,
}

/// The fields of a `ScopeMetrics` beside its metrics. Series whose labels name no scope are in Postmeter's.
fn encoded_scope(of: Option<&InstrumentationScope>) -> Vec<u8> {
    const SCOPE: u8 = delimited(1);
    const SCHEMA_URL: u8 = delimited(3);
    const NAME: u8 = delimited(1);
    const VERSION: u8 = delimited(2);
    const ATTRIBUTES: u8 = delimited(3);
    let (mut scope, mut fields) = (Vec::new(), Vec::new());
    let (name, version) = of.map_or((NATIVE_SCOPE, env!("CARGO_PKG_VERSION")), |of| (of.name(), of.version()));
    bytes(&mut scope, NAME, name.as_bytes());
    bytes(&mut scope, VERSION, version.as_bytes());
    for (key, value) in of.into_iter().flat_map(InstrumentationScope::attributes) {
        key_value(&mut scope, ATTRIBUTES, key.as_bytes(), value.as_bytes());
    }
    bytes(&mut fields, SCOPE, &scope);
    if let Some(url) = of.map(InstrumentationScope::schema_url).filter(|url| !url.is_empty()) {
        bytes(&mut fields, SCHEMA_URL, url.as_bytes());
    }
    fields
}

impl<'a> PointWriter<'_, 'a> {
    /// Continues with the metrics of this scope.
    fn enter(&mut self, scope: Option<&'a InstrumentationScope>) {
        if scope != self.of {
            self.page.end_scope();
            (self.of, self.scope) = (scope, encoded_scope(scope));
        }
    }

    fn point(&mut self, header: &Header<'_>, sample: &SampleRef<'_>, point: &Point<'_>) -> Result<(), RequestFull> {
        use FamilyType::{Counter, Gauge, Info, StateSet, Unknown};
        match (header.family.kind(), point.value) {
            (Counter | Gauge | Info | StateSet | Unknown, Value::Number(n)) => {
                let n = match point.before {
                    Some(Value::Number(before)) => n - before,
                    _ => n,
                };
                if n.is_nan() { Ok(()) } else { self.number(header, sample, point, n) }
            }
            (FamilyType::Histogram, Value::Histogram(histogram)) => self.histogram(header, sample, point, histogram),
            (FamilyType::Summary, Value::Summary(summary)) => self.summary(header, sample, point, summary),
            // A value that is not what its family is.
            _ => Ok(()),
        }
    }

    #[inline]
    fn number(&mut self, header: &Header<'_>, sample: &SampleRef<'_>, point: &Point<'_>, n: f64) -> Result<(), RequestFull> {
        const EXEMPLARS: u8 = delimited(5);
        const ATTRIBUTES: u8 = delimited(7);
        let times = if point.start.is_none() { FIXED_LEN } else { 2 * FIXED_LEN };
        let exemplars = header.exemplars(EXEMPLARS, sample, point);
        let len = labels_len(sample, header.scoped) + times + FIXED_LEN + exemplars.len();
        let to = self.begin(header, len)?;
        times_of(to, point.start, point.time);
        let mut value = [AS_DOUBLE; FIXED_LEN];
        value[1..].copy_from_slice(&n.to_le_bytes());
        to.extend_from_slice(&value);
        to.extend_from_slice(&exemplars);
        labels(to, ATTRIBUTES, sample, header.scoped);
        Ok(())
    }

    fn histogram(&mut self, header: &Header<'_>, sample: &SampleRef<'_>, point: &Point<'_>, now: &Histogram) -> Result<(), RequestFull> {
        const BUCKET_COUNTS: u8 = delimited(6);
        const EXPLICIT_BOUNDS: u8 = delimited(7);
        const EXEMPLARS: u8 = delimited(8);
        const ATTRIBUTES: u8 = delimited(9);
        let before = match point.before {
            Some(Value::Histogram(before)) => Some(before),
            _ => None,
        };
        let sum = sum(now, before);
        let times = if point.start.is_none() { FIXED_LEN } else { 2 * FIXED_LEN };
        let (bounds, counts) = (now.bounds.len() * 8, now.cumulative.len() * 8 + 8);
        let numbers = FIXED_LEN + if sum.is_some() { FIXED_LEN } else { 0 };
        let exemplars = header.exemplars(EXEMPLARS, sample, point);
        let len = labels_len(sample, header.scoped) + times + numbers + field_len(bounds) + field_len(counts) + exemplars.len();
        let to = self.begin(header, len)?;
        times_of(to, point.start, point.time);
        to.push(COUNT);
        to.extend_from_slice(&count(now, before).to_le_bytes());
        if let Some(sum) = sum {
            to.push(SUM);
            to.extend_from_slice(&sum.to_le_bytes());
        }
        to.push(BUCKET_COUNTS);
        length(to, counts);
        to.extend(buckets(now, before).flat_map(u64::to_le_bytes));
        to.push(EXPLICIT_BOUNDS);
        length(to, bounds);
        to.extend(now.bounds.iter().flat_map(|bound| bound.to_le_bytes()));
        to.extend_from_slice(&exemplars);
        labels(to, ATTRIBUTES, sample, header.scoped);
        Ok(())
    }

    fn summary(&mut self, header: &Header<'_>, sample: &SampleRef<'_>, point: &Point<'_>, summary: &Summary) -> Result<(), RequestFull> {
        const QUANTILE_VALUES: u8 = delimited(6);
        const ATTRIBUTES: u8 = delimited(7);
        const QUANTILE: u8 = fixed64(1);
        const VALUE: u8 = fixed64(2);
        let quantiles = summary.quantiles.len() * field_len(2 * FIXED_LEN);
        let len = labels_len(sample, header.scoped) + 3 * FIXED_LEN + quantiles;
        let to = self.begin(header, len)?;
        times_of(to, None, point.time);
        to.push(COUNT);
        to.extend_from_slice(&summary.count.unwrap_or(0).to_le_bytes());
        to.push(SUM);
        to.extend_from_slice(&summary.sum.unwrap_or(0.0).to_le_bytes());
        for (quantile, value) in &summary.quantiles {
            to.extend_from_slice(&[QUANTILE_VALUES, 2 * FIXED_LEN as u8, QUANTILE]);
            to.extend_from_slice(&quantile.to_le_bytes());
            to.push(VALUE);
            to.extend_from_slice(&value.to_le_bytes());
        }
        labels(to, ATTRIBUTES, sample, header.scoped);
        Ok(())
    }

    /// The end of a series: `NoRecordedValue`.
    fn end(&mut self, header: &Header<'_>, sample: &SampleRef<'_>, time: UnixNanos) -> Result<(), RequestFull> {
        let (attributes, flags) = match header.family.kind() {
            FamilyType::Histogram => (delimited(9), varint(10)),
            _ => (delimited(7), varint(8)),
        };
        let to = self.begin(header, labels_len(sample, header.scoped) + FIXED_LEN + 2)?;
        times_of(to, None, time);
        to.extend_from_slice(&[flags, DataPointFlags::NoRecordedValueMask as u8]);
        labels(to, attributes, sample, header.scoped);
        Ok(())
    }

    /// Room for a point of this length, behind everything that has to stand before it.
    #[inline]
    fn begin(&mut self, header: &Header<'_>, len: usize) -> Result<&mut Vec<u8>, RequestFull> {
        let room = 1 + length_len(len) + len;
        if !self.page.has_metric() {
            let scope = Scope { resource: self.resource, scope: &self.scope };
            self.page.begin_metric(&scope, header.data(), room, |to| header.write(to), |to| header.write_data(to))?;
        } else if !self.page.fits(room) {
            return Err(RequestFull);
        }
        self.page.points += 1;
        let to = &mut self.page.bytes;
        to.reserve(room);
        to.push(DATA_POINTS);
        length(to, len);
        Ok(to)
    }
}

/// Writes an exemplar. One without a time of its own has that of the reading, as in Prometheus.
fn write_exemplar(to: &mut Vec<u8>, field: u8, exemplar: &Exemplar<'_>, time: u64) {
    const TIME: u8 = fixed64(2);
    const VALUE: u8 = fixed64(3);
    const SPAN_ID: u8 = delimited(4);
    const TRACE_ID: u8 = delimited(5);
    const ATTRIBUTES: u8 = delimited(7);
    let mut message = vec![TIME];
    let time = if exemplar.time() == 0 { time } else { exemplar.time() };
    message.extend_from_slice(&time.to_le_bytes());
    message.push(VALUE);
    message.extend_from_slice(&exemplar.value().to_le_bytes());
    for (name, value) in exemplar.labels() {
        let id = match name {
            "trace_id" => from_hex::<16>(value).map(|id| (TRACE_ID, id.to_vec())),
            "span_id" => from_hex::<8>(value).map(|id| (SPAN_ID, id.to_vec())),
            _ => None,
        };
        match id {
            Some((field, id)) => bytes(&mut message, field, &id),
            None => key_value(&mut message, ATTRIBUTES, name.as_bytes(), value.as_bytes()),
        }
    }
    bytes(to, field, &message);
}

/// An id of so many bytes in hexadecimal digits.
fn from_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut id = [0; BYTES];
    let digits = text.as_bytes();
    if digits.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(id)
}

#[inline]
fn times_of(to: &mut Vec<u8>, start: Option<UnixNanos>, time: UnixNanos) {
    let mut times = [0; 2 * FIXED_LEN];
    times[0] = START;
    times[1..FIXED_LEN].copy_from_slice(&start.map_or(0, UnixNanos::get).to_le_bytes());
    times[FIXED_LEN] = TIME;
    times[FIXED_LEN + 1..].copy_from_slice(&time.get().to_le_bytes());
    to.extend_from_slice(if start.is_none() { &times[FIXED_LEN..] } else { &times });
}

#[cfg(test)]
mod tests;
