//! Distributions that Postmeter measures itself: the SDK says them with times of its own, and always cumulative.
//!
//! They began when their instrument did, so the SDK's start is right. Deltas are made here, where they are asked for, and so are
//! the ends of those that nobody measures any more.

use super::{Transition, is_delta, key};
use crate::config::Temporality;
use crate::model::FamilyType;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Histogram, HistogramDataPoint, Metric, ScopeMetrics,
};
use std::collections::HashMap;

/// What is remembered of them.
#[derive(Debug, Default)]
pub(super) struct AggregatedSeries {
    series: HashMap<Vec<u8>, Series>,
    generation: u64,
}

#[derive(Debug)]
struct Series {
    /// What was said before.
    point: HistogramDataPoint,
    generation: u64,
    /// How to tell its end: its metric without points.
    metric: Metric,
}

impl AggregatedSeries {
    /// Makes deltas of them where that is what is told, and adds the ends of those that are gone.
    pub(super) fn rewrite(&mut self, scopes: &mut [ScopeMetrics], step: &Transition, temporality: Temporality) {
        self.generation += 1;
        let delta = is_delta(temporality, FamilyType::Histogram);
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let Some(Data::Histogram(histogram)) = &mut metric.data else { continue };
            if delta {
                histogram.aggregation_temporality = AggregationTemporality::Delta as i32;
            }
            let shell = Histogram { data_points: Vec::new(), ..*histogram };
            let mut points = std::mem::take(&mut histogram.data_points);
            let shell = Metric { data: Some(Data::Histogram(shell)), ..metric.clone() };
            points.retain_mut(|point| {
                // The SDK gives a series its attributes in any order, another one at each collection.
                point.attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                point.time_unix_nano = step.time;
                let before = self.see(&shell, point);
                // What was measured before the clock was set back began after this.
                point.start_time_unix_nano = point.start_time_unix_nano.min(step.time);
                match before {
                    Some(before) if delta => subtract(point, &before),
                    _ => true,
                }
            });
            if let Some(Data::Histogram(histogram)) = &mut metric.data {
                histogram.data_points = points;
            }
        }
        for scope in scopes.iter_mut() {
            scope.metrics.retain(|metric| !matches!(&metric.data, Some(Data::Histogram(histogram)) if histogram.data_points.is_empty()));
        }
        let ends = self.ends(step);
        if let Some(scope) = scopes.first_mut() {
            scope.metrics.extend(ends);
        }
    }

    /// Remembers a point, and says what was said before.
    fn see(&mut self, shell: &Metric, point: &HistogramDataPoint) -> Option<HistogramDataPoint> {
        let series = Series { point: point.clone(), generation: self.generation, metric: shell.clone() };
        let before = self.series.insert(key(&shell.name, &point.attributes), series)?.point;
        // Otherwise it is another pipeline, after a reload: it began to measure when that did.
        (before.start_time_unix_nano == point.start_time_unix_nano).then_some(before)
    }

    /// The ends of those that are gone: an instrument says all that it ever measured.
    fn ends(&mut self, step: &Transition) -> Vec<Metric> {
        let generation = self.generation;
        let gone = self.series.extract_if(|_, series| series.generation != generation);
        let end = |(_, Series { point, mut metric, .. }): (_, Series)| {
            let (attributes, time_unix_nano) = (point.attributes, step.time);
            let end =
                HistogramDataPoint { attributes, time_unix_nano, flags: DataPointFlags::NoRecordedValueMask as u32, ..Default::default() };
            if let Some(Data::Histogram(histogram)) = &mut metric.data {
                histogram.data_points.push(end);
            }
            metric
        };
        gone.map(end).collect()
    }

    /// Dates what is remembered no later than this.
    pub(super) fn rewind(&mut self, latest: u64) {
        self.series.values_mut().for_each(|series| series.point.time_unix_nano = latest.min(series.point.time_unix_nano));
    }
}

/// Takes what was said before from a point; false where nothing is left.
fn subtract(point: &mut HistogramDataPoint, before: &HistogramDataPoint) -> bool {
    point.start_time_unix_nano = before.time_unix_nano;
    point.count = point.count.saturating_sub(before.count);
    for (count, before) in point.bucket_counts.iter_mut().zip(&before.bucket_counts) {
        *count = count.saturating_sub(*before);
    }
    point.sum = point.sum.map(|sum| sum - before.sum.unwrap_or_default());
    // Those of the whole time, not of this part of it.
    (point.min, point.max) = (None, None);
    point.count > 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::CollectionTimes;

    fn scopes(start: u64, count: u64, time: u64) -> Vec<ScopeMetrics> {
        let point = HistogramDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum: Some(count as f64 * 2.0),
            bucket_counts: vec![count, 0],
            explicit_bounds: vec![5.0],
            max: Some(9.0),
            ..Default::default()
        };
        let cumulative = AggregationTemporality::Cumulative as i32;
        let data = Some(Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: cumulative }));
        vec![ScopeMetrics { metrics: vec![Metric { name: "a".into(), data, ..Default::default() }], ..Default::default() }]
    }

    type Told = Option<(u64, u64, Vec<u64>, Option<f64>)>;

    fn told(measured: &mut AggregatedSeries, temporality: Temporality, count: u64, time: u64) -> Told {
        told_since(measured, temporality, 1, count, time)
    }

    fn told_since(measured: &mut AggregatedSeries, temporality: Temporality, start: u64, count: u64, time: u64) -> Told {
        let mut scopes = scopes(start, count, time);
        let step = Transition { moment: CollectionTimes::default(), time, last: None, previous: None, told: None, restarted: None };
        measured.rewrite(&mut scopes, &step, temporality);
        let Data::Histogram(histogram) = scopes[0].metrics.pop()?.data? else { return None };
        let point = &histogram.data_points[0];
        Some((point.start_time_unix_nano, point.count, point.bucket_counts.clone(), point.max))
    }

    #[test]
    fn deltas_are_what_came_since() {
        let mut measured = AggregatedSeries::default();
        assert_eq!(told(&mut measured, Temporality::Delta, 3, 10), Some((1, 3, vec![3, 0], Some(9.0))));
        assert_eq!(told(&mut measured, Temporality::Delta, 5, 20), Some((10, 2, vec![2, 0], None)));
        assert_eq!(told(&mut measured, Temporality::Delta, 5, 30), None);
        assert_eq!(told(&mut measured, Temporality::LowMemory, 6, 40), Some((30, 1, vec![1, 0], None)));
    }

    #[test]
    fn another_pipeline_measures_anew() {
        let mut measured = AggregatedSeries::default();
        assert_eq!(told(&mut measured, Temporality::Delta, 30, 100), Some((1, 30, vec![30, 0], Some(9.0))));
        assert_eq!(told_since(&mut measured, Temporality::Delta, 110, 40, 120), Some((110, 40, vec![40, 0], Some(9.0))));
        assert_eq!(told_since(&mut measured, Temporality::Delta, 110, 42, 130), Some((120, 2, vec![2, 0], None)));
    }

    #[test]
    fn cumulative_ones_stay_as_the_sdk_says_them() {
        let mut measured = AggregatedSeries::default();
        for (count, time) in [(3, 10), (5, 20)] {
            assert_eq!(told(&mut measured, Temporality::Cumulative, count, time), Some((1, count, vec![count, 0], Some(9.0))));
        }
    }
}
