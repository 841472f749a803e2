//! One HTTP exchange with a mail server: a response within its limits, or an error.

use super::PollError;
use super::admission::IdleConnections;
use super::body_memory::BodyMemory;
use super::http_error::{before_response, in_response, last_cause, was_closed};
use super::poll_limits::Limits;
use super::rate_budget::{RateBudget, Scope};
use crate::config;
use crate::net::{Redactor, TlsFileError, UnusableTls, install_crypto_provider, masked_url, retry_after, secret_header};
use crate::source::{Part, Request, TARGET_URL, check_complete};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use parking_lot::{Mutex, MutexGuard};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Proxy, StatusCode, Url, redirect};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ACCEPT_JSON: HeaderValue = HeaderValue::from_static("application/json, text/plain;version=0.0.4;q=0.9, */*;q=0.1");
/// Without this, an endpoint that has both formats would respond with a JSON of its own.
const ACCEPT_TEXT: HeaderValue = HeaderValue::from_static("text/plain;version=0.0.4, text/plain;q=0.9, */*;q=0.1");
/// The longest time to open a connection, TLS included. The deadline of the poll applies as well.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest number of headers in a response.
const RESPONSE_HEADERS_MAX: usize = 64;

/// The HTTP client of one target, with its TLS, proxy, connections and rate budget.
#[derive(Clone, Debug)]
pub(super) struct HttpClient {
    http: reqwest::Client,
    url: Url,
    /// The URL of the configuration, masked and without a slash at its end.
    masked_base: String,
    proxy: Option<String>,
    headers: HeaderMap,
    /// The last request got a response, so its connection may be reused, and the server may have closed it since.
    may_reuse_connection: Arc<AtomicBool>,
    budget: Arc<Mutex<RateBudget>>,
    _idle_connections: Arc<IdleConnections>,
    /// The required part: if the server rejects it, it rejects the target as a whole.
    required: &'static str,
}

/// The reason why a target cannot be created. All of them are errors of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
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

impl From<TlsFileError> for StartError {
    fn from(TlsFileError { path, error }: TlsFileError) -> Self {
        Self::File { path: path.display().to_string(), error }
    }
}

impl From<UnusableTls> for StartError {
    fn from(UnusableTls { setting, error }: UnusableTls) -> Self {
        Self::unusable(setting)(error)
    }
}

impl StartError {
    fn unusable(setting: &'static str) -> impl Fn(reqwest::Error) -> Self {
        move |error| Self::Unusable { setting, reason: last_cause(&error.without_url()) }
    }
}

impl HttpClient {
    pub(super) fn new(target: &config::Target, limits: &Limits) -> Result<Self, StartError> {
        install_crypto_provider();
        let idle_connections = limits.admission.keep_connections();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("postmeter/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_max_headers(RESPONSE_HEADERS_MAX)
            .pool_max_idle_per_host(idle_connections.max())
            .tcp_nodelay(true);
        builder = match &target.proxy {
            Some(proxy) => builder.proxy(Proxy::all(proxy.as_str()).map_err(StartError::unusable("proxy"))?),
            // Otherwise reqwest would use the proxy of the environment.
            None => builder.no_proxy(),
        };
        let tls = &target.tls;
        builder = tls.files().read()?.configure(builder, target.url.scheme() == "https")?;
        if tls.insecure_skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let mut url = target.url.clone();
        if let Some(name) = tls.server_name.as_ref().filter(|_| target.url.scheme() == "https") {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            builder = builder.dns_resolver(ServerNameResolver { name: name.to_ascii_lowercase(), host });
            url.set_host(Some(name)).map_err(|error| StartError::Unusable { setting: "tls.server_name", reason: error.to_string() })?;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &target.headers {
            let unusable = |reason: String| StartError::Unusable { setting: "headers", reason };
            let value = value.read().map_err(|error| unusable(error.to_string()))?;
            let name = HeaderName::try_from(name.as_str()).map_err(|error| unusable(error.to_string()))?;
            headers.insert(name, secret_header(&value).ok_or_else(|| unusable("a value has characters that a header cannot have".into()))?);
        }
        let required = target.source.required().name;
        let budget = Arc::new(Mutex::new(RateBudget::new(target.source.requests_per_minute_max)));
        let proxy = target.proxy.as_ref().map(|proxy| proxy.as_str().to_owned());
        Ok(Self {
            http: builder.build().map_err(StartError::unusable("the HTTP client"))?,
            url,
            masked_base: masked_url(&target.url).trim_end_matches('/').to_owned(),
            proxy,
            headers,
            may_reuse_connection: Arc::default(),
            budget,
            _idle_connections: Arc::new(idle_connections),
            required,
        })
    }

    /// Shares the rate budget of another client of the same server: the server counts the requests of both.
    pub(super) fn share_budget(&mut self, other: &Self) {
        self.budget = other.budget.clone();
    }

    /// Sends one request and reads the body of a successful response.
    pub(super) async fn request(
        &self,
        part: &Part,
        request: &Request,
        filled: &FilledRequest,
        authorization: Option<&HeaderValue>,
        body_bytes_max: usize,
        memory: &mut BodyMemory,
    ) -> Result<Vec<u8>, PollError> {
        let mut response = self.open(part, request, filled, authorization).await?;
        match response.status() {
            StatusCode::OK => {}
            status if request.statuses.contains(&status.as_u16()) => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(PollError::rejected_credential(response.status().as_u16(), part.unauthorized_hint));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(PollError::RateLimited(self.record_rejection(part, response.headers())));
            }
            status => return Err(PollError::Status { status: status.as_u16(), hint: status_hint(part, status, self.url.scheme()) }),
        }
        if response.content_length().is_some_and(|n| n > body_bytes_max as u64) {
            return Err(PollError::TooLarge(body_bytes_max));
        }
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| in_response(&error))? {
            if body.len() + chunk.len() > body_bytes_max {
                return Err(PollError::TooLarge(body_bytes_max));
            }
            memory.grow_to(body.len() + chunk.len()).await;
            body.extend_from_slice(&chunk);
        }
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        check_complete(content_type, &body).map_err(|error| PollError::of_read(error, part.unauthorized_hint))?;
        Ok(body)
    }

