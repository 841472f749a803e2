//! Log a condition once: when it starts or changes, and once when it ends.

use std::collections::HashSet;
use std::hash::Hash;

/// The problem that was logged last. The caller logs when [`start`](Self::start) or [`end`](Self::end) reports a change.
#[derive(Clone, Debug)]
pub(crate) struct ProblemLog<P = &'static str> {
    current: Option<Occurrences<P>>,
}

#[derive(Clone, Debug)]
struct Occurrences<P> {
    problem: P,
    count: u64,
}

impl<P> Default for ProblemLog<P> {
    fn default() -> Self {
        Self { current: None }
    }
}

impl<P: PartialEq> ProblemLog<P> {
    /// Records an occurrence. Returns true if the problem is new or differs from the previous one, and has to be logged.
    pub(crate) fn start(&mut self, problem: P) -> bool {
        let before = self.current.take().filter(|current| current.problem == problem).map_or(0, |current| current.count);
        self.current = Some(Occurrences { problem, count: before.saturating_add(1) });
        before == 0
    }

    /// Ends the problem. Returns how many times in a row it occurred, or `None` if there was none.
    pub(crate) fn end(&mut self) -> Option<u64> {
        self.current.take().map(|current| current.count)
    }

    /// Returns true between the start of a problem and its end.
    pub(crate) const fn is_ongoing(&self) -> bool {
        self.current.is_some()
    }
}

/// Conditions of which each is logged once and never again, up to a limit.
#[derive(Clone, Debug)]
pub(crate) struct LoggedSet<T> {
    logged: HashSet<T>,
    max: usize,
}

impl<T: Clone + Eq + Hash> LoggedSet<T> {
    /// An empty set that admits at most `max` conditions.
    pub(crate) fn new(max: usize) -> Self {
        Self { logged: HashSet::new(), max }
    }

    /// Returns true if the condition has not been logged before and the limit is not reached.
    pub(crate) fn insert(&mut self, condition: &T) -> bool {
        self.logged.len() < self.max && !self.logged.contains(condition) && self.logged.insert(condition.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_logged_when_it_starts_changes_and_ends() {
        let mut problems = ProblemLog::default();
        assert_eq!(problems.end(), None);
        assert!(problems.start("busy"));
        assert!(!problems.start("busy"));
        assert!(problems.is_ongoing());
        assert!(problems.start("refused"));
        assert_eq!(problems.end(), Some(1));
        assert!(problems.start("busy"), "it is new after it has ended");
        assert!(!problems.start("busy"));
        assert_eq!((problems.end(), problems.end()), (Some(2), None));
    }

    #[test]
    fn each_condition_is_logged_once_up_to_the_limit() {
        let mut set = LoggedSet::new(2);
        assert_eq!(["a", "a", "b", "c"].map(|condition| set.insert(&condition)), [true, false, true, false]);
    }
}
