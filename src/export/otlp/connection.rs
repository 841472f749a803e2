//! A connection to a receiver: gRPC or HTTP, in the clear or by TLS.
//!
//! It is built again after it failed, so that names are looked up anew, and when one of its files has changed: neither a
//! receiver that moved nor a renewed certificate needs a restart.

use super::response::{SendError, last_cause};
use crate::config::{self, Protocol};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How Postmeter introduces itself to receivers; gRPC's library adds its own name behind it.
const USER_AGENT: &str = concat!("postmeter/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection, or the readiness to open one.
#[derive(Clone, Debug)]
pub(crate) struct ReceiverConnection {
    pub connection: Connection,
    written: Written,
}

#[derive(Clone, Debug)]
pub(crate) enum Connection {
    Grpc(Channel),
    Http(reqwest::Client),
}

impl ReceiverConnection {
    /// Nothing is sent yet; a connection is opened when one is needed.
    pub(crate) fn new(config: &config::Otlp) -> Result<Self, SendError> {
        let written = written(&config.tls);
        let connection = match config.protocol {
            Protocol::Grpc => channel(config).map(Connection::Grpc),
            Protocol::HttpProtobuf => client(config).map(Connection::Http),
        }?;
        Ok(Self { connection, written })
    }

    /// Whether its files are those that it was built with. A certificate that ran out is not always a connection that fails:
    /// some receivers answer.
    pub(crate) fn is_current(&self, config: &config::Otlp) -> bool {
        self.written == written(&config.tls)
    }
}

/// When each file was written.
type Written = [Option<SystemTime>; 3];

fn written(tls: &config::Tls) -> Written {
    [&tls.ca_file, &tls.cert_file, &tls.key_file].map(|path| fs::metadata(path.as_ref()?).ok()?.modified().ok())
}

fn channel(config: &config::Otlp) -> Result<Channel, SendError> {
    let wrong = |error: tonic::transport::Error| SendError::Config(format!("endpoint: {}", last_cause(&error)));
    let mut endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(wrong)?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    endpoint = endpoint.user_agent(USER_AGENT).map_err(wrong)?;
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
        .user_agent(USER_AGENT)
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

fn file(path: &Path) -> Result<Vec<u8>, SendError> {
    fs::read(path).map_err(|error| SendError::Config(format!("tls: {}: {error}", path.display())))
}
