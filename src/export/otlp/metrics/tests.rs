//! The encoding of a target's readings, one after the other.

use super::*;
use crate::config::Temporality;
use crate::export::otlp::native_metrics::NATIVE_SCOPE;
use crate::format::prometheus;
use crate::model::{
    Attributes, Families, FamilySelection, FamilyType, Histogram, LimitExceeded, Repair, Repairs, SelectedFamilies, Snapshot, Summary,
    Value,
};
use crate::poll::{PollError, Reading, Tally};
use crate::report::SeriesState;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint, number_data_point};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

mod clock;
mod created;
mod deltas;
mod ends;
mod random;
mod reloads;
mod start_times;
mod steps;
mod summaries;
mod timestamped;

use random::Random;
use start_times::TWO;
use steps::lines;

fn native(families: Families) -> Arc<SelectedFamilies> {
    Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())))
}

fn text(body: &str) -> Arc<SelectedFamilies> {
    // The reader rejects an empty body.
    if body.is_empty() { Arc::default() } else { native(prometheus::read(body.to_owned()).unwrap()) }
}

/// The snapshot of a reading with this body: its repairs.
fn snapshot(body: &str) -> Snapshot {
    let repairs = prometheus::read(body.to_owned()).map(|families| *families.repairs()).unwrap_or_default();
    Snapshot { repairs, may_lack_series: repairs.hide_series(), ..Snapshot::default() }
}

const SECOND: u64 = 1_000_000_000;

/// A reading at this time in seconds.
fn reading(at: u64, outcome: Result<Snapshot, PollError>, native: Arc<SelectedFamilies>) -> Reading {
    let (at, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(at), Instant::now());
    let (parts, tally) = (Vec::new(), Tally::default());
    Reading { at, began: now, ended: now, outcome, native, parts, body_bytes: 0, tally, tally_since: at }
}

fn target_metrics(name: &str, reading: &Reading, state: &mut SeriesState) -> TargetMetrics {
    TargetMetrics::new(&Identity::new("kumomta", name), state.report(Vec::new(), "kumomta", reading, None))
}

fn decoded(requests: &[EncodedRequest]) -> Vec<ExportMetricsServiceRequest> {
    requests.iter().map(|request| ExportMetricsServiceRequest::decode(request.bytes.clone()).unwrap()).collect()
}

type Series = (String, String, Vec<(String, String)>);

fn labels(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute).unwrap())).collect()
}

