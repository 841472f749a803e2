//! A poll that an operator requests, within the limits of all polls.
//!
//! It respects `min_interval` and the rate budget, because the server counts it like any other. It does not wait for an open circuit: that
//! pause only reduces polls that would most likely fail, and the operator has a reason to expect otherwise.

use super::part_requests::internal_error;
use super::{Reading, Target};
use crate::config::show_duration;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// The reason why a request is not sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollRefusal {
    /// The last one is too recent.
    TooSoon {
        /// The target's `min_interval`.
        min_interval: Duration,
        /// The time until it is allowed.
        wait: Duration,
    },
    /// The server's rate limit is reached.
    RateLimited {
        /// The time until it is allowed.
        wait: Duration,
    },
}

impl PollRefusal {
    /// The time until the request is allowed.
    #[must_use]
    pub const fn wait(self) -> Duration {
        match self {
            Self::TooSoon { wait, .. } | Self::RateLimited { wait } => wait,
        }
    }
}

impl fmt::Display for PollRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSoon { min_interval, .. } => {
                write!(f, "min_interval ({}) has not passed since the last one", show_duration(*min_interval))
            }
            Self::RateLimited { .. } => f.write_str("the server's rate limit is reached"),
        }
    }
}

impl Target {
    /// Polls the server now, or returns the reading of a poll that ends after this call.
    ///
    /// # Errors
    /// The reason why the poll is not allowed now.
    pub async fn poll_now(self: &Arc<Self>) -> Result<Arc<Reading>, PollRefusal> {
        let requested = Instant::now();
        self.check_interval(requested)?;
        let target = self.clone();
        // The poll is a task of its own, because a caller that is dropped must not cancel it.
        let poll = tokio::spawn(async move { target.poll_if_allowed(requested).await }.in_current_span());
        match poll.await {
            Ok(result) => result,
            Err(_) => Ok(self.publish_failure((self.clock)(), requested, internal_error())),
        }
    }

    async fn poll_if_allowed(&self, requested: Instant) -> Result<Arc<Reading>, PollRefusal> {
        let mut memory = self.polling.lock().await;
        if let Some(reading) = self.state().reading_since(requested) {
            return Ok(reading);
        }
        let now = Instant::now();
        self.check_interval(now)?;
        let wait = self.shared.client.budget_wait(now);
        if !wait.is_zero() {
            return Err(PollRefusal::RateLimited { wait });
        }
        Ok(self.poll_admitted(&mut memory).await)
    }

    fn check_interval(&self, now: Instant) -> Result<(), PollRefusal> {
        let Some(latest) = self.fresh_reading(now) else { return Ok(()) };
        let wait = (latest.began + self.reading_age_max()).saturating_duration_since(now);
        Err(PollRefusal::TooSoon { min_interval: self.config.min_interval, wait })
    }
}
