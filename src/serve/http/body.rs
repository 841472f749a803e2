//! Streamed response bodies: written by one thread, compressed if the client supports it, and sent in chunks.
//!
//! A body whose writing fails or panics is aborted, so that no client takes a part of it for the whole.

use super::negotiate::Encoding;
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame};
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

    /// Returns false if the client has disconnected.
    fn is_connected(&self) -> bool;
}

/// The end of a body is missing, because writing it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response is incomplete, because writing it failed")]
pub(crate) struct IncompleteBody;

/// Creates a body that `write` fills on a blocking thread.
pub(crate) fn streamed(encoding: Encoding, write: impl FnOnce(&mut dyn ChunkSink) -> Result<(), IncompleteBody> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX);
    tokio::task::spawn_blocking(move || {
        let chunks = ChunkWriter { sender: sender.clone(), buffer: Vec::new() };
        if write_encoded(encoding, chunks, write).is_some() {
            let _ = sender.blocking_send(Part::End);
        }
    });
    Body::new(ReceiverBody { receiver, has_ended: false })
}

/// Writes and encodes a body. Returns `None` if it is incomplete or the client has disconnected.
fn write_encoded(
    encoding: Encoding,
    mut chunks: ChunkWriter,
    write: impl FnOnce(&mut dyn ChunkSink) -> Result<(), IncompleteBody>,
) -> Option<()> {
    match encoding {
        Encoding::Identity => write(&mut chunks).ok(),
        Encoding::Gzip => {
            let client = chunks.sender.clone();
            let mut encoder = Encoder { writer: flate2::write::GzEncoder::new(chunks, flate2::Compression::fast()), client };
            write(&mut encoder).ok()?;
            encoder.writer.finish().and_then(|mut chunks| chunks.flush()).ok()
        }
        Encoding::Zstd => {
            let client = chunks.sender.clone();
            let mut encoder = Encoder { writer: zstd::stream::write::Encoder::new(chunks, ZSTD_LEVEL).ok()?, client };
            write(&mut encoder).ok()?;
            encoder.writer.finish().and_then(|mut chunks| chunks.flush()).ok()
        }
    }
}

/// A message to the task that sends the body.
enum Part {
    Chunk(Bytes),
    /// The body is complete.
    End,
}

/// Compresses chunks.
struct Encoder<W> {
    writer: W,
    client: mpsc::Sender<Part>,
}

impl<W: Write> ChunkSink for Encoder<W> {
    fn send(&mut self, chunk: &mut Vec<u8>) -> bool {
        let written = self.writer.write_all(chunk);
        chunk.clear();
        written.is_ok()
    }

    fn send_shared(&mut self, bytes: Bytes) -> bool {
        self.writer.write_all(&bytes).is_ok()
    }

    fn is_connected(&self) -> bool {
        !self.client.is_closed()
    }
}

/// Sends chunks, and collects the output of an encoder into chunks.
struct ChunkWriter {
    sender: mpsc::Sender<Part>,
    buffer: Vec<u8>,
}

impl ChunkSink for ChunkWriter {
    fn send(&mut self, chunk: &mut Vec<u8>) -> bool {
        self.send_shared(std::mem::take(chunk).into())
    }

    fn send_shared(&mut self, bytes: Bytes) -> bool {
        bytes.is_empty() || self.sender.blocking_send(Part::Chunk(bytes)).is_ok()
    }

    fn is_connected(&self) -> bool {
        !self.sender.is_closed()
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
struct ReceiverBody {
    receiver: mpsc::Receiver<Part>,
    has_ended: bool,
}

impl HttpBody for ReceiverBody {
    type Data = Bytes;
    type Error = IncompleteBody;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, IncompleteBody>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(cx).map(|part| match part {
            Some(Part::Chunk(chunk)) => Some(Ok(Frame::data(chunk))),
            Some(Part::End) => {
                self.has_ended = true;
                None
            }
            None => {
                self.has_ended = true;
                Some(Err(IncompleteBody))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that is written so.
    async fn read(
        encoding: Encoding,
        write: impl FnOnce(&mut dyn ChunkSink) -> Result<(), IncompleteBody> + Send + 'static,
    ) -> Result<Bytes, String> {
        let body = axum::body::to_bytes(streamed(encoding, write), usize::MAX).await;
        body.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_completed_is_aborted() {
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let complete = read(encoding, |chunks| {
                chunks.send(&mut b"begin".to_vec());
                Ok(())
            });
            assert!(complete.await.is_ok());
            let failed = read(encoding, |chunks| {
                chunks.send(&mut b"begin".to_vec());
                Err(IncompleteBody)
            });
            assert_eq!(failed.await, Err(IncompleteBody.to_string()));
            let panicked = read(encoding, |chunks| {
                chunks.send_shared(Bytes::from_static(b"begin"));
                panic!("a fault in the writer")
            });
            assert_eq!(panicked.await, Err(IncompleteBody.to_string()));
        }
    }
}
