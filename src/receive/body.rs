//! Reads the body of a request within limits of its size, its time and the memory of all bodies.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use std::future::poll_fn;
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
    /// There is no memory for it now.
    NoMemory,
    /// It is larger than the limit.
    TooLarge,
    /// The sender was too slow or has disconnected.
    Incomplete,
    /// There is none. After a connection that broke, some HTTP clients repeat a request without its body and with its headers.
    Missing,
}

/// Reads a body of at most `bytes_max` bytes.
pub(super) async fn read(body: Body, bytes_max: usize, memories: [&BodyMemory; 2]) -> Result<ReceivedBody, BodyError> {
    timeout(BODY_TIME_MAX, read_within(body, bytes_max, memories)).await.unwrap_or(Err(BodyError::Incomplete))
}

async fn read_within(mut body: Body, bytes_max: usize, memories: [&BodyMemory; 2]) -> Result<ReceivedBody, BodyError> {
    let (mut bytes, mut permits, mut pieces) = (BytesMut::new(), Vec::<OwnedSemaphorePermit>::new(), 0);
    while let Some(frame) = timeout(STALL_MAX, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await.map_err(|_| BodyError::Incomplete)? {
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        while pieces * PIECE_BYTES < bytes.len() + data.len() {
            for memory in memories {
                permits.push(memory.try_take().ok_or(BodyError::NoMemory)?);
            }
            pieces += 1;
        }
        bytes.extend_from_slice(&data);
    }
    if bytes.is_empty() {
        return Err(BodyError::Missing);
    }
    Ok(ReceivedBody { bytes: bytes.freeze(), memory: permits })
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

    fn body(bytes: usize) -> Body {
        Body::from(vec![b'x'; bytes])
    }

    #[tokio::test]
    async fn a_body_is_limited_in_size_and_memory() {
        let all = BodyMemory(Arc::new(Semaphore::new(3)));
        let one = BodyMemory(Arc::new(Semaphore::new(2)));
        let small = read(body(10), 100, [&all, &one]).await.unwrap();
        assert_eq!(small.bytes.len(), 10);
        assert_eq!(read(body(101), 100, [&all, &one]).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(read(body(PIECE_BYTES + 1), usize::MAX, [&all, &one]).await.unwrap_err(), BodyError::NoMemory);
        drop(small);
        let large = read(body(PIECE_BYTES + 1), usize::MAX, [&all, &one]).await.unwrap();
        assert_eq!((all.0.available_permits(), one.0.available_permits()), (1, 0));
        drop(large);
        assert_eq!(read(Body::empty(), 100, [&all, &one]).await.unwrap_err(), BodyError::Missing);
        assert_eq!((all.0.available_permits(), one.0.available_permits()), (3, 2));
    }
}