    /// Sends one request within the rate budget. If the server had closed a reused connection, the request is sent once more. The status
    /// of the response is not checked.
    pub(super) async fn open(
        &self,
        part: &Part,
        request: &Request,
        filled: &FilledRequest,
        authorization: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, PollError> {
        let scope = self.scope(part);
        self.budget().spend(Instant::now(), scope).map_err(PollError::RateLimited)?;
        let mut sent = self.send(part, request, filled, authorization).await;
        let was_closed_before = sent.as_ref().is_err_and(was_closed) && self.may_reuse_connection.load(Ordering::Relaxed);
        if was_closed_before && self.budget().spend(Instant::now(), scope).is_ok() {
            sent = self.send(part, request, filled, authorization).await;
        }
        self.may_reuse_connection.store(sent.is_ok(), Ordering::Relaxed);
        sent.map_err(|error| before_response(&error, CONNECT_TIMEOUT, self.url.scheme()))
    }

    /// Records a response with status 429. Returns the wait until the next request.
    pub(super) fn record_rejection(&self, part: &Part, headers: &HeaderMap) -> Duration {
        self.budget().record_rejection(Instant::now(), self.scope(part), retry_after(headers))
    }

    /// The URL of a request, for display. The path comes from the mail system's definition and contains no secret; the rest is masked.
    pub(super) fn masked_url(&self, path: &str) -> String {
        format!("{}{path}", self.masked_base)
    }

    fn scope(&self, part: &Part) -> Scope {
        if part.name == self.required { Scope::Target } else { Scope::Part(part.name) }
    }

    /// The time until the rate budget allows a request of the required part.
    pub(super) fn budget_wait(&self, now: Instant) -> Duration {
        self.budget().wait(now, Scope::Target)
    }

    /// The time until the rate budget allows a request of an optional part.
    pub(super) fn part_budget_wait(&self, part: &Part, now: Instant) -> Duration {
        self.budget().wait(now, Scope::Part(part.name))
    }

    /// Redacts the secrets of a request with this credential.
    pub(super) fn redactor(&self, authorization: Option<&HeaderValue>) -> Redactor {
        let urls = [Some(self.url.as_str()), self.proxy.as_deref()];
        Redactor::new(self.headers.values().chain(authorization), urls.into_iter().flatten())
    }

    fn budget(&self) -> MutexGuard<'_, RateBudget> {
        self.budget.lock()
    }

    async fn send(
        &self,
        part: &Part,
        request: &Request,
        filled: &FilledRequest,
        authorization: Option<&HeaderValue>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut url = self.url.clone();
        if filled.path != TARGET_URL {
            let path = filled.path.as_str();
            let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
            url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
            url.set_query(query);
        }
        let builder = match &filled.body {
            Some(body) => self.http.post(url).header(CONTENT_TYPE, request.content_type).body(body.clone()),
            None => self.http.get(url),
        };
        let mut headers = self.headers.clone();
        headers.entry(ACCEPT).or_insert(if request.format == "text" { ACCEPT_TEXT } else { ACCEPT_JSON });
        // A name that is not valid is reported when the credential is read.
        if let (Some(value), Ok(name)) = (authorization, HeaderName::from_bytes(part.credential.header().as_bytes())) {
            headers.insert(name, value.clone());
        }
        builder.headers(headers).send().await
    }
}

/// The path and the body of a request, without placeholders.
#[derive(Clone)]
pub(super) struct FilledRequest {
    /// The path and query, or [`TARGET_URL`].
    pub(super) path: String,
    /// The body of a POST request.
    pub(super) body: Option<String>,
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

fn status_hint(part: &Part, status: StatusCode, scheme: &str) -> &'static str {
    match status.as_u16() {
        // Several servers respond with this to plain HTTP on a TLS port.
        400 if scheme == "http" => "the server does not understand the request; if this is a TLS port, use https in the url",
        404 => part.not_found_hint,
        300..=399 => "redirects are not followed; set url to the final address",
        500..=599 => "the server or a proxy in front of it has a problem; check its log",
        _ => "this is not a response of the expected API; check the url",
    }
}
