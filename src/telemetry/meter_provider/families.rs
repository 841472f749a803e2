//! Conversion of collected metrics into families, for the pull.

use crate::model::{FamiliesBuilder, FamilyType, Histogram, ReadingLimits, SelectedFamilies, TranslationStrategy};
use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use std::borrow::Cow;
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
    let names = LabelNames::of(collected, strategy);
    let metrics = || collected.scope_metrics().flat_map(|scope| scope.metrics());
    out.reserve_series(metrics().count());
    out.reserve_text(metrics().map(|metric| metric.name().len() + metric.description().len() + TEXT_PER_METRIC).sum());
    for metric in metrics() {
        let mut series = match metric.data() {
            AggregatedMetrics::F64(data) => MetricSeries::of(data, metric, |n| n, &start),
            AggregatedMetrics::U64(data) => MetricSeries::of(data, metric, |n| n as f64, &start),
            AggregatedMetrics::I64(data) => MetricSeries::of(data, metric, |n| n as f64, &start),
        };
        series.write(metric, strategy, &names, extra, &mut out);
    }
    SelectedFamilies::unfiltered(out.finish())
}

/// The series of a metric.
struct MetricSeries<'a> {
    /// The type that determines the name.
    kind: FamilyType,
    points: Vec<Point<'a>>,
}

struct Point<'a> {
    attributes: Vec<&'a KeyValue>,
    value: Value,
    start: Option<SystemTime>,
}

enum Value {
    Number(f64),
    Histogram(Histogram),
}

impl<'a> MetricSeries<'a> {
    fn of<T: Copy>(
        data: &'a MetricData<T>,
        metric: &Metric,
        number: impl Fn(T) -> f64,
        start: impl Fn(&str, SystemTime) -> Option<SystemTime>,
    ) -> Self {
        match data {
            MetricData::Gauge(gauge) => {
                let points = gauge.data_points().map(|point| {
                    let attributes = point.attributes().collect();
                    Point { attributes, value: Value::Number(number(point.value())), start: None }
                });
                Self { kind: FamilyType::Gauge, points: points.collect() }
            }
            MetricData::Sum(sum) => {
                let start = sum.is_monotonic().then(|| start(metric.name(), sum.start_time())).flatten();
                let points = sum.data_points().map(|point| {
                    let attributes = point.attributes().collect();
                    Point { attributes, value: Value::Number(number(point.value())), start }
                });
                let kind = if sum.is_monotonic() { FamilyType::Counter } else { FamilyType::Unknown };
                Self { kind, points: points.collect() }
            }
            MetricData::Histogram(histogram) => {
                let start = histogram.start_time();
                let points = histogram.data_points().map(|point| {
                    let mut total = 0;
                    let cumulative = point.bucket_counts().map(|count| {
                        total += count;
                        total
                    });
                    let bounds: Vec<f64> = point.bounds().collect();
                    let cumulative = cumulative.take(bounds.len()).collect();
                    let value = Histogram { bounds, cumulative, sum: Some(number(point.sum())), count: point.count() };
                    Point { attributes: point.attributes().collect(), value: Value::Histogram(value), start: Some(start) }
                });
                Self { kind: FamilyType::Histogram, points: points.collect() }
            }
            // No instrument has this aggregation.
            MetricData::ExponentialHistogram(_) => Self { kind: FamilyType::Histogram, points: Vec::new() },
        }
    }

    fn write(
        &mut self,
        metric: &Metric,
        strategy: TranslationStrategy,
        names: &LabelNames<'_>,
        extra: &[(&str, &str)],
        out: &mut FamiliesBuilder<'_>,
    ) {
        let (name, help) =
            (out.add_text(&strategy.metric_name(metric.name(), metric.unit(), self.kind)), out.add_text(metric.description()));
        // Prometheus has no type for up-down counters.
        let kind = if self.kind == FamilyType::Unknown { FamilyType::Gauge } else { self.kind };
        out.family(name, help, kind);
        let unit = out.add_text(&strategy.unit_suffix(metric.unit(), self.kind));
        out.unit(unit);
        // The SDK returns points and attributes in another order in each collection.
        let mut points: Vec<_> = self.points.drain(..).map(|point| (names.labels(&point.attributes, extra), point)).collect();
        points.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| values(a).cmp(values(b))));
        for (labels, point) in points {
            for (name, value) in &labels {
                let (name, value) = (out.add_text(name), out.add_text(value));
                out.label(name, value);
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

/// The label of each attribute key, translated once.
struct LabelNames<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> LabelNames<'a> {
    fn of(collected: &'a ResourceMetrics, strategy: TranslationStrategy) -> Self {
        let mut names = Self(Vec::new());
        let mut add = |attribute: &'a KeyValue| {
            let key = attribute.key.as_str();
            if !names.0.iter().any(|(known, _)| *known == key) {
                names.0.push((key, strategy.label_name(key)));
            }
        };
        for metric in collected.scope_metrics().flat_map(|scope| scope.metrics()) {
            match metric.data() {
                AggregatedMetrics::F64(data) => attributes(data, &mut add),
                AggregatedMetrics::U64(data) => attributes(data, &mut add),
                AggregatedMetrics::I64(data) => attributes(data, &mut add),
            }
        }
        names
    }

    /// The labels of a series, sorted by name.
    fn labels<'b>(&'b self, attributes: &[&'b KeyValue], extra: &[(&'b str, &'b str)]) -> Vec<(&'b str, Cow<'b, str>)> {
        let mut labels = Vec::with_capacity(attributes.len() + extra.len());
        for attribute in attributes {
            let name = self.0.iter().find(|(key, _)| *key == attribute.key.as_str());
            labels.extend(name.map(|(_, name)| (&**name, attribute.value.as_str())));
        }
        labels.extend(extra.iter().map(|(name, value)| (*name, Cow::Borrowed(*value))));
        labels.sort_unstable();
        labels
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

fn values<'a>(labels: &'a [(&str, Cow<'a, str>)]) -> impl Iterator<Item = &'a str> {
    labels.iter().map(|(_, value)| &**value)
}
