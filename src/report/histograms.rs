//! The state of canonical histograms that the mail server aggregated. They have no instrument: this module turns them into OTLP metrics.

use super::retention::{OMITTED_CANONICAL_SERIES_MAX, Retention};
use super::{Transition, UnixNanos, is_delta, limit_point_times, otlp_time};
use crate::config::Temporality;
use crate::model::{Attributes, FamilyType, Histogram, Metric, Snapshot};
use crate::telemetry::otlp_attributes;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags, HistogramDataPoint};
use std::borrow::Cow;

/// The state of a target's canonical histograms. A target has few, so a linear search is fast enough.
#[derive(Debug, Default)]
pub(super) struct HistogramSeries {
    series: Vec<Series>,
    /// The metrics of which the last reading omitted a histogram because it was unknown.
    unknown: Vec<&'static Metric>,
    /// The number of the current reading. Series with an older number are missing from it.
    generation: u64,
}

#[derive(Debug)]
struct Series {
    metric: &'static Metric,
    attributes: Attributes,
    histogram: Histogram,
    start: Option<UnixNanos>,
    time: UnixNanos,
    generation: u64,
    /// Its end marker was exported. The histogram is remembered in case the series returns.
    ended: bool,
}

impl HistogramSeries {
    /// The histograms of a reading as OTLP metrics, and the end markers of histograms that are missing or have other bounds.
    pub(super) fn metrics(
        &mut self,
        snapshot: Option<&Snapshot>,
        system: &'static str,
        transition: &Transition,
        temporality: Temporality,
    ) -> Vec<otlp::Metric> {
        self.generation += 1;
        let delta = is_delta(temporality, FamilyType::Histogram);
        let temporality = if delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
        let time_unix_nano = transition.time.get();
        let mut metrics = Vec::new();
        let add_end_marker = |metrics: &mut _, metric, attributes: &Attributes, histogram: &Histogram| {
            let (attributes, flags) = (otlp_attributes(attributes, system), DataPointFlags::NoRecordedValueMask as u32);
            // Zeros with the same bounds: Prometheus ends only the buckets that the marker contains.
            let zeros = HistogramDataPoint { sum: histogram.sum.map(|_| 0.0), ..point(histogram, Some(histogram), None) };
            add_point(metrics, metric, temporality, HistogramDataPoint { attributes, time_unix_nano, flags, ..zeros });
        };
        for (metric, attributes, histogram) in snapshot.into_iter().flat_map(|snapshot| &snapshot.histograms) {
            if let Some(before) = self.lost_shape(metric, attributes, histogram) {
                add_end_marker(&mut metrics, metric, attributes, before);
            }
            let transition = if self.unknown.contains(metric) { transition.with_unknown_past() } else { *transition };
            let baseline = self.remember(metric, attributes, histogram, &transition);
            let point = match (delta, &baseline.delta_from) {
                (false, _) => point(histogram, None, baseline.start),
                (true, Some((before, since))) => point(histogram, before.as_ref(), Some(*since)),
                (true, None) => continue,
            };
            let attributes = otlp_attributes(attributes, system);
            add_point(&mut metrics, metric, temporality, HistogramDataPoint { attributes, time_unix_nano, ..point });
        }
        self.unknown = snapshot.map(|snapshot| snapshot.unknown_metrics.clone()).unwrap_or_default();
        let generation = self.generation;
        let omitted = self.series.iter().filter(|series| series.generation != generation);
        let mut retention = Retention::of(omitted.map(|series| series.time), transition.time, OMITTED_CANONICAL_SERIES_MAX);
        self.series.retain_mut(|series| {
            if series.generation == generation {
                return true;
            }
            if !std::mem::replace(&mut series.ended, true) {
                add_end_marker(&mut metrics, series.metric, &series.attributes, &series.histogram);
            }
            !transition.status.is_good || transition.has_same_rules() && retention.keeps(series.time)
        });
        metrics
    }

    /// The histogram before, if its end marker was not exported and the current one lacks buckets or the sum of it.
    fn lost_shape(&self, metric: &'static Metric, attributes: &Attributes, histogram: &Histogram) -> Option<&Histogram> {
        let is_same = |series: &&Series| series.metric == metric && series.attributes == *attributes && !series.ended;
        let before = self.series.iter().find(is_same).map(|series| &series.histogram)?;
        (!histogram.has_series_of(before)).then_some(before)
    }

    /// Remembers a histogram. Returns its start time and the base of its delta, which depend on the histograms before.
    fn remember(&mut self, metric: &'static Metric, attributes: &Attributes, histogram: &Histogram, transition: &Transition) -> Baseline {
        let (time, generation) = (transition.time, self.generation);
        if !transition.has_same_rules() {
            self.series.retain(|series| series.metric != metric || series.attributes != *attributes);
        }
        let known = self.series.iter_mut().find(|series| series.metric == metric && series.attributes == *attributes);
        let Some(series) = known else {
            let start = transition.start_of_new_series();
            let (attributes, histogram) = (attributes.clone(), histogram.clone());
            self.series.push(Series { metric, attributes, histogram, start, time, generation, ended: false });
            return Baseline { start, delta_from: start.filter(|_| transition.is_unexported(start)).map(|start| (None, start)) };
        };
        series.generation = generation;
        series.ended = false;
        let delta_from = match transition.reset_start(is_decrease(&series.histogram, histogram), series.time) {
            Some(start) => {
                series.start = Some(start);
                Some((None, start))
            }
            None => Some((Some(series.histogram.clone()), series.time)),
        };
        series.histogram.clone_from(histogram);
        series.time = time;
        Baseline { start: series.start, delta_from }
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        self.series.iter_mut().for_each(|series| limit_point_times(&mut series.start, &mut series.time, latest));
    }
}

