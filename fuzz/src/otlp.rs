//! The push: what is sent is what was read, however it is split, and no request is larger than a receiver takes.

use super::history::{self, History, Turn};
use super::made;
use super::said::{self, Series};
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, NumberDataPoint, number_data_point};
use postmeter::config::Temporality;
use postmeter::export::SeriesState;
use postmeter::export::otlp::{REQUEST_BYTES_MAX, Request, TargetMetrics, requests, told};
use postmeter::model::{Repair, Repairs, SelectedFamilies, Snapshot};
use postmeter::poll::{PollError, Reading, Tally};
use postmeter::telemetry::Identity;
use prost::Message;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of requests that are split smaller than any receiver asks for.
const SPLITS: [usize; 2] = [300, 2000];
/// The flag of a point that is the end of its series.
const ENDS: u32 = 1;

/// Of families of any kind: several readings of each of several targets.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let made = |u: &mut Unstructured<'_>| -> Result<Vec<Arc<SelectedFamilies>>> {
        (0..u.int_in_range(1..=3)?).map(|_| Ok(Arc::new(made::native(u)?))).collect()
    };
    let Ok(natives) = made(&mut u) else { return };
    if let Ok(turns) = history::turns(&mut u, &natives) {
        holds(&natives, &turns);
    }
}

/// Of these, in turns of one target, and beside each other from several.
fn holds(natives: &[Arc<SelectedFamilies>], turns: &[Turn]) {
    for temporality in [Temporality::Cumulative, Temporality::Delta, Temporality::LowMemory] {
        let mut state = SeriesState::new(temporality);
        let mut history = History::default();
        for turn in turns {
            let told = told_of("one", turn, &mut state);
            let points = splits_agree(std::slice::from_ref(&told));
            if let Some(native) = turn.native.as_ref().filter(|_| temporality == Temporality::Cumulative) {
                is_what_was_read(&points, native);
            }
            history.take(turn, &points);
        }
    }
    let beside =
        natives.iter().enumerate().map(|(at, native)| told_of(&format!("target {at}"), &Turn::first(native), &mut SeriesState::default()));
    splits_agree(&beside.collect::<Vec<_>>());
}

/// Of one reading, as it is sent by default: for checks that have more to do.
pub fn is_sent(native: &Arc<SelectedFamilies>) {
    let told = told_of("one", &Turn::first(native), &mut SeriesState::default());
    is_what_was_read(&splits_agree(&[told]), native);
}

fn told_of(name: &str, turn: &Turn, state: &mut SeriesState) -> TargetMetrics {
    let (at, began, ended) = (time(turn.at), Instant::now(), Instant::now());
    let mut repairs = Repairs::default();
    repairs.add(Repair::Unreadable, u64::from(!turn.complete));
    let snapshot = Snapshot { repairs, counters_since: turn.since.map(time), ..Snapshot::default() };
    let outcome = turn.native.as_ref().map(|_| snapshot).ok_or(PollError::Timeout(Duration::ZERO));
    let (native, tally) = (turn.native.clone().unwrap_or_default(), Tally::default());
    let reading = Reading { at, began, ended, outcome, native, parts: Vec::new(), body_bytes: 0, tally, tally_since: at };
    told(Vec::new(), "kumomta", &reading, &Identity::new("kumomta", name), state)
}

fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// A point as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub target: String,
    pub delta: bool,
    pub ends: bool,
    pub series: Series,
    /// 0 is unset.
    pub start: u64,
    pub time: u64,
}

/// All points, which are the same in any split.
fn splits_agree(all: &[TargetMetrics]) -> Vec<Point> {
    let whole = sent(&requests(all, usize::MAX).collect::<Vec<_>>());
    let usual: Vec<Request> = requests(all, REQUEST_BYTES_MAX).collect();
    assert!(usual.iter().all(|request| request.bytes.len() <= REQUEST_BYTES_MAX), "a request is too large");
    assert_eq!(sent(&usual), whole);
    for bytes_max in SPLITS {
        let split: Vec<Request> = requests(all, bytes_max).collect();
        for request in &split {
            assert!(request.points == 1 || request.bytes.len() <= bytes_max, "{} points in {} bytes", request.points, request.bytes.len());
        }
        assert_eq!(split.iter().map(|request| request.points).sum::<u64>(), whole.len() as u64);
        assert_eq!(sent(&split), whole, "in requests of {bytes_max} bytes");
    }
    whole
}

fn sent(requests: &[Request]) -> Vec<Point> {
    let mut all = Vec::new();
    for request in requests {
        let before = all.len();
        points(&request.bytes, &mut all);
        assert_eq!((all.len() - before) as u64, request.points, "points are counted");
    }
    all.sort();
    all
}

