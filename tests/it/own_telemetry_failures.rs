//! `telemetry.otlp` at the border: failures are logged, and the exported spans and log records are valid OTLP.
#![allow(clippy::unwrap_used)]

use crate::support::closed_port::ClosedPort;
use crate::support::program::Program;
use crate::support::raw_receiver::{Part, RawReceiver};
use crate::support::wait_until;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const TIMEOUT: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cr3t-c0ffee";

/// A configuration with a target that does not respond, and with these keys of `telemetry.otlp`.
fn config(otlp: &str) -> (String, ClosedPort) {
    let port = ClosedPort::new();
    let target = format!("{{name: down, system: prometheus, url: \"http://{}\", min_interval: 1s}}", port.address);
    let export = "export: {prometheus: {listen: \"127.0.0.1:0\"}}";
    (format!("targets: [{target}]\n{export}\ntelemetry: {{otlp: {{interval: 1s, {otlp}}}}}\n"), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_is_logged_once_for_each_signal_and_without_secrets() {
    let rejection = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "3"), ("grpc-message", SECRET)];
    let headers = rejection.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
    let receiver = RawReceiver::grpc(vec![Part::Headers(headers, true)]).await;
    let (rejecting, _down) = config(&format!("endpoint: \"http://{}?key={SECRET}\", headers: {{x-key: {SECRET}}}", receiver.address));
    let closed = ClosedPort::new();
    let (unreachable, _also_down) = config(&format!("endpoint: \"http://{}\"", closed.address));
    for (config, cause) in [(rejecting, "gRPC status InvalidArgument; check telemetry.otlp"), (unreachable, "Connection refused")] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::spawn_with(folder.path(), &config, &[]);
        // A scrape has a span.
        let url = program.base_url().await;
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        client.get(format!("{url}/metrics")).send().await.unwrap();
        let lines = |signal: &str| {
            let begins = format!("export of Postmeter's own {signal} failed: ");
            program.log().into_iter().filter(|line| line.contains(&begins)).collect::<Vec<_>>()
        };
        for signal in ["metrics", "logs", "traces"] {
            wait_until(|| !lines(signal).is_empty(), TIMEOUT, "the failure is logged").await;
            let lines = lines(signal);
            assert!(lines.len() == 1 && lines[0].contains(cause) && lines[0].contains("WARN"), "{lines:#?}");
        }
        let log = program.log().join("\n");
        assert!(!log.contains(SECRET), "{log}");
        tokio::task::spawn_blocking(move || program.end()).await.unwrap();
    }
}

#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<Span>>>,
    records: Arc<Mutex<Vec<LogRecord>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(&self, request: Request<ExportLogsServiceRequest>) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        self.records.lock().unwrap().extend(scopes.flat_map(|scope| scope.log_records));
        Ok(Response::new(Default::default()))
    }
}

#[track_caller]
fn has_unique_keys(attributes: &[KeyValue]) {
    let keys: HashSet<&str> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys.len(), attributes.len(), "{attributes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_log_records_are_valid_and_failed_polls_are_errors() {
    let receiver = Receiver::default();
    let incoming = TcpIncoming::bind(ANY).unwrap();
    let url = format!("http://{}", incoming.local_addr().unwrap());
    let server = Server::builder()
        .add_service(TraceServiceServer::new(receiver.clone()).accept_compressed(CompressionEncoding::Gzip))
        .add_service(LogsServiceServer::new(receiver.clone()).accept_compressed(CompressionEncoding::Gzip))
        .serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let (config, _down) = config(&format!("endpoint: \"{url}\", metrics: false"));
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::spawn_with(folder.path(), &config, &[]);
    let pull = program.base_url().await;
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    client.get(format!("{pull}/metrics")).send().await.unwrap();
    tokio::task::spawn_blocking(move || program.end()).await.unwrap();
    let spans = receiver.spans.lock().unwrap().clone();
    let polls: Vec<&Span> = spans.iter().filter(|span| span.name == "poll").collect();
    assert!(!polls.is_empty());
    for poll in polls {
        has_unique_keys(&poll.attributes);
        assert!(poll.attributes.iter().any(|attribute| attribute.key == "target" && format!("{:?}", attribute.value).contains("\"down\"")));
        let status = poll.status.clone().unwrap();
        assert!(status.code() == StatusCode::Error && status.message.contains("Connection refused"), "{status:?}");
    }
    spans.iter().flat_map(|span| &span.events).for_each(|event| has_unique_keys(&event.attributes));
    let records = receiver.records.lock().unwrap().clone();
    assert!(!records.is_empty());
    for record in records {
        has_unique_keys(&record.attributes);
        assert!(record.time_unix_nano > 0 && record.observed_time_unix_nano > 0 && record.event_name.is_empty(), "{record:?}");
    }
    server.abort();
}
