//! The client of one part of a target: its credential, its request variants and its pages.

use super::PollError;
use super::admission::Lane;
use super::circuit_breaker::CircuitBreaker;
use super::cpu::run_blocking_if_large;
use super::deadline::Deadline;
use super::http_client::{FilledRequest, HttpClient};
use super::part_credentials::PartCredentials;
use super::poll_limits::Limits;
use super::target_credentials::TargetCredentials;
use super::tickets::{TicketRequest, Tickets};
use super::window::RequestedWindow;
use crate::config;
use crate::model::{Families, PageEdge};
use crate::net::{Redactor, random_share};
use crate::source::{Credential, Part, ReadError, Request, ResponseBody, Ticket, names_dates};
use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pages of one response. 200 are a million rows even if a server returns at most 5,000 per page.
const PAGES_MAX: usize = 200;
/// Attempts to read a list that changes between two of its pages.
const LIST_READS_MAX: usize = 4;

/// The client of one part of one target, with the state that it keeps between requests.
#[derive(Debug)]
pub(super) struct PartClient {
    pub(super) part: &'static Part,
    pub(super) requests: Vec<&'static Request>,
    pub(super) credentials: Arc<PartCredentials>,
    body_bytes_max: usize,
    pub(super) required: bool,
    state: Mutex<PartState>,
}

#[derive(Debug)]
pub(super) struct PartState {
    /// The index of the request variant that succeeded last.
    pub(super) request: usize,
    /// The credential that the server accepted last.
    authorization: Option<HeaderValue>,
    /// The circuit of an optional part. The required part has the circuit of its target.
    breaker: CircuitBreaker,
    /// The server has rejected the last request with 429.
    is_rate_limited: bool,
    /// The path of the last request.
    pub(super) requested_path: Option<String>,
    /// The time of the last request for a raw response.
    pub(super) raw_requested: Option<Instant>,
    /// The length of the last body.
    body_bytes: usize,
}

/// The state that the parts of a target share.
#[derive(Clone, Debug)]
pub(super) struct TargetShared {
    pub(super) client: Arc<HttpClient>,
    pub(super) credentials: Arc<TargetCredentials>,
    pub(super) limits: Limits,
    pub(super) tickets: Tickets,
    /// The target's last poll failed.
    pub(super) is_failing: bool,
    /// The deadline of the current request.
    pub(super) deadline: Deadline,
}

impl TargetShared {
    /// Redacts the secrets of all requests to the target: a server may repeat them in any response.
    pub(super) async fn redactor(&self) -> Redactor {
        // Boxed, because it is rarely needed, and the futures of polls contain this one.
        Box::pin(self.credentials.read_files()).await;
        self.client.redactor(&self.credentials)
    }

    /// Redacts these secrets in an error.
    pub(super) async fn redacted(&self, error: PollError) -> PollError {
        error.redacted(&self.redactor().await)
    }
}

/// The request for one page.
#[derive(Clone, Copy)]
struct PageRequest<'a> {
    shared: &'a TargetShared,
    request: &'static Request,
    filled: &'a FilledRequest,
}

/// The parsed response of a part.
#[derive(Debug, Default)]
pub(super) struct PartBody {
    pub(super) pages: Vec<Families>,
    pub(super) bytes: usize,
}

impl PartClient {
    pub(super) fn new(target: &config::Target, part: &config::TargetPart, credentials: &TargetCredentials) -> Self {
        let is_configured = |request: &&Request| target.format.as_deref() == Some(request.format);
        let required = part.part.name == target.source.required().name;
        let requests = match part.part.requests.iter().find(is_configured).filter(|_| required) {
            Some(request) => vec![request],
            // A required part has one request by default; the variants of an optional part are tried in turn.
            None if required => part.part.requests.iter().take(1).collect(),
            None => part.part.requests.iter().collect(),
        };
        let body_bytes_max = target.body_bytes_max.unwrap_or(part.part.body_bytes_max);
        let breaker = CircuitBreaker::new(target.min_interval, target.backoff_max);
        let state = Mutex::new(PartState {
            request: 0,
            authorization: None,
            breaker,
            is_rate_limited: false,
            requested_path: None,
            raw_requested: None,
            body_bytes: 0,
        });
        let credentials = credentials.of_part(part);
        Self { part: part.part, requests, credentials, body_bytes_max, required, state }
    }