fn points(bytes: &Bytes, all: &mut Vec<Point>) {
    let request = ExportMetricsServiceRequest::decode(bytes.clone()).expect("protobuf");
    assert!(!request.resource_metrics.is_empty(), "a request without anything");
    for of_target in request.resource_metrics {
        let resource = labels(&of_target.resource.expect("a resource").attributes);
        let target = resource.into_iter().find(|(key, _)| key == "service.instance.id").expect("an instance").1;
        for metric in of_target.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let of = labels(&metric.metadata).into_iter().find(|(key, _)| key == "prometheus.type").map(|(_, of)| of);
            let (kind, temporality) = match (metric.data.as_ref().expect("data"), of.as_deref().expect("a type")) {
                (Data::Gauge(_), "unknown") => ("Unknown", 2),
                (Data::Gauge(_), "gauge") => ("Gauge", 2),
                (Data::Sum(sum), "counter") if sum.is_monotonic => ("Counter", sum.aggregation_temporality),
                (Data::Sum(sum), "info") if !sum.is_monotonic => ("Info", sum.aggregation_temporality),
                (Data::Sum(sum), "stateset") if !sum.is_monotonic => ("StateSet", sum.aggregation_temporality),
                (Data::Histogram(histogram), "histogram") => ("Histogram", histogram.aggregation_temporality),
                (Data::Summary(_), "summary") => ("Summary", 2),
                (data, of) => panic!("{of} as {data:?}"),
            };
            let mut add = |attributes: &[KeyValue], flags: u32, (start, time): (u64, u64), value: String| {
                let labels = labels(attributes);
                let series =
                    Series { family: metric.name.clone(), kind: kind.into(), help: metric.description.trim_ascii().into(), labels, value };
                let delta = temporality == AggregationTemporality::Delta as i32;
                all.push(Point { target: target.clone(), delta, ends: flags == ENDS, series, start, time });
            };
            match metric.data.as_ref().expect("data") {
                Data::Gauge(gauge) => gauge
                    .data_points
                    .iter()
                    .for_each(|p| add(&p.attributes, p.flags, (p.start_time_unix_nano, p.time_unix_nano), number(p))),
                Data::Sum(sum) => {
                    sum.data_points.iter().for_each(|p| add(&p.attributes, p.flags, (p.start_time_unix_nano, p.time_unix_nano), number(p)))
                }
                Data::Histogram(histogram) => {
                    for p in &histogram.data_points {
                        if p.flags == 0 {
                            assert_eq!(p.bucket_counts.len(), p.explicit_bounds.len() + 1);
                            assert_eq!(p.bucket_counts.iter().sum::<u64>(), p.count);
                            assert!(p.explicit_bounds.windows(2).all(|pair| pair[0] < pair[1]));
                        }
                        let mut below = 0;
                        let buckets = p.explicit_bounds.iter().zip(&p.bucket_counts).map(|(bound, count)| {
                            below += count;
                            format!("{}:{below}", said::number(*bound))
                        });
                        let buckets: Vec<String> = buckets.collect();
                        let sum = p.sum.map_or("none".to_owned(), said::number);
                        add(
                            &p.attributes,
                            p.flags,
                            (p.start_time_unix_nano, p.time_unix_nano),
                            format!("{buckets:?} sum {sum} count {}", p.count),
                        );
                    }
                }
                Data::Summary(summary) => {
                    for p in &summary.data_points {
                        let quantiles = p.quantile_values.iter().map(|q| format!("{}:{}", said::number(q.quantile), said::number(q.value)));
                        let quantiles: Vec<String> = quantiles.collect();
                        add(
                            &p.attributes,
                            p.flags,
                            (p.start_time_unix_nano, p.time_unix_nano),
                            format!("{quantiles:?} sum {} count {}", said::number(p.sum), p.count),
                        );
                    }
                }
                Data::ExponentialHistogram(_) => {}
            }
        }
    }
}

fn number(point: &NumberDataPoint) -> String {
    match (point.flags, &point.value) {
        (ENDS, None) => String::new(),
        (0, Some(number_data_point::Value::AsDouble(n))) => {
            assert!(!n.is_nan(), "a point without a value");
            said::number(*n)
        }
        other => panic!("{other:?}"),
    }
}

fn labels(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    let mut labels: Vec<(String, String)> = attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect();
    labels.sort();
    assert!(labels.windows(2).all(|pair| pair[0].0 != pair[1].0), "an attribute twice: {labels:?}");
    labels
}

fn is_what_was_read(points: &[Point], native: &SelectedFamilies) {
    // Of those with explicit timestamps, only recent ones are sent.
    if native.has_timestamps() {
        return;
    }
    let found: Vec<Series> = points.iter().filter(|point| !point.ends).map(|point| point.series.clone()).collect();
    let mut read = said::native(native);
    // OTLP has no point without a value, and no summary without sum and count.
    read.retain(|series| series.value != "NaN");
    for series in read.iter_mut().filter(|series| series.kind == "Summary") {
        let (quantiles, rest) = series.value.split_once(" sum ").expect("a sum");
        let (sum, count) = rest.split_once(" count ").expect("a count");
        let count = count.trim_start_matches("Some(").trim_end_matches(')');
        let (sum, count) = (if sum == "none" { "0.0" } else { sum }, if count == "None" { "0" } else { count });
        series.value = format!("{quantiles} sum {sum} count {count}");
    }
    read.sort();
    let mut found = found;
    found.sort();
    assert_eq!(found, read);
}
