//! Asking for one part: its credential, its ways of being asked, its pages.

use super::PollError;
use super::admission::Lane;
use super::circuit_breaker::{CircuitBreaker, chance};
use super::deadline::Deadline;
use super::http_client::{Client, secret_header};
use super::poll_limits::Limits;
use super::window::Window;
use crate::config;
use crate::model::{Families, PageEdge};
use crate::source::{Part, ReadError, Request};
use http::HeaderValue;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Pages of one answer. 200 are a million rows even where a server gives 5,000 at most.
const PAGES_MAX: usize = 200;
/// How often a list is read that changes between two of its pages.
const LIST_READS_MAX: usize = 4;
/// Bodies above this are read beside the event loop, so that a large target does not hold up the others.
pub(super) const READ_INLINE_BYTES_MAX: usize = 128 * 1024;

/// One part of one target, and what is remembered of asking for it.
#[derive(Debug)]
pub(super) struct PartClient {
    pub(super) part: &'static Part,
    requests: Vec<&'static Request>,
    credentials: config::Credentials,
    body_bytes_max: usize,
    pub(super) required: bool,
    known: Mutex<PartState>,
}

#[derive(Debug)]
struct PartState {
    /// The way of asking that was found last.
    request: usize,
    /// The credential that the server took last.
    authorization: Option<HeaderValue>,
    /// Of an optional part; the required one has that of its target.
    breaker: CircuitBreaker,
    /// The server has refused it for asking too often.
    limited: bool,
}

/// What the parts of a target share.
#[derive(Clone, Debug)]
pub(super) struct TargetShared {
    pub(super) client: Client,
    pub(super) limits: Limits,
    /// The target's last poll failed.
    pub(super) suspect: bool,
    /// The deadline of the request that is made with this.
    pub(super) deadline: Deadline,
}

/// A part that was read.
#[derive(Debug, Default)]
pub(super) struct PartBody {
    pub(super) pages: Vec<Families>,
    pub(super) bytes: usize,
}

impl PartClient {
    pub(super) fn new(target: &config::Target, part: &config::TargetPart) -> Self {
        let chosen = |request: &&Request| target.format.as_deref() == Some(request.format);
        let required = part.part.name == target.source.required().name;
        let requests = match part.part.requests.iter().find(chosen).filter(|_| required) {
            Some(request) => vec![request],
            // A required part has one way by default; an optional one is looked for.
            None if required => part.part.requests.iter().take(1).collect(),
            None => part.part.requests.iter().collect(),
        };
        let body_bytes_max = target.body_bytes_max.unwrap_or(part.part.body_bytes_max);
        let breaker = CircuitBreaker::new(target.min_interval, target.backoff_max);
        let known = Mutex::new(PartState { request: 0, authorization: None, breaker, limited: false });
        Self { part: part.part, requests, credentials: part.credentials.clone(), body_bytes_max, required, known }
    }

    /// Why it is not asked now: an optional part that keeps failing, or that has asked to be left alone.
    pub(super) fn left_alone(&self, client: &Client, now: Instant) -> Option<PollError> {
        if self.required {
            return None;
        }
        let known = self.known();
        let limited = || Some(client.wait_of(self.part, now)).filter(|wait| known.limited && !wait.is_zero()).map(PollError::RateLimited);
        known.breaker.held(now).cloned().or_else(limited)
    }

    /// An optional part was asked, in a poll whose required part was read. Gives the pause, if it is asked less often from now on.
    pub(super) fn note(&self, now: Instant, error: Option<&PollError>) -> Option<Duration> {
        let mut known = self.known();
        known.limited = matches!(error, Some(PollError::RateLimited(_)));
        known.breaker.note(now, error, chance())
    }

    fn is_suspect(&self) -> bool {
        self.known().breaker.is_suspect()
    }

    /// All pages of the part.
    pub(super) async fn ask(&self, shared: &TargetShared, window: Window) -> Result<PartBody, PollError> {
        let first = self.known().request;
        let mut result = Err(PollError::Malformed("there is no way to ask for this part".into()));
        for turn in 0..self.requests.len() {
            let at = (first + turn) % self.requests.len();
            result = self.pages(shared, self.requests[at], window).await;
            match &result {
                Err(PollError::Status { status: 404, .. }) => {}
                Ok(_) => {
                    self.known().request = at;
                    break;
                }
                Err(_) => break,
            }
        }
        result
    }

    /// All pages of one list: read again where it changed between two of them, because rows would be missing or count twice.
    async fn pages(&self, shared: &TargetShared, request: &'static Request, window: Window) -> Result<PartBody, PollError> {
        for _ in 0..LIST_READS_MAX {
            if let Some(answer) = self.pages_once(shared, request, window).await? {
                return Ok(answer);
            }
        }
        Err(PollError::Malformed(format!("the list changed each of the {LIST_READS_MAX} times that its pages were read")))
    }

