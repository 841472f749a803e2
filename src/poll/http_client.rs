//! One HTTP exchange with a mail server: a response within its limits, or an error.

use super::PollError;
use super::admission::IdleConnections;
use super::body_buffer::BodyBuffer;
use super::body_memory::BodyMemory;
use super::client_builder::{ClientError, build_client, header_map};
use super::http_error::{before_response, general_status_hint, rejection, was_closed};
use super::poll_limits::Limits;
use super::rate_budget::{RateBudget, Scope};
use super::response::Response;
use super::target_credentials::TargetCredentials;
use crate::config;
use crate::net::{Redactor, masked_url, retry_after};
use crate::source::{Part, Request, ResponseBody, TARGET_URL, TextFormat, check_complete};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use parking_lot::{Mutex, MutexGuard};
use reqwest::{StatusCode, Url};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ACCEPT_JSON: HeaderValue = HeaderValue::from_static("application/json, text/plain;version=0.0.4;q=0.9, */*;q=0.1");
/// Without this, an endpoint that has both formats would respond with a JSON of its own.
const ACCEPT_TEXT: HeaderValue = HeaderValue::from_static("text/plain;version=0.0.4, text/plain;q=0.9, */*;q=0.1");
/// The formats that Prometheus 3 requests by default, in its order.
const ACCEPT_OPENMETRICS: HeaderValue = HeaderValue::from_static(
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
);

/// The HTTP client of one target, with its TLS, proxy, connections and rate budget.
#[derive(Debug)]
pub(super) struct HttpClient {
    http: reqwest::Client,
    url: Url,
    /// The URL of the configuration, masked and without a slash at its end.
    masked_base: String,
    proxy: Option<String>,
    headers: HeaderMap,
    /// The connections of requests that got a response, at most as many as may be idle. They may be reused, and the server may have closed
    /// them since.
    reusable_connections: AtomicUsize,
    budget: Arc<Mutex<RateBudget>>,
    idle_connections: IdleConnections,
    /// The required part: if the server rejects it, it rejects the target as a whole.
    required: &'static str,
}

impl HttpClient {
    pub(super) fn new(target: &config::Target, limits: &Limits) -> Result<Self, ClientError> {
        let idle_connections = limits.admission.keep_connections();
        let (http, url) = build_client(&target.url, &target.tls, target.proxy.as_deref(), idle_connections.max())?;
        let headers = header_map(&target.headers)?;
        let required = target.source.required().name;
        let budget = Arc::new(Mutex::new(RateBudget::new(target.source.requests_per_minute_max)));
        let proxy = target.proxy.as_ref().map(|proxy| proxy.as_str().to_owned());
        Ok(Self {
            http,
            url,
            masked_base: masked_url(target.url.as_str()).trim_end_matches('/').to_owned(),
            proxy,
            headers,
            reusable_connections: AtomicUsize::default(),
            budget,
            idle_connections,
            required,
        })
    }

    /// Shares the rate budget of another client of the same server: the server counts the requests of both.
    pub(super) fn share_budget(&mut self, other: &Self) {
        self.budget = other.budget.clone();
    }

    /// Sends one request and reads the body of a successful response. `bytes_expected` is the length of the last one.
    pub(super) async fn request(
        &self,
        part: &Part,
        request: &Request,
        filled: &FilledRequest,
        authorization: Option<&HeaderValue>,
        (bytes_expected, body_bytes_max): (usize, usize),
        memory: &mut BodyMemory,
    ) -> Result<ResponseBody, PollError> {
        let mut response = self.open(part, request, filled, authorization).await?;
        match response.status() {
            StatusCode::OK => {}
            status if request.statuses.contains(&status.as_u16()) => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(PollError::rejected_credential(rejection(status, response.headers()), part.unauthorized_hint));
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
        let content_length = response.content_length().and_then(|n| usize::try_from(n).ok());
        let mut body = BodyBuffer::new(bytes_expected, content_length);
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > body_bytes_max {
                return Err(PollError::TooLarge(body_bytes_max));
            }
            memory.grow_to(body.len() + chunk.len()).await;
            body.add(&chunk);
        }
        let bytes = body.into_bytes();
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let declared = TextFormat::declared_by(content_type);
        check_complete(declared, &bytes).map_err(|error| PollError::of_read(error, part.unauthorized_hint))?;
        Ok(ResponseBody { bytes, declared })
    }

    /// Sends one request within the rate budget. If the server had closed a reused connection, the request is sent again, as often as
    /// there were requests whose connections may be reused. The status of the response is not checked.
    pub(super) async fn open(
        &self,
        part: &Part,
        request: &Request,
        filled: &FilledRequest,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, PollError> {
        let scope = self.scope(part);
        self.budget().spend(Instant::now(), scope).map_err(PollError::RateLimited)?;
        let sent = loop {
            let may_reuse = self.reusable_connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
            let sent = self.send(part, request, filled, authorization).await;
            let is_stale = may_reuse && sent.as_ref().is_err_and(was_closed);
            if !is_stale || self.budget().spend(Instant::now(), scope).is_err() {
                break sent;
            }
        };
        if sent.is_ok() {
            let one_more = |n| (n < self.idle_connections.max()).then_some(n + 1);
            // It fails at the maximum.
            let _ = self.reusable_connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        }
        sent.map(Response::from).map_err(|error| before_response(&error, self.url.scheme(), self.proxy.as_deref()))
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

    /// Redacts the secrets of all requests to the target, with these credentials.
    pub(super) fn redactor(&self, credentials: &TargetCredentials) -> Redactor {
        let urls = [Some(self.url.as_str()), self.proxy.as_deref()];
        credentials.redactor(self.headers.values(), urls.into_iter().flatten())
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
        headers.entry(ACCEPT).or_insert(accepted_formats(request));
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

/// The header `Accept` of a request, unless the configuration has one.
fn accepted_formats(request: &Request) -> HeaderValue {
    match (request.prefers_openmetrics, request.format) {
        (true, _) => ACCEPT_OPENMETRICS,
        (false, "text") => ACCEPT_TEXT,
        (false, _) => ACCEPT_JSON,
    }
}

fn status_hint(part: &Part, status: StatusCode, scheme: &str) -> &'static str {
    match status.as_u16() {
        404 => part.not_found_hint,
        _ => general_status_hint(status, scheme),
    }
}
