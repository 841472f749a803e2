//! Reads the body of a request, and decompresses it, within limits of its size, its time and the memory of all bodies.

use super::body_memory::{BodyMemory, NoMemory, PIECE_BYTES};
use crate::net::{GZIP_CODINGS, content_codings};
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body::Body as _;
use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The longest time in which a sender sends nothing.
const STALL_MAX: Duration = Duration::from_secs(4);
/// The smallest rate of a body whose signature is not verified yet: slower than any line of a mail server, and fast enough that a client
/// cannot occupy its place with a few bytes.
const UNVERIFIED_BYTES_PER_SECOND_MIN: u32 = 16 * 1024;
/// The longest time of a body.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// The bytes of a refused body that are read before the response. A sender that is still sending when the connection is closed might not
/// read the response.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// The longest time in which they are read.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// The slowest pace at which a body may arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The longest time in which nothing arrives.
    stall_max: Duration,
    /// The smallest average rate, not counting the first [`Self::stall_max`]. `None`: any.
    bytes_per_second_min: Option<u32>,
}

impl Pace {
    /// The pace of a request with a valid credential in its headers.
    pub(super) const AUTHENTICATED: Self = Self { stall_max: STALL_MAX, bytes_per_second_min: None };
    /// The pace of a request whose signature is not verified yet.
    pub(super) const UNVERIFIED: Self = Self { stall_max: STALL_MAX, bytes_per_second_min: Some(UNVERIFIED_BYTES_PER_SECOND_MIN) };

    /// The longest wait for more, after so many bytes in this time. `None` if the body is too slow already.
    fn wait_max(self, bytes: usize, elapsed: Duration) -> Option<Duration> {
        let Some(rate) = self.bytes_per_second_min else { return Some(self.stall_max) };
        let due = self.stall_max + Duration::from_secs_f64(bytes as f64 / f64::from(rate));
        due.checked_sub(elapsed).map(|rest| rest.min(self.stall_max))
    }
}

/// A body.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub bytes: Bytes,
    /// The memory that it occupies.
    pub memory: BodyMemory,
}