/// All exported points as text, by series.
fn sent(requests: &[EncodedRequest]) -> BTreeMap<Series, String> {
    let mut all = BTreeMap::new();
    for resource_metrics in decoded(requests).into_iter().flat_map(|request| request.resource_metrics) {
        let resource = labels(&resource_metrics.resource.unwrap().attributes);
        let target = resource.into_iter().find(|(key, _)| key == "service.instance.id").unwrap().1;
        for scope in resource_metrics.scope_metrics {
            for metric in scope.metrics {
                let mut add = |attributes: &[KeyValue], value: String| {
                    let about = format!("{} {:?} {:?}", metric.description, metric.metadata, scope.scope);
                    let series = (target.clone(), metric.name.clone(), labels(attributes));
                    let before = all.insert(series.clone(), value + &about);
                    assert!(before.is_none(), "exported twice: {series:?}");
                };
                match &metric.data {
                    Some(Data::Gauge(gauge)) => {
                        gauge.data_points.iter().for_each(|p| add(&p.attributes, format!("gauge {:?} {}", p.value, p.time_unix_nano)));
                    }
                    Some(Data::Sum(sum)) => {
                        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                        sum.data_points.iter().for_each(|p| add(&p.attributes, format!("sum {:?} {}", p.value, p.time_unix_nano)));
                    }
                    Some(Data::Histogram(histogram)) => {
                        assert_eq!(histogram.aggregation_temporality, 2);
                        let value = |p: &HistogramDataPoint| {
                            assert_eq!(p.bucket_counts.iter().sum::<u64>(), p.count);
                            format!("{} {:?} {:?} {:?}", p.count, p.sum, p.explicit_bounds, p.bucket_counts)
                        };
                        histogram.data_points.iter().for_each(|p| add(&p.attributes, value(p)));
                    }
                    Some(Data::Summary(summary)) => {
                        let quantiles =
                            |p: &SummaryDataPoint| p.quantile_values.iter().map(|q| (q.quantile, q.value)).collect::<Vec<(f64, f64)>>();
                        let value = |p: &SummaryDataPoint| format!("{} {:?} {:?}", p.count, p.sum, quantiles(p));
                        summary.data_points.iter().for_each(|p| add(&p.attributes, value(p)));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    all
}

/// The points that should be exported.
fn expected(target: &str, native: &SelectedFamilies, time: u64) -> BTreeMap<Series, String> {
    let mut all = BTreeMap::new();
    for family in native.families() {
        let kind = format!("{:?}", family.kind()).to_lowercase();
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(kind)) });
        let metadata = vec![KeyValue { key: "prometheus.type".into(), value, ..Default::default() }];
        let scope = opentelemetry_proto::tonic::common::v1::InstrumentationScope {
            name: NATIVE_SCOPE.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        for sample in family.samples() {
            let value = match sample.value() {
                Value::Number(n) if n.is_nan() => continue,
                Value::Number(n) => {
                    let data = if family.kind() == FamilyType::Counter { "sum" } else { "gauge" };
                    format!("{data} {:?} {time}", Some(number_data_point::Value::AsDouble(n)))
                }
                Value::Histogram(h) => {
                    let mut below = 0;
                    let each = |n: u64| n - std::mem::replace(&mut below, n);
                    let counts: Vec<u64> = h.cumulative.iter().copied().chain([h.count]).map(each).collect();
                    format!("{} {:?} {:?} {counts:?}", h.count, h.sum, h.bounds)
                }
                Value::Summary(s) => format!("{} {:?} {:?}", s.count.unwrap_or(0), s.sum.unwrap_or(0.0), s.quantiles),
            };
            let labels = sample.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let about = format!("{} {metadata:?} {:?}", family.help(), Some(&scope));
            all.insert((target.to_owned(), family.name().into_owned(), labels), value + &about);
        }
    }
    all
}

#[test]
fn every_split_exports_the_same_points() {
    let mut random = Random(1);
    for round in 0..60 {
        let mut all = Vec::new();
        let mut expected_points = BTreeMap::new();
        for target in 0..1 + random.next(3) {
            let native = native(random.families());
            let name = format!("t{target}");
            expected_points.extend(expected(&name, &native, 7 * SECOND));
            all.push(target_metrics(&name, &reading(7, Ok(Snapshot::default()), native), &mut SeriesState::default()));
        }
        for bytes_max in [1, 300, 1000, 5000, 20_000, usize::MAX] {
            let requests: Vec<EncodedRequest> = requests(&all, bytes_max).collect();
            assert_eq!(sent(&requests), expected_points, "round {round}, {bytes_max}");
            assert_eq!(requests.iter().map(|r| r.points).sum::<u64>(), expected_points.len() as u64);
            for (request, decoded) in requests.iter().zip(decoded(&requests)) {
                assert!(request.points == 1 || request.bytes.len() <= bytes_max, "round {round}, {bytes_max}");
                let mut targets: Vec<_> = decoded.resource_metrics.iter().map(|of| format!("{:?}", of.resource)).collect();
                targets.dedup();
                assert_eq!(targets.len(), decoded.resource_metrics.len(), "one ResourceMetrics per target");
            }
        }
    }
}

fn with_gauges(name: &str, metrics: usize, points: usize, native: &str) -> TargetMetrics {
    let point = |n: i64| NumberDataPoint { value: Some(number_data_point::Value::AsInt(n)), time_unix_nano: 1, ..Default::default() };
    let data = || Some(Data::Gauge(Gauge { data_points: (0..points as i64).map(point).collect() }));
    let metrics = (0..metrics).map(|n| Metric { name: format!("m{n}"), data: data(), ..Default::default() }).collect();
    let canonical = vec![ScopeMetrics { metrics, ..Default::default() }];
    TargetMetrics { canonical, ..target_metrics(name, &reading(7, Ok(Snapshot::default()), text(native)), &mut SeriesState::default()) }
}

#[test]
fn requests_stay_below_the_limit_and_contain_every_point() {
    let native: String = (0..200).map(|n| format!("queue{{domain=\"d{n}.example.com\"}} {n}\n")).collect();
    let all =
        [with_gauges("a", 3, 100, ""), with_gauges("b", 1, 1000, &native), with_gauges("c", 50, 1, "x 1\n"), with_gauges("d", 0, 0, "")];
    let points = |requests: &[EncodedRequest]| {
        let mut points = Vec::new();
        for resource_metrics in decoded(requests).into_iter().flat_map(|request| request.resource_metrics) {
            for metric in resource_metrics.scope_metrics.into_iter().flat_map(|s| s.metrics) {
                let Some(Data::Gauge(gauge)) = metric.data else { panic!("{metric:?}") };
                points.extend(gauge.data_points.iter().map(|p| format!("{:?} {} {:?}", resource_metrics.resource, metric.name, p)));
            }
        }
        points.sort();
        points
    };
    let whole: Vec<EncodedRequest> = requests(&all, usize::MAX).collect();
    let all_points = points(&whole);
    assert_eq!((all_points.len(), whole.len(), decoded(&whole)[0].resource_metrics.len()), (1551, 1, 3));
    for bytes_max in [250, 500, 1000, 5000, 20_000] {
        let requests: Vec<EncodedRequest> = requests(&all, bytes_max).collect();
        assert_eq!(points(&requests), all_points, "{bytes_max}");
        assert!(requests.iter().all(|r| r.bytes.len() <= bytes_max), "{bytes_max}");
        assert_eq!(requests.iter().map(|r| r.points).sum::<u64>(), 1551, "{bytes_max}");
    }
}

#[test]
fn canonical_histograms_are_exported_with_the_scalars() {
    use crate::model::vocabulary;
    let metric = vocabulary::ALL.iter().find(|metric| metric.kind == crate::model::Kind::Histogram).unwrap();
    let histogram = |count| Histogram { bounds: vec![0.5], cumulative: vec![1], count, sum: Some(2.5) };
    let mut state = SeriesState::default();
    let mut points_at = |at, count: Option<u64>| {
        let histograms = count.map(|count| (*metric, Attributes::new(), histogram(count))).into_iter().collect();
        let this = reading(at, Ok(Snapshot { histograms, ..Snapshot::default() }), Arc::default());
        let report = state.report(vec![ScopeMetrics::default()], "kumomta", &this, None);
        let metrics = report.canonical_ends.into_iter().chain(report.canonical).flat_map(|scope| scope.metrics);
        let points = metrics.flat_map(|metric| match metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points,
            other => panic!("{other:?}"),
        });
        points.map(|p| (labels(&p.attributes), p.count, p.bucket_counts, p.start_time_unix_nano / SECOND, p.flags)).collect::<Vec<_>>()
    };
    let system = || vec![("mail.system.name".to_owned(), "kumomta".to_owned())];
    assert_eq!(points_at(1, Some(3)), [(system(), 3, vec![1, 2], 0, 0)]);
    assert_eq!(points_at(2, Some(2)), [(system(), 2, vec![1, 1], 1, 0)]);
    assert_eq!(points_at(3, None), [(system(), 0, vec![0, 0], 0, 1)]);
    assert_eq!(points_at(4, None), []);
    // The series resumes.
    assert_eq!(points_at(5, Some(4)), [(system(), 4, vec![1, 3], 1, 0)]);
    assert_eq!(points_at(6, None), [(system(), 0, vec![0, 0], 0, 1)]);
    assert_eq!(points_at(7, Some(1)), [(system(), 1, vec![1, 0], 5, 0)]);
    assert_eq!(points_at(8, None), [(system(), 0, vec![0, 0], 0, 1)]);
    assert_eq!(points_at(4000, Some(2)), [(system(), 2, vec![1, 1], 5, 0)]);
}

#[test]
fn the_last_push_exports_no_ends() {
    let mut state = SeriesState::default();
    target_metrics("t", &reading(10, Ok(Snapshot::default()), text(TWO)), &mut state);
    let last = target_metrics("t", &reading(20, Ok(Snapshot::default()), text("# TYPE c counter\nc{l=\"b\"} 7\n")), &mut state);
    assert_eq!(lines(last.without_ends()), ["c{b} 7"]);
    let end = NumberDataPoint { flags: 1, ..Default::default() };
    let metric = Metric { data: Some(Data::Gauge(Gauge { data_points: vec![end] })), ..Default::default() };
    let canonical_ends = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let last = TargetMetrics { canonical_ends, ..target_metrics("u", &reading(20, Ok(Snapshot::default()), text("")), &mut state) };
    assert_eq!(requests(&[last.without_ends()], usize::MAX).count(), 0);
}

#[test]
fn a_resource_is_encoded_as_its_message() {
    let text =
        "targets: [{name: mta1, system: kumomta, url: 'http://mta1.example.com:8000', resource: {a: '', long: '@', server.port: '@'}}]";
    for (long, port) in [("x", "25"), (&*"y".repeat(200), "not a number"), (&*"z".repeat(70_000), "-1")] {
        let text = text.replacen('@', long, 1).replace('@', port);
        let config = crate::config::parse(&text, "test.yaml", &crate::config::Environment::default()).unwrap();
        let identity = Identity::of(&config.targets[0]);
        for (field, keeps) in [(resource_field(&identity), false), (identity_field(&identity), true)] {
            let mut expected = resource(&identity);
            expected.attributes.retain(|attribute| !keeps || Identity::IN_LABELS.contains(&attribute.key.as_str()));
            assert!(expected.attributes.len() >= 2);
            let metrics = opentelemetry_proto::tonic::metrics::v1::ResourceMetrics::decode(&*field).unwrap();
            assert_eq!((metrics.resource, metrics.schema_url), (Some(expected), SCHEMA_URL.to_owned()), "{port}");
        }
    }
}
