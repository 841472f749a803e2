//! Rules that apply only if no earlier rule has produced the same point.

use super::Mapping;
use crate::model::{Attributes, identity_of_point};
use crate::source::Rule;
use std::collections::HashMap;

impl Mapping<'_> {
    /// Returns the points that earlier rules have produced, by identity: `true` if the value is valid. A fallback replaces only invalid
    /// ones, and those that are 0 because their series are missing.
    pub(super) fn earlier_points(&self, rule: &Rule) -> HashMap<u64, bool> {
        let histograms = self.snapshot.histograms.iter().filter(|(metric, ..)| *metric == rule.metric);
        let histograms = histograms.map(|(metric, attributes, _)| (identity_of_point(metric, attributes), true));
        self.points.reported(rule.metric).chain(histograms).collect()
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
