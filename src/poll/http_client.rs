//! One HTTP exchange with a mail server: an answer within its limits, or why not.

use super::PollError;
use super::admission::IdleConnections;
use super::body_memory::BodyMemory;
use super::http_error::{before_answer, chain, in_answer, was_closed};
use super::poll_limits::Limits;
use super::rate_budget::{RateBudget, Scope};
use crate::config;
use crate::net::Redactor;
use crate::source::{Part, Request, TARGET_URL, check_complete};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use parking_lot::{Mutex, MutexGuard};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Identity, Proxy, StatusCode, Url, redirect};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

const ACCEPT_JSON: HeaderValue = HeaderValue::from_static("application/json, text/plain;version=0.0.4;q=0.9, */*;q=0.1");
/// An endpoint that has both would otherwise answer with a JSON of its own.
const ACCEPT_TEXT: HeaderValue = HeaderValue::from_static("text/plain;version=0.0.4, text/plain;q=0.9, */*;q=0.1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Opening a connection, TLS included; within the deadline of the poll.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Response headers of one answer.
const RESPONSE_HEADERS_MAX: usize = 64;

/// A client for one target: its trust, its proxy, its connection, its budget.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    proxy: Option<String>,
    headers: HeaderMap,
    /// The server has answered, so a connection may have been kept, and closed since.
    kept: Arc<AtomicBool>,
    budget: Arc<Mutex<RateBudget>>,
    _idle_connections: Arc<IdleConnections>,
    /// The part whose refusal is that of the target.
    required: &'static str,
}

