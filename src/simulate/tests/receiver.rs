//! The simulated collector over gRPC.

use super::*;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tonic::codec::CompressionEncoding;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn request(target: &str, points: usize) -> ExportMetricsServiceRequest {
    let gauge = Gauge { data_points: vec![NumberDataPoint { time_unix_nano: 1, ..NumberDataPoint::default() }; points] };
    let metric = Metric { name: "mail.up".into(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = Resource { attributes: vec![attribute("service.instance.id", target)], ..Resource::default() };
    let resource_metrics = ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

#[tokio::test]
async fn the_receiver_counts_rejects_and_accepts_more_than_four_mebibytes() {
    let receiver = Receiver::start(ANY.parse().unwrap()).await.unwrap();
    let client = MetricsServiceClient::connect(receiver.url()).await.unwrap();
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let mut first = tonic::Request::new(request("mta1", 3));
    first.metadata_mut().insert("x-tenant", "a".parse().unwrap());
    client.export(first).await.unwrap();
    assert_eq!(receiver.last_metadata().unwrap().get("x-tenant").unwrap(), "a");
    receiver.fail_with(Some(tonic::Status::unavailable("full")));
    assert_eq!(client.export(request("mta2", 1)).await.unwrap_err().code(), tonic::Code::Unavailable);
    receiver.fail_with(None);
    assert!(!receiver.wait_for(|requests| requests.len() == 2, Duration::from_millis(30)).await);
    let send = async { client.export(request("mta3", 600_000)).await.unwrap() };
    let (arrived, _) = tokio::join!(receiver.wait_for(|requests| requests.len() == 2, Duration::from_secs(20)), send);
    assert!(arrived);
    assert_eq!((receiver.count(), receiver.refused(), receiver.points()), (2, 1, 600_003));
    assert_eq!(receiver.targets().into_iter().collect::<Vec<_>>(), ["mta1", "mta3"]);
    assert!(receiver.largest() > 4 * 1024 * 1024, "{}", receiver.largest());
    receiver.shutdown().await;
    assert!(client.export(request("mta1", 1)).await.is_err());
}

#[tokio::test]
async fn a_counting_receiver_keeps_nothing() {
    let receiver = Receiver::start_counting(ANY.parse().unwrap()).await.unwrap();
    let mut client = MetricsServiceClient::connect(receiver.url()).await.unwrap();
    client.export(request("mta1", 3)).await.unwrap();
    let records = vec![LogRecord { attributes: vec![attribute("log.record.uid", "1")], ..LogRecord::default() }; 2];
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    let logs = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    LogsServiceClient::connect(receiver.url()).await.unwrap().export(logs).await.unwrap();
    assert_eq!((receiver.count(), receiver.points(), receiver.log_records()), (2, 3, 2));
    assert_eq!(receiver.targets().into_iter().collect::<Vec<_>>(), ["mta1"]);
    assert!(receiver.requests().is_empty() && receiver.log_requests().is_empty() && receiver.log_uids().is_empty());
    receiver.shutdown().await;
}
