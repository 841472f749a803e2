//! A target and its `MeterProvider`: the input of the push and the pull.

use super::meter_provider::empty_canonical_scope;
use super::record_histograms::otlp_metrics;
use super::{CounterStarts, DeliveryMetrics, Identity, RecordHistogram, RecordsSince, TargetMeterProvider};
use crate::config::{HistogramForm, Origin};
use crate::model::vocabulary::RECORD_METRICS;
use crate::model::{Metric, Point, RecordMetrics, SelectedFamilies, TranslationStrategy};
use crate::poll::{Reading, Target};
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// A target that is collected.
#[derive(Debug)]
pub struct CollectedTarget {
    /// The target, which is polled.
    pub target: Arc<Target>,
    /// The metrics of its delivery records, if it has records.
    pub deliveries: Option<Arc<DeliveryMetrics>>,
    /// The instruments of its canonical metrics.
    pub meter_provider: TargetMeterProvider,
    identity: Identity,
    origin: Mutex<Origin>,
}

impl CollectedTarget {
    /// Creates the `MeterProvider` of a target.
    #[must_use]
    pub fn new(target: Arc<Target>) -> Self {
        Self::build(target, None)
    }

    /// The successor of `before` after a reload. The counts of the delivery log are continued if it is the same server.
    #[must_use]
    pub fn succeeding(target: Arc<Target>, before: &Self) -> Self {
        Self::build(target, Some(before))
    }

    fn build(target: Arc<Target>, before: Option<&Self>) -> Self {
        let identity = Identity::of(&target.config);
        let meter_provider = TargetMeterProvider::new(target.config.source, &identity);
        let deliveries_before = before.filter(|before| before.identity == identity).and_then(|before| before.deliveries.as_ref());
        let deliveries = target.config.has_records().then(|| {
            let deliveries = DeliveryMetrics::new(target.config.record_detail(), target.records.clone());
            match deliveries_before {
                Some(before) => deliveries.continuing(before),
                None => deliveries,
            }
        });
        let origin = Mutex::new(target.config.origin.clone());
        Self { target, deliveries: deliveries.map(Arc::new), meter_provider, identity, origin }
    }

    /// The identity of the target, with the version and `target_info` of this reading or, if it failed, of the last successful one.
    #[must_use]
    pub fn identity(&self, reading: &Reading) -> Identity {
        let version = reading.snapshot().and_then(|snapshot| snapshot.version.clone()).or_else(|| self.target.version());
        let identity = self.identity.with_version(version.as_deref());
        match reading.snapshot() {
            Some(_) => identity.with_target_info(reading.native.resource_attributes()),
            None => identity.with_target_info(&self.target.target_info()),
        }
    }

    /// The identity of the target, with the version and `target_info` of the last successful reading.
    #[must_use]
    pub fn last_identity(&self) -> Identity {
        self.identity.with_version(self.target.version().as_deref()).with_target_info(&self.target.target_info())
    }

    /// The label `instance`: the name of the target, or `service.instance.id` of the configuration.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.identity.instance()
    }

    /// Returns true if the series of the two are the same: the same system, address and name.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The mail system of the target.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.meter_provider.system()
    }

    /// The file and line that define the target, which can change while the target does not.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin.lock().clone()
    }

    /// Sets the file and line that define the target.
    pub fn set_origin(&self, origin: Origin) {
        *self.origin.lock() = origin;
    }

    /// The canonical scalars of a reading, and the histograms of delivery records in this form, as OTLP metrics for the push.
    pub fn collect(&self, reading: &Reading, form: HistogramForm) -> Vec<ScopeMetrics> {
        let mut scopes = self.meter_provider.collect(self.points(reading));
        if scopes.is_empty() {
            scopes.push(empty_canonical_scope());
        }
        if let Some(scope) = scopes.first_mut() {
            scope.metrics.extend(otlp_metrics(&self.record_histograms(reading), self.system(), form));
        }
        scopes
    }

    /// The histograms that are counted from delivery records at the time of a reading.
    #[must_use]
    pub fn record_histograms(&self, reading: &Reading) -> Vec<RecordHistogram> {
        let from_records = reading.record_metrics();
        let counted = self.deliveries.as_ref().filter(|_| from_records != RecordMetrics::NONE);
        let mut histograms = counted.map(|deliveries| deliveries.histograms()).unwrap_or_default();
        histograms.retain(|histogram| from_records.contains(histogram.metric));
        histograms
    }

    /// The canonical scalars of a reading as families with the labels `job` and `instance`, for the pull.
    pub fn gather(&self, reading: &Reading, strategy: TranslationStrategy) -> SelectedFamilies {
        self.meter_provider.gather(self.points(reading), strategy, &self.counter_starts(reading))
    }

    /// The same as [`gather`](Self::gather) without `job` and `instance`.
    pub fn gather_without_target_labels(&self, reading: &Reading, strategy: TranslationStrategy) -> SelectedFamilies {
        self.meter_provider.gather_without_target_labels(self.points(reading), strategy, &self.counter_starts(reading))
    }

    /// The times since which delivery records are counted, if the target has records.
    #[must_use]
    pub fn records_since(&self) -> Option<RecordsSince> {
        self.deliveries.as_ref().map(|deliveries| deliveries.since())
    }

    fn counter_starts(&self, reading: &Reading) -> CounterStarts {
        CounterStarts::of(reading).with_records_since(self.records_since())
    }

    /// The points of a reading and of the delivery records, which do not depend on the poll.
    fn points(&self, reading: &Reading) -> Vec<Point> {
        let now = Instant::now();
        let mut points = reading.points(now);
        let from_records = reading.record_metrics();
        let is_counted = |metric: &&'static Metric| !RECORD_METRICS.contains(metric) || from_records.contains(metric);
        let of_records: Vec<Point> = self.deliveries.iter().flat_map(|deliveries| deliveries.points(now)).collect();
        if self.target.config.deliveries.as_ref().is_some_and(|deliveries| deliveries.log_files.is_none()) {
            // The readers of a delivery log and of log files note them when everything was read.
            self.target.note_log_counts(now, &of_records);
        }
        points.extend(of_records.into_iter().filter(|point| is_counted(&point.metric)));
        points
    }
}
