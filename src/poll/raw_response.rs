//! The response of a server as text, requested by an operator and not kept.
//!
//! It is requested with the same credential and rate budget as a poll, for each part at most once in `min_interval`. Secrets are replaced
//! after the response was cut to its maximum size; the redactor also finds a secret that the cut has shortened.

use super::admission::Lane;
use super::deadline::Deadline;
use super::http_client::HttpClient;
use super::part_client::{PartClient, TargetShared};
use super::part_requests::internal_error;
use super::response::Response;
use super::tickets::TicketRequest;
use super::window::{self, RequestedWindow};
use super::{PollError, PollRefusal, Target};
use crate::net::Escaped;
use crate::source::{Credential, Request};
use http::header::CONTENT_TYPE;
use std::pin::pin;
use std::time::{Duration, Instant};

/// The largest part of a body that is read.
pub const RAW_BYTES_MAX: usize = 64 * 1024;

/// The first page of a response, without secrets.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The method and the masked URL of the request.
    pub requested: String,
    /// The status.
    pub status: u16,
    /// The header `Content-Type`, or nothing.
    pub content_type: String,
    /// The body, up to [`RAW_BYTES_MAX`].
    pub body: String,
    /// True if the body is longer.
    pub is_cut: bool,
}

/// The reason why there is no response.
#[derive(Clone, Debug)]
pub enum RawError {
    /// The target has no part with this name.
    UnknownPart,
    /// The request is not allowed now.
    Refused(PollRefusal),
    /// The request failed.
    Failed(PollError),
}

impl From<PollError> for RawError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::RateLimited(wait) => Self::Refused(PollRefusal::RateLimited { wait }),
            error => Self::Failed(error),
        }
    }
}

impl Target {
    /// Requests the first page of a part, by default of the required one, whatever the status of the response.
    ///
    /// # Errors
    /// The part is unknown, the request is not allowed now, or it failed.
    pub async fn raw_response(&self, part: Option<&str>) -> Result<RawResponse, RawError> {
        let client = match part {
            Some(name) => self.parts.iter().find(|client| client.part.name == name),
            None => self.parts.first(),
        };
        let client = client.ok_or(RawError::UnknownPart)?;
        let min_interval = self.config.min_interval;
        let started = client.start_raw_request(Instant::now(), self.reading_age_max());
        started.map_err(|wait| RawError::Refused(PollRefusal::TooSoon { min_interval, wait }))?;
        let shared = self.shared();
        let _admitted = shared.limits.admit_request(shared.is_failing).await;
        let deadline = Deadline::new(Instant::now(), self.config.timeout);
        let shared = TargetShared { deadline: deadline.clone(), ..shared };
        let mut memory = shared.limits.bodies.body(Lane::of(shared.is_failing), deadline.clone());
        let window = window::containing(&self.config.window, (self.clock)()).in_zone(self.config.window.zone());
        let read = async {
            let mut response = client.open(&shared, &window).await?;
            let status = response.status().as_u16();
            if status == 429 {
                shared.client.record_rejection(client.part, response.headers());
            }
            let content_type = response.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let mut body = Vec::new();
            while body.len() <= RAW_BYTES_MAX
                && let Some(chunk) = response.chunk().await?
            {
                let rest = (RAW_BYTES_MAX + 1).saturating_sub(body.len());
                memory.grow_to(body.len() + rest.min(chunk.len())).await;
                body.extend_from_slice(&chunk[..rest.min(chunk.len())]);
            }
            Ok((status, content_type.unwrap_or_default(), body))
        };
        let result = deadline.run(pin!(read)).await;
        let redactor = shared.redactor().await;
        let (status, content_type, mut body) = result.map_err(|error| error.redacted(&redactor))?;
        let is_cut = body.len() > RAW_BYTES_MAX;
        body.truncate(RAW_BYTES_MAX);
        let requested = client.requested_url(&shared.client).unwrap_or_default();
        // Searching for secrets in all their encodings takes a while.
        let redacted = tokio::task::spawn_blocking(move || {
            let text = |bytes: &[u8]| Escaped::lines(&redactor.redacted(String::from_utf8_lossy(bytes).into_owned())).to_string();
            RawResponse { requested, status, content_type: text(content_type.as_bytes()), body: text(&body), is_cut }
        });
        redacted.await.map_err(|_| RawError::Failed(internal_error()))
    }
}

impl PartClient {
    /// The method and the URL of the last request, masked.
    pub(super) fn requested_url(&self, client: &HttpClient) -> Option<String> {
        let state = self.state();
        let method = self.requests.get(state.request).map_or("GET", |request| method(request));
        state.requested_path.as_ref().map(|path| format!("{method} {}", client.masked_url(path)))
    }

    /// Starts a request for a raw response, for a caller with a budget of its own.
    ///
    /// # Errors
    /// The time until it is allowed: it is sent at most once in `interval`.
    pub(super) fn start_raw_request(&self, now: Instant, interval: Duration) -> Result<(), Duration> {
        let mut state = self.state();
        let wait = state.raw_requested.map(|last| (last + interval).saturating_duration_since(now)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        state.raw_requested = Some(now);
        Ok(())
    }

    /// Requests the first page without reading it.
    pub(super) async fn open(&self, shared: &TargetShared, window: &RequestedWindow) -> Result<Response, PollError> {
        let Some(request) = self.requests.get(self.state().request).copied() else {
            return Err(PollError::Malformed("this part has no request".into()));
        };
        let authorization = match self.part.credential {
            Credential::Ticket(ticket) => {
                let login = self.credentials.login().await?;
                Some(shared.tickets.current(TicketRequest { part: self.part, ticket, login: &login, shared }).await?)
            }
            _ => self.credentials.header_value().await?,
        };
        let filled = self.fill(request, window, 1);
        self.credentials.record_sent(authorization.as_ref());
        shared.client.open(self.part, request, &filled, authorization.as_ref()).await
    }
}

/// The HTTP method of a request.
const fn method(request: &Request) -> &'static str {
    if request.post_body.is_some() { "POST" } else { "GET" }
}
