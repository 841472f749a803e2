//! Log a condition once: when it starts or changes, and once when it ends. Conditions that start and end often are logged less often.

use super::line_limit::LineLimit;
use std::collections::HashSet;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The time without an occurrence after which a problem that others cause, or that occurs between successes, has ended.
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);

/// A problem and its log lines. The caller logs when [`start`](Self::start) or [`end`](Self::end) reports a change.
#[derive(Clone, Debug)]
pub(crate) struct ProblemLog<P = &'static str> {
    current: Option<Occurrences<P>>,
    limit: LineLimit,
}

#[derive(Clone, Debug)]
struct Occurrences<P> {
    problem: P,
    count: u64,
    is_logged: bool,
    /// The start of this problem, or of one that it replaced, was logged, so its end is logged, too.
    is_start_logged: bool,
}

impl<P> Default for ProblemLog<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> ProblemLog<P> {
    /// No problem has occurred.
    pub(crate) const fn new() -> Self {
        Self { current: None, limit: LineLimit::new() }
    }
}

impl<P: PartialEq> ProblemLog<P> {
    /// Records an occurrence. Returns the end of the line if it has to be logged: the problem is new or differs from the previous one, or
    /// the limit of lines was reached when it started.
    pub(crate) fn start(&mut self, problem: P) -> Option<&'static str> {
        self.start_at(problem, Instant::now())
    }

    /// Records an occurrence at this time.
    pub(crate) fn start_at(&mut self, problem: P, now: Instant) -> Option<&'static str> {
        let before = self.current.take();
        let was_start_logged = before.as_ref().is_some_and(|before| before.is_start_logged);
        let (count, was_logged) = before.filter(|before| before.problem == problem).map_or((0, false), |same| (same.count, same.is_logged));
        let note = if was_logged { None } else { self.limit.admit(now) };
        let (is_logged, is_start_logged) = (was_logged || note.is_some(), was_start_logged || note.is_some());
        self.current = Some(Occurrences { problem, count: count.saturating_add(1), is_logged, is_start_logged });
        note
    }

    /// Ends the problem. Returns how many times in a row it occurred; `None` if there was no problem, or its start was not logged.
    pub(crate) fn end(&mut self) -> Option<u64> {
        self.current.take().filter(|current| current.is_start_logged).map(|current| current.count)
    }

    /// Returns true between the start of a problem and its end.
    pub(crate) const fn is_ongoing(&self) -> bool {
        self.current.is_some()
    }

    /// Returns true if this problem has started and not ended.
    pub(crate) fn is_current(&self, problem: &P) -> bool {
        self.current.as_ref().is_some_and(|current| current.problem == *problem)
    }
}

/// A problem that occurs again and again, between successes: it has ended after [`RECOVERY`] without an occurrence.
#[derive(Debug)]
pub(crate) struct Episode<P = ()> {
    log: ProblemLog<P>,
    last: Option<Instant>,
}

impl<P> Default for Episode<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Episode<P> {
    /// No problem has occurred.
    pub(crate) const fn new() -> Self {
        Self { log: ProblemLog::new(), last: None }
    }
}

impl<P: PartialEq> Episode<P> {
    /// Records an occurrence. Returns the end of the line to be logged, if there is to be one.
    pub(crate) fn start(&mut self, problem: P, now: Instant) -> Option<&'static str> {
        self.last = Some(now);
        self.log.start_at(problem, now)
    }

    /// Returns true if the problem has ended and its start was logged.
    pub(crate) fn end(&mut self, now: Instant) -> bool {
        self.last.take_if(|at| now.saturating_duration_since(*at) >= RECOVERY).is_some() && self.log.end().is_some()
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
        !self.is_full() && !self.logged.contains(condition) && self.logged.insert(condition.clone())
    }

    /// Returns true if the limit is reached.
    pub(crate) fn is_full(&self) -> bool {
        self.logged.len() >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::super::line_limit::{LINE_INTERVAL, LINES_MAX};
    use super::*;

    #[test]
    fn a_problem_is_logged_when_it_starts_changes_and_ends() {
        let mut problems = ProblemLog::default();
        assert_eq!(problems.end(), None);
        assert_eq!((problems.start("busy"), problems.start("busy")), (Some(""), None));
        assert!(problems.is_ongoing());
        assert_eq!(problems.start("refused"), Some(""));
        assert_eq!(problems.end(), Some(1));
        assert_eq!((problems.start("busy"), problems.start("busy")), (Some(""), None), "it is new after it has ended");
        assert_eq!((problems.end(), problems.end()), (Some(2), None));
    }

    #[test]
    fn a_problem_that_starts_and_ends_again_and_again_is_logged_less_often() {
        let (mut problems, now) = (ProblemLog::default(), Instant::now());
        let flap = |problems: &mut ProblemLog, at| (problems.start_at("busy", at).is_some(), problems.end().is_some());
        let lines: Vec<_> = (0..100).map(|_| flap(&mut problems, now)).collect();
        assert_eq!(lines.iter().filter(|lines| **lines == (true, true)).count(), LINES_MAX as usize);
        assert!(lines[LINES_MAX as usize..].iter().all(|lines| *lines == (false, false)), "an end is logged only after its start");
        // A problem whose start could not be logged is logged later, if it lasts.
        assert_eq!([now, now, now + LINE_INTERVAL].map(|at| problems.start_at("busy", at)), [None, None, Some("")]);
        assert_eq!(problems.end(), Some(3));
        // Two problems in turn, and an end that belongs to a line before the limit was reached.
        let mut problems = ProblemLog::default();
        let logged = (0..100).filter_map(|n| problems.start_at(n % 2, now)).count();
        assert_eq!((logged, problems.end()), (LINES_MAX as usize, Some(1)));
    }

    #[test]
    fn each_condition_is_logged_once_up_to_the_limit() {
        let mut set = LoggedSet::new(2);
        assert_eq!(["a", "a", "b", "c"].map(|condition| set.insert(&condition)), [true, false, true, false]);
    }

    #[test]
    fn an_episode_is_logged_when_it_begins_and_when_it_has_ended() {
        let (mut episode, mut now) = (Episode::default(), Instant::now());
        assert!(!episode.end(now));
        assert_eq!([episode.start((), now), episode.start((), now)], [Some(""), None]);
        now += RECOVERY / 2;
        assert!(!episode.end(now) && episode.start((), now).is_none(), "the same episode");
        assert!(!episode.end(now + RECOVERY / 2));
        assert!(episode.end(now + RECOVERY));
        assert!(!episode.end(now + RECOVERY) && episode.start((), now + RECOVERY).is_some());
    }
}
