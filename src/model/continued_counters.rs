//! Canonical counters that continue after a restart of the mail server.

use super::Metric;
use std::time::SystemTime;

/// The canonical counters of a reading that continue after a restart of the server, so that a later start of the server is not theirs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContinuedCounters {
    /// Their metrics.
    pub metrics: Vec<&'static Metric>,
    /// Their start time, if it is known.
    pub since: Option<SystemTime>,
}

impl ContinuedCounters {
    /// Returns `true` if the counters of the metric with this name continue.
    #[must_use]
    pub fn contains_name(&self, name: &str) -> bool {
        self.metrics.iter().any(|metric| metric.name == name)
    }
}