/// The start time of a histogram, and the base of its delta.
struct Baseline {
    start: Option<UnixNanos>,
    /// The histogram to subtract (`None` for zero) and its time. `None` if no delta can be exported.
    delta_from: Option<(Option<Histogram>, UnixNanos)>,
}

fn point(histogram: &Histogram, before: Option<&Histogram>, start: Option<UnixNanos>) -> HistogramDataPoint {
    let (histogram, before) = &on_common_bounds(histogram, before);
    let before = before.as_deref();
    HistogramDataPoint {
        start_time_unix_nano: otlp_time(start),
        count: count(histogram, before),
        sum: sum(histogram, before),
        bucket_counts: buckets(histogram, before).collect(),
        explicit_bounds: histogram.bounds.clone(),
        ..Default::default()
    }
}

/// Returns true if a histogram counts less than before, in total or in a bucket that it had before: the server restarted or reset it.
pub(super) fn is_decrease(before: &Histogram, now: &Histogram) -> bool {
    now.count < before.count || before.common_buckets(now).any(|(_, before, now)| now < before)
}

/// A histogram and the one before it, on the bounds that both have: between the two, the server added or removed buckets. Their difference
/// still has the exact count and sum.
#[must_use]
pub fn on_common_bounds<'a>(now: &'a Histogram, before: Option<&'a Histogram>) -> (Cow<'a, Histogram>, Option<Cow<'a, Histogram>>) {
    match before {
        Some(before) => (now.on_common_bounds(before), Some(before.on_common_bounds(now))),
        None => (Cow::Borrowed(now), None),
    }
}

/// The number of observations since `before`.
#[must_use]
pub fn count(now: &Histogram, before: Option<&Histogram>) -> u64 {
    now.count.saturating_sub(before.map_or(0, |before| before.count))
}

/// The sum of the observations since `before`, if it is known: what was added to a sum that is not finite is not.
#[must_use]
pub fn sum(now: &Histogram, before: Option<&Histogram>) -> Option<f64> {
    let sum = match before {
        None => now.sum?,
        Some(before) => now.sum? - before.sum.filter(|sum| sum.is_finite())?,
    };
    (!sum.is_nan()).then_some(sum)
}

/// The number of observations in each bucket since `before`, which has the same bounds; the last bucket is the one without an upper bound.
///
/// The buckets add up to the count, as OTLP requires, even if the server read them one after the other while it kept counting.
pub fn buckets<'a>(now: &'a Histogram, before: Option<&'a Histogram>) -> impl Iterator<Item = u64> + 'a {
    let count = count(now, before);
    let mut below = 0;
    let cumulative = now.cumulative.iter().enumerate().map(move |(index, n)| {
        let earlier = before.and_then(|before| before.cumulative.get(index)).copied().unwrap_or(0);
        n.saturating_sub(earlier)
    });
    cumulative.chain(std::iter::once(count)).map(move |n| {
        let n = n.clamp(below, count.max(below));
        n - std::mem::replace(&mut below, n)
    })
}

/// Adds a point to the metric of the same name, which is added if it is missing.
fn add_point(metrics: &mut Vec<otlp::Metric>, metric: &'static Metric, temporality: AggregationTemporality, point: HistogramDataPoint) {
    let index = metrics.iter().position(|known| known.name == metric.name).unwrap_or_else(|| {
        let data = otlp::Histogram { data_points: Vec::new(), aggregation_temporality: temporality as i32 };
        let (name, description, unit) = (metric.name.to_owned(), metric.help.to_owned(), metric.unit.to_owned());
        metrics.push(otlp::Metric { name, description, unit, data: Some(Data::Histogram(data)), ..Default::default() });
        metrics.len() - 1
    });
    if let Some(Data::Histogram(histogram)) = &mut metrics[index].data {
        histogram.data_points.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_since_one_that_is_not_finite_is_unknown() {
        const INF: f64 = f64::INFINITY;
        let of = |sum| Histogram { sum, count: 1, ..Histogram::default() };
        for (before, now, expected) in [
            (None, Some(7.0), Some(7.0)),
            (None, Some(INF), Some(INF)),
            (None, Some(f64::NAN), None),
            (Some(5.0), Some(7.0), Some(2.0)),
            (Some(5.0), Some(INF), Some(INF)),
            (Some(5.0), Some(-INF), Some(-INF)),
            (Some(5.0), Some(f64::NAN), None),
            (Some(INF), Some(INF), None),
            (Some(INF), Some(7.0), None),
            (Some(-INF), Some(7.0), None),
            (Some(f64::NAN), Some(7.0), None),
        ] {
            let before_histogram = before.map(|sum| of(Some(sum)));
            assert_eq!(sum(&of(now), before_histogram.as_ref()), expected, "{before:?} {now:?}");
        }
    }
}