/// The reason why a body was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The limit of memory is reached.
    NoMemory(NoMemory),
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
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    memory: BodyMemory,
    pace: Pace,
) -> Result<ReceivedBody, BodyError> {
    let is_compressed = match is_gzip(headers) {
        Ok(is_compressed) => is_compressed,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let mut received = Growing { bytes: BytesMut::new(), bytes_max, memory };
    timeout(BODY_TIME_MAX, received.read(body, pace)).await.unwrap_or(Err(BodyError::Incomplete))?;
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
    match content_codings(headers).as_slice() {
        [] => Ok(false),
        [coding] if GZIP_CODINGS.contains(&coding.as_str()) => Ok(true),
        _ => Err(BodyError::UnknownEncoding),
    }
}

/// A body that grows.
#[derive(Debug)]
struct Growing {
    bytes: BytesMut,
    bytes_max: usize,
    memory: BodyMemory,
}

impl Growing {
    async fn read(&mut self, mut body: Body, pace: Pace) -> Result<(), BodyError> {
        let started = Instant::now();
        loop {
            let wait = pace.wait_max(self.bytes.len(), started.elapsed()).ok_or(BodyError::Incomplete)?;
            let frame = timeout(wait, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await;
            let Some(frame) = frame.map_err(|_| BodyError::Incomplete)? else { return Ok(()) };
            let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
            self.add(&data)?;
        }
    }

    fn add(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let len = self.bytes.len() + data.len();
        if len > self.bytes_max {
            return Err(BodyError::TooLarge);
        }
        self.memory.grow_to(len).map_err(BodyError::NoMemory)?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Decompresses the body. The compressed bytes keep their memory until then.
    fn decompressed(self) -> Result<ReceivedBody, BodyError> {
        let mut decompressed = Self { bytes: BytesMut::new(), bytes_max: self.bytes_max, memory: self.memory.another() };
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
        ReceivedBody { bytes: self.bytes.freeze(), memory: self.memory }
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
    use super::super::body_memory::{BodyPool, PoolKind};
    use super::*;
    use axum::http::HeaderValue;
    use axum::http::header::CONTENT_ENCODING;
    use http_body::Frame;
    use std::convert::Infallible;
    use std::io::Write as _;
    use std::task::{Context, Poll, ready};
    use tokio::time::Interval;

    fn headers(codings: &[&'static str]) -> HeaderMap {
        codings.iter().map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding))).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pools([all, of_target]: [usize; 2]) -> [BodyPool; 2] {
        [(PoolKind::All, all), (PoolKind::Target, of_target)].map(|(kind, pieces)| BodyPool::new(kind, pieces * PIECE_BYTES))
    }

    fn memory(pools: &[BodyPool; 2]) -> BodyMemory {
        BodyMemory::new("mta1".into(), pools.to_vec())
    }

    /// The pieces in use.
    fn used(pools: &[BodyPool; 2]) -> [usize; 2] {
        pools.each_ref().map(|pool| pool.used_bytes() / PIECE_BYTES)
    }

    fn is_no_memory(error: &BodyError) -> bool {
        matches!(error, BodyError::NoMemory(_))
    }

    #[tokio::test]
    async fn a_body_is_limited_in_size_and_memory() {
        let pools = pools([3, 2]);
        let read = async |len: usize, max: usize| {
            read(&HeaderMap::new(), Body::from(vec![b'x'; len]), max, memory(&pools), Pace::AUTHENTICATED).await
        };
        let small = read(10, 100).await.unwrap();
        assert_eq!(small.bytes.len(), 10);
        assert_eq!(read(101, 100).await.unwrap_err(), BodyError::TooLarge);
        assert!(is_no_memory(&read(PIECE_BYTES + 1, usize::MAX).await.unwrap_err()));
        drop(small);
        let large = read(PIECE_BYTES + 1, usize::MAX).await.unwrap();
        assert_eq!(used(&pools), [2, 2]);
        drop(large);
        assert_eq!(read(0, 100).await.unwrap_err(), BodyError::Missing);
        assert_eq!(used(&pools), [0, 0]);
    }

    #[tokio::test]
    async fn a_compressed_body_is_decompressed_within_the_same_limits() {
        let (text, pools) = (vec![b'x'; 3 * PIECE_BYTES], pools([5, 4]));
        let compressed = gzip(&text);
        let members = [gzip(&text[..10]), gzip(&text[10..])].concat();
        let read = async |codings: &[&'static str], body: &[u8], max: usize| {
            read(&headers(codings), Body::from(body.to_vec()), max, memory(&pools), Pace::UNVERIFIED).await.map(|body| body.bytes)
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
        assert!(is_no_memory(&read(&["gzip"], &gzip(&[b'x'; 5 * PIECE_BYTES]), usize::MAX).await.unwrap_err()));
        for damaged in [&compressed[..compressed.len() - 1], b"text", &[&compressed[..], b"x"].concat()] {
            assert_eq!(read(&["gzip"], damaged, text.len()).await.unwrap_err(), BodyError::Damaged, "{damaged:?}");
        }
        assert_eq!(read(&["gzip"], &gzip(b""), 100).await.unwrap_err(), BodyError::Missing);
        assert_eq!(used(&pools), [0, 0]);
    }

    /// A body that arrives byte by byte.
    struct Drip {
        interval: Interval,
        remaining: usize,
    }

    impl http_body::Body for Drip {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.remaining == 0 {
                return Poll::Ready(None);
            }
            ready!(self.interval.poll_tick(cx));
            self.remaining -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test]
    async fn a_body_that_drips_is_read_if_its_sender_has_authenticated() {
        let pools = pools([1, 1]);
        let read = async |remaining: usize, pace: Pace| {
            let body = Body::new(Drip { interval: tokio::time::interval(Duration::from_millis(10)), remaining });
            read(&HeaderMap::new(), body, usize::MAX, memory(&pools), pace).await.map(|body| body.bytes.len())
        };
        assert_eq!(read(50, Pace::AUTHENTICATED).await, Ok(50));
        // It would take longer than a sender may do nothing.
        let stall_max = Duration::from_millis(200);
        let slow = read(usize::MAX, Pace { stall_max, ..Pace::UNVERIFIED }).await;
        assert_eq!(slow, Err(BodyError::Incomplete));
    }

    #[test]
    fn a_body_that_is_not_verified_has_a_smallest_rate() {
        let (second, rate) = (Duration::from_secs(1), UNVERIFIED_BYTES_PER_SECOND_MIN as usize);
        assert_eq!(Pace::AUTHENTICATED.wait_max(1, 20 * second), Some(STALL_MAX));
        assert_eq!(Pace::UNVERIFIED.wait_max(0, second), Some(STALL_MAX - second));
        assert_eq!(Pace::UNVERIFIED.wait_max(2 * rate, second), Some(STALL_MAX));
        assert_eq!(Pace::UNVERIFIED.wait_max(2 * rate, STALL_MAX + second), Some(second));
        assert_eq!(Pace::UNVERIFIED.wait_max(2 * rate, STALL_MAX + 3 * second), None);
    }
}
