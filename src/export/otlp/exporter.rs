//! Sends the bytes of a request, by gRPC or by HTTP.

use super::connection::{Connection, ReceiverConnection};
use super::request_size::RequestSize;
use super::response::{PartialSuccess, SendError, last_cause, words};
use crate::config::{self, Compression};
use crate::net::{Redactor, install_crypto_provider, retry_after, secret_header};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use parking_lot::Mutex;
use prost::Message;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Extensions, Status};
use tracing::info;

/// Bytes of a receiver's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What is sent. Both signals have the same answer on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportLogsServiceRequest`.
    Logs,
}

impl Signal {
    const fn method(self) -> &'static str {
        match self {
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

/// A way to a receiver.
#[derive(Debug)]
pub struct OtlpExporter {
    config: config::Otlp,
    way: Mutex<ReceiverConnection>,
    receiver: String,
    logs_size: RequestSize,
    /// The receiver has rejected a compressed request as such.
    is_uncompressed: AtomicBool,
}

impl OtlpExporter {
    /// A way to the configured receiver. Nothing is sent yet; a connection is opened when one is needed, and again after
    /// it was lost.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(config: config::Otlp) -> Result<Self, SendError> {
        install_crypto_provider();
        let way = Mutex::new(ReceiverConnection::new(&config)?);
        let receiver = config.receiver();
        let logs_size = RequestSize::new(config.max_request_bytes);
        Ok(Self { config, way, receiver, logs_size, is_uncompressed: AtomicBool::new(false) })
    }

    /// Where it goes, for people.
    #[must_use]
    pub fn receiver(&self) -> &str {
        &self.receiver
    }

    /// How large requests with logs may be: the same for all targets.
    pub(crate) const fn logs_size(&self) -> &RequestSize {
        &self.logs_size
    }

    /// How it is configured.
    #[must_use]
    pub const fn config(&self) -> &config::Otlp {
        &self.config
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send(&self, signal: Signal, request: Bytes) -> Result<PartialSuccess, SendError> {
        let headers = self.headers()?;
        let secrets = Redactor::new(headers.values(), [self.config.endpoint.as_str()]);
        let compression = if self.is_uncompressed.load(Ordering::Relaxed) { Compression::None } else { self.config.compression };
        let mut answer = self.attempt(signal, headers.clone(), request.clone(), compression).await;
        if matches!(answer, Err(SendError::Encoding(_))) && compression == Compression::Gzip {
            answer = self.attempt(signal, headers, request, Compression::None).await;
            if answer.is_ok() && !self.is_uncompressed.swap(true, Ordering::Relaxed) {
                info!(endpoint = self.receiver, "the receiver does not accept gzip: requests are sent uncompressed");
            }
        }
        if matches!(answer, Err(SendError::Unreachable(_))) {
            self.renew()?;
        }
        let partial = answer.map_err(|error| error.without(&secrets))?.partial_success.unwrap_or_default();
        let mut reason = words(&partial.error_message);
        secrets.redact(&mut reason);
        Ok(PartialSuccess { count: u64::try_from(partial.rejected_data_points).unwrap_or(0), reason })
    }

    async fn attempt(
        &self,
        signal: Signal,
        headers: HeaderMap,
        request: Bytes,
        compression: Compression,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        match self.way()? {
            Connection::Grpc(channel) => self.grpc(channel, signal, headers, request, compression).await,
            Connection::Http(client) => self.http(&client, signal, headers, request, compression).await,
        }
    }

    /// The configured headers, with their secrets read anew.
    fn headers(&self) -> Result<HeaderMap, SendError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let wrong = |what: &str| SendError::Config(format!("headers: {name}: {what}"));
            let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong("not a header name"))?;
            let value = value.read().map_err(|error| wrong(&error.to_string()))?;
            headers.insert(key, secret_header(&value).ok_or_else(|| wrong("not a header value"))?);
        }
        Ok(headers)
    }

    /// The connection there is, while its files are as they were.
    fn way(&self) -> Result<Connection, SendError> {
        let mut way = self.way.lock();
        if !way.is_outdated(&self.config) {
            return Ok(way.connection.clone());
        }
        drop(way);
        self.renew()
    }

    /// The next request goes by a new connection, with names and certificates read anew.
    fn renew(&self) -> Result<Connection, SendError> {
        let way = ReceiverConnection::new(&self.config)?;
        let connection = way.connection.clone();
        *self.way.lock() = way;
        Ok(connection)
    }

    async fn grpc(
        &self,
        channel: Channel,
        signal: Signal,
        headers: HeaderMap,
        request: Bytes,
        compression: Compression,
    ) -> Result<ExportMetricsServiceResponse, SendError> {
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        if compression == Compression::Gzip {
            // Servers of gRPC for Go compress their responses as the request was, whatever it accepts.
            grpc = grpc.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        let mut request = tonic::Request::from_parts(MetadataMap::from_headers(headers), Extensions::default(), request);
        request.set_timeout(self.config.timeout);
        let exchange = async {
            grpc.ready().await.map_err(|error| SendError::Unreachable(last_cause(&error)))?;
            let unary = grpc.unary(request, PathAndQuery::from_static(signal.method()), RequestBytes);
            unary.await.map(tonic::Response::into_inner).or_else(|status| match is_too_large(&status) {
                true => Ok(unread("it is too long")),
                false => Err(SendError::of_status(&status)),
            })
        };
        match tokio::time::timeout(self.config.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(SendError::Unreachable(format!("no answer within {:?}", self.config.timeout))),
        }
    }

    async fn http(
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
        let unreachable = |error: reqwest::Error| SendError::Unreachable(last_cause(&error.without_url()));
        let mut answer = post.body(body).send().await.map_err(unreachable)?;
        let status = answer.status();
        let after = retry_after(answer.headers());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(SendError::of_http(status, &body, after));
        }
        Ok(answer_of(body.as_slice()))
    }

    /// The configured URL is the one of metrics; the other signals' stand beside it.
    fn url(&self, signal: Signal) -> Result<String, SendError> {
        let unknown = || SendError::Config("endpoint: does not end in /v1/metrics, so the place of logs is not known".into());
        match signal {
            Signal::Metrics => Ok(self.config.endpoint.clone()),
            Signal::Logs => self.config.logs_endpoint().ok_or_else(unknown),
        }
    }
}

/// What an answer says. Its status has said already that the request was taken.
fn answer_of(bytes: impl Buf) -> ExportMetricsServiceResponse {
    ExportMetricsServiceResponse::decode(bytes).unwrap_or_else(|error| unread(&error.to_string()))
}

/// An answer of which only the status is known.
fn unread(why: &str) -> ExportMetricsServiceResponse {
    let error_message = format!("its answer cannot be read: {why}");
    ExportMetricsServiceResponse { partial_success: Some(ExportMetricsPartialSuccess { rejected_data_points: 0, error_message }) }
}

/// Whether it is our own limit that an answer goes beyond; a receiver has another.
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().ends_with(&format!("the limit is: {ANSWER_BYTES_MAX} bytes"))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

/// A codec that sends bytes as they are.
#[derive(Clone, Copy, Debug)]
struct RequestBytes;

impl Codec for RequestBytes {
    type Encode = Bytes;
    type Decode = ExportMetricsServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RequestBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for RequestBytes {
    type Item = ExportMetricsServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        Ok(Some(answer_of(from.copy_to_bytes(from.remaining()))))
    }
}
