//! The deadline of a request or of a poll: it starts when the request does, and stands still while nothing is asked of the server.

use super::PollError;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How late an end that was put off is noticed.
const NOTICE: Duration = Duration::from_millis(20);

/// The time that is left. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    began: Instant,
    timeout: Duration,
    paused: Arc<Mutex<Paused>>,
}

/// Time that does not count.
#[derive(Debug, Default)]
struct Paused {
    total: Duration,
    since: Option<Instant>,
}

/// The deadline stands still until this is dropped.
#[derive(Debug)]
pub(super) struct Pause<'a>(&'a Deadline);

impl Deadline {
    /// So long from `began` on.
    pub(super) fn new(began: Instant, timeout: Duration) -> Self {
        Self { began, timeout, paused: Arc::default() }
    }

    /// Waiting begins that is not the server's fault. One at a time.
    pub(super) fn pause(&self) -> Pause<'_> {
        self.paused().since = Some(Instant::now());
        Pause(self)
    }

    /// Does this work until the deadline.
    ///
    /// # Errors
    /// The error of the work, or that the time is over.
    pub(super) async fn run<T>(&self, work: impl Future<Output = Result<T, PollError>>) -> Result<T, PollError> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(result) = tokio::time::timeout(self.left(), &mut work).await {
                return result;
            }
            if self.left().is_zero() {
                return Err(PollError::Timeout(self.timeout));
            }
            // It was put off meanwhile, and may stand still right before its end.
            if let Ok(result) = tokio::time::timeout(NOTICE, &mut work).await {
                return result;
            }
        }
    }

    fn left(&self) -> Duration {
        let paused = self.paused();
        let until = paused.since.unwrap_or_else(Instant::now);
        self.timeout.saturating_sub(until.saturating_duration_since(self.began).saturating_sub(paused.total))
    }

    fn paused(&self) -> MutexGuard<'_, Paused> {
        self.paused.lock()
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut paused = self.0.paused();
        if let Some(since) = paused.since.take() {
            paused.total += since.elapsed();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const TIMEOUT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn work_that_does_not_end_times_out() {
        let deadline = Deadline::new(Instant::now(), TIMEOUT);
        let result: Result<(), _> = deadline.run(std::future::pending()).await;
        assert_eq!(result, Err(PollError::Timeout(TIMEOUT)));
    }

    #[tokio::test]
    async fn waiting_for_memory_does_not_count() {
        let deadline = Deadline::new(Instant::now(), TIMEOUT);
        let work = async {
            let pause = deadline.pause();
            sleep(TIMEOUT * 3).await;
            drop(pause);
            Ok(7)
        };
        assert_eq!(deadline.run(work).await, Ok(7));
        // What was left before is left now, and ends.
        let result: Result<(), _> = deadline.run(std::future::pending()).await;
        assert_eq!(result, Err(PollError::Timeout(TIMEOUT)));
    }

    #[tokio::test]
    async fn a_deadline_that_is_over_still_takes_a_result_that_is_there() {
        let deadline = Deadline::new(Instant::now(), Duration::ZERO);
        assert_eq!(deadline.run(async { Ok(1) }).await, Ok(1));
    }
}
