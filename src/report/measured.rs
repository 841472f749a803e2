//! The state of histograms that Postmeter measures itself, of deliveries and of its own work. They are collected as cumulative histograms,
//! with explicit or exponential buckets.
//!
//! They began when Postmeter began to measure, so their start time is right. This module sets the time of the reading, computes deltas if
//! configured, leaves out exemplars that were exported before, and adds the end markers of histograms that are not measured any more.

mod point;

use super::{Transition, UnixNanos, is_delta, series_key};
use crate::config::Temporality;
use crate::model::FamilyType;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ScopeMetrics};
use point::{Point, accepts, add_point, is_empty_histogram, set_delta, take_points};
use std::collections::HashMap;

/// The state of a target's measured histograms.
#[derive(Debug, Default)]
pub(super) struct MeasuredSeries {
    series: HashMap<Vec<u8>, Series>,
    /// The number of the current reading. Series with an older number are missing from it.
    generation: u64,
    /// The time of the last end marker of each metric. Another measurement had counted nothing until then.
    ended: HashMap<String, u64>,
}

#[derive(Debug)]
struct Series {
    /// The last collected point.
    point: Point,
    /// The start time that is exported for the measurement.
    start: u64,
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
        let mut ended = Vec::new();
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let Some(points) = take_points(metric) else { continue };
            if delta {
                set_delta(metric);
            }
            for point in points {
                let exported = self.export(metric, point, time, delta, &mut ended);
                exported.into_iter().for_each(|point| add_point(metric, point));
            }
        }
        for scope in scopes.iter_mut() {
            scope.metrics.retain(|metric| !is_empty_histogram(metric));
        }
        ended.extend(self.end_markers(time));
        if let Some(scope) = scopes.first_mut() {
            for (mut metric, point) in ended {
                let is_same = |other: &&mut Metric| other.name == metric.name && accepts(other, &point);
                if let Some(known) = scope.metrics.iter_mut().find(is_same) {
                    add_point(known, point);
                } else {
                    add_point(&mut metric, point);
                    scope.metrics.push(metric);
                }
            }
        }
    }

    /// Remembers a point and returns what is exported of it: nothing if it is a delta without observations.
    fn export(
        &mut self,
        empty_metric: &Metric,
        mut point: Point,
        time: u64,
        delta: bool,
        ended: &mut Vec<(Metric, Point)>,
    ) -> Option<Point> {
        *point.time_mut() = time;
        let (start, before) = self.remember(empty_metric, &point, ended);
        // A histogram can be older than the reading if the clock was set back.
        *point.start_mut() = time.min(start);
        if let Some(before) = before {
            point.remove_exemplars_until(before.time());
            if delta && !point.subtract(&before) {
                return None;
            }
        }
        Some(point)
    }

    /// Remembers a point. Returns the start time that is exported for its measurement, and the point before, if it belongs to the same one.
    /// Adds the end marker of the one before to `ended` if a reload changed the form of the buckets.
    fn remember(&mut self, empty_metric: &Metric, point: &Point, ended: &mut Vec<(Metric, Point)>) -> (u64, Option<Point>) {
        let own_start = point.start();
        let series = Series { point: point.clone(), start: own_start, generation: self.generation, metric: empty_metric.clone() };
        let key = series_key(&empty_metric.name, point.attributes());
        let before = self.series.insert(key.clone(), series);
        if let Some(before) = before.as_ref().filter(|before| !point.has_buckets_of(&before.point)) {
            ended.push((before.metric.clone(), before.point.clone().end_marker(point.time())));
        }
        // After a reload the measurement may be another one, which began when it was created. The last point of the one before may be later
        // than that: their intervals must not overlap.
        let ended_at = self.ended.get(&empty_metric.name).copied().unwrap_or_default();
        let is_same = |before: &Series| before.point.start() == own_start && before.point.is_exponential() == point.is_exponential();
        let (start, before) = match before {
            Some(before) if is_same(&before) => (before.start, Some(before.point)),
            before => (own_start.max(before.map_or(ended_at, |before| before.point.time())), None),
        };
        if let Some(series) = self.series.get_mut(&key) {
            series.start = start;
        }
        (start, before)
    }

    /// The end markers of missing series, each with its metric, without points. The series are removed: a measured one is collected every
    /// time.
    fn end_markers(&mut self, time: u64) -> Vec<(Metric, Point)> {
        let generation = self.generation;
        let mut markers = Vec::new();
        for (_, Series { point, metric, .. }) in self.series.extract_if(|_, series| series.generation != generation) {
            let ended = self.ended.entry(metric.name.clone()).or_default();
            *ended = time.max(*ended);
            markers.push((metric, point.end_marker(time)));
        }
        markers
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        self.series.values_mut().for_each(|series| {
            let time = series.point.time_mut();
            *time = latest.get().min(*time);
            series.start = latest.get().min(series.start);
        });
        self.ended.values_mut().for_each(|time| *time = latest.get().min(*time));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::ExponentialBuckets;
    use crate::report::{ReadingHistory, ReadingStatus};
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{
        AggregationTemporality, DataPointFlags, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram,
        HistogramDataPoint,
    };

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
        let mut metrics = update(measured, collected(start, count, time), temporality, time);
        let Data::Histogram(histogram) = metrics.pop()?.data? else { return None };
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

    /// A reload creates the new instrument before the last counts of the old one are exported.
    #[test]
    fn the_intervals_of_two_instruments_do_not_overlap() {
        let cases =
            [Temporality::Delta, Temporality::Cumulative].into_iter().flat_map(|temporality| [(temporality, false), (temporality, true)]);
        for (temporality, has_pause) in cases {
            let end = if has_pause { 101 } else { 100 };
            let mut measured = MeasuredSeries::default();
            export_since(&mut measured, temporality, 1, 3, 100);
            if has_pause {
                // The new one has no points yet, so the series ends.
                update(&mut measured, vec![ScopeMetrics::default()], temporality, 101);
            }
            for (count, time) in [(4, 102), (6, 120)] {
                let (start, exported, ..) = export_since(&mut measured, temporality, 90, count, time).unwrap();
                let is_first = time == 102;
                let expected = if temporality == Temporality::Cumulative || is_first { (end, count) } else { (102, 2) };
                assert_eq!((start, exported), expected, "{temporality:?} {has_pause}");
            }
        }
    }

    #[test]
    fn cumulative_histograms_keep_the_start_and_counts_of_the_sdk() {
        let mut measured = MeasuredSeries::default();
        for (count, time) in [(3, 10), (5, 20)] {
            assert_eq!(export(&mut measured, Temporality::Cumulative, count, time), Some((1, count, vec![count, 0], Some(9.0))));
        }
    }

    /// A histogram with exponential buckets that has counted these values.
    fn exponential(values: &[f64]) -> Vec<ScopeMetrics> {
        let mut buckets = ExponentialBuckets::default();
        values.iter().for_each(|value| buckets.add(*value));
        let point = ExponentialHistogramDataPoint {
            start_time_unix_nano: 1,
            count: values.len() as u64,
            sum: Some(values.iter().sum()),
            scale: buckets.scale,
            zero_count: buckets.zero_count,
            positive: Some(Buckets { offset: buckets.offset, bucket_counts: buckets.counts }),
            ..Default::default()
        };
        let cumulative = AggregationTemporality::Cumulative as i32;
        let data = Some(Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality: cumulative }));
        vec![ScopeMetrics { metrics: vec![Metric { name: "a".into(), data, ..Default::default() }], ..Default::default() }]
    }

    fn update(measured: &mut MeasuredSeries, mut scopes: Vec<ScopeMetrics>, temporality: Temporality, time: u64) -> Vec<Metric> {
        let transition = ReadingHistory::default().add(ReadingStatus::failed(UnixNanos::new(time).unwrap()));
        measured.update(&mut scopes, &transition, temporality);
        scopes.remove(0).metrics
    }

    fn exponential_point(metric: &Metric) -> ExponentialHistogramDataPoint {
        let Some(Data::ExponentialHistogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        histogram.data_points[0].clone()
    }

    #[test]
    fn an_exponential_delta_is_right_although_the_scale_falls() {
        // The third reading has values that need coarser buckets.
        let values: Vec<f64> = [1.0, 1.5, 0.0, 0.5, 300.0, 0.0, 1e6, 1e-3, 1.5].to_vec();
        let mut measured = MeasuredSeries::default();
        let mut before = 0;
        for (n, time) in [(3, 10), (4, 20), (9, 30)] {
            let metrics = update(&mut measured, exponential(&values[..n]), Temporality::Delta, time);
            let point = exponential_point(&metrics[0]);
            assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (if before == 0 { 1 } else { time - 10 }, time));
            let since = &values[before..n];
            assert_eq!((point.count, point.sum), (since.len() as u64, Some(since.iter().sum())));
            let mut expected = ExponentialBuckets::default();
            since.iter().for_each(|value| expected.add(*value));
            assert_eq!(point.zero_count, expected.zero_count);
            expected.reduce(u32::try_from(expected.scale - point.scale).unwrap());
            let filled = |counts: &[u64], offset: i32| -> Vec<(i32, u64)> {
                (offset..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0).collect()
            };
            let positive = point.positive.unwrap();
            assert_eq!(filled(&positive.bucket_counts, positive.offset), filled(&expected.counts, expected.offset), "{time}");
            before = n;
        }
        assert!(update(&mut measured, exponential(&values), Temporality::Delta, 40).is_empty());
        let ends = update(&mut measured, vec![ScopeMetrics::default()], Temporality::Delta, 50);
        let end = exponential_point(&ends[0]);
        assert_eq!((end.flags, end.time_unix_nano), (DataPointFlags::NoRecordedValueMask as u32, 50));
    }

    #[test]
    fn the_end_of_a_series_is_exported_with_the_series_that_continue() {
        let with = |keys: &[&str]| {
            let mut scopes = collected(1, 3, 10);
            let Some(Data::Histogram(histogram)) = &mut scopes[0].metrics[0].data else { panic!("not a histogram") };
            let point = histogram.data_points.remove(0);
            let attributes = |key: &&str| vec![KeyValue { key: (*key).to_owned(), ..Default::default() }];
            histogram.data_points = keys.iter().map(|key| HistogramDataPoint { attributes: attributes(key), ..point.clone() }).collect();
            scopes
        };
        let mut measured = MeasuredSeries::default();
        update(&mut measured, with(&["x", "y", "z"]), Temporality::Cumulative, 10);
        let metrics = update(&mut measured, with(&["x"]), Temporality::Cumulative, 20);
        assert_eq!(metrics.len(), 1, "{metrics:?}");
        let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("not a histogram") };
        let ended = histogram.data_points.iter().filter(|point| point.flags == DataPointFlags::NoRecordedValueMask as u32);
        assert_eq!((histogram.data_points.len(), ended.count()), (3, 2));
    }

    #[test]
    fn an_exemplar_is_exported_once() {
        let mut measured = MeasuredSeries::default();
        let mut exported = |times: &[u64], reading: u64| -> Vec<u64> {
            let mut scopes = collected(1, reading, reading);
            let Some(Data::Histogram(histogram)) = &mut scopes[0].metrics[0].data else { return Vec::new() };
            histogram.data_points[0].exemplars =
                times.iter().map(|time| Exemplar { time_unix_nano: *time, ..Default::default() }).collect();
            let metrics = update(&mut measured, scopes, Temporality::Cumulative, reading);
            let Some(Data::Histogram(histogram)) = &metrics[0].data else { return Vec::new() };
            histogram.data_points[0].exemplars.iter().map(|exemplar| exemplar.time_unix_nano).collect()
        };
        assert_eq!(exported(&[5, 8], 10), [5, 8]);
        assert_eq!(exported(&[5, 8, 12], 20), [12]);
        assert_eq!(exported(&[5, 12], 30), [0; 0]);
    }

    #[test]
    fn a_series_can_change_its_buckets() {
        let mut measured = MeasuredSeries::default();
        update(&mut measured, collected(1, 3, 10), Temporality::Delta, 10);
        let metrics = update(&mut measured, exponential(&[1.0, 2.0]), Temporality::Delta, 20);
        let point = exponential_point(&metrics[0]);
        assert_eq!((point.count, point.start_time_unix_nano), (2, 10), "it begins where the last one ended");
    }
}
