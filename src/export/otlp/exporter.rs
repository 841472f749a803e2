//! The OTLP exporter: sends encoded requests by gRPC or HTTP.

use super::connection::{ReceiverConnection, Transport};
use super::response::SendError;
use super::split::split;
use super::supported_compression::SupportedCompression;
use super::{grpc, http_response};
use crate::config::{self, Compression};
use crate::export::queue::request_exporter::{ExportFailure, ExportRequest, PartialSuccess, RequestExporter};
use crate::export::queue::request_size::RequestSize;
use crate::export::request_body::RequestBody;
use crate::net::{FileThread, Redactor, install_crypto_provider, retry_after, root_cause, secret_header};
use bytes::Buf;
use http::{HeaderMap, HeaderName};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use parking_lot::Mutex;
use prost::Message;
use std::sync::Arc;
use tonic::transport::Channel;
use tracing::info;

/// The largest response body that is read.
pub(crate) const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// The signal of a request. The responses of both signals have the same encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportLogsServiceRequest`.
    Logs,
}

impl Signal {
    const fn grpc_path(self) -> &'static str {
        match self {
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

/// An exporter to one receiver.
#[derive(Debug)]
pub struct OtlpExporter {
    config: Arc<config::Otlp>,
    connection: Arc<Mutex<ReceiverConnection>>,
    files: FileThread,
    endpoint: String,
    metrics_size: RequestSize,
    logs_size: RequestSize,
    compression: SupportedCompression,
}

impl OtlpExporter {
    /// Creates an exporter to the configured receiver. It connects when the first request is sent, and again after a failure.
    ///
    /// # Errors
    /// Fails if the endpoint or a TLS file cannot be used.
    pub fn new(config: config::Otlp) -> Result<Self, SendError> {
        install_crypto_provider();
        Ok(Self {
            connection: Arc::new(Mutex::new(ReceiverConnection::new(&config)?)),
            files: FileThread::default(),
            endpoint: config.receiver(),
            metrics_size: RequestSize::new(config.max_request_bytes),
            logs_size: RequestSize::new(config.max_request_bytes),
            compression: SupportedCompression::new(config.compression),
            config: Arc::new(config),
        })
    }

    /// The URL of the receiver, without secrets.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &config::Otlp {
        &self.config
    }

    /// The size limit of the signal's requests.
    pub(crate) const fn request_size(&self, signal: Signal) -> &RequestSize {
        match signal {
            Signal::Metrics => &self.metrics_size,
            Signal::Logs => &self.logs_size,
        }
    }

    /// The compression of new requests: the configured one, unless the receiver does not support it.
    pub(crate) fn compression(&self) -> Compression {
        self.compression.current()
    }

    /// Sends one request. Its bytes are sent as they are, unless the receiver does not support their compression.
    ///
    /// # Errors
    /// Fails if the receiver does not accept the request.
    pub async fn send(&self, signal: Signal, body: &RequestBody) -> Result<PartialSuccess, SendError> {
        let headers = self.read_headers().await?;
        let secrets = Redactor::new(headers.values(), [self.config.endpoint.as_str()]);
        let mut compression = self.compression();
        let response = loop {
            let body = body.with_compression(compression).map_err(|error| SendError::Rejected(format!("cannot decompress: {error}")))?;
            let response = self.send_once(signal, headers.clone(), &body).await;
            match &response {
                Ok(_) => self.log_new_compression(signal, compression),
                Err(error) => {
                    if let Some(other) = self.compression.after_rejection(compression, error) {
                        compression = other;
                        continue;
                    }
                }
            }
            break response;
        };
        if matches!(response, Err(SendError::Unreachable(_))) {
            self.reconnect().await?;
        }
        let mut partial = http_response::partial_success(response.map_err(|error| error.redacted(&secrets))?);
        secrets.redact(&mut partial.message);
        Ok(partial)
    }

    /// Logs once that the receiver does not support the configured compression.
    fn log_new_compression(&self, signal: Signal, accepted: Compression) {
        let Some(unsupported) = self.compression.accepted(accepted).and_then(Compression::coding) else { return };
        let of_logs = if signal == Signal::Logs { self.config.logs_receiver() } else { None };
        let endpoint = of_logs.as_ref().unwrap_or(&self.endpoint);
        match accepted.coding() {
            Some(coding) => info!(endpoint, "the receiver does not support {unsupported}, requests are compressed with {coding}"),
            None => info!(endpoint, "the receiver does not support {unsupported}, requests are sent uncompressed"),
        }
    }

    async fn send_once(&self, signal: Signal, headers: HeaderMap, body: &RequestBody) -> Result<ExportMetricsServiceResponse, SendError> {
        match self.transport().await? {
            Transport::Grpc(channel) => self.send_by_grpc(channel, signal, headers, body).await,
            Transport::Http(client) => self.send_by_http(&client, signal, headers, body).await,
        }
    }

    /// Reads the configured headers. Their files are read for each request, so that changed secrets need no reload.
    async fn read_headers(&self) -> Result<HeaderMap, SendError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let invalid = |problem: &str| SendError::Config(format!("headers: {name}: {problem}"));
            let key = HeaderName::try_from(name.as_str()).map_err(|_| invalid("not a valid header name"))?;
            let value = value.read_on(&self.files).await.map_err(|error| invalid(&error.to_string()))?;
            headers.insert(key, secret_header(&value).ok_or_else(|| invalid("not a valid header value"))?);
        }
        Ok(headers)
    }

    /// Returns the connected client, or a new one if the TLS files have changed.
    async fn transport(&self) -> Result<Transport, SendError> {
        let (current, to_check) = {
            let mut connection = self.connection.lock();
            (connection.transport.clone(), connection.take_files_to_check(&self.config))
        };
        let Some(mut files) = to_check else { return Ok(current) };
        let (config, connection) = (self.config.clone(), self.connection.clone());
        let check = move || {
            let has_changed = files.has_changed(config.tls.files().paths());
            connection.lock().put_checked_files(files);
            Ok(has_changed)
        };
        if self.on_thread(check).await? { self.reconnect().await } else { Ok(current) }
    }

    /// Replaces the connection by a new one, which resolves names and reads certificates again.
    async fn reconnect(&self) -> Result<Transport, SendError> {
        let (config, connection) = (self.config.clone(), self.connection.clone());
        let reconnect = move || {
            let new = ReceiverConnection::new(&config)?;
            let transport = new.transport.clone();
            *connection.lock() = new;
            Ok(transport)
        };
        if self.config.tls.files().paths().next().is_none() { reconnect() } else { self.on_thread(reconnect).await }
    }

    /// Does something with the TLS files, which may not respond.
    async fn on_thread<T: Send + 'static>(&self, run: impl FnOnce() -> Result<T, SendError> + Send + 'static) -> Result<T, SendError> {
        self.files.run(run).await.map_err(|error| SendError::Config(format!("tls: {error}")))?
    }

    async fn send_by_grpc(
        &self,
        channel: Channel,
        signal: Signal,
        headers: HeaderMap,
        body: &RequestBody,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        grpc::send(channel, signal.grpc_path(), headers, self.config.timeout, body).await
    }

    async fn send_by_http(
        &self,
        client: &reqwest::Client,
        signal: Signal,
        headers: HeaderMap,
        body: &RequestBody,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        let post = client.post(self.url(signal)?).header("content-type", "application/x-protobuf").header("accept-encoding", "gzip");
        let mut post = post.headers(headers);
        if let Some(coding) = body.compression.coding() {
            post = post.header("content-encoding", coding);
        }
        let unreachable = |error: reqwest::Error| SendError::Unreachable(root_cause(&error.without_url()));
        let response = post.body(body.bytes.clone()).send().await.map_err(unreachable)?;
        read_response(response).await
    }

    /// The URL of a signal. The configured URL is that of metrics; the URL of logs differs in the path.
    fn url(&self, signal: Signal) -> Result<String, SendError> {
        let unknown = || SendError::Config("endpoint: cannot derive the URL of logs from a URL that does not end in /v1/metrics".into());
        match signal {
            Signal::Metrics => Ok(self.config.endpoint.clone()),
            Signal::Logs => self.config.logs_endpoint().ok_or_else(unknown),
        }
    }
}

