//! Work on what was read: here where there is little of it, or else beside the event loop, so that a large target does not hold
//! up the others.

use super::PollError;
use super::part_client::READ_INLINE_BYTES_MAX;
use super::part_requests::broken;

/// Does this work on an answer of so many bytes.
///
/// # Errors
/// The work panicked.
pub(super) async fn beside<T: Send + 'static>(bytes: u64, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PollError> {
    if bytes <= READ_INLINE_BYTES_MAX as u64 {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{ThreadId, current};

    #[tokio::test]
    async fn only_large_work_leaves_the_event_loop() {
        let here = current().id();
        let of = async |bytes: usize| beside(bytes as u64, || current().id()).await.map_err(|_| ());
        let elsewhere = |done: Result<ThreadId, ()>| done.map(|thread| thread != here);
        assert_eq!(elsewhere(of(READ_INLINE_BYTES_MAX).await), Ok(false));
        assert_eq!(elsewhere(of(READ_INLINE_BYTES_MAX + 1).await), Ok(true));
    }

    #[tokio::test]
    async fn large_work_that_fails_is_an_error() {
        let failed = beside(u64::MAX, || assert_eq!(1, 2)).await;
        assert!(matches!(failed, Err(PollError::Malformed(_))));
    }
}
