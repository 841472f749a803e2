//! The push: what is sent is what was read, however it is split, and no request is larger than a receiver takes.

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
use postmeter::export::otlp::{REQUEST_BYTES_MAX, Request, Told, requests, told};
use postmeter::model::{Native, Snapshot};
use postmeter::poll::{Reading, Tally};
use postmeter::telemetry::Identity;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of requests that are split smaller than any receiver asks for.
const SPLITS: [usize; 2] = [300, 2000];
/// The flag of a point that is the end of its series.
const ENDS: u32 = 1;

/// Of families of any kind: several readings of each of several targets.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let made = |u: &mut Unstructured<'_>| -> Result<Vec<Arc<Native>>> {
        (0..u.int_in_range(1..=3)?).map(|_| Ok(Arc::new(made::native(u)?))).collect()
    };
    if let Ok(natives) = made(&mut u) {
        holds(&natives);
    }
}

/// Of these, read one after the other from one target, and beside each other from several.
pub fn holds(natives: &[Arc<Native>]) {
    for temporality in [Temporality::Cumulative, Temporality::Delta, Temporality::LowMemory] {
        let mut state = SeriesState::new(temporality);
        let mut totals = BTreeMap::new();
        for (at, native) in natives.iter().enumerate() {
            let told = told_of("one", at, native, &mut state);
            let points = splits_agree(std::slice::from_ref(&told));
            if temporality == Temporality::Cumulative {
                is_what_was_read(&points, native);
            }
            deltas_add_up(&mut totals, &points, at.checked_sub(1).map(|before| &*natives[before]), native);
        }
    }
    let beside = natives.iter().enumerate().map(|(at, native)| told_of(&format!("target {at}"), 0, native, &mut SeriesState::default()));
    splits_agree(&beside.collect::<Vec<_>>());
}

/// Of one reading, as it is sent by default: for checks that have more to do.
pub fn is_sent(native: &Arc<Native>) {
    let told = told_of("one", 0, native, &mut SeriesState::default());
    is_what_was_read(&splits_agree(&[told]), native);
}

/// A good reading, a minute after the one before it.
fn told_of(name: &str, at: usize, native: &Arc<Native>, state: &mut SeriesState) -> Told {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 60 * at as u64);
    let (began, ended) = (Instant::now(), Instant::now());
    let (native, outcome, tally) = (native.clone(), Ok(Snapshot::default()), Tally::default());
    let reading = Reading { at, began, ended, outcome, native, parts: Vec::new(), body_bytes: 0, tally, tally_since: at };
    told(&Default::default(), "kumomta", &reading, &Identity::new("kumomta", name), state)
}

/// A point as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    target: String,
    delta: bool,
    ends: bool,
    series: Series,
}

/// All points, which are the same in any split.
fn splits_agree(all: &[Told]) -> Vec<Point> {
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
            let unknown = metric.metadata.iter().any(|said| said.key == "prometheus.type");
            let (kind, temporality) = match metric.data.as_ref().expect("data") {
                Data::Gauge(_) if unknown => ("Unknown", 2),
                Data::Gauge(_) => ("Gauge", 2),
                Data::Sum(sum) => {
                    assert!(sum.is_monotonic);
                    ("Counter", sum.aggregation_temporality)
                }
                Data::Histogram(histogram) => ("Histogram", histogram.aggregation_temporality),
                Data::Summary(_) => ("Summary", 2),
                Data::ExponentialHistogram(_) => panic!("nobody sends these"),
            };
            let mut add = |attributes: &[KeyValue], flags: u32, value: String| {
                let labels = labels(attributes);
                let series =
                    Series { family: metric.name.clone(), kind: kind.into(), help: metric.description.trim_ascii().into(), labels, value };
                let delta = temporality == AggregationTemporality::Delta as i32;
                all.push(Point { target: target.clone(), delta, ends: flags == ENDS, series });
            };
            match metric.data.as_ref().expect("data") {
                Data::Gauge(gauge) => gauge.data_points.iter().for_each(|p| add(&p.attributes, p.flags, number(p))),
                Data::Sum(sum) => sum.data_points.iter().for_each(|p| add(&p.attributes, p.flags, number(p))),
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
                        add(&p.attributes, p.flags, format!("{buckets:?} sum {sum} count {}", p.count));
                    }
                }
                Data::Summary(summary) => {
                    for p in &summary.data_points {
                        let quantiles = p.quantile_values.iter().map(|q| format!("{}:{}", said::number(q.quantile), said::number(q.value)));
                        let quantiles: Vec<String> = quantiles.collect();
                        add(&p.attributes, p.flags, format!("{quantiles:?} sum {} count {}", said::number(p.sum), p.count));
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

fn is_what_was_read(points: &[Point], native: &Native) {
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

/// By series: the sum of its deltas since it began, where that is known.
type Totals = BTreeMap<(String, Vec<(String, String)>), f64>;

/// What is left of a counter when its deltas are added up is its value; whole numbers only, for which sums are exact.
fn deltas_add_up(totals: &mut Totals, points: &[Point], before: Option<&Native>, now: &Native) {
    let counters = |native: &Native| -> BTreeMap<(String, Vec<(String, String)>), f64> {
        let counters = said::native(native).into_iter().filter(|series| series.kind == "Counter");
        counters.filter_map(|series| Some(((series.family, series.labels), series.value.parse().ok()?))).collect()
    };
    let deltas: BTreeMap<_, f64> = points
        .iter()
        .filter(|point| point.delta && !point.ends && point.series.kind == "Counter")
        .filter_map(|point| Some(((point.series.family.clone(), point.series.labels.clone()), point.series.value.parse().ok()?)))
        .collect();
    if points.iter().any(|point| !point.delta && !point.ends && point.series.kind == "Counter") {
        return;
    }
    let (earlier, now) = (before.map(counters).unwrap_or_default(), counters(now));
    let exact = |n: f64| n.fract() == 0.0 && n.abs() < 1e15;
    for (series, value) in now.iter().filter(|(_, value)| exact(**value)) {
        let Some(before) = before else {
            assert_eq!(deltas.get(series), None, "{series:?}: there is nothing to tell it from");
            totals.insert(series.clone(), *value);
            continue;
        };
        let delta = deltas.get(series).copied();
        match earlier.get(series) {
            Some(old) if exact(*old) && value >= old => {
                assert_eq!(delta, Some(value - old), "{series:?} of {points:?}");
                let total = totals.entry(series.clone()).or_insert(*old);
                *total += value - old;
                assert_eq!(total, value, "{series:?}");
            }
            // New, or begun anew.
            Some(old) if exact(*old) => {
                assert_eq!(delta, Some(*value), "{series:?}");
                totals.insert(series.clone(), *value);
            }
            // It may have been there, and left out.
            None if before.dropped > 0 || before.families().any(|family| family.is_thinned()) => {
                totals.insert(series.clone(), *value);
            }
            None => {
                assert_eq!(delta, Some(*value), "{series:?}");
                totals.insert(series.clone(), *value);
            }
            Some(_) => {
                totals.remove(series);
            }
        }
    }
}
