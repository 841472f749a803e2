//! The state of canonical histograms, which have no instrument: from a snapshot to OTLP metrics.

use super::omitted::{OMITTED_CANONICAL_SERIES_MAX, Retention};
use super::{Transition, is_delta, rewind};
use crate::config::Temporality;
use crate::model::vocabulary::SYSTEM_NAME;
use crate::model::{Attributes, FamilyType, Histogram, Metric, Snapshot};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags, HistogramDataPoint};

/// What is remembered of a target's canonical histograms: a few, so that looking through them is quick.
#[derive(Debug, Default)]
pub(super) struct HistogramSeries {
    series: Vec<Series>,
    generation: u64,
}

#[derive(Debug)]
struct Series {
    metric: &'static Metric,
    attributes: Attributes,
    histogram: Histogram,
    /// 0 is unset.
    start: u64,
    time: u64,
    generation: u64,
    ended: bool,
}

impl HistogramSeries {
    /// The histograms of a reading, with their times, and the ends of those that are gone.
    pub(super) fn metrics(
        &mut self,
        snapshot: Option<&Snapshot>,
        system: &'static str,
        step: &Transition,
        temporality: Temporality,
    ) -> Vec<otlp::Metric> {
        self.generation += 1;
        let delta = is_delta(temporality, FamilyType::Histogram);
        let temporality = if delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
        let mut metrics = Vec::new();
        for (metric, attributes, histogram) in snapshot.into_iter().flat_map(|snapshot| &snapshot.histograms) {
            let seen = self.see(metric, attributes, histogram, step);
            let point = match (delta, &seen.base) {
                (false, _) => point(histogram, None, seen.start),
                (true, Some(Since { histogram: before, time })) => point(histogram, before.as_ref(), *time),
                (true, None) => continue,
            };
            let attributes = key_values(attributes, system);
            add(&mut metrics, metric, temporality, HistogramDataPoint { attributes, time_unix_nano: step.time, ..point });
        }
        let generation = self.generation;
        let omitted = self.series.iter().filter(|series| series.generation != generation);
        let mut retention = Retention::of(omitted.map(|series| series.time), step.time, OMITTED_CANONICAL_SERIES_MAX);
        self.series.retain_mut(|series| {
            if series.generation == generation {
                return true;
            }
            if !std::mem::replace(&mut series.ended, true) {
                let (attributes, time_unix_nano) = (key_values(&series.attributes, system), step.time);
                let flags = DataPointFlags::NoRecordedValueMask as u32;
                let end = HistogramDataPoint { attributes, time_unix_nano, flags, ..Default::default() };
                add(&mut metrics, series.metric, temporality, end);
            }
            !step.moment.good || retention.keeps(series.time)
        });
        metrics
    }

    fn see(&mut self, metric: &'static Metric, attributes: &Attributes, histogram: &Histogram, step: &Transition) -> LastValue {
        let (time, generation) = (step.time, self.generation);
        let known = self.series.iter_mut().find(|series| series.metric == metric && series.attributes == *attributes);
        let Some(series) = known else {
            let start = step.start_of_new();
            let (attributes, histogram) = (attributes.clone(), histogram.clone());
            self.series.push(Series { metric, attributes, histogram, start, time, generation, ended: false });
            return LastValue { start, base: step.is_untold(start).then_some(Since { histogram: None, time: start }) };
        };
        series.generation = generation;
        series.ended = false;
        let base = match step.reset(fell(&series.histogram, histogram), series.time) {
            Some(start) => {
                series.start = start;
                Some(Since { histogram: None, time: start })
            }
            None if series.histogram.bounds != histogram.bounds => None,
            None => Some(Since { histogram: Some(series.histogram.clone()), time: series.time }),
        };
        series.histogram.clone_from(histogram);
        series.time = time;
        LastValue { start: series.start, base }
    }

    /// Dates what is remembered no later than this.
    pub(super) fn rewind(&mut self, latest: u64) {
        self.series.iter_mut().for_each(|series| rewind(&mut series.start, &mut series.time, latest));
    }
}

struct LastValue {
    start: u64,
    /// What a delta is told from.
    base: Option<Since>,
}

struct Since {
    histogram: Option<Histogram>,
    time: u64,
}

fn point(histogram: &Histogram, before: Option<&Histogram>, start: u64) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: start,
        count: count(histogram, before),
        sum: sum(histogram, before),
        bucket_counts: buckets(histogram, before).collect(),
        explicit_bounds: histogram.bounds.clone(),
        ..Default::default()
    }
}

/// Whether it counts less than before: another process, or the same that forgot.
pub(super) fn fell(before: &Histogram, now: &Histogram) -> bool {
    let bucket_fell = || before.bounds == now.bounds && before.cumulative.iter().zip(&now.cumulative).any(|(before, now)| now < before);
    now.count < before.count || bucket_fell()
}

/// How many were observed since `before`.
#[must_use]
pub fn count(now: &Histogram, before: Option<&Histogram>) -> u64 {
    now.count.saturating_sub(before.map_or(0, |before| before.count))
}

/// The sum of what was observed since `before`, where it is known.
#[must_use]
pub fn sum(now: &Histogram, before: Option<&Histogram>) -> Option<f64> {
    let sum = match before {
        None => now.sum?,
        Some(before) => now.sum? - before.sum?,
    };
    (!sum.is_nan()).then_some(sum)
}

/// The counts of each bucket alone since `before`, the one without a bound last. They add up to the count, as OTLP demands,
/// also where the server read its buckets one by one while it counted on.
pub fn buckets<'a>(now: &'a Histogram, before: Option<&'a Histogram>) -> impl Iterator<Item = u64> + 'a {
    let count = count(now, before);
    let mut below = 0;
    let cumulative = now.cumulative.iter().enumerate().map(move |(at, n)| {
        let earlier = before.and_then(|before| before.cumulative.get(at)).copied().unwrap_or(0);
        n.saturating_sub(earlier)
    });
    cumulative.chain(std::iter::once(count)).map(move |n| {
        let n = n.clamp(below, count.max(below));
        n - std::mem::replace(&mut below, n)
    })
}

fn key_values(attributes: &Attributes, system: &'static str) -> Vec<KeyValue> {
    let key_value = |key: &str, text: &str| {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..Default::default() }
    };
    let own = attributes.iter().map(|(attribute, value)| key_value(attribute.key, value));
    let mut all: Vec<KeyValue> = own.chain(std::iter::once(key_value(SYSTEM_NAME.key, system))).collect();
    all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    all
}

fn add(metrics: &mut Vec<otlp::Metric>, metric: &'static Metric, temporality: AggregationTemporality, point: HistogramDataPoint) {
    let at = metrics.iter().position(|m| m.name == metric.name).unwrap_or_else(|| {
        let data = otlp::Histogram { data_points: Vec::new(), aggregation_temporality: temporality as i32 };
        let (name, description, unit) = (metric.name.to_owned(), metric.help.to_owned(), metric.unit.to_owned());
        metrics.push(otlp::Metric { name, description, unit, data: Some(Data::Histogram(data)), ..Default::default() });
        metrics.len() - 1
    });
    if let Some(Data::Histogram(histogram)) = &mut metrics[at].data {
        histogram.data_points.push(point);
    }
}
