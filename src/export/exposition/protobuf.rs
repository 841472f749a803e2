//! Protobuf: a `MetricFamily` of `io.prometheus.client` for each family, preceded by its length.

use super::format::TOTAL;
use super::page_family::{OfSection, PageFamily};
use super::unit::unit_in_name;
use super::{Escaping, ExpositionWriter, exemplars};
use crate::export::wire::{bytes, close, delimited, double, field_len, fixed64, length, number, open, timestamp, varint, zigzag};
use crate::model::{Exemplar, ExponentialBuckets, FamilyType, Histogram, SampleRef, Summary, Value, ZERO_THRESHOLD};

impl ExpositionWriter<'_> {
    /// Writes a family up to its first series. `series_len` is the length of all series.
    pub(super) fn protobuf_begin(&mut self, family: &PageFamily<'_>, series_len: usize) {
        let header = header(family);
        length(&mut self.buffer, header.len() + series_len);
        self.buffer.extend_from_slice(&header);
    }

    /// Writes the series of a section's family.
    pub(super) fn protobuf_series(&mut self, kind: FamilyType, of_section: &OfSection<'_>) -> Option<()> {
        let escaping = self.settings.format.escaping();
        self.each_series(of_section, add_label, |writer, sample, names, labels| {
            metric(&mut writer.buffer, kind, sample, names.as_deref(), labels, escaping);
            writer.flush_if_full()
        })
    }

    /// Returns the length of all series of a family, which are encoded and discarded.
    pub(super) fn protobuf_series_len(&mut self, family: &PageFamily<'_>) -> usize {
        let escaping = self.settings.format.escaping();
        let series_dropped = self.omitted.series_dropped;
        let (mut encoded, mut len) = (Vec::new(), 0);
        for of_section in &family.of_sections {
            self.each_series(of_section, add_label, |_, sample, names, labels| {
                encoded.clear();
                metric(&mut encoded, family.kind, sample, names.as_deref(), labels, escaping);
                len += encoded.len();
                Some(())
            });
        }
        self.omitted.series_dropped = series_dropped;
        len
    }
}

/// Returns the fields of a family before its metrics.
fn header(family: &PageFamily<'_>) -> Vec<u8> {
    const NAME: u8 = delimited(1);
    const HELP: u8 = delimited(2);
    const TYPE: u8 = varint(3);
    const UNIT: u8 = delimited(5);
    let (name, kind) = (&*family.name, family.kind);
    let mut header = Vec::new();
    bytes(&mut header, NAME, name.as_bytes());
    if !family.help.is_empty() {
        bytes(&mut header, HELP, family.help.as_bytes());
    }
    header.extend_from_slice(&[TYPE, type_number(kind)]);
    let base = if kind == FamilyType::Counter { name.strip_suffix(TOTAL).unwrap_or(name) } else { name };
    if let Some(unit) = unit_in_name(family, base, kind) {
        bytes(&mut header, UNIT, unit.as_bytes());
    }
    header
}

/// Returns the value of `MetricType`.
const fn type_number(kind: FamilyType) -> u8 {
    match kind {
        FamilyType::Counter => 0,
        FamilyType::Gauge | FamilyType::Info | FamilyType::StateSet => 1,
        FamilyType::Summary => 2,
        FamilyType::Unknown => 3,
        FamilyType::Histogram => 4,
    }
}

/// Adds a label of a section.
fn add_label(to: &mut Vec<u8>, name: &str, value: &str) {
    label_pair(to, name.as_bytes(), value.as_bytes());
}

/// Writes a `LabelPair` as field 1.
fn label_pair(to: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    to.push(delimited(1));
    length(to, field_len(name.len()) + field_len(value.len()));
    bytes(to, delimited(1), name);
    bytes(to, delimited(2), value);
}

