//! The status of a target: what is known about it without a poll.

use super::circuit_breaker::Circuit;
use super::recent::history::{Failure, History};
use super::{LimitUsage, PollError, Reading, Target};
use crate::model::Point;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Target {
    /// The last reading, however old.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Reading>> {
        self.state().latest.clone()
    }

    /// The version that the server last reported.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.state().version.clone()
    }

    /// The resource attributes that the server last reported with `target_info`.
    #[must_use]
    pub fn target_info(&self) -> Vec<(String, String)> {
        self.state().target_info.clone()
    }

    /// The usage of the limits that all targets share.
    #[must_use]
    pub fn usage(&self) -> LimitUsage {
        self.shared.limits.usage()
    }

    /// Calls a function with the history of the last hour.
    pub fn history<R>(&self, inspect: impl FnOnce(&History) -> R) -> R {
        inspect(&self.state().history)
    }

    /// Adds the counts of the delivery log to the history. The log was completely read at `read_at`.
    pub fn note_log_counts(&self, read_at: Instant, points: &[Point]) {
        self.state().history.add_log_counts(self.now(), read_at, points);
    }

    /// Adds a failed request for the delivery log to the history.
    pub fn note_log_failure(&self, part: &'static str, error: &PollError) {
        self.state().history.add_log_failure(Failure { at: self.now(), part, error: error.clone() });
    }

    /// The time until the next poll is possible: until the latest reading is due, and the rate budget and the circuit allow it.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let due = self.latest().map(|latest| (latest.began + self.reading_age_max()).saturating_duration_since(now));
        let circuit = match self.circuit() {
            Circuit::Open { until, .. } => until.saturating_duration_since(now),
            Circuit::Closed => Duration::ZERO,
        };
        due.unwrap_or_default().max(self.shared.client.budget_wait(now)).max(circuit)
    }

    /// The parts that were requested, each with the method and the masked URL of its last request.
    #[must_use]
    pub fn requested_urls(&self) -> Vec<(&'static str, String)> {
        self.parts.iter().filter_map(|client| Some((client.part.name, client.requested_url(&self.shared.client)?))).collect()
    }

    /// Returns true while a poll runs, or waits for the concurrency limit.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        self.polling.try_lock().is_err()
    }

    /// Returns true while a poll waits for the concurrency limit.
    #[must_use]
    pub fn waits_for_limit(&self) -> bool {
        self.state().waits_for_limit
    }

    /// The state of the target's circuit breaker.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.state().breaker.state()
    }
}
