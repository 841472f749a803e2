//! Points that are sums of several parts, of which one may fail.

use super::{Mapping, is_summand};
use crate::model::{Attributes, Families, Kind, Metric, Point, Repair, Snapshot, identity_of_point};
use crate::source::{Part, Rule};
use std::collections::HashSet;

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

    /// Notes that a series is missing which may belong to any point of the rule.
    pub(super) fn note_incomplete(&mut self, rule: &'static Rule) {
        self.note_unknown(rule.metric);
        self.incomplete_rules.push(rule);
    }

    /// Invalidates the points and omits the histograms that a rule may produce and that are not settled, because one of them lacks a
    /// series.
    pub(super) fn omit_points_of(&mut self, rule: &'static Rule, is_settled: impl Fn(&Point) -> bool) {
        let lacks = |point: &Point| rule.may_produce(point) && !is_settled(point);
        self.points.invalidate(lacks);
        self.snapshot.histograms.retain(|(metric, attributes, _)| {
            let point = || Point { metric, attributes: attributes.clone(), value: 0.0 };
            *metric != rule.metric || !lacks(&point())
        });
        self.note_incomplete(rule);
    }

    /// Returns `true` if a point lacks a series of an earlier rule, so that its sum is unknown. A fallback replaces such a point.
    pub(super) fn is_incomplete(&self, rule: &Rule, attributes: &Attributes) -> bool {
        if rule.fallback || self.incomplete_rules.is_empty() {
            return false;
        }
        let point = Point { metric: rule.metric, attributes: attributes.clone(), value: 0.0 };
        self.incomplete_rules.iter().any(|incomplete| incomplete.may_produce(&point))
    }

    /// Notes which parts responded.
    pub(in crate::source::map) fn note_responses(&mut self, read: &[(&'static Part, Families)]) {
        self.memory.contributions.note_responses(read.iter().map(|(part, _)| part.name));
    }

    /// Omits the points that lack a part, after the rules of these parts were applied.
    pub(in crate::source::map) fn omit_points_without_part(&mut self, parts: &[&'static str]) {
        self.contributing = None;
        self.omit_incomplete_differences();
        let incomplete = self.memory.contributions.finish(parts);
        if !incomplete.is_empty() {
            let omitted = self.points.invalidate(|point| incomplete.contains(&point.identity()));
            omitted.into_iter().for_each(|metric| self.omit_value(metric, Repair::IncompleteSum));
        }
    }
}

/// Returns the identities of the points and histograms that one of these rules may produce.
pub(super) fn identities_of_sums_with(snapshot: &Snapshot, rules: &[&'static Rule]) -> HashSet<u64> {
    if rules.is_empty() {
        return HashSet::new();
    }
    let histogram =
        |(metric, attributes, _): &(&'static Metric, Attributes, _)| Point { metric, attributes: attributes.clone(), value: 0.0 };
    let points = snapshot.points.iter().cloned().chain(snapshot.histograms.iter().map(histogram));
    points.filter(|point| rules.iter().any(|rule| rule.may_produce(point))).map(|point| point.identity()).collect()
}

/// Omits the points and histograms with these identities, which lack a series.
pub(super) fn omit(snapshot: &mut Snapshot, incomplete: &HashSet<u64>) {
    let mut omitted: Vec<&'static Metric> = Vec::new();
    let mut keeps = |metric: &'static Metric, identity: u64| {
        let is_incomplete = incomplete.contains(&identity);
        omitted.extend(is_incomplete.then_some(metric));
        !is_incomplete
    };
    snapshot.points.retain(|point| keeps(point.metric, point.identity()));
    snapshot.histograms.retain(|(metric, attributes, _)| keeps(metric, identity_of_point(metric, attributes)));
    snapshot.repairs.add(Repair::IncompleteSum, omitted.len() as u64);
    omitted.into_iter().for_each(|metric| snapshot.note_unknown(metric));
}