/// Writes a `Metric` as a field of its family.
fn metric(to: &mut Vec<u8>, kind: FamilyType, sample: &SampleRef<'_>, names: Option<&[String]>, section_labels: &[u8], escaping: Escaping) {
    const METRIC: u8 = delimited(4);
    const TIMESTAMP_MS: u8 = varint(6);
    let start = open(to, METRIC);
    for (at, (label, value)) in sample.label_bytes().enumerate() {
        let name = names.and_then(|names| names.get(at)).map_or(label, |name| name.as_bytes());
        label_pair(to, name, value);
    }
    to.extend_from_slice(section_labels);
    match sample.value() {
        Value::Number(value) => scalar(to, kind, value, sample, escaping),
        Value::Histogram(value) => histogram(to, value, sample, escaping),
        Value::Summary(value) => summary(to, value, sample),
    }
    if let Some(milliseconds) = sample.timestamp() {
        to.push(TIMESTAMP_MS);
        // A negative number is encoded in two's complement.
        number(to, milliseconds as u64);
    }
    close(to, start);
}

/// Writes a `Gauge`, a `Counter` or an `Untyped`.
fn scalar(to: &mut Vec<u8>, kind: FamilyType, value: f64, sample: &SampleRef<'_>, escaping: Escaping) {
    const GAUGE: u8 = delimited(2);
    const COUNTER: u8 = delimited(3);
    const UNTYPED: u8 = delimited(5);
    const VALUE: u8 = fixed64(1);
    const EXEMPLAR: u8 = delimited(2);
    const CREATED: u8 = delimited(3);
    let tag = match kind {
        FamilyType::Counter => COUNTER,
        FamilyType::Gauge | FamilyType::Info | FamilyType::StateSet => GAUGE,
        _ => UNTYPED,
    };
    let start = open(to, tag);
    double(to, VALUE, value);
    if kind == FamilyType::Counter {
        if let Some(exemplar) = exemplars::of_counter(sample, escaping) {
            write_exemplar(to, EXEMPLAR, &exemplar, escaping);
        }
        created(to, CREATED, sample);
    }
    close(to, start);
}

/// Writes a `Histogram`. A missing sum is written as NaN: readers take an absent one for 0.
fn histogram(to: &mut Vec<u8>, histogram: &Histogram, sample: &SampleRef<'_>, escaping: Escaping) {
    const HISTOGRAM: u8 = delimited(7);
    const COUNT: u8 = varint(1);
    const SUM: u8 = fixed64(2);
    const BUCKET: u8 = delimited(3);
    const CUMULATIVE_COUNT: u8 = varint(1);
    const UPPER_BOUND: u8 = fixed64(2);
    const EXEMPLAR: u8 = delimited(3);
    const CREATED: u8 = delimited(15);
    let start = open(to, HISTOGRAM);
    to.push(COUNT);
    number(to, histogram.count);
    double(to, SUM, histogram.sum.unwrap_or(f64::NAN));
    let mut above = f64::NEG_INFINITY;
    let infinity = (f64::INFINITY, histogram.count);
    for (bound, count) in histogram.bounds.iter().copied().zip(histogram.cumulative.iter().copied()).chain([infinity]) {
        let bucket = open(to, BUCKET);
        to.push(CUMULATIVE_COUNT);
        number(to, count);
        double(to, UPPER_BOUND, bound);
        if let Some(exemplar) = exemplars::of_bucket(sample, escaping, above, bound) {
            write_exemplar(to, EXEMPLAR, &exemplar, escaping);
        }
        close(to, bucket);
        above = bound;
    }
    created(to, CREATED, sample);
    if let Some(buckets) = sample.exponential() {
        native(to, buckets, sample, escaping);
    }
    close(to, start);
}

