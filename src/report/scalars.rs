//! The state of canonical scalars: as the SDK collects them, rewritten in place.

use super::omitted::{OMITTED_CANONICAL_SERIES_MAX, Retention};
use super::{Transition, is_delta, key, rewind};
use crate::config::Temporality;
use crate::model::{FamilyType, vocabulary};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags, Metric, NumberDataPoint, ScopeMetrics};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What is remembered of a target's scalars.
#[derive(Debug, Default)]
pub(super) struct ScalarSeries {
    series: HashMap<Vec<u8>, Series>,
    generation: u64,
    /// Whether Postmeter counted the deliveries, and when it was asked last.
    of_records: Option<(bool, u64)>,
    /// When it began to count them, where it did not from the start.
    records_since: u64,
}

#[derive(Debug)]
struct Series {
    /// 0 is unset.
    start: u64,
    value: f64,
    time: u64,
    generation: u64,
    /// Whether Postmeter counted it.
    ours: bool,
    /// Whether it only rises.
    monotonic: bool,
    /// Its end was told; its value is remembered in case that it comes back.
    ended: bool,
    /// How to tell its end: its metric without points.
    metric: Metric,
    attributes: Vec<KeyValue>,
}

/// Who counts a metric.
#[derive(Clone, Copy, Debug)]
struct By {
    /// Postmeter does, since then.
    ours: Option<u64>,
    /// It has only now begun to, or ceased.
    changed: bool,
}

/// What a point is told from.
struct LastValue {
    /// When it began; 0 is unset.
    start: u64,
    /// What was counted at which time before, for a delta; none where there is nothing to subtract from, or nothing new.
    base: Option<(f64, u64)>,
}