    /// The error that prevents a request to an optional part now: its circuit is open, or the server's rate limit requires a wait.
    pub(super) fn suspension(&self, client: &HttpClient, now: Instant) -> Option<PollError> {
        if self.required {
            return None;
        }
        let state = self.state();
        let rate_limit = || {
            let wait = Some(client.part_budget_wait(self.part, now));
            wait.filter(|wait| state.is_rate_limited && !wait.is_zero()).map(PollError::RateLimited)
        };
        state.breaker.blocking_error(now).cloned().or_else(rate_limit)
    }

    /// Records the outcome of an optional part, in a poll whose required part succeeded. Returns the pause if this opened the circuit.
    pub(super) fn record(&self, now: Instant, error: Option<&PollError>) -> Option<Duration> {
        let mut state = self.state();
        state.is_rate_limited = matches!(error, Some(PollError::RateLimited(_)));
        state.breaker.record(now, error, random_share())
    }

    /// Returns true if a request names the dates of its window, and not only points in time.
    pub(super) fn names_dates(&self) -> bool {
        let templates = self.requests.iter().flat_map(|request| std::iter::once(request.path).chain(request.post_body));
        templates.into_iter().any(names_dates)
    }

    fn is_failing(&self) -> bool {
        self.state().breaker.is_failing()
    }

    /// Reads all pages of the part.
    pub(super) async fn read(&self, shared: &TargetShared, window: &RequestedWindow) -> Result<PartBody, PollError> {
        let first = self.state().request;
        let mut result = Err(PollError::Malformed("this part has no request".into()));
        for attempt in 0..self.requests.len() {
            let at = (first + attempt) % self.requests.len();
            result = self.read_list(shared, self.requests[at], window).await;
            match &result {
                Err(PollError::Status { status: 404, .. }) => {}
                Ok(_) => {
                    self.state().request = at;
                    break;
                }
                Err(_) => break,
            }
        }
        result
    }

    /// Reads all pages of one list. Reads them again if the list changed between two of them, because rows would be missing or count twice.
    async fn read_list(&self, shared: &TargetShared, request: &'static Request, window: &RequestedWindow) -> Result<PartBody, PollError> {
        for _ in 0..LIST_READS_MAX {
            if let Some(body) = self.read_list_once(shared, request, window).await? {
                return Ok(body);
            }
        }
        Err(PollError::Malformed(format!("the list changed while its pages were read, {LIST_READS_MAX} times in a row")))
    }

    /// Reads all pages. Returns `None` if they do not belong to the same list.
    async fn read_list_once(
        &self,
        shared: &TargetShared,
        request: &'static Request,
        window: &RequestedWindow,
    ) -> Result<Option<PartBody>, PollError> {
        let mut body = PartBody::default();
        let mut before: Option<PageEdge> = None;
        let mut offset = Some(1);
        while let Some(at) = offset {
            if body.pages.len() == PAGES_MAX {
                return Err(PollError::Malformed(format!("the response has more than {PAGES_MAX} pages")));
            }
            let filled = self.fill(request, window, at);
            let part = self.part;
            let page = self.read_page(shared, request, &filled, move |body| part.read(request, body), &mut body.bytes).await?;
            let edge = page.edge.unwrap_or_default();
            if before.is_some_and(|before| !before.joins(&edge)) {
                return Ok(None);
            }
            (before, offset) = (Some(edge), edge.next);
            if offset.is_some_and(|next| next <= at) {
                return Err(PollError::Malformed("the pages of the response do not advance".into()));
            }
            body.pages.push(page);
        }
        Ok(Some(body))
    }

    /// The request for the page that begins at row `at`.
    pub(super) fn fill(&self, request: &Request, window: &RequestedWindow, at: u64) -> FilledRequest {
        let fill = |template: &str| window.fill(template, at);
        let filled = FilledRequest { path: fill(request.path), body: request.post_body.map(fill) };
        self.state().requested_path = Some(filled.path.clone());
        filled
    }

