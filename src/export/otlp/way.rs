//! A connection to a receiver: gRPC or HTTP, in the clear or by TLS.
//!
//! It is built again after it failed, so that names are looked up anew and certificates are read anew: neither a receiver that
//! moved nor a renewed certificate needs a restart.

use super::answer::{SendError, last_cause};
use crate::config::{self, Protocol};
use std::time::Duration;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an idle gRPC connection is asked whether it lives, and how long the answer may take: a receiver that vanished
/// without a word is noticed before the next push.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection, or the readiness to open one.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Grpc(Channel),
    Http(reqwest::Client),
}

impl Way {
    /// Nothing is sent yet; a connection is opened when one is needed.
    pub(super) fn new(config: &config::Otlp) -> Result<Self, SendError> {
        match config.protocol {
            Protocol::Grpc => channel(config).map(Self::Grpc),
            Protocol::HttpProtobuf => client(config).map(Self::Http),
        }
    }
}

fn channel(config: &config::Otlp) -> Result<Channel, SendError> {
    let wrong = |error: tonic::transport::Error| SendError::Config(format!("endpoint: {}", last_cause(&error)));
    let mut endpoint = Endpoint::from_shared(config.endpoint.clone())
        .map_err(wrong)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
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
