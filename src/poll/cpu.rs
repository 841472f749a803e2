//! Processing of responses without blocking the event loop: a large target must not delay the others.

use super::PollError;
use super::part_requests::internal_error;

/// Responses above this size are processed on a thread of their own.
const INLINE_BYTES_MAX: usize = 128 * 1024;

/// Processes a response of this many bytes: here if it is small, otherwise on a blocking thread.
///
/// # Errors
/// The work panicked.
pub(super) async fn run_blocking_if_large<T: Send + 'static>(
    bytes: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PollError> {
    if bytes <= INLINE_BYTES_MAX as u64 {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| internal_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{ThreadId, current};

    #[tokio::test]
    async fn only_large_work_leaves_the_event_loop() {
        let here = current().id();
        let run = async |bytes: usize| run_blocking_if_large(bytes as u64, || current().id()).await.map_err(|_| ());
        let left_event_loop = |result: Result<ThreadId, ()>| result.map(|thread| thread != here);
        assert_eq!(left_event_loop(run(INLINE_BYTES_MAX).await), Ok(false));
        assert_eq!(left_event_loop(run(INLINE_BYTES_MAX + 1).await), Ok(true));
    }

    #[tokio::test]
    async fn large_work_that_panics_is_an_error() {
        let failed = run_blocking_if_large(u64::MAX, || assert_eq!(1, 2)).await;
        assert!(matches!(failed, Err(PollError::Malformed(_))));
    }
}
