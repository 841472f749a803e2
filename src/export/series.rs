//! Start times, point times and the end of series, which the SDK cannot know: its counters all begin when our instrument did.
//!
//! # Start times are known or unset
//!
//! A counter that is there at our first poll began at a time that nobody told us, unless the server did. One that appears
//! later began after the poll before, if that one was good and complete. A fall is a reset, after the poll before. A point's
//! time is the time of its reading. A series that is gone leaves once, with the `NoRecordedValue` flag.
//! (OTLP metrics data model, "Resets and Gaps" and "No recorded value".)

use crate::model::vocabulary;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{DataPointFlags, Metric, NumberDataPoint, ScopeMetrics};
use prost::Message;
use std::collections::HashMap;
use std::time::SystemTime;

/// The times of a reading, in Unix nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When the poll began.
    pub reading: u64,
    /// When it is collected: the time of what is said about the poll itself.
    pub collected: u64,
    /// Whether the required part was read.
    pub good: bool,
    /// Whether all parts were.
    pub complete: bool,
    /// When the server's counters began, where it says so.
    pub counters_since: Option<u64>,
    /// When Postmeter began to count what goes wrong.
    pub tally_since: u64,
}

/// Unix nanoseconds.
#[must_use]
pub fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What is remembered of a target's series.
#[derive(Debug, Default)]
pub struct SeriesState {
    series: HashMap<Vec<u8>, Series>,
    generation: u64,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    reading: u64,
    complete: bool,
    /// The reading before, if it was complete.
    before: Option<u64>,
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

impl SeriesState {
    /// Sets the times of all points, and adds the ends of the series that are gone.
    pub fn rewrite(&mut self, scopes: &mut [ScopeMetrics], moment: Moment) {
        self.generation += 1;
        let previous = self.previous(moment);
        for metric in scopes.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let ours = vocabulary::OF_EVERY_TARGET.iter().any(|m| m.name == metric.name);
            let shell = shell(metric);
            let monotonic = matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic);
            for point in points(metric) {
                // The SDK gives a series its attributes in any order, another one at each collection.
                point.attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                point.time_unix_nano = if ours { moment.collected } else { moment.reading };
                let start = self.start(&shell, point, moment, previous, ours);
                point.start_time_unix_nano = if monotonic { start } else { 0 };
            }
        }
        let ends = self.ends(moment);
        if let Some(scope) = scopes.first_mut() {
            for (metric, point) in ends {
                add(&mut scope.metrics, metric, point);
            }
        }
    }

    /// The reading before this one, if it was good and complete: what is new now began after it.
    fn previous(&mut self, moment: Moment) -> Option<u64> {
        match self.last {
            Some(last) if last.reading == moment.reading => last.before,
            last => {
                let before = last.filter(|last| last.complete).map(|last| last.reading);
                self.last = Some(Last { reading: moment.reading, complete: moment.good && moment.complete, before });
                before
            }
        }
    }

    fn start(&mut self, metric: &Metric, point: &NumberDataPoint, moment: Moment, previous: Option<u64>, ours: bool) -> u64 {
        let (value, time) = (number(point), point.time_unix_nano);
        let since = if ours { Some(moment.tally_since) } else { moment.counters_since };
        let generation = self.generation;
        let series = self.series.entry(key(metric, point)).or_insert_with(|| Series {
            start: since.or(previous).unwrap_or(0),
            value,
            time,
            generation,
            ended: false,
            metric: metric.clone(),
            attributes: point.attributes.clone(),
        });
        if value < series.value {
            series.start = since.filter(|since| *since > series.time).unwrap_or(series.time);
        } else if let Some(since) = since.filter(|since| *since > series.start && series.start != 0) {
            // The process began anew and has already counted beyond the old value.
            series.start = since;
        }
        series.value = value;
        series.time = time;
        series.generation = generation;
        series.ended = false;
        series.start
    }

    fn ends(&mut self, moment: Moment) -> Vec<(Metric, NumberDataPoint)> {
        let mut ends = Vec::new();
        let generation = self.generation;
        self.series.retain(|_, series| {
            if series.generation == generation {
                return true;
            }
            if !series.ended {
                series.ended = true;
                let flags = DataPointFlags::NoRecordedValueMask as u32;
                let (attributes, time_unix_nano) = (series.attributes.clone(), moment.collected);
                ends.push((series.metric.clone(), NumberDataPoint { attributes, time_unix_nano, flags, ..Default::default() }));
            }
            // After a failed poll the series may come back; after a good one it is gone.
            !moment.good
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

fn points(metric: &mut Metric) -> &mut [NumberDataPoint] {
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => &mut gauge.data_points,
        Some(Data::Sum(sum)) => &mut sum.data_points,
        _ => &mut [],
    }
}

fn add(metrics: &mut Vec<Metric>, shell: Metric, point: NumberDataPoint) {
    let at = metrics.iter().position(|metric| metric.name == shell.name).unwrap_or_else(|| {
        metrics.push(shell);
        metrics.len() - 1
    });
    match &mut metrics[at].data {
        Some(Data::Gauge(gauge)) => gauge.data_points.push(point),
        Some(Data::Sum(sum)) => sum.data_points.push(point),
        _ => {}
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Value::AsInt(n)) => n as f64,
        Some(Value::AsDouble(n)) => n,
        None => 0.0,
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
