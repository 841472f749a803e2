//! Who waits for a poll, and how long: what optional parts may take of it.
//!
//! # Why there is no fixed time for optional parts
//!
//! A push may wait a minute for a slow part, a scrape a few seconds for all of the page. So a poll gives its optional parts what the
//! callers that it has can spare, and all of `timeout` where nobody is in a hurry. A part that is not there by then costs
//! only its own points: a reading that comes too late for its caller would cost all of them, at each scrape again.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What of a caller's wait optional parts may take. The rest is for reading the answers and writing the page.
const WAIT_SHARE: f64 = 0.75;
/// However short of time a caller is, optional parts have this long: it must not cost the other callers those points.
const OPTIONAL_WAIT_MIN: Duration = Duration::from_secs(1);

/// Those who wait for the poll that runs, or for the next.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// Until when each can wait for optional parts.
    until: watch::Sender<Vec<Instant>>,
}

/// Counts until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    of: &'a Waiters,
    until: Instant,
}

impl Waiters {
    /// One who waits for at most `limit` from now on.
    pub(super) fn join(&self, limit: Duration) -> Waiter<'_> {
        let until = Instant::now() + limit.mul_f64(WAIT_SHARE);
        self.until.send_modify(|all| all.push(until));
        Waiter { of: self, until }
    }

    /// Comes when one of them cannot wait any longer for optional parts of the poll that began then. Never while nobody hurries.
    pub(super) async fn due(&self, began: std::time::Instant) {
        let mut all = self.until.subscribe();
        loop {
            let first = all.borrow_and_update().iter().min().copied();
            let Some(first) = first else {
                // Never closed: the sender is ours.
                let _ = all.changed().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(first.max(Instant::from_std(began) + OPTIONAL_WAIT_MIN)) => return,
                _ = all.changed() => {}
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.of.until.send_modify(|all| {
            if let Some(at) = all.iter().position(|until| *until == self.until) {
                all.swap_remove(at);
            }
        });
    }
}
