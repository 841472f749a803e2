//! Streamed response bodies: written by one thread, compressed if the client supports it, and sent in chunks.

use super::negotiate::Encoding;
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame};
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Chunks that are queued for a slow client. The writer waits when the queue is full.
const CHUNKS_QUEUED_MAX: usize = 4;
/// Bytes of a compressed chunk.
const COMPRESSED_CHUNK_BYTES: usize = 64 * 1024;
/// The fastest level, which already reduces these pages to a tenth.
const ZSTD_LEVEL: i32 = 1;

/// Takes the chunks of a body.
pub(crate) trait ChunkSink {
    /// Sends the content of a buffer and empties it. Returns false if the client has disconnected.
    fn send(&mut self, chunk: &mut Vec<u8>) -> bool;

    /// Sends bytes that several bodies share. Returns false if the client has disconnected.
    fn send_shared(&mut self, bytes: Bytes) -> bool;
}

/// Creates a body that `write` fills on a blocking thread.
pub(crate) fn streamed(encoding: Encoding, write: impl FnOnce(&mut dyn ChunkSink) + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX);
    tokio::task::spawn_blocking(move || {
        let mut chunks = ChunkWriter { sender, buffer: Vec::new() };
        match encoding {
            Encoding::Identity => write(&mut chunks),
            Encoding::Gzip => {
                let mut encoder = Encoder(flate2::write::GzEncoder::new(chunks, flate2::Compression::fast()));
                write(&mut encoder);
                // An error means that the client has disconnected.
                let _ = encoder.0.finish().and_then(|mut chunks| chunks.flush());
            }
            Encoding::Zstd => {
                let Ok(encoder) = zstd::stream::write::Encoder::new(chunks, ZSTD_LEVEL) else { return };
                let mut encoder = Encoder(encoder);
                write(&mut encoder);
                let _ = encoder.0.finish().and_then(|mut chunks| chunks.flush());
            }
        }
    });
    Body::new(ReceiverBody(receiver))
}

/// Compresses chunks.
struct Encoder<W>(W);

impl<W: Write> ChunkSink for Encoder<W> {
    fn send(&mut self, chunk: &mut Vec<u8>) -> bool {
        let written = self.0.write_all(chunk);
        chunk.clear();
        written.is_ok()
    }

    fn send_shared(&mut self, bytes: Bytes) -> bool {
        self.0.write_all(&bytes).is_ok()
    }
}

/// Sends chunks, and collects the output of an encoder into chunks.
struct ChunkWriter {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl ChunkSink for ChunkWriter {
    fn send(&mut self, chunk: &mut Vec<u8>) -> bool {
        self.send_shared(std::mem::take(chunk).into())
    }

    fn send_shared(&mut self, bytes: Bytes) -> bool {
        bytes.is_empty() || self.sender.blocking_send(bytes).is_ok()
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= COMPRESSED_CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.buffer);
        if self.send_shared(chunk.into()) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// The body: the receiving end of the chunks.
struct ReceiverBody(mpsc::Receiver<Bytes>);

impl HttpBody for ReceiverBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
