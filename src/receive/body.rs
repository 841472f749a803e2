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

/// A body, with the memory that it occupies.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub bytes: Bytes,
    _memory: Vec<OwnedSemaphorePermit>,
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
    Ok(ReceivedBody { bytes: bytes.freeze(), _memory: permits })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http_body::Frame;
    use std::task::{Context, Poll};

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
        assert_eq!((all.0.available_permits(), one.0.available_permits()), (3, 2));
    }

    #[tokio::test]
    async fn a_sender_that_stalls_is_given_up() {
        let memory = BodyMemory::of_one_target();
        assert_eq!(read(Body::new(Stalled), 100, [&memory, &memory]).await.unwrap_err(), BodyError::Incomplete);
    }

    /// A body whose first byte never arrives.
    struct Stalled;

    impl http_body::Body for Stalled {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
}