/// Writes the fields of a native histogram, which a `Histogram` can have beside its classic buckets.
fn native(to: &mut Vec<u8>, buckets: &ExponentialBuckets, sample: &SampleRef<'_>, escaping: Escaping) {
    const SCHEMA: u8 = varint(5);
    const ZERO_THRESHOLD_FIELD: u8 = fixed64(6);
    const ZERO_COUNT: u8 = varint(7);
    const POSITIVE_SPAN: u8 = delimited(12);
    const POSITIVE_DELTA: u8 = varint(13);
    /// A field number above 15 has a tag of two bytes.
    const EXEMPLARS: [u8; 2] = [delimited(16), 1];
    const OFFSET: u8 = varint(1);
    const LENGTH: u8 = varint(2);
    to.push(SCHEMA);
    number(to, zigzag(buckets.scale.into()));
    // Without a threshold, a histogram without observations would not be recognised as a native one.
    double(to, ZERO_THRESHOLD_FIELD, ZERO_THRESHOLD);
    to.push(ZERO_COUNT);
    number(to, buckets.zero_count);
    // Prometheus numbers buckets by their upper bounds, OpenTelemetry by their lower ones.
    let (mut next, mut span_at) = (0, buckets.offset + 1);
    let mut spans = Vec::new();
    for of_span in buckets.counts.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        if of_span.first() != Some(&0) {
            spans.push((span_at - next, of_span));
            next = span_at + of_span.len() as i32;
        }
        span_at += of_span.len() as i32;
    }
    for (offset, counts) in &spans {
        let start = open(to, POSITIVE_SPAN);
        to.push(OFFSET);
        number(to, zigzag((*offset).into()));
        to.push(LENGTH);
        number(to, counts.len() as u64);
        close(to, start);
    }
    let mut before = 0;
    for count in spans.iter().flat_map(|(_, counts)| *counts) {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        to.push(POSITIVE_DELTA);
        number(to, zigzag(count - before));
        before = count;
    }
    // Readers of native histograms ignore exemplars without a time, and those of the classic buckets.
    let fits = |exemplar: &Exemplar<'_>| exemplar.time() > 0 && exemplars::fits(exemplar, escaping);
    for exemplar in sample.exemplars().filter(fits) {
        to.push(EXEMPLARS[0]);
        write_exemplar(to, EXEMPLARS[1], &exemplar, escaping);
    }
}

/// Writes a `Summary`. A missing sum is written as NaN, as in a histogram.
fn summary(to: &mut Vec<u8>, summary: &Summary, sample: &SampleRef<'_>) {
    const SUMMARY: u8 = delimited(4);
    const COUNT: u8 = varint(1);
    const SUM: u8 = fixed64(2);
    const QUANTILES: u8 = delimited(3);
    const QUANTILE: u8 = fixed64(1);
    const VALUE: u8 = fixed64(2);
    const CREATED: u8 = delimited(4);
    let start = open(to, SUMMARY);
    if let Some(count) = summary.count {
        to.push(COUNT);
        number(to, count);
    }
    double(to, SUM, summary.sum.unwrap_or(f64::NAN));
    for (quantile, value) in &summary.quantiles {
        let pair = open(to, QUANTILES);
        double(to, QUANTILE, *quantile);
        double(to, VALUE, *value);
        close(to, pair);
    }
    created(to, CREATED, sample);
    close(to, start);
}

fn write_exemplar(to: &mut Vec<u8>, tag: u8, exemplar: &Exemplar<'_>, escaping: Escaping) {
    const VALUE: u8 = fixed64(2);
    const TIMESTAMP: u8 = delimited(3);
    let start = open(to, tag);
    for (label, value) in exemplar.labels() {
        label_pair(to, super::names::label_name(label, escaping).as_bytes(), value.as_bytes());
    }
    double(to, VALUE, exemplar.value());
    if exemplar.time() > 0 {
        timestamp(to, TIMESTAMP, exemplar.time());
    }
    close(to, start);
}

/// Writes the start time of a series, if it is known.
fn created(to: &mut Vec<u8>, tag: u8, sample: &SampleRef<'_>) {
    if let Some(nanos) = sample.created() {
        timestamp(to, tag, nanos);
    }
}
