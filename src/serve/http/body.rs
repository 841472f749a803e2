//! A page on its way out: written by one thread, compressed if the client can read that, sent piece by piece.

use super::negotiate::Encoding;
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame};
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Pieces that wait for a slow client; the writer waits when there are more.
const PIECES_WAITING_MAX: usize = 4;
/// Bytes of a compressed piece.
const COMPRESSED_PIECE_BYTES: usize = 64 * 1024;
/// Compression is for the network; the fastest level already makes these pages ten times smaller.
const ZSTD_LEVEL: i32 = 1;

/// A body that `write` fills, off the event loop. `write` gets a function that takes pieces, and says false when nobody
/// wants more.
pub(crate) fn streamed(encoding: Encoding, write: impl FnOnce(&mut dyn FnMut(&mut Vec<u8>) -> bool) + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { sender, buffer: Vec::new() };
        match encoding {
            Encoding::Identity => write(&mut |piece| pieces.send(std::mem::take(piece))),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(pieces, flate2::Compression::fast());
                write(&mut |piece| drain(&mut encoder, piece));
                // Without a client there is nobody to tell.
                let _ = encoder.finish().and_then(|mut pieces| pieces.flush());
            }
            Encoding::Zstd => {
                let Ok(mut encoder) = zstd::stream::write::Encoder::new(pieces, ZSTD_LEVEL) else { return };
                write(&mut |piece| drain(&mut encoder, piece));
                let _ = encoder.finish().and_then(|mut pieces| pieces.flush());
            }
        }
    });
    Body::new(Receiving(receiver))
}

fn drain(encoder: &mut impl Write, piece: &mut Vec<u8>) -> bool {
    let written = encoder.write_all(piece);
    piece.clear();
    written.is_ok()
}

/// Where an encoder writes to.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl Pieces {
    fn send(&mut self, piece: Vec<u8>) -> bool {
        piece.is_empty() || self.sender.blocking_send(piece.into()).is_ok()
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= COMPRESSED_PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.buffer);
        if self.send(piece) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// What the client reads from.
struct Receiving(mpsc::Receiver<Bytes>);

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
