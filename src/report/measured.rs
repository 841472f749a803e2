//! The state of histograms that Postmeter measures itself. The SDK collects them as cumulative histograms with times of its own.
//!
//! They began when their instrument was created, so the start time of the SDK is right. This module sets the time of the reading, computes
//! deltas if configured, and adds the end markers of histograms that are not measured any more.

use super::{Transition, UnixNanos, is_delta, series_key};
use crate::config::Temporality;
use crate::model::FamilyType;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Histogram, HistogramDataPoint, Metric, ScopeMetrics,
};
use std::collections::HashMap;

/// What is remembered of a target's measured histograms.
#[derive(Debug, Default)]
pub(super) struct MeasuredSeries {
    series: HashMap<Vec<u8>, Series>,
    /// The number of the current reading: tells the series that it has from the others.
    generation: u64,
}

#[derive(Debug)]
struct Series {
    /// The last collected point.
    point: HistogramDataPoint,
    generation: u64,
    /// The metric without points, for the end marker.
    metric: Metric,
}

impl MeasuredSeries {
    /// Sets the times of all points, turns histograms into deltas if configured, and adds the end markers of those that are missing.
    pub(super) fn update(&mut self, scopes: &mut [ScopeMetrics], transition: &Transition, temporality: Temporality) {
        self.generation += 1;
        let delta = is_delta(temporality, FamilyType::Histogram);
        let time = transition.time.get();
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let Some(Data::Histogram(histogram)) = &mut metric.data else { continue };
            if delta {
                histogram.aggregation_temporality = AggregationTemporality::Delta as i32;
            }
            let empty_histogram = Histogram { data_points: Vec::new(), ..*histogram };
            let mut points = std::mem::take(&mut histogram.data_points);
            let empty_metric = Metric { data: Some(Data::Histogram(empty_histogram)), ..metric.clone() };
            points.retain_mut(|point| {
                point.time_unix_nano = time;
                let before = self.remember(&empty_metric, point);
                // An instrument can be older than the reading if the clock was set back.
                point.start_time_unix_nano = point.start_time_unix_nano.min(time);
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
        let end_markers = self.end_markers(time);
        if let Some(scope) = scopes.first_mut() {
            scope.metrics.extend(end_markers);
        }
    }

    /// Remembers a point and returns the one before, if both are of the same instrument.
    fn remember(&mut self, empty_metric: &Metric, point: &HistogramDataPoint) -> Option<HistogramDataPoint> {
        let series = Series { point: point.clone(), generation: self.generation, metric: empty_metric.clone() };
        let before = self.series.insert(series_key(&empty_metric.name, &point.attributes), series)?.point;
        // After a reload the instrument is another one, which began to measure when it was created.
        (before.start_time_unix_nano == point.start_time_unix_nano).then_some(before)
    }

    /// The end markers of missing series, which are forgotten: an instrument collects every series that it ever measured.
    fn end_markers(&mut self, time_unix_nano: u64) -> Vec<Metric> {
        let generation = self.generation;
        let missing = self.series.extract_if(|_, series| series.generation != generation);
        let end_marker = |(_, Series { point, mut metric, .. }): (_, Series)| {
            let (attributes, flags) = (point.attributes, DataPointFlags::NoRecordedValueMask as u32);
            if let Some(Data::Histogram(histogram)) = &mut metric.data {
                histogram.data_points.push(HistogramDataPoint { attributes, time_unix_nano, flags, ..Default::default() });
            }
            metric
        };
        missing.map(end_marker).collect()
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        self.series.values_mut().for_each(|series| series.point.time_unix_nano = latest.get().min(series.point.time_unix_nano));
    }
}

/// Subtracts the point before. Returns false if nothing was measured since.
fn subtract(point: &mut HistogramDataPoint, before: &HistogramDataPoint) -> bool {
    point.start_time_unix_nano = before.time_unix_nano;
    point.count = point.count.saturating_sub(before.count);
    for (count, before) in point.bucket_counts.iter_mut().zip(&before.bucket_counts) {
        *count = count.saturating_sub(*before);
    }
    point.sum = point.sum.map(|sum| sum - before.sum.unwrap_or_default());
    // Minimum and maximum are those since the start of the instrument, not of the delta.
    (point.min, point.max) = (None, None);
    point.count > 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::ReadingStatus;

    fn collected(start: u64, count: u64, time: u64) -> Vec<ScopeMetrics> {
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

    /// Start time, count, bucket counts and maximum.
    type ExportedPoint = (u64, u64, Vec<u64>, Option<f64>);

    fn export(measured: &mut MeasuredSeries, temporality: Temporality, count: u64, time: u64) -> Option<ExportedPoint> {
        export_since(measured, temporality, 1, count, time)
    }

    fn export_since(measured: &mut MeasuredSeries, temporality: Temporality, start: u64, count: u64, time: u64) -> Option<ExportedPoint> {
        let mut scopes = collected(start, count, time);
        let time = UnixNanos::new(time).unwrap();
        let status = ReadingStatus::failed(time);
        let transition = Transition { status, time, last_time: None, last_complete_time: None, exported_until: None, restarted_at: None };
        measured.update(&mut scopes, &transition, temporality);
        let Data::Histogram(histogram) = scopes[0].metrics.pop()?.data? else { return None };
        let point = &histogram.data_points[0];
        Some((point.start_time_unix_nano, point.count, point.bucket_counts.clone(), point.max))
    }

    #[test]
    fn a_delta_contains_what_was_measured_since_the_last_reading() {
        let mut measured = MeasuredSeries::default();
        assert_eq!(export(&mut measured, Temporality::Delta, 3, 10), Some((1, 3, vec![3, 0], Some(9.0))));
        assert_eq!(export(&mut measured, Temporality::Delta, 5, 20), Some((10, 2, vec![2, 0], None)));
        assert_eq!(export(&mut measured, Temporality::Delta, 5, 30), None);
        assert_eq!(export(&mut measured, Temporality::LowMemory, 6, 40), Some((30, 1, vec![1, 0], None)));
    }

    #[test]
    fn a_new_instrument_starts_a_new_delta() {
        let mut measured = MeasuredSeries::default();
        assert_eq!(export(&mut measured, Temporality::Delta, 30, 100), Some((1, 30, vec![30, 0], Some(9.0))));
        assert_eq!(export_since(&mut measured, Temporality::Delta, 110, 40, 120), Some((110, 40, vec![40, 0], Some(9.0))));
        assert_eq!(export_since(&mut measured, Temporality::Delta, 110, 42, 130), Some((120, 2, vec![2, 0], None)));
    }

    #[test]
    fn cumulative_histograms_keep_the_start_and_counts_of_the_sdk() {
        let mut measured = MeasuredSeries::default();
        for (count, time) in [(3, 10), (5, 20)] {
            assert_eq!(export(&mut measured, Temporality::Cumulative, count, time), Some((1, count, vec![count, 0], Some(9.0))));
        }
    }
}
