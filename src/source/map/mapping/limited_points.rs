//! Points of zeros, and those beyond the number of points of a metric.

use super::Mapping;
use crate::model::{Attributes, Metric, Repair};
use crate::source::Rule;
use crate::source::map::points::Addend;

impl Mapping<'_> {
    /// Adds a zero, or NaN if it is unknown, because the rule has no series for this point.
    pub(super) fn add_zero(&mut self, rule: &'static Rule, attributes: Attributes, zero: f64) {
        self.trace(|trace| trace.zero(&attributes));
        self.contribute(rule, &attributes);
        let traced = self.memory.trace.is_some().then(|| attributes.clone());
        let zero = if self.is_incomplete(rule, &attributes) { f64::NAN } else { zero };
        if !self.points.add(rule.metric, attributes, zero, Addend::of(rule, true)) {
            self.exceed_points(rule.metric, traced.as_ref());
        }
    }

    /// Counts a point of this metric beyond the limit. `traced`: its attributes, if a trace was requested.
    pub(super) fn exceed_points(&mut self, metric: &'static Metric, traced: Option<&Attributes>) {
        self.omit_value(metric, Repair::TooManyPoints);
        if let (Some(trace), Some(attributes)) = (&mut self.memory.trace, traced) {
            trace.exceed_points(attributes);
        }
    }
}
