//! What a connection does, noted where its bytes go through, so that one that does too little is cut off.
//!
//! # Why not hyper's timeout
//!
//! `header_read_timeout` counts from the end of the last answer, so that it is either too short for a connection that is kept
//! between scrapes or too long for a client that sends a byte now and then; and it knows nothing of clients that do not read.
//!
//! # Each answer by itself
//!
//! A connection of HTTP/2 has several, and one that moves says nothing of those beside it that the client has stopped: the
//! oldest counts. What was written to the connection is then nobody's in particular, so what its streams take is noted instead.

use crate::serve::limits::server_limits::Limits;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one connection does.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Since when a handshake or a request's head is awaited or half there.
    head: Option<Instant>,
    /// Since when there is nothing to do.
    idle: Option<Instant>,
    /// Since when the client does not take what is sent, and what it took since.
    stalled: Option<Progress>,
    /// Requests whose answers are not sent, by a number: since when each waits for its answer, and what was sent of it since.
    answering: Vec<(u64, Progress)>,
    /// The number of the next request.
    next: u64,
    /// Whether a byte that comes in is the beginning of a head. Not in HTTP/2, whose clients ping.
    is_http1: bool,
    /// Whether the client has authenticated, or need not.
    is_known: bool,
    progress_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    since: Instant,
    bytes: usize,
}

impl Progress {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Begins anew when it is enough.
    fn add(&mut self, bytes: usize, enough: usize) {
        self.bytes += bytes;
        if self.bytes >= enough {
            *self = Self::new();
        }
    }
}

/// Why a connection is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// The head did not come.
    Head,
    /// No request came.
    Idle,
    /// The answer is not read.
    Answer,
}

/// A request that is being answered.
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
            answering: Vec::new(),
            next: 0,
            is_http1: true,
            is_known: false,
            progress_bytes: limits.progress_bytes,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// The head of a request is there.
    pub(crate) fn begin(self: &Arc<Self>) -> ResponseGuard {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        (state.head, state.idle) = (None, None);
        state.answering.push((number, Progress::new()));
        ResponseGuard { activity: self.clone(), number }
    }

    /// The handshake is done, and this is what is spoken.
    pub(crate) fn is_http1(&self, is_http1: bool) {
        let mut state = self.state();
        state.is_http1 = is_http1;
        state.head = Some(Instant::now());
    }

    /// The client has authenticated, or need not.
    pub(crate) fn become_known(&self) {
        self.state().is_known = true;
    }

    /// Whether a request is being answered.
    pub(crate) fn is_answering(&self) -> bool {
        !self.state().answering.is_empty()
    }

    fn read(&self) {
        let mut state = self.state();
        if state.is_http1 && state.answering.is_empty() && state.head.is_none() {
            state.head = Some(Instant::now());
        }
    }

    fn blocked(&self) {
        self.state().stalled.get_or_insert_with(Progress::new);
    }

    fn wrote(&self, bytes: usize) {
        let mut guard = self.state();
        let state = &mut *guard;
        let enough = state.progress_bytes;
        if let Some(stalled) = &mut state.stalled {
            stalled.add(bytes, enough);
        }
        // Of several answers nobody knows here whose bytes these are.
        if state.is_http1 {
            state.answering.iter_mut().for_each(|(_, progress)| progress.add(bytes, enough));
        }
    }

    fn flushed(&self) {
        self.state().stalled = None;
    }

    fn verdict(&self, limits: &Limits) -> Option<TooSlow> {
        let state = self.state();
        let is_over = |since: Option<Instant>, limit| since.is_some_and(|since| since.elapsed() >= limit);
        let since = |progress: Option<Progress>| progress.map(|progress| progress.since);
        let oldest = state.answering.iter().map(|(_, progress)| progress.since).min();
        if is_over(state.head, limits.head_timeout) {
            Some(TooSlow::Head)
        } else if is_over(since(state.stalled), limits.stall_timeout) || is_over(oldest, limits.answer_timeout) {
            Some(TooSlow::Answer)
        } else if is_over(state.idle, if state.is_known { limits.idle_timeout } else { limits.stranger_idle_timeout }) {
            Some(TooSlow::Idle)
        } else {
            None
        }
    }

    /// Waits until the connection is too slow.
    pub(crate) async fn too_slow(&self, limits: &Limits) -> TooSlow {
        let mut tick = tokio::time::interval(limits.tick());
        loop {
            tick.tick().await;
            if let Some(verdict) = self.verdict(limits) {
                return verdict;
            }
        }
    }
}

impl ResponseGuard {
    /// A stream of HTTP/2 was handed this much more, which it takes when its client has taken what was before.
    pub(crate) fn handed(&self, bytes: usize) {
        let mut guard = self.activity.state();
        let state = &mut *guard;
        if state.is_http1 {
            return;
        }
        let own = state.answering.iter_mut().find(|(number, _)| *number == self.number);
        if let Some((_, progress)) = own {
            progress.add(bytes, state.progress_bytes);
        }
    }
}

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.answering.retain(|(number, _)| *number != self.number);
        if state.answering.is_empty() {
            state.idle = Some(Instant::now());
        }
    }
}

/// Bytes on their way, noted.
#[derive(Debug)]
pub(crate) struct ObservedStream<I> {
    inner: I,
    activity: Arc<Activity>,
}

impl<I> ObservedStream<I> {
    pub(crate) fn new(inner: I, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }

    fn note(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Pending => self.activity.blocked(),
            Poll::Ready(Ok(bytes)) => self.activity.wrote(*bytes),
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
            self.activity.read();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ObservedStream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(wrote)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.note(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// Called when everything above has been handed over.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        if flushed.is_ready() {
            self.activity.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
