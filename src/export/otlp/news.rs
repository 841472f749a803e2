//! What the log is told of a receiver: trouble when it begins or becomes another, and when it is over.

/// What was said last: once, until something else happens.
#[derive(Debug, Default)]
pub(crate) struct ProblemLog(Option<LoggedProblem>);

#[derive(Debug)]
struct LoggedProblem {
    error_type: &'static str,
    /// In which collection that was last: behind one request that is refused, the others of its collection are no change.
    collection: u64,
    /// How often in a row.
    times: u64,
}

impl ProblemLog {
    /// Whether this was not said last; from now on it was.
    pub(crate) fn is_new(&mut self, error_type: &'static str, collection: u64) -> bool {
        let before = self.0.take().filter(|said| said.error_type == error_type).map_or(0, |said| said.times);
        self.0 = Some(LoggedProblem { error_type, collection, times: before.saturating_add(1) });
        before == 0
    }

    /// Whether what was said ends with this collection, and how often it happened.
    pub(crate) fn is_over(&mut self, collection: u64) -> Option<u64> {
        self.0.take_if(|said| collection > said.collection).map(|said| said.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_once_and_ends_with_another_collection() {
        let mut news = ProblemLog::default();
        assert_eq!(news.is_over(1), None);
        assert!(news.is_new("busy", 1));
        assert!(!news.is_new("busy", 1));
        assert!(!news.is_new("busy", 2));
        assert_eq!(news.is_over(2), None, "one request of it was not taken");
        assert_eq!(news.is_over(3), Some(3));
        assert_eq!(news.is_over(4), None);
        assert!(news.is_new("busy", 5));
        assert!(news.is_new("refused", 5));
        assert_eq!(news.is_over(6), Some(1));
    }
}
