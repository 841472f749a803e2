//! Conversion of collected metrics into families, for the pull.

use crate::model::{FamiliesBuilder, FamilyType, Histogram, ReadingLimits, SelectedFamilies, Text, TranslationStrategy};
use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::ops::Range;
use std::time::SystemTime;

/// About how many bytes the labels of a metric's series have.
const TEXT_PER_METRIC: usize = 256;

/// Converts collected metrics. Each series gets the labels `extra`. `start` returns the start time of a counter, given its name and the
/// start time that the SDK sets. Histograms are measured by Postmeter, so the SDK's is correct.
pub(in crate::telemetry) fn families_from(
    collected: &ResourceMetrics,
    strategy: TranslationStrategy,
    extra: &[(&str, &str)],
    start: impl Fn(&str, SystemTime) -> Option<SystemTime>,
) -> SelectedFamilies {
    // No limits: the number of series is limited where the points are made.
    let mut out = FamiliesBuilder::new("", ReadingLimits::NONE);
    let metrics = || collected.scope_metrics().flat_map(|scope| scope.metrics());
    out.reserve_series(metrics().count());
    out.reserve_text(metrics().map(|metric| metric.name().len() + metric.description().len() + TEXT_PER_METRIC).sum());
    let names = LabelNames::of(collected, strategy, extra, &mut out);
    let mut series = MetricSeries::new(&names, extra);
    let mut buffer = String::new();
    for metric in metrics() {
        let kind = match metric.data() {
            AggregatedMetrics::F64(data) => series.read(data, metric, |n| n, &start),
            AggregatedMetrics::U64(data) => series.read(data, metric, |n| n as f64, &start),
            AggregatedMetrics::I64(data) => series.read(data, metric, |n| n as f64, &start),
        };
        strategy.write_metric_name(metric.name(), metric.unit(), kind, &mut buffer);
        let (name, help) = (out.add_text(&buffer), out.add_text(metric.description()));
        // Prometheus has no type for up-down counters.
        out.family(name, help, if kind == FamilyType::Unknown { FamilyType::Gauge } else { kind });
        strategy.write_unit_suffix(metric.unit(), kind, &mut buffer);
        let unit = out.add_text(&buffer);
        out.unit(unit);
        series.write(&mut out);
    }
    SelectedFamilies::unfiltered(out.finish())
}

