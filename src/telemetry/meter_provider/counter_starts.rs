//! Start times of counters that are known without earlier readings, for the pull.

use crate::model::{ContinuedCounters, RecordMetrics, vocabulary};
use crate::poll::Reading;
use crate::telemetry::RecordsSince;
use std::time::SystemTime;

/// The start times of a reading's counters, as far as they are known without earlier readings.
///
/// Those that follow from earlier readings are known to the push only, which remembers them.
#[derive(Clone, Debug, Default)]
pub struct CounterStarts {
    /// The start time of the server's counters, if the server reports it.
    server: Option<SystemTime>,
    /// The counters that continue after a restart of the server, with their start time.
    continued: ContinuedCounters,
    /// The time at which Postmeter began to count the errors and repairs of the target.
    tally: Option<SystemTime>,
    /// The metrics that Postmeter counts from delivery records.
    from_records: RecordMetrics,
    /// The times since which it does.
    records: Option<RecordsSince>,
}

impl CounterStarts {
    /// The start times of a reading.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let snapshot = reading.snapshot();
        // The server's clock is wrong if its counters begin after the reading.
        let is_past = |since: &SystemTime| *since <= reading.at;
        let mut continued = snapshot.map(|snapshot| snapshot.continued.clone()).unwrap_or_default();
        continued.since = continued.since.filter(is_past);
        Self {
            server: snapshot.and_then(|snapshot| snapshot.counters_since).filter(is_past),
            continued,
            tally: Some(reading.tally_since),
            from_records: reading.record_metrics(),
            records: None,
        }
    }

    /// The same start times, and these for what is counted from delivery records.
    #[must_use]
    pub fn with_records_since(self, records: Option<RecordsSince>) -> Self {
        Self { records, ..self }
    }

    /// The start time of the server's histograms, and of its counters that do not continue after a restart.
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
        if is_in(vocabulary::RECORD_STATE_METRICS) {
            return self.records.map(|since| since.states);
        }
        match self.from_records.contains_name(name) {
            true => self.records.map(|since| since.contents),
            false if self.continued.contains_name(name) => self.continued.since,
            false => self.server,
        }
    }
}
