//! The body of a response, which reports its progress.

use super::activity::ResponseGuard;
use crate::serve::limits::client_quota::RequestPermit;
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of a response. The request counts as in progress until its last byte is sent.
pub(super) struct ObservedBody {
    body: Body,
    /// The part of the last frame that is not passed on yet.
    rest: Bytes,
    chunk_bytes_max: usize,
    _permit: Option<RequestPermit>,
    guard: ResponseGuard,
}

impl ObservedBody {
    /// Passes on a body in parts of at most this many bytes. The permit is released with the body.
    pub(super) fn new(body: Body, chunk_bytes_max: usize, permit: Option<RequestPermit>, guard: ResponseGuard) -> Self {
        Self { body, rest: Bytes::new(), chunk_bytes_max, _permit: permit, guard }
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.guard.complete();
                    return Poll::Ready(None);
                }
            }
        }
        let bytes = self.rest.len().min(self.chunk_bytes_max);
        let chunk = self.rest.split_to(bytes);
        self.guard.note_accepted(bytes);
        if self.is_end_stream() {
            self.guard.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
