//! Logs a receiver's problem when it starts or changes, and once when it ends.

use crate::net::ProblemLog;

/// The receiver's problem that was logged last. It ends with a later collection: while one request of a collection is rejected, the
/// others of the same collection do not end the problem.
#[derive(Debug, Default)]
pub(crate) struct ReceiverProblems {
    log: ProblemLog,
    /// The collection in which the problem occurred last.
    collection: u64,
}

impl ReceiverProblems {
    /// Records a problem of a collection. Returns true if it is new or differs from the previous one.
    pub(crate) fn start(&mut self, error_type: &'static str, collection: u64) -> bool {
        self.collection = collection;
        self.log.start(error_type)
    }

    /// Ends the problem if this collection is a later one. Returns how many times in a row the problem occurred.
    pub(crate) fn end(&mut self, collection: u64) -> Option<u64> {
        if collection > self.collection { self.log.end() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_logged_once_and_ends_with_another_collection() {
        let mut problems = ReceiverProblems::default();
        assert_eq!(problems.end(1), None);
        assert!(problems.start("busy", 1));
        assert!(!problems.start("busy", 1));
        assert!(!problems.start("busy", 2));
        assert_eq!(problems.end(2), None, "a request of the same collection was rejected");
        assert_eq!(problems.end(3), Some(3));
        assert_eq!(problems.end(4), None);
        assert!(problems.start("busy", 5));
        assert!(problems.start("refused", 5));
        assert_eq!(problems.end(6), Some(1));
    }
}
