//! The deadline of a request or of a poll. It starts with the request, and is paused while Postmeter itself makes the server wait.

use super::PollError;
use parking_lot::{Mutex, MutexGuard};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest time by which the end of a pause is noticed late.
const PAUSE_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A deadline that can be paused. Clones share their pauses.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    began: Instant,
    timeout: Duration,
    paused: Arc<Mutex<PausedTime>>,
}

/// Time that does not count towards the deadline.
#[derive(Debug, Default)]
struct PausedTime {
    total: Duration,
    since: Option<Instant>,
}

/// A pause of the deadline, until it is dropped.
#[derive(Debug)]
pub(super) struct Pause<'a>(&'a Deadline);

impl Deadline {
    /// A deadline `timeout` after `began`.
    pub(super) fn new(began: Instant, timeout: Duration) -> Self {
        Self { began, timeout, paused: Arc::default() }
    }

    /// Starts a pause, for a wait that the server does not cause. Only one pause at a time is supported.
    pub(super) fn pause(&self) -> Pause<'_> {
        self.paused().since = Some(Instant::now());
        Pause(self)
    }

    /// Runs a future until it completes or the deadline is over.
    ///
    /// The caller pins the work: otherwise, the future of this function would contain it twice.
    ///
    /// # Errors
    /// The error of the future, or a timeout.
    pub(super) async fn run<T>(&self, mut work: Pin<&mut impl Future<Output = Result<T, PollError>>>) -> Result<T, PollError> {
        loop {
            if let Ok(result) = tokio::time::timeout(self.left(), &mut work).await {
                return result;
            }
            if self.left().is_zero() {
                return Err(PollError::Timeout(self.timeout));
            }
            // A pause has postponed the deadline, and may still last right before its end.
            if let Ok(result) = tokio::time::timeout(PAUSE_CHECK_INTERVAL, &mut work).await {
                return result;
            }
        }
    }

    fn left(&self) -> Duration {
        let paused = self.paused();
        let until = paused.since.unwrap_or_else(Instant::now);
        self.timeout.saturating_sub(until.saturating_duration_since(self.began).saturating_sub(paused.total))
    }

    fn paused(&self) -> MutexGuard<'_, PausedTime> {
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
    use std::pin::pin;
    use tokio::time::sleep;

    const TIMEOUT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn work_that_never_completes_times_out() {
        let deadline = Deadline::new(Instant::now(), TIMEOUT);
        let result: Result<(), _> = deadline.run(pin!(std::future::pending())).await;
        assert_eq!(result, Err(PollError::Timeout(TIMEOUT)));
    }

    #[tokio::test]
    async fn waiting_for_memory_does_not_count() {
        let began = Instant::now();
        let deadline = Deadline::new(began, TIMEOUT);
        // A pause from the beginning: on a busy machine, the deadline could be over before a later one.
        deadline.paused().since = Some(began);
        let pause = Pause(&deadline);
        let work = async {
            sleep(TIMEOUT * 3).await;
            drop(pause);
            Ok(7)
        };
        assert_eq!(deadline.run(pin!(work)).await, Ok(7));
        // The time that was left before the pause is left after it.
        let result: Result<(), _> = deadline.run(pin!(std::future::pending())).await;
        assert_eq!(result, Err(PollError::Timeout(TIMEOUT)));
    }

    #[test]
    fn the_time_that_was_left_before_a_pause_is_left_after_it() {
        const MINUTE: Duration = Duration::from_secs(60);
        let deadline = Deadline::new(Instant::now() - 10 * MINUTE, 5 * MINUTE);
        assert_eq!(deadline.left(), Duration::ZERO);
        deadline.paused().since = Some(deadline.began + 2 * MINUTE);
        assert_eq!(deadline.left(), 3 * MINUTE);
        drop(Pause(&deadline));
        let left = deadline.left();
        assert!(left <= 3 * MINUTE && left > 2 * MINUTE, "{left:?}");
    }

    #[tokio::test]
    async fn a_result_that_is_ready_is_accepted_after_the_deadline() {
        let deadline = Deadline::new(Instant::now(), Duration::ZERO);
        assert_eq!(deadline.run(pin!(async { Ok(1) })).await, Ok(1));
    }
}
