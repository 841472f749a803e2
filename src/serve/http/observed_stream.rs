//! The stream of a connection, whose reads and writes are noted.
//!
//! # Responses that are cut short
//!
//! In HTTP/1.0, as some reverse proxies speak it, the end of the connection is the end of the response. So a connection whose response is
//! incomplete is reset: the client gets an error instead of a part of a page.

use super::activity::Activity;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream whose reads and writes are noted in [`Activity`].
#[derive(Debug)]
pub(crate) struct ObservedStream {
    inner: TcpStream,
    activity: Arc<Activity>,
}

impl ObservedStream {
    pub(crate) fn new(inner: TcpStream, activity: Arc<Activity>) -> Self {
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

impl Drop for ObservedStream {
    fn drop(&mut self) {
        if self.activity.is_cut_short() {
            // If it fails, the client has disconnected.
            let _ = self.inner.set_zero_linger();
        }
    }
}

impl AsyncRead for ObservedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.note_read();
        }
        read
    }
}

impl AsyncWrite for ObservedStream {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::serve::limits::server_limits::ServerLimits;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// The part of a response that a client gets, and the error at its end, if there is one.
    async fn received(is_complete: bool) -> (Vec<u8>, Option<io::ErrorKind>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let activity = Activity::new(&ServerLimits::default());
        let mut stream = ObservedStream::new(stream, activity.clone());
        let mut guard = activity.begin_request();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\na 1\n").await.unwrap();
        let mut received = vec![0; 23];
        client.read_exact(&mut received).await.unwrap();
        if is_complete {
            guard.complete();
        }
        drop(guard);
        drop(stream);
        let end = client.read_to_end(&mut received).await;
        (received, end.err().map(|error| error.kind()))
    }

    #[tokio::test]
    async fn a_response_that_is_cut_short_ends_with_an_error() {
        let sent = b"HTTP/1.0 200 OK\r\n\r\na 1\n".to_vec();
        assert_eq!(received(true).await, (sent.clone(), None));
        assert_eq!(received(false).await, (sent, Some(io::ErrorKind::ConnectionReset)));
    }
}
