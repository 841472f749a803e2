//! A simulated OpenTelemetry collector: accepts metrics and logs by OTLP over gRPC, keeps the last requests, and counts.

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use parking_lot::{Mutex, MutexGuard};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// The number of requests that are kept; older ones are only counted.
pub const REQUESTS_KEPT_MAX: usize = 256;
/// The number of target names that are kept.
pub const TARGETS_MAX: usize = 100_000;
/// Limit of a message in bytes: above the 4 MiB of a collector, so that tests recognize a sender that exceeds it.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The number of log record identifiers that are kept.
pub const UIDS_MAX: usize = 1_000_000;
/// The attribute that identifies a log record.
const UID: &str = "log.record.uid";
/// The attribute with the id of a message, which a record has if the sender's configuration includes it.
const MESSAGE_ID: &str = "mail.message.id";
/// The attribute of a resource with the name of the target.
const INSTANCE: &str = "service.instance.id";
/// The time that connections have to finish at a shutdown.
const SHUTDOWN_SECONDS_MAX: u64 = 2;

#[derive(Default)]
struct Inbox {
    /// `true` if nothing is kept but counts.
    is_counting: bool,
    kept: VecDeque<ExportMetricsServiceRequest>,
    count: u64,
    rejected: u64,
    points: u64,
    targets: BTreeSet<String>,
    largest: usize,
    metadata: Option<MetadataMap>,
    rejection: Option<tonic::Status>,
    bytes_max: Option<usize>,
    logs: Logs,
}

/// The log records that arrived.
#[derive(Default)]
struct Logs {
    kept: VecDeque<ExportLogsServiceRequest>,
    records: u64,
    /// The number of arrivals of each record, by `log.record.uid`.
    uids: HashMap<String, u32>,
    /// The records of each message, by target and message id.
    messages: HashMap<String, MessageRecords>,
}

/// Records by the id of their message: the `log.record.uid` of each record, with its time in nanoseconds since 1970.
pub type MessageRecords = HashMap<String, BTreeMap<String, u64>>;

impl Logs {
    /// Counts a record of a target.
    fn add(&mut self, target: Option<&str>, record: &LogRecord) {
        self.records += 1;
        let attribute = |key: &str| record.attributes.iter().find(|attribute| attribute.key == key).and_then(text);
        let Some(uid) = attribute(UID).filter(|_| self.uids.len() < UIDS_MAX) else { return };
        if let (Some(target), Some(id)) = (target, attribute(MESSAGE_ID)) {
            let messages = self.messages.entry(target.to_owned()).or_default();
            messages.entry(id).or_default().insert(uid.clone(), record.time_unix_nano);
        }
        *self.uids.entry(uid).or_default() += 1;
    }
}

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

impl Inbox {
    /// The status of a request of this length that is rejected; `None` if it is accepted.
    fn rejection(&self, len: usize) -> Option<tonic::Status> {
        let too_large = |max| tonic::Status::resource_exhausted(format!("grpc: received message larger than max ({len} vs. {max})"));
        self.rejection.clone().or_else(|| self.bytes_max.filter(|max| len > *max).map(too_large))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        let mut inbox = self.inbox();
        inbox.metadata = Some(metadata);
        if let Some(status) = inbox.rejection(request.encoded_len()) {
            inbox.rejected += 1;
            return Err(status);
        }
        inbox.count += 1;
        inbox.points += points(&request);
        inbox.largest = inbox.largest.max(request.encoded_len());
        for target in targets(&request) {
            if inbox.targets.len() < TARGETS_MAX {
                inbox.targets.insert(target);
            }
        }
        if !inbox.is_counting {
            keep(&mut inbox.kept, request);
        }
        drop(inbox);
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
        let mut inbox = self.inbox();
        inbox.metadata = Some(metadata);
        if let Some(status) = inbox.rejection(request.encoded_len()) {
            inbox.rejected += 1;
            return Err(status);
        }
        inbox.count += 1;
        inbox.largest = inbox.largest.max(request.encoded_len());
        let is_counting = inbox.is_counting;
        let logs = &mut inbox.logs;
        for of in &request.resource_logs {
            if is_counting {
                logs.records += of.scope_logs.iter().map(|scope| scope.log_records.len() as u64).sum::<u64>();
                continue;
            }
            let attributes = of.resource.iter().flat_map(|resource| &resource.attributes);
            let target = attributes.filter(|attribute| attribute.key == INSTANCE).find_map(text);
            of.scope_logs.iter().flat_map(|scope| &scope.log_records).for_each(|record| logs.add(target.as_deref(), record));
        }
        if !is_counting {
            keep(&mut logs.kept, request);
        }
        drop(inbox);
        self.arrived.notify_waiters();
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

/// Keeps a request instead of the oldest one.
fn keep<T>(kept: &mut VecDeque<T>, request: T) {
    if kept.len() == REQUESTS_KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(request);
}

fn text(attribute: &KeyValue) -> Option<String> {
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// The number of data points in a request.
#[must_use]
pub fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let of = |data: &Data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    };
    scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref()).map(|data| of(data) as u64).sum()
}

fn targets(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = String> {
    let attributes = request.resource_metrics.iter().filter_map(|of| of.resource.as_ref()).flat_map(|resource| &resource.attributes);
    attributes.filter(|attribute| attribute.key == INSTANCE).filter_map(text)
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
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let sink = Sink { inbox: Arc::new(Mutex::new(inbox)), ..Sink::default() };
        let service = MetricsServiceServer::new(sink.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let logs =
            LogsServiceServer::new(sink.clone()).accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let until = async move {
                stopped.cancelled().await;
            };
            // It returns only after a shutdown, and then without an error.
            let server = Server::builder().add_service(service).add_service(logs);
            let _ = server.serve_with_incoming_shutdown(TcpIncoming::from(listener), until).await;
        });
        Ok(Self { addr, sink, stop, task: Some(task) })
    }

    /// Sets the limit of requests in bytes; `None` is no limit.
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