/// The export queue holds requests with metrics.
impl RequestExporter for OtlpExporter {
    async fn send(&self, body: &RequestBody) -> Result<PartialSuccess, ExportFailure> {
        Ok(self.send(Signal::Metrics, body).await?)
    }

    fn split(&self, body: &RequestBody, bytes_max: usize) -> Vec<ExportRequest> {
        let parts = body.decompressed().map(|request| split(Signal::Metrics, &request, bytes_max)).unwrap_or_default();
        parts.into_iter().map(|part| part.compressed(self.compression())).collect()
    }
}

/// Reads a response. Its status decides: the request is not sent again because the body breaks off, or takes longer than the timeout.
///
/// # Errors
/// The status is not a success, or the response is a web page.
async fn read_response(mut response: reqwest::Response) -> Result<ExportMetricsServiceResponse, SendError> {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let (mut body, mut problem) = (Vec::new(), None);
    while problem.is_none() {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let free_bytes = RESPONSE_BYTES_MAX - body.len();
                problem = (chunk.len() > free_bytes).then(|| "it is too long".to_owned());
                body.extend_from_slice(&chunk[..chunk.len().min(free_bytes)]);
            }
            Ok(None) => break,
            Err(error) => problem = Some(format!("it ends early: {}", root_cause(&error.without_url()))),
        }
    }
    let decoded = http_response::decode_with_status(status, response.headers(), &body, retry_after)?;
    Ok(problem.map_or(decoded, |problem| unreadable_response(&problem)))
}

/// Decodes the response to an accepted request. A body that cannot be decoded is a warning only, because the status is a success.
pub(crate) fn decode_response(body: impl Buf) -> ExportMetricsServiceResponse {
    ExportMetricsServiceResponse::decode(body).unwrap_or_else(|error| unreadable_response(&error.to_string()))
}

/// The response that is assumed if an accepted request has no readable one.
pub(crate) fn unreadable_response(problem: &str) -> ExportMetricsServiceResponse {
    let error_message = format!("the response cannot be decoded: {problem}");
    ExportMetricsServiceResponse { partial_success: Some(ExportMetricsPartialSuccess { rejected_data_points: 0, error_message }) }
}