impl ScalarSeries {
    /// Sets the times of all points, and adds the ends of the series that are gone.
    pub(super) fn rewrite(&mut self, scopes: &mut [ScopeMetrics], step: &Transition, temporality: Temporality) {
        self.generation += 1;
        let changed = self.count(step);
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let by = self.by(&metric.name, step, changed);
            let monotonic = matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic);
            let delta = monotonic && is_delta(temporality, FamilyType::Counter);
            if let Some(Data::Sum(sum)) = &mut metric.data
                && delta
            {
                sum.aggregation_temporality = AggregationTemporality::Delta as i32;
            }
            let shell = shell(metric);
            let Some(points) = points(metric) else { continue };
            points.retain_mut(|point| {
                // The SDK gives a series its attributes in any order, another one at each collection.
                point.attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                point.time_unix_nano = step.time;
                let seen = self.see(&shell, point, step, by, monotonic);
                point.start_time_unix_nano = if monotonic { seen.start } else { 0 };
                if !delta {
                    return true;
                }
                let Some((before, since)) = seen.base else { return false };
                subtract(point, before);
                point.start_time_unix_nano = since;
                true
            });
        }
        for scope in scopes.iter_mut() {
            scope.metrics.retain_mut(|metric| points(metric).is_none_or(|points| !points.is_empty()));
        }
        let ends = self.ends(step);
        if let Some(scope) = scopes.first_mut() {
            for (metric, point) in ends {
                add(&mut scope.metrics, metric, point);
            }
        }
    }

    /// Whether Postmeter has begun or ceased to count the deliveries.
    fn count(&mut self, step: &Transition) -> bool {
        let of_records = step.moment.of_records;
        let before = self.of_records.replace((of_records, step.time)).filter(|(before, _)| *before != of_records);
        self.records_since = before.map_or(self.records_since, |(_, at)| at);
        before.is_some()
    }

    fn by(&self, metric: &str, step: &Transition, changed: bool) -> By {
        let is_of = |all: &[&crate::model::Metric]| all.iter().any(|m| m.name == metric);
        if is_of(vocabulary::OF_EVERY_TARGET) {
            return By { ours: Some(step.moment.tally_since), changed: false };
        }
        let of_records = is_of(vocabulary::OF_RECORDS);
        let ours = (of_records && step.moment.of_records).then_some(step.moment.tally_since.max(self.records_since));
        By { ours, changed: changed && of_records }
    }

    fn see(&mut self, metric: &Metric, point: &NumberDataPoint, step: &Transition, by: By, monotonic: bool) -> LastValue {
        let (value, time, generation) = (number(point), point.time_unix_nano, self.generation);
        let ours = by.ours.is_some();
        let series = match self.series.entry(key(&metric.name, &point.attributes)) {
            Entry::Vacant(entry) => {
                // What Postmeter left to the server to count may have been there all the time.
                let theirs = if by.changed { step.of_thinned() } else { *step };
                let start = by.ours.map_or(theirs.start_of_new(), |since| since.min(time));
                let (metric, attributes) = (metric.clone(), point.attributes.clone());
                entry.insert(Series { start, value, time, generation, ours, monotonic, ended: false, metric, attributes });
                let untold = if ours { start != 0 } else { theirs.is_untold(start) };
                return LastValue { start, base: untold.then_some((0.0, start)) };
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        series.generation = generation;
        series.ended = false;
        // Somebody else counts on, from a beginning of his own.
        if std::mem::replace(&mut series.ours, ours) != ours {
            series.start = series.time;
            (series.value, series.time) = (value, time);
            return LastValue { start: series.start, base: None };
        }
        let reset = if ours { (value < series.value).then_some(series.time) } else { step.reset(value < series.value, series.time) };
        let base = match reset {
            Some(start) => {
                series.start = start;
                (0.0, start)
            }
            None => (series.value, series.time),
        };
        (series.value, series.time) = (value, time);
        LastValue { start: series.start, base: Some(base) }
    }

    fn ends(&mut self, step: &Transition) -> Vec<(Metric, NumberDataPoint)> {
        let mut ends = Vec::new();
        let generation = self.generation;
        let omitted = self.series.values().filter(|series| series.generation != generation && series.monotonic);
        let mut retention = Retention::of(omitted.map(|series| series.time), step.time, OMITTED_CANONICAL_SERIES_MAX);
        self.series.retain(|_, series| {
            if series.generation == generation {
                return true;
            }
            if !series.ended {
                series.ended = true;
                let flags = DataPointFlags::NoRecordedValueMask as u32;
                let (attributes, time_unix_nano) = (series.attributes.clone(), step.time);
                ends.push((series.metric.clone(), NumberDataPoint { attributes, time_unix_nano, flags, ..Default::default() }));
            }
            // After a failed poll all may come back.
            !step.moment.good || series.monotonic && retention.keeps(series.time)
        });
        ends
    }

    /// Dates what is remembered no later than this.
    pub(super) fn rewind(&mut self, latest: u64) {
        self.series.values_mut().for_each(|series| rewind(&mut series.start, &mut series.time, latest));
        self.records_since = latest.min(self.records_since);
        self.of_records.iter_mut().for_each(|(_, time)| *time = latest.min(*time));
    }
}

/// The metric without its points.
fn shell(metric: &Metric) -> Metric {
    let mut shell = Metric { data: None, ..metric.clone() };
    shell.data = match &metric.data {
        Some(Data::Gauge(_)) => Some(Data::Gauge(Default::default())),
        Some(Data::Sum(sum)) => {
            let mut sum = sum.clone();
            sum.data_points.clear();
            Some(Data::Sum(sum))
        }
        _ => None,
    };
    shell
}

fn points(metric: &mut Metric) -> Option<&mut Vec<NumberDataPoint>> {
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => Some(&mut gauge.data_points),
        Some(Data::Sum(sum)) => Some(&mut sum.data_points),
        _ => None,
    }
}

fn add(metrics: &mut Vec<Metric>, shell: Metric, point: NumberDataPoint) {
    let at = metrics.iter().position(|metric| metric.name == shell.name).unwrap_or_else(|| {
        metrics.push(shell);
        metrics.len() - 1
    });
    if let Some(points) = points(&mut metrics[at]) {
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
