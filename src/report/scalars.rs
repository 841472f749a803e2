//! The state of canonical scalars. Their points arrive as the SDK collected them and are completed in place.

use super::retention::{OMITTED_CANONICAL_SERIES_MAX, Retention};
use super::{Transition, UnixNanos, is_delta, key_attributes, limit_point_times, otlp_time, write_series_key};
use crate::config::Temporality;
use crate::model::{self, FamilyType, RecordMetrics, Snapshot, vocabulary};
use foldhash::fast::RandomState;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags, Metric, NumberDataPoint, ScopeMetrics};
use std::collections::HashMap;

/// The state of a target's scalar series.
#[derive(Debug, Default)]
pub(super) struct ScalarSeries {
    /// The series by their keys, which contain their attributes.
    series: HashMap<Box<[u8]>, Series, RandomState>,
    /// The metrics of the series without points, for end markers. There are few, because their names are those of the vocabulary.
    metrics: Vec<Metric>,
    /// The metrics of which the last reading omitted a point because its value was unknown.
    unknown: Vec<&'static model::Metric>,
    /// The key of the current point.
    key: Vec<u8>,
    /// The number of the current reading. Series with an older number are missing from it.
    generation: u64,
    /// The metrics that Postmeter counted from records in the last reading, and the time of that reading.
    from_records: Option<(RecordMetrics, UnixNanos)>,
    /// The time at which Postmeter began to count from records what the server had counted before.
    record_counts_since: Option<UnixNanos>,
}

#[derive(Debug)]
struct Series {
    start: Option<UnixNanos>,
    value: f64,
    time: UnixNanos,
    generation: u64,
    /// Postmeter counted the value, not the server.
    is_counted_by_postmeter: bool,
    is_monotonic: bool,
    /// Its end marker was exported. The value is remembered in case the series returns.
    ended: bool,
    /// The index of its metric in [`ScalarSeries::metrics`].
    metric: usize,
}

/// The side that counts a metric.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The mail server. It took over from Postmeter with this reading if `is_new`.
    Server { is_new: bool },
    /// Postmeter, since this time. Its count began anew after the reading before if `is_new`.
    Postmeter { since: Option<UnixNanos>, is_new: bool },
}

/// The start time of a point, and the base of its delta.
struct Baseline {
    start: Option<UnixNanos>,
    /// The value and time that a delta is relative to. `None` if there is no such value, so that no delta can be exported.
    delta_from: Option<(f64, UnixNanos)>,
}

