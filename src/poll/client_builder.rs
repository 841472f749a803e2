//! Builds the HTTP clients that read from mail servers and from `targets_http`.

use super::http_error::last_cause;
use crate::config::{Secret, Tls};
use crate::net::{TlsFileError, UnusableTls, install_crypto_provider, secret_header};
use crate::source::quote;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Proxy, Url, redirect, retry};
use std::net::SocketAddr;
use std::time::Duration;

/// The longest time to open a connection, TLS included. The deadline of the request applies as well.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest number of headers in a response.
const RESPONSE_HEADERS_MAX: usize = 64;

/// The reason why an HTTP client cannot be built. All of them are errors of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// The path of the file.
        path: String,
        /// The I/O error.
        error: std::io::Error,
    },
    /// A setting cannot be used.
    #[error("{setting}: {reason}")]
    Unusable {
        /// The setting.
        setting: &'static str,
        /// The reason.
        reason: String,
    },
}

impl From<TlsFileError> for ClientError {
    fn from(TlsFileError { path, error }: TlsFileError) -> Self {
        Self::File { path: path.display().to_string(), error }
    }
}

impl From<UnusableTls> for ClientError {
    fn from(UnusableTls { setting, reason }: UnusableTls) -> Self {
        Self::Unusable { setting, reason: quote(&reason) }
    }
}

impl ClientError {
    fn unusable(setting: &'static str) -> impl Fn(reqwest::Error) -> Self {
        move |error| Self::Unusable { setting, reason: last_cause(&error.without_url()) }
    }
}

/// Builds a client for a URL, and returns it with the URL to request. Redirects are not followed, and proxies of the environment are
/// ignored.
///
/// # Errors
/// A setting cannot be used, or one of its files cannot be read.
pub(super) fn build_client(url: &Url, tls: &Tls, proxy: Option<&str>, idle_connections_max: usize) -> Result<(Client, Url), ClientError> {
    install_crypto_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("postmeter/", env!("CARGO_PKG_VERSION")))
        // `Response` decompresses.
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .http1_max_headers(RESPONSE_HEADERS_MAX)
        // Postmeter decides itself when to try again. Without this, each request is copied before it is sent.
        .retry(retry::never().max_retries_per_request(0))
        .pool_max_idle_per_host(idle_connections_max)
        .tcp_nodelay(true);
    builder = match proxy {
        Some(proxy) => builder.proxy(Proxy::all(proxy).map_err(ClientError::unusable("proxy"))?),
        // Otherwise reqwest would use the proxy of the environment.
        None => builder.no_proxy(),
    };
    builder = tls.files().read()?.configure(builder, url.scheme() == "https", !tls.insecure_skip_verify)?;
    let mut requested = url.clone();
    if let Some(name) = tls.server_name.as_ref().filter(|_| url.scheme() == "https") {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        builder = builder.dns_resolver(ServerNameResolver { name: name.to_ascii_lowercase(), host });
        let set = requested.set_host(Some(name));
        set.map_err(|error| ClientError::Unusable { setting: "tls.server_name", reason: error.to_string() })?;
    }
    Ok((builder.build().map_err(ClientError::unusable("the HTTP client"))?, requested))
}

/// Reads the values of configured headers.
///
/// # Errors
/// A value cannot be read or sent.
pub(super) fn header_map(configured: &[(String, Secret)]) -> Result<HeaderMap, ClientError> {
    let unusable = |reason: String| ClientError::Unusable { setting: "headers", reason };
    let mut headers = HeaderMap::new();
    for (name, value) in configured {
        let value = value.read().map_err(|error| unusable(error.to_string()))?;
        let name = HeaderName::try_from(name.as_str()).map_err(|error| unusable(error.to_string()))?;
        headers.insert(name, secret_header(&value).ok_or_else(|| unusable("a value has characters that a header cannot have".into()))?);
    }
    Ok(headers)
}

/// A resolver for `tls.server_name`: connects to the host of the URL, while TLS checks the certificate against the server name.
#[derive(Debug)]
struct ServerNameResolver {
    name: String,
    host: String,
}

impl Resolve for ServerNameResolver {
    fn resolve(&self, name: Name) -> Resolving {
        // The name of a proxy is resolved here as well.
        let host = if name.as_str() == self.name { self.host.clone() } else { name.as_str().to_owned() };
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
