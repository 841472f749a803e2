//! The splitting of requests that are too large.

use super::*;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint, SummaryDataPoint};
use opentelemetry_proto::tonic::resource::v1::Resource;

fn numbers(from: u64, count: u64) -> Vec<NumberDataPoint> {
    (from..from + count).map(|time_unix_nano| NumberDataPoint { time_unix_nano, ..Default::default() }).collect()
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), unit: "s".to_owned(), data: Some(data), ..Default::default() }
}

fn resource(name: &str) -> Option<Resource> {
    let attributes = vec![KeyValue { key: name.to_owned(), ..Default::default() }];
    Some(Resource { attributes, ..Default::default() })
}

fn scope(name: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: name.to_owned(), ..Default::default() })
}

/// A request with all kinds of points, in two resources. Each point has a different time.
fn metrics() -> ExportMetricsServiceRequest {
    let histogram = |time_unix_nano| HistogramDataPoint { time_unix_nano, bucket_counts: vec![1, 2, 3], ..Default::default() };
    let summary = |time_unix_nano| SummaryDataPoint { time_unix_nano, ..Default::default() };
    let first = vec![
        metric("gauge", Data::Gauge(Gauge { data_points: numbers(0, 7) })),
        metric("sum", Data::Sum(Sum { data_points: numbers(7, 5), aggregation_temporality: 2, is_monotonic: true })),
        metric("histogram", Data::Histogram(Histogram { data_points: (12..15).map(histogram).collect(), aggregation_temporality: 1 })),
    ];
    let second = vec![
        metric("summary", Data::Summary(Summary { data_points: (15..18).map(summary).collect() })),
        metric("gauge", Data::Gauge(Gauge { data_points: numbers(18, 1) })),
    ];
    let with_resource = |name: &str, metrics: Vec<Metric>| ResourceMetrics {
        resource: resource(name),
        scope_metrics: vec![ScopeMetrics { scope: scope(name), metrics, schema_url: "scope".to_owned() }],
        schema_url: "resource".to_owned(),
    };
    ExportMetricsServiceRequest { resource_metrics: vec![with_resource("a", first), with_resource("b", second)] }
}

/// Each point with its resource, scope and metric.
fn flat(request: &ExportMetricsServiceRequest) -> Vec<String> {
    let mut all = Vec::new();
    for resource in &request.resource_metrics {
        for scope in &resource.scope_metrics {
            for metric in &scope.metrics {
                for at in 0..metric_points(metric) {
                    let (_, tail) = split_points(metric.clone(), at);
                    let (one, _) = split_points(tail, 1);
                    all.push(format!("{:?} {} {:?} {} {one:?}", resource.resource, resource.schema_url, scope.scope, scope.schema_url));
                }
            }
        }
    }
    all
}

#[test]
fn parts_contain_every_point_once_and_in_order() {
    let whole = metrics();
    let bytes = whole.encode_to_vec();
    for bytes_max in [1, 100, 200, 400, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
        let parts = split(Signal::Metrics, &bytes, bytes_max);
        let decoded: Vec<_> = parts.iter().map(|part| ExportMetricsServiceRequest::decode(&part.bytes[..]).unwrap()).collect();
        let all: Vec<_> = decoded.iter().flat_map(flat).collect();
        assert_eq!(all, flat(&whole), "{bytes_max}");
        for (part, decoded) in parts.iter().zip(&decoded) {
            assert_eq!(part.points, decoded.count() as u64);
            assert!(part.points == 1 || part.bytes.len() <= bytes_max, "{bytes_max}: {part:?}");
        }
    }
    assert_eq!(split(Signal::Metrics, &bytes, 1).len(), 19);
    assert_eq!(split(Signal::Metrics, &bytes, bytes.len()).len(), 1);
}

#[test]
fn parts_of_logs_contain_every_record_once_and_in_order() {
    let records = |from, to| (from..to).map(|time_unix_nano| LogRecord { time_unix_nano, ..Default::default() }).collect();
    let with_resource = |name: &str, log_records| ResourceLogs {
        resource: resource(name),
        scope_logs: vec![ScopeLogs { scope: scope(name), log_records, schema_url: String::new() }],
        schema_url: String::new(),
    };
    let whole = ExportLogsServiceRequest { resource_logs: vec![with_resource("a", records(0, 9)), with_resource("b", records(9, 21))] };
    let bytes = whole.encode_to_vec();
    for bytes_max in [1, 60, bytes.len() / 2, bytes.len()] {
        let mut times = Vec::new();
        for part in split(Signal::Logs, &bytes, bytes_max) {
            let decoded = ExportLogsServiceRequest::decode(&part.bytes[..]).unwrap();
            assert!(part.points == decoded.count() as u64 && (part.points == 1 || part.bytes.len() <= bytes_max));
            for resource in &decoded.resource_logs {
                let name = &resource.resource.as_ref().unwrap().attributes[0].key;
                for record in &resource.scope_logs[0].log_records {
                    assert_eq!(record.time_unix_nano < 9, name == "a");
                    times.push(record.time_unix_nano);
                }
            }
        }
        assert_eq!(times, (0..21).collect::<Vec<_>>(), "{bytes_max}");
    }
}

#[test]
fn a_single_point_and_an_unreadable_request_are_not_split() {
    let one = metric("one", Data::Gauge(Gauge { data_points: numbers(0, 1) }));
    let scope_metrics = vec![ScopeMetrics { metrics: vec![one], ..Default::default() }];
    let request = ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] };
    assert_eq!(split(Signal::Metrics, &request.encode_to_vec(), 1).len(), 1);
    assert!(split(Signal::Metrics, b"\xff\xff", 1).is_empty());
}