/// Why a target cannot even be asked: all of it is configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// What cannot be used, and why.
    #[error("{what}: {why}")]
    Unusable {
        /// The setting.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl Client {
    pub(super) fn new(target: &config::Target, limits: &Limits) -> Result<Self, StartError> {
        use_ring();
        let idle_connections = limits.admission.keep_connections();
        let unusable = |what| move |error: reqwest::Error| StartError::Unusable { what, why: chain(&error.without_url()) };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("postmeter/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_max_headers(RESPONSE_HEADERS_MAX)
            .pool_max_idle_per_host(idle_connections.max())
            .tcp_nodelay(true);
        builder = match &target.proxy {
            Some(proxy) => builder.proxy(Proxy::all(proxy.as_str()).map_err(unusable("proxy"))?),
            // Otherwise the environment's proxy would be followed.
            None => builder.no_proxy(),
        };
        let tls = &target.tls;
        if let Some(path) = &tls.ca_file {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&file(path)?).map_err(unusable("tls.ca_file"))?);
        } else if target.url.scheme() == "http" {
            // No trust is needed, and a container may have no certificates to load.
            builder = builder.tls_certs_only([]);
        }
        if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
            let pem = [file(cert)?, file(key)?].join(&b'\n');
            builder = builder.identity(Identity::from_pem(&pem).map_err(unusable("tls.cert_file and tls.key_file"))?);
        }
        if tls.insecure_skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let mut url = target.url.clone();
        if let Some(name) = tls.server_name.as_ref().filter(|_| target.url.scheme() == "https") {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            builder = builder.dns_resolver(Pinned { name: name.to_ascii_lowercase(), host });
            url.set_host(Some(name)).map_err(|error| StartError::Unusable { what: "tls.server_name", why: error.to_string() })?;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &target.headers {
            let unusable = |why: String| StartError::Unusable { what: "headers", why };
            let value = value.read().map_err(|error| unusable(error.to_string()))?;
            let name = HeaderName::try_from(name.as_str()).map_err(|error| unusable(error.to_string()))?;
            headers.insert(name, secret_header(&value).ok_or_else(|| unusable("a value has characters that a header cannot have".into()))?);
        }
        let required = target.source.required().name;
        let budget = Arc::new(Mutex::new(RateBudget::new(target.source.requests_per_minute_max)));
        let proxy = target.proxy.as_ref().map(|proxy| proxy.as_str().to_owned());
        Ok(Self {
            http: builder.build().map_err(unusable("the HTTP client"))?,
            url,
            proxy,
            headers,
            kept: Arc::default(),
            budget,
            _idle_connections: Arc::new(idle_connections),
            required,
        })
    }

    /// Requests of either count for both: the server sees one and the same asking.
    pub(super) fn share_budget(&mut self, other: &Self) {
        self.budget = other.budget.clone();
    }

    /// Asks once. A connection that the server had closed while it was kept for reuse is opened again, once.
    pub(super) async fn ask(
        &self,
        part: &Part,
        request: &Request,
        path: &str,
        authorization: Option<&HeaderValue>,
        body_bytes_max: usize,
        memory: &mut BodyMemory,
    ) -> Result<Vec<u8>, PollError> {
        let scope = if part.name == self.required { Scope::All } else { Scope::Part(part.name) };
        self.budget().take(Instant::now(), scope).map_err(PollError::RateLimited)?;
        let mut sent = self.send(request, path, authorization).await;
        let again = sent.as_ref().is_err_and(was_closed) && self.kept.load(Ordering::Relaxed);
        if again && self.budget().take(Instant::now(), scope).is_ok() {
            sent = self.send(request, path, authorization).await;
        }
        self.kept.store(sent.is_ok(), Ordering::Relaxed);
        let mut response = sent.map_err(|error| before_answer(&error, CONNECT_TIMEOUT, self.url.scheme()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(PollError::refused(response.status().as_u16(), part.unauthorized_hint));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = self.budget().refused(Instant::now(), scope, retry_after(response.headers()));
                return Err(PollError::RateLimited(wait));
            }
            status => return Err(PollError::Status { status: status.as_u16(), hint: status_hint(part, status, self.url.scheme()) }),
        }
        if response.content_length().is_some_and(|n| n > body_bytes_max as u64) {
            return Err(PollError::TooLarge(body_bytes_max));
        }
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| in_answer(&error))? {
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

    /// How long until the budget allows a request.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.budget().wait(now, Scope::All)
    }

    /// The same of an optional part.
    pub(super) fn wait_of(&self, part: &Part, now: Instant) -> Duration {
        self.budget().wait(now, Scope::Part(part.name))
    }

    /// Hides what a request with this credential carries.
    pub(super) fn redactor(&self, authorization: Option<&HeaderValue>) -> Redactor {
        let urls = [Some(self.url.as_str()), self.proxy.as_deref()];
        Redactor::new(self.headers.values().chain(authorization), urls.into_iter().flatten())
    }

    fn budget(&self) -> MutexGuard<'_, RateBudget> {
        self.budget.lock()
    }

    async fn send(&self, request: &Request, path: &str, authorization: Option<&HeaderValue>) -> reqwest::Result<reqwest::Response> {
        let mut url = self.url.clone();
        if path != TARGET_URL {
            let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
            url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
            url.set_query(query);
        }
        let builder = match request.post_body {
            Some(body) => self.http.post(url).header(CONTENT_TYPE, JSON).body(body),
            None => self.http.get(url),
        };
        let mut headers = self.headers.clone();
        headers.entry(ACCEPT).or_insert(if request.format == "text" { ACCEPT_TEXT } else { ACCEPT_JSON });
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        builder.headers(headers).send().await
    }
}

/// A header value that no debug print shows.
pub(crate) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The certificate names one host and the url another: connect to the url's, and let TLS see the certificate's.
#[derive(Debug)]
struct Pinned {
    name: String,
    host: String,
}

impl Resolve for Pinned {
    fn resolve(&self, name: Name) -> Resolving {
        // A proxy's name is looked up here as well.
        let host = if name.as_str() == self.name { self.host.clone() } else { name.as_str().to_owned() };
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// rustls is asked for its provider when the first client is made; there is one in this program.
pub(crate) fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Only an embedding program could have installed another, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn file(path: &std::path::Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| StartError::File { path: path.display().to_string(), error })
}

fn status_hint(part: &Part, status: StatusCode, scheme: &str) -> &'static str {
    match status.as_u16() {
        // What several servers say on a port where they speak TLS.
        400 if scheme == "http" => "the server does not understand the request; if it speaks TLS on this port, write https in the url",
        404 => part.not_found_hint,
        300..=399 => "redirects are not followed; set url to where the server really is",
        500..=599 => "the server or a proxy before it is in trouble; see its log",
        _ => "this is not an answer of this API; check the url",
    }
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}
