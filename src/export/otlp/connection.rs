//! A connection to a receiver: gRPC or HTTP, in the clear or by TLS.
//!
//! It is built again after it failed, so that names are looked up anew, and when one of its files has changed: neither a
//! receiver that moved nor a renewed certificate needs a restart.

use super::response::{SendError, last_cause};
use crate::config::{self, Protocol};
use crate::net::{ClientTls, FileWatch};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};

/// How Postmeter introduces itself to receivers; gRPC's library adds its own name behind it.
const USER_AGENT: &str = concat!("postmeter/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two looks at the TLS files.
const FILE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A connection, or the readiness to open one.
#[derive(Clone, Debug)]
pub(crate) struct ReceiverConnection {
    pub connection: Connection,
    files: FileWatch,
    looked_at: Instant,
}

#[derive(Clone, Debug)]
pub(crate) enum Connection {
    Grpc(Channel),
    Http(reqwest::Client),
}

impl ReceiverConnection {
    /// Nothing is sent yet; a connection is opened when one is needed.
    pub(crate) fn new(config: &config::Otlp) -> Result<Self, SendError> {
        let mut files = FileWatch::default();
        files.mark(config.tls.files().paths());
        let connection = match config.protocol {
            Protocol::Grpc => channel(config).map(Connection::Grpc),
            Protocol::HttpProtobuf => client(config).map(Connection::Http),
        }?;
        Ok(Self { connection, files, looked_at: Instant::now() })
    }

    /// Returns true if a TLS file has changed since the connection was built, and has settled. An expired certificate does not always
    /// make a connection fail: some receivers respond. So the files are looked at even while requests succeed.
    pub(crate) fn is_outdated(&mut self, config: &config::Otlp) -> bool {
        if self.looked_at.elapsed() < FILE_LOOK_INTERVAL {
            return false;
        }
        self.looked_at = Instant::now();
        self.files.has_changed(config.tls.files().paths())
    }
}

fn channel(config: &config::Otlp) -> Result<Channel, SendError> {
    let wrong = |error: tonic::transport::Error| SendError::Config(format!("endpoint: {}", last_cause(&error)));
    let mut endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(wrong)?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    endpoint = endpoint.user_agent(USER_AGENT).map_err(wrong)?;
    if config.endpoint.starts_with("https://") {
        let tls = read(&config.tls)?.for_grpc(config.tls.server_name.as_deref());
        endpoint = endpoint.tls_config(tls).map_err(|error| SendError::Config(format!("tls: {}", last_cause(&error))))?;
    }
    Ok(endpoint.connect_lazy())
}

fn client(config: &config::Otlp) -> Result<reqwest::Client, SendError> {
    let wrong = |error: reqwest::Error| SendError::Config(format!("tls: {}", last_cause(&error.without_url())));
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(config.timeout);
    let builder = read(&config.tls)?.configure(builder, !config.endpoint.starts_with("http://"));
    builder.map_err(|unusable| wrong(unusable.error))?.build().map_err(wrong)
}

fn read(tls: &config::Tls) -> Result<ClientTls, SendError> {
    tls.files().read().map_err(|error| SendError::Config(format!("tls: {error}")))
}
