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

use crate::serve::limits::server_limits::Limits;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    /// The requests whose responses are not sent yet, each with a number and its progress.
    requests: Vec<(u64, Progress)>,
    /// The number of the next request.
    next_number: u64,
    /// True for HTTP/1.1, where a received byte is the beginning of a head. HTTP/2 clients also send pings.
    is_http1: bool,
    /// True if the client has authenticated, or if no authentication is required.
    is_authenticated: bool,
    progress_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
/// The bytes that were sent since a time.
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
}

impl Activity {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            head: Some(Instant::now()),
            idle: None,
            stalled: None,
            requests: Vec::new(),
            next_number: 0,
            is_http1: true,
            is_authenticated: false,
            progress_bytes: limits.progress_bytes,
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
        state.requests.push((number, Progress::new()));
        ResponseGuard { activity: self.clone(), number }
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

    fn note_read(&self) {
        let mut state = self.state();
        if state.is_http1 && state.requests.is_empty() && state.head.is_none() {
            state.head = Some(Instant::now());
        }
    }

    fn note_blocked_write(&self) {
        self.state().stalled.get_or_insert_with(Progress::new);
    }

    fn note_write(&self, bytes: usize) {
        let mut guard = self.state();
        let state = &mut *guard;
        let progress_bytes = state.progress_bytes;
        if let Some(stalled) = &mut state.stalled {
            stalled.add(bytes, progress_bytes);
        }
        // In HTTP/2 the bytes cannot be attributed to one of several responses.
        if state.is_http1 {
            state.requests.iter_mut().for_each(|(_, progress)| progress.add(bytes, progress_bytes));
        }
    }

    fn note_flush(&self) {
        self.state().stalled = None;
    }

    /// Returns the limit that the connection exceeds, if any.
    fn exceeded_limit(&self, limits: &Limits) -> Option<TooSlow> {
        let state = self.state();
        let is_over = |since: Option<Instant>, limit| since.is_some_and(|since| since.elapsed() >= limit);
        let since = |progress: Option<Progress>| progress.map(|progress| progress.since);
        let oldest = state.requests.iter().map(|(_, progress)| progress.since).min();
        if is_over(state.head, limits.head_timeout) {
            Some(TooSlow::Head)
        } else if is_over(since(state.stalled), limits.stall_timeout) || is_over(oldest, limits.response_timeout) {
            Some(TooSlow::Response)
        } else if is_over(state.idle, if state.is_authenticated { limits.idle_timeout } else { limits.unauthenticated_idle_timeout }) {
            Some(TooSlow::Idle)
        } else {
            None
        }
    }

    /// Waits until the connection exceeds a limit.
    pub(crate) async fn too_slow(&self, limits: &Limits) -> TooSlow {
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
    /// Notes bytes that an HTTP/2 stream accepted. A stream accepts more only after the client has read enough of the previous bytes.
    pub(crate) fn note_accepted(&self, bytes: usize) {
        let mut guard = self.activity.state();
        let state = &mut *guard;
        if state.is_http1 {
            return;
        }
        let own = state.requests.iter_mut().find(|(number, _)| *number == self.number);
        if let Some((_, progress)) = own {
            progress.add(bytes, state.progress_bytes);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.requests.retain(|(number, _)| *number != self.number);
        if state.requests.is_empty() {
            state.idle = Some(Instant::now());
        }
    }
}

/// A stream whose reads and writes are noted in [`Activity`].
#[derive(Debug)]
pub(crate) struct ObservedStream<I> {
    inner: I,
    activity: Arc<Activity>,
}

impl<I> ObservedStream<I> {
    pub(crate) fn new(inner: I, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }

    fn note_result(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Pending => self.activity.note_blocked_write(),
            Poll::Ready(Ok(bytes)) => self.activity.note_write(*bytes),
            Poll::Ready(Err(_)) => {}
        }
        poll
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for ObservedStream<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.note_read();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ObservedStream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note_result(result)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.note_result(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// A completed flush means that the client or its socket buffer has all data.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.activity.note_flush();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
