//! The push: the points are those that were read, for any split of requests, and no request exceeds its limit.

use super::generators;
use super::grammar::{self, Series};
use super::history::{self, History, TestPoll};
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, NumberDataPoint, number_data_point};
use postmeter::config::Temporality;
use postmeter::export::SeriesState;
use postmeter::export::otlp::{EncodedRequest, REQUEST_BYTES_MAX, TargetMetrics, requests};
use postmeter::model::{Repair, Repairs, SelectedFamilies, Snapshot};
use postmeter::poll::{PollError, Reading, Tally};
use postmeter::telemetry::Identity;
use prost::Message;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Limits of requests in bytes, smaller than those of any receiver.
const SPLITS: [usize; 2] = [300, 2000];
/// The flag of a point that ends its series.
const ENDS: u32 = 1;

/// Checks arbitrary families: several polls of one target, and several targets in one request.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let generate = |u: &mut Unstructured<'_>| -> Result<Vec<Arc<SelectedFamilies>>> {
        (0..u.int_in_range(1..=3)?).map(|_| Ok(Arc::new(generators::native(u)?))).collect()
    };
    let Ok(natives) = generate(&mut u) else { return };
    if let Ok(polls) = history::polls(&mut u, &natives) {
        check_polls(&natives, &polls);
    }
}

/// Checks the polls of one target, and the readings as those of several targets.
fn check_polls(natives: &[Arc<SelectedFamilies>], polls: &[TestPoll]) {
    for temporality in [Temporality::Cumulative, Temporality::Delta, Temporality::LowMemory] {
        let mut state = SeriesState::new(temporality);
        let mut history = History::new(temporality);
        for poll in polls {
            let metrics = encode_poll("one", poll, &mut state);
            let points = check_splits(std::slice::from_ref(&metrics));
            if let Some(native) = poll.native.as_ref().filter(|_| temporality == Temporality::Cumulative) {
                check_against_reading(&points, native);
            }
            history.add(poll, &points);
        }
    }
    let targets = natives
        .iter()
        .enumerate()
        .map(|(at, native)| encode_poll(&format!("target {at}"), &TestPoll::first(native), &mut SeriesState::default()));
    check_splits(&targets.collect::<Vec<_>>());
}

/// Checks one reading with the default configuration.
pub fn check_sent(native: &Arc<SelectedFamilies>) {
    let metrics = encode_poll("one", &TestPoll::first(native), &mut SeriesState::default());
    check_against_reading(&check_splits(&[metrics]), native);
}

/// Encodes a poll of a target.
fn encode_poll(name: &str, poll: &TestPoll, state: &mut SeriesState) -> TargetMetrics {
    let (at, began, ended) = (time(poll.at), Instant::now(), Instant::now());
    let mut repairs = Repairs::default();
    repairs.add(Repair::Unreadable, u64::from(!poll.complete));
    // An invalid value of a canonical metric hides no native series.
    repairs.add(Repair::NonFinite, poll.at / 60_000_000_000 % 2);
    let (may_lack_series, counters_since) = (!poll.complete, poll.since.map(time));
    let snapshot = Snapshot { repairs, may_lack_series, counters_since, ..Snapshot::default() };
    let outcome = poll.native.as_ref().map(|_| snapshot).ok_or(PollError::Timeout(Duration::ZERO));
    let (native, tally) = (poll.native.clone().unwrap_or_default(), Tally::default());
    let reading = Reading { at, began, ended, outcome, native, parts: Vec::new(), body_bytes: 0, tally, tally_since: at };
    TargetMetrics::new(&Identity::new("kumomta", name), state.report(Vec::new(), "kumomta", &reading, None))
}

fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// A decoded point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub target: String,
    pub delta: bool,
    pub ends: bool,
    pub series: Series,
    /// 0 if unset.
    pub start: u64,
    pub time: u64,
}

/// Checks that all splits have the same points, and returns them.
fn check_splits(all: &[TargetMetrics]) -> Vec<Point> {
    let whole = sent(&requests(all, usize::MAX).collect::<Vec<_>>());
    let usual: Vec<EncodedRequest> = requests(all, REQUEST_BYTES_MAX).collect();
    assert!(usual.iter().all(|request| request.bytes.len() <= REQUEST_BYTES_MAX), "a request is too large");
    assert_eq!(sent(&usual), whole);
    for bytes_max in SPLITS {
        let split: Vec<EncodedRequest> = requests(all, bytes_max).collect();
        for request in &split {
            assert!(request.points == 1 || request.bytes.len() <= bytes_max, "{} points in {} bytes", request.points, request.bytes.len());
        }
        assert_eq!(split.iter().map(|request| request.points).sum::<u64>(), whole.len() as u64);
        assert_eq!(sent(&split), whole, "in requests of {bytes_max} bytes");
    }
    whole
}

fn sent(requests: &[EncodedRequest]) -> Vec<Point> {
    let mut all = Vec::new();
    for request in requests {
        let before = all.len();
        points(&request.bytes, &mut all);
        assert_eq!((all.len() - before) as u64, request.points, "the number of points differs");
    }
    all.sort();
    all
}

fn points(bytes: &Bytes, all: &mut Vec<Point>) {
    let request = ExportMetricsServiceRequest::decode(bytes.clone()).expect("protobuf");
    assert!(!request.resource_metrics.is_empty(), "an empty request");
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
                            format!("{}:{below}", grammar::number(*bound))
                        });
                        let buckets: Vec<String> = buckets.collect();
                        let sum = p.sum.map_or("none".to_owned(), grammar::number);
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
                        let quantiles =
                            p.quantile_values.iter().map(|q| format!("{}:{}", grammar::number(q.quantile), grammar::number(q.value)));
                        let quantiles: Vec<String> = quantiles.collect();
                        add(
                            &p.attributes,
                            p.flags,
                            (p.start_time_unix_nano, p.time_unix_nano),
                            format!("{quantiles:?} sum {} count {}", grammar::number(p.sum), p.count),
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
            grammar::number(*n)
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
    assert!(labels.windows(2).all(|pair| pair[0].0 != pair[1].0), "duplicate attribute: {labels:?}");
    labels
}

fn check_against_reading(points: &[Point], native: &SelectedFamilies) {
    // Of points with explicit timestamps only recent ones are sent.
    if native.has_timestamps() {
        return;
    }
    let found: Vec<Series> = points.iter().filter(|point| !point.ends).map(|point| point.series.clone()).collect();
    let mut read = grammar::pushed(native);
    // OTLP has no point without a value, and no summary without a sum, which is NaN if it is unknown, and a count.
    read.retain(|series| series.value != "NaN");
    for series in read.iter_mut().filter(|series| series.kind == "Summary") {
        let (quantiles, rest) = series.value.split_once(" sum ").expect("a sum");
        let (sum, count) = rest.split_once(" count ").expect("a count");
        let count = count.trim_start_matches("Some(").trim_end_matches(')');
        let (sum, count) = (if sum == "none" { "NaN" } else { sum }, if count == "None" { "0" } else { count });
        series.value = format!("{quantiles} sum {sum} count {count}");
    }
    for series in read.iter_mut().filter(|series| series.kind == "Histogram") {
        // A sum that is NaN is unknown.
        series.value = series.value.replace(" sum NaN ", " sum none ");
    }
    read.sort();
    let mut found = found;
    found.sort();
    assert_eq!(found, read);
}
