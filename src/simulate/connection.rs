//! A connection to a stand-in that can break, or say what no HTTP library would.

use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What every answer begins with.
const ANSWER: &[u8] = b"HTTP/1.1 ";

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

/// What the handler of a request may do to its connection.
#[derive(Debug, Default)]
pub(super) struct Control {
    requests: AtomicU64,
    wishes: Mutex<PlannedFaults>,
}

#[derive(Debug, Default)]
struct PlannedFaults {
    end: Option<End>,
    leak: Option<&'static str>,
    reader: Option<Waker>,
}

impl Control {
    /// Which request of this connection this is, from 0.
    pub(super) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::SeqCst)
    }

    /// Ends the connection, whatever is under way.
    pub(super) fn end(&self, end: End) {
        let mut wishes = self.wishes();
        wishes.end = Some(end);
        wishes.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Puts a line behind the status line of the next answer.
    pub(super) fn leak(&self, line: &'static str) {
        self.wishes().leak = Some(line);
    }

    fn wishes(&self) -> MutexGuard<'_, PlannedFaults> {
        self.wishes.lock()
    }
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub(super) struct FaultyConnection {
    stream: Stream,
    pub(super) control: Arc<Control>,
    /// What stands before the rest of what is written.
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
    fn ended(&self) -> Option<io::Error> {
        let end = self.control.wishes().end?;
        if end == End::Reset {
            let tcp = match &self.stream {
                Stream::Plain(tcp) => tcp,
                Stream::Tls(tls) => tls.get_ref().0,
            };
            // Without it the connection is closed in good order, which is another fault.
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
        self.control.wishes().reader = Some(context.waker().clone());
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
        let status_line = bytes.iter().position(|byte| *byte == b'\n').filter(|_| bytes.starts_with(ANSWER));
        let leaked = status_line.and_then(|end| Some((end, self.control.wishes().leak.take()?)));
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
