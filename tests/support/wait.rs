//! Waiting for a condition, with a limit.

use std::fmt::Display;
use std::panic::Location;
use std::time::{Duration, Instant};

/// The shortest pause between two checks of a condition.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// The longest pause between two checks of a condition.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The pause after a condition was false for this long. Pauses grow with the time waited, so that a check that is expensive, such
/// as a scrape, does not keep a busy machine busy.
fn pause(waited: Duration) -> Duration {
    (waited / 8).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// One wait: when it started, and where it was called.
struct Wait<W> {
    began: Instant,
    limit: Duration,
    what: W,
    caller: &'static Location<'static>,
}

impl<W: Display> Wait<W> {
    #[track_caller]
    fn new(limit: Duration, what: W) -> Self {
        Self { began: Instant::now(), limit, what, caller: Location::caller() }
    }

    /// The pause until the next check.
    ///
    /// # Panics
    /// When the limit is reached.
    fn next_pause(&self) -> Duration {
        let waited = self.began.elapsed();
        assert!(waited < self.limit, "{}: not true within {:?}: {}", self.caller, self.limit, self.what);
        pause(waited)
    }
}

/// Waits until `condition` returns true. Panics after `limit` with the caller's line and `what`, a description of the condition.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool, limit: Duration, what: impl Display) -> impl Future<Output = ()> {
    let wait = Wait::new(limit, what);
    async move {
        while !condition() {
            tokio::time::sleep(wait.next_pause()).await;
        }
    }
}

/// [`wait_until`] for a condition that is asynchronous, such as one about a response.
#[track_caller]
pub fn wait_until_async<F: Future<Output = bool>>(
    mut condition: impl FnMut() -> F,
    limit: Duration,
    what: impl Display,
) -> impl Future<Output = ()> {
    let wait = Wait::new(limit, what);
    async move {
        // Boxed, because the future of a request is large, and a test has a small stack.
        while !Box::pin(condition()).await {
            tokio::time::sleep(wait.next_pause()).await;
        }
    }
}

/// [`wait_until`] outside of a runtime: blocks the thread.
#[track_caller]
pub fn wait_until_blocking(mut condition: impl FnMut() -> bool, limit: Duration, what: impl Display) {
    let wait = Wait::new(limit, what);
    while !condition() {
        std::thread::park_timeout(wait.next_pause());
    }
}

/// A condition whose description is computed when the wait fails, such as one with a log.
pub struct Described<F>(pub F);

impl<F: Fn() -> String> Display for Described<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0())
    }
}
