//! Start times of counters that are known without earlier readings, for the pull.

use crate::model::vocabulary;
use crate::poll::Reading;
use std::time::SystemTime;

/// The start times of a reading's counters, as far as they are known without earlier readings.
///
/// Those that follow from earlier readings are known to the push only, which remembers them.
#[derive(Clone, Copy, Debug, Default)]
pub struct CounterStarts {
    /// The start time of the server's counters, if the server reports it.
    server: Option<SystemTime>,
    /// The time at which Postmeter began to count the errors and repairs of the target.
    tally: Option<SystemTime>,
    /// Postmeter counts the deliveries itself.
    follows_delivery_log: bool,
}

impl CounterStarts {
    /// The start times of a reading.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let server = reading.snapshot().and_then(|snapshot| snapshot.counters_since);
        Self {
            // The server's clock is wrong if its counters begin after the reading.
            server: server.filter(|since| *since <= reading.at),
            tally: Some(reading.tally_since),
            follows_delivery_log: reading.tally.metrics_from_log,
        }
    }

    /// The start time of the server's counters and histograms.
    #[must_use]
    pub const fn server(&self) -> Option<SystemTime> {
        self.server
    }

    /// The start time of a canonical counter.
    pub(super) fn of_metric(&self, name: &str) -> Option<SystemTime> {
        let is_in = |metrics: &[&crate::model::Metric]| metrics.iter().any(|metric| metric.name == name);
        if is_in(vocabulary::POLL_METRICS) {
            return self.tally;
        }
        // The server may have counted the deliveries before Postmeter did.
        let is_counted_by_postmeter = self.follows_delivery_log && is_in(vocabulary::DELIVERY_LOG_METRICS);
        self.server.filter(|_| !is_counted_by_postmeter)
    }
}
