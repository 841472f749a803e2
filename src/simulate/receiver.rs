//! A simulated OpenTelemetry collector: accepts metrics and logs by OTLP over gRPC, keeps the last requests, and counts.

mod inbox;

use super::listener::{Peer, ServerListener, TlsSwitch};
use inbox::Inbox;
pub use inbox::MessageRecords;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

/// Limit of a message in bytes: above the 4 MiB of a collector, so that tests recognize a sender that exceeds it.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The time that connections have to finish at a shutdown.
const SHUTDOWN_SECONDS_MAX: u64 = 2;

#[derive(Clone, Default)]
struct Sink {
    inbox: Arc<Mutex<Inbox>>,
    arrived: Arc<Notify>,
}

impl Sink {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock()
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.inbox().receive_metrics(metadata, request)?;
        self.arrived.notify_waiters();
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Sink {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.inbox().receive_logs(metadata, request)?;
        self.arrived.notify_waiters();
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

/// A simulated OpenTelemetry collector with the metrics and logs services. It stops when it is dropped.
pub struct Receiver {
    addr: SocketAddr,
    sink: Sink,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts a receiver. Port 0 selects a free port.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        Self::start_with(listen, Inbox::default()).await
    }

    /// Starts a receiver that keeps no requests and no identifiers, so that its memory does not grow.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_counting(listen: SocketAddr) -> io::Result<Self> {
        Self::start_with(listen, Inbox { is_counting: true, ..Inbox::default() }).await
    }

    async fn start_with(listen: SocketAddr, inbox: Inbox) -> io::Result<Self> {
        let (_, always_open) = watch::channel(true);
        let listener = ServerListener::bind(listen, always_open, TlsSwitch::default()).await?;
        let addr = listener.addr();
        let sink = Sink { inbox: Arc::new(Mutex::new(inbox)), ..Sink::default() };
        let metrics = MetricsServiceServer::new(sink.clone());
        let logs = LogsServiceServer::new(sink.clone());
        let services = Routes::new(metrics.accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(logs.accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(MESSAGE_BYTES_MAX));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            // As the simulated mail servers are served, so that the program contains one such server.
            let service = services.into_axum_router().into_make_service_with_connect_info::<Peer>();
            // It returns only after a shutdown, and then without an error.
            let _ = axum::serve(listener, service).with_graceful_shutdown(stopped.cancelled_owned()).await;
        });
        Ok(Self { addr, sink, stop, task: Some(task) })
    }

    /// Sets the limit of requests in bytes; `None` means unlimited.
    pub fn accept_bytes(&self, bytes_max: Option<usize>) {
        self.sink.inbox().bytes_max = bytes_max;
    }

    /// The address that the receiver listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint to configure.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The last accepted requests, at most `REQUESTS_KEPT_MAX`, the newest last.
    #[must_use]
    pub fn requests(&self) -> Vec<ExportMetricsServiceRequest> {
        self.sink.inbox().kept.iter().cloned().collect()
    }

    /// The number of accepted requests.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.sink.inbox().count
    }

    /// The number of rejected requests.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.sink.inbox().rejected
    }

    /// The number of accepted data points.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.sink.inbox().points
    }

    /// The number of accepted log records.
    #[must_use]
    pub fn log_records(&self) -> u64 {
        self.sink.inbox().logs.records
    }

    /// The last accepted requests with logs, at most `REQUESTS_KEPT_MAX`, the newest last.
    #[must_use]
    pub fn log_requests(&self) -> Vec<ExportLogsServiceRequest> {
        self.sink.inbox().logs.kept.iter().cloned().collect()
    }

    /// The number of arrivals of each log record, by `log.record.uid`.
    #[must_use]
    pub fn log_uids(&self) -> HashMap<String, u32> {
        self.sink.inbox().logs.uids.clone()
    }

    /// The number of different log records that arrived.
    #[must_use]
    pub fn distinct_log_records(&self) -> usize {
        self.sink.inbox().logs.uids.len()
    }

    /// The log records of a target by their messages, if they have the attribute `mail.message.id`.
    #[must_use]
    pub fn message_records(&self, target: &str) -> MessageRecords {
        self.sink.inbox().logs.messages.get(target).cloned().unwrap_or_default()
    }

    /// Every `service.instance.id` that arrived.
    #[must_use]
    pub fn targets(&self) -> BTreeSet<String> {
        self.sink.inbox().targets.clone()
    }

    /// The size of the largest accepted request before compression, in bytes.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.sink.inbox().largest
    }

    /// The headers of the last request, including rejected ones.
    #[must_use]
    pub fn last_metadata(&self) -> Option<MetadataMap> {
        self.sink.inbox().metadata.clone()
    }

    /// Rejects every request with this status, or accepts again if `None`.
    pub fn fail_with(&self, status: Option<tonic::Status>) {
        self.sink.inbox().rejection = status;
    }

    /// Removes and returns the kept requests.
    #[must_use]
    pub fn take(&self) -> Vec<ExportMetricsServiceRequest> {
        self.sink.inbox().kept.drain(..).collect()
    }

    /// Removes the kept requests. Counts stay.
    pub fn clear(&self) {
        self.sink.inbox().kept.clear();
    }

    /// Waits until the kept requests satisfy a condition. Returns `false` after `limit`.
    pub async fn wait_for(&self, condition: impl Fn(&[ExportMetricsServiceRequest]) -> bool, limit: Duration) -> bool {
        let is_satisfied = async {
            loop {
                // Registered before the check, so that no arrival in between is missed.
                let arrived = self.sink.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if condition(self.sink.inbox().kept.make_contiguous()) {
                    return;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(limit, is_satisfied).await.is_ok()
    }

    /// Stops listening and closes the connections.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let abort = task.abort_handle();
            if tokio::time::timeout(Duration::from_secs(SHUTDOWN_SECONDS_MAX), task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
