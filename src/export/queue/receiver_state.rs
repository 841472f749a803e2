//! The state of the receiver as the export queue sees it: totals, the current failure, and the log lines about both.

use super::receiver_problems::ReceiverProblems;
use super::request_exporter::ExportFailure;
use super::status::PushFailure;
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// Logged problems that are not failures to send.
const REJECTED: &str = "rejected";
const WARNING: &str = "warning";

/// The totals since the start of the process, and the current failure.
#[derive(Debug, Default)]
pub(super) struct ReceiverState {
    pub last_accepted_at: Option<SystemTime>,
    pub accepted_points: u64,
    pub lost_points: u64,
    pub failure: Option<PushFailure>,
    /// The queue has dropped requests since the receiver last accepted one.
    is_overflowing: bool,
    problems: ReceiverProblems,
}

impl ReceiverState {
    /// Counts a request that the receiver accepted except for some points. The failure, if there was one, ends.
    pub(super) fn count_accepted(&mut self, accepted_points: u64, rejected_points: u64) {
        self.last_accepted_at = Some(SystemTime::now());
        self.accepted_points += accepted_points;
        self.lost_points += rejected_points;
        self.is_overflowing = false;
        self.failure = None;
    }

    /// Counts a failed attempt. The next one is due after `wait`; `None` if the request is lost.
    pub(super) fn count_failure(&mut self, failure: &ExportFailure, wait: Option<Duration>) {
        let now = SystemTime::now();
        let (since, attempts) = self.failure.as_ref().map_or((now, 0), |failure| (failure.since, failure.attempts));
        self.failure = Some(PushFailure {
            error_type: failure.error_type(),
            message: failure.to_string(),
            since,
            attempts: attempts.saturating_add(1),
            retry_at: wait.map(|wait| now + wait),
        });
    }

    /// Logs rejected points and warnings once, and the end of a problem.
    pub(super) fn log_accepted(&mut self, endpoint: &str, collection: u64, rejected_points: u64, message: &str, queued_requests: usize) {
        let problem = match (rejected_points, message) {
            (0, "") => {
                if let Some(attempts) = self.problems.end(collection) {
                    info!(endpoint, attempts, queued_requests, "the receiver accepts metrics again");
                }
                return;
            }
            (0, _) => WARNING,
            _ => REJECTED,
        };
        if !self.problems.start(problem, collection) {
            return;
        }
        match rejected_points {
            0 => warn!(endpoint, "the receiver accepted all metrics with a warning: {message}"),
            points => warn!(endpoint, points, "the receiver rejected some metrics: {message}"),
        }
    }

    /// Logs once that requests are not accepted and are sent again.
    pub(super) fn log_retry(&mut self, endpoint: &str, collection: u64, failure: &ExportFailure) {
        if self.is_new_failure(failure, collection) {
            warn!(endpoint, error.type = failure.error_type(), "push failed, metrics are queued and sent again: {failure}");
        }
    }

    /// Logs once that requests are not accepted and are lost.
    pub(super) fn log_lost(&mut self, endpoint: &str, collection: u64, failure: &ExportFailure) {
        if self.is_new_failure(failure, collection) {
            warn!(endpoint, error.type = failure.error_type(), "push failed, metrics are lost: {failure}");
        }
    }

    /// A spool that cannot be read has been logged by the spool.
    fn is_new_failure(&mut self, failure: &ExportFailure, collection: u64) -> bool {
        !matches!(failure, ExportFailure::SpoolUnreadable(_)) && self.problems.start(failure.error_type(), collection)
    }

    /// Logs once that the queue is full, until the receiver accepts a request.
    pub(super) fn log_overflow(&mut self, endpoint: &str) {
        if !std::mem::replace(&mut self.is_overflowing, true) {
            warn!(endpoint, "the export queue is full, the oldest collections are dropped until the receiver accepts metrics");
        }
    }
}