impl ScalarSeries {
    /// Sets the times of all points, turns counters into deltas if configured, and adds the end markers of series that are missing.
    /// Counters of some metrics of the snapshot continue after a restart of the server.
    pub(super) fn update(
        &mut self,
        scopes: &mut [ScopeMetrics],
        snapshot: Option<&Snapshot>,
        transition: &Transition,
        temporality: Temporality,
    ) {
        self.generation += 1;
        let ended_counts = self.update_record_source(transition);
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let source = self.source_of(&metric.name, transition, ended_counts);
            let is_continued = snapshot.is_some_and(|snapshot| snapshot.continued.contains_name(&metric.name));
            let transition = if is_continued { transition.of_continued() } else { *transition };
            let was_unknown = self.unknown.iter().any(|unknown| unknown.name == metric.name);
            let transition = if was_unknown { transition.with_unknown_past() } else { transition };
            let is_monotonic = matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic);
            let delta = is_monotonic && is_delta(temporality, FamilyType::Counter);
            if let Some(Data::Sum(sum)) = &mut metric.data
                && delta
            {
                sum.aggregation_temporality = AggregationTemporality::Delta as i32;
            }
            let Some(mut points) = points_mut(metric).map(std::mem::take) else { continue };
            points.retain_mut(|point| {
                point.time_unix_nano = transition.time.get();
                let baseline = self.remember(metric, point, &transition, source, is_monotonic);
                point.start_time_unix_nano = if is_monotonic { otlp_time(baseline.start) } else { 0 };
                if !delta {
                    return true;
                }
                let Some((value, since)) = baseline.delta_from else { return false };
                subtract(point, value);
                point.start_time_unix_nano = since.get();
                true
            });
            if let Some(empty) = points_mut(metric) {
                *empty = points;
            }
        }
        for scope in scopes.iter_mut() {
            scope.metrics.retain_mut(|metric| points_mut(metric).is_none_or(|points| !points.is_empty()));
        }
        self.unknown = snapshot.map(|snapshot| snapshot.unknown_metrics.clone()).unwrap_or_default();
        let end_markers = self.end_markers(transition);
        if let Some(scope) = scopes.first_mut() {
            for (metric, point) in end_markers {
                add_point(&mut scope.metrics, metric, point);
            }
        }
    }

    /// Notes which metrics Postmeter counts from records. Returns those that it did until the reading before, and that the server counts
    /// now.
    fn update_record_source(&mut self, transition: &Transition) -> RecordMetrics {
        let from_records = transition.status.from_records;
        let before = self.from_records.replace((from_records, transition.time));
        let Some((before, changed_at)) = before.filter(|(before, _)| *before != from_records) else { return RecordMetrics::NONE };
        self.record_counts_since = Some(changed_at);
        RecordMetrics::of(|metric| before.contains(metric) && !from_records.contains(metric))
    }

    /// The side that counts a metric. `ended_counts` are those that Postmeter counted from records until the reading before.
    fn source_of(&self, metric: &str, transition: &Transition, ended_counts: RecordMetrics) -> Source {
        let is_in = |metrics: &[&model::Metric]| metrics.iter().any(|m| m.name == metric);
        let tally_since = transition.status.tally_since;
        if is_in(vocabulary::POLL_METRICS) {
            return Source::Postmeter { since: tally_since, is_new: transition.new_counts.polls };
        }
        let since = tally_since.max(self.record_counts_since);
        if is_in(vocabulary::RECORD_STATE_METRICS) {
            return Source::Postmeter { since, is_new: transition.new_counts.record_states };
        }
        match transition.status.from_records.contains_name(metric) {
            true => Source::Postmeter { since, is_new: transition.new_counts.record_contents },
            false => Source::Server { is_new: ended_counts.contains_name(metric) },
        }
    }

    /// Remembers a point of a metric, which has no points itself. Returns its start time and the base of its delta, which depend on the
    /// points before.
    fn remember(
        &mut self,
        metric: &Metric,
        point: &NumberDataPoint,
        transition: &Transition,
        source: Source,
        is_monotonic: bool,
    ) -> Baseline {
        let (value, time, generation) = (number(point), transition.time, self.generation);
        let is_counted_by_postmeter = matches!(source, Source::Postmeter { .. });
        write_series_key(&mut self.key, &metric.name, &point.attributes);
        let continues = is_counted_by_postmeter || transition.has_same_rules();
        let Some(series) = self.series.get_mut(self.key.as_slice()).filter(|_| continues) else {
            let (start, starts_at_zero) = match source {
                Source::Postmeter { since, .. } => (since.map(|since| since.min(time)), since.is_some()),
                Source::Server { is_new } => {
                    // The server may have counted all along while Postmeter's own count was exported.
                    let transition = if is_new { transition.with_unknown_past() } else { *transition };
                    let start = transition.start_of_new_series();
                    (start, transition.is_unexported(start))
                }
            };
            let (metric, ended) = (self.index_of(metric), false);
            let new = Series { start, value, time, generation, is_counted_by_postmeter, is_monotonic, ended, metric };
            self.series.insert(self.key.as_slice().into(), new);
            return Baseline { start, delta_from: start.filter(|_| starts_at_zero).map(|start| (0.0, start)) };
        };
        series.generation = generation;
        series.ended = false;
        // The counting side changed, so the old value and start do not apply: the series begins anew.
        if std::mem::replace(&mut series.is_counted_by_postmeter, is_counted_by_postmeter) != is_counted_by_postmeter {
            let start = series.time;
            series.start = Some(start);
            (series.value, series.time) = (value, time);
            // Postmeter has counted nothing before the change; how much of its value the server counted since is not known.
            return Baseline { start: series.start, delta_from: is_counted_by_postmeter.then_some((0.0, start)) };
        }
        let decreased = value < series.value;
        let reset = match source {
            Source::Postmeter { is_new, .. } => (decreased || is_new).then_some(series.time),
            Source::Server { .. } => transition.reset_start(decreased, series.time),
        };
        let delta_from = match reset {
            Some(start) => {
                series.start = Some(start);
                (0.0, start)
            }
            None => (series.value, series.time),
        };
        (series.value, series.time) = (value, time);
        Baseline { start: series.start, delta_from: Some(delta_from) }
    }

    /// The index of a metric, which is added if it is new.
    fn index_of(&mut self, metric: &Metric) -> usize {
        self.metrics.iter().position(|known| known.name == metric.name).unwrap_or_else(|| {
            self.metrics.push(metric.clone());
            self.metrics.len() - 1
        })
    }

    /// The end markers of series that this reading does not have. Removes series that cannot resume.
    fn end_markers(&mut self, transition: &Transition) -> Vec<(Metric, NumberDataPoint)> {
        let mut end_markers = Vec::new();
        let generation = self.generation;
        let omitted = self.series.values().filter(|series| series.generation != generation && series.is_monotonic);
        let mut retention = Retention::of(omitted.map(|series| series.time), transition.time, OMITTED_CANONICAL_SERIES_MAX);
        self.series.retain(|key, series| {
            if series.generation == generation {
                return true;
            }
            if let Some(metric) = self.metrics.get(series.metric).filter(|_| !series.ended) {
                series.ended = true;
                let flags = DataPointFlags::NoRecordedValueMask as u32;
                let (attributes, time_unix_nano) = (key_attributes(key, &metric.name), transition.time.get());
                end_markers.push((metric.clone(), NumberDataPoint { attributes, time_unix_nano, flags, ..Default::default() }));
            }
            // After a failed poll, every series may return. After a reload, those of the server would be others.
            let may_return = transition.has_same_rules() || series.is_counted_by_postmeter;
            !transition.status.is_good || may_return && series.is_monotonic && retention.keeps(series.time)
        });
        end_markers
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        self.series.values_mut().for_each(|series| limit_point_times(&mut series.start, &mut series.time, latest));
        self.record_counts_since = self.record_counts_since.map(|since| latest.min(since));
        self.from_records = self.from_records.map(|(from_records, time)| (from_records, latest.min(time)));
    }
}

fn points_mut(metric: &mut Metric) -> Option<&mut Vec<NumberDataPoint>> {
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => Some(&mut gauge.data_points),
        Some(Data::Sum(sum)) => Some(&mut sum.data_points),
        _ => None,
    }
}

/// Adds a point to the metric of the same name, which is added if it is missing.
fn add_point(metrics: &mut Vec<Metric>, metric: Metric, point: NumberDataPoint) {
    let index = metrics.iter().position(|known| known.name == metric.name).unwrap_or_else(|| {
        metrics.push(metric);
        metrics.len() - 1
    });
    if let Some(points) = points_mut(&mut metrics[index]) {
        points.push(point);
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Value::AsInt(n)) => n as f64,
        Some(Value::AsDouble(n)) => n,
        None => 0.0,
    }
}

fn subtract(point: &mut NumberDataPoint, before: f64) {
    match &mut point.value {
        Some(Value::AsInt(n)) => *n -= before as i64,
        Some(Value::AsDouble(n)) => *n -= before,
        None => {}
    }
}
