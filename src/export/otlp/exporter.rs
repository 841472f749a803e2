//! The OTLP exporter: sends encoded requests by gRPC or HTTP.

use super::connection::{ReceiverConnection, Transport};
use super::grpc_codec::{EncodedRequestCodec, is_response_too_large};
use super::response::{SendError, root_cause, shortened};
use super::split::split;
use crate::config::{self, Compression};
use crate::export::queue::request_exporter::{EncodedRequest, ExportFailure, PartialSuccess, RequestExporter};
use crate::export::queue::request_size::RequestSize;
use crate::net::{Redactor, install_crypto_provider, retry_after, secret_header};
use bytes::{Buf, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use parking_lot::Mutex;
use prost::Message;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::Extensions;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
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
    config: config::Otlp,
    connection: Mutex<ReceiverConnection>,
    endpoint: String,
    metrics_size: RequestSize,
    logs_size: RequestSize,
    /// The receiver has rejected a compressed request and accepted it without compression.
    is_uncompressed: AtomicBool,
}

impl OtlpExporter {
    /// Creates an exporter to the configured receiver. It connects when the first request is sent, and again after a failure.
    ///
    /// # Errors
    /// Fails if the endpoint or a TLS file cannot be used.
    pub fn new(config: config::Otlp) -> Result<Self, SendError> {
        install_crypto_provider();
        Ok(Self {
            connection: Mutex::new(ReceiverConnection::new(&config)?),
            endpoint: config.receiver(),
            metrics_size: RequestSize::new(config.max_request_bytes),
            logs_size: RequestSize::new(config.max_request_bytes),
            is_uncompressed: AtomicBool::new(false),
            config,
        })
    }

    /// The URL of the receiver, without secrets.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &config::Otlp {
        &self.config
    }

    /// The size limit of the signal's requests.
    pub(crate) const fn request_size(&self, signal: Signal) -> &RequestSize {
        match signal {
            Signal::Metrics => &self.metrics_size,
            Signal::Logs => &self.logs_size,
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Fails if the receiver does not accept the request.
    pub async fn send(&self, signal: Signal, request: Bytes) -> Result<PartialSuccess, SendError> {
        let headers = self.read_headers()?;
        let secrets = Redactor::new(headers.values(), [self.config.endpoint.as_str()]);
        let compression = if self.is_uncompressed.load(Ordering::Relaxed) { Compression::None } else { self.config.compression };
        let mut response = self.send_once(signal, headers.clone(), request.clone(), compression).await;
        if matches!(response, Err(SendError::UnsupportedEncoding(_))) && compression == Compression::Gzip {
            response = self.send_once(signal, headers, request, Compression::None).await;
            if response.is_ok() && !self.is_uncompressed.swap(true, Ordering::Relaxed) {
                info!(endpoint = self.endpoint, "the receiver does not support gzip, requests are sent uncompressed");
            }
        }
        if matches!(response, Err(SendError::Unreachable(_))) {
            self.reconnect()?;
        }
        let partial = response.map_err(|error| error.redacted(&secrets))?.partial_success.unwrap_or_default();
        let mut message = shortened(&partial.error_message);
        secrets.redact(&mut message);
        Ok(PartialSuccess { rejected: u64::try_from(partial.rejected_data_points).unwrap_or(0), message })
    }

    async fn send_once(
        &self,
        signal: Signal,
        headers: HeaderMap,
        request: Bytes,
        compression: Compression,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        match self.transport()? {
            Transport::Grpc(channel) => self.send_by_grpc(channel, signal, headers, request, compression).await,
            Transport::Http(client) => self.send_by_http(&client, signal, headers, request, compression).await,
        }
    }

    /// Reads the configured headers. Their files are read for each request, so that changed secrets need no reload.
    fn read_headers(&self) -> Result<HeaderMap, SendError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let invalid = |problem: &str| SendError::Config(format!("headers: {name}: {problem}"));
            let key = HeaderName::try_from(name.as_str()).map_err(|_| invalid("not a valid header name"))?;
            let value = value.read().map_err(|error| invalid(&error.to_string()))?;
            headers.insert(key, secret_header(&value).ok_or_else(|| invalid("not a valid header value"))?);
        }
        Ok(headers)
    }

    /// Returns the connected client, or a new one if the TLS files have changed.
    fn transport(&self) -> Result<Transport, SendError> {
        let mut connection = self.connection.lock();
        if !connection.is_outdated(&self.config) {
            return Ok(connection.transport.clone());
        }
        drop(connection);
        self.reconnect()
    }

    /// Replaces the connection by a new one, which resolves names and reads certificates again.
    fn reconnect(&self) -> Result<Transport, SendError> {
        let connection = ReceiverConnection::new(&self.config)?;
        let transport = connection.transport.clone();
        *self.connection.lock() = connection;
        Ok(transport)
    }

    async fn send_by_grpc(
        &self,
        channel: Channel,
        signal: Signal,
        headers: HeaderMap,
        request: Bytes,
        compression: Compression,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
        if compression == Compression::Gzip {
            // gRPC servers in Go compress the response like the request, whatever the request accepts.
            grpc = grpc.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        let mut request = tonic::Request::from_parts(MetadataMap::from_headers(headers), Extensions::default(), request);
        request.set_timeout(self.config.timeout);
        let exchange = async {
            grpc.ready().await.map_err(|error| SendError::Unreachable(root_cause(&error)))?;
            let unary = grpc.unary(request, PathAndQuery::from_static(signal.grpc_path()), EncodedRequestCodec);
            unary.await.map(tonic::Response::into_inner).or_else(|status| match is_response_too_large(&status) {
                true => Ok(unreadable_response("it is too long")),
                false => Err(SendError::from_grpc(&status)),
            })
        };
        match tokio::time::timeout(self.config.timeout, exchange).await {
            Ok(response) => response,
            Err(_) => Err(SendError::Unreachable(format!("no response within {:?}", self.config.timeout))),
        }
    }

    async fn send_by_http(
        &self,
        client: &reqwest::Client,
        signal: Signal,
        headers: HeaderMap,
        request: Bytes,
        compression: Compression,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        let mut post = client.post(self.url(signal)?).header("content-type", "application/x-protobuf").headers(headers);
        let body = match compression {
            Compression::None => request,
            Compression::Gzip => {
                post = post.header("content-encoding", "gzip");
                gzip(&request).map_err(|error| SendError::Config(format!("compression: {error}")))?
            }
        };
        let unreachable = |error: reqwest::Error| SendError::Unreachable(root_cause(&error.without_url()));
        let mut response = post.body(body).send().await.map_err(unreachable)?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(SendError::from_http(status, &body, retry_after));
        }
        Ok(decode_response(body.as_slice()))
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
    async fn send(&self, request: Bytes) -> Result<PartialSuccess, ExportFailure> {
        Ok(self.send(Signal::Metrics, request).await?)
    }

    fn split(&self, request: &[u8], bytes_max: usize) -> Vec<EncodedRequest> {
        split(Signal::Metrics, request, bytes_max)
    }
}

/// Decodes the response to an accepted request. A body that cannot be decoded is a warning only, because the status is a success.
pub(crate) fn decode_response(body: impl Buf) -> ExportMetricsServiceResponse {
    ExportMetricsServiceResponse::decode(body).unwrap_or_else(|error| unreadable_response(&error.to_string()))
}

fn unreadable_response(problem: &str) -> ExportMetricsServiceResponse {
    let error_message = format!("the response cannot be decoded: {problem}");
    ExportMetricsServiceResponse { partial_success: Some(ExportMetricsPartialSuccess { rejected_data_points: 0, error_message }) }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}
