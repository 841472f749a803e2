//! Detects connections that are too slow, by observing the bytes of each connection.
//!
//! # Why not hyper's timeout
//!
//! `header_read_timeout` is measured from the end of the last response, so it is either too short for a connection that is kept open
//! between scrapes, or too long for a client that sends one byte at a time. It also does not detect clients that do not read.
//!
//! # HTTP/2
//!
//! An HTTP/2 connection has several responses at a time, and progress of one does not imply progress of the others. The oldest
//! progress is relevant. Bytes of the connection cannot be attributed to a response, so the bytes that its stream accepts are counted.

use crate::serve::limits::server_limits::ServerLimits;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Instant;

/// The activity of one connection.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The time since which a handshake or the head of a request is incomplete.
    head: Option<Instant>,
    /// The time since which there is no request.
    idle: Option<Instant>,
    /// The progress of a client that does not read all data that is sent to it.
    stalled: Option<Progress>,
    /// The requests whose responses are not sent yet.
    requests: Vec<PendingRequest>,
    /// The number of the next request.
    next_number: u64,
    /// True for HTTP/1.1, where a received byte is the beginning of a head. HTTP/2 clients also send pings.
    is_http1: bool,
    /// True if the client has authenticated, or if no authentication is required.
    is_authenticated: bool,
    progress_bytes: usize,
    /// True if a response ended before its body was complete.
    is_cut_short: bool,
}

/// A request whose response is not sent yet.
#[derive(Debug)]
struct PendingRequest {
    number: u64,
    begun: Instant,
    progress: Progress,
}

/// The bytes that were sent since a time.
#[derive(Clone, Copy, Debug)]
struct Progress {
    since: Instant,
    bytes: usize,
}

impl Progress {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Adds sent bytes, and restarts once `progress_bytes` are reached.
    fn add(&mut self, bytes: usize, progress_bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= progress_bytes {
            *self = Self::new();
        }
    }
}

/// The reason why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// The head of a request was not complete in time.
    Head,
    /// There was no request for too long.
    Idle,
    /// The client does not read the response, or reads it too slowly.
    Response,
}

/// A request in progress, until dropped.
#[derive(Debug)]
pub(crate) struct ResponseGuard {
    activity: Arc<Activity>,
    number: u64,
    /// True if all of the body was passed on.
    is_complete: bool,
}

impl Activity {
    pub(crate) fn new(limits: &ServerLimits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            head: Some(Instant::now()),
            idle: None,
            stalled: None,
            requests: Vec::new(),
            next_number: 0,
            is_http1: true,
            is_authenticated: false,
            progress_bytes: limits.progress_bytes,
            is_cut_short: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Notes a request whose head is complete.
    pub(crate) fn begin_request(self: &Arc<Self>) -> ResponseGuard {
        let mut state = self.state();
        let number = state.next_number;
        state.next_number += 1;
        (state.head, state.idle) = (None, None);
        state.requests.push(PendingRequest { number, begun: Instant::now(), progress: Progress::new() });
        ResponseGuard { activity: self.clone(), number, is_complete: false }
    }

    /// Notes the end of the handshake and the protocol.
    pub(crate) fn set_http1(&self, is_http1: bool) {
        let mut state = self.state();
        state.is_http1 = is_http1;
        state.head = Some(Instant::now());
    }

    /// Notes that the client has authenticated, or that no authentication is required.
    pub(crate) fn set_authenticated(&self) {
        self.state().is_authenticated = true;
    }

    /// Returns true if a request is in progress.
    pub(crate) fn has_requests(&self) -> bool {
        !self.state().requests.is_empty()
    }

    /// Returns true if a client of HTTP/1 has a part of a response, and would not notice it if the connection ended.
    pub(super) fn is_cut_short(&self) -> bool {
        let state = self.state();
        state.is_http1 && (state.is_cut_short || !state.requests.is_empty())
    }

    pub(super) fn note_read(&self) {
        let mut state = self.state();
        if state.is_http1 && state.requests.is_empty() && state.head.is_none() {
            state.head = Some(Instant::now());
        }
    }

    pub(super) fn note_blocked_write(&self) {
        self.state().stalled.get_or_insert_with(Progress::new);
    }

    pub(super) fn note_write(&self, bytes: usize) {
        let mut guard = self.state();
        let state = &mut *guard;
        let progress_bytes = state.progress_bytes;
        if let Some(stalled) = &mut state.stalled {
            stalled.add(bytes, progress_bytes);
        }
        // In HTTP/2 the bytes cannot be attributed to one of several responses.
        if state.is_http1 {
            state.requests.iter_mut().for_each(|request| request.progress.add(bytes, progress_bytes));
        }
    }

    pub(super) fn note_flush(&self) {
        self.state().stalled = None;
    }

    /// Returns the limit that the connection exceeds, if any.
    fn exceeded_limit(&self, limits: &ServerLimits) -> Option<TooSlow> {
        let state = self.state();
        let is_over = |since: Option<Instant>, limit| since.is_some_and(|since| since.elapsed() >= limit);
        let since = |progress: Option<Progress>| progress.map(|progress| progress.since);
        let slowest = state.requests.iter().map(|request| request.progress.since).min();
        let oldest = state.requests.iter().map(|request| request.begun).min();
        if is_over(state.head, limits.head_timeout) {
            Some(TooSlow::Head)
        } else if is_over(since(state.stalled), limits.stall_timeout)
            || is_over(slowest, limits.response_timeout)
            || is_over(oldest, limits.response_duration_max)
        {
            Some(TooSlow::Response)
        } else if is_over(state.idle, if state.is_authenticated { limits.idle_timeout } else { limits.unauthenticated_idle_timeout }) {
            Some(TooSlow::Idle)
        } else {
            None
        }
    }

    /// Waits until the connection exceeds a limit.
    pub(crate) async fn too_slow(&self, limits: &ServerLimits) -> TooSlow {
        let mut interval = tokio::time::interval(limits.check_interval());
        loop {
            interval.tick().await;
            if let Some(too_slow) = self.exceeded_limit(limits) {
                return too_slow;
            }
        }
    }
}

impl ResponseGuard {
    /// Notes that all of the body was passed on, or that the response has none.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Notes bytes that an HTTP/2 stream accepted. A stream accepts more only after the client has read enough of the previous bytes.
    pub(crate) fn note_accepted(&self, bytes: usize) {
        let mut guard = self.activity.state();
        let state = &mut *guard;
        if state.is_http1 {
            return;
        }
        if let Some(own) = state.requests.iter_mut().find(|request| request.number == self.number) {
            own.progress.add(bytes, state.progress_bytes);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.requests.retain(|request| request.number != self.number);
        state.is_cut_short |= !self.is_complete;
        if state.requests.is_empty() {
            state.idle = Some(Instant::now());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_response_must_be_sent_in_time_in_spite_of_progress() {
        let limits = ServerLimits { response_timeout: Duration::from_secs(3600), progress_bytes: 1, ..ServerLimits::default() };
        let activity = Activity::new(&limits);
        let _guard = activity.begin_request();
        activity.note_write(1);
        assert_eq!(activity.exceeded_limit(&limits), None);
        let limits = ServerLimits { response_duration_max: Duration::ZERO, ..limits };
        assert_eq!(activity.exceeded_limit(&limits), Some(TooSlow::Response));
    }
}
