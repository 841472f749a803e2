//! The state of canonical scalars: as the SDK collects them, rewritten in place.

use super::{Step, is_delta};
use crate::config::Temporality;
use crate::model::{FamilyType, vocabulary};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags, Metric, NumberDataPoint, ScopeMetrics};
use prost::Message;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What is remembered of a target's scalars.
#[derive(Debug, Default)]
pub(super) struct Scalars {
    series: HashMap<Vec<u8>, Series>,
    generation: u64,
}

#[derive(Debug)]
struct Series {
    /// 0 is unset.
    start: u64,
    value: f64,
    time: u64,
    generation: u64,
    /// Its end was told; its value is kept in case that it comes back.
    ended: bool,
    /// How to tell its end: its metric without points.
    metric: Metric,
    attributes: Vec<KeyValue>,
}

/// What a point is told from.
struct Seen {
    /// When it began; 0 is unset.
    start: u64,
    /// What was counted at which time before, for a delta; none where there is nothing to subtract from, or nothing new.
    base: Option<(f64, u64)>,
}

impl Scalars {
    /// Sets the times of all points, and adds the ends of the series that are gone.
    pub(super) fn rewrite(&mut self, scopes: &mut [ScopeMetrics], step: &Step, temporality: Temporality) {
        self.generation += 1;
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let counted = if step.moment.of_records { vocabulary::OF_RECORDS } else { &[] };
            let ours = vocabulary::OF_EVERY_TARGET.iter().chain(counted).any(|m| m.name == metric.name);
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
                point.time_unix_nano = if ours { step.moment.collected } else { step.moment.reading };
                let seen = self.see(&shell, point, step, ours);
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

    fn see(&mut self, metric: &Metric, point: &NumberDataPoint, step: &Step, ours: bool) -> Seen {
        let (value, time, generation) = (number(point), point.time_unix_nano, self.generation);
        let series = match self.series.entry(key(metric, point)) {
            Entry::Vacant(entry) => {
                let start = if ours { step.moment.tally_since.min(time) } else { step.start_of_new() };
                let (metric, attributes) = (metric.clone(), point.attributes.clone());
                entry.insert(Series { start, value, time, generation, ended: false, metric, attributes });
                return Seen { start, base: (start != 0).then_some((0.0, start)) };
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        series.generation = generation;
        series.ended = false;
        // Collected before, maybe with a failed poll in between; or a clock was set back, and the next reading tells it.
        if step.again || time <= series.time {
            series.time = time;
            series.start = if series.start <= time { series.start } else { 0 };
            return Seen { start: series.start, base: None };
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
        Seen { start: series.start, base: Some(base) }
    }

    fn ends(&mut self, step: &Step) -> Vec<(Metric, NumberDataPoint)> {
        let mut ends = Vec::new();
        let generation = self.generation;
        self.series.retain(|_, series| {
            if series.generation == generation {
                return true;
            }
            if !series.ended {
                series.ended = true;
                let flags = DataPointFlags::NoRecordedValueMask as u32;
                let (attributes, time_unix_nano) = (series.attributes.clone(), step.moment.collected);
                ends.push((series.metric.clone(), NumberDataPoint { attributes, time_unix_nano, flags, ..Default::default() }));
            }
            // After a failed poll the series may come back; after a good one it is gone.
            !step.moment.good
        });
        ends
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

/// The identity of a series: its metric and its attributes, sorted.
fn key(metric: &Metric, point: &NumberDataPoint) -> Vec<u8> {
    let mut key = metric.name.clone().into_bytes();
    for attribute in &point.attributes {
        key.push(0);
        key.extend(attribute.encode_length_delimited_to_vec());
    }
    key
}
