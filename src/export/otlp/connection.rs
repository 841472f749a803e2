//! The connection to a receiver: gRPC or HTTP, with or without TLS.
//!
//! The connection is built again after a failure, so that names are resolved again, and when one of its TLS files has changed. Neither a
//! receiver that moved nor a renewed certificate needs a restart.

use super::response::{SendError, root_cause};
use crate::config::{self, Protocol};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// The user agent; the gRPC library appends its own name.
const USER_AGENT: &str = concat!("postmeter/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that is opened when the first request is sent.
#[derive(Clone, Debug)]
pub(crate) struct ReceiverConnection {
    pub transport: Transport,
    tls_files: FileTimes,
}

/// The client of the configured protocol.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Grpc(Channel),
    Http(reqwest::Client),
}

impl ReceiverConnection {
    pub(crate) fn new(config: &config::Otlp) -> Result<Self, SendError> {
        let tls_files = file_times(&config.tls);
        let transport = match config.protocol {
            Protocol::Grpc => grpc_channel(config).map(Transport::Grpc),
            Protocol::HttpProtobuf => http_client(config).map(Transport::Http),
        }?;
        Ok(Self { transport, tls_files })
    }

    /// Returns true if the TLS files have not changed since the connection was built. A failed request is not enough to detect an expired
    /// certificate: some receivers respond all the same.
    pub(crate) fn is_current(&self, config: &config::Otlp) -> bool {
        self.tls_files == file_times(&config.tls)
    }
}

/// The modification times of the CA file, the certificate and the key.
type FileTimes = [Option<SystemTime>; 3];

fn file_times(tls: &config::Tls) -> FileTimes {
    [&tls.ca_file, &tls.cert_file, &tls.key_file].map(|path| fs::metadata(path.as_ref()?).ok()?.modified().ok())
}

fn grpc_channel(config: &config::Otlp) -> Result<Channel, SendError> {
    let invalid = |error: tonic::transport::Error| SendError::Config(format!("endpoint: {}", root_cause(&error)));
    let endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(invalid)?;
    let mut endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).user_agent(USER_AGENT).map_err(invalid)?;
    if config.endpoint.starts_with("https://") {
        let mut tls = match &config.tls.ca_file {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        if let Some(name) = &config.tls.server_name {
            tls = tls.domain_name(name);
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| SendError::Config(format!("tls: {}", root_cause(&error))))?;
    }
    Ok(endpoint.connect_lazy())
}

fn http_client(config: &config::Otlp) -> Result<reqwest::Client, SendError> {
    let invalid = |error: reqwest::Error| SendError::Config(format!("tls: {}", root_cause(&error.without_url())));
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(config.timeout);
    if let Some(path) = &config.tls.ca_file {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(invalid)?);
    } else if config.endpoint.starts_with("http://") {
        builder = builder.tls_certs_only([]);
    }
    if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        let pem = [read(cert)?, read(key)?].join(&b'\n');
        builder = builder.identity(reqwest::Identity::from_pem(&pem).map_err(invalid)?);
    }
    builder.build().map_err(invalid)
}

fn read(path: &Path) -> Result<Vec<u8>, SendError> {
    fs::read(path).map_err(|error| SendError::Config(format!("tls: {}: {error}", path.display())))
}