    /// Requests one page and parses it with `read`.
    pub(super) async fn read_page<T: Send + 'static>(
        &self,
        shared: &TargetShared,
        request: &'static Request,
        filled: &FilledRequest,
        read: impl Fn(ResponseBody) -> Result<T, ReadError> + Copy + Send + 'static,
        bytes: &mut usize,
    ) -> Result<T, PollError> {
        let page = PageRequest { shared, request, filled };
        if let Credential::Ticket(ticket) = self.part.credential {
            // Boxed, because few systems have tickets, and it would double the size of the future of each poll.
            return Box::pin(self.read_page_with_ticket(page, ticket, read, bytes)).await;
        }
        // The credential is stored again below if the server accepts it, so a rejected one is never the first that the next poll sends.
        let kept = self.state().authorization.take();
        let mut authorization = match kept {
            Some(value) => Some(value),
            None => self.credentials.header_value().await?,
        };
        let mut is_renewed = false;
        loop {
            let result = self.exchange(page, authorization.as_ref(), read, bytes).await;
            if !matches!(result, Err(PollError::Auth { .. })) {
                self.state().authorization = authorization;
                return result;
            }
            if is_renewed {
                return result;
            }
            let renewed = self.credentials.header_value().await?;
            // The file may have a new token. A second request with the old one would only look like an attack.
            if renewed == authorization {
                return result;
            }
            (authorization, is_renewed) = (renewed, true);
        }
    }

    async fn read_page_with_ticket<T: Send + 'static>(
        &self,
        page: PageRequest<'_>,
        ticket: &'static Ticket,
        read: impl Fn(ResponseBody) -> Result<T, ReadError> + Copy + Send + 'static,
        bytes: &mut usize,
    ) -> Result<T, PollError> {
        let (login, shared, began) = (self.credentials.login().await?, page.shared, Instant::now());
        let request = TicketRequest { part: self.part, ticket, login: &login, shared };
        let first = shared.tickets.current(request).await?;
        let result = self.exchange(page, Some(&first), read, bytes).await;
        if !matches!(result, Err(PollError::Auth { .. })) {
            self.state().authorization = Some(first);
            return result;
        }
        // The server may have restarted, so that it does not know the ticket.
        let renewed = shared.tickets.replacing(&first, began, request).await?;
        if renewed == first {
            return result;
        }
        let result = self.exchange(page, Some(&renewed), read, bytes).await;
        self.state().authorization = Some(renewed);
        result
    }

    async fn exchange<T: Send + 'static>(
        &self,
        PageRequest { shared, request, filled }: PageRequest<'_>,
        authorization: Option<&HeaderValue>,
        read: impl Fn(ResponseBody) -> Result<T, ReadError> + Copy + Send + 'static,
        bytes: &mut usize,
    ) -> Result<T, PollError> {
        let lane = Lane::of(shared.is_failing || self.is_failing());
        let mut memory = shared.limits.bodies.body(lane, shared.deadline.clone());
        // The limit applies to all pages together.
        let left = self.body_bytes_max.saturating_sub(*bytes);
        let expected = self.state().body_bytes.min(left);
        self.credentials.record_sent(authorization);
        let result = shared.client.request(self.part, request, filled, authorization, (expected, left), &mut memory).await;
        let body = match result {
            Err(PollError::TooLarge(_)) => return Err(PollError::TooLarge(self.body_bytes_max)),
            Err(error) => return Err(shared.redacted(error).await),
            Ok(body) => body,
        };
        *bytes += body.bytes.len();
        self.state().body_bytes = body.bytes.len();
        let body_bytes = body.bytes.len() as u64;
        // Parsing continues after the deadline, and keeps its memory until it has ended.
        let (parsed, _) = run_blocking_if_large(body_bytes, move || (read(body), memory)).await?;
        match parsed {
            Ok(read) => Ok(read),
            Err(error) => Err(shared.redacted(PollError::of_read(error, self.part.unauthorized_hint)).await),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, PartState> {
        self.state.lock()
    }
}
