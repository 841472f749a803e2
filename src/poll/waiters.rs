//! Callers that wait for a poll, and the time that they leave for optional parts.
//!
//! # Optional parts have no fixed timeout
//!
//! A push may wait a minute for a slow part, a scrape only a few seconds for the whole response. So a poll grants its optional parts the
//! time that the present callers can spare, and all of `timeout` if no caller is in a hurry. A part that is late loses only its own points;
//! a reading that is late for its caller would lose all of them, at each scrape again.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The share of a caller's wait that optional parts may use. The rest is for parsing the responses and writing the page.
const WAIT_SHARE: f64 = 0.75;
/// The shortest time for optional parts, however little time a caller has: the other callers should not lose those points.
const OPTIONAL_WAIT_MIN: Duration = Duration::from_secs(1);

/// The callers that wait for the current poll, or for the next one.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// For each caller, the time until which it can wait for optional parts.
    until: watch::Sender<Vec<Instant>>,
}

/// A caller that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    until: Instant,
}

impl Waiters {
    /// Adds a caller that waits for at most `limit` from now on.
    pub(super) fn join(&self, limit: Duration) -> Waiter<'_> {
        let until = Instant::now() + limit.mul_f64(WAIT_SHARE);
        self.until.send_modify(|all| all.push(until));
        Waiter { waiters: self, until }
    }

    /// Waits until a caller cannot wait any longer for optional parts of the poll that began at `began`. Waits forever while no caller
    /// is in a hurry.
    pub(super) async fn due(&self, began: std::time::Instant) {
        let mut all = self.until.subscribe();
        loop {
            let first = all.borrow_and_update().iter().min().copied();
            let Some(first) = first else {
                // The channel is never closed, because `self` owns the sender.
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
        self.waiters.until.send_modify(|all| {
            if let Some(at) = all.iter().position(|until| *until == self.until) {
                all.swap_remove(at);
            }
        });
    }
}
