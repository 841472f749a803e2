//! Reads the body of a request, and decompresses it, within limits of its size, its time and the memory of all bodies.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body::Body as _;
use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The memory of the bodies of all targets.
const BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The memory of the bodies of one target, so that one sender leaves room for the others.
const TARGET_BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The unit of both.
const PIECE_BYTES: usize = 16 * 1024;
/// The longest time in which a sender sends nothing.
const STALL_MAX: Duration = Duration::from_secs(4);
/// The longest time of a body.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// The bytes of a refused body that are read before the response. A sender that is still sending when the connection is closed might not
/// read the response.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// The longest time in which they are read.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// Memory for bodies. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    pub(super) fn of_all_targets() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_BYTES_MAX / PIECE_BYTES)))
    }

    pub(super) fn of_one_target() -> Self {
        Self(Arc::new(Semaphore::new(TARGET_BODIES_BYTES_MAX / PIECE_BYTES)))
    }

    fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// A body.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub bytes: Bytes,
    /// The memory that it occupies.
    pub memory: Vec<OwnedSemaphorePermit>,
}

/// The reason why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The limit of memory is reached.
    NoMemory,
    /// The body exceeds its limit.
    TooLarge,
    /// The sender was too slow or has disconnected.
    Incomplete,
    /// The `Content-Encoding` is not gzip.
    UnknownEncoding,
    /// The body cannot be decompressed.
    Damaged,
    /// The request has no body. After a broken connection, some HTTP clients repeat a request with its headers only.
    Missing,
}

/// Reads a body of at most `bytes_max` bytes, compressed and decompressed.
pub(super) async fn read(headers: &HeaderMap, body: Body, bytes_max: usize, memories: [BodyMemory; 2]) -> Result<ReceivedBody, BodyError> {
    let is_compressed = match is_gzip(headers) {
        Ok(is_compressed) => is_compressed,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let mut received = Growing { bytes: BytesMut::new(), permits: Vec::new(), bytes_max, memories };
    timeout(BODY_TIME_MAX, received.read(body)).await.unwrap_or(Err(BodyError::Incomplete))?;
    if received.bytes.is_empty() {
        return Err(BodyError::Missing);
    }
    if !is_compressed {
        return Ok(received.finish());
    }
    tokio::task::spawn_blocking(move || received.decompressed()).await.unwrap_or(Err(BodyError::Damaged))
}

/// Returns `true` if the body is compressed with gzip.
fn is_gzip(headers: &HeaderMap) -> Result<bool, BodyError> {
    let values = headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut codings = values.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        // RFC 9110, section 8.4.1.3: both names are equivalent.
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => Ok(true),
        _ => Err(BodyError::UnknownEncoding),
    }
}

/// A body that grows.
#[derive(Debug)]
struct Growing {
    bytes: BytesMut,
    permits: Vec<OwnedSemaphorePermit>,
    bytes_max: usize,
    memories: [BodyMemory; 2],
}

