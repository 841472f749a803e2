//! Logs a receiver's problem when it starts or changes, and once when it ends.

use super::request_exporter::ExportFailure;
use crate::net::ProblemLog;

/// A problem of a receiver. Two problems are equal if an operator would handle both in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverProblem {
    /// Requests are not accepted.
    Failure {
        /// The value of `error.type`.
        error_type: &'static str,
        /// The cause among those of the type.
        cause: String,
    },
    /// The receiver accepted a request except for some points.
    Rejected,
    /// The receiver accepted a request with a warning.
    Warning,
}

impl ReceiverProblem {
    pub(crate) fn of(failure: &ExportFailure) -> Self {
        Self::Failure { error_type: failure.error_type(), cause: failure.cause().to_owned() }
    }
}

/// The receiver's problem that was logged last. It ends with a later collection: while one request of a collection is rejected, the
/// others of the same collection do not end the problem.
#[derive(Debug, Default)]
pub(crate) struct ReceiverProblems {
    log: ProblemLog<ReceiverProblem>,
    /// The collection in which the problem occurred last.
    collection: u64,
    /// The points that were lost during problems whose end has not been logged.
    lost_points: u64,
}

/// The end of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedProblem {
    /// The number of consecutive occurrences of the problem.
    pub attempts: u64,
    /// The points that were lost meanwhile.
    pub lost_points: u64,
}

impl ReceiverProblems {
    /// Records a problem of a collection. Returns the end of the line if it has to be logged.
    pub(crate) fn start(&mut self, problem: ReceiverProblem, collection: u64) -> Option<&'static str> {
        self.collection = collection;
        self.log.start(problem)
    }

    /// Counts points that are lost. Those that are lost without a problem have a log line of their own.
    pub(crate) const fn count_lost(&mut self, points: u64) {
        if self.log.is_ongoing() {
            self.lost_points = self.lost_points.saturating_add(points);
        }
    }

    /// Ends the problem if this collection is a later one. Returns the end if it has to be logged.
    pub(crate) fn end(&mut self, collection: u64) -> Option<EndedProblem> {
        let attempts = if collection > self.collection { self.log.end() } else { None }?;
        Some(EndedProblem { attempts, lost_points: std::mem::take(&mut self.lost_points) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error_type: &'static str, cause: &str) -> ReceiverProblem {
        ReceiverProblem::Failure { error_type, cause: cause.to_owned() }
    }

    #[test]
    fn a_problem_is_logged_once_and_ends_with_another_collection() {
        let mut problems = ReceiverProblems::default();
        let ended = |attempts, lost_points| Some(EndedProblem { attempts, lost_points });
        assert_eq!(problems.end(1), None);
        problems.count_lost(7);
        let starts = [1, 1, 2].map(|collection| problems.start(failure("busy", "503"), collection).is_some());
        assert_eq!(starts, [true, false, false]);
        problems.count_lost(10);
        assert_eq!(problems.end(2), None, "a request of the same collection was rejected");
        assert_eq!(problems.end(3), ended(3, 10));
        assert_eq!(problems.end(4), None);
        assert!(problems.start(failure("unreachable", "Connection refused"), 5).is_some());
        assert!(problems.start(failure("unreachable", "invalid peer certificate"), 5).is_some(), "another cause is logged");
        assert!(problems.start(ReceiverProblem::Warning, 5).is_some());
        assert_eq!(problems.end(6), ended(1, 0));
    }
}
