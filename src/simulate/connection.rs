//! A connection to a simulated server that can be broken, or made to send invalid HTTP.

use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The start of every response.
const RESPONSE_START: &[u8] = b"HTTP/1.1 ";

/// A way to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

/// Control over a connection for the handler of its requests.
#[derive(Debug, Default)]
pub(super) struct Control {
    requests: AtomicU64,
    planned: Mutex<PlannedFaults>,
}

#[derive(Debug, Default)]
struct PlannedFaults {
    end: Option<End>,
    leak: Option<&'static str>,
    reader: Option<Waker>,
}

impl Control {
    /// Counts a request, and returns its index on this connection, from 0.
    pub(super) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::SeqCst)
    }

    /// Ends the connection immediately.
    pub(super) fn end(&self, end: End) {
        let mut planned = self.planned();
        planned.end = Some(end);
        planned.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Inserts a line after the status line of the next response.
    pub(super) fn leak(&self, line: &'static str) {
        self.planned().leak = Some(line);
    }

    fn planned(&self) -> MutexGuard<'_, PlannedFaults> {
        self.planned.lock()
    }
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(super) struct FaultyConnection {
    stream: Stream,
    pub(super) control: Arc<Control>,
    /// Bytes that are written before any others.
    queued: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for FaultyConnection {
    fn from(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), control: Arc::default(), queued: Vec::new() }
    }
}

impl From<TlsStream<TcpStream>> for FaultyConnection {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), control: Arc::default(), queued: Vec::new() }
    }
}

impl FaultyConnection {
    /// The error of a connection that was ended.
    fn ended(&self) -> Option<io::Error> {
        let end = self.control.planned().end?;
        if end == End::Reset {
            let tcp = match &self.stream {
                Stream::Plain(tcp) => tcp,
                Stream::Tls(tls) => tls.get_ref().0,
            };
            // Without it the connection is closed in order, which is another fault.
            let _ = tcp.set_zero_linger();
        }
        Some(io::ErrorKind::ConnectionAborted.into())
    }

    fn poll_queued(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queued.is_empty() {
            let written = ready!(self.stream.poll_write(context, &self.queued))?;
            self.queued.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }
}

impl AsyncRead for FaultyConnection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.control.planned().reader = Some(context.waker().clone());
        if let Some(ended) = self.ended() {
            return Poll::Ready(Err(ended));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for FaultyConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(ended) = self.ended() {
            return Poll::Ready(Err(ended));
        }
        ready!(self.poll_queued(context))?;
        let status_line = bytes.iter().position(|byte| *byte == b'\n').filter(|_| bytes.starts_with(RESPONSE_START));
        let leaked = status_line.and_then(|end| Some((end, self.control.planned().leak.take()?)));
        if let Some((end, leaked)) = leaked {
            self.queued = [&bytes[..=end], leaked.as_bytes(), b"\r\n"].concat();
            return Poll::Ready(Ok(end + 1));
        }
        self.stream.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_queued(context))?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
