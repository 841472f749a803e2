//! An OTLP/gRPC receiver of Postmeter's own traces, log records and metrics.
#![allow(clippy::unwrap_used, dead_code, reason = "not every test binary uses everything")]

use super::ANY;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A receiver. It stops when it is dropped.
pub struct TelemetryReceiver {
    url: String,
    received: Received,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

#[derive(Clone, Default)]
struct Received {
    traces: Arc<Mutex<Vec<ResourceSpans>>>,
    logs: Arc<Mutex<Vec<ResourceLogs>>>,
    metrics: Arc<Mutex<Vec<ResourceMetrics>>>,
}

impl TelemetryReceiver {
    pub fn start() -> Self {
        let received = Received::default();
        let incoming = TcpIncoming::bind(ANY).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let server = Server::builder()
            .add_service(TraceServiceServer::new(received.clone()).accept_compressed(Gzip))
            .add_service(LogsServiceServer::new(received.clone()).accept_compressed(Gzip))
            .add_service(MetricsServiceServer::new(received.clone()).accept_compressed(Gzip))
            .serve_with_incoming(incoming);
        Self { url, received, task: tokio::spawn(server) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The resources of traces.
    pub fn resources(&self) -> Vec<Resource> {
        self.received.traces.lock().iter().filter_map(|of_resource| of_resource.resource.clone()).collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let traces = self.received.traces.lock();
        traces.iter().flat_map(|of_resource| &of_resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    pub fn log_records(&self) -> Vec<LogRecord> {
        let logs = self.received.logs.lock();
        logs.iter().flat_map(|of_resource| &of_resource.scope_logs).flat_map(|scope| scope.log_records.clone()).collect()
    }

    pub fn metrics(&self) -> Vec<Metric> {
        let metrics = self.received.metrics.lock();
        metrics.iter().flat_map(|of_resource| &of_resource.scope_metrics).flat_map(|scope| scope.metrics.clone()).collect()
    }
}

impl Drop for TelemetryReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().extend(request.into_inner().resource_spans);
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Received {
    async fn export(&self, request: Request<ExportLogsServiceRequest>) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().extend(request.into_inner().resource_logs);
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(&self, request: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().extend(request.into_inner().resource_metrics);
        Ok(Response::new(Default::default()))
    }
}
