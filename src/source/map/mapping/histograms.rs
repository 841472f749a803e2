//! Canonical histograms, and numbers of native ones.

use super::Mapping;
use crate::model::{Attributes, Histogram, Metric, Repair};
use crate::source::Rule;
use crate::source::map::part_families::PartFamilies;
use crate::source::map::points::Addend;

impl Mapping<'_> {
    /// Adds to the histogram with these attributes. If the buckets do not fit together, the sum is unknown and the histogram is omitted.
    pub(super) fn add_histogram(&mut self, rule: &'static Rule, attributes: Attributes, histogram: Histogram) {
        let is_same = |metric: &Metric, other: &Attributes| metric == rule.metric && *other == attributes;
        if self.is_incomplete(rule, &attributes) || self.partial_histograms.iter().any(|(metric, other)| is_same(metric, other)) {
            return;
        }
        match self.snapshot.histograms.iter().position(|(metric, other, _)| is_same(metric, other)) {
            None => self.snapshot.histograms.push((rule.metric, attributes, histogram)),
            Some(at) if self.snapshot.histograms[at].2.add(&histogram) => {}
            Some(at) => {
                self.omit_value(rule.metric, Repair::InconsistentHistogram);
                self.snapshot.histograms.swap_remove(at);
                self.partial_histograms.push((rule.metric, attributes));
            }
        }
    }

    /// Omits the histograms that lack an unreadable series: they would fall now, and rise too much when the series is back.
    pub(super) fn omit_partial_histograms(&mut self, rule: &'static Rule, families: &PartFamilies<'_>) {
        let has_patterns = rule.has_patterns_in_tables();
        for attributes in families.lost_series_of(rule).filter_map(|sample| rule.attributes_of(&sample, has_patterns)) {
            self.snapshot.histograms.retain(|(metric, other, _)| *metric != rule.metric || *other != attributes);
            self.partial_histograms.push((rule.metric, attributes));
        }
    }

    /// Invalidates the sums that lack an unreadable histogram, as if its count were not a number.
    pub(super) fn invalidate_partial_sums(&mut self, rule: &'static Rule, families: &PartFamilies<'_>) {
        let has_patterns = rule.has_patterns_in_tables();
        for attributes in families.lost_series_of(rule).filter_map(|sample| rule.attributes_of(&sample, has_patterns)) {
            self.points.add(rule.metric, attributes, f64::NAN, Addend::Series);
        }
        if families.lacks_unknown_histogram(rule) {
            self.points.invalidate(|point| rule.may_produce(point));
            self.note_incomplete(rule);
        }
    }
}
