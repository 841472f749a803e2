//! Conversion of collected metrics into families, for the pull.

use crate::model::{FamiliesBuilder, FamilyType, Histogram, ReadingLimits, SelectedFamilies, TranslationStrategy};
use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use std::time::SystemTime;

/// Converts collected metrics. Each series gets the labels `extra`. `start` returns the start time of a counter, given its name and the
/// start time that the SDK sets. Histograms are measured by Postmeter, so the SDK's is correct.
pub(in crate::telemetry) fn families_from(
    collected: &ResourceMetrics,
    strategy: TranslationStrategy,
    extra: &[(&str, &str)],
    start: impl Fn(&str, SystemTime) -> Option<SystemTime>,
) -> SelectedFamilies {
    // No limits: the number of series is limited by the instruments.
    let mut out = FamiliesBuilder::new("", ReadingLimits::NONE);
    for metric in collected.scope_metrics().flat_map(|scope| scope.metrics()) {
        let mut series = match metric.data() {
            AggregatedMetrics::F64(data) => MetricSeries::of(data, metric, |n| n, &start),
            AggregatedMetrics::U64(data) => MetricSeries::of(data, metric, |n| n as f64, &start),
            AggregatedMetrics::I64(data) => MetricSeries::of(data, metric, |n| n as f64, &start),
        };
        series.write(metric, strategy, extra, &mut out);
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

    fn write(&mut self, metric: &Metric, strategy: TranslationStrategy, extra: &[(&str, &str)], out: &mut FamiliesBuilder<'_>) {
        let (name, help) =
            (out.add_text(&strategy.metric_name(metric.name(), metric.unit(), self.kind)), out.add_text(metric.description()));
        // Prometheus has no type for up-down counters.
        let kind = if self.kind == FamilyType::Unknown { FamilyType::Gauge } else { self.kind };
        out.family(name, help, kind);
        let unit = out.add_text(&strategy.unit_suffix(metric.unit(), self.kind));
        out.unit(unit);
        // The SDK returns points and attributes in another order in each collection.
        let mut points: Vec<_> = self.points.drain(..).map(|point| (labels(&point.attributes, strategy, extra), point)).collect();
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

/// The labels of a series, sorted by name.
fn labels(attributes: &[&KeyValue], strategy: TranslationStrategy, extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = attributes.iter().map(|attribute| (strategy.label_name(attribute.key.as_str()).into_owned(), attribute.value.to_string()));
    let mut labels: Vec<_> = own.chain(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect();
    labels.sort_unstable();
    labels
}

fn values(labels: &[(String, String)]) -> impl Iterator<Item = &str> {
    labels.iter().map(|(_, value)| value.as_str())
}