/// The series of a metric, in lists that are used again for the next metric.
struct MetricSeries<'a> {
    names: &'a LabelNames<'a>,
    extra: &'a [(&'a str, &'a str)],
    points: SmallVec<[Point; 4]>,
    /// The labels of all points: the index of the name, and the value.
    labels: SmallVec<[(usize, Cow<'a, str>); 16]>,
}

struct Point {
    labels: Range<usize>,
    value: Value,
    start: Option<SystemTime>,
}

enum Value {
    Number(f64),
    Histogram(Histogram),
}

impl<'a> MetricSeries<'a> {
    fn new(names: &'a LabelNames<'a>, extra: &'a [(&'a str, &'a str)]) -> Self {
        Self { names, extra, points: SmallVec::new(), labels: SmallVec::new() }
    }

    /// Reads the series of a metric. Returns the type that determines its name.
    fn read<T: Copy>(
        &mut self,
        data: &'a MetricData<T>,
        metric: &Metric,
        number: impl Fn(T) -> f64,
        start: impl Fn(&str, SystemTime) -> Option<SystemTime>,
    ) -> FamilyType {
        self.points.clear();
        self.labels.clear();
        match data {
            MetricData::Gauge(gauge) => {
                gauge.data_points().for_each(|point| self.add(point.attributes(), Value::Number(number(point.value())), None));
                FamilyType::Gauge
            }
            MetricData::Sum(sum) => {
                let start = sum.is_monotonic().then(|| start(metric.name(), sum.start_time())).flatten();
                sum.data_points().for_each(|point| self.add(point.attributes(), Value::Number(number(point.value())), start));
                if sum.is_monotonic() { FamilyType::Counter } else { FamilyType::Unknown }
            }
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points() {
                    let mut total = 0;
                    let cumulative = point.bucket_counts().map(|count| {
                        total += count;
                        total
                    });
                    let bounds: Vec<f64> = point.bounds().collect();
                    let cumulative = cumulative.take(bounds.len()).collect();
                    let value = Histogram { bounds, cumulative, sum: Some(number(point.sum())), count: point.count() };
                    self.add(point.attributes(), Value::Histogram(value), Some(histogram.start_time()));
                }
                FamilyType::Histogram
            }
            // No instrument has this aggregation.
            MetricData::ExponentialHistogram(_) => FamilyType::Histogram,
        }
    }

    fn add(&mut self, attributes: impl Iterator<Item = &'a KeyValue>, value: Value, start: Option<SystemTime>) {
        let first = self.labels.len();
        for attribute in attributes {
            self.labels.extend(self.names.index_of(attribute.key.as_str()).map(|name| (name, attribute.value.as_str())));
        }
        for (key, value) in self.extra {
            self.labels.extend(self.names.index_of(key).map(|name| (name, Cow::Borrowed(*value))));
        }
        // The SDK returns points and attributes in another order in each collection.
        self.labels[first..].sort_unstable();
        self.points.push(Point { labels: first..self.labels.len(), value, start });
    }

    /// Adds the series to the last family.
    fn write(&mut self, out: &mut FamiliesBuilder<'_>) {
        let labels = &self.labels;
        let values = |point: &Point| labels[point.labels.clone()].iter().map(|(_, value)| value);
        self.points.sort_unstable_by(|a, b| a.labels.len().cmp(&b.labels.len()).then_with(|| values(a).cmp(values(b))));
        for point in self.points.drain(..) {
            for (name, value) in &labels[point.labels] {
                let value = out.add_text(value);
                out.label(self.names.0[*name].1, value);
            }
            match point.value {
                Value::Number(value) => out.number(value),
                Value::Histogram(histogram) => out.histogram(histogram),
            }
            if let Some(nanos) = point.start.and_then(|start| start.duration_since(SystemTime::UNIX_EPOCH).ok()) {
                out.created_of_last(u64::try_from(nanos.as_nanos()).unwrap_or(u64::MAX));
            }
        }
    }
}

/// The key of each attribute and its label, translated once, sorted by the labels.
struct LabelNames<'a>(Vec<(&'a str, Text)>);

impl<'a> LabelNames<'a> {
    fn of(collected: &'a ResourceMetrics, strategy: TranslationStrategy, extra: &[(&'a str, &str)], out: &mut FamiliesBuilder<'_>) -> Self {
        let mut keys: Vec<&'a str> = extra.iter().map(|(key, _)| *key).collect();
        let mut add = |attribute: &'a KeyValue| {
            let key = attribute.key.as_str();
            if !keys.contains(&key) {
                keys.push(key);
            }
        };
        for metric in collected.scope_metrics().flat_map(|scope| scope.metrics()) {
            match metric.data() {
                AggregatedMetrics::F64(data) => attributes(data, &mut add),
                AggregatedMetrics::U64(data) => attributes(data, &mut add),
                AggregatedMetrics::I64(data) => attributes(data, &mut add),
            }
        }
        let mut names: Vec<_> = keys.into_iter().map(|key| (strategy.label_name(key), key)).collect();
        names.sort_unstable();
        Self(names.into_iter().map(|(name, key)| (key, out.add_text(&name))).collect())
    }

    fn index_of(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| *known == key)
    }
}

/// Calls `each` for the attributes of all points.
fn attributes<'a, T>(data: &'a MetricData<T>, each: &mut impl FnMut(&'a KeyValue)) {
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().flat_map(|point| point.attributes()).for_each(each),
        MetricData::Sum(sum) => sum.data_points().flat_map(|point| point.attributes()).for_each(each),
        MetricData::Histogram(histogram) => histogram.data_points().flat_map(|point| point.attributes()).for_each(each),
        MetricData::ExponentialHistogram(_) => {}
    }
}