impl Growing {
    async fn read(&mut self, mut body: Body) -> Result<(), BodyError> {
        while let Some(frame) =
            timeout(STALL_MAX, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await.map_err(|_| BodyError::Incomplete)?
        {
            let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
            self.add(&data)?;
        }
        Ok(())
    }

    fn add(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let len = self.bytes.len() + data.len();
        if len > self.bytes_max {
            return Err(BodyError::TooLarge);
        }
        while self.permits.len() / self.memories.len() * PIECE_BYTES < len {
            for memory in &self.memories {
                self.permits.push(memory.try_take().ok_or(BodyError::NoMemory)?);
            }
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Decompresses the body. The compressed bytes keep their memory until then.
    fn decompressed(self) -> Result<ReceivedBody, BodyError> {
        let (bytes_max, memories) = (self.bytes_max, self.memories.clone());
        let mut decompressed = Self { bytes: BytesMut::new(), permits: Vec::new(), bytes_max, memories };
        let (mut decoder, mut piece) = (MultiGzDecoder::new(&self.bytes[..]), vec![0; PIECE_BYTES]);
        loop {
            match decoder.read(&mut piece).map_err(|_| BodyError::Damaged)? {
                0 => break,
                read => decompressed.add(&piece[..read])?,
            }
        }
        if decompressed.bytes.is_empty() { Err(BodyError::Missing) } else { Ok(decompressed.finish()) }
    }

    fn finish(self) -> ReceivedBody {
        ReceivedBody { bytes: self.bytes.freeze(), memory: self.permits }
    }
}

/// Reads a body that is refused, and keeps nothing of it.
pub(super) async fn discard(mut body: Body) {
    let read = async {
        let mut bytes = 0;
        while bytes < DISCARDED_BYTES_MAX
            && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
    };
    // A sender that is slower gets its response before the end of its request.
    let _ = timeout(DISCARD_TIME_MAX, read).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use std::io::Write as _;

    fn headers(codings: &[&'static str]) -> HeaderMap {
        codings.iter().map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding))).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn memories(pieces: [usize; 2]) -> [BodyMemory; 2] {
        pieces.map(|pieces| BodyMemory(Arc::new(Semaphore::new(pieces))))
    }

    fn available([all, one]: &[BodyMemory; 2]) -> (usize, usize) {
        (all.0.available_permits(), one.0.available_permits())
    }

    #[tokio::test]
    async fn a_body_is_limited_in_size_and_memory() {
        let memories = memories([3, 2]);
        let read = async |len: usize, max: usize| read(&HeaderMap::new(), Body::from(vec![b'x'; len]), max, memories.clone()).await;
        let small = read(10, 100).await.unwrap();
        assert_eq!(small.bytes.len(), 10);
        assert_eq!(read(101, 100).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(read(PIECE_BYTES + 1, usize::MAX).await.unwrap_err(), BodyError::NoMemory);
        drop(small);
        let large = read(PIECE_BYTES + 1, usize::MAX).await.unwrap();
        assert_eq!(available(&memories), (1, 0));
        drop(large);
        assert_eq!(read(0, 100).await.unwrap_err(), BodyError::Missing);
        assert_eq!(available(&memories), (3, 2));
    }

    #[tokio::test]
    async fn a_compressed_body_is_decompressed_within_the_same_limits() {
        let (text, memories) = (vec![b'x'; 3 * PIECE_BYTES], memories([5, 4]));
        let compressed = gzip(&text);
        let members = [gzip(&text[..10]), gzip(&text[10..])].concat();
        let read = async |codings: &[&'static str], body: &[u8], max: usize| {
            read(&headers(codings), Body::from(body.to_vec()), max, memories.clone()).await.map(|body| body.bytes)
        };
        for codings in [&["gzip"][..], &["GZIP"], &["x-gzip"], &["identity, gzip"], &["identity", "gzip"]] {
            assert_eq!(read(codings, &compressed, text.len()).await.unwrap(), text, "{codings:?}");
        }
        assert_eq!(read(&["gzip"], &members, text.len()).await.unwrap(), text);
        assert_eq!(read(&["", "identity"], b"text", 100).await.unwrap(), b"text"[..]);
        for codings in [&["br"][..], &["zstd"], &["gzip, gzip"], &["gzip", "br"]] {
            assert_eq!(read(codings, &compressed, text.len()).await.unwrap_err(), BodyError::UnknownEncoding, "{codings:?}");
        }
        assert_eq!(read(&["gzip"], &compressed, text.len() - 1).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(read(&["gzip"], &gzip(&[b'x'; 5 * PIECE_BYTES]), usize::MAX).await.unwrap_err(), BodyError::NoMemory);
        for damaged in [&compressed[..compressed.len() - 1], b"text", &[&compressed[..], b"x"].concat()] {
            assert_eq!(read(&["gzip"], damaged, text.len()).await.unwrap_err(), BodyError::Damaged, "{damaged:?}");
        }
        assert_eq!(read(&["gzip"], &gzip(b""), 100).await.unwrap_err(), BodyError::Missing);
        assert_eq!(available(&memories), (5, 4));
    }
}
