//! The state of the receiver as the export queue sees it: totals, the current failure, and the log lines about both.

use super::receiver_problems::{EndedProblem, ReceiverProblem, ReceiverProblems};
use super::request_exporter::{ExportFailure, PartialSuccess};
use super::status::PushFailure;
use crate::config::show_duration;
use crate::net::ProblemLog;
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// The totals since the start of the process, and the current failure.
#[derive(Debug, Default)]
pub(super) struct ReceiverState {
    pub last_accepted_at: Option<SystemTime>,
    pub accepted_points: u64,
    pub lost_points: u64,
    pub failure: Option<PushFailure>,
    problems: ReceiverProblems,
    /// The queue has dropped requests since the receiver last accepted one.
    overflow: ProblemLog<()>,
    /// Requests have expired since the receiver last accepted one.
    expiry: ProblemLog<()>,
}

impl ReceiverState {
    /// Counts a request that the receiver accepted except for some points. The failure, if there was one, ends.
    pub(super) fn count_accepted(&mut self, accepted_points: u64) {
        self.last_accepted_at = Some(SystemTime::now());
        self.accepted_points += accepted_points;
        self.overflow.end();
        self.expiry.end();
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

    /// Counts points that are lost, after the log line about their problem.
    pub(super) const fn count_lost(&mut self, points: u64) {
        self.lost_points += points;
        self.problems.count_lost(points);
    }

    /// Logs rejected points and warnings once, and the end of a problem.
    pub(super) fn log_accepted(&mut self, endpoint: &str, collection: u64, response: &PartialSuccess, queued_requests: usize) {
        let problem = match response {
            PartialSuccess { rejected: 0, message } if message.is_empty() => {
                return match self.problems.end(collection) {
                    None => {}
                    Some(EndedProblem { attempts, lost_points: 0 }) => {
                        info!(endpoint, attempts, queued_requests, "the receiver accepts metrics again");
                    }
                    Some(EndedProblem { attempts, lost_points }) => {
                        info!(
                            endpoint,
                            attempts, queued_requests, lost_points, "the receiver accepts metrics again; some metrics were lost"
                        );
                    }
                };
            }
            PartialSuccess { rejected: 0, .. } => ReceiverProblem::Warning,
            PartialSuccess { .. } => ReceiverProblem::Rejected,
        };
        let Some(note) = self.problems.start(problem, collection) else { return };
        let reason = response.reason();
        match response.rejected {
            0 => warn!(endpoint, "the receiver accepted all metrics with a warning: {reason}{note}"),
            points => warn!(endpoint, points, "the receiver rejected some metrics: {reason}{note}"),
        }
    }

    /// Logs once that requests are not accepted and are sent again.
    pub(super) fn log_retry(&mut self, endpoint: &str, collection: u64, failure: &ExportFailure) {
        if let Some(note) = self.start_failure(failure, collection) {
            warn!(endpoint, error.type = failure.error_type(), "push failed, metrics are queued and sent again: {failure}{note}");
        }
    }

    /// Logs once that requests are not accepted and are lost.
    pub(super) fn log_lost(&mut self, endpoint: &str, collection: u64, failure: &ExportFailure) {
        if let Some(note) = self.start_failure(failure, collection) {
            warn!(endpoint, error.type = failure.error_type(), "push failed, metrics are lost: {failure}{note}");
        }
    }

    /// Logs once that requests have expired, until the receiver accepts one.
    pub(super) fn log_expired(&mut self, endpoint: &str, collection: u64, points: u64, age_max: Duration, failure: &ExportFailure) {
        let failure_note = self.start_failure(failure, collection);
        if let Some(note) = self.expiry.start(()) {
            let age = show_duration(age_max);
            warn!(
                endpoint,
                points,
                error.type = "expired",
                "metrics that were queued for {age} are lost, and so are later ones until the receiver accepts metrics; repair the receiver, \
                 or raise export.otlp.retry.give_up_after: {failure}{note}"
            );
        } else if let Some(note) = failure_note {
            warn!(endpoint, error.type = failure.error_type(), "push failed, metrics are lost: {failure}{note}");
        }
    }

    /// Records a failure. Returns the end of the line if it has to be logged; a spool that cannot be read has been logged by the spool.
    fn start_failure(&mut self, failure: &ExportFailure, collection: u64) -> Option<&'static str> {
        if matches!(failure, ExportFailure::SpoolUnreadable(_)) {
            return None;
        }
        self.problems.start(ReceiverProblem::of(failure), collection)
    }

    /// Logs once that the queue is full, until the receiver accepts a request.
    pub(super) fn log_overflow(&mut self, endpoint: &str, points: u64) {
        if let Some(note) = self.overflow.start(()) {
            warn!(
                endpoint,
                points, "the export queue is full, the oldest collections are dropped until the receiver accepts metrics{note}"
            );
        }
    }
}
