//! The connection to a receiver: gRPC or HTTP, with or without TLS.
//!
//! The connection is built again after a failure, so that names are resolved again, and when one of its TLS files has changed. Neither a
//! receiver that moved nor a renewed certificate needs a restart.

use super::response::SendError;
use crate::config::{self, Protocol};
use crate::net::{ClientTls, FileWatch, root_cause};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

/// The user agent; the gRPC library appends its own name.
const USER_AGENT: &str = concat!("postmeter/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest headers and trailers of a gRPC response. They contain the message and the details of a rejection. A response with larger
/// ones is not read, so that the request would be sent again.
const GRPC_HEADERS_BYTES_MAX: u32 = 1024 * 1024;
/// The largest number of headers in a response by HTTP.
const HTTP_HEADERS_MAX: usize = 1000;
/// The shortest time between two checks of the TLS files.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that is opened when the first request is sent.
#[derive(Debug)]
pub(crate) struct ReceiverConnection {
    pub transport: Transport,
    /// `None` while they are checked.
    tls_files: Option<FileWatch>,
    checked_at: Instant,
}

/// The client of the configured protocol.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Grpc(Channel),
    Http(reqwest::Client),
}

impl ReceiverConnection {
    pub(crate) fn new(config: &config::Otlp) -> Result<Self, SendError> {
        let mut tls_files = FileWatch::default();
        tls_files.mark(config.tls.files().paths());
        let transport = match config.protocol {
            Protocol::Grpc => grpc_channel(config).map(Transport::Grpc),
            Protocol::HttpProtobuf => http_client(config).map(Transport::Http),
        }?;
        Ok(Self { transport, tls_files: Some(tls_files), checked_at: Instant::now() })
    }

    /// Takes the watch of the TLS files if they are due for a check. They are checked even while requests succeed, because some receivers
    /// accept a connection with an expired certificate.
    pub(crate) fn take_files_to_check(&mut self, config: &config::Otlp) -> Option<FileWatch> {
        if config.tls.files().paths().next().is_none() || self.checked_at.elapsed() < FILE_CHECK_INTERVAL {
            return None;
        }
        self.checked_at = Instant::now();
        self.tls_files.take()
    }

    /// Returns the watch after the check, unless the connection was replaced by another one in the meantime.
    pub(crate) fn put_checked_files(&mut self, files: FileWatch) {
        self.tls_files.get_or_insert(files);
    }
}

fn grpc_channel(config: &config::Otlp) -> Result<Channel, SendError> {
    let invalid = |error: tonic::transport::Error| SendError::Config(format!("endpoint: {}", root_cause(&error)));
    let endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(invalid)?;
    let mut endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).user_agent(USER_AGENT).map_err(invalid)?;
    endpoint = endpoint.http2_max_header_list_size(GRPC_HEADERS_BYTES_MAX);
    if config.endpoint.starts_with("https://") {
        let tls = read_tls_files(&config.tls)?.for_grpc(config.tls.server_name.as_deref());
        endpoint = endpoint.tls_config(tls).map_err(|error| SendError::Config(format!("tls: {}", root_cause(&error))))?;
    }
    Ok(endpoint.connect_lazy())
}

fn http_client(config: &config::Otlp) -> Result<reqwest::Client, SendError> {
    let invalid = |error: reqwest::Error| SendError::Config(format!("tls: {}", root_cause(&error.without_url())));
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .http1_max_headers(HTTP_HEADERS_MAX)
        .timeout(config.timeout);
    let is_https = !config.endpoint.starts_with("http://");
    let builder = read_tls_files(&config.tls)?.configure(builder, is_https, true);
    builder.map_err(|unusable| SendError::Config(format!("{}: {}", unusable.setting, unusable.reason)))?.build().map_err(invalid)
}

fn read_tls_files(tls: &config::Tls) -> Result<ClientTls, SendError> {
    tls.files().read().map_err(|error| SendError::Config(format!("tls: {error}")))
}
