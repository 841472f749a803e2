//! The contents of a window, for systems whose counters are sums of windows.

use crate::model::{Kind, Point};
use crate::source::{Rule, Source};

/// The rules that were applied to the responses of a window, to find out whether a counter that it lacks is 0 or unknown.
#[derive(Default)]
pub(super) struct WindowContents {
    /// The rules of counters, and whether each took a series.
    rules: Vec<(&'static Rule, bool)>,
    /// A series may be in a response, but unreadable.
    may_lack_series: bool,
}

impl WindowContents {
    /// Adds a rule that was applied.
    pub(super) fn add(&mut self, rule: &'static Rule, series_taken: usize, may_lack_series: bool) {
        if rule.metric.kind == Kind::Counter {
            self.rules.push((rule, series_taken > 0));
            self.may_lack_series |= may_lack_series;
        }
    }

    /// Returns `true` if a point that the window lacks had no events in it: the window is empty, or the server reports others of the same
    /// families.
    pub(super) fn has_no(&self, point: &Point, source: &Source) -> bool {
        let is_empty = self.rules.iter().all(|(_, took)| !took);
        let is_read = |rule: &Rule| self.rules.iter().any(|(other, took)| std::ptr::eq(*other, rule) && (*took || is_empty));
        let mut rules = source.rules().map(|(_, rule)| rule).filter(|rule| rule.detail.is_none() && rule.may_produce(point)).peekable();
        !self.may_lack_series && rules.peek().is_some() && rules.all(is_read)
    }
}
