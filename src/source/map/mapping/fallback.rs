//! Rules that apply only if no other rule has produced the same point.

use super::Mapping;
use crate::model::{Attributes, identity_of_point};
use crate::source::{Part, Rule, Source};
use std::collections::HashMap;

impl Mapping<'_> {
    /// Returns `true` if a rule is a fallback to one of another part that is configured, and not among those that were `read`. The two
    /// may count different things, so the fallback does not stand in for a request that failed.
    pub(in super::super) fn awaits_part(&self, source: &Source, part: &Part, rule: &Rule, read: &[&'static str]) -> bool {
        let is_first_choice = |other: &Rule| !other.fallback && other.detail.is_none() && other.metric == rule.metric;
        let is_awaited = |other: &Part| self.memory.is_configured(other) && !read.contains(&other.name);
        let others = || source.parts.iter().filter(|other| other.name != part.name);
        rule.fallback && others().any(|other| is_awaited(other) && other.rules.iter().any(is_first_choice))
    }

    /// Returns the points that earlier rules have produced, by identity: `true` if the value is valid. A fallback replaces only invalid
    /// ones, and those that are 0 because their series are missing.
    ///
    /// In a window it replaces no invalid one, and none that an earlier rule has produced in another response of the window: the sum of a
    /// window does not fall when the value is valid again, and that of the fallback may be larger.
    pub(super) fn earlier_points(&mut self, rule: &'static Rule) -> HashMap<u64, bool> {
        let histograms = self.snapshot.histograms.iter().filter(|(metric, ..)| *metric == rule.metric);
        let histograms = histograms.map(|(metric, attributes, _)| (identity_of_point(metric, attributes), true));
        let mut earlier = self.points.reported(rule.metric, self.window.is_some()).chain(histograms).collect();
        if self.window.is_some() {
            let valid = self.points.reported(rule.metric, false).filter(|(_, is_valid)| *is_valid).map(|(point, _)| point);
            self.memory.window_series.keep_provided(self.context.window(), rule, valid, &mut earlier);
        }
        earlier
    }

    /// Returns `true` if an earlier rule has produced a point with these attributes that the rule does not replace. Another one is removed.
    pub(super) fn is_settled(&mut self, rule: &Rule, attributes: &Attributes, earlier: &mut HashMap<u64, bool>) -> bool {
        let identity = identity_of_point(rule.metric, attributes);
        if earlier.get(&identity) == Some(&false) {
            self.points.take(|point| point.metric == rule.metric && point.attributes == *attributes);
            earlier.remove(&identity);
        }
        earlier.contains_key(&identity)
    }
}
