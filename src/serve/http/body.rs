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

/// Creates a body that `write` fills on a blocking thread. `write` gets a function that takes chunks and returns false if the client has
/// disconnected.
pub(crate) fn streamed(encoding: Encoding, write: impl FnOnce(&mut dyn FnMut(&mut Vec<u8>) -> bool) + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX);
    tokio::task::spawn_blocking(move || {
        let mut chunks = ChunkWriter { sender, buffer: Vec::new() };
        match encoding {
            Encoding::Identity => write(&mut |chunk| chunks.send(std::mem::take(chunk))),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(chunks, flate2::Compression::fast());
                write(&mut |chunk| compress(&mut encoder, chunk));
                // An error means that the client has disconnected.
                let _ = encoder.finish().and_then(|mut chunks| chunks.flush());
            }
            Encoding::Zstd => {
                let Ok(mut encoder) = zstd::stream::write::Encoder::new(chunks, ZSTD_LEVEL) else { return };
                write(&mut |chunk| compress(&mut encoder, chunk));
                let _ = encoder.finish().and_then(|mut chunks| chunks.flush());
            }
        }
    });
    Body::new(ReceiverBody(receiver))
}

/// Compresses a chunk and empties it. Returns false if the client has disconnected.
fn compress(encoder: &mut impl Write, chunk: &mut Vec<u8>) -> bool {
    let written = encoder.write_all(chunk);
    chunk.clear();
    written.is_ok()
}

/// Collects the output of an encoder into chunks and sends them.
struct ChunkWriter {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    fn send(&mut self, chunk: Vec<u8>) -> bool {
        chunk.is_empty() || self.sender.blocking_send(chunk.into()).is_ok()
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
        if self.send(chunk) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
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
