//! Sends the bytes of a request, by gRPC or by HTTP.

use crate::config::{self, Compression, Protocol};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use std::io::Write;
use std::time::Duration;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a receiver's answer, and of its words in an error.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const WORDS_CHARS_MAX: usize = 200;

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The configuration cannot be used.
    #[error("export.otlp.{0}")]
    Config(String),
    /// The receiver did not answer, or not in time.
    #[error("{0}")]
    Unreachable(String),
    /// The receiver said no.
    #[error("the receiver refused: {0}")]
    Refused(String),
}

impl SendError {
    /// The value of `error.type`: a closed set.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
        }
    }
}

/// What a receiver did not take of a request that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Points.
    pub points: u64,
    /// Why.
    pub reason: String,
}

/// A way to a receiver.
#[derive(Debug)]
pub struct Sender {
    config: config::Otlp,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Grpc(Channel),
    Http(reqwest::Client),
}

impl Sender {
    /// A way to the configured receiver. Nothing is sent yet; a connection is opened when one is needed, and again after
    /// it was lost.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(config: config::Otlp) -> Result<Self, SendError> {
        crate::poll::use_ring();
        let way = match config.protocol {
            Protocol::Grpc => Way::Grpc(channel(&config)?),
            Protocol::HttpProtobuf => Way::Http(client(&config)?),
        };
        Ok(Self { config, way })
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.config.endpoint
    }

    /// What counters and histograms say.
    #[must_use]
    pub fn temporality(&self) -> config::Temporality {
        self.config.temporality
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send(&self, request: Bytes) -> Result<Rejected, SendError> {
        let answer = match &self.way {
            Way::Grpc(channel) => self.grpc(channel.clone(), request).await?,
            Way::Http(client) => self.http(client, request).await?,
        };
        let partial = answer.partial_success.unwrap_or_default();
        Ok(Rejected { points: u64::try_from(partial.rejected_data_points).unwrap_or(0), reason: words(&partial.error_message) })
    }

    async fn grpc(&self, channel: Channel, request: Bytes) -> Result<ExportMetricsServiceResponse, SendError> {
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        if self.config.compression == Compression::Gzip {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        grpc.ready().await.map_err(|error| SendError::Unreachable(last_cause(&error)))?;
        let mut request = tonic::Request::new(request);
        for (name, value) in &self.config.headers {
            let wrong = |what: &str| SendError::Config(format!("headers: {name}: {what}"));
            let key: AsciiMetadataKey = name.to_ascii_lowercase().parse().map_err(|_| wrong("not a header name"))?;
            let value = value.read().map_err(|error| wrong(&error.to_string()))?;
            let mut value: AsciiMetadataValue = value.parse().map_err(|_| wrong("not a header value"))?;
            value.set_sensitive(true);
            request.metadata_mut().insert(key, value);
        }
        request.set_timeout(self.config.timeout);
        let unary = grpc.unary(request, PathAndQuery::from_static(EXPORT), RequestBytes);
        match tokio::time::timeout(self.config.timeout, unary).await {
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| refused(&status)),
            Err(_) => Err(SendError::Unreachable(format!("no answer within {:?}", self.config.timeout))),
        }
    }

    async fn http(&self, client: &reqwest::Client, request: Bytes) -> Result<ExportMetricsServiceResponse, SendError> {
        let mut post = client.post(&self.config.endpoint).header("content-type", "application/x-protobuf");
        for (name, value) in &self.config.headers {
            let value = value.read().map_err(|error| SendError::Config(format!("headers: {name}: {error}")))?;
            let value =
                crate::poll::secret_header(&value).ok_or_else(|| SendError::Config(format!("headers: {name}: not a header value")))?;
            post = post.header(name, value);
        }
        let body = match self.config.compression {
            Compression::None => request,
            Compression::Gzip => {
                post = post.header("content-encoding", "gzip");
                gzip(&request).map_err(|error| SendError::Config(format!("compression: {error}")))?
            }
        };
        let unreachable = |error: reqwest::Error| SendError::Unreachable(last_cause(&error.without_url()));
        let mut answer = post.body(body).send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(SendError::Refused(format!("{status} {}", words(&String::from_utf8_lossy(&body)))));
        }
        ExportMetricsServiceResponse::decode(body.as_slice())
            .map_err(|error| SendError::Refused(format!("its answer is not OTLP: {error}")))
    }
}

fn channel(config: &config::Otlp) -> Result<Channel, SendError> {
    let wrong = |error: tonic::transport::Error| SendError::Config(format!("endpoint: {}", last_cause(&error)));
    let mut endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(wrong)?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    if config.endpoint.starts_with("https://") {
        let mut tls = match &config.tls.ca_file {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(file(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
            tls = tls.identity(Identity::from_pem(file(cert)?, file(key)?));
        }
        if let Some(name) = &config.tls.server_name {
            tls = tls.domain_name(name);
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| SendError::Config(format!("tls: {}", last_cause(&error))))?;
    }
    Ok(endpoint.connect_lazy())
}

fn client(config: &config::Otlp) -> Result<reqwest::Client, SendError> {
    let wrong = |error: reqwest::Error| SendError::Config(format!("tls: {}", last_cause(&error.without_url())));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("postmeter/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(config.timeout);
    if let Some(path) = &config.tls.ca_file {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&file(path)?).map_err(wrong)?);
    } else if config.endpoint.starts_with("http://") {
        builder = builder.tls_certs_only([]);
    }
    if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        let pem = [file(cert)?, file(key)?].join(&b'\n');
        builder = builder.identity(reqwest::Identity::from_pem(&pem).map_err(wrong)?);
    }
    builder.build().map_err(wrong)
}

fn file(path: &std::path::Path) -> Result<Vec<u8>, SendError> {
    std::fs::read(path).map_err(|error| SendError::Config(format!("tls: {}: {error}", path.display())))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

fn refused(status: &Status) -> SendError {
    let said = format!("{:?} {}", status.code(), words(status.message()));
    let transport = std::error::Error::source(status).is_some();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled if transport => {
            SendError::Unreachable(std::error::Error::source(status).map(last_cause).unwrap_or(said))
        }
        _ => SendError::Refused(said),
    }
}

fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Somebody else's words, on one line.
fn words(text: &str) -> String {
    text.chars().take(WORDS_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
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
        let bytes = from.copy_to_bytes(from.remaining());
        Self::Item::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
