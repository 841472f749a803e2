//! The contents of a window, for systems whose counters are sums of windows.

use super::Mapping;
use crate::model::{Attributes, Kind, Point, Repair, identity_of_point};
use crate::source::map::window_series::SubtractedSeries;
use crate::source::{Rule, Source};
use std::collections::HashMap;

/// The rules that were applied to the responses of a window, to find out whether a counter that it lacks is 0 or unknown.
#[derive(Default)]
pub(super) struct WindowContents {
    /// The rules of counters, and whether each took a series.
    rules: Vec<(&'static Rule, bool)>,
    /// A series may be in a response, but unreadable.
    may_lack_series: bool,
    /// The series that are subtracted from counters, each with the identity of its point.
    subtracted: HashMap<SubtractedSeries, u64>,
}

impl Mapping<'_> {
    /// Notes a series of a rule that subtracts it from a counter of a window.
    pub(super) fn note_subtracted(&mut self, rule: &'static Rule, series: u64, attributes: &Attributes) {
        if let Some(window) = &mut self.window
            && rule.metric.kind == Kind::Counter
        {
            let series = (std::ptr::from_ref(rule).addr(), series);
            window.subtracted.insert(series, identity_of_point(rule.metric, attributes));
        }
    }

    /// Omits the points of a window from which another response of the window subtracted a series that is missing in this one.
    pub(super) fn omit_incomplete_differences(&mut self) {
        let Some(window) = &self.window else { return };
        let incomplete = self.memory.window_series.keep_subtracted(self.context.window(), &window.subtracted);
        if !incomplete.is_empty() {
            let omitted = self.points.invalidate(|point| incomplete.contains(&point.identity()));
            omitted.into_iter().for_each(|metric| self.omit_value(metric, Repair::IncompleteSum));
        }
    }
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
