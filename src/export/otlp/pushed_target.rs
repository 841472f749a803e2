//! A target with the state of its push.

use super::metrics::TargetMetrics;
use crate::config::{HistogramForm, Temporality};
use crate::poll::Reading;
use crate::report::SeriesState;
use crate::telemetry::CollectedTarget;
use std::sync::{Arc, Weak};

/// A target with the state of its push.
#[derive(Debug)]
pub(super) struct PushedTarget {
    pub(super) collected: Arc<CollectedTarget>,
    pub(super) series: SeriesState,
    pub(super) exported: ExportedReadings,
    /// The [`changes`](crate::telemetry::DeliveryMetrics::changes) of the counts that were exported last.
    exported_changes: u64,
}

impl PushedTarget {
    /// A target without exported readings.
    pub(super) fn new(collected: Arc<CollectedTarget>, temporality: Temporality) -> Self {
        Self { collected, series: SeriesState::new(temporality), exported: ExportedReadings::default(), exported_changes: 0 }
    }

    /// Reports a reading.
    pub(super) fn export(&mut self, reading: &Reading, histograms: HistogramForm) -> TargetMetrics {
        self.exported_changes = self.changes();
        let canonical = self.collected.collect(reading, histograms);
        let report = self.series.report(canonical, self.collected.system(), reading, self.collected.records_since());
        TargetMetrics::new(&self.collected.identity(reading), report)
    }

    fn changes(&self) -> u64 {
        self.collected.deliveries.as_ref().map_or(0, |deliveries| deliveries.changes())
    }

    /// The latest reading as of now, if delivery records were counted since the last export.
    pub(super) fn with_unexported_counts(&self) -> Option<Reading> {
        let target = &self.collected.target;
        let latest = target.latest().filter(|_| self.changes() != self.exported_changes)?;
        Some(Reading { at: target.now(), ..(*latest).clone() })
    }

    /// Returns true if the latest reading was not exported, for example because a scrape triggered the poll.
    pub(super) fn has_unexported_reading(&self) -> bool {
        self.collected.target.latest().is_some_and(|latest| !self.exported.contains(&latest))
    }
}

/// The exported readings of a target: the last one, and the last successful one. A target keeps the latter as its latest reading while a
/// poll continues whose callers have timed out.
#[derive(Debug, Default)]
pub(super) struct ExportedReadings {
    pub(super) last: Option<Weak<Reading>>,
    last_successful: Option<Weak<Reading>>,
}

impl ExportedReadings {
    pub(super) fn contains(&self, reading: &Arc<Reading>) -> bool {
        let is_same = |exported: &Weak<Reading>| std::ptr::eq(exported.as_ptr(), Arc::as_ptr(reading));
        self.last.iter().chain(&self.last_successful).any(is_same)
    }

    pub(super) fn add(&mut self, reading: &Arc<Reading>) {
        self.last = Some(Arc::downgrade(reading));
        if reading.outcome.is_ok() {
            self.last_successful.clone_from(&self.last);
        }
    }
}