    /// The pages; nothing where they are not of the same list.
    async fn pages_once(&self, shared: &TargetShared, request: &'static Request, window: Window) -> Result<Option<PartBody>, PollError> {
        let mut answer = PartBody::default();
        let mut before: Option<PageEdge> = None;
        let mut offset = Some(1);
        while let Some(at) = offset {
            if answer.pages.len() == PAGES_MAX {
                return Err(PollError::Malformed(format!("the answer has more than {PAGES_MAX} pages")));
            }
            let path = window.fill(request.path, at);
            let part = self.part;
            let page = self.page(shared, request, &path, move |body| part.read(request, body), &mut answer.bytes).await?;
            let edge = page.edge.unwrap_or_default();
            if before.is_some_and(|before| !before.joins(&edge)) {
                return Ok(None);
            }
            (before, offset) = (Some(edge), edge.next);
            if offset.is_some_and(|next| next <= at) {
                return Err(PollError::Malformed("the pages of the answer do not advance".into()));
            }
            answer.pages.push(page);
        }
        Ok(Some(answer))
    }

    /// One page, as its reader has it.
    pub(super) async fn page<T: Send + 'static>(
        &self,
        shared: &TargetShared,
        request: &'static Request,
        path: &str,
        read: impl Fn(Vec<u8>) -> Result<T, ReadError> + Copy + Send + 'static,
        bytes: &mut usize,
    ) -> Result<T, PollError> {
        // Remembered again below, if the server takes it: what was refused is never the next poll's first try.
        let kept = self.known().authorization.take();
        let mut authorization = match kept {
            Some(value) => Some(value),
            None => self.read_credential()?,
        };
        let mut result = self.exchange(shared, request, path, authorization.as_ref(), read, bytes).await;
        if matches!(result, Err(PollError::Auth { .. })) {
            let renewed = self.read_credential()?;
            // A new token may have been written to its file; asking again with the old one would only count as an attack.
            if renewed != authorization {
                result = self.exchange(shared, request, path, renewed.as_ref(), read, bytes).await;
                authorization = renewed;
            }
        }
        if !matches!(result, Err(PollError::Auth { .. })) {
            self.known().authorization = authorization;
        }
        result
    }

    async fn exchange<T: Send + 'static>(
        &self,
        shared: &TargetShared,
        request: &'static Request,
        path: &str,
        authorization: Option<&HeaderValue>,
        read: impl Fn(Vec<u8>) -> Result<T, ReadError> + Copy + Send + 'static,
        bytes: &mut usize,
    ) -> Result<T, PollError> {
        let lane = Lane::of(shared.suspect || self.is_suspect());
        let mut memory = shared.limits.bodies.body(lane, shared.deadline.clone());
        // The limit is that of all pages together.
        let left = self.body_bytes_max.saturating_sub(*bytes);
        let result = shared.client.ask(self.part, request, path, authorization, left, &mut memory).await;
        let hidden = |error: PollError| error.without(&shared.client.redactor(authorization));
        let body = match result {
            Err(PollError::TooLarge(_)) => return Err(PollError::TooLarge(self.body_bytes_max)),
            other => other.map_err(hidden)?,
        };
        *bytes += body.len();
        let done = if body.len() <= READ_INLINE_BYTES_MAX {
            read(body)
        } else {
            // It goes on reading after the deadline, and keeps its memory until it has ended.
            let done = tokio::task::spawn_blocking(move || (read(body), memory)).await.map(|(done, _)| done);
            done.map_err(|_| PollError::Malformed("reading the answer failed inside Postmeter; please report it".into()))?
        };
        done.map_err(|error| hidden(PollError::of_read(error, self.part.unauthorized_hint)))
    }

    fn read_credential(&self) -> Result<Option<HeaderValue>, PollError> {
        let hint = self.part.unauthorized_hint;
        let unusable = |why: String| PollError::Auth { why, hint };
        let unreadable = |error: config::SecretError| unusable(format!("credential: {error}"));
        let username = self.credentials.username.as_deref();
        let password = self.credentials.password.as_ref().map(|s| s.read()).transpose().map_err(unreadable)?;
        let token = self.credentials.token.as_ref().map(|s| s.read()).transpose().map_err(unreadable)?;
        let value = self.part.credential.authorization(username, password.as_deref(), token.as_deref());
        let broken = || unusable("the credential has characters that a header cannot have".into());
        value.map(|value| secret_header(&value).ok_or_else(broken)).transpose()
    }

    fn known(&self) -> parking_lot::MutexGuard<'_, PartState> {
        self.known.lock()
    }
}
