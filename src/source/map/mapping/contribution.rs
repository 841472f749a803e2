//! Points that are sums of several parts, of which one may fail.

use super::{Mapping, is_summand};
use crate::model::{Attributes, Kind, Repair, identity_of_point};
use crate::source::Rule;

impl Mapping<'_> {
    /// Returns `true` if a point that lacks the part of this rule would be wrong. Counters whose native series are compared are not checked
    /// again.
    pub(super) fn contributes(&self, rule: &Rule) -> bool {
        let is_checked = rule.metric.kind == Kind::Histogram || self.checks_summands && is_summand(rule);
        !rule.fallback && !is_checked && self.shared_metrics.contains(rule.metric.name)
    }

    /// Notes that the current rule contributes to a point.
    pub(super) fn contribute(&mut self, rule: &Rule, attributes: &Attributes) {
        if let Some(part) = self.contributing {
            self.memory.contributions.add(part, identity_of_point(rule.metric, attributes));
        }
    }

    /// Omits the points that lack a part, after the rules of these parts were applied.
    pub(in crate::source::map) fn omit_points_without_part(&mut self, parts: &[&'static str]) {
        self.contributing = None;
        let incomplete = self.memory.contributions.finish(parts);
        if !incomplete.is_empty() {
            let omitted = self.points.invalidate(|point| incomplete.contains(&point.identity()));
            omitted.into_iter().for_each(|metric| self.omit_value(metric, Repair::IncompleteSum));
        }
    }
}
