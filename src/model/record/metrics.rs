//! The canonical metrics that Postmeter counts from the delivery records of a target.

use crate::model::Metric;
use crate::model::vocabulary::RECORD_METRICS;

/// A set of [`RECORD_METRICS`]. Readings have the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordMetrics(u16);

impl RecordMetrics {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of those metrics for which the function returns `true`.
    #[must_use]
    pub fn of(is_counted: impl Fn(&'static Metric) -> bool) -> Self {
        Self(RECORD_METRICS.iter().enumerate().filter(|(_, metric)| is_counted(metric)).fold(0, |set, (i, _)| set | 1 << i))
    }

    /// Returns `true` if a metric is in the set.
    #[must_use]
    pub fn contains(self, metric: &Metric) -> bool {
        self.contains_name(metric.name)
    }

    /// Returns `true` if the metric with this name is in the set.
    #[must_use]
    pub fn contains_name(self, name: &str) -> bool {
        self.0 != 0 && RECORD_METRICS.iter().enumerate().any(|(i, metric)| self.0 & 1 << i != 0 && metric.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vocabulary::{BOUNCES, DELIVERY_ATTEMPTS, UP};

    #[test]
    fn a_set_has_each_metric_or_not() {
        let all = RecordMetrics::of(|_| true);
        assert!(RECORD_METRICS.iter().all(|metric| all.contains(metric) && !RecordMetrics::NONE.contains(metric)));
        assert!(!all.contains(&UP));
        let some = RecordMetrics::of(|metric| *metric == BOUNCES);
        assert!(some.contains(&BOUNCES) && !some.contains(&DELIVERY_ATTEMPTS));
        assert!(RECORD_METRICS.len() <= 16);
    }
}
